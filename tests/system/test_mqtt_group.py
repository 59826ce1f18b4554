# SPDX-License-Identifier: Apache-2.0
"""Bridges that share what is published ($share): one is killed and comes back with its own
id, and nothing is lost."""
import random

import pytest

from lib.publishers import drained, repeated
from lib.waiting import wait_for

GROUP = "rooms"
MESSAGES = 6000
RATE = 3000  # see test_mqtt_killed.py
IN_FLIGHT = 1000


def stored(*bridges):
    return [one.sample("millrace_mqtt_messages_total", outcome="stored") for one in bridges]


def settings(protocol="5", **more):
    return {"MILLRACE_MQTT_GROUP": GROUP, "MILLRACE_MQTT_PROTOCOL": protocol,
            "MILLRACE_MQTT_IN_FLIGHT_MAX": IN_FLIGHT, **more}


@pytest.mark.parametrize("count,protocol", [(2, "5"), (4, "5"), (4, "3.1.1")])
def test_one_of_several_is_killed_and_comes_back(mosquitto, mqtt, kafka, name, devices, count,
                                                 protocol, rounds):
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)

    def start(index):
        return mqtt(broker, kafka, name, client=f"bridge-{index}", **settings(protocol))
    bridges = [start(index) for index in range(count)]
    promised = set()
    for round_ in range(rounds):
        load = devices(broker, MESSAGES, first=1 + round_ * MESSAGES, rate=RATE)
        wait_for(lambda: min(stored(*bridges)) >= 50, 60,
                 lambda: f"each has stored some: {stored(*bridges)}")
        index = random.randrange(count)
        bridges[index].kill()
        promised |= load.finish()  # its share waits for it
        bridges[index] = start(index)
    found = drained(kafka, name, promised)
    assert found.keys() == promised
    assert repeated(found) <= rounds * IN_FLIGHT
    for one in bridges:
        assert one.terminate() == 0


def test_one_bridge_with_several_connections(mosquitto, mqtt, kafka, name, devices, rounds):
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)
    words = settings(MILLRACE_MQTT_CONNECTIONS=3)
    one = mqtt(broker, kafka, name, client="bridge", **words)
    assert one.sample("millrace_mqtt_connections") == 3
    for index in (1, 2, 3):
        assert f"as bridge-{index} (p5" in broker.log.read_text()
    promised = set()
    for round_ in range(rounds):
        load = devices(broker, MESSAGES, first=1 + round_ * MESSAGES, rate=RATE)
        wait_for(lambda: stored(one)[0] >= 100, 60, "some are stored")
        one.kill()
        one = mqtt(broker, kafka, name, client="bridge", **words)
        promised |= load.finish()
    found = drained(kafka, name, promised)
    assert found.keys() == promised
    assert repeated(found) <= rounds * 3 * IN_FLIGHT
    assert one.terminate() == 0


def test_two_bridges_with_one_client_id_are_told_of_it(mosquitto, mqtt, kafka, name):
    """mosquitto ends the older one's connection, again and again; 2.0.11 doesn't say why, 2.0.21 does."""
    broker = mosquitto()
    one = mqtt(broker, kafka, name, client="bridge")
    other = mqtt(broker, kafka, name, client="bridge")
    wait_for(lambda: "does another client use this client id?" in one.log_text(), 20,
             "the one that was first is told")
    for bridge in (one, other):
        assert bridge.terminate() == 0

# SPDX-License-Identifier: Apache-2.0
"""Bridge, Kafka and mosquitto killed, ended and frozen while 30 devices publish: every message that
mosquitto acknowledged to its device is in Kafka, and few are there twice."""
import random

import pytest

from lib import records
from lib.publishers import Client, drained, repeated
from lib.waiting import wait_for

# 200,000 in all with --rounds 30.
MESSAGES_A_ROUND = 6667
RATE = 3000  # a second: slow enough that nothing waits at mosquitto unless something is wrong
IN_FLIGHT = 1000
KEEP_ALIVE_SECONDS = 5
PAST_KEEP_ALIVE = 2 * KEEP_ALIVE_SECONDS  # 1.5 of it is when a side gives the other up
OF_THE_DEVICES = 20 * 30  # what they may have to send again themselves
SETTINGS = {"MILLRACE_MQTT_IN_FLIGHT_MAX": IN_FLIGHT, "MILLRACE_MQTT_KEEP_ALIVE": "5s",
            "MILLRACE_MQTT_RECONNECT_MAX": "1s"}


def stored(one):
    return one.sample("millrace_mqtt_messages_total", outcome="stored")


def wait_stored(one, count, seconds=60):
    wait_for(lambda: stored(one) >= count, seconds, lambda: f"{count} stored; so far {stored(one)}")


@pytest.fixture
def under_load(mosquitto, mqtt, devices, name):
    """under_load(kafka): mosquitto, a bridge that has stored some, and the devices that go on."""
    def begin(kafka):
        broker = mosquitto(max_inflight_messages=IN_FLIGHT)
        one = mqtt(broker, kafka, name, **SETTINGS)
        load = devices(broker, MESSAGES_A_ROUND, rate=RATE)
        wait_stored(one, 100)
        return broker, one, load
    return begin


def assert_all_stored(kafka, topic, load, twice_at_most):
    found = drained(kafka, topic, load.finish())
    assert found.keys() == load.acknowledged()
    assert repeated(found) <= twice_at_most


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_kill_9_of_the_bridge(mosquitto, mqtt, kafka, name, devices, rounds, protocol):
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)
    settings = {**SETTINGS, "MILLRACE_MQTT_PROTOCOL": protocol}
    one = mqtt(broker, kafka, name, **settings)
    promised = set()
    for round_ in range(rounds):
        load = devices(broker, MESSAGES_A_ROUND, first=1 + round_ * MESSAGES_A_ROUND, rate=RATE)
        wait_stored(one, random.randint(1, MESSAGES_A_ROUND // 2))
        one.kill()
        one = mqtt(broker, kafka, name, **settings)
        promised |= load.finish()
        records.wait_for(kafka, name, len(promised))  # little waits when the next ones come
    found = drained(kafka, name, promised)
    assert len(promised) == rounds * MESSAGES_A_ROUND and found.keys() == promised
    assert repeated(found) <= rounds * IN_FLIGHT
    assert one.terminate(30) == 0


def test_kill_9_of_the_bridge_while_much_waits(mosquitto, mqtt, kafka, name, devices, rounds):
    """Nothing is lost. How much comes twice is mosquitto's matter then: 2.0.11 doesn't keep to
    Receive Maximum and max_inflight_messages while messages wait (each acknowledgement of its
    oldest one lets as many more go), and what it has sent without having read the acknowledgement
    comes again."""
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)
    one = mqtt(broker, kafka, name, **SETTINGS)
    load = devices(broker, rounds * MESSAGES_A_ROUND)

    def is_over():
        return not load.running() and kafka.count(name) >= load.count
    for _ in range(rounds):
        seen = random.randint(1, MESSAGES_A_ROUND // 2)
        wait_for(lambda: stored(one) >= seen or is_over(), 60, f"{seen} are stored", poll=0.05)
        one.kill()
        one = mqtt(broker, kafka, name, ready=False, **SETTINGS)
        wait_for(one.readyz, 30, "the admin listener")
    found = drained(kafka, name, load.finish())
    assert found.keys() == load.acknowledged()
    assert one.terminate(30) == 0


def test_sigterm_of_the_bridge_repeats_nothing(mosquitto, mqtt, kafka, name, devices):
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)
    one = mqtt(broker, kafka, name, **SETTINGS)
    load = devices(broker, 3 * MESSAGES_A_ROUND)
    wait_stored(one, 100)
    assert one.terminate(30) == 0
    mqtt(broker, kafka, name, **SETTINGS)
    found = drained(kafka, name, load.finish())
    assert repeated(found) == 0


def test_kill_9_of_kafka(under_load, own_kafka, name):
    _, one, load = under_load(own_kafka)
    own_kafka.kill()
    one.wait_not_ready("kafka")
    own_kafka.start()
    one.wait_ready(60)
    assert_all_stored(own_kafka, name, load, IN_FLIGHT)
    assert one.terminate(30) == 0


def test_kafka_is_frozen_past_the_keep_alive(under_load, own_kafka, name):
    """The bridge stays away meanwhile, and its memory is bounded; nothing is sent twice."""
    _, one, load = under_load(own_kafka)
    own_kafka.freeze()
    one.wait_not_ready("until Kafka has stored", 2 * PAST_KEEP_ALIVE)
    assert one.sample("millrace_mqtt_in_flight_messages") <= IN_FLIGHT
    load.finish()
    before = stored(one)
    assert one.rss_mb() < 40
    own_kafka.thaw()
    one.wait_ready(60)
    found = drained(own_kafka, name, load.acknowledged())
    assert found.keys() == load.acknowledged() and stored(one) > before
    assert repeated(found) <= IN_FLIGHT
    assert one.sample("millrace_mqtt_reconnects_total") >= 1


def test_sigterm_of_mosquitto_with_persistence(under_load, kafka, name):
    broker, one, load = under_load(kafka)
    broker.terminate()
    one.wait_not_ready("mqtt")
    broker.start()
    one.wait_ready()
    assert_all_stored(kafka, name, load, IN_FLIGHT + OF_THE_DEVICES)


def test_mosquitto_is_frozen_past_the_keep_alive(under_load, kafka, name):
    broker, one, load = under_load(kafka)
    broker.freeze()
    one.wait_not_ready("mqtt", 6 * KEEP_ALIVE_SECONDS)
    broker.thaw()
    one.wait_ready(60)
    assert_all_stored(kafka, name, load, IN_FLIGHT + OF_THE_DEVICES)


def test_the_bridge_is_frozen_past_the_keep_alive(under_load, kafka, name):
    broker, one, load = under_load(kafka)
    one.freeze()
    wait_for(lambda: f"{one.client} has exceeded timeout" in broker.log.read_text(),
             6 * KEEP_ALIVE_SECONDS, "mosquitto gives the bridge up")
    one.thaw()
    assert_all_stored(kafka, name, load, IN_FLIGHT)


def test_what_the_broker_throws_away_is_told(mosquitto, mqtt, kafka, name):
    """No bridge can save that; it says so."""
    broker = mosquitto(max_queued_messages=10, max_inflight_messages=10)
    one = mqtt(broker, kafka, name, **SETTINGS)
    one.kill()
    with Client(broker) as device:
        for number in range(50):
            device.publish("load/dev", f'{{"n": {number}}}')
    one = mqtt(broker, kafka, name, **SETTINGS)
    wait_for(lambda: one.sample("millrace_mqtt_broker_dropped_messages") >= 30, 20,
             "the broker's count is seen")
    with Client(broker, id_="away", clean=False, expiry=60) as other:
        other.subscribe("#")
    with Client(broker) as device:
        for number in range(50):
            device.publish("load/dev", f'{{"n": {number}}}')
    wait_for(lambda: "thrown messages away" in one.log_text(), 20, "the warning")

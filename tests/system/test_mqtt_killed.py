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


class Scene:
    """mosquitto, a bridge and a Kafka; 30 devices publish in each round."""

    def __init__(self, kafka, name, broker, start, devices):
        self.kafka = kafka
        self.name = name
        self.broker = broker
        self.start = start
        self.one = start()
        self._devices = devices
        self._promised = set()

    def survive(self, rounds, harm, twice_at_most):
        """What is acknowledged is stored, whatever harm() does in each of the rounds while the
        devices publish; at most so much of a round is there twice."""
        for round_ in range(rounds):
            before = stored(self.one)
            load = self._devices(self.broker, MESSAGES_A_ROUND,
                                 first=1 + round_ * MESSAGES_A_ROUND, rate=RATE)
            wait_stored(self.one, before + random.randint(1, MESSAGES_A_ROUND // 2))
            harm()
            self._promised |= load.finish()
            # Little waits when the next ones come.
            records.wait_for(self.kafka, self.name, len(self._promised))
        found = drained(self.kafka, self.name, self._promised)
        assert len(self._promised) == rounds * MESSAGES_A_ROUND
        assert found.keys() == self._promised
        assert repeated(found) <= rounds * twice_at_most
        assert self.one.terminate() == 0


@pytest.fixture(params=["5", "3.1.1"])
def scene(request, mosquitto, mqtt, devices, name):
    """scene(kafka): a Scene whose bridge speaks this protocol."""
    def begin(kafka):
        broker = mosquitto(max_inflight_messages=IN_FLIGHT)
        return Scene(kafka, name, broker, lambda: mqtt(
            broker, kafka, name, **SETTINGS, MILLRACE_MQTT_PROTOCOL=request.param), devices)
    return begin


@pytest.fixture
def few_rounds(rounds):
    """Of what takes longer than the keep alive each time: 10 of 30, and one in CI."""
    return max(1, rounds // 3)


def test_kill_9_of_the_bridge(scene, kafka, rounds):
    it = scene(kafka)

    def kill():
        it.one.kill()
        it.one = it.start()
    it.survive(rounds, kill, IN_FLIGHT)


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
    assert one.terminate() == 0


def test_sigterm_of_the_bridge_repeats_nothing(mosquitto, mqtt, kafka, name, devices):
    broker = mosquitto(max_inflight_messages=IN_FLIGHT)
    one = mqtt(broker, kafka, name, **SETTINGS)
    load = devices(broker, 3 * MESSAGES_A_ROUND)
    wait_stored(one, 100)
    assert one.terminate() == 0
    mqtt(broker, kafka, name, **SETTINGS)
    found = drained(kafka, name, load.finish())
    assert repeated(found) == 0


def test_kill_9_of_kafka(scene, own_kafka, rounds):
    it = scene(own_kafka)

    def kill():
        own_kafka.kill()
        it.one.wait_not_ready("kafka")
        own_kafka.start()
        it.one.wait_ready(60)
    it.survive(rounds, kill, IN_FLIGHT)


def test_kafka_is_frozen_past_the_keep_alive(scene, own_kafka, few_rounds):
    """The bridge stays away meanwhile, and its memory is bounded."""
    it = scene(own_kafka)

    def freeze():
        before = it.one.sample("millrace_mqtt_reconnects_total")
        own_kafka.freeze()
        it.one.wait_not_ready("until Kafka has stored", 2 * PAST_KEEP_ALIVE)
        assert it.one.sample("millrace_mqtt_in_flight_messages") <= IN_FLIGHT
        assert it.one.rss_mb() < 40
        own_kafka.thaw()
        it.one.wait_ready(60)
        assert it.one.sample("millrace_mqtt_reconnects_total") > before
    it.survive(few_rounds, freeze, IN_FLIGHT)


def test_sigterm_of_mosquitto_with_persistence(scene, kafka, rounds):
    it = scene(kafka)

    def terminate():
        it.broker.terminate()
        it.one.wait_not_ready("mqtt")
        it.broker.start()
        it.one.wait_ready()
    it.survive(rounds, terminate, IN_FLIGHT + OF_THE_DEVICES)


def test_mosquitto_is_frozen_past_the_keep_alive(scene, kafka, few_rounds):
    it = scene(kafka)

    def freeze():
        it.broker.freeze()
        it.one.wait_not_ready("mqtt", 6 * KEEP_ALIVE_SECONDS)
        it.broker.thaw()
        it.one.wait_ready(60)
    it.survive(few_rounds, freeze, IN_FLIGHT + OF_THE_DEVICES)


def test_the_bridge_is_frozen_past_the_keep_alive(scene, kafka, few_rounds):
    it = scene(kafka)

    def freeze():
        def given_up():
            return it.broker.log.read_text().count(f"{it.one.client} has exceeded timeout")
        before = given_up()
        it.one.freeze()
        wait_for(lambda: given_up() > before, 6 * KEEP_ALIVE_SECONDS,
                 "mosquitto gives the bridge up")
        it.one.thaw()
    it.survive(few_rounds, freeze, IN_FLIGHT)


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

# SPDX-License-Identifier: Apache-2.0
"""Kafka frozen, killed and restarted: devices are answered within 3 s with what is surely known,
memory stays bounded, and everything goes on by itself."""
import http.client

import pytest

from lib import records
from lib.load import ANSWER_SECONDS_MAX, CHANNEL, Load, post
from lib.waiting import wait_for

PROMISED_SECONDS = 3
SLACK_SECONDS = 2  # what a busy machine may add; who waits twice takes 5.5 s
RECOVERY_SECONDS = 60

# 200 requests of 100 kB that were kept would be 20 MB.
CONNECTIONS = 24
PADDING = 100_000
OUTAGE_ANSWERS = 200
MEMORY_GROWTH_MB_MAX = 16


def freeze(kafka):
    kafka.freeze()
    return kafka.thaw


def kill(kafka):
    kafka.kill()
    return kafka.start


def assert_true_answers(load, stored):
    """In time, nothing unexpected, and no answer says what isn't so."""
    assert load.statuses() <= {202, 503, 504}, load.statuses()
    assert load.slowest() <= PROMISED_SECONDS + SLACK_SECONDS
    assert load.stored() <= stored, "answered 202 and not in Kafka"
    refused = {answer.id for answer in load.of(503)}
    assert not refused & stored, "answered 503 and yet in Kafka"
    assert all(int(answer.retry_after) >= 1 for answer in load.of(503))


def send_again(port, answers, prefix):
    """Devices send the same events again, as they were told to."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    for answer in answers:
        assert post(connection, answer.number, prefix).status == 202
    connection.close()


def outage_answers(load):
    return load.of(503) + load.of(504)


@pytest.mark.parametrize("outage", [freeze, kill])
def test_devices_are_answered_in_time_and_truly(bridge, worker, own_kafka, influx, name, outage):
    influx.create_database(name)
    one = bridge(own_kafka, name)
    reader = worker(own_kafka, name, influx.uri, name)
    with Load(one.port, "device", CONNECTIONS, padding=PADDING) as load:
        load.wait_stored(200)
        before_mb = one.rss_mb()
        restore = outage(own_kafka)
        wait_for(lambda: len(outage_answers(load)) >= OUTAGE_ANSWERS, 120,
                 lambda: f"{OUTAGE_ANSWERS} answers without Kafka: {load.statuses()}")
        assert one.readyz()[0] == 503 and "kafka" in one.readyz()[1]
        growth_mb = one.rss_max_mb() - before_mb
        restore()
        load.wait_stored(200, RECOVERY_SECONDS)
    one.wait_ready()
    assert growth_mb <= MEMORY_GROWTH_MB_MAX
    assert_true_answers(load, set(records.ids(own_kafka, name)))

    again = outage_answers(load)[:50]
    send_again(one.port, again, "device")
    stored = set(records.ids(own_kafka, name))
    assert {answer.id for answer in again} <= stored
    numbers = {int(id_.split("-")[1]) for id_ in stored}
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), RECOVERY_SECONDS,
             lambda: f"{influx.count('n', CHANNEL, name)} of {len(numbers)} points")
    assert sorted(influx.values("n", CHANNEL, name)) == sorted(numbers)
    reader.wait_ready()


def test_programs_started_before_kafka_wait_for_it(run, own_kafka, influx, name):
    from lib.programs import Bridge, Worker
    influx.create_database(name)
    own_kafka.kill()
    one = run(Bridge, own_kafka.address, name)
    reader = run(Worker, own_kafka.address, name, influx.uri, name)
    assert own_kafka.address in one.wait_not_ready("kafka")
    reader.wait_not_ready("kafka")
    with Load(one.port, "early", connections=2) as early:
        early.wait_status(503)
    assert_true_answers(early, set())
    own_kafka.start()
    one.wait_ready(RECOVERY_SECONDS)
    reader.wait_ready(RECOVERY_SECONDS)
    with Load(one.port, "late", connections=2) as late:
        late.wait_stored(20)
    assert set(records.ids(own_kafka, name)) == late.stored()
    wait_for(lambda: influx.count("n", CHANNEL, name) == len(late.stored()), RECOVERY_SECONDS,
             "all points")

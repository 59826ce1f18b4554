# SPDX-License-Identifier: Apache-2.0
"""SIGTERM under load: nothing that was promised is lost, the program ends in time, and the next
one goes on where it stopped."""
import time

from lib import records
from lib.load import CHANNEL, Load
from lib.waiting import wait_for

CONNECTIONS = 8
DEADLINE_SECONDS = 10  # [admin] shutdown.deadline as set here
SLACK_SECONDS = 3


def terminate(program):
    """(exit status, seconds)"""
    begin = time.monotonic()
    status = program.terminate(DEADLINE_SECONDS + SLACK_SECONDS)
    return status, time.monotonic() - begin


def test_a_bridge_under_load_ends_clean_and_starts_again(bridge, kafka, name):
    first = bridge(kafka, name)
    with Load(first.port, "device", CONNECTIONS) as load:
        load.wait_stored(300)
        status, seconds = terminate(first)
        assert status == 0
        assert seconds < DEADLINE_SECONDS, "idle and busy connections alike are ended"
        second = bridge(kafka, name, port=first.port)
        load.wait_stored(100)
        assert second.running()
    assert load.statuses() <= {202, 503, 0}
    assert load.stored() <= set(records.ids(kafka, name))


def test_a_worker_under_load_commits_what_it_stored(bridge, worker, kafka, influx, name):
    influx.create_database(name)
    port = bridge(kafka, name).port
    with Load(port, "device", CONNECTIONS, pause_seconds=0.002) as load:
        one = worker(kafka, name, influx.uri, name)
        wait_for(lambda: influx.count("n", CHANNEL, name) > 200, 60, "points come")
        status, _ = terminate(one)
    assert status == 0
    committed = sum(kafka.describe_group(one.group).values())
    assert committed == influx.count("n", CHANNEL, name), "what is drained is committed, all of it"
    worker(kafka, name, influx.uri, name)
    numbers = {answer.number for answer in load.of(202)}
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), 60, "all points")
    assert sorted(influx.values("n", CHANNEL, name)) == sorted(numbers)


def test_a_worker_ends_in_time_while_influxdb_hangs(bridge, worker, kafka, own_influx, name):
    own_influx.create_database(name)
    port = bridge(kafka, name).port
    settings = {"MILLRACE_ADMIN_SHUTDOWN_DEADLINE": f"{DEADLINE_SECONDS}s"}
    one = worker(kafka, name, own_influx.uri, name, **settings)
    own_influx.freeze()
    with Load(port, "device", 2) as load:
        load.wait_stored(100)
    _, seconds = terminate(one)
    assert seconds <= DEADLINE_SECONDS + SLACK_SECONDS
    own_influx.thaw()
    worker(kafka, name, own_influx.uri, name)
    numbers = {answer.number for answer in load.of(202)}
    wait_for(lambda: own_influx.count("n", CHANNEL, name) >= len(numbers), 60, "all points")
    assert sorted(own_influx.values("n", CHANNEL, name)) == sorted(numbers)


def test_a_bridge_ends_in_time_while_kafka_is_frozen(bridge, own_kafka, name):
    settings = {"MILLRACE_ADMIN_SHUTDOWN_DEADLINE": f"{DEADLINE_SECONDS}s"}
    one = bridge(own_kafka, name, **settings)
    with Load(one.port, "device", CONNECTIONS) as load:
        load.wait_stored(100)
        own_kafka.freeze()
        load.wait_status(504)
        _, seconds = terminate(one)
    assert seconds <= DEADLINE_SECONDS + SLACK_SECONDS
    own_kafka.thaw()
    assert load.stored() <= set(records.ids(own_kafka, name))

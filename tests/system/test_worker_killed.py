# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the worker at random moments: every stored event is one point, and the group's
commits neither go backwards nor past what InfluxDB has."""
import collections
import random
import threading

from lib import records
from lib.load import CHANNEL, Load
from lib.waiting import wait_for

CONNECTIONS = 6


def assert_commits_only_grow(commits):
    assert commits, "nothing was ever committed"
    last = {}
    for topic, partition, offset in commits:
        assert offset >= last.get((topic, partition), 0), (
            f"{topic} [{partition}] went from {last[topic, partition]} back to {offset}")
        last[topic, partition] = offset
    return last


def test_every_stored_event_is_one_point(bridge, worker, kafka, influx, name, rounds):
    influx.create_database(name)
    port = bridge(kafka, name).port
    with Load(port, "device", CONNECTIONS, pause_seconds=0.002) as load:
        for _ in range(rounds):
            one = worker(kafka, name, influx.uri, name)
            points = influx.count("n", CHANNEL, name)
            wait_for(lambda: influx.count("n", CHANNEL, name) > points, 40,
                     "points come while the worker lives")
            moment = threading.Event()
            moment.wait(random.uniform(0, 1.0))
            one.kill()
        load.wait_stored(200)
    last = worker(kafka, name, influx.uri, name)

    numbers = {int(id_.split("-")[1]) for id_ in records.ids(kafka, name)}
    assert {answer.number for answer in load.of(202)} <= numbers
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), 60,
             lambda: f"{influx.count('n', CHANNEL, name)} of {len(numbers)} points")
    assert last.terminate() == 0
    values = influx.values("n", CHANNEL, name)
    assert collections.Counter(values) == collections.Counter(numbers)

    committed = assert_commits_only_grow(kafka.commits(last.group))
    assert sum(committed.values()) == kafka.count(name)


def test_nothing_is_committed_before_it_is_stored(bridge, worker, kafka, influx, own_influx, name):
    """Killed while InfluxDB hangs: what was read and not stored is read again."""
    own_influx.create_database(name)
    port = bridge(kafka, name).port
    one = worker(kafka, name, own_influx.uri, name)
    with Load(port, "device", CONNECTIONS) as load:
        load.wait_stored(200)
        own_influx.freeze()
        load.wait_stored(300)
    one.kill()
    own_influx.thaw()
    numbers = {int(id_.split("-")[1]) for id_ in records.ids(kafka, name)}
    worker(kafka, name, own_influx.uri, name)
    wait_for(lambda: own_influx.count("n", CHANNEL, name) >= len(numbers), 60,
             lambda: f"{own_influx.count('n', CHANNEL, name)} of {len(numbers)} points")
    assert sorted(own_influx.values("n", CHANNEL, name)) == sorted(numbers)
    assert_commits_only_grow(kafka.commits(one.group))

# SPDX-License-Identifier: Apache-2.0
"""Logs with gaps: transactions, compaction, deleted records; and partitions that are added. What is
there becomes points, the lag ends at 0, and the commits reach the end of the log."""
import re
import subprocess

import pytest

from lib import paths, records
from lib.load import CHANNEL
from lib.process import Process
from lib.programs import parse_metrics
from lib.waiting import wait_for

ID = "devices"


def transact(kafka, topic, end, numbers):
    done = subprocess.run([paths.TRANSACT, kafka.address, topic, ID, end],
                          input=records.json_lines(numbers), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def open_transaction(kafka, topic, numbers, folder):
    """A producer that has stored `numbers` and then says no more."""
    lines = folder / "lines"
    lines.write_bytes(records.json_lines(numbers))
    log = folder / "transact.log"
    one = Process("transact", ["sh", "-c", 'exec "$0" "$@" < ' + f"'{lines}'", paths.TRANSACT,
                               kafka.address, topic, ID, "open"], log)
    wait_for(lambda: "open" in one.log_text(), 30, "the transaction is open")
    return one


def metric(worker, name, topic, partition=0):
    series = parse_metrics(worker.metrics()).get(name, {})
    return series.get((("partition", str(partition)), ("topic", topic)))


def numbers_in(influx, name):
    return sorted(int(value) for value in influx.values("n", CHANNEL, name))


def wait_points(influx, name, numbers):
    numbers = sorted(numbers)
    wait_for(lambda: len(numbers_in(influx, name)) >= len(numbers), 40,
             lambda: f"{len(numbers_in(influx, name))} of {len(numbers)} points")
    assert numbers_in(influx, name) == numbers


def wait_caught_up(kafka, one, topic):
    """The lag is 0 by ourselves and by Kafka's own tool."""
    partitions = kafka.topics()[topic]
    for partition in range(partitions):
        wait_for(lambda: metric(one, "millrace_worker_lag_records", topic, partition) == 0, 20,
                 lambda: metric(one, "millrace_worker_lag_records", topic, partition))
    wait_for(lambda: sum(kafka.describe_group(one.group).values()) == kafka.count(topic), 30,
             lambda: f"{kafka.describe_group(one.group)}, end: {kafka.count(topic)}")


def test_aborted_records_are_never_seen(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    one = worker(kafka, name, influx.uri, name)
    transact(kafka, name, "commit", range(1, 11))
    transact(kafka, name, "abort", range(11, 21))
    transact(kafka, name, "commit", range(21, 31))
    transact(kafka, name, "abort", range(31, 41))
    assert kafka.count(name) == 44  # a marker ends each transaction
    wait_points(influx, name, [*range(1, 11), *range(21, 31)])
    wait_caught_up(kafka, one, name)
    assert one.terminate() == 0
    second = worker(kafka, name, influx.uri, name)
    wait_caught_up(kafka, second, name)
    assert metric(second, "millrace_worker_received_total", name) == 0


def test_an_open_transaction_holds_what_is_behind_it(worker, kafka, influx, name, tmp_path):
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, influx.uri, name)
    transact(kafka, name, "commit", range(1, 6))
    opened = open_transaction(kafka, name, range(6, 11), tmp_path)
    records.produce_json(kafka, name, range(11, 21), partition=0)
    records.produce_json(kafka, name, range(21, 31), partition=1)
    wait_points(influx, name, [*range(1, 6), *range(21, 31)])
    wait_for(lambda: metric(one, "millrace_worker_lag_records", name) == 0, 20,
             "what an open transaction holds back can't be read, and is no lag")
    wait_for(lambda: kafka.describe_group(one.group)[name, 0] == 6, 20,
             lambda: f"committed up to it: {kafka.describe_group(one.group)}")
    opened.kill()
    transact(kafka, name, "commit", range(31, 36))  # the same id: the open one is aborted
    wait_points(influx, name, [*range(1, 6), *range(11, 36)])
    wait_caught_up(kafka, one, name)


def test_the_gaps_of_compaction(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1, cleanup_policy="compact", segment_ms=1,
                       min_cleanable_dirty_ratio="0.01", min_compaction_lag_ms=0)
    for first in range(1, 101, 20):
        records.produce_json(kafka, name, range(first, first + 20), key=lambda n: n % 7)
    wait_for(lambda: len(records.read(kafka, name)) < 100, 60,
             lambda: f"compaction: {len(records.read(kafka, name))} of 100 are left", poll=1)
    left = {int(id_.split("-")[1]) for id_ in records.json_ids(kafka, name)}
    one = worker(kafka, name, influx.uri, name)
    wait_for(lambda: set(numbers_in(influx, name)) >= {100}, 30, "the last is a point")
    wait_caught_up(kafka, one, name)
    stored = set(numbers_in(influx, name))
    assert {int(id_.split("-")[1]) for id_ in records.json_ids(kafka, name)} <= stored <= left


@pytest.mark.parametrize("rule", ["earliest", "latest"])
def test_deleted_before_they_were_read(worker, kafka, influx, name, rule):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    one = worker(kafka, name, influx.uri, name)
    records.produce_json(kafka, name, range(10))
    wait_caught_up(kafka, one, name)
    assert one.terminate() == 0
    records.produce_json(kafka, name, range(10, 100))
    kafka.delete_records(name, 60)
    two = worker(kafka, name, influx.uri, name, MILLRACE_INFLUX_OFFSET_LOST=rule)
    wait_for(lambda: metric(two, "millrace_worker_records_missed_total", name), 30,
             "the loss is counted")
    records.produce_json(kafka, name, range(100, 110))
    kept = range(60, 110) if rule == "earliest" else range(100, 110)
    wait_points(influx, name, [*range(10), *kept])
    assert metric(two, "millrace_worker_records_missed_total", name) == kept[0] - 10
    assert re.search(r"level=error .*records are missed", two.log_text())
    wait_caught_up(kafka, two, name)


def test_deleted_while_the_sink_is_away(worker, kafka, own_influx, name):
    """Retention passes a worker that runs: what it has in hand is stored, the gap is counted."""
    influx = own_influx
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    one = worker(kafka, name, influx.uri, name, MILLRACE_INFLUX_PENDING_COUNT="50",
                 MILLRACE_KAFKA_CONSUMER_QUEUED_MIN_MESSAGES="1",
                 MILLRACE_KAFKA_CONSUMER_FETCH_MESSAGE_MAX_BYTES="4096")
    influx.freeze()
    for first in range(0, 1000, 20):
        records.produce_json(kafka, name, range(first, first + 20))
    wait_for(lambda: metric(one, "millrace_worker_lag_records", name) == 1000, 30,
             lambda: f"lag: {metric(one, 'millrace_worker_lag_records', name)}")
    assert metric(one, "millrace_worker_paused", name) == 1
    wait_for(lambda: metric(one, "millrace_worker_oldest_unsettled_seconds", name) > 0, 30,
             "the oldest grows old")
    kafka.delete_records(name, 900)
    influx.thaw()
    wait_caught_up(kafka, one, name)
    missed = metric(one, "millrace_worker_records_missed_total", name)
    stored = set(numbers_in(influx, name))
    assert missed > 0 and len(stored) + missed == 1000
    assert stored >= set(range(900, 1000)) | set(range(50))


def test_added_partitions_are_read_without_a_restart(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    one = worker(kafka, name, influx.uri, name)
    records.produce_json(kafka, name, range(10), partition=0)
    wait_points(influx, name, range(10))
    kafka.add_partitions(name, 3)
    wait_for(lambda: kafka.topics()[name] == 3, 20, "the partitions are there")
    records.produce_json(kafka, name, range(10, 20), partition=2)
    wait_points(influx, name, range(20))
    wait_caught_up(kafka, one, name)

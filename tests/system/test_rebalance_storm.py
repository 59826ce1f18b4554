# SPDX-License-Identifier: Apache-2.0
"""One to eight workers come, leave and are killed every other second under load: nothing is lost, no
commit goes backwards, the books balance at every scrape, and the lag is never negative."""
import random
import threading
import time

from lib import records
from lib.load import CHANNEL, Load
from lib.programs import parse_metrics
from lib.waiting import wait_for
from test_worker_killed import assert_commits_only_grow

WORKERS_MAX = 8
PARTITIONS = 8
CONNECTIONS = 4
PAUSE_SECONDS = (0.3, 2.5)  # between two events of the storm
SCRAPE_SECONDS = 0.2
ENDS = ("in_flight", "pending_records", "retries_pending")


def by_partition(samples, name):
    """{(topic, partition): sum over the other labels}"""
    totals = {}
    for labels, value in samples.get(f"millrace_worker_{name}", {}).items():
        labels = dict(labels)
        key = labels["topic"], labels["partition"]
        totals[key] = totals.get(key, 0) + value
    return totals


def assert_books(text):
    samples = parse_metrics(text)
    settled = by_partition(samples, "settled_total")
    held = [by_partition(samples, name) for name in ENDS]
    for key, received in by_partition(samples, "received_total").items():
        known = settled.get(key, 0) + sum(one.get(key, 0) for one in held)
        assert received == known, (key, received, settled.get(key), [one.get(key) for one in held])
    for key, lag in by_partition(samples, "lag_records").items():
        assert lag >= 0, (key, lag)
    return by_partition(samples, "lag_records")


class Scraper:
    """Scrapes all workers again and again, until it is left; then its findings are judged."""

    def __init__(self, workers):
        self._workers = workers
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures = []
        self.scrapes = 0

    def _run(self):
        while not self._stopping.wait(SCRAPE_SECONDS):
            for one in list(self._workers):
                try:
                    assert_books(one.metrics())
                    self.scrapes += 1
                except OSError:
                    pass  # it has been killed
                except AssertionError as failure:
                    if one.running():
                        self.failures.append(failure)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(30)


class Storm:
    def __init__(self, start):
        self.start = start
        self.workers = []
        self.counts = {"joined": 0, "left": 0, "killed": 0}

    def join(self):
        self.workers.append(self.start())
        self.counts["joined"] += 1

    def leave(self):
        one = self.workers.pop(random.randrange(len(self.workers)))
        wait_for(one.readyz, 20, "it runs: before that SIGTERM just ends a process")
        assert one.terminate() == 0
        self.counts["left"] += 1

    def kill(self):
        one = self.workers.pop(random.randrange(len(self.workers)))
        one.kill()
        self.counts["killed"] += 1

    def event(self):
        may = [self.join] if len(self.workers) < WORKERS_MAX else []
        if len(self.workers) > 1:
            may += [self.leave, self.kill]
        random.choice(may)()


def test_nothing_is_lost_in_a_storm(bridge, worker, kafka, influx, name, storm_seconds):
    influx.create_database(name)
    kafka.create_topic(name, partitions=PARTITIONS)
    port = bridge(kafka, name).port
    storm = Storm(lambda: worker(kafka, name, influx.uri, name, ready=False))
    calm = threading.Event()
    with Load(port, "device", CONNECTIONS, pause_seconds=0.004) as load, \
            Scraper(storm.workers) as scraper:
        for _ in range(4):
            storm.join()
        end = time.monotonic() + storm_seconds
        while time.monotonic() < end:
            storm.event()
            calm.wait(random.uniform(*PAUSE_SECONDS))
    print(storm.counts, f"{len(load.answers)} events, {scraper.scrapes} scrapes")
    assert scraper.failures == []
    assert scraper.scrapes > storm_seconds
    numbers = {int(id_.split("-")[1]) for id_ in records.ids(kafka, name)}
    assert {answer.number for answer in load.of(202)} <= numbers
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), 60,
             lambda: f"{influx.count('n', CHANNEL, name)} of {len(numbers)} points")
    assert set(map(int, influx.values("n", CHANNEL, name))) == numbers

    def lags():
        return [lag for one in storm.workers for lag in assert_books(one.metrics()).values()]
    wait_for(lambda: len(lags()) == PARTITIONS and sum(lags()) == 0, 30, lambda: str(lags()))
    group = storm.workers[0].group
    while storm.workers:
        storm.leave()
    committed = assert_commits_only_grow(kafka.commits(group))
    assert sum(committed.values()) == kafka.count(name)

# SPDX-License-Identifier: Apache-2.0
"""bench/run influx: from a topic into InfluxDB, beside what InfluxDB takes from prebuilt batches."""
import contextlib
import pathlib
import shutil
import statistics
import tempfile
import time

from lib.influx import Influx
from lib.kafka import Kafka
from lib.programs import Worker, parse_metrics
from lib.waiting import wait_for
from bench.measure.cpu import cpu_seconds
from bench.measure.events import BEGIN_NS, CHANNEL, Prebuilt, fill

OPTIONS = {"records": 1_000_000, "rounds": 3}
TOPIC = "bench-influx"
TOPIC_BAD = "bench-influx-bad1"
BAD_PERCENT = 1
SECONDS_MAX = 600
POLL_SECONDS = 0.05
# A point of the measurement says what the types of its fields are.
SEED = (f"{CHANNEL},device=none temperature=1,humidity=1,ok=true {BEGIN_NS}")
ROWS = {"1": (TOPIC, 1), "bad1": (TOPIC_BAD, 1), "2": (TOPIC, 2), "4": (TOPIC, 4)}


def settled(workers):
    """Records that are stored or dead-lettered."""
    total = 0
    for one in workers:
        series = parse_metrics(one.metrics()).get("millrace_worker_settled_total", {})
        total += sum(value for labels, value in series.items()
                     if dict(labels)["outcome"] in ("done", "dead"))
    return total


def follow(workers, count):
    """Records a second, from the first that is settled to the last."""
    def some():
        done = settled(workers)
        return (done, time.monotonic()) if done > 0 else None

    def all_of_them():
        return settled(workers) >= count
    first, begin = wait_for(some, SECONDS_MAX, "the first point", POLL_SECONDS)
    if first >= count:
        raise SystemExit("all was written before it was looked at: give more --records")
    wait_for(all_of_them, SECONDS_MAX, "the last point", POLL_SECONDS)
    return (count - first) / (time.monotonic() - begin)


class Bench:
    def __init__(self, folder, records):
        self.folder = folder
        self.records = records
        self.round = 0
        self.kafka = Kafka(folder / "kafka", folder / "kafka.log")
        self.influx = Influx(folder / "influx", folder / "influxd.log")

    def start(self):
        self.kafka.start()
        self.influx.start()
        fill(self.kafka, TOPIC, self.records)
        self.bad = fill(self.kafka, TOPIC_BAD, self.records, BAD_PERCENT)
        self.prebuilt = Prebuilt(self.records)

    def stop(self):
        for server in (self.kafka, self.influx):
            server.stop()

    @contextlib.contextmanager
    def database(self, expected):
        """A new one, that must hold so many points in the end."""
        self.round += 1
        name = self.influx.create_database(f"bench{self.round}")
        self.influx.write(name, SEED)
        yield name
        count = self.influx.count("n", CHANNEL, name)
        if count != expected:
            raise SystemExit(f"{count} points in InfluxDB of {expected}")
        self.influx.query(f'DROP DATABASE "{name}"')

    def limit(self):
        with self.database(self.records) as name:
            return self.prebuilt.write(self.influx, name)

    def ours(self, topic, count):
        """What `count` workers make of the topic together."""
        bad = self.bad if topic == TOPIC_BAD else 0
        dead = self._dead(topic)
        with self.database(self.records - bad) as name:
            workers = [Worker(self.folder / f"worker{i}.log", self.kafka.address, topic,
                              self.influx.uri, name, group=f"group-{name}")
                       for i in range(count)]
            for one in workers:
                wait_for(lambda: one.readyz(), 30, "the admin listener")
            rate = follow(workers, self.records)
            figures = {"rate": rate, "cpu_s": sum(map(cpu_seconds, workers)) * 1e6 / self.records,
                       "rss_mb": max(one.rss_max_mb() for one in workers)}
            for one in workers:
                one.terminate(30)
        dead = self._dead(topic) - dead
        if dead != bad:
            raise SystemExit(f"{dead} dead letters of {bad} bad records")
        return figures

    def _dead(self, topic):
        return self.kafka.count(f"{topic}.dead")


def figures_of(rounds):
    """Medians; ratios are those of one round."""
    def median(of):
        return statistics.median(map(of, rounds))
    figures = {"influx.limit_points_s": median(lambda one: one["limit"])}
    for row in ROWS:
        suffix = "" if row == "1" else f"_{row}"
        figures.update({
            f"influx.points_s{suffix}": median(lambda one: one[row]["rate"]),
            f"influx.rate_ratio{suffix}": median(lambda one: one[row]["rate"] / one["limit"]),
            f"influx.cpu_s_per_million{suffix}": median(lambda one: one[row]["cpu_s"]),
            f"influx.rss_mb{suffix}": max(one[row]["rss_mb"] for one in rounds),
        })
    # Of the clean rate, not of the limit as the other rows.
    figures["influx.bad1_rate_ratio"] = median(lambda one: one["bad1"]["rate"] / one["1"]["rate"])
    return figures


def run(records, rounds):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    bench = Bench(folder, records)
    try:
        bench.start()
        return figures_of([
            {"limit": bench.limit(), **{row: bench.ours(*of) for row, of in ROWS.items()}}
            for _ in range(rounds)])
    finally:
        bench.stop()
        shutil.rmtree(folder, ignore_errors=True)

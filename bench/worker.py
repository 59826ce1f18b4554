# SPDX-License-Identifier: Apache-2.0
"""bench/run worker: the worker loop with a handler that does nothing, beside librdkafka alone."""
import pathlib
import shutil
import statistics
import tempfile

from lib.kafka import Kafka
from lib.paths import BUILD
from lib.process import Process
from lib.programs import Program, parse_metrics
from lib.waiting import wait_for
from bench.measure.cpu import cpu_seconds
from bench.measure.events import fill

OPTIONS = {"records": 1_000_000, "rounds": 5}
TOPIC = "bench-worker"
SECONDS_MAX = 300
POLL_SECONDS = 0.1


def done(worker):
    series = parse_metrics(worker.metrics()).get("millrace_worker_settled_total", {})
    return sum(value for labels, value in series.items() if dict(labels)["outcome"] == "done")


def ours(kafka, folder, records, group):
    """CPU seconds from exec to the last record, and the most memory."""
    worker = Program("idle worker", BUILD / "bench" / "bench_idle_worker", folder / "worker.log", {
        "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.address, "MILLRACE_IDLE_TOPIC": TOPIC,
        "MILLRACE_IDLE_GROUP": group})
    wait_for(lambda: done(worker) >= records, SECONDS_MAX, "all records", POLL_SECONDS)
    figures = cpu_seconds(worker), worker.rss_max_mb()
    worker.terminate(30)
    return figures


def bare(kafka, folder, records, group, *words):
    """The same of librdkafka alone."""
    log = folder / f"{group}.log"
    consumer = Process("bare consumer", [BUILD / "bench" / "bench_bare_consumer", kafka.address,
                                         TOPIC, group, records, *words], log)

    def has_ended():
        if not consumer.running():
            raise SystemExit(f"the bare consumer has ended: {consumer.log_text()}")
        return "done" in consumer.log_text()
    wait_for(has_ended, SECONDS_MAX, "all records", POLL_SECONDS)
    figures = cpu_seconds(consumer), consumer.rss_max_mb()
    consumer.terminate(30)
    return figures


def figures_of(rounds, records):
    """Medians; ratios are those of one round."""
    def median(of):
        return statistics.median(of(*one) for one in rounds)
    a_million = 1e6 / records
    return {
        "worker.cpu_ratio": median(lambda own, one, _: own[0] / one[0]),
        "worker.cpu_ratio_headers": median(lambda own, _, one: own[0] / one[0]),
        "worker.cpu_s_per_million": median(lambda own, *_: own[0]) * a_million,
        "worker.bare_cpu_s_per_million": median(lambda _, one, __: one[0]) * a_million,
        "worker.headers_cpu_s_per_million": median(lambda *one: one[2][0]) * a_million,
        "worker.rss_mb": max(own[1] for own, *_ in rounds),
        "worker.bare_rss_mb": max(one[1] for _, one, _ in rounds),
    }


def run(records, rounds):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    kafka = Kafka(folder / "kafka", folder / "kafka.log")
    try:
        kafka.start()
        fill(kafka, TOPIC, records)
        return figures_of([
            (ours(kafka, folder, records, f"ours{i}"),
             bare(kafka, folder, records, f"bare{i}"),
             bare(kafka, folder, records, f"headers{i}", "headers")) for i in range(rounds)],
            records)
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)

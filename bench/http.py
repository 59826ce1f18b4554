# SPDX-License-Identifier: Apache-2.0
"""bench/run http: what a request costs millrace-http, beside nginx, which only answers it."""
import pathlib
import shutil
import statistics
import tempfile

from lib.kafka import Kafka
from lib.programs import Bridge, parse_metrics
from lib.waiting import wait_for
from bench.measure import wrk
from bench.measure.nginx import Nginx

ROUNDS = 7
SECONDS = 2
WARM_SECONDS = 1
PARTITIONS = 6
TOPIC = "bench-http"
ROWS = {"64": (64, 1), "256": (256, 1), "pipelined": (64, 8)}  # clients, requests at a time


def cpu_seconds(process):
    """Of all its threads, those of librdkafka too, in user space and kernel."""
    tasks = pathlib.Path(f"/proc/{process.pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def load(process, clients, depth, seconds=SECONDS):
    """What wrk counted, and `cpu_us`: of the server's processor, a request."""
    begin = cpu_seconds(process)
    counted = wrk.load(f"http://127.0.0.1:{process.port}", clients, depth, seconds)
    counted["cpu_us"] = 1e6 * (cpu_seconds(process) - begin) / counted["requests"]
    return counted


def answers(bridge):
    """{status: how often}, and how many events wait for Kafka."""
    metrics = parse_metrics(bridge.metrics())
    statuses = metrics.get("millrace_http_requests_total", {})
    waiting = sum(metrics["millrace_http_in_flight"].values())
    return {dict(labels)["status"]: int(count) for labels, count in statuses.items()}, waiting


class Ours:
    """millrace-http, whose promise is checked after each load: a benchmark of lost events is
    worthless."""

    def __init__(self, kafka, log):
        self.kafka = kafka
        self.bridge = Bridge(log, kafka.address, TOPIC,
                             MILLRACE_HTTP_TOPIC_PARTITIONS=PARTITIONS).wait_ready()
        self.load(64, 1, WARM_SECONDS)

    def load(self, clients, depth, seconds=SECONDS):
        stored, accepted = self.kafka.count(TOPIC), self._accepted()
        counted = load(self.bridge, clients, depth, seconds)
        wait_for(lambda: answers(self.bridge)[1] == 0, 10, "Kafka's word on every event")
        stored, accepted = self.kafka.count(TOPIC) - stored, self._accepted() - accepted
        # wrk leaves without the answers to the last requests of each client.
        if stored != accepted or not 0 <= stored - counted["requests"] <= clients * depth:
            raise SystemExit(f"{stored} records of {accepted} events that were answered 202, of "
                             f"which wrk has seen {counted['requests']}")
        return counted

    def _accepted(self):
        statuses, _ = answers(self.bridge)
        if any(count for status, count in statuses.items() if status != "202"):
            raise SystemExit(f"answers other than 202: {statuses}")
        return statuses.get("202", 0)


def row(ours, nginx, name):
    """Ours and nginx in turn, so that whatever else the machine does befalls both."""
    clients, depth = ROWS[name]
    pairs = []
    for _ in range(ROUNDS):
        pairs.append((ours.load(clients, depth), load(nginx, clients, depth)))
    def median(of):
        return statistics.median(of(*pair) for pair in pairs)
    figures = {
        f"http.cpu_ratio_{name}": median(lambda own, other: own["cpu_us"] / other["cpu_us"]),
        f"http.cpu_us_{name}": median(lambda own, _: own["cpu_us"]),
        f"http.nginx_cpu_us_{name}": median(lambda _, other: other["cpu_us"]),
        f"http.requests_s_{name}": median(lambda own, _: own["requests"] / own["seconds"]),
    }
    if depth == 1:
        figures[f"http.p99_ms_{name}"] = median(lambda own, _: own["p99_ms"])
    return figures


def run():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    kafka = Kafka(folder / "kafka", folder / "kafka.log")
    nginx = None
    try:
        kafka.start()
        nginx = Nginx(folder / "nginx")
        ours = Ours(kafka, folder / "bridge.log")
        figures = {}
        for name in ROWS:
            figures.update(row(ours, nginx, name))
        figures["http.rss_mb"] = ours.bridge.rss_max_mb()
        ours.bridge.terminate(30)
        return figures
    finally:
        if nginx is not None:
            nginx.terminate(10)
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)

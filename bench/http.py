# SPDX-License-Identifier: Apache-2.0
"""bench/run http: what a request costs millrace-http, beside nginx, which only answers it."""
import pathlib
import shutil
import statistics
import subprocess
import tempfile
from typing import NamedTuple

from lib.kafka import Kafka
from lib.programs import Bridge, parse_metrics
from lib.waiting import free_port, wait_for
from bench.measure import wrk
from bench.measure.cpu import cpu_seconds
from bench.measure.nginx import Nginx

ROUNDS = 7
SECONDS = 2
WARM_SECONDS = 1
PARTITIONS = 6
TOPIC = "bench-http"
TLS_LISTEN = "MILLRACE_HTTP_TLS_LISTEN"
PASSWORD = "a long password made by a machine"


class Row(NamedTuple):
    clients: int
    depth: int = 1  # requests that a client writes at a time
    tls: bool = False
    basic: bool = False


PLAIN = {"64": Row(64), "256": Row(256), "pipelined": Row(64, depth=8)}
TLS = {"tls": Row(64, tls=True)}
BASIC = {"basic": Row(64, basic=True)}


def load(process, row, seconds=SECONDS):
    """What wrk counted, and `cpu_us`: of the server's processor, a request."""
    address = f"https://127.0.0.1:{process.tls_port}" if row.tls else \
        f"http://127.0.0.1:{process.port}"
    begin = cpu_seconds(process)
    counted = wrk.load(address, row.clients, row.depth, seconds, PASSWORD if row.basic else None)
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

    def __init__(self, kafka, log, row, **settings):
        self.kafka = kafka
        self.bridge = Bridge(log, kafka.address, TOPIC,
                             MILLRACE_HTTP_TOPIC_PARTITIONS=PARTITIONS, **settings).wait_ready()
        self.bridge.tls_port = int(settings.get(TLS_LISTEN, ":0").rsplit(":", 1)[1])
        # Warms up; a topic that was just made has leaders after that, which can be asked.
        load(self.bridge, row, WARM_SECONDS)
        self._wait_settled()

    def load(self, row, seconds=SECONDS):
        stored, accepted = self.kafka.count(TOPIC), self._accepted()
        counted = load(self.bridge, row, seconds)
        self._wait_settled()
        stored, accepted = self.kafka.count(TOPIC) - stored, self._accepted() - accepted
        # wrk leaves without the answers to the last requests of each client.
        left = stored - counted["requests"]
        if stored != accepted or not 0 <= left <= row.clients * row.depth:
            raise SystemExit(f"{stored} records of {accepted} events that were answered 202, of "
                             f"which wrk has seen {counted['requests']}")
        return counted

    def _wait_settled(self):
        wait_for(lambda: answers(self.bridge)[1] == 0, 10, "Kafka's word on every event")

    def _accepted(self):
        statuses, _ = answers(self.bridge)
        if any(count for status, count in statuses.items() if status != "202"):
            raise SystemExit(f"answers other than 202: {statuses}")
        return statuses.get("202", 0)


def measure(ours, nginx, name, row):
    """Ours and nginx in turn, so that whatever else the machine does befalls both."""
    pairs = [(ours.load(row), load(nginx, row)) for _ in range(ROUNDS)]

    def median(of):
        return statistics.median(of(*pair) for pair in pairs)
    figures = {
        f"http.cpu_ratio_{name}": median(lambda own, other: own["cpu_us"] / other["cpu_us"]),
        f"http.cpu_us_{name}": median(lambda own, _: own["cpu_us"]),
        f"http.nginx_cpu_us_{name}": median(lambda _, other: other["cpu_us"]),
        f"http.requests_s_{name}": median(lambda own, _: own["requests"] / own["seconds"]),
    }
    if row.depth == 1:
        figures[f"http.p99_ms_{name}"] = median(lambda own, _: own["p99_ms"])
    return figures


def certificate(folder):
    """(certificate, key), both for ours and nginx."""
    paths = folder / "server.pem", folder / "server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1", "-out", paths[0],
                    "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def devices(folder):
    """The file with wrk's devices, whose passwords are the same."""
    done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, text=True,
                          check=True, capture_output=True)
    path = folder / "devices"
    path.write_text("".join(f"[device {name}]\npassword = {done.stdout.strip()}\n"
                            for name in wrk.device_names()))
    return path


def run():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    kafka = Kafka(folder / "kafka", folder / "kafka.log")
    nginx = None
    figures = {}
    try:
        pem, key = certificate(folder)
        kafka.start()
        nginx = Nginx(folder / "nginx", pem, key)
        for rows, settings in (
                (PLAIN, {}),
                (TLS, {"MILLRACE_HTTP_TLS_CERTIFICATE": pem, "MILLRACE_HTTP_TLS_KEY": key,
                       TLS_LISTEN: f"127.0.0.1:{free_port()}"}),
                (BASIC, {"MILLRACE_HTTP_AUTH": "basic", "MILLRACE_HTTP_DEVICES": devices(folder)})):
            ours = Ours(kafka, folder / "bridge.log", next(iter(rows.values())), **settings)
            for name, row in rows.items():
                figures.update(measure(ours, nginx, name, row))
            if rows is PLAIN:
                figures["http.rss_mb"] = ours.bridge.rss_max_mb()
            ours.bridge.terminate(30)
        return figures
    finally:
        if nginx is not None:
            nginx.terminate(10)
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)

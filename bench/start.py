# SPDX-License-Identifier: Apache-2.0
"""bench/run start: from exec to ready, and memory when idle."""
import http.client
import pathlib
import shutil
import statistics
import tempfile
import time

from lib.influx import Influx
from lib.kafka import Kafka
from lib.load import Load
from lib.programs import Bridge, Worker
from lib.waiting import free_port, wait_for
from bench.measure.front import Front, HttpTurns, KafkaFrames, covered_seconds

RUNS = 10
TOPIC = "bench-start"
READY_SECONDS_MAX = 30
POLL_SECONDS = 0.0002
SETTLED_SECONDS = 2


def ready_at(program):
    """The moment of the first /readyz 200, asked as fast as one connection can be."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", program.admin_port, timeout=5)
        try:
            while True:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return time.monotonic()
                time.sleep(POLL_SECONDS)
        except (OSError, http.client.HTTPException):
            connection.close()
            time.sleep(POLL_SECONDS)
    raise SystemExit(f"{program.name} isn't ready: {program.log_text()[-2000:]}")


def ready(start, fronts):
    """Medians over RUNS starts, in ms: ours, and the servers' share, which ours doesn't hold."""
    ours, servers = [], []
    for _ in range(RUNS):
        begin = time.monotonic()
        program = start()
        end = ready_at(program)
        server = covered_seconds([one for front in fronts for one in front.intervals(begin, end)])
        ours.append(1000 * (end - begin - server))
        servers.append(1000 * server)
        program.terminate(30)
    return statistics.median(ours), statistics.median(servers)


def settled_mb(program):
    """Resident memory, once it has stopped changing."""
    last = [program.rss_mb(), time.monotonic()]

    def unchanged():
        now = program.rss_mb()
        if now != last[0]:
            last[:] = [now, time.monotonic()]
        return time.monotonic() - last[1] > SETTLED_SECONDS
    wait_for(unchanged, 60, f"{program.name}'s memory settles", poll=0.1)
    return last[0]


def idle(bridge, worker, influx):
    """Memory of both after they have done some work and have none."""
    with Load(bridge.port, "bench", connections=4) as load:
        load.wait_stored(100)
    count = len(load.of(202))
    wait_for(lambda: influx.count("n", "load", TOPIC) >= count, 30, "all points")
    return settled_mb(bridge), settled_mb(worker)


def run():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    kafka, influx = Kafka(folder / "kafka", folder / "kafka.log"), Influx(
        folder / "influx", folder / "influxd.log")
    try:
        kafka.start()
        influx.start()
        influx.create_database(TOPIC)
        influx_port = free_port()
        address = f"127.0.0.1:{kafka.front_port}"
        log = folder / "programs.log"

        def bridge():
            return Bridge(log, address, TOPIC)

        def worker():
            return Worker(log, address, TOPIC, f"http://127.0.0.1:{influx_port}", TOPIC)

        with Front(kafka.front_port, kafka.fronted_port, KafkaFrames) as kafka_front, \
                Front(influx_port, influx.port, HttpTurns) as influx_front:
            fronts = [kafka_front, influx_front]
            bridge().wait_ready().terminate(30)  # makes the topic
            worker().wait_ready().terminate(30)  # and the group
            http_ms, http_servers_ms = ready(bridge, fronts)
            influx_ms, influx_servers_ms = ready(worker, fronts)
            both = bridge().wait_ready(), worker().wait_ready()
            http_mb, influx_mb = idle(*both, influx)
            for program in both:
                program.terminate(30)
        return {
            "start.ready_ms": max(http_ms, influx_ms),
            "start.http_ready_ms": http_ms,
            "start.http_servers_ms": http_servers_ms,
            "start.influx_ready_ms": influx_ms,
            "start.influx_servers_ms": influx_servers_ms,
            "start.http_idle_mb": http_mb,
            "start.influx_idle_mb": influx_mb,
        }
    finally:
        for server in (kafka, influx):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)

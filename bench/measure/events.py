# SPDX-License-Identifier: Apache-2.0
"""Topics full of events, made by bench/events.c, and the same points as lines."""
import http.client
import subprocess
import threading
import time

from lib.paths import BUILD

PARTITIONS = 6
DEVICES = 600
BEGIN_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
STEP_NS = 1_000_000
CHANNEL = "climate"
LINES_A_REQUEST = 5000
CONNECTIONS = 4
PRODUCE_SECONDS_MAX = 600


def fill(kafka, topic, count, bad_percent=0):
    """Makes the topic; returns how many of its events are bad."""
    kafka.create_topic(topic, PARTITIONS)
    done = subprocess.run([BUILD / "bench" / "bench_events", kafka.address, topic, str(PARTITIONS),
                           str(count), str(bad_percent)], capture_output=True, text=True,
                          timeout=PRODUCE_SECONDS_MAX)
    if done.returncode != 0:
        raise SystemExit(f"{topic} isn't filled: {done.stderr}")
    return int(done.stdout)


def line(number):
    """The point that event `number` becomes."""
    return (f"{CHANNEL},application=bench,device=device-{number % DEVICES} n={number},"
            f"temperature={number % 100}.5,humidity={number % 100}.25,ok=true "
            f"{BEGIN_NS + number * STEP_NS}")


class Prebuilt:
    """The points as bodies of requests, not compressed, as millrace-influx does it for a server on
    this machine."""

    def __init__(self, count):
        self.count = count
        self.bodies = [
            "\n".join(map(line, range(first, min(first + LINES_A_REQUEST, count)))).encode()
            for first in range(0, count, LINES_A_REQUEST)]

    def write(self, influx, database):
        """All of them, over several connections; returns points a second."""
        threads = [threading.Thread(target=self._write_some, args=(influx, database, first))
                   for first in range(CONNECTIONS)]
        begin = time.monotonic()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        return self.count / (time.monotonic() - begin)

    def _write_some(self, influx, database, first):
        connection = http.client.HTTPConnection("127.0.0.1", influx.port, timeout=120)
        for body in self.bodies[first::CONNECTIONS]:
            connection.request("POST", f"/write?db={database}&precision=ns", body)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 204:
                raise SystemExit(f"InfluxDB answers {answer.status} to a prebuilt batch")
        connection.close()

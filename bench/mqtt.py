# SPDX-License-Identifier: Apache-2.0
"""bench/run mqtt: from mosquitto into Kafka, beside a subscriber that throws messages away."""
import itertools
import pathlib
import shutil
import statistics
import tempfile
import time

from lib.kafka import Kafka
from lib.mosquitto import Mosquitto
from lib.paths import BUILD
from lib.process import Process
from lib.programs import Mqtt
from lib.waiting import wait_for
from bench.measure.cpu import cpu_seconds

OPTIONS = {"messages": 200_000, "rounds": 3}
TOPIC = "bench-mqtt"
FILTER = "load/+"
PARTITIONS = 6
DEVICES = 30
SECONDS_MAX = 300
POLL_SECONDS = 0.02
# mosquitto's max_inflight_messages, and the suffix of the keys.
ROWS = {1000: "", 20: "_20"}
# Devices publish while a subscriber takes; or all messages wait in its session before it comes.
KINDS = {"live": "", "filled": "_filled"}


class Bench:
    def __init__(self, folder, messages):
        self.folder = folder
        self.messages = messages
        self.kafka = Kafka(folder / "kafka", folder / "kafka.log")

    def round(self, in_flight, number):
        """Two brokers: in the first both sessions are filled, then each is emptied; to the second
        devices publish while one and then the other subscribes. Who is first changes by round."""
        return {kind: self._pair(in_flight, number, kind) for kind in KINDS}

    def _pair(self, in_flight, number, kind):
        broker = Mosquitto(self.folder / "mosquitto", self.folder / "mosquitto.log",
                           max_inflight_messages=in_flight).start()
        filled = kind == "filled"
        try:
            if filled:
                self._ours(broker).wait_ready().terminate(30)
                self._subscribe_bare(broker, in_flight)
                self._wait(self._publish(broker))
            turns = [("ours", lambda: self.ours(broker, not filled)),
                     ("bare", lambda: self.bare(broker, in_flight, not filled))]
            return {name: turn() for name, turn in (turns if number % 2 else reversed(turns))}
        finally:
            broker.stop()

    def _publish(self, broker):
        return Process("devices", [BUILD / "bench" / "bench_mqtt_publish", "127.0.0.1",
                                   broker.port, DEVICES, 1, self.messages, "load", 0],
                       self.folder / "devices.log")

    def _wait(self, devices):
        if devices.wait(SECONDS_MAX) != 0:
            raise SystemExit(f"the devices have failed: {devices.log_text()[-500:]}")

    def _ours(self, broker):
        return Mqtt(self.folder / "bridge.log", broker.address, self.kafka.address, TOPIC,
                    MILLRACE_MQTT_TOPIC_PARTITIONS=PARTITIONS)

    def _bare(self, broker, count, window):
        (self.folder / "bare.log").unlink(missing_ok=True)
        return Process("bare subscriber", [
            BUILD / "bench" / "bench_bare_subscriber", "127.0.0.1", broker.port, "bare", FILTER,
            count, window], self.folder / "bare.log")

    def _finish_bare(self, subscriber):
        """Seconds from the first message to the last."""
        def seconds():
            if not subscriber.running():
                raise SystemExit(f"the bare subscriber has ended: {subscriber.log_text()}")
            words = subscriber.log_text().split()
            return float(words[1]) if len(words) == 2 and words[0] == "done" else None
        wait_for(lambda: seconds() is not None, SECONDS_MAX, "all messages", POLL_SECONDS)
        return seconds()

    def _subscribe_bare(self, broker, window):
        subscriber = self._bare(broker, 0, window)
        self._finish_bare(subscriber)
        subscriber.kill()

    def bare(self, broker, window, live):
        subscriber = self._bare(broker, self.messages, window)
        if live:
            self._wait_connected(broker, "bare")
            devices = self._publish(broker)
        seconds = self._finish_bare(subscriber)
        if live:
            self._wait(devices)
        figures = {"rate": self.messages / seconds, "cpu_s": cpu_seconds(subscriber),
                   "rss_mb": subscriber.rss_max_mb()}
        subscriber.kill()
        return figures

    def _wait_connected(self, broker, client):
        wait_for(lambda: f"as {client} (" in broker.log.read_text(), 30, f"{client} connects")

    def ours(self, broker, live):
        """Its promise is checked too: each message is one record."""
        before = self.kafka.count(TOPIC)
        bridge = self._ours(broker)
        if live:
            bridge.wait_ready()
            devices = self._publish(broker)

        def stored():
            return bridge.sample("millrace_mqtt_messages_total", outcome="stored")

        def some():
            count = stored()
            return (count, time.monotonic()) if count > 0 else None
        first, begin = wait_for(some, SECONDS_MAX, "the first record", POLL_SECONDS)
        wait_for(lambda: stored() >= self.messages, SECONDS_MAX, "the last record", POLL_SECONDS)
        figures = {"rate": (self.messages - first) / (time.monotonic() - begin),
                   "cpu_s": cpu_seconds(bridge), "rss_mb": bridge.rss_max_mb()}
        if live:
            self._wait(devices)
        bridge.terminate(30)
        records = self.kafka.count(TOPIC) - before
        if records != self.messages:
            raise SystemExit(f"{records} records of {self.messages} messages")
        return figures


def figures_of(rounds, messages):
    """Medians; ratios are those of one round."""
    figures = {}
    for in_flight, kind in itertools.product(ROWS, KINDS):
        suffix = KINDS[kind] + ROWS[in_flight]
        pairs = [(one[in_flight][kind]["ours"], one[in_flight][kind]["bare"]) for one in rounds]
        figures.update(figures_of_row(pairs, suffix, messages))
    return figures


def figures_of_row(pairs, suffix, messages):
    a_million = 1e6 / messages

    def median(of):
        return statistics.median(of(*pair) for pair in pairs)
    return {
        f"mqtt.rate_ratio{suffix}": median(lambda own, bare: own["rate"] / bare["rate"]),
        f"mqtt.cpu_ratio{suffix}": median(lambda own, bare: own["cpu_s"] / bare["cpu_s"]),
        f"mqtt.rss_mb{suffix}": max(own["rss_mb"] for own, _ in pairs),
        f"mqtt.messages_s{suffix}": median(lambda own, _: own["rate"]),
        f"mqtt.bare_messages_s{suffix}": median(lambda _, bare: bare["rate"]),
        f"mqtt.cpu_s_per_million{suffix}": median(lambda own, _: own["cpu_s"]) * a_million,
        f"mqtt.bare_cpu_s_per_million{suffix}":
            median(lambda _, bare: bare["cpu_s"]) * a_million,
        f"mqtt.bare_rss_mb{suffix}": max(bare["rss_mb"] for _, bare in pairs),
    }


def run(messages, rounds):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    bench = Bench(folder, messages)
    try:
        bench.kafka.start()
        return figures_of([{in_flight: bench.round(in_flight, number) for in_flight in ROWS}
                           for number in range(rounds)], messages)
    finally:
        bench.kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)

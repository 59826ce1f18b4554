# SPDX-License-Identifier: Apache-2.0
"""millrace's own programs, configured by environment and watched through the admin listener."""
import http.client
import os
import re

from . import paths
from .process import Process
from .waiting import free_port, wait_for

READY_SECONDS = 30


def environment(**settings):
    """Without what the caller's shell may have set for a millrace of its own."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("MILLRACE_", "INFLUXDB_"))}
    env.update({key: str(value) for key, value in settings.items()})
    return env


def get(port, path, timeout=30):
    """(status, text) of a GET on 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Program(Process):
    """A program with an admin listener."""

    def __init__(self, name, binary, log, settings, wrapper=()):
        self.admin_port = free_port()
        env = environment(**{"MILLRACE_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
                             "MILLRACE_ADMIN_SHUTDOWN_DEADLINE": "30s",  # of a busy machine
                             **settings})
        super().__init__(name, [*wrapper, binary], log, env=env)

    def readyz(self):
        return get(self.admin_port, "/readyz")

    def metrics(self):
        return get(self.admin_port, "/metrics")[1]

    def is_ready(self):
        assert self.running(), f"{self.name} has ended: {self.log_text()[-2000:]}"
        return self.readyz()[0] == 200

    def wait_ready(self, seconds=READY_SECONDS):
        wait_for(self.is_ready, seconds, lambda: f"{self.name} is ready: {self._state()}")
        return self

    def wait_not_ready(self, words, seconds=READY_SECONDS):
        """Until /readyz is 503 and its text holds `words`; returns the text."""
        def condition():
            status, text = self.readyz()
            return text if status == 503 and words in text else None
        return wait_for(condition, seconds,
                        lambda: f"{self.name} says {words!r}: {self._state()}")

    def _state(self):
        try:
            return self.readyz()
        except OSError as error:
            return repr(error)


class Bridge(Program):
    def __init__(self, log, kafka_address, topic, port=None, wrapper=(), **settings):
        self.port = port or free_port()
        self.topic = topic
        super().__init__("millrace-http", paths.HTTP, log, {
            "MILLRACE_HTTP_LISTEN": f"127.0.0.1:{self.port}",
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka_address,
            "MILLRACE_HTTP_TOPIC": topic,
            **settings}, wrapper)


class Mqtt(Program):
    """`configuration`: the text of a file, for sections that the environment can't have."""

    def __init__(self, log, broker_address, kafka_address, topic, client=None, configuration=None,
                 wrapper=(), **settings):
        self.topic = topic
        self.client = client or f"bridge-{topic}"
        if configuration is not None:
            file = log.with_suffix(".conf")
            file.write_text(configuration)
            wrapper = ("sh", "-c", f'exec "$0" --config "{file}"')
        super().__init__("millrace-mqtt", paths.MQTT, log, {
            "MILLRACE_MQTT_BROKER": broker_address,
            "MILLRACE_MQTT_CLIENT_ID": self.client,
            "MILLRACE_MQTT_TOPIC": topic,
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka_address,
            **settings}, wrapper)

    def sample(self, name, **labels):
        """A metric's value; 0 when there is none."""
        series = parse_metrics(self.metrics()).get(name, {})
        return series.get(tuple(sorted(labels.items())), 0)


class Worker(Program):
    def __init__(self, log, kafka_address, topic, influx_uri, database, group=None, wrapper=(),
                 **settings):
        self.group = group or f"group-{topic}"
        super().__init__("millrace-influx", paths.INFLUX, log, {
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka_address,
            "MILLRACE_INFLUX_TOPIC": topic,
            "MILLRACE_INFLUX_GROUP": self.group,
            # So that a killed member is missed soon, not after the usual 45 s.
            "MILLRACE_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "3000",
            "MILLRACE_KAFKA_CONSUMER_HEARTBEAT_INTERVAL_MS": "500",
            "INFLUXDB_URI": influx_uri,
            **({} if database is None else {"INFLUXDB_DATABASE": database}),
            **settings}, wrapper)


class Dev(Process):
    """`millrace dev`, the embedded broker."""

    def __init__(self, log, wrapper=()):
        self.port = free_port()
        super().__init__("millrace dev", [*wrapper, paths.CLI, "dev", f"--listen={self.address}"],
                         log, env=environment())

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


METRIC_LINE = re.compile(
    r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (NaN|[+-]Inf|[-+0-9.eE]+)(?: (-?\d+))?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse_metrics(text):
    """The Prometheus text format 0.0.4: {name: {labels as sorted pairs: value}}; strict."""
    assert text.endswith("\n")
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            assert name not in types, f"TYPE twice: {line}"
            types[name] = kind
        elif line.startswith("#") or not line:
            continue
        else:
            match = METRIC_LINE.match(line)
            assert match, f"not a sample: {line!r}"
            name, label_text, value, _ = match.groups()
            labels = LABEL.findall(label_text or "")
            assert sum(len(f'{k}="{v}",') for k, v in labels) in (
                len(label_text or ""), len(label_text or "") + 1), f"bad labels: {line!r}"
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in types or types.get(base) == "histogram", f"no TYPE before {line!r}"
            series = samples.setdefault(name, {})
            key = tuple(sorted(labels))
            assert key not in series, f"twice: {line!r}"
            series[key] = float(value)
    return samples

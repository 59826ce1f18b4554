# SPDX-License-Identifier: Apache-2.0
"""Devices that speak MQTT: paho-mqtt where properties count, mqtt_publish (libmosquitto) where rate
does. What the broker has acknowledged to them is what must be in Kafka."""
import json
import socket
import threading
from collections import Counter

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from . import records
from .paths import MQTT_PUBLISH
from .process import Process
from .waiting import wait_for

V311 = paho.MQTTv311
V5 = paho.MQTTv5
CHANNEL = "load"
DEVICES = 30
ACKNOWLEDGED_SECONDS = 90


def properties(packet, **values):
    """paho's names: ContentType="...", UserProperty=[("name", "value")]."""
    made = Properties(packet)
    for key, value in values.items():
        setattr(made, key, value)
    return made


class Client:
    """A connected paho client, for `with`."""

    def __init__(self, broker, version=V5, id_="", clean=True, **settings):
        """settings: user, password, expiry (of a version 5 session, seconds)."""
        words = {} if version == V5 else {"clean_session": clean}
        self._paho = paho.Client(paho.CallbackAPIVersion.VERSION2, id_, protocol=version, **words)
        self._broker = broker
        self._version = version
        self._clean = clean
        self._expiry = settings.pop("expiry", 0)
        self._answers = threading.Event()
        self.reason = None
        self.session_present = False
        self.received = []
        self._subscribed = set()
        if settings:
            self._paho.username_pw_set(settings["user"], settings.get("password"))
        # Without it QoS 0 before another message costs 40 ms.
        self._paho.on_socket_open = lambda _, __, sock: sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._paho.on_connect = self._on_connect
        self._paho.on_message = lambda _, __, message: self.received.append(message)
        self._paho.on_subscribe = lambda _, __, id_, *___: self._subscribed.add(id_)

    def _on_connect(self, _, __, flags, reason, ___):
        self.reason = reason
        self.session_present = flags.session_present
        self._answers.set()

    def __enter__(self):
        words = {}
        if self._version == V5:
            words = {"clean_start": self._clean, "properties": properties(
                PacketTypes.CONNECT, SessionExpiryInterval=self._expiry)}
        self._paho.connect("127.0.0.1", self._broker.port, keepalive=30, **words)
        self._paho.loop_start()
        assert self._answers.wait(ACKNOWLEDGED_SECONDS), "no CONNACK"
        assert not self.reason.is_failure, self.reason
        return self

    def __exit__(self, *_):
        self._paho.disconnect()
        self._paho.loop_stop()

    def subscribe(self, filter_, qos=1):
        _, id_ = self._paho.subscribe(filter_, qos)
        wait_for(lambda: id_ in self._subscribed, ACKNOWLEDGED_SECONDS, f"SUBACK of {filter_}")

    def publish(self, topic, payload=b"", qos=1, retain=False, **values):
        """Until it is acknowledged; `values` are properties, by paho's names."""
        made = properties(PacketTypes.PUBLISH, **values) if values else None
        info = self._paho.publish(topic, payload, qos, retain, made)
        info.wait_for_publish(ACKNOWLEDGED_SECONDS)
        assert info.is_published(), f"no PUBACK for {topic}"


def told(broker, topic, seconds=10):
    """The retained message of a topic, as $SYS has them, or None."""
    with Client(broker, V311) as client:
        client.subscribe(topic, qos=0)
        wait_for(lambda: client.received, seconds, f"a retained message of {topic}")
        return client.received[0].payload.decode()


class Publishers(Process):
    """30 devices that publish `count` numbers from `first`, as fast as the broker takes them, or at
    `rate` a second together."""

    def __init__(self, broker, log, count, first=1, rate=0, channel=CHANNEL):
        self.first = first
        self.count = count
        self._broker = broker
        self._out = log.with_name(f"acknowledged-{first}")
        self._out.unlink(missing_ok=True)
        super().__init__("mqtt_publish", [MQTT_PUBLISH, "127.0.0.1", broker.port, DEVICES, first,
                                          count, channel, rate], self._out)

    def _lines(self):
        """The whole ones."""
        return self._out.read_text().split("\n")[:-1]

    def acknowledged(self):
        """The numbers that the broker has acknowledged so far."""
        lines = self._lines()
        bad = [line for line in lines if not line.isdigit() and line != "done"]
        assert not bad, bad[0]
        return {int(line) for line in lines if line != "done"}

    def wait_acknowledged(self, count, seconds=120):
        wait_for(lambda: len(self._lines()) >= count or not self.running(), seconds,
                 lambda: f"{count} messages acknowledged; so far {len(self._lines())}", poll=0.05)

    def finish(self, seconds=300):
        """Until all are acknowledged; returns the numbers."""
        status = self.wait(seconds)
        acknowledged = self.acknowledged()
        assert status == 0 and len(acknowledged) == self.count, self._out.read_text()[-500:]
        return acknowledged


def numbers(kafka, topic):
    """{number: how often it is in Kafka}."""
    return Counter(json.loads(one.event()["data"])["n"] for one in records.read(kafka, topic))


def drained(kafka, topic, promised, seconds=180):
    """{number: how often} once Kafka has all of `promised`."""
    found = {}

    def all_there():
        nonlocal found
        records.wait_for(kafka, topic, len(promised), seconds)
        found = numbers(kafka, topic)
        return promised <= found.keys()
    wait_for(all_there, seconds, lambda: f"lost: {sorted(promised - found.keys())[:10]}", poll=0.5)
    return found


def repeated(found):
    return sum(found.values()) - len(found)

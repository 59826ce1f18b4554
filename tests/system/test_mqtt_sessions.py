# SPDX-License-Identifier: Apache-2.0
"""What a session at mosquitto may have that isn't the bridge's doing: subscriptions of a former
client with another QoS, and a mount point before the topics."""
import pytest

from lib import records
from lib.publishers import V5, V311, Client
from lib.waiting import free_port, wait_for

PROTOCOLS = ["5", "3.1.1"]
BRIDGE = "bridge"
KEPT = {"id_": BRIDGE, "clean": False}


def former(broker, protocol):
    """The client that had the session before."""
    if protocol == "5":
        return Client(broker, V5, expiry=3600, **KEPT)
    return Client(broker, V311, **KEPT)


def read_some(kafka, topic, count):
    records.wait_for(kafka, topic, count)
    return records.read(kafka, topic)


def payloads(kafka, topic, count):
    return sorted(one.event()["data"] for one in read_some(kafka, topic, count))


def settings(protocol):
    return {"client": BRIDGE, "MILLRACE_MQTT_PROTOCOL": protocol,
            "MILLRACE_MQTT_RECONNECT_MAX": "1s"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("qos", [0, 2])
def test_a_filter_of_another_qos_becomes_qos_1(mosquitto, mqtt, kafka, name, protocol, qos):
    """MQTT 5.0, 3.8.4: a subscription to the same filter replaces the one that was there."""
    broker = mosquitto()
    with former(broker, protocol) as client:
        client.subscribe("+/+", qos)
    one = mqtt(broker, kafka, name, **settings(protocol))
    with Client(broker) as device:
        device.publish("t/dev", b"1", qos=2)
    assert payloads(kafka, name, 1) == [b"1"]
    one.kill()
    with Client(broker) as device:
        device.publish("t/dev", b"2", qos=2)
    mqtt(broker, kafka, name, **settings(protocol))
    assert payloads(kafka, name, 2) == [b"1", b"2"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_old_subscription_of_qos_0_brings_what_is_stored(mosquitto, mqtt, kafka, name, protocol):
    broker = mosquitto()
    with former(broker, protocol) as client:
        client.subscribe("old/#", 0)
    mqtt(broker, kafka, name, configuration="[route old]\ntopic = x/{device}\n"
         "[mqtt]\nroutes.ready = none\n", **settings(protocol))
    with Client(broker) as device:
        device.publish("old/dev", b"1")
    [dead] = read_some(kafka, f"{name}.dead", 1)
    assert dead.headers["mqtt_qos"] == "0" and dead.value == b"1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_messages_of_qos_2_are_left_to_the_broker(mosquitto, mqtt, kafka, name, protocol):
    """The bridge says so, and takes none of them: all are there for the client whose they are."""
    broker = mosquitto()
    numbers = [b"%d" % number for number in range(5)]
    with former(broker, protocol) as client:
        client.subscribe("t/+", 2)
    with Client(broker) as device:
        for number in numbers:
            device.publish("t/dev", number, qos=2)
    one = mqtt(broker, kafka, name, ready=False, **settings(protocol))
    one.wait_not_ready("QoS 2", 30)
    assert one.terminate() == 0
    assert not records.read(kafka, name)
    with former(broker, protocol) as client:
        assert client.session_present
        wait_for(lambda: len(client.received) >= len(numbers), 30, "the messages")
        assert [message.payload for message in client.received] == numbers
    mqtt(broker, kafka, name, **settings(protocol))  # nothing is left that it can't take


class Mounted:
    """The other listener of a mosquitto: what is published there has a prefix elsewhere, and who
    subscribes there sees only what has it, without it (mosquitto.conf(5), mount_point)."""

    def __init__(self, mosquitto, prefix):
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.plain = mosquitto(configuration=lambda _, port: (
            f"listener {port} 127.0.0.1\nlistener {self.port} 127.0.0.1\nmount_point {prefix}\n"
            "allow_anonymous true"))


def topics(kafka, topic, count):
    return [(one.headers["ce_mqtttopic"], one.headers["ce_device"], one.event()["data"])
            for one in read_some(kafka, topic, count)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_devices_behind_a_mount_point(mosquitto, mqtt, kafka, name, protocol):
    mounted = Mounted(mosquitto, "site/")
    mqtt(mounted.plain, kafka, name, **settings(protocol),
         configuration="[route mounted]\ntopic = {application}/{device}/{channel}\n")
    with Client(mounted) as device:
        device.publish("dev/temperature", b"21")
    assert topics(kafka, name, 1) == [("site/dev/temperature", "dev", b"21")]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_bridge_behind_a_mount_point(mosquitto, mqtt, kafka, name, protocol):
    """It gets its own part of the topics alone. mosquitto 2.0.11 leaves the prefix in them, against
    its manual: so there is a route for either."""
    mounted = Mounted(mosquitto, "site/")
    one = mqtt(mounted, kafka, name, **settings(protocol),
               configuration="[route prefixed]\ntopic = site/{channel}/{device}\n")
    with Client(mounted.plain) as device:
        device.publish("t/elsewhere", b"1")
        device.publish("site/t/dev", b"2")
        device.publish("site/t/dev", b"3")
        device.publish("site/t/last", b"4")
    found = topics(kafka, name, 3)
    assert sorted((topic.removeprefix("site/"), *rest) for topic, *rest in found) == [
        ("t/dev", "dev", b"2"), ("t/dev", "dev", b"3"), ("t/last", "last", b"4")]
    assert one.terminate() == 0

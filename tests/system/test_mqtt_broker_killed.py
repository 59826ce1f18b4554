# SPDX-License-Identifier: Apache-2.0
"""kill -9 of mosquitto: it has forgotten sessions and subscriptions, and the bridge goes on with a
new one by itself. What mosquitto acknowledged and forgot is lost; docs/millrace-mqtt.md has it."""
import pytest

from lib import records
from lib.mosquitto import shipped
from lib.publishers import V5, V311, Client
from lib.waiting import wait_for

SETTINGS = {"MILLRACE_MQTT_RECONNECT_MAX": "1s"}


def publish(broker, text, version=V5):
    with Client(broker, version) as device:
        device.publish("t/dev", text)


def data(kafka, topic):
    return [record.event()["data"] for record in records.read(kafka, topic)]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("group", [None, "g"])
def test_the_bridge_subscribes_again_and_goes_on(mosquitto, mqtt, kafka, name, protocol, group):
    broker = mosquitto()
    settings = {**SETTINGS, "MILLRACE_MQTT_PROTOCOL": protocol}
    if group:
        settings["MILLRACE_MQTT_GROUP"] = group
    one = mqtt(broker, kafka, name, **settings)
    for number in range(3):
        publish(broker, f"{number}")
        records.wait_for(kafka, name, number + 1)
        broker.kill()
        text = one.wait_not_ready("mqtt")
        assert str(broker.port) in text
        broker.start()
        one.wait_ready()
    publish(broker, "last", V311)
    records.wait_for(kafka, name, 4)
    assert data(kafka, name) == [b"0", b"1", b"2", b"last"]
    assert one.sample("millrace_mqtt_reconnects_total") == 3


def test_what_a_kill_forgets_is_what_the_documentation_says(mosquitto, mqtt, kafka, name):
    """With the configuration that is shipped: what is saved stays, what came later is gone."""
    broker = mosquitto(configuration=shipped)
    one = mqtt(broker, kafka, name, **SETTINGS)
    assert one.terminate() == 0
    for number in range(100):
        publish(broker, f"kept {number}")
    broker.terminate()
    broker.start()
    for number in range(100):
        publish(broker, f"forgotten {number}")
    broker.kill()
    broker.start()
    mqtt(broker, kafka, name, **SETTINGS)
    publish(broker, "after")
    wait_for(lambda: b"after" in data(kafka, name), 60, "the last message", poll=0.2)
    assert data(kafka, name) == [b"kept %d" % number for number in range(100)] + [b"after"]

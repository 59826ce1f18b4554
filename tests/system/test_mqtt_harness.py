# SPDX-License-Identifier: Apache-2.0
"""mosquitto and the devices themselves, so that a failure elsewhere is ours; and the configuration
of mosquitto that we ship."""
from lib.mosquitto import shipped
from lib.publishers import V5, V311, Client, told
from lib.waiting import wait_for


def test_mosquitto_accepts_the_configuration_that_is_shipped(mosquitto):
    broker = mosquitto(configuration=shipped)
    # It says of what it doesn't know, or finds twice, that it is so.
    said = broker.log.read_text().replace("Warning: Mosquitto should not be run as root", "")
    for word in ("Error", "Warning", "uplicate"):
        assert word not in said
    with Client(broker, id_="bridge", clean=False, expiry=3600) as client:
        client.subscribe("#")
    with Client(broker, V311) as client:
        for number in range(2000):  # mosquitto's default holds 1,000 of them
            client.publish("a/b", str(number), qos=number // 1000)
    assert broker.terminate() == 0
    assert broker.saved_bytes() > 0
    broker.start()
    with Client(broker, id_="bridge", clean=False, expiry=3600) as client:
        assert client.session_present
        wait_for(lambda: len(client.received) >= 2000, 30,
                 lambda: f"all messages; so far {len(client.received)}")
        assert {int(one.payload) for one in client.received} == set(range(2000))
        assert all(one.qos == 1 for one in client.received)


def test_many_devices_publish_and_come_back_by_themselves(mosquitto, devices):
    broker = mosquitto()
    with Client(broker, id_="reader", clean=False, expiry=3600) as client:
        client.subscribe("load/#")
    load = devices(broker, 3000, rate=3000)
    load.wait_acknowledged(500)
    broker.terminate()
    broker.start()
    assert load.finish() == set(range(1, 3001))
    with Client(broker, id_="reader", clean=False, expiry=3600) as client:
        wait_for(lambda: len(client.received) >= 3000, 30, "all messages")
        assert {one.topic for one in client.received} == {f"load/dev-{i}" for i in range(30)}
        assert {len(one.payload) for one in client.received} == {60}
    assert told(broker, "$SYS/broker/publish/messages/dropped") == "0"


def test_both_versions_and_retained_messages(mosquitto):
    broker = mosquitto()
    with Client(broker, V5) as client:
        client.publish("kept", b"1", retain=True, ContentType="text/plain",
                       UserProperty=[("a", "b"), ("a", "c")])
    with Client(broker, V5) as client:
        client.subscribe("kept")
        wait_for(lambda: client.received, 10, "the message")
        (message,) = client.received
        assert message.retain and message.properties.UserProperty == [("a", "b"), ("a", "c")]
    assert told(broker, "kept") == "1"

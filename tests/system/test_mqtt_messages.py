# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1.1 and 5 devices, through mosquitto, to the exact record in Kafka."""
import base64
import itertools
import json
import re
import shutil
import subprocess
import uuid
from datetime import datetime, timedelta, timezone

import pytest

from conftest import need, need_built
from lib import paths, records
from lib.programs import environment
from lib.publishers import V5, V311, Client
from lib.waiting import wait_for

PROTOCOLS = ["5", "3.1.1"]
TIME = "2026-01-02T03:04:05.25Z"
JSON = b'{"temp": 21.5, "ok": true}'
BYTES = b"\x00\xff\n\x80,=\r\n"
CLOUDEVENT = {
    "specversion": "1.0", "id": "A 1/\"2\" %", "source": "https://example.com/a?b=c#d",
    "type": "com.example.someevent", "subject": "Euro € 😀", "dataschema": "urn:schema:1",
    "time": TIME, "traceparent": "00-ab-cd-01"}

# What a v5 device may put into a message, and what an event then has of it.
CHOICES = [
    # (properties, attributes)
    [({}, {"datacontenttype": "application/json"}),
     ({"ContentType": "text/csv; header=absent"}, {"datacontenttype": "text/csv; header=absent"})],
    [({}, {}), ({"ResponseTopic": "to/me"}, {"mqttresponsetopic": "to/me"})],
    [({}, {}), ({"CorrelationData": BYTES}, {"mqttcorrelation": BYTES})],
    [({}, {}), ({"MessageExpiryInterval": 3600, "PayloadFormatIndicator": 1}, {})],
    [({}, {}),
     ({"UserProperty": [("id", "mine"), ("time", TIME), ("type", "com.example.t"), ("site", "a b")]},
      {"id": "mine", "time": TIME, "type": "com.example.t", "site": "a b"}),
     # Not legal as names, and one given twice: they keep their order.
     ({"UserProperty": [("Site-ID", "7"), ("x", "1"), ("x", "2"), ("ü", "€")]},
      {"mqttproperties": '[["Site-ID","7"],["x","1"],["x","2"],["ü","€"]]'})],
    [({}, {}), ({"retain": True}, {"mqttretain": True})],
    [({}, {}), ({"qos": 0}, {}), ({"qos": 2}, {})],
]


def combinations():
    """(number, what is published, attributes) of all choices together."""
    for number, chosen in enumerate(itertools.product(*CHOICES)):
        words, attributes = {}, {}
        for properties, said in chosen:
            words.update(properties)
            attributes.update(said)
        yield number, words, attributes


def device_event(channel, device, **more):
    """The attributes of plain data, but for those of its own making."""
    return {"specversion": "1.0", "source": f"/default/{device}", "type": "io.millrace.event.v1",
            "subject": channel, "application": "default", "device": device,
            "mqtttopic": f"{channel}/{device}", "datacontenttype": "application/json", **more}


def in_a_header(value):
    if isinstance(value, bool):
        return str(value).lower()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def check(record, expected, data):
    """The record is that event, as fastavro and avro-c read it and in its headers. Without an id
    or a time it has a new id and the time of its arrival."""
    event = record.event()
    attributes = dict(event["attribute"])
    assert records.avro_c(record.value)["attribute"].keys() == attributes.keys()
    headers = {"content-type": records.CONTENT_TYPE,
               **{f"ce_{name}": in_a_header(value) for name, value in attributes.items()}}
    assert record.headers == headers
    if "id" not in expected:
        assert uuid.UUID(attributes.pop("id")).version == 7
    if "time" not in expected:
        arrived = datetime.fromtimestamp(record.timestamp_ms / 1000, timezone.utc)
        text = re.sub(r"(\.\d{6})\d+Z$", r"\1Z", attributes.pop("time")).replace("Z", "+00:00")
        assert abs(datetime.fromisoformat(text) - arrived) < timedelta(seconds=1)
    assert attributes == expected
    assert event["data"] == data


def read(kafka, topic, count):
    """Once there are so many."""
    records.wait_for(kafka, topic, count)
    found = records.read(kafka, topic)
    assert len(found) == count
    return found


def by_topic(found):
    return {record.event()["attribute"]["mqtttopic"]: record for record in found}


def test_every_combination_of_properties(mosquitto, mqtt, kafka, name):
    need_built(paths.AVRO_CAT)
    broker = mosquitto()
    one = mqtt(broker, kafka, name)
    expected = {}
    with Client(broker, V5) as device:
        for number, words, attributes in combinations():
            topic = f"c{number}/dev"
            device.publish(topic, JSON, **words)
            expected[topic] = {**device_event(f"c{number}", "dev"), **attributes}
    found = by_topic(read(kafka, name, len(expected)))
    assert found.keys() == expected.keys()
    for topic, record in found.items():
        assert record.key == b"default/dev"
        check(record, expected[topic], JSON)
    assert one.sample("millrace_mqtt_messages_total", outcome="stored") == len(expected)
    assert one.terminate() == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_devices_of_both_versions(mosquitto, mqtt, kafka, name, protocol):
    """A bridge that speaks 3.1.1 is told no properties, and the retained flag only of what lay there
    before it subscribed."""
    broker = mosquitto()
    with Client(broker, V311) as device:
        device.publish("before/dev", b"1", retain=True)
    mqtt(broker, kafka, name, MILLRACE_MQTT_PROTOCOL=protocol)
    payloads = {"json": (JSON, "application/json"), "empty": (b"", "application/octet-stream"),
                "bytes": (BYTES, "application/octet-stream"),
                "text": ("größer".encode(), "application/octet-stream")}
    expected = {"before/dev": (device_event("before", "dev", mqttretain=True), b"1")}
    for version, device_name in ((V311, "old"), (V5, "new")):
        words = {"ContentType": "text/x", "UserProperty": [("id", "mine"), ("site", "a")]} \
            if version == V5 else {}
        seen = {"id": "mine", "site": "a", "datacontenttype": "text/x"} \
            if words and protocol == "5" else {}
        with Client(broker, version) as device:
            for (kind, (payload, guess)), retain in itertools.product(payloads.items(), (0, 1)):
                device.publish(f"{kind}{retain}/{device_name}", payload, retain=bool(retain),
                               **words)
                event = device_event(f"{kind}{retain}", device_name, datacontenttype=guess)
                if retain and protocol == "5":
                    event["mqttretain"] = True
                expected[f"{kind}{retain}/{device_name}"] = ({**event, **seen}, payload)
    found = by_topic(read(kafka, name, len(expected)))
    assert found.keys() == expected.keys()
    for topic, record in found.items():
        check(record, *expected[topic])


def test_drogue_topics(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    mqtt(broker, kafka, name)
    with Client(broker, V5) as device:
        device.publish("temp", JSON, UserProperty=[("device", "d 1"), ("application", "farm/1")])
        device.publish("temp/d2", JSON, UserProperty=[("application", "farm/1")])
        device.publish("temp/room/d3", JSON)  # no route
        device.publish("temp", JSON)  # no device
    found = by_topic(read(kafka, name, 2))
    for topic, device, key in (("temp", "d 1", b"farm%2F1/d%201"), ("temp/d2", "d2", b"farm%2F1/d2")):
        assert found[topic].key == key
        check(found[topic], device_event("temp", device, application="farm/1", mqtttopic=topic,
                                         source="/" + key.decode()), JSON)
    dead = {record.headers["millrace_dead_reason"]: record
            for record in read(kafka, f"{name}.dead", 1)}
    assert dead["no-device"].value == JSON


ROUTES = """\
[mqtt]
routes.ready = none
[route sensors]
topic = sensors/{device}/{channel}
application = farm
id = $.meta.id
[route plants]
topic = plants/{application}/+/{device}/{suffix...}
kafka.topic = %s-plants
channel = plant
content = application/senml+json
[route rest]
topic = sensors/#
device = other
"""


def test_routes_of_the_configuration(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    mqtt(broker, kafka, name, configuration=ROUTES % name)
    with Client(broker, V311) as device:
        device.publish("sensors/d1/temp", b'{"meta": {"id": "r\\u00e9ading"}}')
        device.publish("sensors/d1/temp/deep", JSON)
        device.publish("plants/app/x/d2/a/b", b"[]")
        device.publish("elsewhere/d2", JSON)  # not subscribed to
    found = by_topic(read(kafka, name, 2))
    assert found["sensors/d1/temp"].key == b"farm/d1"
    check(found["sensors/d1/temp"], device_event(
        "temp", "d1", source="/farm/d1", application="farm", id="réading",
        mqtttopic="sensors/d1/temp"), b'{"meta": {"id": "r\\u00e9ading"}}')
    check(found["sensors/d1/temp/deep"], device_event(
        "sensors/d1/temp/deep", "other", mqtttopic="sensors/d1/temp/deep"), JSON)
    [plant] = read(kafka, f"{name}-plants", 1)
    check(plant, device_event(
        "plant/a/b", "d2", source="/app/d2", application="app", mqtttopic="plants/app/x/d2/a/b",
        datacontenttype="application/senml+json"), b"[]")


OVERLAPPING = """\
[mqtt]
routes.ready = none
[route wide]
topic = {channel}/{device}/now
[route deep]
topic = deep/{device}/#
"""


@pytest.mark.parametrize("shared", [{}, {"MILLRACE_MQTT_GROUP": "g", "MILLRACE_MQTT_CONNECTIONS": 2}])
def test_a_message_that_two_subscriptions_match_is_stored_once(mosquitto, mqtt, kafka, name, shared):
    """mosquitto sends a copy for each of them, in a group perhaps to different members."""
    broker = mosquitto()
    one = mqtt(broker, kafka, name, configuration=OVERLAPPING, **shared)
    topics = {f"deep/d{number}/now" for number in range(50)}
    with Client(broker, V5) as device:
        for topic in sorted(topics | {"flat/d/now", "deep/d/then"}):
            device.publish(topic, JSON)
    wait_for(lambda: one.sample("millrace_mqtt_messages_total", outcome="repeated") == len(topics),
             30, "the other copies have come")
    found = read(kafka, name, len(topics) + 2)
    assert by_topic(found).keys() == topics | {"flat/d/now", "deep/d/then"}
    assert by_topic(found)["deep/d0/now"].event()["attribute"]["subject"] == "deep"


def test_cloudevents(mosquitto, mqtt, kafka, name):
    """The MQTT binding 1.0.2: binary mode (3.1) and structured mode (3.2) over version 5."""
    broker = mosquitto()
    mqtt(broker, kafka, name)
    number = {**CLOUDEVENT, "n": 7, "yes": True}
    with Client(broker, V5) as device:
        device.publish("binary", JSON, ContentType="application/json",
                       UserProperty=list(CLOUDEVENT.items()))
        device.publish("json", json.dumps({**number, "datacontenttype": "application/octet-stream",
                                           "data_base64": base64.b64encode(BYTES).decode()}),
                       ContentType="application/cloudevents+json; charset=utf-8")
        device.publish("avro", records.encode({**number, "datacontenttype": "a/b"}, BYTES),
                       ContentType="application/cloudevents+avro")
    found = by_topic(read(kafka, name, 3))
    check(found["binary"], {**CLOUDEVENT, "datacontenttype": "application/json",
                            "mqtttopic": "binary"}, JSON)
    check(found["json"], {**number, "datacontenttype": "application/octet-stream",
                          "mqtttopic": "json"}, BYTES)
    check(found["avro"], {**number, "datacontenttype": "a/b", "mqtttopic": "avro"}, BYTES)


def test_structured_mode_over_3_1_1_and_what_is_no_event(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    one = mqtt(broker, kafka, name, MILLRACE_MQTT_PROTOCOL="3.1.1", configuration=(
        "[route events]\ntopic = events/{device}\ncontent = application/cloudevents+json\n"))
    bad = b'{"specversion": "1.0", "id": "1"}'
    event = {**CLOUDEVENT, "datacontenttype": "application/json"}
    with Client(broker, V311) as device:
        device.publish("events/d1", bad)
        device.publish("events/d1", json.dumps({**event, "data": {"a": 1}}))
    [record] = read(kafka, name, 1)
    check(record, {**event, "mqtttopic": "events/d1", "device": "d1", "application": "default"},
          b'{"a": 1}')
    [dead] = read(kafka, f"{name}.dead", 1)
    assert dead.value == bad
    assert dead.headers["millrace_dead_reason"] == "not-an-event"
    assert "source" in dead.headers["millrace_dead_text"]
    wait_for(lambda: one.sample("millrace_mqtt_messages_total", outcome="dead") == 1, 10,
             "the dead letter is counted")


def test_a_message_over_kafkas_limit_blocks_nothing(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    mqtt(broker, kafka, name)
    large = b"\xff" * 1_500_000
    with Client(broker, V5) as device:
        device.publish("t/d1", b"1")
        device.publish("t/d1", large)
        device.publish("t/d1", b"2")
    assert [record.event()["data"] for record in read(kafka, name, 2)] == [b"1", b"2"]
    [dead] = read(kafka, f"{name}.dead", 1)
    assert dead.value == large[:len(dead.value)]
    assert dead.headers["millrace_dead_size"] == str(len(large))


def test_dead_letters_are_published_again(mosquitto, mqtt, kafka, name):
    """By the commands of the documentation, with the test's addresses."""
    need(None if shutil.which("jq") else "jq is missing: packaging/install-packages system")
    broker = mosquitto()
    mqtt(broker, kafka, name)
    payloads = [JSON, BYTES]
    with Client(broker, V5) as device:
        for payload in payloads:
            device.publish("heat", payload, ContentType="a/b", UserProperty=[("x", "1"), ("x", "2")])
    read(kafka, f"{name}.dead", 2)
    text = (paths.ROOT / "docs" / "millrace-mqtt.md").read_text()
    [commands] = re.findall(r"(?ms)^    millrace dead show .*?^    done$", text)
    commands = commands.replace("millrace dead show", f'"$MILLRACE" dead show {name}.dead')
    commands = commands.replace("millrace dead drop", f'"$MILLRACE" dead drop {name}.dead')
    commands = commands.replace("millrace send", f'"$MILLRACE" send --broker={broker.address}')
    env = environment(MILLRACE=paths.CLI, MILLRACE_KAFKA_BOOTSTRAP_SERVERS=kafka.address)

    def run(script):
        return subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True,
                              timeout=60, check=True)
    [first, _] = run(f'"$MILLRACE" dead show {name}.dead --json').stdout.splitlines()
    assert [["content-type", "a/b"], ["mqtt_topic", "heat"]] == json.loads(first)["headers"][:2]
    assert json.loads(first)["headers"][-2:] == [["mqtt_property_x", "1"], ["mqtt_property_x", "2"]]
    left = run(f'"$MILLRACE" dead replay {name}.dead --yes')
    assert "2 of them are MQTT messages" in left.stderr
    run(commands)
    found = read(kafka, name, 2)
    assert sorted(record.event()["data"] for record in found) == sorted(payloads)
    assert {(record.headers["ce_device"], record.headers["ce_subject"])
            for record in found} == {("press-7", "heat")}
    assert not run(f'"$MILLRACE" dead show {name}.dead --json').stdout

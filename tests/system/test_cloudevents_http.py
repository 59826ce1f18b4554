# SPDX-License-Identifier: Apache-2.0
"""The CloudEvents SDK as a client, in binary, structured and batched mode, to the exact record."""
import http.client
import json
from datetime import datetime, timezone

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import conversion  # the SDK's first version, which many still use
from cloudevents.v1.http import CloudEvent as CloudEvent1

from lib import records

SUBJECT = "Euro € 😀"  # the specification's example of percent-encoding
ATTRIBUTES = {
    "specversion": "1.0", "id": "A 1/\"2\" %", "source": "https://example.com/a?b=c#d",
    "type": "com.example.someevent", "subject": SUBJECT, "dataschema": "urn:schema:1",
    "time": datetime(2018, 4, 5, 17, 31, tzinfo=timezone.utc), "traceparent": "00-ab-cd-01",
}
TIME = "2018-04-05T17:31:00Z"


def event(data, **more):
    return CloudEvent(attributes={**ATTRIBUTES, **more}, data=data)


def post(bridge, body, headers):
    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
    try:
        connection.request("POST", "/events", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def send(bridge, message):
    return post(bridge, message.body, message.headers)


def check(record, data, **more):
    """The record is the event: as fastavro and avro-c read it, and in its mirrored headers."""
    expected = {**ATTRIBUTES, "time": TIME, **more}
    read = record.event()
    assert read == {"attribute": expected, "data": data}
    assert records.avro_c(record.value)["attribute"].keys() == expected.keys()
    assert record.headers.pop("content-type") == records.CONTENT_TYPE
    assert record.headers == {f"ce_{name}": str(value) for name, value in expected.items()}


@pytest.fixture
def one(bridge, kafka, name):
    kafka.create_topic(name, partitions=4)
    return bridge(kafka, name)


def test_binary_mode(one, kafka, name):
    assert send(one, to_binary_event(event({"a": 1}, datacontenttype="application/json",
                                           number=5))) == (202, "")
    [record] = records.read(kafka, name)
    # Headers have no types: what was an integer is a string.
    check(record, b'{"a": 1}', datacontenttype="application/json", number="5")
    assert record.key == ATTRIBUTES["source"].encode()


def test_binary_mode_of_any_bytes(one, kafka, name):
    data = bytes(range(256)) + b"\r\n"
    message = to_binary_event(event(data, datacontenttype="application/octet-stream",
                                    application="farm/1", device="a b"))
    assert send(one, message) == (202, "")
    [record] = records.read(kafka, name)
    read = record.event()
    assert read["data"] == data
    assert read["attribute"]["device"] == "a b"
    assert record.key == b"farm%2F1/a%20b"


def test_structured_mode(one, kafka, name):
    message = to_structured_event(event({"a": [1, None]}, datacontenttype="application/json",
                                        number=5, partitionkey="k"))
    assert send(one, message) == (202, "")
    [record] = records.read(kafka, name)
    read = record.event()
    assert read["attribute"]["number"] == 5
    check(record, b'{"a": [1, null]}', datacontenttype="application/json", number=5,
          partitionkey="k")
    assert record.key == b"k"


def test_structured_mode_of_bytes(one, kafka, name):
    message = to_structured_event(event(b"\x00\xff", datacontenttype="application/octet-stream"))
    assert b"data_base64" in message.body
    assert send(one, message) == (202, "")
    [record] = records.read(kafka, name)
    check(record, b"\x00\xff", datacontenttype="application/octet-stream")


def test_an_event_without_data(one, kafka, name):
    for message in (to_structured_event(event(None)), to_binary_event(event(None))):
        assert send(one, message) == (202, "")
    for record in records.read(kafka, name):
        check(record, None)


def test_the_sdk_of_version_1(one, kafka, name):
    made = CloudEvent1({"type": "t", "source": "/s", "id": "1", "subject": "s"}, {"a": 1})
    for convert in (conversion.to_binary, conversion.to_structured):
        headers, body = convert(made)
        assert post(one, body, headers) == (202, "")
    first, second = (record.event() for record in records.read(kafka, name))
    assert first["attribute"]["subject"] == second["attribute"]["subject"] == "s"
    assert first["data"] == second["data"] == b'{"a": 1}'


def batch(events):
    """The SDK makes no batches: they are its structured events in an array."""
    return b"[" + b",\n".join(to_structured_event(one).body for one in events) + b"]"


BATCH = {"Content-Type": "application/cloudevents-batch+json; charset=UTF-8"}


def test_batched_mode(one, kafka, name):
    events = [event({"n": number}, id=f"e{number}", source=f"/source/{number % 7}",
                    datacontenttype="application/json") for number in range(500)]
    assert post(one, batch(events), BATCH) == (202, "")
    assert post(one, b"[]", BATCH) == (202, "")
    read = {record.id: record for record in records.read(kafka, name)}
    assert len(read) == kafka.count(name) == 500
    for number in range(500):
        record = read[f"e{number}"]
        assert record.key == f"/source/{number % 7}".encode()
        check(record, json.dumps({"n": number}).encode(), id=f"e{number}",
              source=f"/source/{number % 7}", datacontenttype="application/json")


def test_a_batch_of_which_one_is_too_large(bridge, kafka, name):
    kafka.create_topic(name, partitions=1)
    one = bridge(kafka, name, MILLRACE_HTTP_BODY_MAX="60000", MILLRACE_HTTP_HEADER_MAX="1000",
                 MILLRACE_KAFKA_PRODUCER_MESSAGE_MAX_BYTES="90000")
    # An attribute is written twice: into the value, and as a header.
    events = [event("x", id=f"e{number}", subject="x" * (50000 if number == 1 else 10),
                    datacontenttype="text/plain") for number in range(3)]
    status, text = post(one, batch(events), BATCH)
    problem = json.loads(text)
    assert status == problem["status"] == 413 and problem["stored"] == 2
    [told] = problem["events"]
    assert (told["index"], told["id"], told["outcome"]) == (1, "e1", "rejected")
    assert sorted(records.ids(kafka, name)) == ["e0", "e2"]
    bad = batch([*events[:1], event(None, id="e9")]).replace(b'"type"', b'"tipe"')
    status, text = post(one, bad, BATCH)
    assert status == 400 and "event 0 of the batch" in text and "missing: type" in text
    assert kafka.count(name) == 2

# SPDX-License-Identifier: Apache-2.0
"""A request becomes exactly one record, exactly one line, and the point that InfluxDB returns."""
import http.client
import json
import uuid

import pytest

from conftest import need_built
from lib import paths, records
from lib.servers import Proxy
from lib.waiting import wait_for

TIME = "2026-01-02T03:04:05.25Z"
TIME_NS = 1_767_323_045_250_000_000  # date -ud 2026-01-02T03:04:05.25Z +%s%N
BODY = b'{"temp": 21.5, "humidity": 40, "ok": true, "room": {"name": "a \\"b\\""}, "none": null}'
POINT = {"time": TIME_NS, "application": "app", "device": "dev", "temp": 21.5, "humidity": 40,
         "ok": True, "room_name": 'a "b"'}


def request(port, path, body, **headers):
    """POST; (status, answer's headers, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body,
                           {key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post_reading(port):
    status, _, _ = request(port, "/v1/temperature?application=app&device=dev", BODY,
                           Content_Type="application/json", Idempotency_Key="reading-1",
                           ce_time=TIME)
    assert status == 202


@pytest.fixture
def reading(bridge, kafka, name):
    """The record of one reading."""
    post_reading(bridge(kafka, name).port)
    (record,) = records.read(kafka, name)
    return record


def test_the_record_is_the_event_and_nothing_else(reading):
    attributes = {
        "specversion": "1.0", "id": "reading-1", "source": "/app/dev",
        "type": "io.millrace.event.v1", "subject": "temperature", "time": TIME,
        "datacontenttype": "application/json", "application": "app", "device": "dev"}
    assert reading.key == b"app/dev"
    assert reading.headers == {
        "content-type": records.CONTENT_TYPE,
        **{f"ce_{key}": value for key, value in attributes.items()}}
    assert reading.event() == {"attribute": attributes, "data": BODY}


def test_avro_c_reads_what_fastavro_reads(reading):
    need_built(paths.AVRO_CAT)
    event = records.avro_c(reading.value)
    attributes = {key: value["string"] for key, value in event["attribute"].items()}
    assert attributes == reading.event()["attribute"]
    assert event["data"] == {"bytes": BODY.decode()}


def test_kafkas_own_tools_show_the_event(reading, kafka, name):
    shown = kafka.console_consumer(name, "--formatter-property", "print.headers=true",
                                   "--formatter-property", "print.key=true")
    listed = kafka.kcat("-C", "-t", name, "-o", "beginning", "-e", "-q", "-f", "%h\n").stdout
    for header in ("ce_id", "ce_source", "ce_subject", "ce_device", "ce_time", "ce_type"):
        assert f"{header}:{reading.headers[header]}" in shown
        assert f"{header}={reading.headers[header]}" in listed.decode()
    assert f"content-type:{records.CONTENT_TYPE}" in shown
    assert "app/dev" in shown


def test_the_line_and_the_point(bridge, worker, kafka, influx, name):
    influx.create_database(name)
    port = bridge(kafka, name).port
    with Proxy(influx.port) as proxy:
        worker(kafka, name, proxy.uri, name, MILLRACE_INFLUX_GZIP="on")
        post_reading(port)
        rows = wait_for(lambda: influx.rows("SELECT * FROM temperature", name), 20, "the point")
        written = [one for one in proxy.written if one.lines()]  # not the probes of its start
    assert rows == [POINT]
    (write,) = written
    assert write.headers["content-encoding"] == "gzip"
    assert f"db={name}" in write.path
    assert write.lines() == [
        "temperature,application=app,device=dev "
        f'temp=21.5,humidity=40,ok=true,room_name="a \\"b\\"" {TIME_NS}']


def test_names_are_escaped_all_the_way(bridge, worker, kafka, influx, name):
    """A channel, application and device with everything that a URL or a line must escape."""
    influx.create_database(name)
    port = bridge(kafka, name).port
    worker(kafka, name, influx.uri, name)
    status, _, _ = request(
        port, "/v1/in%20door,x=1?application=my%20app&device=d%C3%A9,v/1%3D", b'{"a b,c=d": 1}',
        Content_Type="application/json", ce_time=TIME)
    assert status == 202
    (record,) = records.read(kafka, name)
    assert record.key == "my%20app/d%C3%A9%2Cv%2F1%3D".encode()
    attributes = record.event()["attribute"]
    assert attributes["source"] == "/my%20app/d%C3%A9%2Cv%2F1%3D"
    assert attributes["subject"] == "in door,x=1"
    assert (attributes["application"], attributes["device"]) == ("my app", "dé,v/1=")
    rows = wait_for(lambda: influx.rows('SELECT * FROM "in door,x=1"', name), 20, "the point")
    assert rows == [{"time": TIME_NS, "application": "my app", "device": "dé,v/1=",
                     "a b,c=d": 1}]


def test_any_bytes_are_stored_unaltered(bridge, kafka, name):
    port = bridge(kafka, name).port
    payloads = [bytes(range(256)), b"", b"not json {", b'{"a":1}', b"\x00" * 100_000]
    for number, payload in enumerate(payloads):
        status, _, _ = request(port, f"/v1/raw?application=a&device={number}", payload)
        assert status == 202, number
    stored = {record.event()["attribute"]["device"]: record.event()
              for record in records.read(kafka, name)}
    assert [stored[str(n)]["data"] or b"" for n in range(len(payloads))] == payloads
    types = [stored[str(n)]["attribute"].get("datacontenttype") for n in (0, 2, 3)]
    assert types == ["application/octet-stream", "application/octet-stream", "application/json"]


def test_an_event_without_id_and_time_gets_both(bridge, kafka, name):
    port = bridge(kafka, name).port
    assert request(port, "/v1/t?application=a&device=d", b"{}")[0] == 202
    (record,) = records.read(kafka, name)
    attributes = record.event()["attribute"]
    assert uuid.UUID(attributes["id"]).version == 7
    arrived = json.loads(json.dumps(attributes["time"]))
    assert arrived.endswith("Z") and arrived[:4] >= "2025"


def test_a_record_that_is_no_event_is_dead_lettered_and_stops_nothing(
        bridge, worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    kafka.kcat("-P", "-t", name, "-k", "k", stdin=b"garbage")
    port = bridge(kafka, name).port
    worker(kafka, name, influx.uri, name)
    post_reading(port)
    rows = wait_for(lambda: influx.rows("SELECT * FROM temperature", name), 20, "the point")
    assert rows == [POINT]
    dead = wait_for(lambda: records.read(kafka, f"{name}.dead"), 20, "the dead letter")
    assert [(one.key, one.value) for one in dead] == [(b"k", b"garbage")]
    headers = dead[0].headers
    assert headers["millrace_dead_topic"] == name
    assert (headers["millrace_dead_partition"], headers["millrace_dead_offset"]) == ("0", "0")
    assert headers["millrace_dead_group"] == f"group-{name}"
    assert headers["millrace_dead_reason"] and headers["millrace_dead_text"]
    wait_for(lambda: kafka.describe_group(f"group-{name}") == {(name, 0): 2}, 20,
             "both records are committed", poll=0.5)

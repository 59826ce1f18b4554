# SPDX-License-Identifier: Apache-2.0
"""Each way of saying an event over HTTP becomes exactly one record."""
import http.client
import json

import pytest

from lib import paths, records

SAMPLES = paths.ROOT / "tests" / "unit" / "data" / "lorawan"
TIME = "2026-01-02T03:04:05.25Z"
JSON = {"Content-Type": "application/json"}
READING = b'{"temp": 21.5}'


def send(port, method, path, body, headers):
    """(status, headers, content)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def attributes(application, device, subject, **others):
    return {"specversion": "1.0", "type": "io.millrace.event.v1",
            "source": f"/{application}/{device}", "subject": subject, "application": application,
            "device": device, "datacontenttype": "application/json", **others}


# method, path, headers, content, the event's attributes
EVENTS = {
    "drogue": (
        "POST", "/v1/temp/room%202?application=barn&device=d1&data_schema=urn:s:1",
        {**JSON, "Idempotency-Key": '"k-1"', "ce-time": TIME}, READING,
        attributes("barn", "d1", "temp/room 2", id="k-1", time=TIME, dataschema="urn:s:1")),
    "publish": (
        "POST", f"/publish/gw/temp?as=d1&application=barn&model_id=m%C3%A9&time={TIME}",
        {**JSON, "Idempotency-Key": "k-1"}, READING,
        attributes("barn", "d1", "temp", id="k-1", time=TIME, model="mé", gateway="gw")),
    "hono telemetry": (
        "PUT", "/telemetry/DEFAULT_TENANT/4711",
        {**JSON, "qos-level": "1", "hono-ttd": "10", "Idempotency-Key": "k-1", "ce-time": TIME},
        READING, attributes("DEFAULT_TENANT", "4711", "telemetry", id="k-1", time=TIME)),
    "hono event": (
        "POST", "/event/DEFAULT_TENANT/4711",
        {**JSON, "hono-ttl": "60", "Idempotency-Key": "k-1", "ce-time": TIME},
        READING, attributes("DEFAULT_TENANT", "4711", "event", id="k-1", time=TIME, honottl=60)),
    "ttn": (
        "POST", "/ttn?model_id=m1", JSON, sample("ttn-v2-uplink"),
        attributes("my-app-id", "my-dev-id", "uplink", id="2@1970-01-01T00:00:00Z",
                   time="1970-01-01T00:00:00Z", model="m1", lorawanport=1, lorawancounter=2,
                   lorawandeveui="0102030405060708", lorawandatarate="SF7BW125",
                   lorawanrssi="-25", lorawansnr="5")),
    "things stack": (
        "POST", "/ttn/v3", JSON, sample("things-stack-uplink"),
        attributes("app1", "dev1", "uplink", id="as:up:01E0WZGT6Y7657CPFPE5WEYDSQ",
                   time="2020-02-12T15:15:45.789585559Z", lorawanport=0, lorawancounter=1,
                   lorawandeveui="0004A30B001C0530", lorawandatarate="SF7BW125",
                   lorawanrssi="-35", lorawansnr="5")),
}


@pytest.mark.parametrize("dialect", EVENTS)
def test_the_record_is_the_event_and_nothing_else(bridge, kafka, name, dialect):
    method, path, headers, content, expected = EVENTS[dialect]
    assert send(bridge(kafka, name).port, method, path, content, headers)[0] == 202
    (record,) = records.read(kafka, name)
    assert record.key.decode() == expected["source"][1:]  # nothing in it has to be encoded
    assert record.event() == {"attribute": expected, "data": content}
    assert record.headers == {
        "content-type": records.CONTENT_TYPE,
        **{f"ce_{key}": str(value) for key, value in expected.items()}}


def test_what_is_no_uplink_is_answered_and_not_stored(bridge, kafka, name):
    simulated = json.dumps({**json.loads(sample("things-stack-uplink")), "simulated": True})
    port = bridge(kafka, name).port
    for content in [*(sample(f"things-stack-{kind}")
                      for kind in ("join-accept", "downlink-ack", "downlink-failed")), simulated]:
        status, headers, text = send(port, "POST", "/ttn/v3", content, JSON)
        assert (status, text) == (204, b"")
        assert "content-length" not in headers  # RFC 9110 8.6
    # Stored behind them on the same partition: nothing was ahead of it.
    assert send(port, "POST", "/ttn/v3", sample("things-stack-uplink"), JSON)[0] == 202
    assert [one.event()["attribute"]["subject"] for one in records.read(kafka, name)] == ["uplink"]


def test_a_refusal_names_the_member_and_stores_nothing(bridge, kafka, name):
    one = bridge(kafka, name)
    status, headers, text = send(one.port, "POST", "/ttn", b'{"app_id": "a", "port": 1}', JSON)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(text)["detail"].startswith("dev_id:")
    status, headers, _ = send(one.port, "GET", "/telemetry/t/d", None, {})
    assert (status, headers["allow"]) == (405, "POST, PUT, OPTIONS")
    assert records.read(kafka, name) == []
    assert 'millrace_http_requests_total{status="204"} 0' in one.metrics()

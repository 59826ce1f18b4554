#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of corpus/dialect_{drogue,publish,hono,ttn,things_stack}: files named
seed-*; the others were found by libFuzzer, starting from these.

    python3 tests/fuzz/dialect_seeds.py
"""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE.parent / "unit" / "data" / "lorawan"
JSON = "Content-Type: application/json\r\n"


def request(target, headers="", body=b"{}", method="POST", who=b"0"):
    """`who`: "0" is nobody, "1" device d, "2" a gateway (fuzz_dialect.h)."""
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return who + head.encode() + body


def uplink(members, ids=b'"app_id":"a","dev_id":"d1","port":1'):
    return b"{" + ids + members + b"}"


def up(members, more=b""):
    return (b'{"end_device_ids":{"device_id":"d1","application_ids":{"application_id":"a"},'
            b'"dev_eui":"AA"},"uplink_message":{' + members + b"}" + more + b"}")


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


QUERY = "application=a%20b&data_schema=urn:s:1&time=2026-01-02T03:04:05.5Z&as=d2"
SEEDS = {
    "drogue": {
        "all": request(f"/v1/c%C3%A9/x?device=d1&{QUERY}", "Idempotency-Key: \"a\\\"b\"\r\n" + JSON),
        "known": request("/v1/c?device=d2", who=b"1"),
        "gateway": request("/v1/c?as=d2", "ce-time: 2026-01-02T03:04:05+01:00\r\n", who=b"2"),
        "encoded": request("/v1/%zz?device=%00&&=", body=b"\x00\xff"),
        "get": request("/v1/c?device=d", method="GET"),
    },
    "publish": {
        "all": request(f"/publish/d%2F1/c/x?model_id=m&{QUERY}", "Idempotency-Key: k\r\n" + JSON),
        "known": request("/publish/d2/c", who=b"1"),
        "gateway": request("/publish/gw/c?as=d2", who=b"2"),
        "empty": request("/publish//c"),
        "delete": request("/publish/d/c", method="DELETE"),
    },
    "hono": {
        "put": request("/telemetry/a%20b/d", "qos-level: 1\r\nhono-ttd: 5\r\n" + JSON, method="PUT"),
        "ttl": request("/event/a/d", "hono-ttl: 60\r\nce-time: 2026-01-02T03:04:05Z\r\n"),
        "known": request("/telemetry", who=b"1"),
        "gateway": request("/event/a/d2", who=b"2", method="PUT"),
        "tenant": request("/event/b/d2", who=b"2"),
        "nobody": request("/event"),
        "more": request("/event/a/d/x"),
    },
    "ttn": {
        "sample": request("/ttn?application=a&model_id=m&data_schema=urn:s:1", JSON,
                          sample("ttn-v2-uplink")),
        "gateways": request("/ttn", "", uplink(
            b',"counter":7,"is_retry":true,"confirmed":true,"hardware_serial":"\\u0041",'
            b'"metadata":{"time":"2026-01-02T03:04:05Z","data_rate":"SF7BW125","gateways":'
            b'[{"rssi":-1.5,"snr":2},{"rssi":-1e0}]}'), who=b"2"),
        "known": request("/ttn", JSON, uplink(b""), who=b"1"),
        "twice": request("/ttn", JSON, uplink(b',"app\\u005fid":"a"')),
        "huge": request("/ttn", JSON, uplink(b',"counter":1e999')),
        "deep": request("/ttn", JSON, uplink(b',"x":' + b"[" * 200)),
    },
    "things_stack": {
        **{name: request("/ttn/v3?model_id=m", JSON, sample(f"things-stack-{name}"))
           for name in ("uplink", "join-accept", "downlink-ack", "downlink-failed")},
        "gateways": request("/ttn/v3", "Idempotency-Key: k\r\n", up(
            b'"f_port":5,"f_cnt":7,"confirmed":true,"received_at":"2026-01-02T03:04:05Z",'
            b'"rx_metadata":[{"rssi":-1.5,"snr":2},{"rssi":-1e0}],"settings":{"data_rate":{"lora":'
            b'{"bandwidth":812500,"spreading_factor":9}}}',
            b',"correlation_ids":["gs:uplink:1","as:up:2"]'), who=b"2"),
        "simulated": request("/ttn/v3", JSON, up(b"", b',"simulated":true')),
        "known": request("/ttn/v3", JSON, up(b""), who=b"1"),
        "null": request("/ttn/v3", JSON, b'{"end_device_ids":null,"uplink_message":null}'),
    },
}

for dialect, files in SEEDS.items():
    folder = HERE / "corpus" / f"dialect_{dialect}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (folder / f"seed-{name}").write_bytes(contents)

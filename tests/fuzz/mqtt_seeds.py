#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of corpus/topic_pattern and corpus/mqtt_event: files named seed-*; the
others were found by libFuzzer, starting from these.

    python3 tests/fuzz/mqtt_seeds.py
"""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, ID, RETAINED, UTF8, MANY = (1 << i for i in range(7))


def patterns(one, other, topic):
    return f"{one}\0{other}\0{topic}".encode()


def message(topic, payload=b"{}", flags=0, content="", response="", correlation=b"", id="", **user):
    names = user.pop("user", [])
    fields = [topic.encode(), content.encode(), response.encode(), correlation, id.encode()]
    fields += [text.encode() for pair in names for text in pair]
    return bytes([flags, len(names)]) + b"".join(field + b"\0" for field in fields) + payload


EVENT = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")]
JSON = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","n":7,"data":{"a":1}}'
# Map of 4 entries (branch 3 is a string), then bytes (branch 0): as avro-c writes it.
AVRO = (b"\x08" + b"".join(bytes([2 * len(n)]) + n.encode() + b"\x06" + bytes([2 * len(v)]) + v.encode()
                           for n, v in EVENT) + b"\x00" + b"\x00\x04\x01\x02")
SEEDS = {
    "topic_pattern": {
        "names": patterns("sensors/{device}/{channel}", "sensors/#", "sensors/d1/temp"),
        "rest": patterns("{application}/+/{suffix...}", "+/+/#", "farm/x/"),
        "dollar": patterns("$SYS/#", "#", "$SYS/broker/clients"),
        "parent": patterns("sport/tennis/#", "sport/+/#", "sport/tennis"),
        "empty": patterns("/+//{a}", "+/+/+/+", "////"),
        "all": patterns("{a...}", "+/#", "a"),
        "bad": patterns("a#/{b}c", "{A}", "x"),
    },
    "mqtt_event": {
        "plain": message("temp/x", b"21.5", RETAINED | UTF8, user=[("device", "d1"), ("unit", "C")]),
        "kept": message("temp", user=[("device", "d"), ("device_id", "7"), ("a", "1"), ("a", "2")]),
        "control": message("t", user=[("device", "d"), ("a", "x\ny\ufffe\U0010ffff\u0085")]),
        "many": message("t", flags=MANY, user=[("a", "1"), ("b", "2")]),
        "reply": message("fixed/x", b"a,b", CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION, "text/csv",
                         "r/1", b"\xff\x01"),
        "id": message("id/d1/a/b", b'{"id":"a\\u0041"}', ID, id="0190-7"),
        "names": message("app/d1/s//r/r", user=[("site", "s"), ("time", "2026-01-02T03:04:05Z")]),
        "binary": message("m", b"{}", CONTENT_TYPE, "application/json; charset=utf-8",
                          user=EVENT + [("comexample", "7"), ("Trace-Id", "t"), ("device", "d")]),
        "json": message("m", JSON, CONTENT_TYPE, "application/cloudevents+json; charset=utf-8"),
        "route-json": message("ce/d1/x", JSON, user=[("id", "1"), ("x", "y")]),
        "route-avro": message("avro/a/d1", AVRO),
        "batch": message("m", b"[]", CONTENT_TYPE, "application/cloudevents-batch+json"),
        "missing": message("m", user=EVENT[:2]),
        "empty-level": message("id//x"),
    },
}

for target, seeds in SEEDS.items():
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        (folder / f"seed-{name}").write_bytes(content)

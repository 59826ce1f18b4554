#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of corpus/dialect_cloudevents: files named seed-*; the others were found by
libFuzzer, starting from these.

    python3 tests/fuzz/cloudevents_seeds.py
"""
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
REQUIRED = "ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /s\r\nce-type: t\r\n"
STRUCTURED = "Content-Type: application/cloudevents+json; charset=utf-8\r\n"
BATCH = "Content-Type: application/cloudevents-batch+json\r\n"
AVRO = "Content-Type: application/cloudevents+avro\r\n"


def request(headers="", body=b"", method="POST", who=b"0"):
    """`who`: "0" is nobody, "1" device d, "2" a gateway."""
    head = (f"{method} /events HTTP/1.1\r\nHost: a\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n")
    return who + head.encode() + body


def event(more=b""):
    return b'{"specversion":"1.0","id":"1","source":"/s","type":"t"' + more + b"}"


SEEDS = {
    "binary": request(REQUIRED + "ce-time: 2018-04-05T03:56:24Z\r\nContent-Type: text/plain\r\n", b"x"),
    "encoded": request(REQUIRED + "ce-subject: Euro%20%E2%82%AC%20%F0%9F%98%80\r\n"
                       'ce-a: "x \\"%20\\\\ y"\r\n'),
    "overlong": request(REQUIRED + "ce-subject: %C0%A0\r\n"),
    "twice": request(REQUIRED + "CE-ID: 2\r\n", b"x"),
    "nothing": request("Content-Type: application/json\r\n", b"{}"),
    "known": request(REQUIRED + "ce-device: d2\r\nce-gateway: x\r\n", b"x", who=b"1"),
    "gateway": request(STRUCTURED, event(b',"device":"d2","application":"b","gateway":5'), who=b"2"),
    "structured": request(STRUCTURED, event(b',"subject":"\\u20ac","n":5,"b":true,"data":{"a":[1,null]}')),
    "base64": request(STRUCTURED, event(b',"datacontenttype":"a/b","data_base64":"AP8="')),
    "missing": request(STRUCTURED, b"{}"),
    "other": request("Content-Type: application/cloudevents+xml\r\n", b"<a/>"),
    "put": request(STRUCTURED, event(), method="PUT"),
    "batch": request(BATCH, b"[" + event() + b",\n " + event(b',"data":[1e3,"x"]') + b"]"),
    "batch-empty": request(BATCH, b" [ ] "),
    "batch-bad": request(BATCH, b"[" + event() + b",{}]"),
    "batch-gateway": request(BATCH, b"[" + event(b',"device":"q-x"') + b"]", who=b"2"),
    "batch-nested": request(BATCH, b"[[" + event() + b"]]"),
}


def avro():
    def text(s):
        return bytes([len(s) * 2]) + s

    pairs = [(b"specversion", b"1.0"), (b"id", b"1"), (b"source", b"/s"), (b"type", b"t")]
    entries = b"".join(text(name) + b"\x06" + text(value) for name, value in pairs)
    return bytes([len(pairs) * 2]) + entries + b"\x00" + b"\x00" + text(b"data")


SEEDS["avro"] = request(AVRO, avro())
folder = HERE / "corpus" / "dialect_cloudevents"
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / f"seed-{name}").write_bytes(content)

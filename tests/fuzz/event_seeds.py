#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the first inputs of corpus/avro and corpus/kafka_record: files named seed-*. avroc-* in
corpus/avro were written by avro-c in tests/unit/test_avro_format.c; the others were found by
libFuzzer, starting from these: those of its merge that added most coverage.

    python3 tests/fuzz/event_seeds.py
"""
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parent / "unit" / "data" / "avro"  # by fastavro


def number(n):
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return number(len(s)) + s


def entry(name, branch, value=b""):
    return text(name) + number(branch) + value


def block(entries, sized=False):
    body = b"".join(entries)
    if sized:
        return number(-len(entries)) + number(len(body)) + body
    return number(len(entries)) + body


REQUIRED = [entry("id", 3, text("1")), entry("source", 3, text("/s")),
            entry("specversion", 3, text("1.0")), entry("type", 3, text("t"))]
OTHERS = [entry("time", 3, text("2018-04-05T17:31:00.5Z")), entry("flag", 1, b"\x01"),
          entry("count", 2, number(-2**31)), entry("bytes", 4, text(b"\x00\xff")),
          entry("absent", 0), entry("datacontenttype", 3, text("text/plain")),
          entry("dataschema", 3, text("http://example.com/s#x"))]
END = b"\x00"
HEAD = block(REQUIRED) + END


def nested(depth):
    data = END
    for _ in range(depth):
        data = number(1) + number(1) + text("") + number(3) + data + END + END
    return HEAD + number(4) + data


AVRO = {
    "bytes": block(REQUIRED + OTHERS) + END + number(0) + text(b'{"t":21.5}'),
    "framed": b"\x00\x00\x00\x00\x07" + HEAD + number(1),
    "blocks": b"".join(block([e], i % 2 == 0) for i, e in enumerate(REQUIRED + OTHERS)) + END +
              number(6) + text("plain"),
    "map-sized": HEAD + number(3) + block([entry("a", 0), entry("b", 1, b"\x00")], True) +
                 block([entry("c", 3, struct.pack("<d", 1e-300)), entry("d", 4, text("\n"))]) + END,
    "nested": nested(3),
    "nested-most": nested(31),
    "nested-too-deep": nested(40),
    "count-of-2-62": number(2**62) + REQUIRED[0],
    "count-lowest": b"\xff" * 9 + b"\x01" + b"\x02" + REQUIRED[0],
    "length-highest": HEAD + number(0) + number(2**63 - 1) + b"x",
    "varint-endless": b"\xff" * 20,
    "nan": HEAD + number(5) + struct.pack("<d", float("nan")),
    "twice": block(REQUIRED + REQUIRED[:1]) + END + number(1),
    "trailing": HEAD + number(1) + b"\x00",
    "many": block(REQUIRED + [entry(f"e{i}", 2, number(i)) for i in range(125)]) + END + number(1),
}

JSON = (b'{"specversion":"1.0","type":"t","source":"/s","id":"\\u0031","n":5,"b":true,'
        b'"data":{"a":[1,2.5e3,null]}}')
BINARY = b"ce_specversion: 1.0\nce_type: t\nce_source: /s\nce_id: 3\n"
TYPE = b"content-type: application/cloudevents"

KAFKA = {
    "avro": TYPE + b"+avro\nce_id: 1\n\n" + AVRO["bytes"],
    "avro-framed": TYPE + b"+avro\n\n" + AVRO["framed"],
    "json": b"Content-Type: Application/CloudEvents+JSON; charset=utf-8\n\n" + JSON,
    "json-base64": TYPE + b"+json\n\n" + JSON.replace(b'"data":{"a":[1,2.5e3,null]}',
                                                      b'"data_base64":"AAH+/w=="'),
    "json-no-suffix": TYPE + b"\n\n" + JSON,
    "protobuf": TYPE + b"+protobuf\n\n" + JSON,
    "batch": TYPE + b"-batch+json\n\n[" + JSON + b"]",
    "binary": BINARY + b"content-type: application/json\nce_device: d\n\n" + b'{"t":1}',
    "binary-empty": BINARY + b"\n",
    "binary-capitals": BINARY.upper() + b"CE_EXT: x\n\nx",
    "binary-twice": BINARY + b"ce_id: 4\nCe_Id: 5\nce_time\n\nx",
    "binary-key": BINARY + b"ce_partitionkey: k\nce_application: a/b\nce_device: c d\n\nx",
    "binary-bad-name": BINARY + b"ce_a_b: x\n\nx",
    "binary-no-id": BINARY.replace(b"ce_id", b"id") + b"\nx",
    "tombstone": BINARY,
    "nothing": b"\n",
    "null-type": b"content-type\n" + BINARY + b"\nx",
    "many": b"".join(b"ce_e%d: x\n" % i for i in range(130)) + BINARY + b"\nx",
}


def write(corpus, files):
    folder = HERE / "corpus" / corpus
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in files.items():
        (folder / f"seed-{name}").write_bytes(contents)


write("avro", {**AVRO, **{f"fastavro-{p.stem}": p.read_bytes() for p in VECTORS.glob("*.avro")
                          if p.stem != "many-attributes"}})
write("kafka_record", KAFKA)

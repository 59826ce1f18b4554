#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The CloudEvents in this folder, as fastavro 1.13.1 writes them with schemas/cloudevent.avsc:

    python3 -m venv venv && venv/bin/pip install fastavro==1.13.1
    venv/bin/python tests/unit/data/avro/make.py

tests/unit/test_avro_format.c says what each of them means.
"""
import io
import json
import pathlib

import fastavro

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = fastavro.parse_schema(
    json.loads((HERE.parents[3] / "schemas" / "cloudevent.avsc").read_text()))

REQUIRED = {"id": "A234-1234-1234", "source": "/mycontext", "specversion": "1.0",
            "type": "com.example.someevent"}
DATA = "io.cloudevents.CloudEventData"


def record(**value):
    return {"value": value}


EVENTS = {
    "bytes": ({**REQUIRED, "datacontenttype": "application/octet-stream", "time":
               "2018-04-05T17:31:00Z", "subject": "caf\u00e9", "count": -2147483648,
               "ratio": 2147483647, "flag": True, "noflag": False, "binary": b"\x00\xff",
               "absent": None}, b"\x00\x01\xfe\xff"),
    "empty-bytes": (REQUIRED, b""),
    "null": (REQUIRED, None),
    "boolean": (REQUIRED, True),
    "double": (REQUIRED, 21.1),
    "string": (REQUIRED, "a \"quoted\" \u20ac\n"),
    "text": ({**REQUIRED, "datacontenttype": "text/plain"}, "a \"quoted\" \u20ac\n"),
    "map": (REQUIRED, {"null": None, "true": True, "number": -0.5, "text": "x",
                       "record": (DATA, record(deep=1e300))}),
    "array": (REQUIRED, [record(), record(a=1.0), record(
        n=None, f=False, s="", d=5e-324,
        m={"one": record(), "two": record(x="y")},
        l=[record(), record(z=[])])]),
    "many-attributes": ({**REQUIRED, **{f"ext{i}": i for i in range(100)}}, b"x" * 10000),
}

for name, (attribute, data) in EVENTS.items():
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {"attribute": attribute, "data": data})
    (HERE / f"{name}.avro").write_bytes(out.getvalue())

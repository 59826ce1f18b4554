# SPDX-License-Identifier: Apache-2.0
"""The records of a topic, and the CloudEvents in them as fastavro reads them."""
import io
import json
import re
import subprocess
from dataclasses import dataclass

import fastavro

from . import waiting
from .load import CHANNEL, event_time
from .paths import AVRO_CAT, CLOUDEVENT_SCHEMA

CONTENT_TYPE = "application/cloudevents+avro"
HEADER = re.compile(r",(?=[\w-]+=)")  # before a header, as kcat writes them


@dataclass
class Record:
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: dict

    def event(self):
        """{"attribute": {...}, "data": ...}, by fastavro; every byte must belong to it."""
        stream = io.BytesIO(self.value)
        event = fastavro.schemaless_reader(stream, schema())
        assert stream.read() == b"", "bytes after the event"
        return event

    @property
    def id(self):
        return self.event()["attribute"]["id"]


_schema = None


def schema():
    global _schema
    if _schema is None:
        _schema = fastavro.parse_schema(json.loads(CLOUDEVENT_SCHEMA.read_text()))
    return _schema


def encode(attributes, data):
    """A CloudEvent as fastavro writes it."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema(), {"attribute": attributes, "data": data})
    return stream.getvalue()


def read(kafka, topic):
    """All records of the topic by kcat, each partition in order."""
    if topic not in kafka.topics():
        return []
    # Lengths first, so that keys and values may hold any byte.
    form = "%p %o %T %K %S\n%k%s%h\n"
    rest = kafka.kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", form).stdout
    records = []
    position = 0
    while position < len(rest):
        end = rest.index(b"\n", position)
        partition, offset, timestamp, key_size, value_size = map(int, rest[position:end].split())
        position = end + 1
        key = rest[position:position + max(key_size, 0)]
        position += len(key)
        value = rest[position:position + max(value_size, 0)] if value_size >= 0 else None
        position += len(value or b"")
        end = rest.index(b"\n", position)
        pairs = [pair for pair in HEADER.split(rest[position:end].decode()) if pair]
        headers = dict(pair.split("=", 1) for pair in pairs)
        records.append(Record(partition, offset, timestamp, key, value, headers))
        position = end + 1
    return records


def wait_for(kafka, topic, count, seconds=60):
    """Until the topic has so many records at least."""
    last = None

    def enough():
        nonlocal last
        try:
            last = kafka.count(topic)
        except AssertionError as error:  # a topic that was just made has no leaders yet
            last = error
            return False
        return last >= count
    waiting.wait_for(enough, seconds, lambda: f"{count} records in {topic}; so far {last}",
                     poll=0.1)


def ids(kafka, topic):
    """The ids of all events in the topic, as often as they are there."""
    return [record.id for record in read(kafka, topic)]


def json_ids(kafka, topic):
    """The same where events lie as JSON (produce_json)."""
    return [json.loads(record.value)["id"] for record in read(kafka, topic)]


def avro_c(value):
    """The same value as avro-c reads it, in Avro's JSON encoding (which it ends at a NUL in bytes)."""
    done = subprocess.run([AVRO_CAT, CLOUDEVENT_SCHEMA], input=value, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def json_lines(numbers, padding=0, key=None, data=None):
    """Events as Load makes them, as CloudEvents in JSON, a line each; "KEY|..." with key(number)."""
    lines = []
    for number in sorted(numbers):
        line = json.dumps({
            "specversion": "1.0", "id": f"json-{number}", "source": "/app/dev",
            "type": "io.millrace.event.v1", "subject": CHANNEL, "time": event_time(number),
            "application": "app", "device": f"dev-{number % 16}",
            "datacontenttype": "application/json",
            "data": {"n": number, "padding": "x" * padding} if data is None else data})
        lines.append(f"{key(number)}|{line}" if key else line)
    return "\n".join(lines).encode()


def produce_json(kafka, topic, numbers, padding=0, data=None, headers=None, partition=None,
                 key=None):
    """Straight into Kafka by kcat; with other data and more headers if they are given."""
    words = ["-p", partition] if partition is not None else []
    words += ["-K", "|"] if key else []
    words += [word for name, value in (headers or {}).items() for word in ("-H", f"{name}={value}")]
    kafka.kcat("-P", "-t", topic, "-H", "content-type=application/cloudevents+json", *words,
               stdin=json_lines(numbers, padding, key, data))

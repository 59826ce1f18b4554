# SPDX-License-Identifier: Apache-2.0
"""Measurements by configuration: records go through millrace-influx to a real InfluxDB, and what
/query returns is compared with the exact points that docs/millrace-influx.md promises."""
import json

import pytest

from lib import records
from lib.waiting import wait_for

TIME = "2016-06-13T17:43:50Z"
TIME_NS = 1_465_839_830_000_000_000  # date -ud 2016-06-13T17:43:50Z +%s%N
MS = 1_000_000

CONFIGURATION = """\
[influx]
unmatched = dead

[measurement climate]
match = subject:climate/* application:farm
field.temp = $.t
field.raw = $.raw[-1] integer
field.ok = $.state['is ok'] boolean
field.label = $.label
tag.room = $.room
time = $.ts ms

[measurement odd one]
match = subject:odd
name = subject
field.Au\u00dfen temp = $['a b'] required
field.text = $.n string
tag.device = -
tag.source = source

[measurement power]
match = subject:power
each = $.readings[*]
field.watts = @.w float required
field.tariff = $.tariff
tag.phase = @['phase name']
time = @.at rfc3339
"""


def event(subject, data, time=TIME, **attributes):
    return json.dumps({"specversion": "1.0", "id": "1", "source": "/farm/d1", "type": "t",
                       "subject": subject, "time": time, "application": "farm", "device": "d 1",
                       "datacontenttype": "application/json", "data": data, **attributes})


@pytest.fixture
def start(worker, kafka, influx, name, scratch):
    """start(configuration, **variables): send(events) goes through a worker of it."""
    def with_configuration(configuration, **variables):
        influx.create_database(name)
        kafka.create_topic(name, partitions=1)
        file = scratch / f"{name}.conf"
        file.write_text(configuration)
        worker(kafka, name, influx.uri, name, **variables,
               wrapper=("sh", "-c", f'exec "$0" --config "{file}"'))

        def send(events):
            kafka.kcat("-P", "-t", name, "-H", "content-type=application/cloudevents+json",
                       stdin="\n".join(events).encode())
        return send
    return with_configuration


def points(influx, database, measurement, count):
    """All points of a measurement, once there are `count` of them."""
    def rows():
        found = influx.rows(f'SELECT * FROM "{measurement}"', database)
        return found if len(found) >= count else None
    found = wait_for(rows, 30, f"{count} points of {measurement!r}")
    return [{key: value for key, value in row.items() if value is not None} for row in found]


def reasons(kafka, topic, count):
    """The dead letters' (reason, text) by offset, once there are `count` of them."""
    def read():
        found = records.read(kafka, f"{topic}.dead")
        return found if len(found) >= count else None
    dead = wait_for(read, 30, f"{count} dead letters")
    dead.sort(key=lambda one: int(one.headers["millrace_dead_offset"]))
    return [(one.headers["millrace_dead_reason"], one.headers["millrace_dead_text"])
            for one in dead]


def test_events_become_the_configured_points(start, influx, kafka, name):
    send = start(CONFIGURATION)
    send([
        event("climate/1", {"t": 21.5, "raw": [1, 2, 3], "state": {"is ok": True},
                            "label": 'a\n"b"', "room": "r, 1", "ts": 1465839830100.25,
                            "more": {"t": [1]}}),
        event("climate/2", {"t": 21, "raw": [], "room": "", "label": None,
                            "ts": "1465839830200"}),
        event("odd", {"a b": 1.5, "n": 7}),
        event("power", {"tariff": 0.25, "readings": [
            {"w": 1, "at": TIME, "phase name": "L1"},
            {"w": "2.5", "at": TIME, "phase name": "L2"},
            {"w": 3, "at": "2016-06-13T17:43:51Z"}]}),
    ])
    assert points(influx, name, "climate", 2) == [
        {"time": TIME_NS + 100 * MS + 250_000, "application": "farm", "device": "d 1",
         "room": "r, 1", "temp": 21.5, "raw": 3, "ok": True, "label": 'a\n"b"'},
        {"time": TIME_NS + 200 * MS, "application": "farm", "device": "d 1", "temp": 21},
    ]
    assert points(influx, name, "odd", 1) == [
        {"time": TIME_NS, "application": "farm", "source": "/farm/d1", "Au\u00dfen temp": 1.5,
         "text": "7"}]
    power = sorted(points(influx, name, "power", 3), key=lambda row: row["watts"])
    common = {"application": "farm", "device": "d 1", "tariff": 0.25}
    assert power == [
        {"time": TIME_NS, "phase": "L1", "watts": 1, **common},
        {"time": TIME_NS, "phase": "L2", "watts": 2.5, **common},
        {"time": TIME_NS + 1000 * MS, "watts": 3, **common},
    ]
    types = influx.rows("SHOW FIELD KEYS FROM climate", name)
    assert {row["fieldKey"]: row["fieldType"] for row in types} == {
        "temp": "float", "raw": "integer", "ok": "boolean", "label": "string"}
    assert records.read(kafka, f"{name}.dead") == []


def test_what_breaks_a_rule_is_dead_with_its_reason(start, influx, kafka, name):
    send = start(CONFIGURATION)
    send([
        event("climate/1", {"t": {}, "ts": 1}),
        event("climate/1", {"t": 1, "raw": [1.5], "ts": 1}),
        event("climate/1", {"t": 1}),
        event("climate/1", {"x": 1, "ts": 1}),
        event("odd", {"n": 1}),
        event("power", {"readings": [{"w": 1, "at": TIME}, {"w": 2, "at": TIME}]}),
        event("power", {"readings": [{"w": "NaN", "at": TIME}]}),
        event("elsewhere", {"t": 1}),
        event("climate/9", {"t": 9, "ts": 1465839830000}),
    ])
    assert [row["temp"] for row in points(influx, name, "climate", 1)] == [9]
    assert reasons(kafka, name, 8) == [("mapping", text) for text in [
        "[measurement climate]: field temp: $.t: an object, expected a string, a number or a "
        "boolean",
        "[measurement climate]: field raw: $.raw[-1]: a number with a fraction, expected a whole "
        "number",
        "[measurement climate]: time: $.ts: missing, but required",
        "[measurement climate]: none of the fields is there",
        "[measurement odd one]: field Au\u00dfen temp: $['a b']: missing, but required",
        "[measurement power]: elements 0 and 1 are the same point: one series, one time",
        "[measurement power]: element 0: field watts: @.w: a string that holds no number, "
        "expected a number",
        "no [measurement] matches the event",
    ]]


def test_the_variables_of_the_drogue_pusher(start, influx, kafka, name):
    send = start("", INFLUXDB_TABLE="sensors", FIELD_TEMPERATURE="$.temp",
                 FIELD_COUNT="$.values[0]", TYPE_FIELD_COUNT="int", TAG_DEVICE_ID="$.device",
                 TAG_CHANNEL="$.subject", TAG_ROOM="$.data.room")
    send([
        event("climate", {"temp": 21, "values": ["7"], "room": "r1"}),
        event("climate", {"nothing": "of ours"}),
        event("door", {"temp": 1.5}),
    ])
    assert sorted(points(influx, name, "sensors", 2), key=lambda row: row["temperature"]) == [
        {"time": TIME_NS, "device_id": "d 1", "channel": "door", "temperature": 1.5},
        {"time": TIME_NS, "device_id": "d 1", "channel": "climate", "room": "r1",
         "temperature": 21, "count": 7},
    ]
    assert records.read(kafka, f"{name}.dead") == []

# SPDX-License-Identifier: Apache-2.0
"""What is written is what InfluxDB gives back: nasty names and values go from a record through
millrace-influx to a real InfluxDB, and are compared with what /query returns. The rules for names
that InfluxDB can't take are those of docs/millrace-influx.md."""
import json

import pytest

from lib import records
from lib.waiting import wait_for

TIME = "2016-06-13T17:43:50Z"
TIME_NS = 1_465_839_830_000_000_000  # date -ud 2016-06-13T17:43:50Z +%s%N
NAME_BYTES_MAX = 4096
STRING_BYTES = 50_000

# measurement: (the data as it stands, the columns that come back)
STRINGS = {
    "s1": (r'{"a":"","b":" ","c":"x"}', {"a": "", "b": " ", "c": "x"}),
    "s2": (r'{"a":"\"","b":"\\","c":"\\\"","d":"\\n"}',
           {"a": '"', "b": "\\", "c": '\\"', "d": "\\n"}),
    "s3": (r'{"a":"l1\nl2\r\n\t","b":"\n","c":"\u0001\u007f"}',
           {"a": "l1\nl2\r\n\t", "b": "\n", "c": "\x01\x7f"}),
    "s4": (r'{"a":"x\u0000y"}', {"a": "x\0y"}),
    "s5": (r'{"a":", =#\u00e9\ud83d\ude00","b":"a=1,b=\"2\" 3"}',
           {"a": ", =#é😀", "b": 'a=1,b="2" 3'}),
    "s6": ('{"a":"' + "x" * STRING_BYTES + '"}', {"a": "x" * STRING_BYTES}),
}
NUMBERS = {
    "n1": ('{"a":21.5,"b":-1.25e-3,"c":1E+2,"d":0.1}',
           {"a": 21.5, "b": -0.00125, "c": 100, "d": 0.1}),
    "n2": ('{"a":1.7976931348623157e308,"b":5e-324,"c":1e-999,"d":-0}',
           {"a": 1.7976931348623157e308, "b": 5e-324, "c": 0, "d": 0}),
    "n3": ('{"a":9007199254740991,"b":0.30000000000000004}',
           {"a": 9007199254740991, "b": 0.30000000000000004}),
    "n4": ('{"a":true,"b":false,"c":null}', {"a": True, "b": False}),
}
FIELD_NAMES = {
    "f1": (r'{"a b":1.5,"c,d":2.5,"e=f":3.5,"g\"h":4.5,"' + "'" + '":5.5}',
           {"a b": 1.5, "c,d": 2.5, "e=f": 3.5, 'g"h': 4.5, "'": 5.5}),
    "f2": (r'{"\u00e9":1.5,"\ud83d\ude00":2.5,"#":3.5,"a\\b":4.5}',
           {"é": 1.5, "😀": 2.5, "#": 3.5, "a\\b": 4.5}),
    "f3": (r'{"":0.5,"a\\":1.5,"b\\,c":2.5,"d\\\\=e":3.5,"f\ng":4.5}',
           {"_": 0.5, "a_": 1.5, "b_,c": 2.5, "d\\_=e": 3.5, "f_g": 4.5}),
    "f4": ('{"time":1.5,"device":2.5,"a":{"b":3.5},"a_b":4.5,"x":[5.5,{"y":6.5}]}',
           {"time_": 1.5, "device_": 2.5, "a_b": 3.5, "a_b_2": 4.5, "x_0": 5.5, "x_1_y": 6.5}),
    # Quotes in names and a line break in a string, which a scanner of lines could mix up.
    "f5": (r'{"k\"1":"a\nb","k\\\"2":"c\nd","k=3":"e\nf","\\,":"g\nh"}',
           {'k"1': "a\nb", 'k_"2': "c\nd", "k=3": "e\nf", "_,": "g\nh"}),
    "f6": (r'{"a\\\\b":1.5,"\\n":2.5,"\\\\\\c\\\\d":3.5}',
           {"a\\\\b": 1.5, "\\n": 2.5, "\\\\\\c\\\\d": 3.5}),
}
# (subject, application, device): (measurement, application, device)
TAGS = {
    ("plain", "app", "dev-1"): ("plain", "app", "dev-1"),
    ("a,b c=d", "x,y z=w", "q\"r'"): ("a,b c=d", "x,y z=w", "q\"r'"),
    ("#hash", "#", " "): ("_hash", "#", " "),
    ('q"m', "a\\b", "c\\"): ('q"m', "a\\b", "c_"),
    ("ué", "😀", 'd\\,e\\="f\\ g'): ("ué", "😀", 'd_,e_="f_ g'),
    ("," * NAME_BYTES_MAX, "," * NAME_BYTES_MAX, "," * NAME_BYTES_MAX):
        ("," * NAME_BYTES_MAX, "," * NAME_BYTES_MAX, "," * NAME_BYTES_MAX),
}
TIMES = {
    "1970-01-01T00:00:00Z": 0,
    "1969-12-31T23:59:59.999999999Z": -1,
    "2016-06-13T17:43:50.1004002Z": 1_465_839_830_100_400_200,
    "1677-09-21T00:12:43.145224194Z": -2**63 + 2,
    "2262-04-11T23:47:16.854775806Z": 2**63 - 2,
}


def event(subject, data, time=TIME, **attributes):
    """A CloudEvent in JSON whose data stands as it is given."""
    text = json.dumps({"specversion": "1.0", "id": subject[:20], "source": "/a", "type": "t",
                       "subject": subject, "time": time,
                       "datacontenttype": "application/json", **attributes})
    return f'{text[:-1]},"data":{data}}}'


@pytest.fixture
def write(worker, kafka, influx, name):
    """write(events): send them all through the worker."""
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    worker(kafka, name, influx.uri, name)

    def send(events):
        kafka.kcat("-P", "-t", name, "-H", "content-type=application/cloudevents+json",
                   stdin="\n".join(events).encode())
    return send


def point(influx, database, measurement):
    """The only point of a measurement, once it is there."""
    quoted = measurement.replace("\\", "\\\\").replace('"', '\\"')
    rows = wait_for(lambda: influx.rows(f'SELECT * FROM "{quoted}"', database), 20,
                    f"a point of {measurement[:40]!r}")
    (row,) = rows
    return row


@pytest.mark.parametrize("cases", [STRINGS, NUMBERS, FIELD_NAMES],
                         ids=["strings", "numbers", "field names"])
def test_payloads_come_back(write, influx, name, kafka, cases):
    write([event(measurement, data) for measurement, (data, _) in cases.items()])
    for measurement, (_, columns) in cases.items():
        assert point(influx, name, measurement) == {"time": TIME_NS, **columns}, measurement
    assert records.read(kafka, f"{name}.dead") == []


def test_tags_and_measurements_come_back(write, influx, name):
    write([event(subject, r'{"f":"a\nb"}', application=application, device=device)
           for subject, application, device in TAGS])
    for measurement, application, device in TAGS.values():
        assert point(influx, name, measurement) == {
            "time": TIME_NS, "application": application, "device": device, "f": "a\nb"}


def test_times_come_back(write, influx, name):
    write([event(f"t{number}", '{"a":1.5}', time=time) for number, time in enumerate(TIMES)])
    for number, ns in enumerate(TIMES.values()):
        assert point(influx, name, f"t{number}") == {"time": ns, "a": 1.5}

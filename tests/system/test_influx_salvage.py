# SPDX-License-Identifier: Apache-2.0
"""Points that a real InfluxDB refuses: only they are dead, with its words, and all others are
stored; and what is the operator's mistake is waited for."""
import base64
import json
import os
import re
import subprocess
import time

import pytest

from lib import influx as influx_lib
from lib import paths, records
from lib.programs import environment
from lib.servers import Proxy
from lib.waiting import wait_for

SECONDS = 60
RETENTION_DAYS = 30
DAY = 86400


def event(number, data, at=None, subject="load", **attributes):
    now = time.time() if at is None else at
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{number % 1000000:06d}Z"
    return json.dumps({
        "specversion": "1.0", "id": f"e{number}", "source": "/app/dev", "type": "t",
        "subject": subject, "time": stamp, "datacontenttype": "application/json",
        "application": "app", "device": f"dev-{number % 16}", "data": data, **attributes})


def produce(kafka, topic, events, partition=None):
    words = [] if partition is None else ["-p", partition]
    kafka.kcat("-P", "-t", topic, *words, "-H", "content-type=application/cloudevents+json",
               stdin="\n".join(events).encode())


def wait_settled(kafka, one, topic, dead, total, seconds=SECONDS):
    wait_for(lambda: sum(kafka.describe_group(one.group).values()) == total, seconds,
             lambda: f"{kafka.describe_group(one.group)} of {total}; {one.readyz()}")
    letters = records.read(kafka, f"{topic}.dead")
    assert len(letters) == dead
    return letters


def reasons(letters):
    return sorted(letter.headers["millrace_dead_reason"] for letter in letters)


def test_a_type_conflict_and_a_late_point_are_dead_and_the_rest_is_stored(
        worker, kafka, either, name):
    either.create_database(name, RETENTION_DAYS)
    either.write(name, f"load,application=x n=0 {time.time_ns()}")
    kafka.create_topic(name, partitions=1)
    now = time.time()
    events, bad = [], {}
    for number in range(1, 2001):
        if number % 100 == 7:
            bad[number] = "influxdb"
            events.append(event(number, {"n": "text"}, now))
        elif number % 100 == 9:
            bad[number] = "late"
            events.append(event(number, {"n": number}, now - 90 * DAY))
        else:
            events.append(event(number, {"n": number}, now))
    produce(kafka, name, events)
    one = worker(kafka, name, either.uri, None, **either.settings(name))
    letters = wait_settled(kafka, one, name, len(bad), 2000)
    good = sorted({0, *range(1, 2001)} - set(bad))
    assert either.numbers("n", "load", name) == good
    for letter in letters:
        number = int(letter.headers["ce_id"][1:] if "ce_id" in letter.headers
                     else json.loads(letter.value)["id"][1:])
        assert letter.headers["millrace_dead_reason"] == bad.pop(number)
        server = letter.headers["millrace_dead_server"]
        assert server.startswith(("400 ", "422 ")) and "partial write" in server, server
        assert ("conflict" in server) == (letter.headers["millrace_dead_reason"] == "influxdb")
    assert not bad
    assert one.readyz()[0] == 200
    assert "millrace_influx_late_total 20" in one.metrics()


def test_late_points_may_be_dropped(worker, kafka, either, name):
    either.create_database(name, RETENTION_DAYS)
    kafka.create_topic(name, partitions=1)
    now = time.time()
    produce(kafka, name, [event(n, {"n": n}, now - 90 * DAY if n % 2 else now)
                          for n in range(1, 101)])
    one = worker(kafka, name, either.uri, None, MILLRACE_INFLUX_LATE="drop",
                 **either.settings(name))
    wait_settled(kafka, one, name, 0, 100)
    assert either.numbers("n", "load", name) == list(range(2, 101, 2))
    assert "millrace_influx_late_total 50" in one.metrics()


def test_the_longest_names_are_taken(worker, kafka, either, name):
    """Our own bounds keep a series key below the 65,535 bytes of the server's, escapes included."""
    either.create_database(name)
    kafka.create_topic(name, partitions=1)
    produce(kafka, name, [event(n, {"n": n}, device="," * 4096, application="," * 4096)
                          for n in range(1, 51)])
    one = worker(kafka, name, either.uri, None, **either.settings(name))
    wait_settled(kafka, one, name, 0, 50)
    assert either.numbers("n", "load", name) == list(range(1, 51))


def test_lines_that_can_not_be_parsed_are_found(worker, kafka, either, name):
    """The mapping makes none, so something in between spoils them: what the server quotes isn't
    even what was sent. 2.x stores nothing of a request with one."""
    either.create_database(name)
    kafka.create_topic(name, partitions=1)
    produce(kafka, name, [event(n, {"n": n}) for n in range(1, 1001)])
    with Proxy(either.port) as proxy:
        proxy.change = lambda body: re.sub(rb" n=(\d*13) ", rb" n= ", body)
        one = worker(kafka, name, proxy.uri, None, **either.settings(name))
        letters = wait_settled(kafka, one, name, 10, 1000)
    assert reasons(letters) == ["influxdb"] * 10
    for letter in letters:
        assert "unable to parse" in letter.headers["millrace_dead_server"]
    assert either.numbers("n", "load", name) == [n for n in range(1, 1001) if n % 100 != 13]


def test_what_is_too_large_for_the_server_is_found(worker, kafka, scratch, logs, name):
    """With a server that takes 20 kB at once: a request is cut, one large line is dead."""
    message = influx_lib.missing()
    if message:
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    small = influx_lib.Influx(scratch / f"influx-{name}", logs / "influxd.log",
                              body_bytes_max=20_000).start()
    try:
        small.create_database(name)
        kafka.create_topic(name, partitions=1)
        # Random text, so that compression doesn't make it fit.
        events = [event(n, {"n": n, "text": base64.b64encode(os.urandom(300)).decode()})
                  for n in range(1, 301)]
        events[150] = event(151, {"n": 151, "text": base64.b64encode(os.urandom(30_000)).decode()})
        produce(kafka, name, events)
        one = worker(kafka, name, small.uri, name)
        (letter,) = wait_settled(kafka, one, name, 1, 300)
        assert letter.headers["millrace_dead_reason"] == "too-large"
        assert letter.headers["millrace_dead_server"].startswith("413 ")
        assert small.numbers("n", "load", name) == [n for n in range(1, 301) if n != 151]
    finally:
        small.stop()


def test_a_missing_database_is_waited_for(worker, kafka, either, name):
    kafka.create_topic(name, partitions=1)
    produce(kafka, name, [event(n, {"n": n}) for n in range(1, 101)])
    one = worker(kafka, name, either.uri, None, ready=False, MILLRACE_INFLUX_WAIT_MAX="1s",
                 **either.settings(name))
    assert "not found" in one.wait_not_ready("404")
    assert not kafka.describe_group(one.group)
    either.create_database(name)
    wait_settled(kafka, one, name, 0, 100)
    one.wait_ready()
    assert either.numbers("n", "load", name) == list(range(1, 101))


def test_a_wrong_token_is_waited_on(worker, kafka, influx2, name):
    influx2.create_database(name)
    kafka.create_topic(name, partitions=1)
    produce(kafka, name, [event(1, {"n": 1})])
    settings = dict(influx2.settings(name), MILLRACE_INFLUX_TOKEN="wrong-sesame")
    one = worker(kafka, name, influx2.uri, None, ready=False, **settings)
    assert "unauthorized" in one.wait_not_ready("401")
    assert not kafka.describe_group(one.group)
    assert "sesame" not in one.log_text()


def test_a_partition_of_bad_points_does_not_stop_the_others(worker, kafka, either, name):
    """10,000 bad ones in a row in one partition, with one good at the end; good ones in another
    come after them, and are stored long before the last letter is."""
    either.create_database(name)
    either.write(name, f"load,application=x n=0 {time.time_ns()}")
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, either.uri, None, **either.settings(name))
    now = time.time()
    produce(kafka, name, [event(n, {"n": "text"}, now) for n in range(1, 10_001)]
            + [event(10_001, {"n": 10_001}, now)], partition=0)
    produce(kafka, name, [event(n, {"n": n}, now) for n in range(20_001, 20_501)], partition=1)
    wait_settled(kafka, one, name, 10_000, 10_501, 2 * SECONDS)
    assert either.numbers("n", "load", name) == [0, 10_001, *range(20_001, 20_501)]


def test_a_device_that_invents_tag_values_is_stopped(worker, kafka, either, name):
    either.create_database(name)
    kafka.create_topic(name, partitions=1)
    events = [event(n, {"n": n}, device=f"invented-{n}") for n in range(1, 301)]
    events += [event(n, {"n": n}, device="invented-1") for n in range(301, 401)]
    produce(kafka, name, events)
    one = worker(kafka, name, either.uri, None, MILLRACE_INFLUX_TAG_LIMIT="100",
                 **either.settings(name))
    letters = wait_settled(kafka, one, name, 200, 400)
    assert set(reasons(letters)) == {"over-limit"}
    assert either.numbers("n", "load", name) == [*range(1, 101), *range(301, 401)]
    assert 'millrace_influx_over_limit_total{limit="tag"} 200' in one.metrics()


def test_a_tag_over_its_limit_can_be_left_out(worker, kafka, either, name):
    """Nothing is dead: over the limit a point has no `device`. The same devices come again in a second
    batch, and what lost its tag loses it again."""
    either.create_database(name)
    kafka.create_topic(name, partitions=1)
    one = worker(kafka, name, either.uri, None, MILLRACE_INFLUX_TAG_LIMIT="10",
                 MILLRACE_INFLUX_OVER_LIMIT="drop-tag", **either.settings(name))
    for first in (1, 101):
        produce(kafka, name, [event(n, {"n": n}, device=f"invented-{n % 100}")
                              for n in range(first, first + 30)])
        assert wait_settled(kafka, one, name, 0, first // 100 * 30 + 30) == []
    assert either.numbers("n", "load", name) == [*range(1, 31), *range(101, 131)]
    assert either.tag_values("device", "load", name) == {f"invented-{n}" for n in range(1, 11)}
    assert 'millrace_influx_over_limit_total{limit="tag"} 40' in one.metrics()


def test_a_time_far_ahead_is_dead(worker, kafka, either, name):
    either.create_database(name)
    kafka.create_topic(name, partitions=1)
    now = time.time()
    produce(kafka, name, [event(1, {"n": 1}, now + 3 * DAY), event(2, {"n": 2}, now + DAY / 2)])
    one = worker(kafka, name, either.uri, None, MILLRACE_INFLUX_FUTURE_MAX="24h",
                 **either.settings(name))
    (letter,) = wait_settled(kafka, one, name, 1, 2)
    assert letter.headers["millrace_dead_reason"] == "future"
    assert either.numbers("n", "load", name) == [2]


def test_both_apis_at_once_are_refused():
    done = subprocess.run([paths.INFLUX, "--check", "--influx.database=db", "--influx.bucket=b",
                           "--kafka.bootstrap.servers=127.0.0.1:1"], env=environment(),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "database" in done.stdout + done.stderr and "bucket" in done.stdout + done.stderr

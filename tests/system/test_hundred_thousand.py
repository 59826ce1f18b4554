# SPDX-License-Identifier: Apache-2.0
"""100,000 records over six partitions with one bad in a hundred, of every kind: every good point is
stored exactly once, every bad record is dead-lettered once, with the right reason; and when the
cause is mended, `millrace dead replay` brings in what can be brought in."""
import base64
import collections
import json
import random
import subprocess
import time

from lib import paths, records
from lib.programs import environment
from lib.waiting import wait_for

RECORDS = 100_000
PARTITIONS = 6
CHUNKS = 10  # between them what is no JSON
SECONDS = 180
RETENTION_DAYS = 30
DAY = 86400
OVERSIZED = 70_000  # InfluxDB takes no string over 65,536 bytes

# kind: (reason, words of the text or of the server)
KINDS = {
    "not-avro": ("not-an-event", ""),
    "unknown-encoding": ("not-an-event", ""),
    "wrong-json": ("mapping", "not valid JSON"),
    "nan": ("mapping", "not valid JSON"),
    "oversized": ("mapping", "over 65536"),
    "conflict": ("influxdb", "field type conflict"),
    "late": ("late", "retention"),
}


def event(number, now, kind):
    at = now - 90 * DAY if kind == "late" else now
    content = {"data": {"n": number}}
    if kind == "conflict":
        content = {"data": {"n": f"text {number}"}}
    elif kind == "oversized":
        content = {"data": {"n": number, "text": "x" * OVERSIZED}}
    elif kind in ("wrong-json", "nan"):
        text = '{"n":NaN}' if kind == "nan" else '{"n":1'
        content = {"data_base64": base64.b64encode(text.encode()).decode()}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return json.dumps({
        "specversion": "1.0", "id": f"e{number}", "source": "/app/dev", "type": "t",
        "subject": "load", "time": f"{stamp}.{number:06d}Z", "datacontenttype": "application/json",
        "application": "app", "device": f"dev-{number % 16}", **content})


def produce(kafka, topic, content_type, lines):
    if lines:
        kafka.kcat("-P", "-t", topic, "-X", "message.max.bytes=2000000",
                   "-H", f"content-type={content_type}", stdin="\n".join(lines).encode())


def make(kafka, topic):
    """{number: kind} of the bad ones."""
    rng = random.Random(5)
    bad = {number: rng.choice(sorted(KINDS))
           for number in rng.sample(range(1, RECORDS + 1), RECORDS // 100)}
    now = int(time.time())
    size = RECORDS // CHUNKS
    for chunk in range(CHUNKS):
        lines = collections.defaultdict(list)
        for number in range(chunk * size + 1, (chunk + 1) * size + 1):
            kind = bad.get(number)
            if kind in ("not-avro", "unknown-encoding"):
                lines[kind].append(f"no event e{number}")
            else:
                lines["json"].append(event(number, now, kind))
        produce(kafka, topic, "application/cloudevents+avro", lines["not-avro"])
        produce(kafka, topic, "application/cloudevents+xml", lines["unknown-encoding"])
        produce(kafka, topic, "application/cloudevents+json", lines["json"])
    assert kafka.count(topic) == RECORDS
    return bad


def number_of(letter):
    text = letter.value.decode()
    return int(json.loads(text)["id"][1:] if text.startswith("{") else text.rsplit(" e", 1)[1])


def replay(kafka, topic, reason):
    done = subprocess.run([paths.CLI, "dead", "replay", f"{topic}.dead", f"--reason={reason}",
                           "--yes", f"--kafka.bootstrap.servers={kafka.address}"],
                          capture_output=True, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr


def wait_committed(kafka, one, total):
    wait_for(lambda: sum(kafka.describe_group(one.group).values()) == total, SECONDS,
             lambda: f"{kafka.describe_group(one.group)}; {one.readyz()}", poll=0.5)


def test_good_ones_are_stored_and_bad_ones_are_dead(worker, kafka, either, name):
    either.create_database(name, RETENTION_DAYS)
    either.write(name, f"load n=0 {time.time_ns()}")
    kafka.create_topic(name, partitions=PARTITIONS)
    bad = make(kafka, name)
    one = worker(kafka, name, either.uri, None, **either.settings(name))
    wait_committed(kafka, one, RECORDS)
    good = [0, *(number for number in range(1, RECORDS + 1) if number not in bad)]
    assert either.numbers("n", "load", name) == good
    letters = records.read(kafka, f"{name}.dead")
    assert sorted(map(number_of, letters)) == sorted(bad)
    for letter in letters:
        reason, words = KINDS[bad[number_of(letter)]]
        headers = letter.headers
        assert headers["millrace_dead_reason"] == reason, headers
        said = headers.get("millrace_dead_server") if reason in ("influxdb", "late") \
            else headers["millrace_dead_text"]
        assert words in said, headers
    assert one.readyz()[0] == 200

    # The retention is lifted: what was late comes in.
    late = [number for number, kind in bad.items() if kind == "late"]
    either.keep_for_ever(name)
    replay(kafka, name, "late")
    wait_committed(kafka, one, RECORDS + len(late))
    assert either.numbers("n", "load", name) == sorted(good + late)

    # Texts get a database of their own: the conflicts come in. What is no event, or no JSON, or
    # too large is not mended by anything that an operator of millrace can do.
    conflicts = [number for number, kind in bad.items() if kind == "conflict"]
    one.kill()
    either.create_database(f"{name}-texts")
    one = worker(kafka, name, either.uri, None, **either.settings(f"{name}-texts"))
    replay(kafka, name, "influxdb")
    wait_committed(kafka, one, RECORDS + len(late) + len(conflicts))
    assert sorted(either.values("n", "load", f"{name}-texts")) == sorted(
        f"text {number}" for number in conflicts)
    assert len(records.read(kafka, f"{name}.dead")) == len(bad) + len(late) + len(conflicts), \
        "letters, and a mark for each that was replayed"

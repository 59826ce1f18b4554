# SPDX-License-Identifier: Apache-2.0
"""Dead letters that Kafka won't have as they are, and what /readyz says around them."""
import base64
import hashlib
import json
import os

from lib import records
from lib.load import event_time
from lib.waiting import wait_for

LETTER_BYTES_MAX = 100_000
LARGE_BYTES = 150_000
SMALL = 99
GOOD = 500


def event(number, data):
    return json.dumps({
        "specversion": "1.0", "id": f"e{number}", "source": "/app/dev", "type": "t",
        "subject": "load", "time": event_time(number), "datacontenttype": "application/json",
        "data": data})


def produce(kafka, topic, events):
    kafka.kcat("-P", "-t", topic, "-H", "content-type=application/cloudevents+json",
               stdin="\n".join(events).encode())


def test_one_that_is_too_large_for_its_topic_is_cut_and_stops_nothing(
        worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    kafka.create_topic(f"{name}.dead", partitions=1, max_message_bytes=LETTER_BYTES_MAX)
    one = worker(kafka, name, influx.uri, name)
    # Random bytes, so that compression doesn't make it fit.
    large = event(1, [base64.b64encode(os.urandom(LARGE_BYTES)).decode()])
    bad = [large] + [event(10 + number, [number]) for number in range(SMALL)]
    good = [event(1000 + number, {"n": number}) for number in range(GOOD)]
    produce(kafka, name, bad + good)

    wait_for(lambda: kafka.count(f"{name}.dead") == len(bad), 60,
             lambda: f"{kafka.count(f'{name}.dead')} of {len(bad)} letters; {one.readyz()}")
    wait_for(lambda: influx.count("n", "load", name) == GOOD, 30, "all good points")
    wait_for(lambda: kafka.describe_group(one.group) == {(name, 0): len(bad) + GOOD}, 30,
             "all is committed")
    one.wait_ready()
    letters = records.read(kafka, f"{name}.dead")
    (cut,) = [letter for letter in letters if "millrace_dead_size" in letter.headers]
    assert cut.headers["millrace_dead_offset"] == "0"
    assert cut.headers["millrace_dead_size"] == str(len(large))
    assert cut.headers["millrace_dead_sha256"] == hashlib.sha256(large.encode()).hexdigest()
    assert large.encode().startswith(cut.value)
    assert {letter.value.decode() for letter in letters if letter is not cut} == set(bad[1:])


def test_ready_again_though_what_had_waited_is_dead(worker, kafka, own_influx, name):
    own_influx.create_database(name)
    kafka.create_topic(name, partitions=1)
    own_influx.kill()
    one = worker(kafka, name, own_influx.uri, name, ready=False)
    produce(kafka, name, [event(1, [1])])
    one.wait_not_ready("sink")
    own_influx.start()
    wait_for(lambda: kafka.count(f"{name}.dead") == 1, 60, "the dead letter")
    one.wait_ready()

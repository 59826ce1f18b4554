# SPDX-License-Identifier: Apache-2.0
"""Missing topics are made at start as configured (the embedded broker can't do CreateTopics), and a
refusal of Kafka's is told."""
import http.client

import pytest

from lib.programs import Bridge, Worker
from lib.waiting import wait_for

PARTITIONS = 4  # neither the broker's default nor ours


def post(bridge, content):
    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
    try:
        connection.request("POST", "/v1/channel?device=one", content)
        return connection.getresponse().status
    finally:
        connection.close()


def start_bridge(run, kafka, topic, **settings):
    return run(Bridge, kafka.address, topic,
               **{f"MILLRACE_HTTP_{key}": value for key, value in settings.items()})


def start_worker(run, kafka, topic, **settings):
    return run(Worker, kafka.address, topic, "http://127.0.0.1:1", "nowhere",
               **{f"MILLRACE_INFLUX_{key}": value for key, value in settings.items()})


def test_the_bridges_topic(run, kafka, name):
    start_bridge(run, kafka, name, TOPIC_PARTITIONS=PARTITIONS).wait_ready()
    assert kafka.topics()[name] == PARTITIONS


def test_the_workers_topics(run, kafka, name):
    start_worker(run, kafka, f"{name},{name}-2", TOPIC_PARTITIONS=PARTITIONS)
    names = {name, f"{name}.dead", f"{name}-2", f"{name}-2.dead"}
    made = wait_for(lambda: {one: count for one, count in kafka.topics().items() if one in names}
                    if names <= set(kafka.topics()) else None, 30, f"topics {names}")
    assert set(made.values()) == {PARTITIONS}


def test_the_bridges_topic_is_made_again(run, kafka, name):
    """Deleted under a ready bridge, which goes on by itself."""
    one = start_bridge(run, kafka, name, TOPIC_PARTITIONS=PARTITIONS).wait_ready()
    assert post(one, b"before") == 202
    kafka.delete_topic(name)
    wait_for(lambda: "condition lost\" condition=topic" in one.log_text(), 30, "it is missed")
    wait_for(lambda: kafka.topics().get(name) == PARTITIONS, 30, "it is there again")
    wait_for(lambda: post(one, b"after") == 202, 30, "an event is stored")
    one.wait_ready()
    assert kafka.count(name) == 1


@pytest.mark.parametrize("start", [start_bridge, start_worker])
def test_a_refusal_is_told(run, kafka, name, start):
    """There is one broker."""
    reason = start(run, kafka, name, TOPIC_REPLICATION=2).wait_not_ready(f"create topic '{name}': ")
    assert "eplication factor" in reason
    assert name not in kafka.topics()


def test_a_bridge_without_create_waits(run, kafka, name):
    one = start_bridge(run, kafka, name, TOPIC_CREATE="false")
    one.wait_not_ready(f"'{name}' is missing")
    assert name not in kafka.topics()
    kafka.create_topic(name)
    one.wait_ready()


def test_a_worker_without_create_waits(run, kafka, name):
    one = start_worker(run, kafka, name, TOPIC_CREATE="false")
    one.wait_not_ready(f"'{name}' is missing")
    kafka.create_topic(name)
    one.wait_not_ready(f"'{name}.dead' is missing")
    kafka.create_topic(f"{name}.dead")
    wait_for(lambda: "msg=subscribed" in one.log_text(), 30, "it has subscribed")

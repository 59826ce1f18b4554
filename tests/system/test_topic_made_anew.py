# SPDX-License-Identifier: Apache-2.0
"""The topic is deleted and made again beneath a running worker: all its new events become points."""
import re

from lib.load import CHANNEL, Load
from lib.waiting import wait_for

CONNECTIONS = 4
NEW_FIRST = 1_000_000  # so that no new event's point is an old one's
LONG_SESSION = {"MILLRACE_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "45000"}


def store(bridge, kafka, topic, count, first):
    """At least `count` events, through a bridge that knows no other topic of that name; their
    numbers."""
    one = bridge(kafka, topic)
    with Load(one.port, "device", CONNECTIONS, pause_seconds=0.002, first=first) as load:
        load.wait_stored(count)
    one.kill()
    return {answer.number for answer in load.of(202)}


def make_anew(kafka, topic):
    kafka.delete_topic(topic)
    wait_for(lambda: topic not in kafka.topics(), 20, "the topic is gone")
    kafka.create_topic(topic, partitions=2)


def wait_points(influx, name, numbers):
    def missing():
        return numbers - {int(value) for value in influx.values("n", CHANNEL, name)}
    wait_for(lambda: not missing(), 60, lambda: f"{len(missing())} of {len(numbers)} are missing")


def wait_committed(kafka, group, topic):
    """Until all that is in the topic is committed, and nothing else."""
    wait_for(lambda: sum(kafka.describe_group(group).values()) == kafka.count(topic), 60,
             lambda: f"{kafka.describe_group(group)}, records: {kafka.count(topic)}")


def begin(bridge, worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, influx.uri, name, **LONG_SESSION)
    wait_points(influx, name, store(bridge, kafka, name, 400, first=1))
    return one


def test_unseen_by_the_worker(bridge, worker, kafka, influx, name):
    """The worker doesn't run meanwhile: for it the offsets begin anew within one assignment."""
    one = begin(bridge, worker, kafka, influx, name)
    one.freeze()
    make_anew(kafka, name)
    new = store(bridge, kafka, name, 100, first=NEW_FIRST)
    one.thaw()
    wait_points(influx, name, new)
    new = store(bridge, kafka, name, 800, first=2 * NEW_FIRST)
    wait_points(influx, name, new)
    wait_committed(kafka, one.group, name)
    assert "offsets begin anew" in one.log_text()
    assert one.terminate() == 0


def test_it_is_ready_again_without_a_record(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, influx.uri, name, **LONG_SESSION)
    kafka.delete_topic(name)
    one.wait_not_ready("topic")
    kafka.create_topic(name, partitions=2)
    one.wait_ready()


def test_a_worker_whose_topic_was_deleted_ends(worker, kafka, influx, name):
    """librdkafka 2.0.2 never destroys a consumer one of whose topics was deleted."""
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, influx.uri, name, **LONG_SESSION)
    kafka.delete_topic(name)
    one.wait_not_ready("topic")
    assert one.terminate() == 0


def test_before_the_workers_eyes(bridge, worker, kafka, influx, name):
    """It sees the topic go, and come back with more records than before: the old position is in the
    midst of them."""
    one = begin(bridge, worker, kafka, influx, name)
    make_anew(kafka, name)
    new = store(bridge, kafka, name, 800, first=NEW_FIRST)
    wait_points(influx, name, new)
    wait_committed(kafka, one.group, name)
    assert one.terminate() == 0


def test_with_the_latest_what_came_before_the_worker_saw_it_again_is_read(bridge, worker, kafka,
                                                                          influx, name):
    """`start` speaks of new groups, and this one isn't."""
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    one = worker(kafka, name, influx.uri, name, MILLRACE_INFLUX_START="latest", **LONG_SESSION)
    kafka.delete_topic(name)
    one.wait_not_ready("topic")
    one.freeze()
    wait_for(lambda: name not in kafka.topics(), 20, "the topic is gone")
    kafka.create_topic(name, partitions=2)
    new = store(bridge, kafka, name, 100, first=1)
    one.thaw()
    wait_points(influx, name, new)
    assert one.terminate() == 0


def test_while_the_sink_is_away(bridge, worker, kafka, own_influx, name):
    """Enough is in memory, so that nothing is read: the worker learns all the same that the topic
    has gone, and commits none of its offsets to the new one."""
    influx = own_influx
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    store(bridge, kafka, name, 600, first=1)
    influx.freeze()
    one = worker(kafka, name, influx.uri, name, ready=False, **LONG_SESSION,
                 MILLRACE_INFLUX_PENDING_COUNT="50", MILLRACE_KAFKA_LOG_LEVEL="0")
    wait_for(lambda: len(re.findall(r"^millrace_worker_paused.* 1$", one.metrics(), re.M)) == 2, 20,
             "both partitions are full")
    make_anew(kafka, name)
    new = store(bridge, kafka, name, 600, first=NEW_FIRST)
    influx.thaw()
    wait_points(influx, name, new)
    wait_committed(kafka, one.group, name)
    assert one.terminate() == 0

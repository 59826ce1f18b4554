# SPDX-License-Identifier: Apache-2.0
"""Membership of the consumer group: a worker that reads nothing doesn't say that it is ready."""
import re

from lib.load import Load
from lib.waiting import wait_for

STRATEGY = "MILLRACE_KAFKA_CONSUMER_PARTITION_ASSIGNMENT_STRATEGY"


def test_one_that_the_group_does_not_take_is_not_ready(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name, partitions=2)
    first = worker(kafka, name, influx.uri, name)
    first.freeze()
    wait_for(lambda: "no active members" in kafka.group_state(first.group), 30,
             "the group has forgotten it")
    second = worker(kafka, name, influx.uri, name, **{STRATEGY: "range"})
    first.thaw()
    first.wait_not_ready("group")
    assert second.terminate() == 0
    first.wait_ready()


def partitions_of(one):
    return len(re.findall(r"^millrace_worker_lag_records\{", one.metrics(), re.M))


def test_a_member_that_is_slow_to_let_go_costs_the_others_nothing(bridge, worker, kafka, influx,
                                                                  own_influx, name):
    """Its sink hangs for 14 s when a third member comes, so that the group answers none of them
    sooner; the quick one keeps what it has."""
    influx.create_database(name)
    own_influx.create_database(name)
    kafka.create_topic(name, partitions=6)
    settings = {"MILLRACE_KAFKA_CONSUMER_SESSION_TIMEOUT_MS": "45000"}
    with Load(bridge(kafka, name).port, "device", 4, pause_seconds=0.004) as load:
        quick = worker(kafka, name, influx.uri, name, **settings)
        slow = worker(kafka, name, own_influx.uri, name, MILLRACE_INFLUX_TIMEOUT="14s", **settings)
        wait_for(lambda: partitions_of(quick) == partitions_of(slow) == 3, 30, "three each")
        own_influx.freeze()
        load.wait_stored(200)
        third = worker(kafka, name, influx.uri, name, ready=False, **settings)
        wait_for(lambda: partitions_of(quick) == partitions_of(third) == 2, 60, "two each")
    own_influx.thaw()
    for one in (quick, slow, third):
        assert "partitions are lost" not in one.log_text()
        assert one.terminate() == 0

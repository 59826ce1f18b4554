# SPDX-License-Identifier: Apache-2.0
"""Membership of the consumer group: a worker that reads nothing doesn't say that it is ready."""
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

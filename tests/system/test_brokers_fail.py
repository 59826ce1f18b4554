# SPDX-License-Identifier: Apache-2.0
"""Three brokers of which one fails: the leader is killed in mid-batch, then the coordinator, then each
is frozen in turn. Bridge and worker go on by themselves, nothing is lost, nothing is committed that
isn't stored, and no commit goes backwards."""
from lib import records
from lib.load import CHANNEL, Load
from lib.waiting import wait_for
from test_worker_killed import assert_commits_only_grow

CONNECTIONS = 4
MORE = 60  # events and points that show that it goes on


def wait_more_points(influx, name, seconds=40):
    points = influx.count("n", CHANNEL, name)
    wait_for(lambda: influx.count("n", CHANNEL, name) >= points + MORE, seconds,
             lambda: f"{influx.count('n', CHANNEL, name) - points} points more")


def goes_on(load, influx, name):
    load.wait_stored(MORE, 40)
    wait_more_points(influx, name)


def kill_and_start(cluster, node, load, influx, name):
    node.kill()
    goes_on(load, influx, name)
    node.launch()
    wait_for(cluster.is_whole, 60, "the killed one has caught up", poll=0.5)


def test_one_broker_fails(bridge, worker, cluster, own_influx, name):
    influx = own_influx
    influx.create_database(name)
    cluster.create_topic(name, partitions=4)
    port = bridge(cluster, name).port
    one = worker(cluster, name, influx.uri, name)
    with Load(port, "device", CONNECTIONS, pause_seconds=0.005) as load:
        goes_on(load, influx, name)
        influx.freeze()  # so that a batch is in hand
        load.wait_stored(MORE)
        leader = cluster.leader(name, 0)
        leader.kill()
        influx.thaw()
        kill_and_start(cluster, leader, load, influx, name)
        kill_and_start(cluster, cluster.coordinator(one.group), load, influx, name)
        for node in cluster.nodes.values():
            node.freeze()
            goes_on(load, influx, name)
            node.thaw()
            wait_for(cluster.is_whole, 60, "the frozen one has caught up", poll=0.5)
    numbers = {int(id_.split("-")[1]) for id_ in records.ids(cluster, name)}
    assert {answer.number for answer in load.of(202)} <= numbers
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), 60,
             lambda: f"{influx.count('n', CHANNEL, name)} of {len(numbers)} points")
    assert set(map(int, influx.values("n", CHANNEL, name))) == numbers
    one.wait_ready()
    wait_for(lambda: sum(cluster.describe_group(one.group).values()) == cluster.count(name), 60,
             "all is committed", poll=0.5)
    assert one.terminate() == 0
    committed = assert_commits_only_grow(cluster.commits(one.group))
    assert sum(committed.values()) == cluster.count(name)

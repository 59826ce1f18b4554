# SPDX-License-Identifier: Apache-2.0
"""InfluxDB refusing, hanging, slow and restarted: the worker says so, waits in bounded memory, and
afterwards every event is a point."""
import pytest

from lib import records
from lib.load import CHANNEL, Load
from lib.servers import Proxy
from lib.waiting import wait_for

CONNECTIONS = 6
RECOVERY_SECONDS = 90

# More than the worker may hold: 20,000 events of 4 kB are 80 MB.
BACKLOG_EVENTS = 40_000  # 160 MB, of which a fraction may be in memory
BACKLOG_PADDING = 4_000
MEMORY_MB_MAX = 96


def refuse(influx):
    influx.kill()
    return influx.start


def hang(influx):
    influx.freeze()
    return influx.thaw


def wait_points(influx, name, numbers):
    wait_for(lambda: influx.count("n", CHANNEL, name) >= len(numbers), RECOVERY_SECONDS,
             lambda: f"{influx.count('n', CHANNEL, name)} of {len(numbers)} points", poll=0.2)
    assert sorted(influx.values("n", CHANNEL, name)) == sorted(numbers)


@pytest.mark.parametrize("outage", [refuse, hang])
def test_everything_is_there_after_an_outage(bridge, worker, kafka, own_influx, name, outage):
    own_influx.create_database(name)
    port = bridge(kafka, name).port
    one = worker(kafka, name, own_influx.uri, name, MILLRACE_INFLUX_TIMEOUT="2s")
    with Load(port, "device", CONNECTIONS) as load:
        load.wait_stored(200)
        restore = outage(own_influx)
        load.wait_stored(500)
        reason = one.wait_not_ready("influxdb")
        assert str(own_influx.port) in reason
        restore()
        one.wait_ready(RECOVERY_SECONDS)
    assert load.statuses() == {202}, "devices don't notice"
    wait_points(own_influx, name, {answer.number for answer in load.of(202)})
    assert one.readyz()[0] == 200


def test_a_slow_influxdb_is_waited_for_in_bounded_memory(worker, kafka, influx, name):
    influx.create_database(name)
    kafka.create_topic(name)
    numbers = set(range(1, BACKLOG_EVENTS + 1))
    records.produce_json(kafka, name, numbers, BACKLOG_PADDING)
    with Proxy(influx.port) as proxy:
        proxy.delay_seconds = 0.5
        one = worker(kafka, name, proxy.uri, name)
        wait_for(lambda: len(proxy.written) >= 12, 60, "writes go on")
        proxy.delay_seconds = 0
        wait_points(influx, name, numbers)
    assert one.rss_max_mb() <= MEMORY_MB_MAX


def test_a_backlog_of_an_outage_is_held_in_bounded_memory(worker, kafka, own_influx, name):
    own_influx.create_database(name)
    kafka.create_topic(name)
    numbers = set(range(1, BACKLOG_EVENTS + 1))
    own_influx.freeze()
    one = worker(kafka, name, own_influx.uri, name, ready=False, MILLRACE_INFLUX_TIMEOUT="2s")
    one.wait_not_ready("influxdb")
    records.produce_json(kafka, name, numbers, BACKLOG_PADDING)
    one.wait_not_ready("influxdb")
    own_influx.thaw()
    one.wait_ready(RECOVERY_SECONDS)
    wait_points(own_influx, name, numbers)
    assert one.rss_max_mb() <= MEMORY_MB_MAX


def test_restarts_under_load_lose_nothing(bridge, worker, kafka, own_influx, name, rounds):
    own_influx.create_database(name)
    port = bridge(kafka, name).port
    worker(kafka, name, own_influx.uri, name)
    with Load(port, "device", CONNECTIONS, pause_seconds=0.002) as load:
        for _ in range(rounds):
            points = own_influx.count("n", CHANNEL, name)
            wait_for(lambda: own_influx.count("n", CHANNEL, name) > points, RECOVERY_SECONDS,
                     "points come", poll=0.1)
            own_influx.kill()
            load.wait_stored(100)
            own_influx.start()
    wait_points(own_influx, name, {answer.number for answer in load.of(202)})


@pytest.mark.parametrize("status", [401, 404, 413, 429, 500, 503])
def test_an_answer_that_is_no_success_is_waited_on(bridge, worker, kafka, influx, name, status):
    """Nothing is dropped, whatever InfluxDB or a proxy before it says."""
    influx.create_database(name)
    port = bridge(kafka, name).port
    with Proxy(influx.port) as proxy:
        proxy.answer = (status, b'{"error":"scripted"}')
        one = worker(kafka, name, proxy.uri, name, ready=False)
        with Load(port, "device", 2) as load:
            load.wait_stored(20)
        one.wait_not_ready(f": {status} ")
        assert not any(kafka.describe_group(one.group).values()), "no record may be committed"
        proxy.answer = None
        wait_points(influx, name, {answer.number for answer in load.of(202)})
        one.wait_ready()

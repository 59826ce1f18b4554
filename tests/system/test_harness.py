# SPDX-License-Identifier: Apache-2.0
"""The servers themselves, so that a failure elsewhere is ours."""
import urllib.error
import urllib.request

import pytest

from conftest import need_built
from lib import paths, records
from lib.servers import Proxy


def test_kafka_stores_and_its_tools_show_records(kafka, name):
    kafka.create_topic(name, partitions=2)
    kafka.kcat("-P", "-t", name, "-p", "1", "-k", "key", "-H", "ce_id=1", stdin=b"value\x00\xff")
    assert kafka.topics()[name] == 2
    assert kafka.count(name) == 1
    (record,) = records.read(kafka, name)
    assert (record.partition, record.offset, record.key) == (1, 0, b"key")
    assert record.value == b"value\x00\xff"
    assert record.headers == {"ce_id": "1"}
    assert "ce_id:1" in kafka.console_consumer(name, "--formatter-property", "print.headers=true")


def test_kafka_tells_every_commit(kafka, name):
    kafka.create_topic(name, partitions=1)
    kafka.kcat("-P", "-t", name, stdin=b"a\nb\nc\n")
    kafka.kcat("-G", name, "-X", "auto.offset.reset=earliest", "-c", "2", name)
    kafka.kcat("-G", name, "-c", "1", name)
    assert kafka.describe_group(name) == {(name, 0): 3}
    offsets = [offset for topic, partition, offset in kafka.commits(name)]
    assert offsets[-1] == 3 and offsets == sorted(offsets) and 2 in offsets


def test_kafka_frozen_killed_and_started_again_keeps_its_records(own_kafka, name):
    own_kafka.create_topic(name, partitions=1)
    own_kafka.kcat("-P", "-t", name, stdin=b"kept")
    own_kafka.freeze()
    assert own_kafka.kcat("-L", "-m", "1", check=False).returncode != 0
    own_kafka.thaw()
    own_kafka.kill()
    own_kafka.start()
    assert [one.value for one in records.read(own_kafka, name)] == [b"kept"]


def test_influxdb_keeps_points_and_the_proxy_records_them(influx, name):
    influx.create_database(name)
    with Proxy(influx.port) as proxy:
        for line in (b"m,a=b v=1 10", b"m,a=b v=2 20"):
            request = urllib.request.Request(f"{proxy.uri}/write?db={name}", line)
            assert urllib.request.urlopen(request).status == 204
        proxy.answer = (503, b"{}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{proxy.uri}/write?db={name}", b"m v=3 30")
        assert caught.value.code == 503
    assert [one.lines() for one in proxy.written] == [
        ["m,a=b v=1 10"], ["m,a=b v=2 20"], ["m v=3 30"]]
    assert influx.values("v", "m", name) == [1, 2]
    assert influx.count("v", "m", name) == 2
    assert influx.count("v", "nothing", name) == 0


def test_two_avro_readers_agree_and_refuse_what_is_left_over():
    need_built(paths.AVRO_CAT)
    value = records.encode({"id": "1", "n": 7, "yes": True}, b"\xff\x01ab")
    event = records.Record(0, 0, 0, b"", value, {}).event()
    assert event == {"attribute": {"id": "1", "n": 7, "yes": True}, "data": b"\xff\x01ab"}
    assert records.avro_c(value) == {
        "attribute": {"id": {"string": "1"}, "n": {"int": 7}, "yes": {"boolean": True}},
        "data": {"bytes": "\u00ff\x01ab"}}
    with pytest.raises(AssertionError):
        records.Record(0, 0, 0, b"", value + b"x", {}).event()
    with pytest.raises(AssertionError):
        records.avro_c(value + b"x")

# SPDX-License-Identifier: Apache-2.0
"""Each program under valgrind: works against the embedded broker, gets SIGTERM, exits with status
0, and neither leaks nor touches memory that isn't its own."""
import shutil

import pytest

from conftest import need, need_built
from lib import paths
from lib.load import Load
from lib.process import Process
from lib.programs import Bridge, Dev, Mqtt, Worker, environment
from lib.publishers import Client
from lib.servers import Proxy
from lib.waiting import listens, wait_for

pytestmark = pytest.mark.leaks

EVENTS = 30
SLOW_SECONDS = 90  # valgrind is some 30 times slower
FOUND = 99
VALGRIND = ["valgrind", "-q", f"--error-exitcode={FOUND}", "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect,possible",
            "--show-leak-kinds=definite,indirect,possible",
            f"--suppressions={paths.ROOT / 'tests' / 'valgrind.supp'}"]


@pytest.fixture
def broker(run):
    need_built(paths.CLI)
    need(None if shutil.which("valgrind") else
         "valgrind is missing: packaging/install-packages system")
    dev = run(Dev)
    wait_for(lambda: listens(dev.port), 20, "millrace dev listens")
    return dev


def end(program):
    status = program.terminate(SLOW_SECONDS)
    assert status != FOUND, f"valgrind found something: {program.log_text()[-6000:]}"
    assert status == 0


def test_bridge(run, broker, name):
    need_built(paths.HTTP)
    one = run(Bridge, broker.address, "events", wrapper=VALGRIND).wait_ready(SLOW_SECONDS)
    with Load(one.port, "device", 4) as load:
        load.wait_stored(EVENTS, SLOW_SECONDS)
    end(one)


def test_bridge_that_never_reached_kafka(run, broker, name):
    need_built(paths.HTTP)
    one = run(Bridge, "127.0.0.1:1", "events", wrapper=VALGRIND)
    one.wait_not_ready("kafka", SLOW_SECONDS)
    end(one)


def test_worker(run, broker, name):
    need_built(paths.INFLUX)
    bridge = run(Bridge, broker.address, "events").wait_ready()
    with Proxy(0) as sink:
        sink.answer = (204, b"")
        one = run(Worker, broker.address, "events", sink.uri, "db", wrapper=VALGRIND)
        one.wait_ready(SLOW_SECONDS)
        with Load(bridge.port, "device", 4) as load:
            load.wait_stored(EVENTS)
        wait_for(lambda: sum(len(one.lines()) for one in sink.written if one.body) >= EVENTS,
                 SLOW_SECONDS, "the points are written")
        end(one)


def test_worker_whose_influxdb_refuses(run, broker, name):
    need_built(paths.INFLUX)
    bridge = run(Bridge, broker.address, "events").wait_ready()
    with Proxy(0) as sink:
        sink.answer = (503, b"{}")
        one = run(Worker, broker.address, "events", sink.uri, "db", wrapper=VALGRIND)
        with Load(bridge.port, "device", 4) as load:
            load.wait_stored(EVENTS)
        one.wait_not_ready("influxdb", SLOW_SECONDS)
        end(one)


def test_mqtt_bridge(run, broker, mosquitto, name):
    need_built(paths.MQTT)
    devices = mosquitto()
    one = run(Mqtt, devices.address, broker.address, "events", wrapper=VALGRIND)
    one.wait_ready(SLOW_SECONDS)
    with Client(devices) as client:
        for number in range(EVENTS):
            client.publish("climate/d", str(number), UserProperty=[("number", str(number))])
        client.publish("climate", b"no device", UserProperty=[("a", "b")])
    wait_for(lambda: one.sample("millrace_mqtt_messages_total", outcome="stored") == EVENTS and
             one.sample("millrace_mqtt_messages_total", outcome="dead") == 1, SLOW_SECONDS,
             "all are stored, and the one without a device is dead")
    end(one)


def test_mqtt_bridge_that_never_reached_its_broker(run, broker, name):
    need_built(paths.MQTT)
    one = run(Mqtt, "127.0.0.1:1", broker.address, "events", wrapper=VALGRIND)
    one.wait_not_ready("mqtt", SLOW_SECONDS)
    end(one)


def send(logs, lines, *words):
    """`millrace send`; returns what it said."""
    device = Process("millrace send", [*VALGRIND, paths.CLI, "send", "--lines", f"--input={lines}",
                                       *words], logs / "send.log", env=environment())
    status = device.wait(SLOW_SECONDS)
    assert status != FOUND, f"valgrind found something: {device.log_text()[-6000:]}"
    return device.log_text()


def test_devices(run, broker, mosquitto, name, logs, tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("1\n" * EVENTS)
    bridge = run(Bridge, broker.address, "events").wait_ready()
    devices = mosquitto()
    run(Mqtt, devices.address, broker.address, "events").wait_ready()
    whole = f"{EVENTS} of {EVENTS} acknowledged"
    url = f"--url=http://127.0.0.1:{bridge.port}"
    assert whole in send(logs, lines, "t", "--device=d", url)
    assert "30 refused" in send(logs, lines, "t", "--device=", url)
    over_mqtt = ("t/d", "--mqtt", f"--broker={devices.address}")
    assert whole in send(logs, lines, *over_mqtt)
    assert whole in send(logs, lines, *over_mqtt, "--protocol=3.1.1")
    nowhere = ("--timeout=1s", "t", "--device=d")
    assert "given up" in send(logs, lines, "--url=http://127.0.0.1:1", *nowhere)
    assert "given up" in send(logs, lines, "--mqtt", "--broker=127.0.0.1:1", *nowhere)


def test_embedded_broker(run, name, broker):
    dev = run(Dev, wrapper=VALGRIND)
    wait_for(lambda: listens(dev.port), SLOW_SECONDS, "millrace dev listens")
    end(dev)

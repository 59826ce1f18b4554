# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import re
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from lib import influx as influx_lib
from lib import kafka as kafka_lib
from lib import mosquitto as mosquitto_lib
from lib import paths, process, waiting
from lib.authority import Authority
from lib.programs import Bridge, Mqtt, Worker
from lib.publishers import Publishers

IN_CI = os.environ.get("CI") == "true"
LOG_LINES_SHOWN = 40

# With pytest-xdist each process has servers of its own; their logs are told apart by its name.
PROCESS = "".join(f"-{name}" for name in [os.environ.get("PYTEST_XDIST_WORKER")] if name)

LONG_FIRST = ["test_brokers_fail", "test_rebalance_storm", "test_mqtt_killed", "test_influx_salvage",
              "test_kafka_outage", "test_transactions", "test_influx_outage", "test_worker_retry",
              "test_topic_made_anew", "test_quickstart", "test_mqtt_group", "test_hundred_thousand",
              "test_harness", "test_worker_killed", "test_group", "test_shutdown"]


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=3, help="how often the kill -9 tests kill")
    parser.addoption("--storm", type=int, default=60, help="how long workers come and go, seconds")


def pytest_configure(config):
    config.addinivalue_line("markers", "leaks: under valgrind, against the embedded broker")
    if not hasattr(config, "workerinput"):  # before any of pytest-xdist's processes is started
        for log in paths.LOGS.glob("*.log"):
            log.unlink()
        waiting.forget_ports()


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that nobody waits for it at the end."""
    def place(item):
        return LONG_FIRST.index(item.path.stem) if item.path.stem in LONG_FIRST else len(LONG_FIRST)
    items.sort(key=place)


def pytest_sessionfinish():
    process.end_all()


@pytest.fixture(scope="session")
def rounds(request):
    return request.config.getoption("--rounds")


@pytest.fixture(scope="session")
def storm_seconds(request):
    return request.config.getoption("--storm")


def need(missing):
    """What isn't there is skipped, loudly; never with CI=true."""
    if missing and IN_CI:
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)


def need_built(path):
    """Of our own making: never skipped."""
    assert path.exists(), f"{path.relative_to(paths.ROOT)} isn't built"


@pytest.fixture(scope="session")
def scratch():
    """A folder of this run; the servers' data."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(scratch):
    """The broker that no test harms."""
    need(kafka_lib.missing())
    broker = kafka_lib.Kafka(scratch / "kafka", paths.LOGS / f"kafka{PROCESS}.log").start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def influx(scratch):
    """The InfluxDB that no test harms."""
    need(influx_lib.missing())
    server = influx_lib.Influx(scratch / "influx", paths.LOGS / f"influxd{PROCESS}.log").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def influx2(scratch):
    """The InfluxDB 2.x that no test harms. Debian hasn't it: without it there is a loud skip, in
    CI too."""
    if influx_lib.missing2():
        pytest.skip(influx_lib.missing2())
    server = influx_lib.Influx2(scratch / "influx2", paths.LOGS / f"influxd2{PROCESS}.log").start()
    yield server
    server.stop()


@pytest.fixture(params=["influx", "influx2"])
def either(request):
    """A test for each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def name(request):
    """Of this test, fit for a topic and a database."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


@pytest.fixture
def logs(name):
    folder = paths.LOGS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def own_kafka(scratch, name, logs):
    """A broker for a test that kills or freezes it."""
    need(kafka_lib.missing())
    broker = kafka_lib.Kafka(scratch / f"kafka-{name}", logs / "kafka.log").start()
    yield broker
    broker.stop()


@pytest.fixture
def cluster(scratch, name, logs):
    """Three brokers, for a test that kills and freezes them."""
    need(kafka_lib.missing())
    brokers = kafka_lib.Cluster(scratch / f"cluster-{name}", logs).start()
    yield brokers
    brokers.stop()


@pytest.fixture
def own_influx(scratch, name, logs):
    need(influx_lib.missing())
    server = influx_lib.Influx(scratch / f"influx-{name}", logs / "influxd.log").start()
    yield server
    server.stop()


@pytest.fixture
def mosquitto(scratch, name, logs):
    """mosquitto(...): a started one, with the settings of lib.mosquitto.Mosquitto."""
    need(mosquitto_lib.missing())
    started = []

    def start(**settings):
        folder = scratch / f"mosquitto-{name}-{len(started)}"
        started.append(mosquitto_lib.Mosquitto(folder, logs / "mosquitto.log", **settings))
        return started[-1].start()
    yield start
    for one in started:
        one.stop()


@pytest.fixture
def authority(tmp_path):
    """Of certificates; it has made one for a server at localhost."""
    need(None if shutil.which("openssl") else
         "openssl is missing: packaging/install-packages system")
    made = Authority(tmp_path)
    made.issue("server", "/CN=localhost")
    return made


@pytest.fixture
def devices(logs):
    """devices(mosquitto, count, ...): 30 that publish; see lib.publishers.Publishers."""
    need_built(paths.MQTT_PUBLISH)
    started = []

    def start(broker, count, **settings):
        started.append(Publishers(broker, logs / "devices.log", count, **settings))
        return started[-1]
    yield start
    for one in started:
        one.kill()


@pytest.fixture
def run(logs):
    """Starts programs; they end with the test."""
    started = []

    def start(kind, *arguments, **settings):
        log = logs / f"{kind.__name__.lower()}.log"
        one = kind(log, *arguments, **settings)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def bridge(run):
    """bridge(kafka, topic, ...): a ready millrace-http."""
    need_built(paths.HTTP)

    def start(kafka, topic, **settings):
        return run(Bridge, kafka.address, topic, **settings).wait_ready()
    return start


@pytest.fixture
def mqtt(run):
    """mqtt(mosquitto, kafka, topic, ...): a ready millrace-mqtt, unless ready=False."""
    need_built(paths.MQTT)

    def start(broker, kafka, topic, ready=True, **settings):
        one = run(Mqtt, broker.address, kafka.address, topic, **settings)
        return one.wait_ready() if ready else one
    return start


@pytest.fixture
def worker(run):
    """worker(kafka, topic, influx_uri, database, ...): a ready millrace-influx."""
    need_built(paths.INFLUX)

    def start(kafka, topic, influx_uri, database, ready=True, **settings):
        one = run(Worker, kafka.address, topic, influx_uri, database, **settings)
        return one.wait_ready() if ready else one
    return start


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows the ends of the logs that the test's processes wrote."""
    report = (yield).get_result()
    folder = item.funcargs.get("logs") if hasattr(item, "funcargs") else None
    if report.failed and folder is not None:
        for log in sorted(folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"end of {log.relative_to(paths.ROOT)}", "\n".join(lines)))

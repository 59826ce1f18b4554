# SPDX-License-Identifier: Apache-2.0
"""`millrace send` through a real mosquitto and the bridges, and what then is in a real Kafka."""
import json
import os
import shutil
import subprocess
import threading

import pytest

from conftest import need, need_built
from lib import paths, records
from lib.process import Process
from lib.programs import environment, parse_metrics
from lib.waiting import wait_for

# Three levels, so that no ready-made route's filter takes them too: a broker may send such twice.
ROUTES = """\
[route events]
topic = ce/+/+
content = application/cloudevents+json
"""
EVENT = {
    "specversion": "1.0", "id": "7", "source": "/farm/d", "type": "x.y", "subject": "climate",
    "time": "2010-01-01T00:00:00Z", "application": "farm", "device": "d", "count": "3",
    "datacontenttype": "application/json", "data": {"celsius": 21.5},
}
MANY = 6000
SECONDS = 60


def send(*words, stdin="", **settings):
    """(status, what it said)"""
    need_built(paths.CLI)
    done = subprocess.run([paths.CLI, "send", *words], input=stdin, capture_output=True, text=True,
                          timeout=SECONDS, env=environment(**settings))
    return done.returncode, done.stdout + done.stderr


def over_mqtt(broker, *words, **settings):
    return send("--mqtt", f"--broker={broker.address}", *words, **settings)


def only_event(kafka, topic):
    found = wait_for(lambda: records.read(kafka, topic), 30, "the record")
    assert len(found) == 1
    return found[0].event()


def test_version_5_says_everything_by_properties(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    mqtt(broker, kafka, name)
    status, said = over_mqtt(broker, "climate", '{"celsius": 21.5}', "--application=farm",
                             "--device=sensor-1", "--id=reading 1", "--time=2010-01-01T00:00:00Z",
                             "--properties=model=x%2Cy")
    assert (status, said) == (0, "1 of 1 acknowledged\n")
    event = only_event(kafka, name)
    assert event["data"] == b'{"celsius": 21.5}'
    expected = {"subject": "climate", "application": "farm", "device": "sensor-1",
                "id": "reading 1", "time": "2010-01-01T00:00:00Z", "model": "x,y",
                "datacontenttype": "application/json", "source": "/farm/sensor-1",
                "mqtttopic": "climate"}
    assert {key: event["attribute"].get(key) for key in expected} == expected


def test_version_3_1_1_says_it_by_the_topic(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    mqtt(broker, kafka, name)
    status, said = over_mqtt(broker, "--protocol=3.1.1", "climate/sensor-1", '{"celsius": 21.5}')
    assert (status, said) == (0, "1 of 1 acknowledged\n")
    event = only_event(kafka, name)
    assert event["data"] == b'{"celsius": 21.5}'
    assert event["attribute"]["subject"] == "climate"
    assert event["attribute"]["device"] == "sensor-1"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_an_event_comes_through_as_it_was(mosquitto, mqtt, kafka, name, protocol):
    broker = mosquitto()
    mqtt(broker, kafka, name, configuration=ROUTES)
    status, said = over_mqtt(broker, "ce/farm/d", "--events", f"--protocol={protocol}",
                             stdin=json.dumps(EVENT))
    assert (status, said) == (0, "1 of 1 acknowledged\n")
    event = only_event(kafka, name)
    assert json.loads(event["data"]) == EVENT["data"]
    expected = {key: value for key, value in EVENT.items() if key != "data"}
    assert {key: event["attribute"].get(key) for key in expected} == expected


def test_what_tail_prints_can_be_sent_again(bridge, kafka, name):
    first = bridge(kafka, name)
    second = bridge(kafka, f"{name}-2")
    status, _ = send("climate", "--lines", "--device=d", f"--url=http://127.0.0.1:{first.port}",
                     stdin="1\ntwo\n{\"three\":3}\n")
    assert status == 0
    tail = subprocess.run([paths.CLI, "tail", name, f"--kafka.bootstrap.servers={kafka.address}"],
                          capture_output=True, text=True, timeout=SECONDS, env=environment())
    status, said = send("-e", f"--url=http://127.0.0.1:{second.port}", stdin=tail.stdout)
    assert (status, said) == (0, "3 of 3 acknowledged\n")

    def events(topic):
        return sorted((record.event() for record in records.read(kafka, topic)), key=str)
    assert events(f"{name}-2") == events(name)


def test_a_broker_that_nobody_reads_from_is_no_success(mosquitto):
    broker = mosquitto()
    status, said = over_mqtt(broker, "climate", "1", "--device=d")
    assert status == 1
    assert "nobody subscribes" in said and "0 of 1 acknowledged, 1 refused" in said


def test_user_and_password(mosquitto, scratch, name):
    need(None if shutil.which("mosquitto_passwd") else "mosquitto_passwd is missing")
    passwords = scratch / f"{name}.passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "right"], check=True)
    os.chmod(passwords, 0o600)
    secret = scratch / f"{name}.secret"
    secret.write_text("right\n")
    broker = mosquitto(allow_anonymous="false", password_file=passwords)
    words = ("t", "1", "--user=me")
    for protocol in ("5", "3.1.1"):
        given = f"--protocol={protocol}"
        status, said = over_mqtt(broker, *words, given, MILLRACE_SEND_PASSWORD="wrong")
        assert status == 1 and "not authori" in said.lower() and "wrong" not in said
        assert over_mqtt(broker, "t", "1", given)[0] == 1
    status, said = over_mqtt(broker, *words, MILLRACE_SEND_PASSWORD_FILE=secret)
    assert "nobody subscribes" in said, "it was let in"
    assert over_mqtt(broker, *words, "--protocol=3.1.1", MILLRACE_SEND_PASSWORD_FILE=secret)[0] == 0


class Device:
    """`millrace send --lines`, which gets the lines 0 to MANY - 1 by a pipe: the second half of
    them once go_on is called."""

    def __init__(self, logs, folder, *words):
        pipe = folder / "lines"
        os.mkfifo(pipe)
        self._half = threading.Event()
        self._writer = threading.Thread(target=self._write, args=(pipe,), daemon=True)
        self.process = Process("millrace send", [paths.CLI, "send", "--lines", f"--input={pipe}",
                                                 *words], logs / "send.log", env=environment())
        self._writer.start()

    def _write(self, pipe):
        with open(pipe, "w") as lines:
            lines.writelines(f"{number}\n" for number in range(MANY // 2))
            lines.flush()
            self._half.wait()
            lines.writelines(f"{number}\n" for number in range(MANY // 2, MANY))

    def go_on(self):
        self._half.set()

    def end(self):
        assert self.process.wait(120) == 0, self.process.log_text()
        assert f"{MANY} of {MANY} acknowledged" in self.process.log_text()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_is_restarted_in_the_middle(mosquitto, mqtt, kafka, name, logs, protocol,
                                                  tmp_path):
    """Each line is acknowledged in the end, and each is in Kafka at least once."""
    broker = mosquitto()
    one = mqtt(broker, kafka, name)
    device = Device(logs, tmp_path, "--mqtt", f"--broker={broker.address}", "climate/d",
                    f"--protocol={protocol}")
    wait_for(lambda: one.sample("millrace_mqtt_messages_received_total") > 0, 60, "some have come")
    broker.terminate()
    device.go_on()
    broker.start()
    device.end()

    def stored():
        return {record.event()["data"] for record in records.read(kafka, name)}
    wait_for(lambda: len(stored()) == MANY, 60, "all are in Kafka")


def test_a_kafka_that_is_frozen_for_a_while(bridge, own_kafka, name, logs, tmp_path):
    """The device is answered 504, and sends again with the same id."""
    one = bridge(own_kafka, name)

    def answered(status):
        return parse_metrics(one.metrics())["millrace_http_requests_total"][(("status", status),)]
    device = Device(logs, tmp_path, "climate", "--device=d", f"--url=http://127.0.0.1:{one.port}")
    wait_for(lambda: answered("202") > 0, 60, "some are in Kafka")
    own_kafka.freeze()
    device.go_on()
    wait_for(lambda: answered("504") > 0, 30, "the bridge says 504")
    own_kafka.thaw()
    device.end()
    assert len(set(records.ids(own_kafka, name))) == MANY

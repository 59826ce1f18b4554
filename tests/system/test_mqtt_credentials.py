# SPDX-License-Identifier: Apache-2.0
"""User and password at mosquitto: the right ones work, from a file too; the wrong ones are said, and
tried again slowly."""
import shutil
import subprocess

import pytest

from conftest import need
from lib import records
from lib.publishers import V5, Client
from lib.waiting import wait_for

USER = "bridge"
PASSWORD = "a secret of the tests"


@pytest.fixture
def broker(mosquitto, tmp_path):
    need(None if shutil.which("mosquitto_passwd") else
         "mosquitto_passwd is missing: packaging/install-packages system")
    passwords = tmp_path / "passwords"
    for user, secret in ((USER, PASSWORD), ("device", "d")):
        subprocess.run(["mosquitto_passwd", "-b", *([] if passwords.exists() else ["-c"]),
                        passwords, user, secret], check=True, capture_output=True)
    access = tmp_path / "access"
    access.write_text(f"user {USER}\ntopic read t/#\ntopic read +/+\ntopic read +\n"
                      "user device\ntopic readwrite t/#\n")
    return mosquitto(allow_anonymous="false", password_file=passwords, acl_file=access)


def publish(broker):
    with Client(broker, V5, user="device", password="d") as device:
        device.publish("t/dev", b"1")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_right_password_from_a_file(broker, mqtt, kafka, name, tmp_path, protocol):
    file = tmp_path / "secret"
    file.write_text(PASSWORD + "\n")
    one = mqtt(broker, kafka, name, MILLRACE_MQTT_USER=USER, MILLRACE_MQTT_PASSWORD_FILE=file,
               MILLRACE_MQTT_PROTOCOL=protocol)
    publish(broker)
    records.wait_for(kafka, name, 1)
    assert one.terminate() == 0
    assert PASSWORD not in one.log_text()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_wrong_ones_are_said_and_tried_slowly(broker, mqtt, kafka, name, protocol):
    one = mqtt(broker, kafka, name, ready=False, MILLRACE_MQTT_USER=USER,
               MILLRACE_MQTT_PASSWORD="mistaken", MILLRACE_MQTT_PROTOCOL=protocol,
               MILLRACE_MQTT_RECONNECT_MAX="3s")
    text = one.wait_not_ready("not authori" if protocol == "3.1.1" else "ot authorized")
    assert f"127.0.0.1:{broker.port}" in text

    def attempts():
        return broker.log.read_text().count("not authorised")
    wait_for(lambda: attempts() >= 3, 30, lambda: f"it goes on trying; so far {attempts()}")
    assert one.log_text().count("no connection to the broker") == 1
    assert "mistaken" not in one.log_text()


def test_none_is_said_too(broker, mqtt, kafka, name):
    mqtt(broker, kafka, name, ready=False).wait_not_ready("ot authorized")

# SPDX-License-Identifier: Apache-2.0
"""Who may send: curl with a password, hashes by openssl, a devices file that changes, real Kafka."""
import signal
import subprocess

from lib import records
from lib.waiting import wait_for


def hash_of(password):
    done = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, check=True,
                          capture_output=True, text=True)
    return done.stdout.strip()


def write(path, *devices):
    """A device is a name, a password and perhaps for whom it speaks."""
    text = ""
    for name, password, *speaks_for in devices:
        text += f"[device {name}]\npassword = {hash_of(password)}\n"
        text += "".join(f"speaks_for = {names}\n" for names in speaks_for)
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def curl(one, user, path):
    """The status of an event that curl sends."""
    credentials = ["-u", user] if user else []
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", *credentials,
         "--json", '{"celsius": 21.5}', f"http://127.0.0.1:{one.port}{path}"],
        check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_curl_with_passwords(bridge, kafka, name, tmp_path):
    devices = tmp_path / "devices.conf"
    write(devices, ("sensor-1@farm", "grün & rot"), ("gateway@farm", "sesame", "room-*"))
    one = bridge(kafka, name, MILLRACE_HTTP_AUTH="basic", MILLRACE_HTTP_DEVICES=devices)
    assert curl(one, None, "/v1/t?device=sensor-1&application=farm") == 401
    assert curl(one, "sensor-1@farm:wrong", "/v1/t") == 401
    assert curl(one, "sensor-2@farm:sesame", "/v1/t") == 401
    assert curl(one, "sensor-1@farm:grün & rot", "/v1/t?device=other") == 202
    assert curl(one, "gateway@farm:sesame", "/v1/t?as=room-1") == 202
    assert curl(one, "gateway@farm:sesame", "/v1/t?as=sensor-1") == 403

    write(devices, ("sensor-1@farm", "new"))
    one.signal(signal.SIGHUP)
    wait_for(lambda: curl(one, "gateway@farm:sesame", "/v1/t") == 401, 10, "the file is read")
    assert curl(one, "sensor-1@farm:grün & rot", "/v1/t") == 401
    assert curl(one, "sensor-1@farm:new", "/v1/t") == 202

    stored = [record.event()["attribute"] for record in records.read(kafka, name)]
    senders = sorted((event["application"], event["device"], event.get("gateway"))
                     for event in stored)
    assert senders[:1] == [("farm", "room-1", "gateway")]
    assert set(senders[1:]) == {("farm", "sensor-1", None)}
    assert "sesame" not in one.log_text() and "grün" not in one.log_text()

# SPDX-License-Identifier: Apache-2.0
"""A program refuses to start on a bad configuration, and says all that is wrong at once."""
import socket
import subprocess

import pytest

from conftest import need_built
from lib import paths
from lib.programs import environment
from lib.waiting import free_port

SECRET = "s3cr3t-of-the-test"

BAD = """\
[http]
listen = 127.0.0.1:notaport
lisen = 127.0.0.1:1
[kafka]
acks = 1
bootstrap.server = 127.0.0.1:1
[nosuch]
key = value
[log]
level = loud
"""


def run(binary, *words, **settings):
    need_built(binary)
    done = subprocess.run([binary, *map(str, words)], capture_output=True, text=True, timeout=60,
                          env=environment(**settings))
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "test.conf"
        path.write_text(text)
        return path
    return write


def test_everything_wrong_is_said_at_once(file):
    path = file(BAD)
    status, text = run(paths.HTTP, "--config", path)
    assert status == 2
    for line, words in ((2, "listen"), (3, "lisen"), (5, "acks"), (6, "bootstrap.server"),
                        (7, "nosuch"), (10, "level")):
        said = [one for one in text.splitlines() if f"{path}:{line}" in one]
        if line == 7 and not said:  # an unknown section may be told at its first key
            said = [one for one in text.splitlines() if f"{path}:8" in one]
        assert said and words in said[0], f"line {line}: {text}"


def test_the_nearest_known_name_is_offered(file):
    _, text = run(paths.HTTP, "--config", file(BAD))
    (lisen,) = [line for line in text.splitlines() if "lisen" in line]
    assert "listen" in lisen.replace("lisen", "", 1)
    (bootstrap,) = [line for line in text.splitlines() if ":6" in line]
    assert "bootstrap.servers" in bootstrap


def test_what_would_break_the_promises_is_refused_with_the_reason(file):
    for key, value in (("acks", "1"), ("enable.idempotence", "false"),
                       ("enable.auto.commit", "true")):
        status, text = run(paths.HTTP, "--config", file(f"[kafka]\n{key} = {value}\n"))
        assert status == 2, key
        (line,) = [one for one in text.splitlines() if key in one]
        assert len(line) > len(key) + 30, "the reason is missing"


def test_check_says_that_all_is_well_and_starts_nothing(file):
    port = free_port()
    path = file(f"[http]\nlisten = 127.0.0.1:{port}\n[kafka]\nbootstrap.servers = 127.0.0.1:1\n")
    status, text = run(paths.HTTP, "--config", path, "--check")
    assert status == 0, text
    with socket.socket() as one:
        one.bind(("127.0.0.1", port))


def test_secrets_are_never_shown(file):
    path = file(f"[kafka]\nsasl.password = {SECRET}\nnosuch.key = 1\n[influx]\npassword = {SECRET}\n"
                "tiimeout = 1\n")
    for words in ((), ("--check",)):
        status, text = run(paths.INFLUX, "--config", path, *words, INFLUXDB_PASSWORD=SECRET,
                           INFLUXDB_URI="http://127.0.0.1:1", INFLUXDB_DATABASE="db")
        assert status == 2
        assert SECRET not in text
    _, text = run(paths.INFLUX, "--help", INFLUXDB_PASSWORD=SECRET)
    assert SECRET not in text
    path = file(f"[kafka]\nsasl.password = {SECRET}\n[mqtt]\npassword = {SECRET}\ntiimeout = 1\n")
    for words in ((), ("--check",), ("--help",)):
        status, text = run(paths.MQTT, "--config", path, *words, MILLRACE_MQTT_PASSWORD=SECRET)
        assert status == (0 if words == ("--help",) else 2)
        assert SECRET not in text


def test_everything_wrong_with_routes_is_said_at_once(file):
    path = file("[mqtt]\nconnections = 2\nbroker = nowhere\n[route a]\ntopic = a/{device\n"
                "[route b]\nkafka.topic = x y\n[route c]\ntopic = c/#\nchanel = c\n")
    status, text = run(paths.MQTT, "--config", path)
    assert status == 2
    for line, words in ((2, "group"), (3, "broker"), (5, "{device"), (6, "topic"),
                        (7, "kafka.topic"), (10, "channel")):
        said = [one for one in text.splitlines() if f"{path}:{line}:" in one]
        assert said and words in said[0], f"line {line}: {text}"


def test_an_unknown_variable_only_warns():
    """Kubernetes makes such for a service called millrace-http."""
    status, text = run(paths.HTTP, "--check", MILLRACE_HTTP_PORT="tcp://10.0.0.1:8080")
    assert status == 0
    assert "MILLRACE_HTTP_PORT" in text


def test_a_missing_file_and_an_unknown_flag_are_usage_errors(tmp_path):
    status, text = run(paths.HTTP, "--config", tmp_path / "absent.conf")
    assert status == 2 and "absent.conf" in text
    status, text = run(paths.HTTP, "--http.lisen=127.0.0.1:1")
    assert status == 2 and "lisen" in text


@pytest.mark.parametrize("section", ["HTTP", "ADMIN"])
def test_an_address_that_is_taken_is_named(section):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"MILLRACE_HTTP_LISTEN": "127.0.0.1:0", "MILLRACE_ADMIN_LISTEN": "127.0.0.1:0",
                    f"MILLRACE_{section}_LISTEN": address,
                    "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
                    "MILLRACE_MQTT_BROKER": "127.0.0.1:1"}
        for binary in (paths.HTTP, paths.MQTT) if section == "ADMIN" else (paths.HTTP,):
            status, text = run(binary, **settings)
            assert status == 1
            assert address in text and "in use" in text.lower()


def test_help_names_every_section():
    for binary, sections in ((paths.HTTP, ("http", "kafka", "admin", "log")),
                             (paths.MQTT, ("mqtt", "kafka", "admin", "log", "[route NAME]")),
                             (paths.INFLUX, ("influx", "kafka", "admin", "log"))):
        status, text = run(binary, "--help")
        assert status == 0
        for section in sections:
            assert f"{section}" in text

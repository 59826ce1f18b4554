# SPDX-License-Identifier: Apache-2.0
"""./quickstart as a new user runs it, in a copy of the tree and on ports of its own."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest

from lib import paths
from lib.process import Process
from lib.programs import environment
from lib.waiting import listens, wait_for

PORTS = 8  # from --ports on
RUN_SECONDS = 300


@pytest.fixture(scope="module")
def copy(scratch):
    """The tracked files, nothing that was built."""
    folder = scratch / "copy"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=paths.ROOT, capture_output=True,
                           check=True).stdout.decode().split("\0")
    for name in names:
        source = paths.ROOT / name
        if name and source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


@pytest.fixture
def first_port():
    """The first of PORTS neighbours that are all free, below those that the system takes for
    connections."""
    end = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    def found():
        first = random.randrange(10000, end - PORTS)
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except OSError:
            return None
        return first
    return wait_for(found, 10, "eight free ports in a row")


@pytest.fixture
def quickstart(copy, logs):
    started = []

    def start(*words, cwd=copy, **settings):
        # Own ccache entries or none; nothing else of this machine's environment matters.
        one = Process("quickstart", [copy / "quickstart", *words], logs / "quickstart.log",
                      env=environment(**settings), cwd=cwd)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.running():
            one.terminate()


def last_line(one):
    return one.log_text().strip().splitlines()[-1]


def test_once_sends_every_reading_and_influxdb_has_them(quickstart, first_port):
    one = quickstart("--once", "--ports", str(first_port))
    status = one.wait(RUN_SECONDS)
    assert last_line(one) == "26277 sent, 26277 stored, 0 dead"  # 3 * 8759
    assert status == 0
    for port in range(first_port, first_port + PORTS):
        with pytest.raises(OSError):
            listens(port)


def test_a_second_run_with_own_data_starts_afresh(quickstart, first_port, tmp_path):
    """Named relative to the caller's folder, with a byte order mark, and as awk would assign."""
    data = tmp_path / "own=readings 1.csv"
    data.write_text("\ufefftemp,date\n50.5,2024/02/29 23:00:00\n-3,2024/03/01 00:00:00\n"
                    "12,2024/03/01 01:00:00\n")
    one = quickstart("--once", "--data", data.name, "--ports", str(first_port), cwd=tmp_path)
    status = one.wait(RUN_SECONDS)
    assert last_line(one) == "9 sent, 9 stored, 0 dead"
    assert status == 0


def test_a_taken_port_is_named_and_nothing_is_started(quickstart, first_port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first_port + 1))
        taken.listen()
        one = quickstart("--once", "--ports", str(first_port))
        assert one.wait(60) != 0
    assert f"127.0.0.1:{first_port + 1} is taken" in one.log_text()
    with pytest.raises(OSError):
        listens(first_port)


def test_a_missing_file_is_named(quickstart, first_port):
    one = quickstart("--once", "--data", "nosuch.csv", "--ports", str(first_port))
    assert one.wait(60) != 0
    assert "nosuch.csv" in one.log_text()


def test_a_name_does_not_command_the_terminal(quickstart):
    for words, status in ((("--data", "a\x1b[31m.csv"), 1), (("\x1b[31m",), 2)):
        one = quickstart(*words)
        assert one.wait(60) == status
        assert "?[31m" in one.log_text() and "\x1b" not in one.log_text()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("word", [b"--a\xc2\x9b31m~", b"--a\x9b\x9b31m~"], ids=["pair", "bytes"])
def test_a_name_does_not_command_the_terminal_in_any_locale(quickstart, word, locale):
    one = quickstart(os.fsdecode(word), LC_ALL=locale)
    assert one.wait(60) == 2
    assert one.log.read_bytes().startswith(b"quickstart: --a??31m~: unknown argument\n")


def test_what_is_wrong_with_a_line_does_not_command_the_terminal(quickstart, first_port, tmp_path):
    data = tmp_path / "bad.csv"
    data.write_bytes(b"temp,date\n\x1b[31m50,2024/02/29 23:00:00\n5\xc2\x9b2J,\x7f\n\x9b2J,x\n")
    one = quickstart("--once", "--data", "bad.csv", "--ports", str(first_port), cwd=tmp_path)
    assert one.wait(60) == 1
    said = one.log.read_bytes()
    assert b"bad.csv:2: " in said and b"bad.csv:3: " in said and b"bad.csv:4: " in said
    assert not [byte for byte in said.replace(b"\n", b"") if not 0x20 <= byte <= 0x7E]


@pytest.mark.parametrize("ports", ["020000", "0", "1023", "65529", "x"])
def test_ports_that_are_none_are_refused(quickstart, ports):
    one = quickstart("--once", "--ports", ports)
    assert one.wait(60) == 2
    assert f"expected a number from 1024 to 65528, got '{ports}'" in one.log_text()


def stored(port, device):
    """A device's readings as InfluxDB returns them."""
    query = urllib.parse.urlencode({
        "db": "millrace",
        "q": f'SELECT "fahrenheit" FROM "temperature" WHERE "device" = \'{device}\''})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/query?{query}", timeout=60) as answer:
        series = json.load(answer)["results"][0].get("series")
    return [value for _, value in series[0]["values"]] if series else None


def told(command, folder):
    """What "Try next" suggests, done."""
    done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True,
                          timeout=60)
    return done.stdout + done.stderr


def test_it_stays_up_until_interrupted_and_leaves_nothing_behind(quickstart, copy, first_port,
                                                                 tmp_path):
    data = tmp_path / "few.csv"
    data.write_text("temp,date\n50.5,2024/02/29 23:00:00\n")
    one = quickstart("--data", str(data), "--ports", str(first_port))
    wait_for(lambda: "Ctrl-C" in one.log_text(), RUN_SECONDS, "it has shown the readings and stays up")
    assert one.running() and listens(first_port + 1)
    assert "3 sent, 3 stored, 0 dead" in one.log_text()
    for device in ("san-francisco", "san-francisco-mqtt-3", "san-francisco-mqtt-5"):
        assert stored(first_port + 4, device) == [50.5]
    commands = [line for line in one.log_text().splitlines() if line.startswith("  ")]
    (http,) = [command for command in commands if command.startswith("  curl -i ")]
    (mqtt,) = [command for command in commands if " send --mqtt " in command]
    assert " 202 " in told(http, copy).splitlines()[0]
    assert "1 of 1 acknowledged\n" in told(mqtt, copy)
    wait_for(lambda: stored(first_port + 4, "kitchen") == [64.5], 60, "InfluxDB has the reading")
    wait_for(lambda: stored(first_port + 4, "hall") == [63.5], 60, "InfluxDB has the other")
    one.signal(signal.SIGINT)
    one.wait(60)
    for port in range(first_port, first_port + PORTS):
        with pytest.raises(OSError):
            listens(port)

# SPDX-License-Identifier: Apache-2.0
"""./quickstart as a new user runs it, in a copy of the tree and on ports of its own."""
import shutil
import signal
import socket
import subprocess

import pytest

from lib import paths
from lib.process import Process
from lib.programs import environment
from lib.waiting import free_port, listens, wait_for

PORTS = 6  # from --ports on
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
    """The first of PORTS neighbours that are all free."""
    def found():
        first = free_port()
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return None
        return first if first + PORTS < 65530 else None
    return wait_for(found, 10, "six free ports in a row")


@pytest.fixture
def quickstart(copy, logs):
    started = []

    def start(*words):
        # Own ccache entries or none; nothing else of this machine's environment matters.
        one = Process("quickstart", ["./quickstart", *words], logs / "quickstart.log",
                      env=environment(), cwd=copy)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.running():
            one.terminate(30)


def last_line(one):
    return one.log_text().strip().splitlines()[-1]


def test_once_sends_every_reading_and_influxdb_has_them(quickstart, first_port):
    one = quickstart("--once", "--ports", str(first_port))
    status = one.wait(RUN_SECONDS)
    assert last_line(one) == "8759 sent, 8759 stored, 0 dead"
    assert status == 0
    for port in range(first_port, first_port + PORTS):
        with pytest.raises(OSError):
            listens(port)


def test_a_second_run_with_own_data_starts_afresh(quickstart, first_port, tmp_path):
    data = tmp_path / "own readings.csv"
    data.write_text("temp,date\n50.5,2024/02/29 23:00:00\n-3,2024/03/01 00:00:00\n"
                    "12,2024/03/01 01:00:00\n")
    one = quickstart("--once", "--data", str(data), "--ports", str(first_port))
    status = one.wait(RUN_SECONDS)
    assert last_line(one) == "3 sent, 3 stored, 0 dead"
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


def test_it_stays_up_until_interrupted_and_leaves_nothing_behind(quickstart, first_port, tmp_path):
    data = tmp_path / "few.csv"
    data.write_text("temp,date\n50.5,2024/02/29 23:00:00\n")
    one = quickstart("--data", str(data), "--ports", str(first_port))
    wait_for(lambda: "1 sent, 1 stored, 0 dead" in one.log_text() or "Ctrl-C" in one.log_text(),
             RUN_SECONDS, "it has shown the readings and stays up")
    assert one.running() and listens(first_port + 1)
    one.signal(signal.SIGINT)
    one.wait(60)
    for port in range(first_port, first_port + PORTS):
        with pytest.raises(OSError):
            listens(port)

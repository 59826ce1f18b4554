# SPDX-License-Identifier: Apache-2.0
"""The examples, a bridge and a worker of one's own, work together over the embedded broker."""
import os
import re
import socket
import subprocess

import pytest

from conftest import need_built
from lib import paths
from lib.programs import Dev, Program
from lib.waiting import free_port, listens, wait_for

BRIDGE = paths.BUILD / "examples" / "example-bridge"
WORKER = paths.BUILD / "examples" / "example-worker"


class Example(Program):
    def __init__(self, binary, log, broker, **settings):
        super().__init__(binary.name, binary, log,
                         {"MILLRACE_KAFKA_BOOTSTRAP_SERVERS": broker.address, **settings})


def command_of(source):
    """The `cc ...` line in the comment at the top of an example, up to the `&&` behind it."""
    comment = source.read_text().split("*/", 1)[0]
    return re.search(r"^ \*.*?\b(cc [^\n&]*?)(?: &&.*)?$", comment, re.MULTILINE).group(1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The library, installed as the README's users do, under a prefix that it wasn't built for."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", paths.BUILD, "--prefix", prefix], check=True,
                   capture_output=True, timeout=60)
    return prefix


@pytest.mark.parametrize("name", ["bridge", "worker"])
def test_an_example_is_built_by_the_command_in_its_comment(installed, tmp_path, name):
    (found,) = installed.glob("**/millrace.pc")
    source = paths.ROOT / "examples" / f"{name}.c"
    command = command_of(source)
    assert command.startswith(f"cc {name}.c ")
    # Only this one: no system folder may stand in for it.
    env = {**os.environ, "PKG_CONFIG_PATH": str(found.parent)}
    (tmp_path / source.name).write_bytes(source.read_bytes())
    done = subprocess.run(["sh", "-ec", command], cwd=tmp_path, env=env, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([tmp_path / f"my-{name}", "--version"], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.startswith(f"my-{name} "), done.stderr


def ask(port, datagram):
    """The bridge's answer to a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(10)
        one.connect(("127.0.0.1", port))
        one.send(datagram)
        return one.recv(1000)


def test_what_the_bridge_stores_the_worker_prints(run):
    for binary in (BRIDGE, WORKER, paths.CLI):
        need_built(binary)
    broker = run(Dev)
    wait_for(lambda: listens(broker.port), 20, "millrace dev listens")
    port = free_port()

    def bridge(log):
        return Example(BRIDGE, log, broker, MILLRACE_MY_LISTEN=f"127.0.0.1:{port}")

    def worker(log):
        return Example(WORKER, log, broker, MILLRACE_MY_START="earliest")

    bridge = run(bridge).wait_ready()
    worker = run(worker).wait_ready()
    for number in range(3):
        assert ask(port, b'{"celsius":%d}' % number) == b"stored"
    for number in range(3):
        line = '/udp/anyone reading {"celsius":%d}' % number
        wait_for(lambda: line in worker.log_text(), 20, lambda: worker.log_text()[-2000:])
    assert worker.terminate() == 0
    assert bridge.terminate() == 0

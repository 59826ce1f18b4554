# SPDX-License-Identifier: Apache-2.0
"""The examples, a bridge and a worker of one's own, work together over the embedded broker."""
import socket

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
    assert worker.terminate(20) == 0
    assert bridge.terminate(20) == 0

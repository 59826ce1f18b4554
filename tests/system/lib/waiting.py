# SPDX-License-Identifier: Apache-2.0
"""Waiting is always for a condition, with a deadline."""
import shutil
import socket
import time

from .paths import LOGS

POLL_SECONDS = 0.02
SECONDS_LEAST = 90
PORTS = LOGS / "ports"  # a file for each that was given away


class Late(AssertionError):
    """The condition didn't come true in time."""


def wait_for(condition, seconds, what, poll=POLL_SECONDS):
    """Until condition() is true; returns its value. `what` names it in the failure; a callable
    is asked when it fails. An OSError of the condition means: not yet. `seconds` is what it may
    take where nothing else runs: tests run side by side, so it has SECONDS_LEAST."""
    seconds = max(seconds, SECONDS_LEAST)
    deadline = time.monotonic() + seconds
    error = None
    while True:
        try:
            value = condition()
            if value:
                return value
            error = None
        except OSError as caught:
            error = caught
        if time.monotonic() >= deadline:
            words = what() if callable(what) else what
            raise Late(f"not within {seconds} s: {words}" + (f" ({error!r})" if error else ""))
        time.sleep(poll)


def free_port():
    """A port that was free a moment ago, and is given to nobody else in this run: its server may be
    killed and come back while tests beside look for theirs."""
    PORTS.mkdir(parents=True, exist_ok=True)
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        try:
            (PORTS / str(port)).touch(exist_ok=False)
            return port
        except FileExistsError:
            continue


def forget_ports():
    """A new run begins."""
    shutil.rmtree(PORTS, ignore_errors=True)


def listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True

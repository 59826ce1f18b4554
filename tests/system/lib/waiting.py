# SPDX-License-Identifier: Apache-2.0
"""Waiting is always for a condition, with a deadline."""
import socket
import time

POLL_SECONDS = 0.02


class Late(AssertionError):
    """The condition didn't come true in time."""


def wait_for(condition, seconds, what, poll=POLL_SECONDS):
    """Until condition() is true; returns its value. `what` names it in the failure; a callable
    is asked when it fails. An OSError of the condition means: not yet."""
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
    """A port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True

# SPDX-License-Identifier: Apache-2.0
"""Devices: keep-alive connections that post numbered events and remember each answer."""
import http.client
import json
import threading
import time
from dataclasses import dataclass

from .waiting import POLL_SECONDS, wait_for

CHANNEL = "load"
BASE_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
PIECE_BYTES = 10_000
ANSWER_SECONDS_MAX = 20  # of a client that gives up; far over what is promised


@dataclass
class Answer:
    id: str
    number: int
    status: int  # 0: none came
    seconds: float
    retry_after: str = None


def event_time(number):
    """Each event has a millisecond of its own."""
    millis = BASE_NS // 1_000_000 + number
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000))
    return f"{text}.{millis % 1000:03d}Z"


def post(connection, number, prefix, channel=CHANNEL, padding=0):
    """Post event `number` once; the answer, whatever becomes of it."""
    id_ = f"{prefix}-{number}"
    body = {"n": number}
    if padding:
        # In pieces: InfluxDB takes no string over 64 KiB.
        body["padding"] = ["x" * PIECE_BYTES] * (padding // PIECE_BYTES)
    begin = time.monotonic()
    try:
        connection.request("POST", f"/v1/{channel}?application=app&device=dev-{number % 16}",
                           json.dumps(body), {"Content-Type": "application/json",
                                              "Idempotency-Key": id_,
                                              "ce-time": event_time(number)})
        answer = connection.getresponse()
        answer.read()
        return Answer(id_, number, answer.status, time.monotonic() - begin,
                      answer.getheader("Retry-After"))
    except (OSError, http.client.HTTPException):
        connection.close()
        return Answer(id_, number, 0, time.monotonic() - begin)


class Load:
    """`connections` threads that post as fast as they are answered, until stop(). `pause_seconds`
    after each answer keeps the rate down; `padding` (bytes, of 10 kB) makes the events larger; the
    events are numbered from `first`."""

    def __init__(self, port, prefix, connections=8, pause_seconds=0, padding=0, first=1):
        self.port = port
        self.prefix = prefix
        self.answers = []
        self._next = first - 1
        self._pause_seconds = pause_seconds
        self._padding = padding
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True)
                         for _ in range(connections)]

    def __enter__(self):
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """No new requests; those under way are awaited."""
        self._stopping.set()
        for one in self._threads:
            one.join(2 * ANSWER_SECONDS_MAX)
            assert not one.is_alive(), "a device got no answer and no end of its connection"

    def _number(self):
        with self._lock:
            self._next += 1
            return self._next

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                timeout=ANSWER_SECONDS_MAX)
        while not self._stopping.is_set():
            answer = post(connection, self._number(), self.prefix, padding=self._padding)
            with self._lock:
                self.answers.append(answer)
            if answer.status != 202:
                self._stopping.wait(POLL_SECONDS)
            elif self._pause_seconds:
                self._stopping.wait(self._pause_seconds)
        connection.close()

    def of(self, status):
        with self._lock:
            return [one for one in self.answers if one.status == status]

    def stored(self):
        """The ids that were answered 202."""
        return {one.id for one in self.of(202)}

    def slowest(self):
        """The longest wait for an answer that came."""
        with self._lock:
            return max((one.seconds for one in self.answers if one.status), default=0)

    def statuses(self):
        with self._lock:
            return {one.status for one in self.answers}

    def wait_stored(self, more, seconds=30):
        """Until `more` further events have been answered 202."""
        target = len(self.of(202)) + more
        wait_for(lambda: len(self.of(202)) >= target, seconds,
                 lambda: f"{more} more answers 202; so far {len(self.answers)} answers, "
                         f"statuses {self.statuses()}")

    def wait_status(self, status, seconds=30, count=1):
        wait_for(lambda: len(self.of(status)) >= count, seconds,
                 lambda: f"{count} answers {status}; statuses {self.statuses()}")

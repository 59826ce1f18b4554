# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that knows how long the server behind it had a request to answer.

A server's time is counted from when a request has been passed to it until its answer has come
back; what overlaps is counted once. The relay's own time is therefore never the server's."""
import asyncio
import struct
import threading
import time

KAFKA_FETCH = 1  # waits for records on purpose, so it isn't an answer that anybody waits for


class KafkaFrames:
    """Splits a stream into Kafka's frames: a 4-byte length, then that many bytes."""

    def __init__(self):
        self._buffer = b""

    def feed(self, data):
        """The first two bytes (a request's api key) of each frame that begins in `data`."""
        self._buffer += data
        keys = []
        while len(self._buffer) >= 6:
            length, key = struct.unpack(">ih", self._buffer[:6])
            if len(self._buffer) < 4 + length:
                break
            keys.append(key)
            self._buffer = self._buffer[4 + length:]
        return keys


class HttpTurns:
    """Requests of one connection follow one another: bytes are a request, bytes are an answer."""

    def feed(self, data):
        return [None]


class Front:
    def __init__(self, port, target_port, frames):
        self._port, self._target_port, self._frames = port, target_port, frames
        self._intervals = []
        self._loop = None
        self._stop = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self):
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self):
        """Until stopped; asyncio.run then cancels the connections that are left."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self._port)
        self._started.set()
        await self._stop.wait()
        server.close()

    async def _connection(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        asked = []  # (api key, when) of unanswered requests, in order
        requests, answers = self._frames(), self._frames()

        def to_server(data):
            now = time.monotonic()
            asked.extend((key, now) for key in requests.feed(data))

        def to_client(data):
            now = time.monotonic()
            for _ in answers.feed(data):
                key, begin = asked.pop(0) if asked else (KAFKA_FETCH, now)
                if key != KAFKA_FETCH:
                    self._intervals.append((begin, now))

        await asyncio.gather(self._pass(reader, server_writer, to_server),
                             self._pass(server_reader, writer, to_client))

    @staticmethod
    async def _pass(reader, writer, note):
        try:
            while data := await reader.read(65536):
                note(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def intervals(self, begin, end):
        return [(max(a, begin), min(b, end)) for a, b in list(self._intervals)
                if b > begin and a < end]


def covered_seconds(intervals):
    """The length of the union."""
    total, reached = 0, float("-inf")
    for begin, end in sorted(intervals):
        if end > reached:
            total += end - max(begin, reached)
            reached = end
    return total

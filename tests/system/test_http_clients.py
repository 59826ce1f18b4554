# SPDX-License-Identifier: Apache-2.0
"""Real HTTP clients against millrace-http and Kafka: curl, h2load (nghttp2) and python. What they
were told is stored is in Kafka, once each and byte for byte, and nothing else is."""
import http.client
import random
import re
import shutil
import subprocess

import pytest

from conftest import need
from lib import records
from lib.waiting import wait_for

REQUESTS = 2000
TARGET = "/v1/c?application=a&device="


def client(program):
    need(None if shutil.which(program) else
         f"{program} is missing: packaging/install-packages system")
    return program


def content(size):
    return random.Random(size).randbytes(size)


@pytest.fixture
def one(bridge, kafka, name):
    return bridge(kafka, name, MILLRACE_HTTP_REQUEST_TIMEOUT="5s")


def uri(one, target):
    return f"http://127.0.0.1:{one.port}{target}"


def curl(one, target, *words, stdin=b""):
    """(status, how often 100 Continue came, the answer's header lines, content)."""
    done = subprocess.run([client("curl"), "-sS", "-i", "--max-time", "20", *words,
                           uri(one, target)], input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    text, continues = done.stdout, 0
    while text.startswith(b"HTTP/1.1 100 "):
        continues += 1
        text = text.split(b"\r\n\r\n", 1)[1]
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), continues, lines[1:], body


def stored(kafka, name):
    """{device: [data]} of all events in the topic."""
    events = {}
    for record in records.read(kafka, name):
        event = record.event()
        events.setdefault(event["attribute"]["device"], []).append(event["data"] or b"")
    return events


def test_curl_posts_in_every_way(one, kafka, name, tmp_path):
    large = content(900 * 1024)
    (tmp_path / "large").write_bytes(large)
    data = ["-H", "Content-Type: application/octet-stream", "--data-binary"]
    assert curl(one, TARGET + "plain", *data, "x")[0] == 202
    assert curl(one, TARGET + "empty", *data, "")[0] == 202
    assert curl(one, TARGET + "http10", "-0", *data, "x")[0] == 202
    # 1 MiB and more is what curl expects 100 for by itself; here it is told to.
    status, continues, _, _ = curl(one, TARGET + "large", "-H", "Expect: 100-continue",
                                   "--expect100-timeout", "15", *data, f"@{tmp_path}/large")
    assert (status, continues) == (202, 1)
    status, continues, _, _ = curl(one, TARGET + "chunked", "-H", "Transfer-Encoding: chunked",
                                   "-H", "Expect:", *data, "@-", stdin=large)
    assert (status, continues) == (202, 0)
    # PUT, which only Hono's paths take.
    assert curl(one, "/event/t/put", "-T", tmp_path / "large")[0] == 202
    assert curl(one, "/event/t/stream", "-T", "-", stdin=large)[0] == 202
    assert stored(kafka, name) == {"plain": [b"x"], "empty": [b""], "http10": [b"x"],
                                   "put": [large], "stream": [large],
                                   "large": [large], "chunked": [large]}


def test_curl_is_refused_with_the_right_status(one, kafka, name, tmp_path):
    (tmp_path / "large").write_bytes(bytes(900 * 1024 + 1))
    (tmp_path / "small").write_bytes(b"x")
    event = TARGET + "d"
    expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "15"]
    allow = "Allow: POST, OPTIONS"
    for status, target, words, line in (
            (404, "/", [], None),
            (405, event, [], allow),
            (405, event, ["-T", tmp_path / "small", *expect], allow),
            (204, event, ["-X", "OPTIONS"], allow),
            (204, "/", ["-X", "OPTIONS", "--request-target", "*"], "Allow: POST, PUT, OPTIONS"),
            (411, event, ["-X", "POST"], None),
            (413, event, ["--data-binary", f"@{tmp_path}/large", *expect], None),
            (415, event, ["-d", "x", "-H", "Content-Encoding: gzip", *expect],
             "Accept-Encoding: identity"),
            (417, event, ["-d", "x", "-H", "Expect: more"], None),
            (431, event, ["-d", "x", "-H", "X: " + "y" * 20000], None),
            (501, event, ["-X", "BREW"], None)):
        got, continues, lines, _ = curl(one, target, *words)
        assert (got, continues) == (status, 0), words
        assert line is None or line in lines, words
    head = subprocess.run([client("curl"), "-sS", "--head", uri(one, event)],
                          capture_output=True, text=True, check=True).stdout
    assert head.startswith("HTTP/1.1 405 ") and allow in head
    assert kafka.count(name) == 0


@pytest.mark.parametrize("pipelined", [1, 16])
def test_h2load_is_counted_exactly(one, kafka, name, tmp_path, pipelined):
    (tmp_path / "reading").write_bytes(b'{"celsius": 21.5}')
    done = subprocess.run(
        [client("h2load"), "--h1", "-n", str(REQUESTS), "-c", "20", "-m", str(pipelined),
         "-d", tmp_path / "reading", "-H", "Content-Type: application/json",
         uri(one, TARGET + "d")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{REQUESTS} done, {REQUESTS} succeeded, 0 failed", done.stdout), done.stdout
    assert re.search(rf"{REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx", done.stdout), done.stdout
    assert kafka.count(name) == REQUESTS
    assert stored(kafka, name) == {"d": [b'{"celsius": 21.5}'] * REQUESTS}


def test_python_keeps_its_connection(one, kafka, name):
    """http.client sends an iterable in chunks, and a HEAD's answer has no content for it to skip."""
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    connection.connect()
    socket = connection.sock
    sent = {}
    for number in range(50):
        parts = [content(number * 7), b"", content(3)]
        data = b"".join(parts)
        body = iter([part for part in parts if part]) if number % 2 else data
        connection.request("POST", f"{TARGET}{number}", body)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (202, b"")
        sent[str(number)] = [data]
        for method, status in (("HEAD", 405), ("OPTIONS", 204), ("GET", 405), ("PUT", 405)):
            connection.request(method, f"{TARGET}{number}", b"" if method == "PUT" else None)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == status and answer.headers["Allow"] == "POST, OPTIONS"
            assert bool(text) == (method in ("GET", "PUT"))
    assert connection.sock is socket, "the connection went on"
    connection.close()
    assert stored(kafka, name) == sent
    wait_for(lambda: "\nmillrace_http_connections 0\n" in one.metrics(), 10, "nobody is left")

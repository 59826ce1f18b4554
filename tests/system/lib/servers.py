# SPDX-License-Identifier: Apache-2.0
"""A server in front of InfluxDB that records what is written, and can be slow or refuse."""
import gzip
import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Written:
    path: str  # with the query
    headers: dict
    body: bytes

    def lines(self):
        """Line protocol as it was sent."""
        body = self.body
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return body.decode().splitlines()


class Proxy:
    """Passes requests on to `target_port`. delay_seconds: before each; answer: (status, body) to
    give instead of passing on, or None; change: of lines before they are passed on, or None."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.delay_seconds = 0
        self.answer = None
        self.change = None
        self.written = []
        self._wake = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                proxy._handle(self)

            do_POST = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def uri(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._wake.set()
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, request):
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.written.append(Written(request.path, headers, body))
        if self.delay_seconds:
            self._wake.wait(self.delay_seconds)
        try:
            status, answer = self.answer or self._forward(request, headers, body)
            request.send_response(status)
            if status != 204:
                request.send_header("Content-Length", str(len(answer)))
            request.end_headers()
            if status != 204:
                request.wfile.write(answer)
        except OSError:
            request.close_connection = True

    def _forward(self, request, headers, body):
        target = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=60)
        try:
            headers = {key: value for key, value in headers.items()
                       if key not in ("host", "connection", "content-length")}
            if self.change is not None and body:
                is_gzip = headers.get("content-encoding") == "gzip"
                lines = self.change(gzip.decompress(body) if is_gzip else body)
                body = gzip.compress(lines) if is_gzip else lines
            target.request(request.command, request.path, body, headers)
            answer = target.getresponse()
            return answer.status, answer.read()
        finally:
            target.close()

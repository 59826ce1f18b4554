# SPDX-License-Identifier: Apache-2.0
"""TLS with real clients: curl, Python's ssl, and `openssl s_client` for what must be refused."""
import http.client
import os
import signal
import socket
import ssl
import subprocess

import pytest

from lib import records
from lib.authority import Authority
from lib.waiting import free_port, wait_for


@pytest.fixture
def tls_bridge(bridge, kafka, name, authority):
    def start(**settings):
        port = free_port()
        one = bridge(kafka, name, MILLRACE_HTTP_PLAIN="false",
                     MILLRACE_HTTP_TLS_LISTEN=f"127.0.0.1:{port}",
                     MILLRACE_HTTP_TLS_CERTIFICATE=authority.path("server.pem"),
                     MILLRACE_HTTP_TLS_KEY=authority.path("server.key"), **settings)
        one.port = port
        return one
    return start


def curl(one, authority, *words):
    """(status of curl, HTTP status, "" or curl's complaint)."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", "--cacert",
         authority.path("ca.pem"), *words,
         f"https://localhost:{one.port}/v1/temp?device=d1", "--json", '{"t": 21.5}'],
        capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def context(authority, cert=None):
    made = ssl.create_default_context(cafile=authority.path("ca.pem"))
    if cert:
        made.load_cert_chain(authority.path(f"{cert}.pem"), authority.path(f"{cert}.key"))
    return made


def connection(one, made):
    return http.client.HTTPSConnection("localhost", one.port, timeout=60, context=made)


def post(over, body=b"{}"):
    over.request("POST", "/v1/temp?device=d1", body)
    answer = over.getresponse()
    answer.read()
    return answer.status


def s_client(one, *words):
    """What `openssl s_client` says, and whether a connection came about."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{one.port}", *words],
                          input="", capture_output=True, text=True, check=False, timeout=60)
    return done.returncode == 0, done.stdout + done.stderr


def test_curl_and_python(tls_bridge, kafka, name, authority):
    one = tls_bridge()
    for version in ("1.2", "1.3"):
        assert curl(one, authority, f"--tlsv{version}", "--tls-max", version) == (0, "202", "")
    # curl offers h2 too, and is told http/1.1.
    assert curl(one, authority, "--http2") == (0, "202", "")
    over = connection(one, context(authority))
    assert post(over) == 202
    large = os.urandom(900 * 1024)
    assert post(over, large) == 202
    over.sock.unwrap()  # close_notify both ways, or an error
    values = [record.event()["data"] for record in records.read(kafka, name)]
    assert len(values) == 5 and large in values
    assert one.terminate() == 0


def test_what_is_old_is_refused(tls_bridge, authority):
    one = tls_bridge()
    low = ["-cipher", "ALL:@SECLEVEL=0"]
    for words in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"],
                  ["-tls1_2", "-cipher", "ECDHE+SHA:@SECLEVEL=0"],
                  ["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"], ["-alpn", "h2"],
                  ["-groups", "P-521"]):
        words = words if "-cipher" in words or "-tls1" not in words[0] else [*words, *low]
        connected, said = s_client(one, *words)
        assert not connected and "alert" in said, (words, said)
    for words in (["-tls1_2"], ["-tls1_3"], ["-alpn", "http/1.1"], ["-groups", "X25519"]):
        connected, said = s_client(one, *words)
        assert connected, (words, said)
    said = s_client(one, "-tls1_2")[1]
    assert "Secure Renegotiation IS supported" in said
    assert "Compression: NONE" in said
    # The connection is intact after a refused renegotiation: it would have to end otherwise.
    done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{one.port}"],
                          input="R\n", capture_output=True, text=True, check=False, timeout=60)
    assert "no renegotiation" in done.stderr


def test_client_certificates(tls_bridge, authority, tmp_path):
    other = Authority(tmp_path, "other")
    other.issue("stranger", "/CN=d1")
    authority.issue("device", "/CN=d1/O=farm")
    one = tls_bridge(MILLRACE_HTTP_TLS_CLIENT="required",
                     MILLRACE_HTTP_TLS_CLIENT_CA=authority.path("ca.pem"))

    def show(name):
        return ["--cert", authority.path(f"{name}.pem"), "--key", authority.path(f"{name}.key")]
    assert curl(one, authority, *show("device")) == (0, "202", "")
    assert curl(one, authority)[0] != 0
    assert curl(one, authority, *show("stranger"))[0] != 0
    assert post(connection(one, context(authority, "device"))) == 202


def test_new_files_without_dropping_a_connection(tls_bridge, authority):
    one = tls_bridge(MILLRACE_HTTP_LOOPS="2")
    old = connection(one, context(authority))
    assert post(old) == 202
    before = old.sock.getpeercert()["serialNumber"]
    sock = old.sock

    def new_serial():
        fresh = connection(one, context(authority))
        fresh.connect()
        found = fresh.sock.getpeercert()["serialNumber"]
        fresh.close()
        return found if found != before else None
    for told in (lambda: None, lambda: one.signal(signal.SIGHUP)):
        authority.issue("server", "/CN=localhost")
        told()
        before = wait_for(new_serial, 20, "new connections are shown the new certificate")
        assert post(old) == 202 and old.sock is sock


def test_plain_http_is_told(tls_bridge):
    one = tls_bridge()
    with socket.create_connection(("127.0.0.1", one.port), timeout=60) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b"".join(iter(lambda: plain.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ") and b"https" in answer

# SPDX-License-Identifier: Apache-2.0
"""TLS to mosquitto: what is wrong is refused with its reason, and what is right works."""
import re
import socket
import ssl

import pytest

from lib import records
from lib.authority import Authority
from lib.publishers import Client
from lib.waiting import free_port, wait_for

PROTOCOLS = ["5", "3.1.1"]


def listener(authority, certificate="server", **more):
    return {"certfile": authority.path(f"{certificate}.pem"),
            "keyfile": authority.path(f"{certificate}.key"), **more}


def settings(broker, authority, ca="ca", host="localhost", **more):
    return {"MILLRACE_MQTT_TLS": "true", "MILLRACE_MQTT_BROKER": f"{host}:{broker.port}",
            "MILLRACE_MQTT_TLS_CA": authority.path(f"{ca}.pem"),
            "MILLRACE_MQTT_RECONNECT_MAX": "1s", **more}


def own(authority, name):
    return {"MILLRACE_MQTT_TLS_CERTIFICATE": authority.path(f"{name}.pem"),
            "MILLRACE_MQTT_TLS_KEY": authority.path(f"{name}.key")}


@pytest.fixture
def plain(mosquitto):
    """plain(...): (mosquitto with TLS, the same at a second, plain port for the devices)."""
    def start(listener_settings):
        port = free_port()

        def both(folder, tls_port):
            tls = "\n".join(f"{key} {value}" for key, value in listener_settings.items())
            return (f"listener {port} 127.0.0.1\nlistener {tls_port} 127.0.0.1\n{tls}\n"
                    f"allow_anonymous true\npersistence_location {folder}/\n")
        broker = mosquitto(configuration=both)

        class Plain:
            pass
        Plain.port = port
        return broker, Plain
    return start


def goes_through(one, devices, kafka, topic):
    with Client(devices) as device:
        device.publish("t/dev", b"1")
    records.wait_for(kafka, topic, 1)
    assert one.terminate() == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_right_ones(plain, mqtt, kafka, name, authority, protocol):
    authority.issue("bridge", "/CN=bridge")
    broker, devices = plain(listener(authority, cafile=authority.path("ca.pem"),
                                     require_certificate="true"))
    one = mqtt(broker, kafka, name, MILLRACE_MQTT_PROTOCOL=protocol,
               **settings(broker, authority, **own(authority, "bridge")))
    goes_through(one, devices, kafka, name)


def test_an_address_may_stand_in_the_certificate(plain, mqtt, kafka, name, authority):
    broker, devices = plain(listener(authority))
    one = mqtt(broker, kafka, name, **settings(broker, authority, host="127.0.0.1"))
    goes_through(one, devices, kafka, name)


def refused(mqtt, broker, kafka, name, words, *others, **more):
    one = mqtt(broker, kafka, name, ready=False, **more)
    text = one.wait_not_ready(words)
    for word in others:
        assert word in text
    # Nothing came about, now or later; and the log doesn't repeat itself. (The broker may close
    # before its own reason has arrived.)
    wait_for(lambda: broker.log.read_text().count("New connection") >= 4, 30, "more attempts")
    assert "New client connected" not in broker.log.read_text()
    told = re.findall(r'msg="no connection to the broker" .* reason="([^"]+)"', one.log_text())
    assert told and all(line != next_ for line, next_ in zip(told, told[1:]))
    assert one.readyz()[0] == 503


def test_a_wrong_authority(plain, mqtt, kafka, name, authority, tmp_path):
    Authority(tmp_path, "other")
    broker, _ = plain(listener(authority))
    refused(mqtt, broker, kafka, name, "certificate", **settings(broker, authority, ca="other"))


def test_an_expired_certificate(plain, mqtt, kafka, name, authority):
    authority.issue("old", "/CN=localhost", days=0)
    broker, _ = plain(listener(authority, "old"))
    refused(mqtt, broker, kafka, name, "expired", **settings(broker, authority))


def test_a_wrong_name(plain, mqtt, kafka, name, authority):
    authority.issue("elsewhere", "/CN=elsewhere.example", extensions="elsewhere")
    broker, _ = plain(listener(authority, "elsewhere"))
    refused(mqtt, broker, kafka, name, "ostname", **settings(broker, authority))


def test_a_wrong_address(plain, mqtt, kafka, name, authority):
    authority.issue("elsewhere", "/CN=elsewhere.example", extensions="elsewhere")
    broker, _ = plain(listener(authority, "elsewhere"))
    refused(mqtt, broker, kafka, name, "address", **settings(broker, authority, host="127.0.0.1"))


def test_a_wrong_name_may_be_allowed(plain, mqtt, kafka, name, authority):
    authority.issue("elsewhere", "/CN=elsewhere.example", extensions="elsewhere")
    broker, devices = plain(listener(authority, "elsewhere"))
    one = mqtt(broker, kafka, name, MILLRACE_MQTT_TLS_VERIFY_NAME="false",
               **settings(broker, authority))
    goes_through(one, devices, kafka, name)


@pytest.mark.parametrize("certificate", [None, "stranger"])
def test_the_bridges_own_certificate(plain, mqtt, kafka, name, authority, tmp_path, certificate):
    Authority(tmp_path, "other").issue("stranger", "/CN=bridge")
    broker, _ = plain(listener(authority, cafile=authority.path("ca.pem"),
                               require_certificate="true"))
    more = own(authority, certificate) if certificate else {}
    refused(mqtt, broker, kafka, name, "certificate required" if certificate is None else "unknown CA",
            **settings(broker, authority, **more))


def test_a_broker_without_tls(mosquitto, mqtt, kafka, name, authority):
    broker = mosquitto()
    refused(mqtt, broker, kafka, name, "mqtt", **settings(broker, authority))


def test_alpn(mqtt, kafka, name, authority):
    """mosquitto takes any, so this server is Python's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.path("server.pem"), authority.path("server.key"))
    context.set_alpn_protocols(["other", "mqtt"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)

        class Server:
            port = server.getsockname()[1]
            address = f"127.0.0.1:{port}"
        mqtt(Server, kafka, name, ready=False, MILLRACE_MQTT_TLS_ALPN="mqtt",
             **settings(Server, authority))
        with context.wrap_socket(server.accept()[0], server_side=True) as connection:
            assert connection.selected_alpn_protocol() == "mqtt"

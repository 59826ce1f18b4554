# SPDX-License-Identifier: Apache-2.0
"""millrace-mqtt --retire: a bridge of a group goes for good, and leaves nothing behind."""
import subprocess

import pytest

from conftest import need_built
from lib import paths
from lib.programs import environment
from lib.publishers import V5, Client, drained
from lib.waiting import wait_for


def settings(protocol):
    return {"MILLRACE_MQTT_GROUP": "rooms", "MILLRACE_MQTT_PROTOCOL": protocol}


def stored(one):
    return one.sample("millrace_mqtt_messages_total", outcome="stored")


def retire(broker, kafka, topic, client, protocol):
    need_built(paths.MQTT)
    env = environment(
        MILLRACE_MQTT_BROKER=broker.address, MILLRACE_MQTT_CLIENT_ID=client,
        MILLRACE_MQTT_TOPIC=topic, MILLRACE_KAFKA_BOOTSTRAP_SERVERS=kafka.address,
        MILLRACE_ADMIN_LISTEN="127.0.0.1:0", **settings(protocol))
    return subprocess.run([paths.MQTT, "--retire"], env=env, capture_output=True, text=True,
                          timeout=120, check=False)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_retired_bridge_leaves_nothing_behind(mosquitto, mqtt, kafka, name, devices, protocol):
    """What the broker kept for it is stored, and its session is gone: the others get all."""
    broker = mosquitto()
    stays = mqtt(broker, kafka, name, client="stays", **settings(protocol))
    goes = mqtt(broker, kafka, name, client="goes", **settings(protocol))
    goes.kill()
    load = devices(broker, 2000)
    promised = load.finish()  # half of them wait for the dead one
    wait_for(lambda: stored(stays) >= 900, 60, "the other's share")
    done = retire(broker, kafka, name, "goes", protocol)
    assert done.returncode == 0, done.stdout + done.stderr
    found = drained(kafka, name, promised)
    assert found.keys() == promised
    with Client(broker, V5, id_="goes", clean=False) as client:
        assert not client.session_present
    promised |= devices(broker, 500, first=10001).finish()
    assert drained(kafka, name, promised).keys() == promised
    assert stays.terminate() == 0

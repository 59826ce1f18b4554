# SPDX-License-Identifier: Apache-2.0
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = ROOT / os.environ.get("MILLRACE_BUILD", "build")
LOGS = ROOT / "build" / "system-logs"
KAFKA_LIBS = ROOT / ".kafka" / "libs"
HTTP = BUILD / "bridge" / "millrace-http"
MQTT = BUILD / "bridge" / "millrace-mqtt"
INFLUX = BUILD / "consumers" / "millrace-influx"
CLI = BUILD / "cli" / "millrace"
AVRO_CAT = BUILD / "tests" / "avro_cat"
FAILING_WORKER = BUILD / "tests" / "failing_worker"
TRANSACT = BUILD / "tests" / "transact"
MQTT_PUBLISH = BUILD / "tests" / "mqtt_publish"
MOSQUITTO_CONF = ROOT / "deploy" / "mosquitto" / "mosquitto.conf"
CLOUDEVENT_SCHEMA = ROOT / "schemas" / "cloudevent.avsc"

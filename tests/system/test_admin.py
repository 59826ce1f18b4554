# SPDX-License-Identifier: Apache-2.0
"""The admin listener: metrics that Prometheus can read and that are true, health, readiness."""
from lib.load import Load
from lib.programs import get, parse_metrics
from lib.publishers import Client
from lib.waiting import wait_for

EVENTS = 50


def total(samples, name, **labels):
    """The sum over the series that have these labels."""
    wanted = set(labels.items())
    return sum(value for key, value in samples.get(name, {}).items() if wanted <= set(key))


def test_healthz_and_readyz(bridge, kafka, name):
    one = bridge(kafka, name)
    assert get(one.admin_port, "/healthz")[0] == 200
    assert one.readyz()[0] == 200
    assert get(one.admin_port, "/nothing")[0] == 404


def test_metrics_are_in_prometheus_format_and_count_events(bridge, worker, kafka, influx, name):
    influx.create_database(name)
    one = bridge(kafka, name)
    reader = worker(kafka, name, influx.uri, name)
    with Load(one.port, "device", 4) as load:
        load.wait_stored(EVENTS)
    count = len(load.of(202))
    samples = parse_metrics(one.metrics())
    assert all(metric.startswith(("millrace_", "process_")) for metric in samples)
    counted = [metric for metric, series in samples.items()
               if metric.endswith("_total") and count in series.values()]
    assert counted, f"no counter says {count}: {samples}"

    def worker_counts():
        samples = parse_metrics(reader.metrics())
        return any(metric.endswith("_total") and sum(series.values()) == count
                   for metric, series in samples.items())
    wait_for(worker_counts, 20, "the worker's counters say as many")


def test_the_mqtt_bridges_metrics_are_in_prometheus_format_and_count(mosquitto, mqtt, kafka, name):
    broker = mosquitto()
    one = mqtt(broker, kafka, name)
    assert get(one.admin_port, "/healthz")[0] == 200
    with Client(broker) as device:
        for number in range(EVENTS):
            device.publish("climate/d", str(number))
    wait_for(lambda: one.sample("millrace_mqtt_messages_total", outcome="stored") == EVENTS, 30,
             "all are stored")
    samples = parse_metrics(one.metrics())
    assert all(metric.startswith(("millrace_", "process_")) for metric in samples)
    assert total(samples, "millrace_mqtt_messages_total") == EVENTS, "and nothing else happened"
    assert total(samples, "millrace_mqtt_messages_received_total") == EVENTS
    assert total(samples, "millrace_mqtt_in_flight_messages") == 0
    assert total(samples, "millrace_mqtt_in_flight_bytes") == 0
    assert total(samples, "millrace_mqtt_connections") == 1


def test_a_topic_that_may_not_be_created_is_named(run, kafka, name):
    from lib.programs import Bridge
    one = run(Bridge, kafka.address, name, MILLRACE_HTTP_TOPIC_CREATE="false")
    assert name in one.wait_not_ready("topic")
    kafka.create_topic(name)
    one.wait_ready()

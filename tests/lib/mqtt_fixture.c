// SPDX-License-Identifier: Apache-2.0
#include "lib/mqtt_fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/child.h"
#include "lib/raw_client.h"

enum {
    ARGUMENTS_MAX = 24,
    PARTITIONS = 4,
    DEVICES = 10,
    LOOK_MS = 20,
    FENCE_ID = 65535,
    STATUS_OK = 200,
    STATUS_UNAVAILABLE = 503,
    NAME_BYTES = 40,
};

const char *const mqtt_no_more[] = {NULL};

void mqtt_prepare_tls(struct mqtt_fixture *f, const struct cert *server, const struct cert *ca)
{
    memset(f, 0, sizeof *f);
    (void)signal(SIGPIPE, SIG_IGN);
    mock_kafka_start(&f->mock);
    mock_kafka_create_topic(&f->mock, "events", PARTITIONS);
    f->broker = script_broker_start(server, ca);
}

void mqtt_prepare(struct mqtt_fixture *f)
{
    mqtt_prepare_tls(f, NULL, NULL);
}

void mqtt_launch_at(struct mqtt_fixture *f, const char *program, const char *const *extra)
{
    char bootstrap[100];
    char broker[100];
    /* The deadline is for machines that are slow; a test of it gives its own. */
    const char *arguments[ARGUMENTS_MAX] = {
        program, "--admin.listen=127.0.0.1:0",   "--admin.shutdown.deadline=60s", bootstrap,
        broker,  "--mqtt.client.id=" MQTT_CLIENT};
    size_t count = 6;
    (void)snprintf(bootstrap, sizeof bootstrap, "--kafka.bootstrap.servers=%s", f->mock.bootstrap);
    (void)snprintf(broker, sizeof broker, "--mqtt.broker=127.0.0.1:%u",
                   script_broker_port(f->broker));
    for (; *extra != NULL; extra++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        arguments[count++] = *extra;
    }
    spawned_start(&f->child, arguments);
    f->admin = spawned_wait_port(&f->child, "msg=\"admin listening\" host=127.0.0.1 port=");
}

void mqtt_start_at(struct mqtt_fixture *f, const char *program, const char *const *extra)
{
    mqtt_prepare(f);
    mqtt_launch_at(f, program, extra);
    (void)spawned_wait_log(&f->child, "msg=ready");
    assert_int_equal(mqtt_wait_subscribed(f, 0), 1);
}

unsigned mqtt_wait_subscribed(struct mqtt_fixture *f, unsigned after)
{
    unsigned connection = script_broker_wait_subscribed(f->broker, after);
    script_broker_wait_count(f->broker, WIRE_SUBSCRIBE, connection, 2);
    return connection;
}

void mqtt_stop(struct mqtt_fixture *f)
{
    spawned_signal(&f->child, SIGTERM);
    assert_int_equal(spawned_wait(&f->child), 0);
    mqtt_done(f);
}

void mqtt_done(struct mqtt_fixture *f)
{
    script_broker_stop(f->broker);
    mock_kafka_stop(&f->mock);
}

void mqtt_publish(struct mqtt_fixture *f, unsigned connection, uint16_t packet_id,
                  const char *topic, const char *payload)
{
    script_broker_publish(
        f->broker, connection,
        &(struct wire_publish){
            .topic = topic, .payload = mr_slice_of(payload), .packet_id = packet_id, .qos = 1});
}

static void publish_many(struct mqtt_fixture *f, unsigned connection, uint16_t first, size_t count,
                         bool dup)
{
    char topic[NAME_BYTES];
    char payload[NAME_BYTES];
    struct mr_buf bytes;
    uint8_t level = script_broker_level(f->broker, connection);
    wire_begin(&bytes);
    for (size_t i = first; i < first + count; i++) {
        (void)snprintf(topic, sizeof topic, "s1/d%zu", i % DEVICES);
        (void)snprintf(payload, sizeof payload, "m%zu", i);
        wire_add_publish(&bytes, level,
                         &(struct wire_publish){.topic = topic,
                                                .payload = mr_slice_of(payload),
                                                .packet_id = (uint16_t)i,
                                                .qos = 1,
                                                .dup = dup});
    }
    script_broker_send(f->broker, connection, buf_slice(&bytes));
    buf_done(&bytes);
}

void mqtt_publish_many(struct mqtt_fixture *f, unsigned connection, uint16_t first, size_t count)
{
    publish_many(f, connection, first, count, false);
}

void mqtt_publish_again(struct mqtt_fixture *f, unsigned connection, uint16_t first, size_t count)
{
    publish_many(f, connection, first, count, true);
}

const struct script_broker_packet *mqtt_expect_pubacks(struct mqtt_fixture *f, unsigned after,
                                                       uint16_t first, size_t count)
{
    const struct script_broker_packet *begin = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct script_broker_packet *packet =
            script_broker_wait_packet(f->broker, WIRE_PUBACK, after);
        assert_int_equal(packet->packet.packet_id, first + i);
        assert_int_equal(packet->packet.reason, 0);
        if (packet->number != after + 1) {
            fail_msg("a packet of type %d before the PUBACK of %zu",
                     (int)script_broker_packet_at(f->broker, after + 1)->packet.type, first + i);
        }
        begin = begin == NULL ? packet : begin;
        after = packet->number;
    }
    return begin;
}

unsigned mqtt_expect_quiet(struct mqtt_fixture *f, unsigned connection, unsigned after)
{
    mqtt_publish(f, connection, FENCE_ID, "s1/fence", "fence");
    return mqtt_expect_pubacks(f, after, FENCE_ID, 1)->number;
}

unsigned mqtt_last(struct mqtt_fixture *f)
{
    unsigned number = 0;
    while (script_broker_packet_at(f->broker, number + 1) != NULL) {
        number++;
    }
    return number;
}

long mqtt_metric(const struct mqtt_fixture *f, const char *sample)
{
    char key[200];
    const char *at;
    (void)snprintf(key, sizeof key, "\n%s ", sample);
    at = strstr(child_ask(f->admin, "GET", "/metrics"), key);
    return at == NULL ? -1 : strtol(at + strlen(key), NULL, 10);
}

void mqtt_wait_metric(const struct mqtt_fixture *f, const char *sample, long value)
{
    double end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    long seen;
    while ((seen = mqtt_metric(f, sample)) < value) {
        if (raw_now_s() > end) {
            fail_msg("%s is %ld, not %ld", sample, seen, value);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static void wait_readyz(const struct mqtt_fixture *f, int status, const char *text)
{
    double end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    char head[NAME_BYTES];
    const char *answer;
    (void)snprintf(head, sizeof head, "HTTP/1.1 %d ", status);
    while (answer = child_ask(f->admin, "GET", "/readyz"),
           strncmp(answer, head, strlen(head)) != 0 || strstr(answer, text) == NULL) {
        if (raw_now_s() > end) {
            fail_msg("no %d with '%s': %s", status, text, answer);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

void mqtt_wait_not_ready(const struct mqtt_fixture *f, const char *text)
{
    wait_readyz(f, STATUS_UNAVAILABLE, text);
}

void mqtt_wait_ready(const struct mqtt_fixture *f)
{
    wait_readyz(f, STATUS_OK, "");
}

static size_t count_data(const struct mock_records *records, const char *data,
                         char ret_id[MQTT_ID_BYTES])
{
    struct mr_event *event = mr_event_new();
    size_t count = 0;
    struct mr_error err;
    assert_non_null(event);
    for (size_t i = 0; i < records->count; i++) {
        if (kafka_binding_read(&records->at[i].record, event, &err) != 0) {
            fail_msg("%s", err.text);
        }
        if (mr_slice_is(mr_event_data(event), mr_slice_of(data))) {
            struct mr_slice id = mr_event_string(event, "id");
            count++;
            if (ret_id != NULL) {
                (void)snprintf(ret_id, MQTT_ID_BYTES, "%.*s", MR_SLICE_ARG(id));
            }
        }
    }
    mr_event_free(event);
    return count;
}

size_t mqtt_stored(struct mqtt_fixture *f, const char *topic, const char *data,
                   char ret_id[MQTT_ID_BYTES])
{
    struct mock_records records;
    size_t count;
    mock_kafka_read(&f->mock, topic, &records);
    count = count_data(&records, data, ret_id);
    mock_records_free(&records);
    return count;
}

void mqtt_expect_stored(struct mqtt_fixture *f, uint16_t first, size_t count, size_t times)
{
    struct mock_records records;
    char payload[NAME_BYTES];
    mock_kafka_read(&f->mock, "events", &records);
    for (size_t i = first; i < first + count; i++) {
        size_t found;
        (void)snprintf(payload, sizeof payload, "m%zu", i);
        found = count_data(&records, payload, NULL);
        if (found != times) {
            fail_msg("%s is there %zu times, not %zu", payload, found, times);
        }
    }
    mock_records_free(&records);
}

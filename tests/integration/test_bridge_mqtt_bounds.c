// SPDX-License-Identifier: Apache-2.0
/* What millrace-mqtt holds at most, and what it does with a message that can't become an event. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/event_asserts.h"
#include "lib/mqtt_fixture.h"
#include "lib/raw_client.h"

enum {
    WINDOW = 10,
    MANY = 500,
    BIG_BYTES = 30 * 1024,
    WINDOW_BYTES = 100 * 1024,
    BIG_COUNT = 40,
    FLOOD = 20000,
    FLOOD_BYTES = 1000,
    FLOOD_WINDOW = 100,
    MEMORY_BYTES = 8 * 1024 * 1024,
    LOOK_MS = 5,
};

#define DEAD "millrace_mqtt_messages_total{outcome=\"dead\"}"

/* Both versions: a 3.1.1 broker knows nothing of the window. */
static void reads_no_more_than_the_window(const char *protocol)
{
    const char *const extra[] = {protocol, "--mqtt.in_flight.max=10", NULL};
    struct mqtt_fixture f;
    unsigned after;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, MANY);
    mqtt_wait_metric(&f, MQTT_RECEIVED, WINDOW);
    mqtt_wait_not_ready(&f, "kafka: ");
    assert_int_equal(mqtt_metric(&f, MQTT_RECEIVED), WINDOW);
    assert_int_equal(mqtt_metric(&f, MQTT_IN_FLIGHT), WINDOW);
    mock_kafka_set_up(&f.mock, true);
    (void)mqtt_expect_pubacks(&f, after, 1, MANY);
    mqtt_expect_stored(&f, 1, MANY, 1);
    mqtt_stop(&f);
}

static void test_no_more_than_the_window_is_read(void **state)
{
    (void)state;
    reads_no_more_than_the_window("--mqtt.protocol=5");
}

static void test_no_more_than_the_window_is_read_version_3(void **state)
{
    (void)state;
    reads_no_more_than_the_window("--mqtt.protocol=3.1.1");
}

/* The program finds the socket full: it sleeps while that is written. */
static void flood(struct mqtt_fixture *f, const char *payload, struct mr_slice properties,
                  unsigned count)
{
    struct mr_buf bytes;
    double end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    wire_begin(&bytes);
    for (unsigned i = 1; i <= count; i++) {
        wire_add_publish(&bytes, WIRE_LEVEL_5,
                         &(struct wire_publish){.topic = "s1/d1",
                                                .payload = mr_slice_of(payload),
                                                .packet_id = (uint16_t)i,
                                                .qos = 1,
                                                .properties = properties});
    }
    spawned_signal(&f->child, SIGSTOP);
    script_broker_send(f->broker, 1, buf_slice(&bytes));
    while (script_broker_unsent(f->broker, 1) == bytes.len) {
        assert_true(raw_now_s() < end);
        (void)poll(NULL, 0, LOOK_MS);
    }
    spawned_signal(&f->child, SIGCONT);
    buf_done(&bytes);
}

static void test_the_window_has_a_bound_in_bytes(void **state)
{
    static const char *const extra[] = {"--mqtt.in_flight.bytes.max=100KiB",
                                        "--mqtt.message.max=40KiB", NULL};
    static char payload[BIG_BYTES + 1];
    struct mqtt_fixture f;
    (void)state;
    memset(payload, 'x', BIG_BYTES);
    mqtt_start(&f, extra);
    mock_kafka_set_up(&f.mock, false);
    flood(&f, payload, MR_SLICE(""), BIG_COUNT);
    mqtt_wait_metric(&f, MQTT_RECEIVED, 1);
    mqtt_wait_not_ready(&f, "kafka: ");
    assert_true(mqtt_metric(&f, MQTT_RECEIVED) <= WINDOW_BYTES / BIG_BYTES + 1);
    mock_kafka_set_up(&f.mock, true);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, BIG_COUNT);
    assert_int_equal(mqtt_stored(&f, "events", payload, NULL), BIG_COUNT);
    mqtt_stop(&f);
}

/* What a message has besides its payload lies in memory, too. */
static void test_user_properties_count_for_the_bound_in_bytes(void **state)
{
    static const char *const extra[] = {"--mqtt.in_flight.bytes.max=100KiB",
                                        "--mqtt.message.max=40KiB", NULL};
    static char value[BIG_BYTES + 1];
    struct mqtt_fixture f;
    struct mr_buf list;
    (void)state;
    memset(value, 'x', BIG_BYTES);
    mqtt_start(&f, extra);
    mock_kafka_set_up(&f.mock, false);
    wire_begin(&list);
    wire_add_user_property(&list, "note", value);
    flood(&f, "small", buf_slice(&list), BIG_COUNT);
    mqtt_wait_metric(&f, MQTT_RECEIVED, 1);
    mqtt_wait_not_ready(&f, "kafka: ");
    assert_true(mqtt_metric(&f, MQTT_RECEIVED) <= WINDOW_BYTES / BIG_BYTES + 1);
    mock_kafka_set_up(&f.mock, true);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, BIG_COUNT);
    assert_int_equal(mqtt_stored(&f, "events", "small", NULL), BIG_COUNT);
    buf_done(&list);
    mqtt_stop(&f);
}

static void test_memory_is_bounded_while_kafka_is_away(void **state)
{
    static const char *const extra[] = {"--mqtt.in_flight.max=100", NULL};
    struct mqtt_fixture f;
    char payload[FLOOD_BYTES + 1];
    long before;
    (void)state;
    memset(payload, 'x', FLOOD_BYTES);
    payload[FLOOD_BYTES] = '\0';
    mqtt_start(&f, extra);
    mqtt_publish(&f, 1, 1, "s1/d1", "m1");
    (void)script_broker_wait_packet(f.broker, WIRE_PUBACK, 0);
    before = mqtt_metric(&f, "process_resident_memory_bytes");
    mock_kafka_set_up(&f.mock, false);
    flood(&f, payload, MR_SLICE(""), FLOOD);
    mqtt_wait_metric(&f, MQTT_RECEIVED, 2);
    mqtt_wait_not_ready(&f, "kafka: ");
    assert_true(mqtt_metric(&f, MQTT_RECEIVED) <= 1 + FLOOD_WINDOW);
    assert_true(script_broker_unsent(f.broker, 1) > 0); /* the sockets are full */
    assert_true(mqtt_metric(&f, "process_resident_memory_bytes") < before + MEMORY_BYTES);
    mock_kafka_set_up(&f.mock, true);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, 1 + MANY);
    mqtt_stop(&f);
}

/* One message that can't be stored as an event, and one behind it that can. Returns the letter. */
static void send_a_bad_one(struct mqtt_fixture *f, const struct wire_publish *publish,
                           struct mock_records *ret_letters)
{
    unsigned after = mqtt_last(f);
    script_broker_publish(f->broker, 1, publish);
    mqtt_publish_many(f, 1, publish->packet_id + 1, 1);
    (void)mqtt_expect_pubacks(f, after, publish->packet_id, 2);
    mqtt_expect_stored(f, publish->packet_id + 1, 1, 1);
    mock_kafka_read(&f->mock, "events.dead", ret_letters);
    assert_int_equal(ret_letters->count, 1);
    assert_non_null(mock_record_header(&ret_letters->at[0], "millrace_dead_reason").ptr);
    assert_non_null(mock_record_header(&ret_letters->at[0], "millrace_dead_text").ptr);
    assert_int_equal(mqtt_metric(f, DEAD), 1);
}

static void test_what_has_no_route_is_a_dead_letter(void **state)
{
    struct mqtt_fixture *f = *state;
    struct mock_records letters;
    send_a_bad_one(f,
                   &(struct wire_publish){
                       .topic = "a/b/c/d", .payload = MR_SLICE("data"), .packet_id = 1, .qos = 1},
                   &letters);
    assert_slice(letters.at[0].record.value, "data");
    mock_records_free(&letters);
}

static void test_what_has_no_route_is_dropped_if_that_is_wanted(void **state)
{
    static const char *const extra[] = {"--mqtt.unrouted=drop", NULL};
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    mqtt_publish(&f, 1, 1, "a/b/c/d", "data");
    (void)mqtt_expect_pubacks(&f, after, 1, 1);
    assert_int_equal(mqtt_metric(&f, "millrace_mqtt_messages_total{outcome=\"dropped\"}"), 1);
    mqtt_stop(&f);
}

static void test_a_bad_structured_event_is_a_dead_letter(void **state)
{
    struct mqtt_fixture *f = *state;
    struct mock_records letters;
    struct mr_buf list;
    wire_begin(&list);
    wire_add_property_text(&list, WIRE_CONTENT_TYPE, "application/cloudevents+json");
    send_a_bad_one(f,
                   &(struct wire_publish){.topic = "s1/d1",
                                          .payload = MR_SLICE("{\"specversion\""),
                                          .packet_id = 1,
                                          .qos = 1,
                                          .properties = buf_slice(&list)},
                   &letters);
    assert_slice(letters.at[0].record.value, "{\"specversion\"");
    mock_records_free(&letters);
    buf_done(&list);
}

/* Kafka's limit is lower than the bridge's own. */
static void test_what_is_too_large_for_kafka_is_a_dead_letter(void **state)
{
    static const char *const extra[] = {"--kafka.producer.message.max.bytes=60000",
                                        "--mqtt.message.max=200KiB", NULL};
    enum { LARGE = 100000 };
    static char payload[LARGE + 1];
    struct mqtt_fixture f;
    struct mock_records letters;
    (void)state;
    memset(payload, 'x', LARGE);
    mqtt_start(&f, extra);
    send_a_bad_one(
        &f,
        &(struct wire_publish){
            .topic = "s1/d1", .payload = mr_slice(payload, LARGE), .packet_id = 1, .qos = 1},
        &letters);
    assert_slice(mock_record_header(&letters.at[0], "millrace_dead_size"), "100000");
    mock_records_free(&letters);
    mqtt_stop(&f);
}

/* A 3.1.1 broker knows nothing of message.max. */
static void test_what_is_too_large_comes_with_version_3_too(void **state)
{
    static const char *const extra[] = {"--mqtt.protocol=3.1.1",
                                        "--kafka.producer.message.max.bytes=60000",
                                        "--mqtt.message.max=70KiB", NULL};
    enum { LARGE = 100000 };
    static char payload[LARGE + 1];
    struct mqtt_fixture f;
    struct mock_records letters;
    (void)state;
    memset(payload, 'x', LARGE);
    mqtt_start(&f, extra);
    send_a_bad_one(
        &f,
        &(struct wire_publish){
            .topic = "s1/d1", .payload = mr_slice(payload, LARGE), .packet_id = 1, .qos = 1},
        &letters);
    mock_records_free(&letters);
    mqtt_stop(&f);
}

/* The longest that MQTT has, 1.5.4. */
static void test_the_longest_topic_is_a_dead_letter(void **state)
{
    enum { TOPIC_BYTES = 65535 };
    static char topic[TOPIC_BYTES + 1];
    struct mqtt_fixture *f = *state;
    struct mock_records letters;
    for (size_t i = 0; i < TOPIC_BYTES; i++) {
        topic[i] = i % 300 == 299 ? '/' : 'x';
    }
    send_a_bad_one(f,
                   &(struct wire_publish){
                       .topic = topic, .payload = MR_SLICE("data"), .packet_id = 1, .qos = 1},
                   &letters);
    assert_slice(letters.at[0].record.value, "data");
    mock_records_free(&letters);
}

/* A message that is bad is acknowledged only when its letter is stored. */
static void test_a_dead_letter_is_waited_for(void **state)
{
    enum { RTT_MS = 1500 };
    struct mqtt_fixture *f = *state;
    double sent_s;
    unsigned after;
    after = mqtt_last(f);
    mock_kafka_set_rtt(&f->mock, RTT_MS);
    sent_s = raw_now_s();
    mqtt_publish(f, 1, 1, "a/b/c/d", "data");
    assert_true(mqtt_expect_pubacks(f, after, 1, 1)->at_s >= sent_s + RTT_MS / 1000.0);
}

/* MQTT 5.0, 3.3.2.3.3. */
static void test_what_has_expired_before_kafka_is_back_is_dropped(void **state)
{
    struct mqtt_fixture *f = *state;
    struct mr_buf list;
    unsigned after;
    after = mqtt_last(f);
    wire_begin(&list);
    wire_add_property_4(&list, WIRE_MESSAGE_EXPIRY, 1);
    mock_kafka_push_error(&f->mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_POLICY_VIOLATION, 1000);
    script_broker_publish(f->broker, 1,
                          &(struct wire_publish){.topic = "s1/d1",
                                                 .payload = MR_SLICE("old"),
                                                 .packet_id = 1,
                                                 .qos = 1,
                                                 .properties = buf_slice(&list)});
    (void)mqtt_expect_pubacks(f, after, 1, 1);
    assert_int_equal(mqtt_metric(f, "millrace_mqtt_messages_total{outcome=\"expired\"}"), 1);
    mock_kafka_clear_errors(&f->mock, MOCK_API_PRODUCE);
    assert_int_equal(mqtt_stored(f, "events", "old", NULL), 0);
    buf_done(&list);
}

/* mosquitto's own count, mosquitto(8): what it threw away no bridge can save, so it is shown. */
static void test_what_the_broker_threw_away_is_shown(void **state)
{
    struct mqtt_fixture *f = *state;
    script_broker_publish(f->broker, 1,
                          &(struct wire_publish){.topic = "$SYS/broker/publish/messages/dropped",
                                                 .payload = MR_SLICE("3")});
    script_broker_publish(f->broker, 1,
                          &(struct wire_publish){.topic = "$SYS/broker/publish/messages/dropped",
                                                 .payload = MR_SLICE("45")});
    mqtt_wait_metric(f, "millrace_mqtt_broker_dropped_messages", 45);
    (void)spawned_wait_log(&f->child, "level=warn ");
    mqtt_publish_many(f, 1, 1, 1);
    script_broker_wait_count(f->broker, WIRE_PUBACK, 1, 1);
    assert_int_equal(mqtt_metric(f, DEAD), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_than_the_window_is_read),
        cmocka_unit_test(test_no_more_than_the_window_is_read_version_3),
        cmocka_unit_test(test_the_window_has_a_bound_in_bytes),
        cmocka_unit_test(test_user_properties_count_for_the_bound_in_bytes),
        cmocka_unit_test(test_memory_is_bounded_while_kafka_is_away),
        cmocka_unit_test_setup_teardown(test_what_has_no_route_is_a_dead_letter, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test(test_what_has_no_route_is_dropped_if_that_is_wanted),
        cmocka_unit_test_setup_teardown(test_a_bad_structured_event_is_a_dead_letter, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test(test_what_is_too_large_for_kafka_is_a_dead_letter),
        cmocka_unit_test(test_what_is_too_large_comes_with_version_3_too),
        cmocka_unit_test_setup_teardown(test_the_longest_topic_is_a_dead_letter, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_a_dead_letter_is_waited_for, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_what_has_expired_before_kafka_is_back_is_dropped,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_what_the_broker_threw_away_is_shown, mqtt_setup,
                                        mqtt_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

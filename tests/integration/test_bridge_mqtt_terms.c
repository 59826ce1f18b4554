// SPDX-License-Identifier: Apache-2.0
/* What a broker may ask for, or do, within the rules: its own keep alive, fewer features, another
 * client in our place, messages of any kind. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/event_asserts.h"
#include "lib/mqtt_fixture.h"
#include "lib/raw_client.h"

enum {
    SERVER_KEEP_ALIVE = 19,    /* 3.2.2.3.14 */
    SHARED_UNAVAILABLE = 42,   /* 3.2.2.3.13 */
    SESSION_TAKEN_OVER = 0x8E, /* 2.4 */
    COUNT = 3,
    PAUSE_S = 1,
    MANY = 60000,
    HALF = MANY / 2,
    LOOK_MS = 20,
};

/* Before the program starts, so that the first CONNACK has it. */
static void start_with(struct mqtt_fixture *f, struct mr_buf *list, const char *const *extra)
{
    mqtt_prepare(f);
    script_broker_set(f->broker,
                      &(struct script_broker_script){.connack_properties = buf_slice(list)});
    mqtt_launch(f, extra);
}

/* 3.1.2.10: the server's keep alive holds instead of the client's. */
static void test_the_keep_alive_of_the_broker_counts(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf list;
    const struct script_broker_packet *packet;
    double begin_s;
    unsigned after;
    (void)state;
    wire_begin(&list);
    wire_add_property_2(&list, (enum wire_property)SERVER_KEEP_ALIVE, 5);
    start_with(&f, &list, (const char *const[]){"--mqtt.keep.alive=600s", NULL});
    (void)spawned_wait_log(&f.child, "msg=ready");
    after = script_broker_wait_packet(f.broker, WIRE_PINGREQ, 0)->number;
    mock_kafka_set_up(&f.mock, false);
    begin_s = raw_now_s();
    mqtt_publish_many(&f, 1, 1, COUNT);
    packet = script_broker_wait_packet(f.broker, WIRE_END, after);
    assert_true(packet->at_s >= begin_s);
    mock_kafka_set_up(&f.mock, true);
    (void)mqtt_wait_subscribed(&f, packet->number);
    assert_int_equal(script_broker_count(f.broker, WIRE_PUBACK, 0), 0);
    mqtt_stop(&f);
    buf_done(&list);
}

static void test_a_session_that_is_kept_for_less_is_warned_of(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf list;
    (void)state;
    wire_begin(&list);
    wire_add_property_4(&list, WIRE_SESSION_EXPIRY, 60);
    start_with(&f, &list, mqtt_no_more);
    (void)spawned_wait_log(&f.child, "session.expiry");
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
    buf_done(&list);
}

static void test_a_group_needs_a_broker_that_shares(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf list;
    (void)state;
    wire_begin(&list);
    wire_add_property_1(&list, (enum wire_property)SHARED_UNAVAILABLE, 0);
    start_with(&f, &list, (const char *const[]){"--mqtt.group=g", NULL});
    mqtt_wait_not_ready(&f, "shared");
    assert_null(script_broker_look(f.broker, WIRE_SUBSCRIBE, 0));
    mqtt_stop(&f);
    buf_done(&list);
}

/* Another client with the same id: were both to come back at once, they would throw each other out
 * for ever. */
static void test_a_session_that_is_taken_over_is_told_and_left_for_a_while(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    double told_s;
    unsigned after;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    after = mqtt_last(&f);
    told_s = raw_now_s();
    script_broker_disconnect(f.broker, 1, SESSION_TAKEN_OVER, NULL);
    mqtt_wait_not_ready(&f, "taken over; does another client use this client id?");
    packet = script_broker_wait_packet(f.broker, WIRE_CONNECT, after);
    assert_true(packet->at_s >= told_s + PAUSE_S);
    mqtt_stop(&f);
}

/* A DUP flag says that the broker has tried before, not that we have it (3.3.1.1). */
static void test_what_is_marked_as_sent_again_is_stored(void **state)
{
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    after = mqtt_last(&f);
    script_broker_publish(
        f.broker, 1,
        &(struct wire_publish){
            .topic = "s1/d1", .payload = MR_SLICE("m1"), .packet_id = 1, .qos = 1, .dup = true});
    (void)mqtt_expect_pubacks(&f, after, 1, 1);
    mqtt_expect_stored(&f, 1, 1, 1);
    mqtt_stop(&f);
}

/* The same packet id and content, again and again on one connection: each was acknowledged, so the
 * next is another message (2.2.1). */
static void test_a_packet_id_is_used_again(void **state)
{
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    after = mqtt_last(&f);
    for (unsigned i = 0; i < COUNT; i++) {
        mqtt_publish_many(&f, 1, 1, 1);
        (void)mqtt_expect_pubacks(&f, after + i, 1, 1);
    }
    mqtt_expect_stored(&f, 1, 1, COUNT);
    mqtt_stop(&f);
}

static void test_an_empty_message_is_an_event(void **state)
{
    struct mqtt_fixture f;
    struct mock_records records;
    unsigned after;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    after = mqtt_last(&f);
    mqtt_publish(&f, 1, 1, "s1/d1", "");
    (void)mqtt_expect_pubacks(&f, after, 1, 1);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_non_null(records.at[0].record.value.ptr); /* no tombstone */
    assert_slice(mock_record_header(&records.at[0], "ce_device"), "d1");
    mock_records_free(&records);
    mqtt_stop(&f);
}

/* One of two connections is lost while both hold messages: the other one's are its own. */
static void test_a_lost_connection_does_not_touch_the_other(void **state)
{
    static const char *const extra[] = {"--mqtt.connections=2", "--mqtt.group=g", NULL};
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_prepare(&f);
    mqtt_launch(&f, extra);
    mqtt_wait_ready(&f);
    script_broker_wait_count(f.broker, WIRE_SUBSCRIBE, 0, 3);
    script_broker_set(f.broker, &(struct script_broker_script){.session_present = true});
    after = mqtt_last(&f);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_publish_many(&f, 2, 11, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, 2 * COUNT);
    script_broker_close(f.broker, 2, true);
    (void)script_broker_wait_packet(f.broker, WIRE_END, after);
    mock_kafka_set_up(&f.mock, true);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, COUNT);
    (void)script_broker_wait_packet(f.broker, WIRE_CONNECT, after);
    mqtt_publish_again(&f, 3, 11, COUNT);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 3, COUNT);
    assert_int_equal(script_broker_count(f.broker, WIRE_PUBACK, 1), COUNT);
    assert_int_equal(script_broker_count(f.broker, WIRE_PUBACK, 2), 0);
    mqtt_expect_stored(&f, 1, COUNT, 1);
    mqtt_expect_stored(&f, 11, COUNT, 1);
    mqtt_stop(&f);
}

/* So many acknowledgements that the sockets don't take them all. */
static void fill_the_sockets(struct mqtt_fixture *f)
{
    script_broker_set(f->broker, &(struct script_broker_script){.reading_held = true});
    mqtt_publish_many(f, 1, 1, MANY);
}

static void test_a_broker_that_reads_nothing_for_a_while(void **state)
{
    static const char *const extra[] = {"--mqtt.in_flight.max=65535", NULL};
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    fill_the_sockets(&f);
    mqtt_wait_metric(&f, "millrace_mqtt_messages_total{outcome=\"stored\"}", HALF);
    assert_true(mqtt_metric(&f, "millrace_mqtt_acknowledgements_held") > 0);
    script_broker_set(f.broker, &(struct script_broker_script){0});
    (void)mqtt_expect_pubacks(&f, after, 1, MANY);
    mqtt_stop(&f);
}

static void test_a_broker_that_reads_nothing_is_left(void **state)
{
    static const char *const extra[] = {"--mqtt.in_flight.max=65535", "--mqtt.keep.alive=10s",
                                        NULL};
    struct mqtt_fixture f;
    unsigned after;
    double end;
    (void)state;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    fill_the_sockets(&f);
    mqtt_wait_not_ready(&f, "mqtt: ");
    end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    while (script_broker_connections(f.broker) < 2) {
        assert_true(raw_now_s() < end);
        (void)poll(NULL, 0, LOOK_MS);
    }
    script_broker_set(f.broker, &(struct script_broker_script){0});
    (void)script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, after);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

/* Pieces of one byte. */
static void test_messages_in_the_smallest_pieces(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf bytes;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    wire_begin(&bytes);
    for (uint16_t i = 1; i <= COUNT; i++) {
        wire_add_publish(&bytes, WIRE_LEVEL_5,
                         &(struct wire_publish){.topic = "s1/d1",
                                                .payload = mr_slice(i == 1 ? "m1" : "m2", 2),
                                                .packet_id = i,
                                                .qos = 1});
    }
    for (size_t i = 0; i < bytes.len; i++) {
        script_broker_send(f.broker, 1, mr_slice(bytes.ptr + i, 1));
        (void)poll(NULL, 0, 1);
    }
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, COUNT);
    mqtt_expect_stored(&f, 1, 1, 1);
    mqtt_expect_stored(&f, 2, 1, COUNT - 1);
    mqtt_stop(&f);
    buf_done(&bytes);
}

/* The system's own timer of an idle connection runs, /proc/net/tcp: "sl local remote:PORT st tx:rx
 * tr:when ...", in hexadecimal; st 01 is an open one, tr 02 is that timer (proc(5)). */
static bool is_kept_alive(uint16_t port)
{
    FILE *file = fopen("/proc/net/tcp", "r");
    char open[16];
    char line[512];
    bool found = false;
    assert_non_null(file);
    (void)snprintf(open, sizeof open, ":%04X 01 ", port);
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *at = strstr(line, open);
        at = at == NULL ? NULL : strchr(at + strlen(open), ' ');
        found = at != NULL && strncmp(at, " 02:", 4) == 0;
    }
    (void)fclose(file);
    return found;
}

/* 3.2.2.3.14: 0 turns it off, and with it MQTT's way of noticing that the other side is gone. */
static void test_a_broker_without_keep_alive(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf list;
    double end;
    bool is_kept = false;
    (void)state;
    wire_begin(&list);
    wire_add_property_2(&list, (enum wire_property)SERVER_KEEP_ALIVE, 0);
    start_with(&f, &list, mqtt_no_more);
    (void)spawned_wait_log(&f.child, "msg=ready");
    for (end = raw_now_s() + PAUSE_S; !is_kept && raw_now_s() < end; (void)poll(NULL, 0, LOOK_MS)) {
        is_kept = is_kept_alive(script_broker_port(f.broker));
    }
    assert_true(is_kept);
    buf_done(&list);
    mqtt_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_keep_alive_of_the_broker_counts),
        cmocka_unit_test(test_a_broker_without_keep_alive),
        cmocka_unit_test(test_a_session_that_is_kept_for_less_is_warned_of),
        cmocka_unit_test(test_a_group_needs_a_broker_that_shares),
        cmocka_unit_test(test_a_session_that_is_taken_over_is_told_and_left_for_a_while),
        cmocka_unit_test(test_what_is_marked_as_sent_again_is_stored),
        cmocka_unit_test(test_a_packet_id_is_used_again),
        cmocka_unit_test(test_an_empty_message_is_an_event),
        cmocka_unit_test(test_a_lost_connection_does_not_touch_the_other),
        cmocka_unit_test(test_a_broker_that_reads_nothing_for_a_while),
        cmocka_unit_test(test_a_broker_that_reads_nothing_is_left),
        cmocka_unit_test(test_messages_in_the_smallest_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* A broker that sends what it must not: no harm is done, nothing is lost, and millrace-mqtt comes
 * back. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mqtt_fixture.h"

enum { MANY_PROPERTIES = 300 };

static const char *const fast[] = {"--mqtt.reconnect.max=100ms", NULL};
static const char *const fast_3[] = {"--mqtt.reconnect.max=100ms", "--mqtt.protocol=3.1.1", NULL};

/* A message before, the bytes, which end the connection, and a message on the next one: both are
 * acknowledged and stored. */
static void ends_it(const char *const *extra, struct mr_slice bytes)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *end;
    unsigned after;
    mqtt_start(&f, extra);
    mqtt_publish_many(&f, 1, 1, 1);
    (void)script_broker_wait_packet(f.broker, WIRE_PUBACK, 0);
    after = mqtt_last(&f);
    script_broker_send(f.broker, 1, bytes);
    end = script_broker_wait_packet(f.broker, WIRE_END, after);
    assert_int_equal(end->connection, 1);
    assert_int_equal(mqtt_wait_subscribed(&f, end->number), 2);
    after = mqtt_last(&f);
    mqtt_publish_many(&f, 2, 2, 1);
    (void)mqtt_expect_pubacks(&f, after, 2, 1);
    assert_int_equal(script_broker_connections(f.broker), 2);
    mqtt_expect_stored(&f, 1, 2, 1);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_a_remaining_length_of_five_bytes(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x30\xFF\xFF\xFF\xFF\x7F"));
}

static void test_a_type_that_does_not_exist(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x00\x00"));
}

static void test_a_packet_that_only_clients_send(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x82\x09\x00\x01\x00\x00\x03"
                           "a/b\x01"));
}

static void test_a_publish_that_is_shorter_than_its_topic(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x04\x00\x09"
                           "ab"));
    ends_it(fast_3, MR_SLICE("\x32\x04\x00\x09"
                             "ab"));
}

static void test_a_publish_without_room_for_its_packet_id(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x06\x00\x03"
                           "a/b\x01"));
}

static void test_properties_that_are_longer_than_the_packet(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x09\x00\x03"
                           "a/b\x00\x07\x7F\x26"));
}

/* What libmosquitto held when it was left is lost (bridge/mqtt/abort_guard.h), which a sanitizer
 * must not mind. */
static void allow_a_leak(void)
{
    assert_int_equal(setenv("LSAN_OPTIONS", "detect_leaks=0", 1), 0);
}

static void test_a_property_that_does_not_exist(void **state)
{
    (void)state;
    allow_a_leak();
    ends_it(fast, MR_SLICE("\x32\x0A\x00\x03"
                           "a/b\x00\x07\x02\x7E\x00"));
}

static void test_a_property_that_no_publish_has(void **state)
{
    (void)state;
    /* Server Keep Alive, 3.2.2.3.14 */
    ends_it(fast, MR_SLICE("\x32\x0B\x00\x03"
                           "a/b\x00\x07\x03\x13\x00\x05"));
}

static void test_a_qos_of_3(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x36\x08\x00\x03"
                           "a/b\x00\x07\x00"));
    ends_it(fast_3, MR_SLICE("\x36\x07\x00\x03"
                             "a/b\x00\x07"));
}

static void test_a_packet_id_of_0(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x08\x00\x03"
                           "a/b\x00\x00\x00"));
}

static void test_a_topic_with_a_wildcard(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x08\x00\x03"
                           "a/#\x00\x07\x00"));
}

static void test_a_topic_that_is_no_utf_8(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x08\x00\x03"
                           "a/\xFF\x00\x07\x00"));
}

static void test_a_topic_alias_that_was_not_offered(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x32\x08\x00\x00\x00\x07\x03\x23\x00\x01"));
}

static void test_a_second_connack(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x20\x03\x00\x00\x00"));
    ends_it(fast_3, MR_SLICE("\x20\x02\x00\x00"));
}

static void test_a_connack_that_is_too_short(void **state)
{
    (void)state;
    ends_it(fast, MR_SLICE("\x20\x01\x00"));
}

/* Nothing of ours has this packet id; the connection may end or go on. */
static void answers_nobody_asked_for(const char *const *extra, struct mr_slice bytes)
{
    struct mqtt_fixture f;
    unsigned after;
    unsigned connection;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    script_broker_send(f.broker, 1, bytes);
    script_broker_close(f.broker, 1, false);
    connection = script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, after)->connection;
    mqtt_publish_many(&f, connection, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, connection, 1);
    mqtt_expect_stored(&f, 1, 1, 1);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_a_puback_out_of_the_blue(void **state)
{
    (void)state;
    answers_nobody_asked_for(fast, MR_SLICE("\x40\x02\x00\x07"));
    answers_nobody_asked_for(fast_3, MR_SLICE("\x40\x02\x00\x07"));
}

static void test_a_suback_out_of_the_blue(void **state)
{
    (void)state;
    answers_nobody_asked_for(fast, MR_SLICE("\x90\x04\x00\x63\x00\x01"));
    answers_nobody_asked_for(fast, MR_SLICE("\x90\x03\x00\x63\x00"));
    answers_nobody_asked_for(fast_3, MR_SLICE("\x90\x02\x00\x63"));
}

static void test_an_auth_out_of_the_blue(void **state)
{
    (void)state;
    answers_nobody_asked_for(fast, MR_SLICE("\xF0\x02\x18\x00"));
}

/* The connection ends in the middle of a message: it comes again. */
static void test_half_a_message(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *end;
    unsigned connection;
    (void)state;
    mqtt_start(&f, fast);
    script_broker_send(f.broker, 1,
                       MR_SLICE("\x32\x20\x00\x03"
                                "a/b\x00\x01\x00half"));
    script_broker_close(f.broker, 1, false);
    end = script_broker_wait_packet(f.broker, WIRE_END, 0);
    connection = script_broker_wait_subscribed(f.broker, end->number);
    mqtt_publish_many(&f, connection, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 0, 1);
    mqtt_expect_stored(&f, 1, 1, 1);
    assert_int_equal(mqtt_stored(&f, "events", "half", NULL), 0);
    mqtt_stop(&f);
}

/* What was held when the connection became useless is stored once, and acknowledged when the broker
 * sends it again. */
static void test_what_was_held_before_is_not_lost(void **state)
{
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, fast);
    script_broker_set(f.broker, &(struct script_broker_script){.session_present = true});
    mock_kafka_set_up(&f.mock, false);
    after = mqtt_last(&f);
    mqtt_publish_many(&f, 1, 1, 3);
    script_broker_send(f.broker, 1, MR_SLICE("\x36\x00"));
    after = script_broker_wait_packet(f.broker, WIRE_END, after)->number;
    assert_int_equal(script_broker_count(f.broker, WIRE_PUBACK, 1), 0);
    mock_kafka_set_up(&f.mock, true);
    (void)script_broker_wait_packet(f.broker, WIRE_CONNECT, after);
    mqtt_publish_again(&f, 2, 1, 3);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 2, 3);
    mqtt_expect_stored(&f, 1, 3, 1);
    mqtt_stop(&f);
}

static void test_too_many_user_properties_are_a_dead_letter(void **state)
{
    struct mqtt_fixture f;
    struct mr_buf list;
    struct mock_records records;
    (void)state;
    mqtt_start(&f, fast);
    wire_begin(&list);
    for (int i = 0; i < MANY_PROPERTIES; i++) {
        wire_add_user_property(&list, "name", "value");
    }
    script_broker_publish(f.broker, 1,
                          &(struct wire_publish){.topic = "s1/d1",
                                                 .payload = MR_SLICE("x"),
                                                 .packet_id = 9,
                                                 .qos = 1,
                                                 .properties = buf_slice(&list)});
    mqtt_publish_many(&f, 1, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, 2);
    mqtt_expect_stored(&f, 1, 1, 1);
    mock_kafka_read(&f.mock, "events.dead", &records);
    assert_int_equal(records.count, 1);
    mock_records_free(&records);
    buf_done(&list);
    mqtt_stop(&f);
}

/* Any bytes at all, again and again, from a generator with a fixed seed. */
static void test_noise(void **state)
{
    enum { ROUNDS = 40, NOISE_BYTES = 64 };
    struct mqtt_fixture f;
    uint32_t seed = 12345;
    unsigned connection = 1;
    (void)state;
    allow_a_leak();
    mqtt_start(&f, fast);
    script_broker_set(f.broker, &(struct script_broker_script){.takes_anything = true});
    for (int round = 0; round < ROUNDS; round++) {
        char noise[NOISE_BYTES];
        unsigned after = mqtt_last(&f);
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525 + 1013904223;
            noise[i] = (char)(seed >> 24);
        }
        script_broker_send(f.broker, connection, mr_slice(noise, sizeof noise));
        script_broker_close(f.broker, connection, false);
        connection = script_broker_wait_subscribed(f.broker, after);
    }
    mqtt_publish_many(&f, connection, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, connection, 1);
    mqtt_expect_stored(&f, 1, 1, 1);
    mqtt_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_remaining_length_of_five_bytes),
        cmocka_unit_test(test_a_type_that_does_not_exist),
        cmocka_unit_test(test_a_packet_that_only_clients_send),
        cmocka_unit_test(test_a_publish_that_is_shorter_than_its_topic),
        cmocka_unit_test(test_a_publish_without_room_for_its_packet_id),
        cmocka_unit_test(test_properties_that_are_longer_than_the_packet),
        cmocka_unit_test(test_a_property_that_does_not_exist),
        cmocka_unit_test(test_a_property_that_no_publish_has),
        cmocka_unit_test(test_a_qos_of_3),
        cmocka_unit_test(test_a_packet_id_of_0),
        cmocka_unit_test(test_a_topic_with_a_wildcard),
        cmocka_unit_test(test_a_topic_that_is_no_utf_8),
        cmocka_unit_test(test_a_topic_alias_that_was_not_offered),
        cmocka_unit_test(test_a_second_connack),
        cmocka_unit_test(test_a_connack_that_is_too_short),
        cmocka_unit_test(test_a_puback_out_of_the_blue),
        cmocka_unit_test(test_a_suback_out_of_the_blue),
        cmocka_unit_test(test_an_auth_out_of_the_blue),
        cmocka_unit_test(test_half_a_message),
        cmocka_unit_test(test_what_was_held_before_is_not_lost),
        cmocka_unit_test(test_too_many_user_properties_are_a_dead_letter),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

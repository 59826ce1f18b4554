// SPDX-License-Identifier: Apache-2.0
/* millrace-mqtt's connections as they end and begin again, and what the broker then sends once
 * more. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/mqtt_fixture.h"
#include "lib/raw_client.h"

enum { COUNT = 3, PAUSE_MS = 5000, AWAY_S = 3, LOOK_MS = 20 };

static void set_session(struct mqtt_fixture *f, bool present)
{
    script_broker_set(f->broker, &(struct script_broker_script){.session_present = present});
}

/* The broker drops connection 1, is back at once, and sends again what it did before. Returns the
 * number of the last packet before that. */
static unsigned begin_again(struct mqtt_fixture *f, bool session_present)
{
    const struct script_broker_packet *packet;
    unsigned after = mqtt_last(f);
    set_session(f, session_present);
    script_broker_close(f->broker, 1, true);
    packet = script_broker_wait_packet(f->broker, WIRE_CONNECT, after);
    assert_int_equal(packet->connection, 2);
    if (!session_present) {
        packet = script_broker_wait_packet(f->broker, WIRE_SUBSCRIBE, packet->number);
    }
    return packet->number;
}

/* Other packets than PUBACKs (a SUBSCRIBE, a PINGREQ) don't matter here. */
static void expect_pubacks_of(struct mqtt_fixture *f, unsigned connection, unsigned after,
                              uint16_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct script_broker_packet *packet =
            script_broker_wait_packet(f->broker, WIRE_PUBACK, after);
        assert_int_equal(packet->connection, connection);
        assert_int_equal(packet->packet.packet_id, first + i);
        after = packet->number;
    }
}

static void test_the_connection_holds_through_a_pause_under_the_keep_alive(void **state)
{
    static const char *const extra[] = {"--mqtt.keep.alive=10s", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    double sent_s;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    mock_kafka_set_rtt(&f.mock, PAUSE_MS);
    after = mqtt_last(&f);
    sent_s = raw_now_s();
    mqtt_publish_many(&f, 1, 1, COUNT);
    packet = mqtt_expect_pubacks(&f, after, 1, COUNT);
    assert_true(packet->at_s >= sent_s + PAUSE_MS / 1000.0);
    mock_kafka_set_rtt(&f.mock, 0);
    packet = script_broker_wait_packet(f.broker, WIRE_PINGREQ, packet->number);
    assert_int_equal(packet->connection, 1);
    assert_null(script_broker_look(f.broker, WIRE_END, 0));
    (void)mqtt_expect_quiet(&f, 1, packet->number);
    mqtt_stop(&f);
}

/* Kafka is away for longer than the keep-alive. Returns the number of the last packet before Kafka
 * came back; the connection has ended then without a word. */
static unsigned outlast_the_keep_alive(struct mqtt_fixture *f)
{
    const struct script_broker_packet *packet;
    double end;
    unsigned after = mqtt_last(f);
    mock_kafka_set_up(&f->mock, false);
    mqtt_publish_many(f, 1, 1, COUNT);
    packet = script_broker_wait_packet(f->broker, WIRE_END, after);
    assert_int_equal(packet->number, after + 1); /* no PUBACK, no PINGREQ, no DISCONNECT */
    mqtt_wait_not_ready(f, "kafka: ");
    for (end = raw_now_s() + AWAY_S; raw_now_s() < end; (void)poll(NULL, 0, LOOK_MS)) {
        assert_int_equal(script_broker_connections(f->broker), 1);
    }
    assert_int_equal(mqtt_last(f), packet->number);
    return packet->number;
}

static const char *const short_keep_alive[] = {"--mqtt.keep.alive=5s", "--mqtt.reconnect.max=1s",
                                               NULL};

static void test_it_leaves_past_the_keep_alive_and_comes_back_with_kafka(void **state)
{
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    double up_s;
    unsigned after;
    (void)state;
    mqtt_start(&f, short_keep_alive);
    after = outlast_the_keep_alive(&f);
    set_session(&f, true);
    up_s = raw_now_s();
    mock_kafka_set_up(&f.mock, true);
    packet = script_broker_wait_packet(f.broker, WIRE_CONNECT, after);
    assert_int_equal(packet->connection, 2);
    assert_true(packet->at_s >= up_s);
    assert_string_equal(packet->packet.client_id, MQTT_CLIENT);
    assert_false(packet->packet.clean_start);
    mqtt_publish_again(&f, 2, 1, COUNT); /* the broker has seen no acknowledgement */
    expect_pubacks_of(&f, 2, packet->number, 1, COUNT);
    mqtt_publish_many(&f, 2, 1 + COUNT, 1); /* and goes on */
    script_broker_wait_count(f.broker, WIRE_PUBACK, 2, COUNT + 1);
    mqtt_expect_stored(&f, 1, COUNT + 1, 1);
    assert_int_equal(mqtt_metric(&f, "millrace_mqtt_messages_total{outcome=\"repeated\"}"), COUNT);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

/* The broker would wait 1.5 keep alives (3.1.2.10), and a ping that can't leave is due after one.
 */
static void test_it_leaves_before_the_broker_would_end_it(void **state)
{
    enum { KEEP_ALIVE_S = 20 }; /* the bounds are seconds apart */
    static const char *const extra[] = {"--mqtt.keep.alive=20s", NULL};
    static const double at_least = 1.1;
    static const double less_than = 1.5;
    struct mqtt_fixture f;
    const struct script_broker_packet *said;
    double held_s;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    said = script_broker_packet_at(f.broker, after);
    assert_int_equal(said->packet.type, WIRE_SUBSCRIBE);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, COUNT);
    held_s = script_broker_wait_packet(f.broker, WIRE_END, after)->at_s - said->at_s;
    assert_true(held_s >= at_least * KEEP_ALIVE_S && held_s < less_than * KEEP_ALIVE_S);
    mock_kafka_set_up(&f.mock, true);
    mqtt_stop(&f);
}

static void test_without_a_session_the_same_message_is_a_new_one(void **state)
{
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, short_keep_alive);
    after = outlast_the_keep_alive(&f);
    set_session(&f, false);
    mock_kafka_set_up(&f.mock, true);
    (void)script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, after);
    mqtt_publish_again(&f, 2, 1, COUNT);
    expect_pubacks_of(&f, 2, after, 1, COUNT);
    mqtt_expect_stored(&f, 1, COUNT, 2);
    mqtt_stop(&f);
}

/* The broker closes while Kafka is away, and says that the session is there: what comes again is
 * what is still on its way. */
static void test_what_comes_again_while_it_is_pending_is_produced_once(void **state)
{
    struct mqtt_fixture *f = *state;
    unsigned after;
    mock_kafka_set_rtt(&f->mock, PAUSE_MS);
    mqtt_publish_many(f, 1, 1, COUNT);
    mqtt_wait_metric(f, MQTT_IN_FLIGHT, COUNT);
    after = begin_again(f, true);
    assert_int_equal(script_broker_count(f->broker, WIRE_PUBACK, 0), 0);
    mqtt_publish_again(f, 2, 1, COUNT);
    expect_pubacks_of(f, 2, after, 1, COUNT);
    mock_kafka_set_rtt(&f->mock, 0);
    mqtt_expect_stored(f, 1, COUNT, 1);
}

/* Its acknowledgement was on its way when the connection ended: the broker may not have it. A new
 * message could look the same, so it is stored again, but with the same id. */
static void test_what_may_be_acknowledged_keeps_its_id(void **state)
{
    struct mqtt_fixture *f = *state;
    char id[MQTT_ID_BYTES];
    char again[MQTT_ID_BYTES];
    unsigned after;
    mqtt_publish_many(f, 1, 1, 1);
    script_broker_wait_count(f->broker, WIRE_PUBACK, 1, 1);
    assert_int_equal(mqtt_stored(f, "events", "m1", id), 1);
    after = begin_again(f, true);
    mqtt_publish_again(f, 2, 1, 1);
    expect_pubacks_of(f, 2, after, 1, 1);
    assert_int_equal(mqtt_stored(f, "events", "m1", again), 2);
    assert_string_equal(again, id);
}

/* The same packet id, used again by the broker for something else. */
static void test_another_message_under_the_same_packet_id_is_new(void **state)
{
    struct mqtt_fixture *f = *state;
    char id[MQTT_ID_BYTES];
    char other[MQTT_ID_BYTES];
    unsigned after;
    mqtt_publish(f, 1, 1, "s1/d1", "one");
    script_broker_wait_count(f->broker, WIRE_PUBACK, 1, 1);
    after = begin_again(f, true);
    mqtt_publish(f, 2, 1, "s1/d1", "other");
    expect_pubacks_of(f, 2, after, 1, 1);
    assert_int_equal(mqtt_stored(f, "events", "one", id), 1);
    assert_int_equal(mqtt_stored(f, "events", "other", other), 1);
    assert_string_not_equal(other, id);
}

/* MQTT 5.0, 3.3.1.1: without DUP it is sent for the first time. A broker that uses the lowest
 * packet id that is free has both alike otherwise, if the device says the same again. */
static void test_a_message_that_looks_the_same_has_another_id(void **state)
{
    struct mqtt_fixture *f = *state;
    char id[MQTT_ID_BYTES];
    char other[MQTT_ID_BYTES];
    unsigned after;
    mqtt_publish_many(f, 1, 1, 1);
    script_broker_wait_count(f->broker, WIRE_PUBACK, 1, 1);
    assert_int_equal(mqtt_stored(f, "events", "m1", id), 1);
    after = begin_again(f, true);
    mqtt_publish_many(f, 2, 1, 1);
    expect_pubacks_of(f, 2, after, 1, 1);
    assert_int_equal(mqtt_stored(f, "events", "m1", other), 2);
    assert_string_not_equal(other, id);
}

/* What was not acknowledged was given to another of the share (4.8.2), or has expired: the packet
 * ids are used again, for what Kafka doesn't have. */
static void messages_that_look_the_same_are_stored(const char *protocol)
{
    const char *const extra[] = {protocol, NULL};
    struct mqtt_fixture f;
    unsigned after;
    mqtt_start(&f, extra);
    mock_kafka_set_rtt(&f.mock, PAUSE_MS);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    after = begin_again(&f, true);
    mock_kafka_set_rtt(&f.mock, 0);
    mqtt_publish_many(&f, 2, 1, COUNT);
    expect_pubacks_of(&f, 2, after, 1, COUNT);
    mqtt_expect_stored(&f, 1, COUNT, 2);
    mqtt_stop(&f);
}

static void test_messages_that_look_the_same_are_stored(void **state)
{
    (void)state;
    messages_that_look_the_same_are_stored("--mqtt.protocol=5");
}

static void test_messages_that_look_the_same_are_stored_version_3(void **state)
{
    (void)state;
    messages_that_look_the_same_are_stored("--mqtt.protocol=3.1.1");
}

/* 3.1.1: retain handling doesn't exist, so a filter that is there isn't asked for again. */
/* Another configuration may have made the session's subscriptions. */
static void test_version_3_subscribes_at_its_start_whatever_the_session_has(void **state)
{
    static const char *const extra[] = {"--mqtt.protocol=3.1.1", NULL};
    struct mqtt_fixture f;
    (void)state;
    mqtt_prepare(&f);
    set_session(&f, true);
    mqtt_launch(&f, extra);
    (void)script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, 0);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_version_3_subscribes_again_without_a_session_only(void **state)
{
    static const char *const extra[] = {"--mqtt.protocol=3.1.1", "--mqtt.reconnect.max=1s", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    unsigned after;
    (void)state;
    mqtt_start(&f, extra);
    (void)begin_again(&f, true);
    mqtt_publish_many(&f, 2, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 2, 1);
    mqtt_wait_ready(&f);
    assert_int_equal(script_broker_count(f.broker, WIRE_SUBSCRIBE, 2), 0);
    set_session(&f, false);
    after = mqtt_last(&f);
    script_broker_close(f.broker, 2, true);
    packet = script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, after);
    assert_int_equal(packet->connection, 3);
    mqtt_stop(&f);
}

static void test_the_broker_is_away_and_comes_back(void **state)
{
    static const char *const extra[] = {"--mqtt.reconnect.max=2s", NULL};
    struct mqtt_fixture f;
    unsigned after;
    unsigned connection;
    (void)state;
    mqtt_start(&f, extra);
    script_broker_set_up(f.broker, false);
    mqtt_wait_not_ready(&f, "mqtt: ");
    after = mqtt_last(&f);
    script_broker_set_up(f.broker, true);
    connection = mqtt_wait_subscribed(&f, after);
    mqtt_publish_many(&f, connection, 1, COUNT);
    script_broker_wait_count(f.broker, WIRE_PUBACK, connection, COUNT);
    mqtt_wait_ready(&f);
    mqtt_expect_stored(&f, 1, COUNT, 1);
    mqtt_stop(&f);
}

/* The program starts before the broker does. */
static void test_the_broker_comes_later(void **state)
{
    struct mqtt_fixture f;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set_up(f.broker, false);
    mqtt_launch(&f, mqtt_no_more);
    mqtt_wait_not_ready(&f, "mqtt: ");
    script_broker_set_up(f.broker, true);
    (void)script_broker_wait_subscribed(f.broker, 0);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

/* A broker that takes the connection and says nothing (its machine is overloaded, or no broker). */
static void test_a_broker_that_does_not_answer_is_left(void **state)
{
    static const char *const extra[] = {"--mqtt.keep.alive=5s", "--mqtt.reconnect.max=1s", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.connack_held = true});
    mqtt_launch(&f, extra);
    packet = script_broker_wait_packet(f.broker, WIRE_END, 0);
    script_broker_set(f.broker, &(struct script_broker_script){.pingresp_held = true});
    packet = script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, packet->number);
    packet = script_broker_wait_packet(f.broker, WIRE_PINGREQ, packet->number);
    packet = script_broker_wait_packet(f.broker, WIRE_END, packet->number);
    set_session(&f, false);
    (void)script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, packet->number);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_connection_holds_through_a_pause_under_the_keep_alive),
        cmocka_unit_test(test_it_leaves_past_the_keep_alive_and_comes_back_with_kafka),
        cmocka_unit_test(test_it_leaves_before_the_broker_would_end_it),
        cmocka_unit_test(test_without_a_session_the_same_message_is_a_new_one),
        cmocka_unit_test_setup_teardown(test_what_comes_again_while_it_is_pending_is_produced_once,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_what_may_be_acknowledged_keeps_its_id, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_another_message_under_the_same_packet_id_is_new,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_a_message_that_looks_the_same_has_another_id,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test(test_messages_that_look_the_same_are_stored),
        cmocka_unit_test(test_messages_that_look_the_same_are_stored_version_3),
        cmocka_unit_test(test_version_3_subscribes_at_its_start_whatever_the_session_has),
        cmocka_unit_test(test_version_3_subscribes_again_without_a_session_only),
        cmocka_unit_test(test_the_broker_is_away_and_comes_back),
        cmocka_unit_test(test_the_broker_comes_later),
        cmocka_unit_test(test_a_broker_that_does_not_answer_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

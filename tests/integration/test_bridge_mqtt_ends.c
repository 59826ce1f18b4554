// SPDX-License-Identifier: Apache-2.0
/* How millrace-mqtt ends: with what it holds settled and acknowledged, or at once; and how its
 * sessions end, with --mqtt.retire. */
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

#define STORED "millrace_mqtt_messages_total{outcome=\"stored\"}"

enum { COUNT = 5, RTT_MS = 2000, BEFORE_THE_DEADLINE_S = 30 };

/* Next are a DISCONNECT with reason 0 and the end. */
static const struct wire_packet *expect_farewell(struct mqtt_fixture *f, unsigned after)
{
    const struct script_broker_packet *packet =
        script_broker_wait_packet(f->broker, WIRE_DISCONNECT, after);
    assert_int_equal(packet->number, after + 1);
    assert_int_equal(packet->packet.reason, 0);
    assert_int_equal(script_broker_wait_packet(f->broker, WIRE_END, after)->number, after + 2);
    return &packet->packet;
}

static void test_the_end_of_one_that_holds_nothing(void **state)
{
    struct mqtt_fixture f;
    unsigned after;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    after = mqtt_last(&f);
    spawned_signal(&f.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.child), 0);
    assert_int_equal(expect_farewell(&f, after)->session_expiry_s, -1); /* the session stays */
    mqtt_done(&f);
}

static void settles_and_acknowledges_before_it_ends(const char *protocol)
{
    const char *const extra[] = {protocol, NULL};
    struct mqtt_fixture f;
    unsigned after;
    double sent_s;
    mqtt_start(&f, extra);
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    after = mqtt_last(&f);
    sent_s = raw_now_s();
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    spawned_signal(&f.child, SIGTERM);
    assert_true(mqtt_expect_pubacks(&f, after, 1, COUNT)->at_s >= sent_s + RTT_MS / 1000.0);
    (void)expect_farewell(&f, after + COUNT);
    assert_int_equal(spawned_wait(&f.child), 0);
    mock_kafka_set_rtt(&f.mock, 0);
    mqtt_expect_stored(&f, 1, COUNT, 1);
    mqtt_done(&f);
}

static void test_what_is_held_is_settled_first(void **state)
{
    (void)state;
    settles_and_acknowledges_before_it_ends("--mqtt.protocol=5");
}

static void test_what_is_held_is_settled_first_version_3(void **state)
{
    (void)state;
    settles_and_acknowledges_before_it_ends("--mqtt.protocol=3.1.1");
}

/* So many acknowledgements that the socket takes only some at a time: the others leave before
 * DISCONNECT, too. */
static void test_acknowledgements_that_are_half_written_leave_before_it_does(void **state)
{
    enum { MANY = 60000, HALF = MANY / 2, LOOK_MS = 20 };
    static const char *const extra[] = {"--mqtt.in_flight.max=65535", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *farewell;
    long stored;
    double end;
    (void)state;
    mqtt_start(&f, extra);
    script_broker_set(f.broker, &(struct script_broker_script){.reading_held = true});
    mqtt_publish_many(&f, 1, 1, MANY);
    mqtt_wait_metric(&f, STORED, HALF);
    end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    while (mqtt_metric(&f, MQTT_IN_FLIGHT) > 0) { /* nothing is read while it writes */
        assert_true(raw_now_s() < end);
        (void)poll(NULL, 0, LOOK_MS);
    }
    stored = mqtt_metric(&f, STORED);
    assert_true(mqtt_metric(&f, "millrace_mqtt_acknowledgements_held") > 0);
    spawned_signal(&f.child, SIGTERM);
    (void)spawned_wait_log(&f.child, "draining");
    script_broker_set(f.broker, &(struct script_broker_script){0});
    assert_int_equal(spawned_wait(&f.child), 0);
    farewell = script_broker_wait_packet(f.broker, WIRE_DISCONNECT, 0);
    /* It may have gone on reading in between, if the socket took all. */
    assert_true((long)script_broker_count(f.broker, WIRE_PUBACK, 0) >= stored);
    assert_null(script_broker_look(f.broker, WIRE_PUBACK, farewell->number));
    mqtt_done(&f);
}

/* The broker goes on sending while it drains: what isn't acknowledged is not lost, for it is the
 * broker's. */
static void test_what_comes_while_it_drains_is_acknowledged_only_if_stored(void **state)
{
    struct mqtt_fixture f;
    size_t acknowledged;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    spawned_signal(&f.child, SIGTERM);
    mqtt_publish_many(&f, 1, 1 + COUNT, COUNT);
    (void)script_broker_wait_packet(f.broker, WIRE_END, 0);
    assert_int_equal(spawned_wait(&f.child), 0);
    mock_kafka_set_rtt(&f.mock, 0);
    acknowledged = script_broker_count(f.broker, WIRE_PUBACK, 0);
    assert_in_range(acknowledged, COUNT, 2 * COUNT);
    mqtt_expect_stored(&f, 1, acknowledged, 1);
    mqtt_done(&f);
}

/* Kafka is away, so the end can't be a clean one: what is unsettled has no acknowledgement. */
static void ends_without_kafka(const char *const *flags, int signals, double at_most_s)
{
    struct mqtt_fixture f;
    double begin_s;
    unsigned after;
    mqtt_start(&f, flags);
    after = mqtt_last(&f);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    begin_s = raw_now_s();
    for (int i = 0; i < signals; i++) {
        spawned_signal(&f.child, SIGTERM);
        if (i == 0) {
            (void)spawned_wait_log(&f.child, "draining");
        }
    }
    (void)spawned_wait(&f.child);
    assert_true(raw_now_s() - begin_s < at_most_s);
    assert_int_equal(script_broker_wait_packet(f.broker, WIRE_END, 0)->number, after + 1);
    mqtt_done(&f);
}

static void test_a_second_signal_ends_it_at_once(void **state)
{
    (void)state;
    ends_without_kafka(mqtt_no_more, 2, BEFORE_THE_DEADLINE_S);
}

static void test_the_end_without_kafka_acknowledges_nothing(void **state)
{
    static const char *const flags[] = {"--admin.shutdown.deadline=3s", NULL};
    (void)state;
    ends_without_kafka(flags, 1, SPAWNED_DEADLINE_S);
}

/* The broker goes while it drains: what it held can't be acknowledged any more. */
static void test_the_broker_goes_while_it_drains(void **state)
{
    struct mqtt_fixture f;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    spawned_signal(&f.child, SIGTERM);
    (void)spawned_wait_log(&f.child, "draining");
    script_broker_close(f.broker, 1, true);
    assert_int_equal(spawned_wait(&f.child), 0);
    assert_int_equal(script_broker_connections(f.broker), 1);
    assert_int_equal(script_broker_count(f.broker, WIRE_PUBACK, 0), 0);
    mqtt_done(&f);
}

/* Without a broker there is nothing to wait for. */
static void test_the_end_without_a_broker(void **state)
{
    struct mqtt_fixture f;
    (void)state;
    mqtt_start(&f, mqtt_no_more);
    script_broker_set_up(f.broker, false);
    mqtt_wait_not_ready(&f, "mqtt: ");
    spawned_signal(&f.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.child), 0);
    mqtt_done(&f);
}

static void retires(const char *protocol, uint8_t level)
{
    const char *const extra[] = {protocol, "--mqtt.retire=true", NULL};
    struct mqtt_fixture f;
    struct mock_records letters;
    const struct script_broker_packet *packet;
    mqtt_prepare(&f);
    script_broker_set(
        f.broker, &(struct script_broker_script){.unsuback_held = true, .session_present = true});
    mock_kafka_set_rtt(&f.mock, 100);
    mqtt_launch(&f, extra);
    packet = script_broker_wait_packet(f.broker, WIRE_CONNECT, 0);
    assert_string_equal(packet->packet.client_id, MQTT_CLIENT);
    assert_false(packet->packet.clean_start); /* what the session holds is wanted */
    packet = script_broker_wait_packet(f.broker, WIRE_UNSUBSCRIBE, packet->number);
    assert_int_equal(packet->packet.filter_count, 2);
    mqtt_publish_many(&f, 1, 1, COUNT); /* the session's */
    script_broker_publish(f.broker, 1,  /* of the subscription that it had beside */
                          &(struct wire_publish){.topic = "$SYS/broker/publish/messages/dropped",
                                                 .payload = MR_SLICE("3")});
    script_broker_set(f.broker, &(struct script_broker_script){0}); /* the next are answered */
    {
        struct mr_buf bytes;
        wire_begin(&bytes);
        wire_add_unsuback(&bytes, level, &packet->packet);
        script_broker_send(f.broker, 1, buf_slice(&bytes));
        buf_done(&bytes);
    }
    script_broker_wait_count(f.broker, WIRE_PUBACK, 0, COUNT);
    assert_int_equal(spawned_wait(&f.child), 0);
    packet = script_broker_look(f.broker, WIRE_DISCONNECT, 0);
    assert_non_null(packet);
    if (level == WIRE_LEVEL_5) {
        assert_int_equal(packet->packet.session_expiry_s, 0);
    } else { /* 3.1.2.4 of 3.1.1: a clean session is what ends the old one */
        packet = script_broker_look(f.broker, WIRE_CONNECT, packet->number);
        assert_non_null(packet);
        assert_true(packet->packet.clean_start);
        assert_string_equal(packet->packet.client_id, MQTT_CLIENT);
    }
    assert_int_equal(script_broker_count(f.broker, WIRE_SUBSCRIBE, 0), 0);
    mqtt_expect_stored(&f, 1, COUNT, 1);
    mock_kafka_read(&f.mock, "events.dead", &letters);
    assert_int_equal(letters.count, 0);
    mock_records_free(&letters);
    mqtt_done(&f);
}

/* A broker may answer UNSUBSCRIBE before it sends what it has still queued (3.10.4 of 5.0 asks for
 * no order there). */
static void test_retire_waits_for_latecomers(void **state)
{
    enum { LATE_MS = 700 };
    static const char *const extra[] = {"--mqtt.retire=true", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    unsigned after = 0;
    double late_s;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.session_present = true});
    mqtt_launch(&f, extra);
    for (int i = 0; i < 2; i++) {
        after = script_broker_wait_packet(f.broker, WIRE_UNSUBSCRIBE, after)->number;
    }
    for (late_s = raw_now_s() + LATE_MS / 1000.0; raw_now_s() < late_s;
         (void)poll(NULL, 0, LATE_MS / 10)) {
    }
    mqtt_publish_many(&f, 1, 1, 1);
    packet = script_broker_wait_packet(f.broker, WIRE_DISCONNECT, after);
    assert_non_null(script_broker_look(f.broker, WIRE_PUBACK, 0));
    assert_true(script_broker_look(f.broker, WIRE_PUBACK, 0)->number < packet->number);
    assert_int_equal(spawned_wait(&f.child), 0);
    mqtt_expect_stored(&f, 1, 1, 1);
    mqtt_done(&f);
}

static void test_retire(void **state)
{
    (void)state;
    retires("--mqtt.protocol=5", WIRE_LEVEL_5);
}

static void test_retire_version_3(void **state)
{
    (void)state;
    retires("--mqtt.protocol=3.1.1", WIRE_LEVEL_311);
}

static void test_retire_ends_the_sessions_of_all_connections(void **state)
{
    static const char *const extra[] = {"--mqtt.retire=true", "--mqtt.connections=2",
                                        "--mqtt.group=g", NULL};
    struct mqtt_fixture f;
    const struct script_broker_packet *packet;
    (void)state;
    mqtt_prepare(&f);
    mqtt_launch(&f, extra);
    packet = script_broker_wait_packet(f.broker, WIRE_UNSUBSCRIBE, 0);
    assert_string_equal(packet->packet.filters[0].filter, "$share/g/+");
    assert_int_equal(spawned_wait(&f.child), 0);
    assert_int_equal(script_broker_count(f.broker, WIRE_DISCONNECT, 1), 1);
    assert_int_equal(script_broker_count(f.broker, WIRE_DISCONNECT, 2), 1);
    /* What is answered behind the queue, not the first: that may have passed it. */
    assert_int_equal(script_broker_count(f.broker, WIRE_UNSUBSCRIBE, 1), 2);
    mqtt_done(&f);
}

/* The sessions are still there: it has failed. */
static void test_retire_that_is_ended_before_its_time(void **state)
{
    static const char *const extra[] = {"--mqtt.retire=true", NULL};
    struct mqtt_fixture f;
    (void)state;
    mqtt_prepare(&f);
    script_broker_set(f.broker, &(struct script_broker_script){.unsuback_held = true});
    mqtt_launch(&f, extra);
    (void)script_broker_wait_packet(f.broker, WIRE_UNSUBSCRIBE, 0);
    spawned_signal(&f.child, SIGTERM);
    (void)spawned_wait_log(&f.child, "ended before all sessions were retired");
    assert_int_equal(spawned_wait(&f.child), 1);
    mqtt_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_of_one_that_holds_nothing),
        cmocka_unit_test(test_what_is_held_is_settled_first),
        cmocka_unit_test(test_what_is_held_is_settled_first_version_3),
        cmocka_unit_test(test_acknowledgements_that_are_half_written_leave_before_it_does),
        cmocka_unit_test(test_what_comes_while_it_drains_is_acknowledged_only_if_stored),
        cmocka_unit_test(test_a_second_signal_ends_it_at_once),
        cmocka_unit_test(test_the_end_without_kafka_acknowledges_nothing),
        cmocka_unit_test(test_the_broker_goes_while_it_drains),
        cmocka_unit_test(test_the_end_without_a_broker),
        cmocka_unit_test(test_retire),
        cmocka_unit_test(test_retire_waits_for_latecomers),
        cmocka_unit_test(test_retire_version_3),
        cmocka_unit_test(test_retire_ends_the_sessions_of_all_connections),
        cmocka_unit_test(test_retire_that_is_ended_before_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

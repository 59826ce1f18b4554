// SPDX-License-Identifier: Apache-2.0
/* What millrace-mqtt says to a broker, and when: above all, that no message is acknowledged before
 * Kafka has it. */
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
    COUNT = 20,
    RTT_MS = 1500,
    RETAIN_AS_PUBLISHED = 8, /* MQTT 5.0, 3.8.3.1 */
    RETAIN_HANDLING_1 = 1 << 4,
};

static const struct wire_packet *connect_of(struct mqtt_fixture *f)
{
    return &script_broker_wait_packet(f->broker, WIRE_CONNECT, 0)->packet;
}

static void test_connect_of_version_5(void **state)
{
    static const char *const extra[] = {"--mqtt.keep.alive=47s", "--mqtt.session.expiry=2h",
                                        "--mqtt.in_flight.max=77", NULL};
    struct mqtt_fixture f;
    const struct wire_packet *packet;
    (void)state;
    mqtt_start(&f, extra);
    packet = connect_of(&f);
    assert_int_equal(packet->level, WIRE_LEVEL_5);
    assert_false(packet->clean_start);
    assert_int_equal(packet->keep_alive_s, 47);
    assert_int_equal(packet->session_expiry_s, 7200);
    assert_int_equal(packet->receive_maximum, 77);
    assert_true(packet->packet_bytes_max > 0);
    assert_string_equal(packet->client_id, MQTT_CLIENT);
    assert_false(packet->has_user);
    assert_false(packet->has_password);
    packet = &script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, 0)->packet;
    for (size_t i = 0; i < packet->filter_count; i++) {
        assert_int_equal(packet->filters[i].options, 1 | RETAIN_AS_PUBLISHED | RETAIN_HANDLING_1);
    }
    mqtt_stop(&f);
}

static void test_connect_of_version_3(void **state)
{
    static const char *const extra[] = {"--mqtt.protocol=3.1.1", "--mqtt.user=u",
                                        "--mqtt.password=secret", NULL};
    struct mqtt_fixture f;
    const struct wire_packet *packet;
    (void)state;
    mqtt_start(&f, extra);
    packet = connect_of(&f);
    assert_int_equal(packet->level, WIRE_LEVEL_311);
    assert_false(packet->clean_start);
    assert_string_equal(packet->client_id, MQTT_CLIENT);
    assert_true(packet->has_user);
    assert_string_equal(packet->user, "u");
    assert_true(packet->has_password);
    assert_string_equal(packet->password, "secret");
    packet = &script_broker_wait_packet(f.broker, WIRE_SUBSCRIBE, 0)->packet;
    for (size_t i = 0; i < packet->filter_count; i++) {
        assert_int_equal(packet->filters[i].options, 1);
    }
    assert_null(strstr(f.child.log, "secret"));
    mqtt_stop(&f);
}

static bool is_subscribed(const struct wire_packet *packet, const char *filter)
{
    for (size_t i = 0; i < packet->filter_count; i++) {
        if (strcmp(packet->filters[i].filter, filter) == 0) {
            return true;
        }
    }
    return false;
}

/* drogue's routes are the default ones. */
static void test_the_filters_are_those_of_the_routes(void **state)
{
    struct mqtt_fixture *f = *state;
    const struct wire_packet *packet;
    packet = &script_broker_wait_packet(f->broker, WIRE_SUBSCRIBE, 0)->packet;
    assert_int_equal(packet->filter_count, 2);
    assert_true(is_subscribed(packet, "+"));
    assert_true(is_subscribed(packet, "+/+"));
}

static void test_connections_of_a_share_group(void **state)
{
    static const char *const extra[] = {"--mqtt.connections=2", "--mqtt.group=g", NULL};
    struct mqtt_fixture f;
    bool seen[3] = {false};
    unsigned after = 0;
    (void)state;
    mqtt_prepare(&f);
    mqtt_launch(&f, extra);
    mqtt_wait_ready(&f);
    for (int i = 0; i < 2; i++) {
        const struct script_broker_packet *packet =
            script_broker_wait_packet(f.broker, WIRE_CONNECT, after);
        unsigned number = strcmp(packet->packet.client_id, MQTT_CLIENT "-1") == 0 ? 1 : 2;
        if (number == 2) {
            assert_string_equal(packet->packet.client_id, MQTT_CLIENT "-2");
        }
        assert_false(seen[number]);
        seen[number] = true;
        after = packet->number;
    }
    script_broker_wait_count(f.broker, WIRE_SUBSCRIBE, 1, 1);
    script_broker_wait_count(f.broker, WIRE_SUBSCRIBE, 2, 1);
    assert_true(
        is_subscribed(&script_broker_look(f.broker, WIRE_SUBSCRIBE, 0)->packet, "$share/g/+/+"));
    mqtt_publish(&f, 1, 1, "s1/d1", "m1"); /* the same packet id means nothing elsewhere */
    mqtt_publish(&f, 2, 1, "s1/d2", "m2");
    script_broker_wait_count(f.broker, WIRE_PUBACK, 1, 1);
    script_broker_wait_count(f.broker, WIRE_PUBACK, 2, 1);
    mqtt_expect_stored(&f, 1, 2, 1);
    mqtt_stop(&f);
}

/* Every answer of Kafka takes RTT_MS, so no acknowledgement can be right before. */
static void test_no_puback_leaves_before_the_delivery_report(void **state)
{
    struct mqtt_fixture *f = *state;
    double sent_s;
    unsigned after;
    mock_kafka_set_rtt(&f->mock, RTT_MS);
    after = mqtt_last(f);
    sent_s = raw_now_s();
    mqtt_publish_many(f, 1, 1, COUNT);
    assert_true(mqtt_expect_pubacks(f, after, 1, COUNT)->at_s >= sent_s + RTT_MS / 1000.0);
    mock_kafka_set_rtt(&f->mock, 0);
    mqtt_expect_stored(f, 1, COUNT, 1);
    (void)mqtt_expect_quiet(f, 1, after + COUNT);
}

static void nothing_is_written_while_kafka_is_away(const char *protocol)
{
    const char *const extra[] = {protocol, NULL};
    struct mqtt_fixture f;
    double up_s;
    unsigned after;
    mqtt_start(&f, extra);
    after = mqtt_last(&f);
    mock_kafka_set_up(&f.mock, false);
    mqtt_publish_many(&f, 1, 1, COUNT);
    mqtt_wait_metric(&f, MQTT_IN_FLIGHT, COUNT);
    mqtt_wait_not_ready(&f, "kafka: ");
    assert_int_equal(mqtt_last(&f), after);
    up_s = raw_now_s();
    mock_kafka_set_up(&f.mock, true);
    assert_true(mqtt_expect_pubacks(&f, after, 1, COUNT)->at_s >= up_s);
    mqtt_expect_stored(&f, 1, COUNT, 1);
    (void)mqtt_expect_quiet(&f, 1, after + COUNT);
    mqtt_wait_ready(&f);
    mqtt_stop(&f);
}

static void test_nothing_is_written_while_kafka_is_away(void **state)
{
    (void)state;
    nothing_is_written_while_kafka_is_away("--mqtt.protocol=5");
}

static void test_nothing_is_written_while_kafka_is_away_version_3(void **state)
{
    (void)state;
    nothing_is_written_while_kafka_is_away("--mqtt.protocol=3.1.1");
}

/* Kafka's answers don't come in this order: four partitions, and errors that are tried again. */
static void test_pubacks_leave_in_the_order_of_receipt(void **state)
{
    static const uint16_t ids[] = {7, 60000, 3, 1, 2, 65535, 300, 299, 298, 4};
    enum { IDS = sizeof ids / sizeof ids[0] };
    struct mqtt_fixture *f = *state;
    unsigned after;
    after = mqtt_last(f);
    mock_kafka_push_error(&f->mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 2);
    for (size_t i = 0; i < IDS; i++) {
        char topic[20];
        (void)snprintf(topic, sizeof topic, "s1/d%zu", i);
        mqtt_publish(f, 1, ids[i], topic, "x");
    }
    for (size_t i = 0; i < IDS; i++) {
        after = mqtt_expect_pubacks(f, after, ids[i], 1)->number;
    }
    assert_int_equal(mqtt_stored(f, "events", "x", NULL), IDS);
}

static void test_what_has_qos_0_is_stored_and_not_acknowledged(void **state)
{
    struct mqtt_fixture *f = *state;
    unsigned after;
    after = mqtt_last(f);
    script_broker_publish(f->broker, 1,
                          &(struct wire_publish){.topic = "s1/d1", .payload = MR_SLICE("zero")});
    (void)mqtt_expect_quiet(f, 1, after);
    assert_int_equal(mqtt_stored(f, "events", "zero", NULL), 1);
}

/* docs/millrace-mqtt.md: what becomes what; the mapping's own tests are the unit's. */
static void test_a_message_becomes_an_event(void **state)
{
    struct mqtt_fixture *f = *state;
    struct mock_records records;
    struct mr_buf list;
    wire_begin(&list);
    wire_add_property_text(&list, WIRE_CONTENT_TYPE, "application/json");
    wire_add_user_property(&list, "device", "dev-7");
    wire_add_user_property(&list, "id", "id-1");
    script_broker_publish(f->broker, 1,
                          &(struct wire_publish){.topic = "temperature",
                                                 .payload = MR_SLICE("{\"t\":1}"),
                                                 .packet_id = 1,
                                                 .qos = 1,
                                                 .retain = true,
                                                 .properties = buf_slice(&list)});
    (void)script_broker_wait_packet(f->broker, WIRE_PUBACK, 0);
    mock_kafka_read(&f->mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_slice(mock_record_header(&records.at[0], "ce_id"), "id-1");
    assert_slice(mock_record_header(&records.at[0], "ce_subject"), "temperature");
    assert_slice(mock_record_header(&records.at[0], "ce_device"), "dev-7");
    assert_slice(mock_record_header(&records.at[0], "ce_datacontenttype"), "application/json");
    assert_slice(mock_record_header(&records.at[0], "ce_mqtttopic"), "temperature");
    assert_slice(mock_record_header(&records.at[0], "ce_mqttretain"), "true");
    mock_records_free(&records);
    buf_done(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_of_version_5),
        cmocka_unit_test(test_connect_of_version_3),
        cmocka_unit_test_setup_teardown(test_the_filters_are_those_of_the_routes, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test(test_connections_of_a_share_group),
        cmocka_unit_test_setup_teardown(test_no_puback_leaves_before_the_delivery_report,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test(test_nothing_is_written_while_kafka_is_away),
        cmocka_unit_test(test_nothing_is_written_while_kafka_is_away_version_3),
        cmocka_unit_test_setup_teardown(test_pubacks_leave_in_the_order_of_receipt, mqtt_setup,
                                        mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_what_has_qos_0_is_stored_and_not_acknowledged,
                                        mqtt_setup, mqtt_teardown),
        cmocka_unit_test_setup_teardown(test_a_message_becomes_an_event, mqtt_setup, mqtt_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What becomes of messages that can't be stored as events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/dead_letters.h"
#include "kit/clock.h"
#include "lib/deliveries_fixture.h"
#include "lib/event_asserts.h"

/* The one record of a topic. */
static const struct mock_record *read_only_one(struct deliveries_fixture *f, const char *topic,
                                               struct mock_records *ret_records)
{
    mock_kafka_read(&f->kafka.mock, topic, ret_records);
    assert_int_equal(ret_records->count, 1);
    return &ret_records->at[0];
}

static void assert_topic_is_empty(struct deliveries_fixture *f, const char *topic)
{
    struct mock_records records;
    mock_kafka_read(&f->kafka.mock, topic, &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
}

static void assert_header(const struct mock_record *record, const char *name, const char *expected)
{
    if (expected == NULL) {
        assert_null(mock_record_header(record, name).ptr);
    } else {
        assert_slice(mock_record_header(record, name), expected);
    }
}

static void test_what_no_route_takes(void **state)
{
    static const struct mqtt_user_property properties[] = {
        {MR_SLICE_INIT("device"), MR_SLICE_INIT("d7")}};
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mqtt_message message = mqtt_message_of("no/such/route", "{\"t\":1}");
    struct mock_records records;
    const struct mock_record *record;
    int64_t begun_ms = clock_wall_ms();
    int64_t came_ms;
    message.content_type = MR_SLICE("application/json");
    message.response_topic = MR_SLICE("answers");
    message.correlation = MR_SLICE("c-1");
    message.properties = properties;
    message.property_count = 1;
    message.retain = true;
    assert_int_equal(give_message(f, &given, &message, MR_SLICE("unused")), 0);
    assert_string_equal(given.id, "");
    deliveries_run(f);
    assert_string_equal(given.stored, "");
    record = read_only_one(f, "events.dead", &records);
    assert_slice(record->record.key, "no/such/route");
    assert_slice(record->record.value, "{\"t\":1}");
    assert_header(record, "mqtt_topic", "no/such/route");
    assert_header(record, "content-type", "application/json");
    assert_header(record, "mqtt_response_topic", "answers");
    assert_header(record, "mqtt_correlation_data", "c-1");
    assert_header(record, "mqtt_retain", "true");
    assert_header(record, "mqtt_property_device", "d7");
    assert_header(record, "millrace_dead_reason", "no-route");
    assert_header(record, "millrace_dead_topic", "events");
    assert_header(record, "millrace_dead_size", NULL);
    came_ms = strtoll(mock_record_header(record, "millrace_dead_timestamp").ptr, NULL, 10);
    assert_in_range(came_ms, begun_ms, clock_wall_ms());
    mock_records_free(&records);
    assert_topic_is_empty(f, "events");
    assert_counted(f, 0, 1, 0, 0);
}

static void test_what_is_no_event(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mock_records records;
    const struct mock_record *record;
    give(f, &given, "structured/d1", "{\"specversion\":\"1.0\"}");
    deliveries_run(f);
    record = read_only_one(f, "events.dead", &records);
    assert_slice(record->record.value, "{\"specversion\":\"1.0\"}");
    assert_header(record, "millrace_dead_reason", "not-an-event");
    assert_true(mock_record_header(record, "millrace_dead_text").len > 0);
    mock_records_free(&records);
    assert_counted(f, 0, 1, 0, 0);
}

enum { LARGE_BYTES = 1100000 }; /* over librdkafka's message.max.bytes of 1,000,000 */

static char *new_large(void)
{
    char *payload = malloc(LARGE_BYTES + 1);
    assert_non_null(payload);
    memset(payload, 'x', LARGE_BYTES);
    payload[LARGE_BYTES] = '\0';
    return payload;
}

/* head -c 1100000 /dev/zero | tr '\0' x | sha256sum */
#define LARGE_SHA256 "d60507919f666bf0e171cf3bf60b1da57574e93a6c39f2ea346cf0cd664d7c64"

static void test_what_is_over_the_limit_is_cut(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given[2] = {0};
    struct mock_records records;
    const struct mock_record *record;
    char *payload = new_large();
    give(f, &given[0], "others/d1", payload);
    give(f, &given[1], "plant/d1/c", "small");
    free(payload);
    assert_true(deliveries_bytes(f->deliveries) > LARGE_BYTES);
    deliveries_run(f);
    assert_string_equal(given[0].stored, "");
    record = read_only_one(f, "others.dead", &records); /* that of its own route */
    assert_header(record, "millrace_dead_reason", "too-large");
    assert_header(record, "millrace_dead_topic", "others");
    assert_header(record, "millrace_dead_size", "1100000");
    assert_header(record, "millrace_dead_sha256", LARGE_SHA256);
    assert_in_range(record->record.value.len, 900000, 1000000);
    mock_records_free(&records);
    assert_counted(f, 1, 1, 0, 0);
}

/* The topic of the dead letters takes less than message.max.bytes. */
static void test_a_refused_dead_letter_is_cut_to_the_least(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mock_records records;
    const struct mock_record *record;
    char *payload = new_large();
    mock_kafka_push_error(&f->kafka.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                          1);
    give(f, &given, "no/such/route", payload);
    free(payload);
    deliveries_run(f);
    record = read_only_one(f, "events.dead", &records);
    assert_header(record, "millrace_dead_reason", "no-route");
    assert_header(record, "millrace_dead_sha256", LARGE_SHA256);
    assert_in_range(record->record.value.len, 1, DEAD_BYTES_MIN);
    mock_records_free(&records);
    assert_counted(f, 0, 1, 0, 0);
}

/* Smaller than the topic's max.message.bytes, as Kafka says. */
static void test_what_its_topic_does_not_take(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mock_records records;
    const struct mock_record *record;
    mock_kafka_push_error(&f->kafka.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                          1);
    give(f, &given, "plant/d1/c", "x");
    deliveries_run(f);
    assert_string_not_equal(given.id, "");
    assert_string_equal(given.stored, "");
    record = read_only_one(f, "events.dead", &records);
    assert_slice(record->record.value, "x");
    assert_header(record, "millrace_dead_reason", "too-large");
    assert_non_null(strstr(mock_record_header(record, "millrace_dead_text").ptr, "max.message"));
    mock_records_free(&records);
    assert_topic_is_empty(f, "events");
    assert_counted(f, 0, 1, 0, 0);
}

static bool has_retried_twice(void *fixture)
{
    return mr_series_value(((struct deliveries_fixture *)fixture)->metrics.retries) > 1;
}

static void test_dead_letters_are_sent_until_kafka_has_them(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mock_records records;
    mock_kafka_push_error(&f->kafka.mock, MOCK_API_PRODUCE,
                          RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 3);
    give(f, &given, "no/such/route", "x");
    fixture_run_until(&f->kafka, has_retried_twice, f, SETTLE_MS);
    assert_int_equal(given.settled, 0);
    deliveries_run(f);
    (void)read_only_one(f, "events.dead", &records);
    mock_records_free(&records);
    assert_true(mr_series_value(f->metrics.retries) >= 3);
    assert_counted(f, 0, 1, 0, 0);
}

static void test_a_dead_letter_does_not_expire(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mqtt_message message = mqtt_message_of("no/such/route", "x");
    struct mock_records records;
    mock_kafka_push_error(&f->kafka.mock, MOCK_API_PRODUCE,
                          RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    message.expiry_seconds = 0;
    assert_int_equal(give_message(f, &given, &message, mr_slice(NULL, 0)), 0);
    deliveries_run(f);
    (void)read_only_one(f, "events.dead", &records);
    mock_records_free(&records);
    assert_counted(f, 0, 1, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_no_route_takes, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_event, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_over_the_limit_is_cut, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_dead_letter_is_cut_to_the_least,
                                        deliveries_setup, deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_what_its_topic_does_not_take, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_dead_letters_are_sent_until_kafka_has_them,
                                        deliveries_setup, deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_a_dead_letter_does_not_expire, deliveries_setup,
                                        deliveries_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

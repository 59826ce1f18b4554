// SPDX-License-Identifier: Apache-2.0
/* Messages on their way to Kafka: what is stored, and that each is settled once, whatever Kafka,
 * the memory or the end of the program do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "lib/avro_oracle.h"
#include "lib/deliveries_fixture.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

/* --- what is stored --- */

static void read_value(const struct mock_record *record)
{
    avro_reader_t reader =
        avro_reader_memory(record->record.value.ptr, (int64_t)record->record.value.len);
    char more;
    oracle_begin();
    assert_int_equal(avro_value_read(reader, &oracle.record), 0);
    assert_int_not_equal(avro_read(reader, &more, 1), 0);
    avro_reader_free(reader);
}

/* A string attribute of the value that was read, "": none. */
static const char *attribute(const char *name)
{
    avro_value_t item;
    avro_value_t branch;
    const char *text;
    size_t size;
    if (avro_value_get_by_name(&oracle.attributes, name, &item, NULL) != 0) {
        return "";
    }
    assert_int_equal(avro_value_get_current_branch(&item, &branch), 0);
    assert_int_equal(avro_value_get_string(&branch, &text, &size), 0);
    return text;
}

static void assert_data(const char *expected)
{
    avro_value_t branch;
    const void *bytes;
    size_t size;
    assert_int_equal(avro_value_get_current_branch(&oracle.data, &branch), 0);
    assert_int_equal(avro_value_get_bytes(&branch, &bytes, &size), 0);
    assert_slice(mr_slice(bytes, size), expected);
}

static void test_a_message_is_stored_as_an_event(void **state)
{
    static const char *const strings[][2] = {
        {"specversion", "1.0"},         {"type", "io.millrace.event.v1"},
        {"application", "works"},       {"device", "d7"},
        {"source", "/works/d7"},        {"subject", "temp"},
        {"mqtttopic", "plant/d7/temp"}, {"datacontenttype", "text/plain"},
    };
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mqtt_message message = mqtt_message_of("plant/d7/temp", "21.5");
    struct mock_records records;
    message.content_type = MR_SLICE("text/plain");
    assert_int_equal(give_message(f, &given, &message, mr_slice(NULL, 0)), 0);
    assert_int_equal(deliveries_count(f->deliveries), 1);
    assert_true(deliveries_bytes(f->deliveries) >= message.topic.len + message.payload.len);
    assert_int_equal(mr_series_value(f->metrics.in_flight), 1);
    deliveries_run(f);
    assert_int_equal(strlen(given.id), 36); /* RFC 9562 */
    assert_string_equal(given.id, given.stored);
    mock_kafka_read(&f->kafka.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_slice(records.at[0].record.key, "works/d7");
    assert_slice(mock_record_header(&records.at[0], "content-type"),
                 "application/cloudevents+avro");
    assert_slice(mock_record_header(&records.at[0], "ce_id"), given.id);
    read_value(&records.at[0]);
    assert_string_equal(attribute("id"), given.id);
    for (size_t i = 0; i < MR_COUNT_OF(strings); i++) {
        assert_string_equal(attribute(strings[i][0]), strings[i][1]);
    }
    assert_data("21.5");
    avro_value_decref(&oracle.record);
    mock_records_free(&records);
    assert_counted(f, 1, 0, 0, 0);
}

static void test_a_redelivery_keeps_its_id(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    const struct mqtt_message message = mqtt_message_of("plant/d1/c", "x");
    struct mock_records records;
    assert_int_equal(give_message(f, &given, &message, MR_SLICE("as-before")), 0);
    deliveries_run(f);
    assert_string_equal(given.id, "as-before");
    assert_string_equal(given.stored, "as-before");
    mock_kafka_read(&f->kafka.mock, "events", &records);
    assert_slice(mock_record_header(&records.at[0], "ce_id"), "as-before");
    mock_records_free(&records);
}

static void test_a_route_has_its_own_kafka_topic(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mock_records records;
    give(f, &given, "others/d1", "x");
    deliveries_run(f);
    mock_kafka_read(&f->kafka.mock, "others", &records);
    assert_int_equal(records.count, 1);
    assert_slice(mock_record_header(&records.at[0], "ce_id"), given.stored);
    mock_records_free(&records);
}

static void test_what_no_route_takes_may_be_dropped(void **state)
{
    struct deliveries_fixture f;
    struct given given = {0};
    struct mock_records records;
    (void)state;
    deliveries_set_up(&f);
    f.spec.drops_unrouted = true;
    deliveries_start(&f);
    give(&f, &given, "nowhere", "x");
    assert_int_equal(deliveries_count(f.deliveries), 1);
    deliveries_run(&f);
    assert_string_equal(given.id, "");
    assert_string_equal(given.stored, "");
    assert_counted(&f, 0, 0, 1, 0);
    mock_kafka_read(&f.kafka.mock, "events.dead", &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
    deliveries_tear_down(&f);
}

/* --- sent again --- */

enum { MANY = 12 };

/* One record for each, with its id; those of one key in the order in which they were given. */
static void assert_each_is_there_once(struct deliveries_fixture *f, const struct given *given,
                                      size_t count)
{
    struct mock_records records;
    mock_kafka_read(&f->kafka.mock, "events", &records);
    assert_int_equal(records.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(given[i].id, given[i].stored);
        assert_slice(mock_record_header(&records.at[i], "ce_id"), given[i].id);
    }
    mock_records_free(&records);
}

static void test_over_the_queue_they_are_sent_again_in_order(void **state)
{
    struct deliveries_fixture f;
    struct given given[MANY] = {0};
    char payload[16];
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 3;
    deliveries_start(&f);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(payload, sizeof payload, "%zu", i);
        give(&f, &given[i], "plant/d1/c", payload);
    }
    deliveries_run(&f);
    assert_each_is_there_once(&f, given, MANY);
    assert_counted(&f, MANY, 0, 0, 0);
    assert_true(mr_series_value(f.metrics.retries) >= MANY - 3);
    deliveries_tear_down(&f);
}

static bool is_settled(void *given)
{
    return ((struct given *)given)->settled > 0;
}

static void test_behind_one_that_waits_its_key_waits_and_no_other(void **state)
{
    struct deliveries_fixture f;
    struct given given[4] = {0};
    struct mock_records records;
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    deliveries_start(&f);
    give(&f, &given[0], "plant/d1/c", "0");
    give(&f, &given[1], "plant/d1/c", "1"); /* the queue is full */
    fixture_run_until(&f.kafka, is_settled, &given[0], SETTLE_MS);
    assert_int_equal(given[1].settled, 0);
    give(&f, &given[2], "plant/d1/c", "2");
    give(&f, &given[3], "plant/other/c", "3");
    deliveries_run(&f);
    assert_true(given[3].rank < given[1].rank);
    assert_true(given[1].rank < given[2].rank);
    mock_kafka_read(&f.kafka.mock, "events", &records);
    assert_int_equal(records.count, 4);
    mock_records_free(&records);
    deliveries_tear_down(&f);
}

/* One that waits isn't overtaken when the list is looked at for another's sake either. */
/* Whoever sent them: it is Kafka's key, too. */
static void test_those_of_a_partition_key_wait_for_each_other(void **state)
{
    static const char p[] =
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\","
        "\"partitionkey\":\"p\"}";
    static const char q[] =
        "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\","
        "\"partitionkey\":\"q\"}";
    struct deliveries_fixture f;
    struct given given[4] = {0};
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    deliveries_start(&f);
    give(&f, &given[0], "structured/d1", p);
    give(&f, &given[1], "structured/d1", p); /* the queue is full */
    fixture_run_until(&f.kafka, is_settled, &given[0], SETTLE_MS);
    assert_int_equal(given[1].settled, 0);
    give(&f, &given[2], "structured/d2", p);
    give(&f, &given[3], "structured/d1", q);
    deliveries_run(&f);
    assert_true(given[3].rank < given[1].rank);
    assert_true(given[1].rank < given[2].rank);
    deliveries_tear_down(&f);
}

static void test_behind_one_that_is_not_due_its_key_waits(void **state)
{
    enum { RTT_MS = 500 };
    struct deliveries_fixture f;
    struct given given[4] = {0};
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    f.spec.drops_unrouted = true;
    deliveries_start(&f);
    mock_kafka_set_rtt(&f.kafka.mock, RTT_MS);
    give(&f, &given[0], "plant/other/c", "fills the queue");
    give(&f, &given[1], "plant/d1/c", "waits longer and longer");
    fixture_run_until(&f.kafka, is_settled, &given[0], SETTLE_MS);
    mock_kafka_set_rtt(&f.kafka.mock, 0);
    give(&f, &given[2], "plant/d1/c", "waits behind it");
    give(&f, &given[3], "nowhere", "makes the timer look");
    deliveries_run(&f);
    assert_true(given[3].rank < given[1].rank);
    assert_true(given[1].rank < given[2].rank);
    deliveries_tear_down(&f);
}

static bool has_nothing(void *port)
{
    return producer_port_pending(port) == 0;
}

/* It was with the producer while the other waited, and goes before it again. */
static void test_an_earlier_one_that_fails_later_goes_first(void **state)
{
    struct deliveries_fixture f;
    struct given given[2] = {0};
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    fixture_set(&f.kafka, "kafka.producer", "message.timeout.ms", "1000");
    deliveries_start(&f);
    mock_kafka_set_up(&f.kafka.mock, false);
    give(&f, &given[0], "plant/d1/c", "first");
    give(&f, &given[1], "plant/d1/c", "second: the queue is full");
    fixture_run_until(&f.kafka, has_nothing, f.kafka.port, SETTLE_MS);
    mock_kafka_set_up(&f.kafka.mock, true);
    deliveries_run(&f);
    assert_true(given[0].rank < given[1].rank);
    assert_each_is_there_once(&f, given, MR_COUNT_OF(given));
    deliveries_tear_down(&f);
}

static bool has_retried(void *fixture)
{
    return mr_series_value(((struct deliveries_fixture *)fixture)->metrics.retries) > 0;
}

/* Nobody knows whether it is stored: it is sent again, as the very same event. */
/* 100 ms before the first, then twice as long each time. */
static void test_the_pauses_between_tries_grow(void **state)
{
    enum { REFUSALS = 3, FIRST_MS = 100, DOUBLED = 5 };
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    uint64_t begun_ns;
    uint64_t least_ms = 0;
    int64_t retries;
    mock_kafka_push_error(&f->kafka.mock, MOCK_API_PRODUCE,
                          RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, REFUSALS);
    begun_ns = uv_hrtime();
    give(f, &given, "plant/d1/c", "x");
    deliveries_run(f);
    retries = mr_series_value(f->metrics.retries);
    assert_true(retries >= REFUSALS);
    for (int i = 0; i < retries && i < DOUBLED; i++) {
        least_ms += (uint64_t)FIRST_MS << i;
    }
    assert_true(uv_hrtime() - begun_ns >= least_ms * 1000 * 1000);
    assert_counted(f, 1, 0, 0, 0);
}

static void test_what_may_be_stored_is_sent_again_as_it_was(void **state)
{
    struct deliveries_fixture f;
    struct given given[2] = {0};
    struct mock_records records;
    (void)state;
    deliveries_set_up(&f);
    fixture_set(&f.kafka, "kafka.producer", "message.timeout.ms", "2000");
    deliveries_start(&f);
    give(&f, &given[0], "plant/d1/c", "before"); /* the producer has its id from Kafka then */
    deliveries_run(&f);
    mock_kafka_set_rtt(&f.kafka.mock, 60000);
    give(&f, &given[1], "plant/d1/c", "x");
    fixture_run_until(&f.kafka, has_retried, &f, SETTLE_MS);
    assert_int_equal(given[1].settled, 0);
    assert_int_equal(deliveries_count(f.deliveries), 1);
    mock_kafka_set_rtt(&f.kafka.mock, 0);
    deliveries_run(&f);
    assert_string_equal(given[1].stored, given[1].id);
    mock_kafka_read(&f.kafka.mock, "events", &records);
    assert_true(records.count >= 3);
    for (size_t i = 1; i < records.count; i++) {
        assert_slice(mock_record_header(&records.at[i], "ce_id"), given[1].id);
        assert_true(mr_slice_is(records.at[i].record.value, records.at[1].record.value));
    }
    mock_records_free(&records);
    assert_counted(&f, 2, 0, 0, 0);
    deliveries_tear_down(&f);
}

static void test_while_kafka_is_away_nothing_is_settled(void **state)
{
    struct deliveries_fixture f;
    struct given given[2] = {0};
    (void)state;
    deliveries_set_up(&f);
    fixture_set(&f.kafka, "kafka.producer", "message.timeout.ms", "1000");
    deliveries_start(&f);
    mock_kafka_set_up(&f.kafka.mock, false);
    give(&f, &given[0], "plant/d1/c", "x");
    give(&f, &given[1], "nowhere", "dead");
    fixture_run_until(&f.kafka, has_retried, &f, SETTLE_MS);
    assert_int_equal(f.left, 2);
    mock_kafka_set_up(&f.kafka.mock, true);
    deliveries_run(&f);
    assert_each_is_there_once(&f, given, 1);
    assert_counted(&f, 1, 1, 0, 0);
    deliveries_tear_down(&f);
}

/* Kafka refuses a request for one of its events: alone, the others are stored. */
static void test_of_a_refused_request_only_the_one_too_large_is_dead(void **state)
{
    struct deliveries_fixture f;
    struct given given[4] = {0};
    struct mock_records records;
    (void)state;
    deliveries_set_up(&f);
    fixture_set(&f.kafka, "kafka.producer", "linger.ms", "100");
    deliveries_start(&f);
    /* the request of all four, then that of the first of them */
    mock_kafka_push_error(&f.kafka.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 2);
    for (size_t i = 0; i < MR_COUNT_OF(given); i++) {
        give(&f, &given[i], "plant/d1/c", "x");
    }
    deliveries_run(&f);
    assert_string_equal(given[0].stored, "");
    assert_each_is_there_once(&f, given + 1, MR_COUNT_OF(given) - 1);
    mock_kafka_read(&f.kafka.mock, "events.dead", &records);
    assert_int_equal(records.count, 1);
    assert_slice(mock_record_header(&records.at[0], "millrace_dead_reason"), "too-large");
    mock_records_free(&records);
    assert_counted(&f, MR_COUNT_OF(given) - 1, 1, 0, 0);
    deliveries_tear_down(&f);
}

/* --- expiry --- */

static void test_an_expired_one_is_not_sent_again(void **state)
{
    struct deliveries_fixture f;
    struct given given[2] = {0};
    struct mqtt_message message = mqtt_message_of("plant/d1/c", "x");
    struct mock_records records;
    (void)state;
    deliveries_set_up(&f);
    fixture_set(&f.kafka, "kafka.producer", "message.timeout.ms", "1500");
    deliveries_start(&f);
    mock_kafka_set_up(&f.kafka.mock, false);
    message.expiry_seconds = 1;
    assert_int_equal(give_message(&f, &given[0], &message, mr_slice(NULL, 0)), 0);
    message.expiry_seconds = 1000;
    assert_int_equal(give_message(&f, &given[1], &message, mr_slice(NULL, 0)), 0);
    fixture_run_until(&f.kafka, is_settled, &given[0], SETTLE_MS);
    assert_string_equal(given[0].stored, "");
    assert_int_equal(given[1].settled, 0);
    mock_kafka_set_up(&f.kafka.mock, true);
    deliveries_run(&f);
    mock_kafka_read(&f.kafka.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_slice(mock_record_header(&records.at[0], "ce_id"), given[1].id);
    mock_records_free(&records);
    assert_counted(&f, 1, 0, 0, 1);
    deliveries_tear_down(&f);
}

/* What the broker sends it has not given up: it is tried once, whatever is left. */
static void test_one_without_any_time_left_is_sent_once(void **state)
{
    struct deliveries_fixture *f = *state;
    struct given given = {0};
    struct mqtt_message message = mqtt_message_of("plant/d1/c", "x");
    message.expiry_seconds = 0;
    assert_int_equal(give_message(f, &given, &message, mr_slice(NULL, 0)), 0);
    deliveries_run(f);
    assert_counted(f, 1, 0, 0, 0);
}

/* --- callbacks and the end --- */

static void test_a_callback_may_give_another(void **state)
{
    struct deliveries_fixture f;
    struct given given[3] = {0};
    (void)state;
    deliveries_set_up(&f);
    f.spec.drops_unrouted = true;
    deliveries_start(&f);
    given[0].more = &given[1];
    given[1].more = &given[2];
    give(&f, &given[0], "nowhere", "x");
    deliveries_run(&f);
    assert_counted(&f, 2, 0, 1, 0);
    deliveries_tear_down(&f);
}

static void test_a_callback_may_close(void **state)
{
    struct deliveries_fixture f;
    struct given given[2] = {{.closes = true}, {0}};
    (void)state;
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    deliveries_start(&f);
    give(&f, &given[0], "plant/d1/c", "x");
    give(&f, &given[1], "plant/d1/c", "y");
    fixture_run_until(&f.kafka, is_settled, &given[0], SETTLE_MS);
    deliveries_tear_down_rest(&f);
    assert_int_equal(given[1].settled, 0);
}

static void test_closing_waits_for_the_producer_and_calls_nobody(void **state)
{
    struct deliveries_fixture f;
    struct given given[6] = {0};
    bool closed = false;
    (void)state;
    heap_fail_at(0);
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 2;
    f.spec.drops_unrouted = true;
    deliveries_start(&f);
    mock_kafka_set_rtt(&f.kafka.mock, 60000);
    for (size_t i = 0; i < 5; i++) {
        give(&f, &given[i], "plant/d1/c", "x");
    }
    (void)uv_run(&f.kafka.loop, UV_RUN_ONCE); /* those over the queue are waiting */
    give(&f, &given[5], "nowhere", "x");
    deliveries_close(f.deliveries, set_true, &closed);
    for (int i = 0; i < 10; i++) {
        (void)uv_run(&f.kafka.loop, UV_RUN_ONCE);
    }
    assert_false(closed);
    producer_abandon(f.kafka.producer);
    fixture_run_until(&f.kafka, is_true, &closed, SETTLE_MS);
    for (size_t i = 0; i < MR_COUNT_OF(given); i++) {
        assert_int_equal(given[i].settled, 0);
    }
    assert_int_equal(producer_port_pending(f.kafka.port), 0);
    deliveries_tear_down_rest(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_message_is_stored_as_an_event, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_a_redelivery_keeps_its_id, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test_setup_teardown(test_a_route_has_its_own_kafka_topic, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test(test_what_no_route_takes_may_be_dropped),
        cmocka_unit_test(test_over_the_queue_they_are_sent_again_in_order),
        cmocka_unit_test(test_behind_one_that_waits_its_key_waits_and_no_other),
        cmocka_unit_test(test_those_of_a_partition_key_wait_for_each_other),
        cmocka_unit_test(test_behind_one_that_is_not_due_its_key_waits),
        cmocka_unit_test_setup_teardown(test_the_pauses_between_tries_grow, deliveries_setup,
                                        deliveries_teardown),
        cmocka_unit_test(test_an_earlier_one_that_fails_later_goes_first),
        cmocka_unit_test(test_what_may_be_stored_is_sent_again_as_it_was),
        cmocka_unit_test(test_while_kafka_is_away_nothing_is_settled),
        cmocka_unit_test(test_of_a_refused_request_only_the_one_too_large_is_dead),
        cmocka_unit_test(test_an_expired_one_is_not_sent_again),
        cmocka_unit_test_setup_teardown(test_one_without_any_time_left_is_sent_once,
                                        deliveries_setup, deliveries_teardown),
        cmocka_unit_test(test_a_callback_may_give_another),
        cmocka_unit_test(test_a_callback_may_close),
        cmocka_unit_test(test_closing_waits_for_the_producer_and_calls_nobody),
    };
    oracle_source_dir = TEST_SOURCE_DIR;
    return cmocka_run_group_tests(tests, oracle_setup, oracle_teardown);
}

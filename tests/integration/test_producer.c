// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "lib/heap.h"
#include "lib/shots.h"

static void abandon_and_settle(struct fixture *f, size_t *left)
{
    producer_abandon(f->producer);
    fixture_run_until(f, is_zero, left, ANSWER_MS);
}

static int64_t events_metric(const char *outcome)
{
    struct mr_buf text;
    char line[128];
    const char *found;
    int64_t value = -1;
    buf_init(&text, 1 << 20);
    assert_int_equal(metrics_write(&text), 0);
    assert_int_equal(buf_add_char(&text, '\0'), 0);
    (void)snprintf(line, sizeof line, "millrace_producer_events_total{outcome=\"%s\"} ", outcome);
    found = strstr(text.ptr, line);
    if (found != NULL) {
        value = strtoll(found + strlen(line), NULL, 10);
    }
    buf_done(&text);
    return value;
}

static void test_an_event_is_stored_and_its_place_told(void **state)
{
    struct fixture f;
    struct shot shots[3];
    size_t left = 3;
    struct mock_records records;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    for (unsigned i = 0; i < 3; i++) {
        shoot(&f, &shots[i], &left, 7, MR_SLICE("{\"t\":21.5}"));
    }
    assert_int_equal(producer_port_pending(f.port), 3);
    fixture_run_until(&f, is_zero, &left, SETTLE_MS);
    assert_int_equal(producer_port_pending(f.port), 0);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct mock_record *record = &records.at[i];
        assert_int_equal(shots[i].kind, MR_STORED);
        assert_string_equal(shots[i].reason, "");
        assert_int_equal(shots[i].partition, record->partition);
        assert_int_equal(shots[i].offset, record->offset);
        assert_int_equal(shots[i].offset, i);
        assert_true(mr_slice_is(record->record.key, MR_SLICE("app/d7")));
        assert_true(mr_slice_is(mock_record_header(record, "content-type"),
                                MR_SLICE("application/cloudevents+avro")));
        assert_true(mr_slice_is(mock_record_header(record, "ce_id"), MR_SLICE("id-1")));
    }
    mock_records_free(&records);
    assert_int_equal(events_metric("stored"), 3);
    fixture_tear_down(&f);
}

static void test_binary_encoding_is_an_option(void **state)
{
    struct fixture f;
    struct mock_records records;
    (void)state;
    fixture_set_up(&f);
    f.options.encoding = EVENT_ENCODING_BINARY;
    fixture_start_and_wait(&f);
    assert_int_equal(shoot_one(&f, MR_SLICE("plain")).kind, MR_STORED);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_true(mr_slice_is(records.at[0].record.value, MR_SLICE("plain")));
    mock_records_free(&records);
    fixture_tear_down(&f);
}

static void test_a_ready_record_goes_to_any_topic(void **state)
{
    struct fixture f;
    struct shot shot = {.send.on_settled = shot_settled};
    struct mock_records records;
    const struct kafka_header headers[] = {{"why", MR_SLICE_INIT("because")}, {"null", {NULL, 0}}};
    const struct kafka_record record = {MR_SLICE("k"), MR_SLICE(""), headers, 2};
    size_t left = 1;
    (void)state;
    fixture_set_up(&f);
    mock_kafka_create_topic(&f.mock, "events.dead", 1);
    fixture_start_and_wait(&f);
    shot.left = &left;
    producer_send_record(f.port, &shot.send, "events.dead", &record);
    fixture_run_until(&f, is_zero, &left, SETTLE_MS);
    assert_int_equal(shot.kind, MR_STORED);
    mock_kafka_read(&f.mock, "events.dead", &records);
    assert_int_equal(records.count, 1);
    assert_true(mr_slice_is(records.at[0].record.key, MR_SLICE("k")));
    assert_int_equal(records.at[0].record.value.len, 0);
    assert_int_equal(records.at[0].record.header_count, 2);
    assert_true(mr_slice_is(mock_record_header(&records.at[0], "why"), MR_SLICE("because")));
    assert_null(mock_record_header(&records.at[0], "null").ptr);
    mock_records_free(&records);
    fixture_tear_down(&f);
}

static void test_an_event_goes_to_another_topic(void **state)
{
    static const char *const topics[] = {"events", "others"};
    struct fixture f;
    struct shot shots[2] = {{.send.on_settled = shot_settled}, {.send.on_settled = shot_settled}};
    struct mr_event *event = mr_event_new();
    struct mock_records records;
    size_t left = 2;
    (void)state;
    fixture_set_up(&f);
    mock_kafka_create_topic(&f.mock, "others", 1);
    fixture_start_and_wait(&f);
    fill_event(event, "id-1", 7, MR_SLICE("x"));
    for (size_t i = 0; i < 2; i++) {
        shots[i].left = &left;
        producer_send_event(f.port, &shots[i].send, topics[i], event);
    }
    mr_event_free(event);
    fixture_run_until(&f, is_zero, &left, SETTLE_MS);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(shots[i].kind, MR_STORED);
        mock_kafka_read(&f.mock, topics[i], &records);
        assert_int_equal(records.count, 1);
        assert_true(mr_slice_is(records.at[0].record.key, MR_SLICE("app/d7")));
        assert_true(mr_slice_is(mock_record_header(&records.at[0], "ce_id"), MR_SLICE("id-1")));
        mock_records_free(&records);
    }
    fixture_tear_down(&f);
}

static void test_over_a_bound_is_busy(void **state)
{
    struct fixture f;
    struct shot shots[15];
    size_t left = 15;
    (void)state;
    fixture_set_up(&f);
    f.options.queue_events_max = 10;
    fixture_start_and_wait(&f);
    mock_kafka_set_rtt(&f.mock, 60000);
    for (int i = 0; i < 15; i++) {
        shoot(&f, &shots[i], &left, 1, MR_SLICE("x"));
    }
    (void)uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(left, 10);
    for (int i = 10; i < 15; i++) {
        assert_int_equal(shots[i].settled, 1);
        assert_int_equal(shots[i].kind, MR_BUSY);
        assert_int_equal(shots[i].retry_after_ms, 1000);
        assert_string_equal(shots[i].reason, "the queue is full (queue.events.max)");
    }
    abandon_and_settle(&f, &left);
    fixture_tear_down(&f);
}

static void test_over_the_bytes_is_busy(void **state)
{
    static const char data[60000];
    struct fixture f;
    struct shot shots[3];
    size_t left = 3;
    (void)state;
    fixture_set_up(&f);
    f.options.queue_bytes_max = 130000;
    fixture_start_and_wait(&f);
    mock_kafka_set_rtt(&f.mock, 60000);
    for (int i = 0; i < 3; i++) {
        shoot(&f, &shots[i], &left, 1, mr_slice(data, sizeof data));
    }
    (void)uv_run(&f.loop, UV_RUN_ONCE);
    assert_int_equal(left, 2);
    assert_int_equal(shots[2].kind, MR_BUSY);
    assert_string_equal(shots[2].reason, "the queue is full (queue.bytes.max)");
    abandon_and_settle(&f, &left);
    fixture_tear_down(&f);
}

static void test_larger_than_the_whole_queue_is_rejected(void **state)
{
    static const char data[100000];
    struct fixture f;
    struct shot shot;
    (void)state;
    fixture_set_up(&f);
    f.options.queue_bytes_max = sizeof data;
    fixture_start_and_wait(&f);
    shot = shoot_one(&f, mr_slice(data, sizeof data));
    assert_int_equal(shot.kind, MR_REJECTED);
    assert_true(shot.too_large);
    assert_non_null(strstr(shot.reason, "queue.bytes.max is 100000"));
    assert_int_equal(shoot_one(&f, mr_slice(data, sizeof data / 2)).kind, MR_STORED);
    fixture_tear_down(&f);
}

static void test_what_can_never_be_stored_is_rejected(void **state)
{
    static const char large[1100000];
    struct fixture f;
    struct shot too_large;
    struct shot no_event = {.send.on_settled = shot_settled};
    size_t left = 2;
    struct mr_event *event = mr_event_new();
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    shoot(&f, &too_large, &left, 1, mr_slice(large, sizeof large));
    assert_int_equal(mr_event_set(event, MR_SLICE("specversion"), MR_SLICE("1.0"), NULL), 0);
    no_event.left = &left;
    mr_send(f.port, &no_event.send, event);
    mr_event_free(event);
    fixture_run_until(&f, is_zero, &left, ANSWER_MS);
    assert_int_equal(too_large.kind, MR_REJECTED);
    assert_string_not_equal(too_large.reason, "");
    assert_int_equal(no_event.kind, MR_REJECTED);
    assert_non_null(strstr(no_event.reason, "source"));
    assert_int_equal(events_metric("rejected"), 2);
    fixture_tear_down(&f);
}

/* A value that our own bound on it lets through, but not with the record's overhead. */
static void test_librdkafkas_own_limit_rejects_too(void **state)
{
    static const char large[999900];
    struct fixture f;
    struct shot shot;
    (void)state;
    fixture_set_up(&f);
    f.options.encoding = EVENT_ENCODING_BINARY;
    fixture_start_and_wait(&f);
    shot = shoot_one(&f, mr_slice(large, sizeof large));
    assert_int_equal(shot.kind, MR_REJECTED);
    assert_non_null(strstr(shot.reason, "message.max.bytes"));
    fixture_tear_down(&f);
}

/* Which record of a batch it was isn't told, so none is rejected for it. */
static void test_a_batch_refused_by_the_broker_is_busy(void **state)
{
    enum { BATCH = 20 };
    struct fixture f;
    struct shot shots[BATCH];
    size_t left = BATCH;
    (void)state;
    fixture_set_up(&f);
    fixture_set(&f, "kafka.producer", "linger.ms", "200");
    fixture_start_and_wait(&f);
    mock_kafka_push_error(&f.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
    for (int i = 0; i < BATCH; i++) {
        shoot(&f, &shots[i], &left, 1, MR_SLICE("x"));
    }
    fixture_run_until(&f, is_zero, &left, SETTLE_MS);
    for (int i = 0; i < BATCH; i++) {
        assert_int_equal(shots[i].kind, MR_BUSY);
        assert_string_equal(shots[i].reason,
                            rd_kafka_err2str(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
    }
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    fixture_tear_down(&f);
}

static void test_an_event_refused_alone_is_rejected(void **state)
{
    struct fixture f;
    struct shot shot;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    mock_kafka_push_error(&f.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
    shot = shoot_one(&f, MR_SLICE("x"));
    assert_int_equal(shot.kind, MR_REJECTED);
    assert_true(shot.too_large);
    assert_non_null(strstr(shot.reason, "max.message.bytes"));
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    fixture_tear_down(&f);
}

/* One event after another, in a request each, of which the first is refused: of a new producer the
 * broker takes the second all the same, and librdkafka then reports both as delivered. */
static enum mr_outcome_kind shoot_two_of_which_one_is_refused(void)
{
    enum { RTT_MS = 200, APART_MS = 50 };
    struct fixture f;
    struct shot shots[2];
    struct mock_records records;
    size_t left = 2;
    size_t stored = 0;
    uint64_t end;
    fixture_set_up(&f);
    fixture_set(&f, "kafka.producer", "linger.ms", "0");
    fixture_start_and_wait(&f);
    mock_kafka_push_error(&f.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 1);
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    shoot(&f, &shots[0], &left, 1, MR_SLICE("first"));
    end = uv_hrtime() + (uint64_t)APART_MS * 1000000;
    while (uv_hrtime() < end) {
        (void)uv_run(&f.loop, UV_RUN_ONCE);
    }
    shoot(&f, &shots[1], &left, 1, MR_SLICE("second"));
    fixture_run_until(&f, is_zero, &left, SETTLE_MS);
    mock_kafka_set_rtt(&f.mock, 0);
    mock_kafka_read(&f.mock, "events", &records);
    for (int i = 0; i < 2; i++) {
        stored += shots[i].kind == MR_STORED;
    }
    assert_true(stored >= 1 && stored <= records.count);
    mock_records_free(&records);
    fixture_tear_down(&f);
    return shots[0].kind;
}

static void test_an_inferred_acknowledgement_is_unknown(void **state)
{
    enum { TRIES_MAX = 10 };
    int tries = 1;
    (void)state;
    /* On a busy machine both may go in one request, which is refused and sent again as a whole. */
    while (shoot_two_of_which_one_is_refused() != MR_UNKNOWN) {
        assert_true(tries < TRIES_MAX);
        tries++;
    }
}

static void test_frozen_after_the_send_is_unknown(void **state)
{
    struct fixture f;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    mock_kafka_set_rtt(&f.mock, 60000);
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_UNKNOWN);
    assert_int_equal(events_metric("unknown"), 1);
    fixture_tear_down(&f);
}

static void test_abandoned_sends_are_settled_at_once(void **state)
{
    struct fixture f;
    static struct shot shots[200];
    size_t left = MR_COUNT_OF(shots);
    uint64_t begun;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    mock_kafka_set_rtt(&f.mock, 60000);
    for (unsigned i = 0; i < MR_COUNT_OF(shots); i++) {
        shoot(&f, &shots[i], &left, i, MR_SLICE("x"));
    }
    begun = uv_hrtime();
    abandon_and_settle(&f, &left);
    assert_true((uv_hrtime() - begun) / 1000000 < 1000);
    for (unsigned i = 0; i < MR_COUNT_OF(shots); i++) {
        assert_int_equal(shots[i].settled, 1);
        assert_true(shots[i].kind == MR_BUSY || shots[i].kind == MR_UNKNOWN);
    }
    assert_int_equal(shoot_one(&f, MR_SLICE("late")).kind, MR_BUSY);
    fixture_tear_down(&f);
}

static void test_a_producer_that_never_reached_kafka_closes(void **state)
{
    struct fixture f;
    struct shot shots[10];
    size_t left = 10;
    (void)state;
    fixture_set_up(&f);
    mock_kafka_set_up(&f.mock, false);
    fixture_start(&f);
    for (unsigned i = 0; i < 10; i++) {
        shoot(&f, &shots[i], &left, i, MR_SLICE("x"));
    }
    abandon_and_settle(&f, &left);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(shots[i].kind, MR_BUSY); /* nothing can have been in flight */
    }
    fixture_tear_down(&f);
}

/* ---- a callback that sends again ---- */

struct again {
    struct mr_send send;
    struct mr_port *port;
    struct mr_event *event;
    unsigned left;
    size_t undone;
};

static void on_again(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct again *again = (struct again *)(void *)send;
    assert_int_equal(outcome->kind, MR_STORED);
    if (--again->left == 0) {
        again->undone = 0;
    } else {
        mr_send(again->port, send, again->event);
    }
}

static void test_a_callback_may_send_the_same_object_again(void **state)
{
    struct fixture f;
    struct again again = {.left = 50, .undone = 1, .send.on_settled = on_again};
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    again.port = f.port;
    again.event = mr_event_new();
    fill_event(again.event, "again", 1, MR_SLICE("x"));
    mr_send(f.port, &again.send, again.event);
    fixture_run_until(&f, is_zero, &again.undone, SETTLE_MS);
    mr_event_free(again.event);
    fixture_tear_down(&f);
}

/* ---- the beginning ---- */

static void test_out_of_memory_at_start_is_told_and_leaves_nothing(void **state)
{
    struct fixture f;
    struct mr_error err;
    unsigned failures = 0;
    (void)state;
    fixture_set_up(&f);
    for (unsigned n = 1;; n++) {
        const struct producer_spec spec = {&f.conf, &f.options, "test", &f.readiness};
        int rc;
        heap_fail_at(n);
        rc = producer_new(&f.loop, &spec, &f.producer, &err);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        failures++;
        if (rc != 0) {
            assert_int_equal(rc, MR_ENOMEM);
            continue;
        }
        /* A series or the look for the topic failed: the producer works all the same. */
        heap_fail_at(0);
        fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
        f.closed = false;
        producer_close(f.producer, set_true, &f.closed);
        fixture_run_until(&f, is_true, &f.closed, SETTLE_MS);
    }
    assert_true(failures >= 3);
    heap_fail_at(1);
    assert_int_equal(producer_port_open(f.producer, &f.loop, &f.port, &err), MR_ENOMEM);
    heap_fail_at(0);
    assert_int_equal(producer_port_open(f.producer, &f.loop, &f.port, &err), 0);
    fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
    fixture_tear_down(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_a_combination_that_librdkafka_refuses_is_told(void **state)
{
    struct fixture f;
    struct mr_error err = {0};
    const struct producer_spec spec = {&f.conf, &f.options, "test", &f.readiness};
    (void)state;
    fixture_set_up(&f);
    fixture_set(&f, "kafka.producer", "max.in.flight", "100");
    assert_int_equal(producer_new(&f.loop, &spec, &f.producer, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "max.in.flight"));
    f.conf.count = 1;
    fixture_start(&f);
    fixture_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_stored_and_its_place_told),
        cmocka_unit_test(test_binary_encoding_is_an_option),
        cmocka_unit_test(test_a_ready_record_goes_to_any_topic),
        cmocka_unit_test(test_an_event_goes_to_another_topic),
        cmocka_unit_test(test_over_a_bound_is_busy),
        cmocka_unit_test(test_over_the_bytes_is_busy),
        cmocka_unit_test(test_larger_than_the_whole_queue_is_rejected),
        cmocka_unit_test(test_what_can_never_be_stored_is_rejected),
        cmocka_unit_test(test_librdkafkas_own_limit_rejects_too),
        cmocka_unit_test(test_a_batch_refused_by_the_broker_is_busy),
        cmocka_unit_test(test_an_event_refused_alone_is_rejected),
        cmocka_unit_test(test_an_inferred_acknowledgement_is_unknown),
        cmocka_unit_test(test_frozen_after_the_send_is_unknown),
        cmocka_unit_test(test_abandoned_sends_are_settled_at_once),
        cmocka_unit_test(test_a_producer_that_never_reached_kafka_closes),
        cmocka_unit_test(test_a_callback_may_send_the_same_object_again),
        cmocka_unit_test(test_out_of_memory_at_start_is_told_and_leaves_nothing),
        cmocka_unit_test(test_a_combination_that_librdkafka_refuses_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

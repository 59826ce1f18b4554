// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "kafka/worker_internal.h"
#include "lib/scripted_worker.h"

/* One cluster and one worker for most tests; a topic of one partition. */
static struct mock_kafka mock;
static struct scripted_worker one;
static uv_loop_t loop;

static int set_up(void **state)
{
    (void)state;
    scripted_set_up(&one, &mock, &loop, 1, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scripted_tear_down(&mock, &loop);
    return 0;
}

/* --- conditions to wait for --- */

static bool holds_a_batch(void *user)
{
    return ((struct scripted_worker *)user)->held_count > 0;
}

static bool is_ready(void *user)
{
    return readiness_is_ready(&((struct scripted_worker *)user)->readiness);
}

static int64_t wanted_offset;
static bool has_committed(void *user)
{
    (void)user;
    return scripted_metric("millrace_worker_committed_offset",
                           "topic=\"events\",partition=\"0\"") == wanted_offset;
}

static void await_commit(int64_t offset)
{
    wanted_offset = offset;
    assert_true(scripted_until(&one, has_committed, NULL));
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), offset);
}

static struct mr_batch *await_batch(struct scripted_worker *scripted)
{
    assert_true(scripted_until(scripted, holds_a_batch, scripted));
    return scripted_take(scripted);
}

static int number_of(struct mr_delivery *delivery)
{
    struct mr_slice data = mr_event_data(mr_delivery_event(delivery));
    char text[32];
    (void)snprintf(text, sizeof(text), "%.*s", MR_SLICE_ARG(data));
    return (int)strtol(text, NULL, 10);
}

/* --- the books --- */

static int64_t books(const char *outcome)
{
    char labels[128];
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"0\",outcome=\"%s\"",
                   outcome);
    return scripted_metric("millrace_worker_settled_total", labels);
}

static int64_t gauge(const char *name)
{
    return scripted_metric(name, "topic=\"events\",partition=\"0\"");
}

static void assert_balance(void)
{
    assert_int_equal(gauge("millrace_worker_received_total"),
                     books("done") + books("dead") + books("skipped") + books("given_up") +
                         gauge("millrace_worker_in_flight") +
                         gauge("millrace_worker_pending_records") +
                         gauge("millrace_worker_retries_pending"));
}

/* --- settling --- */

static void test_only_the_settled_prefix_is_committed(void **state)
{
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    one.options.batch_count_max = 10;
    one.options.batch_age_ms = 5000;
    scripted_start(&one);
    batch = await_batch(&one);
    assert_int_equal(mr_batch_count(batch), 10);
    assert_string_equal(mr_batch_topic(batch), "events");
    for (size_t i = 9; i >= 5; i--) {
        assert_int_equal(mr_delivery_offset(mr_batch_at(batch, i)), i);
        assert_int_equal(number_of(mr_batch_at(batch, i)), i);
        mr_done(mr_batch_at(batch, i));
    }
    scripted_for(&one, 300);
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), -1);
    for (size_t i = 0; i < 4; i++) {
        mr_done(mr_batch_at(batch, i));
    }
    await_commit(4);
    assert_balance();
    mr_skip(mr_batch_at(batch, 4), "a rule");
    await_commit(10);
    assert_int_equal(books("done"), 9);
    assert_int_equal(books("skipped"), 1);
    assert_balance();
    scripted_stop(&one, 30000);
}

static void test_waiting_holds_back_and_comes_again_in_order(void **state)
{
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    one.options.batch_count_max = 5;
    one.options.batch_age_ms = 60000;
    scripted_start(&one);
    batch = await_batch(&one);
    mr_done(mr_batch_at(batch, 2));
    mr_batch_wait(batch, "the sink is away", 300);
    scripted_for(&one, 150);
    assert_string_equal(scripted_reason(&one, "sink"), "the sink is away");
    assert_int_equal(one.held_count, 0); /* nothing may overtake */
    batch = await_batch(&one);
    assert_int_equal(mr_batch_count(batch), 5);
    for (int i = 0; i < 5; i++) {
        static const int expected[] = {0, 1, 3, 4, 5};
        assert_int_equal(number_of(mr_batch_at(batch, (size_t)i)), expected[i]);
        assert_int_equal(mr_delivery_attempt(mr_batch_at(batch, (size_t)i)), 1); /* not counted */
    }
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), -1);
    mr_batch_done(batch);
    await_commit(6);
    assert_null(scripted_reason(&one, "sink"));
    assert_balance();
    scripted_stop(&one, 30000);
}

static void test_retries_are_counted_and_end(void **state)
{
    struct mock_records dead;
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 2);
    one.options.batch_count_max = 2;
    scripted_start(&one);
    for (unsigned attempt = 1; attempt <= 3; attempt++) {
        batch = await_batch(&one);
        if (mr_batch_count(batch) == 2) {
            mr_done(mr_batch_at(batch, 1));
        }
        assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 0)), 0);
        assert_int_equal(mr_delivery_attempt(mr_batch_at(batch, 0)), attempt);
        mr_retry(mr_batch_at(batch, 0), "it said no");
    }
    if (one.records < 4) { /* the second came later than the first */
        mr_batch_done(await_batch(&one));
    }
    await_commit(2);
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"), MR_SLICE("retries")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_text"), MR_SLICE("it said no")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_attempts"), MR_SLICE("3")));
    assert_true(mr_slice_is(dead.at[0].record.value, MR_SLICE("0")));
    mock_records_free(&dead);
    assert_balance();
    scripted_stop(&one, 30000);
}

static void test_what_is_no_event_never_reaches_the_author(void **state)
{
    static const struct kafka_record not_an_event = {.key = MR_SLICE_INIT("a key"),
                                                     .value = MR_SLICE_INIT("just bytes")};
    static const struct kafka_record tombstone = {.key = MR_SLICE_INIT("a key")};
    struct mock_records dead;
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 1);
    assert_int_equal(mock_kafka_produce(&mock, "events", 0, &not_an_event), 1);
    assert_int_equal(mock_kafka_produce(&mock, "events", 0, &tombstone), 2);
    scripted_produce(&mock, "events", 0, 3, 1);
    one.options.batch_count_max = 4;
    one.options.batch_age_ms = 1000;
    scripted_start(&one);
    batch = await_batch(&one);
    assert_int_equal(mr_batch_count(batch), 2);
    assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 0)), 0);
    assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 1)), 3);
    mr_batch_done(batch);
    await_commit(4);
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_true(mr_slice_is(dead.at[0].record.key, not_an_event.key));
    assert_true(mr_slice_is(dead.at[0].record.value, not_an_event.value));
    assert_true(mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"),
                            MR_SLICE("not-an-event")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_topic"), MR_SLICE("events")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_offset"), MR_SLICE("1")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_group"), MR_SLICE("workers")));
    mock_records_free(&dead);
    assert_int_equal(books("done"), 2);
    assert_int_equal(books("dead"), 1);
    assert_int_equal(books("skipped"), 1);
    assert_balance();
    scripted_stop(&one, 30000);
}

static bool is_refused(void *user)
{
    (void)user;
    return scripted_reason(&one, "dead-letters") != NULL;
}

static void test_a_dead_letter_is_confirmed_before_the_commit(void **state)
{
    struct mock_records dead;
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 3);
    one.options.batch_count_max = 3;
    one.options.batch_age_ms = 60000;
    scripted_start(&one);
    batch = await_batch(&one);
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    mr_done(mr_batch_at(batch, 0));
    mr_dead(mr_batch_at(batch, 1), "mapping", "no number in it");
    mr_done(mr_batch_at(batch, 2));
    assert_true(scripted_until(&one, is_refused, NULL));
    assert_true(mock_kafka_committed(&mock, "workers", "events", 0) <= 1);
    assert_int_equal(gauge("millrace_worker_in_flight"), 1);
    assert_balance();
    await_commit(3);
    assert_null(scripted_reason(&one, "dead-letters"));
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"), MR_SLICE("mapping")));
    mock_records_free(&dead);
    assert_balance();
    scripted_stop(&one, 30000);
}

/* --- batches --- */

static void test_batches_are_cut_by_bytes(void **state)
{
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 1000, 30); /* 4 bytes each */
    one.options.batch_bytes_max = 40;
    one.options.batch_age_ms = 60000;
    scripted_start(&one);
    for (int i = 0; i < 3; i++) {
        batch = await_batch(&one);
        assert_int_equal(mr_batch_count(batch), 10);
        scripted_for(&one, 50);
        assert_int_equal(one.held_count, 0); /* one batch at a time */
        mr_batch_done(batch);
    }
    await_commit(30);
    scripted_stop(&one, 30000);
}

static void test_a_batch_that_is_not_full_goes_by_age(void **state)
{
    int64_t before;
    (void)state;
    one.options.batch_age_ms = 300;
    scripted_start(&one);
    assert_true(scripted_until(&one, is_ready, &one));
    scripted_produce(&mock, "events", 0, 0, 3);
    before = (int64_t)(uv_hrtime() / 1000000);
    mr_batch_done(await_batch(&one));
    assert_true((int64_t)(uv_hrtime() / 1000000) - before >= 150);
    await_commit((int64_t)one.records);
    scripted_stop(&one, 30000);
}

static int next_number;
static void settle_in_order(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        assert_int_equal(number_of(mr_batch_at(batch, i)), next_number);
        next_number++;
        mr_done(mr_batch_at(batch, i));
    }
}

static bool is_paused(void *user)
{
    (void)user;
    return gauge("millrace_worker_paused") == 1;
}

static void test_a_stuck_sink_costs_bounded_memory(void **state)
{
    enum { RECORDS = 50000 };
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, RECORDS);
    one.options.pending_count_max = 3000;
    scripted_start(&one);
    batch = await_batch(&one);
    assert_true(scripted_until(&one, is_paused, NULL));
    scripted_for(&one, 1500); /* longer than the net: polling goes on, nothing comes */
    assert_int_equal(gauge("millrace_worker_received_total"), 3000);
    assert_int_equal(gauge("millrace_worker_in_flight"), mr_batch_count(batch));
    assert_balance();
    next_number = (int)mr_batch_count(batch);
    mr_batch_done(batch);
    one.on_batch = settle_in_order;
    await_commit(RECORDS);
    assert_int_equal(next_number, RECORDS);
    assert_int_equal(gauge("millrace_worker_received_total"), RECORDS);
    assert_int_equal(gauge("millrace_worker_paused"), 0);
    assert_balance();
    scripted_stop(&one, 30000);
}

static void settle_all(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    mr_batch_done(batch);
}

/* What librdkafka keeps of a record's headers is memory too. */
static void test_headers_count_as_memory(void **state)
{
    enum { HEADER = 100000, RECORDS = 100, LIMIT = 2 * 1024 * 1024 };
    struct mr_batch *batch;
    (void)state;
    scripted_produce_with_header(&mock, "events", HEADER, RECORDS);
    one.options.pending_bytes_max = LIMIT;
    scripted_start(&one);
    batch = await_batch(&one);
    assert_true(scripted_until(&one, is_paused, NULL));
    assert_in_range(gauge("millrace_worker_in_flight") + gauge("millrace_worker_pending_records"),
                    1, LIMIT / HEADER);
    mr_batch_done(batch);
    one.on_batch = settle_all;
    await_commit(RECORDS);
    scripted_stop(&one, 30000);
}

/* --- Kafka and the group --- */

/* Offsets come that were read before, as of a topic that was deleted and made again. */
static void begin_anew(void)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "events", 0)->offset = 0;
    assert_null(rd_kafka_incremental_unassign(one.worker->rk, list));
    assert_null(rd_kafka_incremental_assign(one.worker->rk, list));
    rd_kafka_topic_partition_list_destroy(list);
}

/* Nothing of it is taken for a repeat. */
static void test_offsets_that_begin_anew_are_new_records(void **state)
{
    struct mr_batch *old;
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    old = await_batch(&one);
    for (size_t i = 0; i < 3; i++) {
        mr_done(mr_batch_at(old, i));
    }
    await_commit(3);
    begin_anew();
    batch = await_batch(&one);
    assert_int_equal(mr_batch_count(batch), 10);
    assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 0)), 0);
    mr_batch_done(old); /* of books that are closed */
    mr_done(mr_batch_at(batch, 0));
    await_commit(1);
    mr_batch_done(batch);
    await_commit(10);
    assert_int_equal(gauge("millrace_worker_received_total"), 20);
    assert_balance();
    scripted_stop(&one, 30000);
}

/* The first record after the books were opened anew finds no memory, once. */
static size_t deliveries_until_failure;
static size_t delivery_size;
static void *failing_realloc(void *ptr, size_t size)
{
    if (size == delivery_size && deliveries_until_failure > 0 && --deliveries_until_failure == 0) {
        return NULL;
    }
    return realloc(ptr, size);
}

/* Of one of scripted_produce's first ten records. */
static size_t size_of_delivery(void)
{
    const struct kafka_header headers[] = {{"ce_specversion", MR_SLICE_INIT("1.0")},
                                           {"ce_id", MR_SLICE_INIT("0")},
                                           {"ce_source", MR_SLICE_INIT("/s")},
                                           {"ce_type", MR_SLICE_INIT("t")}};
    const struct kafka_record record = {.headers = headers, .header_count = MR_COUNT_OF(headers)};
    return sizeof(struct mr_delivery) + kafka_headers_size(&record);
}

static void test_offsets_begin_anew_without_memory(void **state)
{
    struct mr_batch *batch;
    (void)state;
    delivery_size = size_of_delivery();
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    mr_batch_done(await_batch(&one));
    await_commit(10);
    mem_set_hooks(&(struct mem_hooks){failing_realloc, free});
    deliveries_until_failure = 1;
    begin_anew();
    batch = await_batch(&one);
    assert_int_equal(deliveries_until_failure, 0);
    assert_int_equal(mr_batch_count(batch), 10);
    assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 0)), 0);
    mr_batch_done(batch);
    await_commit(10);
    scripted_stop(&one, 30000);
    mem_set_hooks(NULL);
}

static bool lacks_the_topic(void *user)
{
    return scripted_reason(user, "topic") != NULL;
}

static int64_t after_ms;
static bool has_looked_again(void *user)
{
    const struct mr_worker *worker = ((struct scripted_worker *)user)->worker;
    return worker->probe.began_ms > after_ms && !worker->probe.under_way;
}

/* Metadata goes on listing a topic that may be described, but not read. */
static void test_a_topic_that_may_not_be_read_is_said_until_it_is(void **state)
{
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 1);
    scripted_start(&one);
    mr_batch_done(await_batch(&one));
    await_commit(1);
    mock_kafka_push_error(&mock, MOCK_API_FETCH, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    assert_true(scripted_until(&one, lacks_the_topic, &one));
    after_ms = worker_now_ms(one.worker);
    assert_true(scripted_until(&one, has_looked_again, &one));
    assert_non_null(scripted_reason(&one, "topic"));
    scripted_produce(&mock, "events", 0, 1, 1);
    mr_batch_done(await_batch(&one));
    assert_true(scripted_until(&one, is_ready, &one));
    scripted_stop(&one, 30000);
}

static bool has_lost_kafka(void *user)
{
    return scripted_reason(user, "kafka") != NULL;
}

static void test_kafka_goes_and_comes_back(void **state)
{
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    next_number = 0;
    one.on_batch = settle_in_order;
    scripted_start(&one);
    assert_true(scripted_until(&one, is_ready, &one));
    await_commit(10);
    mock_kafka_set_up(&mock, false);
    assert_true(scripted_until(&one, has_lost_kafka, &one));
    mock_kafka_set_up(&mock, true);
    assert_true(scripted_until(&one, is_ready, &one));
    scripted_produce(&mock, "events", 0, 10, 10);
    await_commit(20);
    assert_int_equal(next_number, 20);
    scripted_stop(&one, 30000);
}

static void test_a_stop_while_kafka_is_down_ends(void **state)
{
    struct mr_batch *batch;
    uint64_t before;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    batch = await_batch(&one);
    mock_kafka_set_up(&mock, false);
    mr_batch_done(batch);
    before = uv_hrtime();
    scripted_stop(&one, 500);
    assert_true(uv_hrtime() - before < 20000000000U);
    mock_kafka_set_up(&mock, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_settled_prefix_is_committed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_holds_back_and_comes_again_in_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_retries_are_counted_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_event_never_reaches_the_author, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_dead_letter_is_confirmed_before_the_commit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_batches_are_cut_by_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_that_is_not_full_goes_by_age, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stuck_sink_costs_bounded_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers_count_as_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_offsets_begin_anew_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_topic_that_may_not_be_read_is_said_until_it_is,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_offsets_that_begin_anew_are_new_records, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_kafka_goes_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_while_kafka_is_down_ends, set_up, tear_down),
    };
    mr_log_init("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

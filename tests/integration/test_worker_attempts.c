// SPDX-License-Identifier: Apache-2.0
/* Attempts are told in the commit's metadata, before they begin, and outlive the worker. The texts
 * are written by hand, from the grammar in attempt_table.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "base/metrics.h"
#include "kafka/worker_internal.h"
#include "lib/scripted_worker.h"

enum { METADATA_BYTES = 4096 + 1, HOUR_MS = 60 * 60 * 1000, API_OFFSET_FETCH = 9, OFTEN = 10000 };

static struct mock_kafka mock;
static struct scripted_worker a;
static struct scripted_worker b;
static uv_loop_t loop;

static void init(struct scripted_worker *scripted)
{
    scripted_init(scripted, &mock, &loop);
    scripted->options.batch_count_max = 1;
    scripted->options.retry_max = 10;
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "events", 1);
    mock_kafka_create_topic(&mock, "events.dead", 1);
    init(&a);
    init(&b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mock_kafka_stop(&mock);
    assert_int_equal(uv_loop_close(&loop), 0); /* no handle is left */
    metrics_reset();
    return 0;
}

static void produce(const char *key, int first, int count)
{
    scripted_produce_keyed(&mock, "events", 0, key, first, count);
}

static int64_t gauge(const char *name)
{
    return scripted_metric(name, "topic=\"events\",partition=\"0\"");
}

static void assert_committed(int64_t offset, const char *metadata)
{
    char text[METADATA_BYTES];
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), offset);
    mock_kafka_metadata(&mock, "workers", "events", 0, text, sizeof(text));
    assert_string_equal(text, metadata);
}

static bool holds_a_batch(void *user)
{
    return ((struct scripted_worker *)user)->held_count > 0;
}

/* The next batch, which must be of this record and attempt. */
static struct mr_delivery *await(struct scripted_worker *scripted, int64_t offset, unsigned attempt)
{
    struct mr_batch *batch;
    assert_true(scripted_until(scripted, holds_a_batch, scripted));
    batch = scripted_take(scripted);
    assert_int_equal(mr_batch_count(batch), 1);
    assert_int_equal(mr_delivery_offset(mr_batch_at(batch, 0)), offset);
    assert_int_equal(mr_delivery_attempt(mr_batch_at(batch, 0)), attempt);
    return mr_batch_at(batch, 0);
}

static int64_t wanted_offset;
static bool has_committed(void *user)
{
    (void)user;
    return gauge("millrace_worker_committed_offset") == wanted_offset;
}

static void await_commit(struct scripted_worker *scripted, int64_t offset)
{
    wanted_offset = offset;
    assert_true(scripted_until(scripted, has_committed, NULL));
}

/* --- while it lives --- */

static void test_an_attempt_is_committed_before_it_begins(void **state)
{
    struct mr_delivery *delivery;
    (void)state;
    produce(NULL, 0, 1);
    a.options.commit_interval_ms = HOUR_MS; /* the retry itself asks for the commit */
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    delivery = await(&a, 0, 2);
    assert_committed(0, "mr1 0 0:2"); /* though nothing is settled */
    mr_retry(delivery, "no");
    delivery = await(&a, 0, 3);
    assert_committed(0, "mr1 0 0:3"); /* the same offset again */
    mr_wait(delivery, "away", 10);
    delivery = await(&a, 0, 3);
    mr_done(delivery);
    scripted_stop(&a, 30000);
    assert_committed(1, "");
}

static void test_retries_wait_while_commits_fail_and_others_go_on(void **state)
{
    (void)state;
    produce("k", 0, 1);
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    mock_kafka_push_error(&mock, MOCK_API_OFFSET_COMMIT,
                          RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, OFTEN);
    produce("other", 1, 3);
    for (int64_t offset = 1; offset < 4; offset++) {
        mr_done(await(&a, offset, 1));
    }
    scripted_for(&a, 1000);
    assert_int_equal(a.held_count, 0);
    assert_int_equal(gauge("millrace_worker_retries_pending"), 1);
    mock_kafka_clear_errors(&mock, MOCK_API_OFFSET_COMMIT);
    mr_done(await(&a, 0, 2));
    await_commit(&a, 4);
    scripted_stop(&a, 30000);
    assert_committed(4, "");
}

static void test_a_dead_letter_on_its_way_keeps_its_attempts(void **state)
{
    struct mr_delivery *delivery;
    (void)state;
    produce(NULL, 0, 1);
    a.options.retry_max = 2;
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    delivery = await(&a, 0, 2);
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                          OFTEN);
    mr_retry(delivery, "no");
    scripted_for(&a, 300);
    scripted_stop(&a, 100);
    assert_committed(0, "mr1 0 0:2");
}

static bool has_skipped(void *user)
{
    (void)user;
    return scripted_metric("millrace_worker_settled_total",
                           "topic=\"events\",partition=\"0\",outcome=\"skipped\"") == 1;
}

static void await_skipped(struct scripted_worker *scripted)
{
    assert_true(scripted_until(scripted, has_skipped, NULL));
}

/* What is settled behind a record that is not will be read again with it, but not tried again. */
static void test_a_dead_one_behind_one_that_is_not_settled_stays_dead(void **state)
{
    struct mock_records dead;
    (void)state;
    produce(NULL, 0, 2);
    a.options.retry_max = 2;
    a.options.retry_delay_ms = HOUR_MS;
    a.options.retry_delay_max_ms = HOUR_MS;
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    a.options.retry_delay_ms = 20;
    a.options.retry_delay_max_ms = 20;
    mr_retry(await(&a, 1, 1), "no");
    mr_retry(await(&a, 1, 2), "no");
    scripted_for(&a, 500);
    scripted_stop(&a, 30000);
    assert_committed(0, "mr1 0 0:2 1:0");
    b.options.batch_count_max = 2;
    scripted_start(&b);
    (void)await(&b, 0, 2);
    await_skipped(&b);
    scripted_stop(&b, 0); /* it is settled once more behind one that is not */
    assert_committed(0, "mr1 0 0:2 1:0");
    init(&a);
    scripted_start(&a);
    mr_done(await(&a, 0, 2));
    await_commit(&a, 2);
    scripted_stop(&a, 30000);
    assert_committed(2, "");
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    mock_records_free(&dead);
}

/* --- from worker to worker --- */

static void test_a_stop_gives_up_what_waits_and_keeps_its_attempts(void **state)
{
    uint64_t before;
    (void)state;
    produce("k", 0, 3);
    a.options.retry_delay_ms = HOUR_MS;
    a.options.retry_delay_max_ms = HOUR_MS;
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    produce("other", 3, 1);
    mr_done(await(&a, 3, 1));
    before = uv_hrtime();
    scripted_stop(&a, 20000);
    assert_true(uv_hrtime() - before < 10000000000U);
    assert_committed(0, "mr1 0 0:2");
    assert_int_equal(scripted_metric("millrace_worker_settled_total",
                                     "topic=\"events\",partition=\"0\",outcome=\"given_up\""),
                     3);
    b.options.retry_delay_ms = HOUR_MS;
    scripted_start(&b);
    mr_done(await(&b, 0, 2)); /* at once, and those of its key behind it */
    mr_done(await(&b, 1, 1));
    mr_done(await(&b, 2, 1));
    mr_done(await(&b, 3, 1)); /* read twice: it was done behind one that was not */
    await_commit(&b, 4);
    scripted_stop(&b, 30000);
    assert_committed(4, "");
}

/* The attempt that a stop cut short may have happened: it is made again, and counted once. */
static void test_an_attempt_cut_short_is_made_again(void **state)
{
    (void)state;
    produce("k", 0, 1);
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    (void)await(&a, 0, 2);
    scripted_stop(&a, 0);
    assert_committed(0, "mr1 0 0:2");
    b.options.retry_max = 3;
    scripted_start(&b);
    mr_retry(await(&b, 0, 2), "no");
    mr_retry(await(&b, 0, 3), "no");
    await_commit(&b, 1);
    assert_int_equal(gauge("millrace_worker_retries_total"), 2);
    scripted_stop(&b, 30000);
    assert_committed(1, "");
}

/* A retry in a batch that isn't over at the deadline is told too. */
static void test_a_stop_tells_what_failed_in_a_batch_that_is_not_over(void **state)
{
    struct mr_batch *batch;
    (void)state;
    produce("k", 0, 3);
    a.options.batch_count_max = 3;
    a.options.batch_age_ms = 60000;
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_a_batch, &a));
    batch = scripted_take(&a);
    mr_done(mr_batch_at(batch, 0));
    mr_retry(mr_batch_at(batch, 2), "no");
    scripted_stop(&a, 100);
    assert_committed(1, "mr1 1 1:2");
}

static void test_attempts_of_records_not_yet_received_are_told_on(void **state)
{
    (void)state;
    produce(NULL, 0, 4);
    mock_kafka_commit(&mock, "workers", "events", 0, 0, "mr1 0 1:4 1:3 7:5");
    a.options.pending_count_max = 1;
    scripted_start(&a);
    mr_done(await(&a, 0, 1));
    await_commit(&a, 1);
    assert_committed(1, "mr1 1 0:4 1:3 7:5");
    mr_done(await(&a, 1, 4));
    mr_retry(await(&a, 2, 3), "no");
    mr_done(await(&a, 2, 4));
    await_commit(&a, 3);
    assert_committed(3, "mr1 3 6:5");
    mr_done(await(&a, 3, 1));
    scripted_stop(&a, 30000);
    assert_committed(4, "mr1 4 5:5");
}

static void test_foreign_metadata_is_ignored(void **state)
{
    static const char *const texts[] = {"somebody's checkpoint", "mr1 1 0:2", "mr1 0 0:2 broken"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        produce(NULL, 0, 1);
        mock_kafka_commit(&mock, "workers", "events", 0, 0, texts[i]);
        scripted_start(&a);
        mr_retry(await(&a, 0, 1), "no");
        (void)await(&a, 0, 2);
        assert_committed(0, "mr1 0 0:2");
        scripted_stop(&a, 0);
        (void)tear_down(state);
        (void)set_up(state);
    }
}

static void test_nothing_begins_before_earlier_attempts_are_known(void **state)
{
    (void)state;
    produce(NULL, 0, 1);
    mock_kafka_commit(&mock, "workers", "events", 0, 0, "mr1 0 0:6");
    mock_kafka_push_error(&mock, API_OFFSET_FETCH, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                          OFTEN);
    scripted_start(&a);
    scripted_for(&a, 6000);
    assert_int_equal(a.held_count, 0);
    mock_kafka_clear_errors(&mock, API_OFFSET_FETCH);
    mr_done(await(&a, 0, 6));
    await_commit(&a, 1);
    scripted_stop(&a, 30000);
}

static bool is_assigned_to_b(void *user)
{
    (void)user;
    return b.worker->partitions != NULL;
}

/* The one partition moves while a record waits; the embedded broker may refuse the last commit
 * (see test_worker_group.c), so the attempt is confirmed before. */
static void test_a_rebalance_hands_attempts_over(void **state)
{
    (void)state;
    scripted_set(&a, "session.timeout.ms", "4000");
    produce("k", 0, 2);
    scripted_start(&a);
    mr_retry(await(&a, 0, 1), "no");
    a.options.retry_delay_ms = HOUR_MS;
    a.options.retry_delay_max_ms = HOUR_MS;
    mr_retry(await(&a, 0, 2), "no");
    while (a.worker->partitions->retries.version != a.worker->partitions->retries.confirmed) {
        scripted_for(&a, 20);
    }
    assert_committed(0, "mr1 0 0:3");
    scripted_start(&b);
    worker_loop_stop(a.worker, 5000, NULL, NULL);
    assert_true(scripted_until(&b, is_assigned_to_b, NULL));
    mr_done(await(&b, 0, 3));
    mr_done(await(&b, 1, 1));
    await_commit(&b, 2);
    scripted_stop(&b, 30000);
    while (!a.closed) {
        scripted_for(&a, 20);
    }
    uv_close((uv_handle_t *)&a.tick, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static bool is_asked(void *user)
{
    const struct partition *partition = partition_find(a.worker, "events", 0);
    (void)user;
    return partition != NULL && partition->recall == RECALL_ASKED;
}

/* What was asked for a partition that has gone is no answer for one that came since. */
static void test_an_answer_from_before_is_not_taken(void **state)
{
    struct partition *partition;
    (void)state;
    produce(NULL, 0, 1);
    scripted_start(&a);
    assert_true(scripted_until(&a, is_asked, NULL));
    partition = partition_find(a.worker, "events", 0);
    partition->recall = RECALL_NEEDED;                         /* as one is that has come back */
    (void)mock_kafka_committed(&mock, "workers", "events", 0); /* by now ours is answered too */
    mock_kafka_push_error(&mock, API_OFFSET_FETCH, RD_KAFKA_RESP_ERR_NOT_COORDINATOR, OFTEN);
    scripted_for(&a, 500);
    assert_int_not_equal(partition->recall, RECALL_DONE);
    mock_kafka_clear_errors(&mock, API_OFFSET_FETCH);
    mr_done(await(&a, 0, 1));
    await_commit(&a, 1);
    scripted_stop(&a, 30000);
}

/* usage: [TEST_LOG=1] integration_worker_attempts */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_attempt_is_committed_before_it_begins, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_retries_wait_while_commits_fail_and_others_go_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_dead_letter_on_its_way_keeps_its_attempts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_dead_one_behind_one_that_is_not_settled_stays_dead,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_gives_up_what_waits_and_keeps_its_attempts,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_attempt_cut_short_is_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_tells_what_failed_in_a_batch_that_is_not_over,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attempts_of_records_not_yet_received_are_told_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_metadata_is_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_begins_before_earlier_attempts_are_known,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rebalance_hands_attempts_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_answer_from_before_is_not_taken, set_up, tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What waits behind a record that is to be tried again, and what does not. */
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
#include "lib/retry_fixture.h"

static void test_only_its_own_key_waits_behind_it(void **state)
{
    static const int64_t expected[] = {0, 1, 3, 5, 0, 2, 4};
    (void)state;
    retry_produce_keys("aba-ab");
    retry_fails[0] = 1;
    retry_start_slowly();
    retry_await_handed(4);
    scripted_for(&retry_one, 100);
    assert_int_equal(retry_handed_count, 4);
    assert_int_equal(retry_gauge("millrace_worker_retries_pending"), 1);
    assert_int_equal(retry_gauge("millrace_worker_pending_records"), 2);
    assert_int_equal(retry_gauge("millrace_worker_in_flight"), 0);
    retry_let_go();
    retry_await_commit(6);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    assert_int_equal(retry_gauge("millrace_worker_retries_total"), 1);
    retry_assert_balance();
    scripted_stop(&retry_one, 30000);
}

static void test_those_behind_it_go_on_one_failure_at_a_time(void **state)
{
    /* 1 and 2 of a fail twice each, 5 once; b goes by. */
    static const int64_t expected[] = {0, 1, 4, 1, 1, 2, 2, 2, 3, 5, 5, 6};
    (void)state;
    retry_produce_keys("aaaabaa");
    retry_fails[1] = 2;
    retry_fails[2] = 2;
    retry_fails[5] = 1;
    retry_start_slowly();
    retry_await_handed(3);
    retry_let_go();
    retry_await_commit(7);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

static void test_the_next_goes_on_when_it_is_dead(void **state)
{
    static const int64_t expected[] = {0, 2, 0, 0, 1};
    struct mock_records dead;
    (void)state;
    retry_produce_keys("aab");
    retry_fails[0] = 99;
    retry_start_slowly();
    retry_await_handed(2);
    retry_let_go();
    retry_await_commit(3);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    mock_kafka_read(&retry_mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"), MR_SLICE("retries")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_attempts"), MR_SLICE("3")));
    mock_records_free(&dead);
    retry_assert_balance();
    scripted_stop(&retry_one, 30000);
}

/* Handed out together, and both failed: the second attempt of the later one comes after the earlier
 * one is settled. */
static void test_two_of_a_key_that_fail_together_come_one_after_the_other(void **state)
{
    static const int64_t expected[] = {0, 1, 2, 0, 0, 1, 2};
    (void)state;
    retry_produce_keys("aaa");
    retry_fails[0] = 2;
    retry_fails[1] = 1;
    retry_fails[2] = 1;
    retry_one.options.batch_count_max = 3;
    retry_one.options.batch_age_ms = 10000;
    retry_one.on_batch = retry_fail_or_settle;
    scripted_start(&retry_one);
    retry_await_commit(3);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

static void test_an_empty_key_is_a_key(void **state)
{
    static const int64_t expected[] = {0, 2, 0, 1};
    (void)state;
    retry_produce("", 0);
    retry_produce("", 1);
    retry_produce(NULL, 2);
    retry_fails[0] = 1;
    retry_start_slowly();
    retry_await_handed(2);
    retry_let_go();
    retry_await_commit(3);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

static void test_records_without_a_key_wait_for_nobody(void **state)
{
    static const int64_t expected[] = {0, 1, 2, 0, 1};
    (void)state;
    retry_produce_keys("---");
    retry_fails[0] = 1;
    retry_fails[1] = 1;
    retry_start_slowly();
    retry_await_handed(3);
    retry_let_go();
    retry_await_commit(3);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

static void wait_once(struct scripted_worker *scripted, struct mr_batch *batch)
{
    scripted->on_batch = retry_fail_or_settle;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        retry_handed[retry_handed_count++] = mr_delivery_offset(mr_batch_at(batch, i));
        if (i == 1) {
            mr_retry(mr_batch_at(batch, i), "it said no");
        } else {
            mr_wait(mr_batch_at(batch, i), "the sink is away", 10);
        }
    }
}

/* 2 waits for the sink and then behind 1, 0 and 3 for the sink only. */
static void test_what_waits_for_the_sink_is_put_behind_too(void **state)
{
    static const int64_t expected[] = {0, 1, 2, 3, 0, 3, 1, 2};
    (void)state;
    retry_produce_keys("aaab");
    retry_one.options.batch_count_max = 4;
    retry_one.options.batch_age_ms = 10000;
    retry_set_delay(HOUR_MS);
    retry_one.on_batch = wait_once;
    scripted_start(&retry_one);
    retry_await_handed(6);
    retry_let_go();
    retry_await_commit(4);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

/* --- time and bounds --- */

static int64_t handed_ms[8]; /* by the loop's clock, which stands still while it is busy */
static int64_t planned_ms[8];
static void note_time(struct scripted_worker *scripted, struct mr_batch *batch)
{
    struct mr_delivery *delivery = mr_batch_at(batch, 0);
    size_t at = retry_handed_count;
    assert_true(at < MR_COUNT_OF(handed_ms));
    handed_ms[at] = worker_now_ms(scripted->worker);
    retry_fail_or_settle(scripted, batch);
    planned_ms[at] = delivery->retry.again_ms - worker_now_ms(scripted->worker);
}

static void test_the_delay_doubles_up_to_its_limit(void **state)
{
    static const int64_t expected_ms[] = {100, 200, 300, 300};
    (void)state;
    retry_produce("a", 0);
    retry_fails[0] = 4;
    retry_one.options.retry_max = 5;
    retry_one.options.retry_delay_ms = 100;
    retry_one.options.retry_delay_max_ms = 300;
    retry_one.on_batch = note_time;
    scripted_start(&retry_one);
    retry_await_commit(1);
    assert_int_equal(retry_handed_count, 5);
    for (size_t i = 0; i < MR_COUNT_OF(expected_ms); i++) {
        assert_int_equal(planned_ms[i], expected_ms[i]);
        assert_true(handed_ms[i + 1] - handed_ms[i] >= expected_ms[i]);
    }
    scripted_stop(&retry_one, 30000);
}

static void test_with_many_waiting_no_others_are_begun(void **state)
{
    (void)state;
    retry_produce_keys("--bc");
    retry_fails[0] = 1;
    retry_fails[1] = 1;
    retry_one.options.retry_pending_max = 2;
    retry_start_slowly();
    retry_await_handed(2);
    scripted_for(&retry_one, 200);
    assert_int_equal(retry_handed_count, 2);
    retry_let_go();
    retry_await_commit(4);
    assert_int_equal(retry_handed_count, 6);
    assert_int_equal(retry_handed[2], 0); /* then 2 may be begun before the second attempt of 1 */
    scripted_stop(&retry_one, 30000);
}

/* More fail at once than a commit can tell: every second one, so that each has an entry of its own.
 * They wait until they are told, and all come through. */
static size_t batch_counts[4];
static void settle_and_count(struct scripted_worker *scripted, struct mr_batch *batch)
{
    if (scripted->batches <= MR_COUNT_OF(batch_counts)) {
        batch_counts[scripted->batches - 1] = mr_batch_count(batch);
    }
    retry_fail_or_settle(scripted, batch);
}

static void test_more_failures_than_a_commit_can_tell(void **state)
{
    enum { FAIL = ATTEMPT_TABLE_MAX + 72, RECORDS = 2 * FAIL };
    char text[4096 + 1];
    (void)state;
    scripted_produce(&retry_mock, "events", 0, 0, RECORDS);
    for (int i = 0; i < RECORDS; i += 2) {
        retry_fails[i] = 1;
    }
    retry_one.options.batch_count_max = RECORDS;
    retry_one.options.batch_age_ms = 10000;
    retry_one.options.retry_delay_ms = 300;
    retry_one.options.retry_delay_max_ms = 300;
    retry_one.on_batch = settle_and_count;
    scripted_start(&retry_one);
    retry_await_commit(RECORDS);
    assert_int_equal(batch_counts[0], RECORDS);
    assert_int_equal(batch_counts[1], ATTEMPT_TABLE_MAX); /* those that were told */
    assert_int_equal(retry_handed_count, RECORDS + FAIL);
    assert_int_equal(retry_settled_count, RECORDS);
    mock_kafka_metadata(&retry_mock, "workers", "events", 0, text, sizeof(text));
    assert_string_equal(text, "");
    retry_assert_balance();
    scripted_stop(&retry_one, 30000);
}

/* Of the others every second one fails, so that each of these has an entry of its own. */
static void first_waits_for_all_others(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        unsigned attempt = mr_delivery_attempt(delivery);
        if (mr_delivery_offset(delivery) == 0 && retry_settled_count < 2 * ATTEMPT_TABLE_MAX) {
            mr_wait(delivery, "for the others", 10);
        } else if (attempt == 1 && mr_delivery_offset(delivery) % 2 == 0) {
            mr_retry(delivery, "it said no");
        } else {
            retry_settled_count++;
            mr_done(delivery);
        }
    }
}

/* All places are taken by records that are settled behind the first, which needs one at last. */
static void test_what_is_settled_gives_way(void **state)
{
    enum { RECORDS = 2 * ATTEMPT_TABLE_MAX + 1 };
    (void)state;
    scripted_produce(&retry_mock, "events", 0, 0, RECORDS);
    retry_one.options.retry_pending_max = ATTEMPT_TABLE_MAX;
    retry_one.options.commit_interval_ms = 20;
    retry_one.on_batch = first_waits_for_all_others;
    scripted_start(&retry_one);
    retry_await_commit(RECORDS);
    assert_int_equal(retry_settled_count, RECORDS);
    scripted_stop(&retry_one, 30000);
}

/* --- in whatever order they fail --- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_its_own_key_waits_behind_it, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_those_behind_it_go_on_one_failure_at_a_time,
                                        retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_the_next_goes_on_when_it_is_dead, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(
            test_two_of_a_key_that_fail_together_come_one_after_the_other, retry_set_up,
            retry_tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_key_is_a_key, retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_records_without_a_key_wait_for_nobody, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_the_sink_is_put_behind_too,
                                        retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_the_delay_doubles_up_to_its_limit, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_with_many_waiting_no_others_are_begun, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_more_failures_than_a_commit_can_tell, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_settled_gives_way, retry_set_up,
                                        retry_tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

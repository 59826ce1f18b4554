// SPDX-License-Identifier: Apache-2.0
/* More records of a partition fail at once than a commit can tell one by one. */
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

enum { MANY = 300, MANY_FAIL = MANY / 2, MANY_FAIL_TWICE = MANY / 30 };
static size_t (*place_of)(size_t index, size_t count);
static unsigned attempts[MANY];

static size_t reversed(size_t index, size_t count)
{
    return count - 1 - index;
}

/* 7 and 300 have no common divisor. */
static size_t scattered(size_t index, size_t count)
{
    return count == MANY ? index * 7 % MANY : index;
}

static void settle_in_that_order(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, place_of(i, mr_batch_count(batch)));
        int64_t offset = mr_delivery_offset(delivery);
        retry_handed_count++;
        attempts[offset] = mr_delivery_attempt(delivery);
        if (attempts[offset] <= retry_fails[offset]) {
            mr_retry(delivery, "it said no");
        } else {
            retry_settled_count++;
            mr_done(delivery);
        }
    }
}

static void start_with_many(int64_t delay_ms)
{
    retry_one.options.batch_count_max = MANY;
    retry_one.options.batch_age_ms = 500;
    retry_one.options.retry_delay_ms = delay_ms;
    retry_one.options.retry_delay_max_ms = delay_ms;
    retry_one.options.retry_pending_max = 2 * MANY;
    retry_one.on_batch = settle_in_that_order;
    scripted_start(&retry_one);
}

/* First attempts fail, and no second one begins before the stop. */
static void fail_and_restart(void)
{
    start_with_many(HOUR_MS);
    retry_await_handed(MANY);
    scripted_stop(&retry_one, 30000);
    metrics_reset();
    scripted_init(&retry_one, &retry_mock, &retry_loop);
}

/* MANY records of these keys come in one batch. Every second one fails, so that each of them needs
 * an entry of its own in the commit, and some fail twice. */
static void fail_many(const char *const *keys, int key_count,
                      size_t (*order)(size_t index, size_t count), bool restart)
{
    size_t forgotten = restart ? MANY_FAIL - ATTEMPT_TABLE_MAX : 0;
    place_of = order;
    scripted_produce_keys(&retry_mock, "events", 0, keys, key_count, 0, MANY);
    for (int i = 0; i < MANY; i += 2) {
        retry_fails[i] = i % 30 == 0 ? 2 : 1;
    }
    if (restart) {
        fail_and_restart();
        retry_handed_count = 0;
        retry_settled_count = 0;
    }
    start_with_many(10);
    retry_await_commit(MANY);
    assert_int_equal(retry_settled_count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(attempts[i], retry_fails[i] + 1);
    }
    assert_int_equal(retry_handed_count,
                     MANY + (restart ? forgotten : MANY_FAIL) + (size_t)MANY_FAIL_TWICE);
    retry_assert_balance();
    scripted_stop(&retry_one, 30000);
}

static const char *const keys_of_many[] = {"a", "b", "c", "d", "e", "f", "g"};

static void test_many_of_a_key_fail_in_reverse(void **state)
{
    (void)state;
    fail_many(keys_of_many, 1, reversed, false);
}

static void test_many_of_a_key_fail_in_reverse_before_a_restart(void **state)
{
    (void)state;
    fail_many(keys_of_many, 1, reversed, true);
}

static void test_many_of_a_key_fail_scattered_before_a_restart(void **state)
{
    (void)state;
    fail_many(keys_of_many, 1, scattered, true);
}

static void test_many_of_some_keys_fail_scattered(void **state)
{
    (void)state;
    fail_many(keys_of_many, 7, scattered, false);
}

static void test_many_of_some_keys_fail_in_reverse_before_a_restart(void **state)
{
    (void)state;
    fail_many(keys_of_many, 7, reversed, true);
}

/* Those that the commit tells of are not here, and those that are need its places. */
static void test_what_was_told_of_later_ones_gives_way(void **state)
{
    char text[8 * ATTEMPT_TABLE_MAX] = "mr1 0 100:3";
    (void)state;
    for (size_t i = 1; i < ATTEMPT_TABLE_MAX; i++) {
        strncat(text, " 2:3", sizeof(text) - strlen(text) - 1);
    }
    scripted_produce(&retry_mock, "events", 0, 0, MANY);
    mock_kafka_commit(&retry_mock, "workers", "events", 0, 0, text);
    for (int i = 0; i < 10; i++) {
        retry_fails[i] = 1;
    }
    retry_one.options.batch_count_max = 10;
    retry_one.options.pending_count_max = 10;
    retry_one.on_batch = retry_fail_or_settle;
    scripted_start(&retry_one);
    retry_await_commit(MANY);
    assert_int_equal(retry_settled_count, MANY);
    scripted_stop(&retry_one, 30000);
}

static bool has_held(void *user)
{
    (void)user;
    return retry_one.held_count > 0;
}

/* The first two wait until all others have failed and come again with them. */
static void all_others_fail(struct scripted_worker *scripted, struct mr_batch *batch)
{
    bool is_second = false;
    size_t count = mr_batch_count(batch);
    for (size_t i = 0; i < count; i++) {
        is_second = is_second || mr_delivery_attempt(mr_batch_at(batch, i)) == 2;
    }
    if (is_second) {
        scripted->held[scripted->held_count++] = batch;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        if (mr_delivery_offset(delivery) < 2) {
            mr_wait(delivery, "for the others", 500);
        } else {
            mr_retry(delivery, "it said no");
        }
    }
}

/* But not while the partition is given up: the next member is sure to read it again. */
static void test_what_is_settled_is_told_when_the_partition_goes(void **state)
{
    enum { RECORDS = ATTEMPT_TABLE_MAX + 2 };
    static const int64_t expected[] = {0, 1};
    struct mr_batch *batch;
    (void)state;
    scripted_produce(&retry_mock, "events", 0, 0, RECORDS);
    retry_one.options.batch_count_max = RECORDS;
    retry_one.options.batch_age_ms = 10000;
    retry_one.options.retry_pending_max = ATTEMPT_TABLE_MAX;
    retry_set_delay(1);
    retry_one.on_batch = all_others_fail;
    scripted_start(&retry_one);
    assert_true(scripted_until(&retry_one, has_held, NULL));
    batch = scripted_take(&retry_one);
    assert_int_equal(mr_batch_count(batch), RECORDS);
    for (size_t i = 2; i < RECORDS; i++) {
        mr_done(mr_batch_at(batch, i));
    }
    partition_drain(retry_one.worker->partitions);
    mr_wait(mr_batch_at(batch, 0), "for the others", 10);
    mr_retry(mr_batch_at(batch, 1), "it said no");
    scripted_stop(&retry_one, 30000);

    scripted_init(&retry_one, &retry_mock, &retry_loop);
    retry_one.on_batch = retry_fail_or_settle;
    scripted_start(&retry_one);
    retry_await_commit(RECORDS);
    retry_assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&retry_one, 30000);
}

/* usage: [TEST_LOG=1] integration_worker_retry */

static void fail_once(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        retry_handed_count++;
        if (mr_delivery_attempt(delivery) == 1) {
            mr_retry(delivery, "it said no");
        } else {
            mr_done(delivery);
        }
    }
}

/* Each waits for the one before it, and so comes in a batch of its own: what a batch costs must not
 * grow with the square of how many wait. */
static void test_a_large_batch_of_one_key_fails(void **state)
{
    enum { LARGE = 5000 };
    (void)state;
    scripted_produce_keys(&retry_mock, "events", 0, keys_of_many, 1, 0, LARGE);
    retry_one.options.batch_count_max = LARGE;
    retry_one.options.batch_age_ms = 2000;
    retry_set_delay(1);
    retry_one.on_batch = fail_once;
    scripted_start(&retry_one);
    retry_await_handed(2 * (size_t)LARGE);
    retry_await_commit(LARGE);
    scripted_stop(&retry_one, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_in_reverse, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_in_reverse_before_a_restart,
                                        retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_scattered_before_a_restart,
                                        retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_some_keys_fail_scattered, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_some_keys_fail_in_reverse_before_a_restart,
                                        retry_set_up, retry_tear_down),
        cmocka_unit_test_setup_teardown(test_a_large_batch_of_one_key_fails, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_told_of_later_ones_gives_way, retry_set_up,
                                        retry_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_settled_is_told_when_the_partition_goes,
                                        retry_set_up, retry_tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

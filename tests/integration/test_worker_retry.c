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
#include "lib/scripted_worker.h"

enum { OFFSETS = 1000, TIMES_MAX = 16, HOUR_MS = 60 * 60 * 1000 };

static struct mock_kafka mock;
static struct scripted_worker one;
static uv_loop_t loop;

/* The author fails a record's first so many attempts; and what was handed out, in order. */
static unsigned fails[OFFSETS];
static int64_t handed[OFFSETS * TIMES_MAX];
static size_t handed_count;
static size_t settled_count;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "events", 1);
    mock_kafka_create_topic(&mock, "events.dead", 1);
    scripted_init(&one, &mock, &loop);
    memset(fails, 0, sizeof(fails));
    handed_count = 0;
    settled_count = 0;
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

static int64_t gauge(const char *name)
{
    return scripted_metric(name, "topic=\"events\",partition=\"0\"");
}

static int64_t books(const char *outcome)
{
    char labels[128];
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"0\",outcome=\"%s\"",
                   outcome);
    return scripted_metric("millrace_worker_settled_total", labels);
}

static void assert_balance(void)
{
    if (gauge("millrace_worker_received_total") < 0) { /* not assigned yet */
        return;
    }
    assert_int_equal(gauge("millrace_worker_received_total"),
                     books("done") + books("dead") + books("skipped") + books("given_up") +
                         gauge("millrace_worker_in_flight") +
                         gauge("millrace_worker_pending_records") +
                         gauge("millrace_worker_retries_pending"));
}

static void settle(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        int64_t offset = mr_delivery_offset(delivery);
        assert_true(handed_count < MR_COUNT_OF(handed));
        handed[handed_count++] = offset;
        if (mr_delivery_attempt(delivery) <= fails[offset]) {
            mr_retry(delivery, "it said no");
        } else {
            settled_count++;
            mr_done(delivery);
        }
    }
}

static void produce(const char *key, int first)
{
    scripted_produce_keyed(&mock, "events", 0, key, first, 1);
}

/* "abxa": a record each, of these keys; "-": none. */
static void produce_keys(const char *keys)
{
    for (int i = 0; keys[i] != '\0'; i++) {
        const char key[] = {keys[i], '\0'};
        produce(keys[i] == '-' ? NULL : key, i);
    }
}

static size_t wanted;
static bool has_handed(void *user)
{
    (void)user;
    assert_balance();
    return handed_count >= wanted;
}

static void await_handed(size_t count)
{
    wanted = count;
    assert_true(scripted_until(&one, has_handed, NULL));
}

static int64_t wanted_offset;
static bool has_committed(void *user)
{
    (void)user;
    assert_balance();
    return gauge("millrace_worker_committed_offset") == wanted_offset;
}

static void await_commit(int64_t offset)
{
    wanted_offset = offset;
    assert_true(scripted_until(&one, has_committed, NULL));
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), offset);
}

static void assert_handed(size_t count, const int64_t *expected)
{
    assert_int_equal(handed_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(handed[i], expected[i]);
    }
}

/* One record a batch; the delay is long enough for all the others. */
static void start_slowly(void)
{
    one.options.batch_count_max = 1;
    one.options.retry_delay_ms = 400;
    one.options.retry_delay_max_ms = 400;
    one.on_batch = settle;
    scripted_start(&one);
}

/* --- keys --- */

static void test_only_its_own_key_waits_behind_it(void **state)
{
    static const int64_t expected[] = {0, 1, 3, 5, 0, 2, 4};
    (void)state;
    produce_keys("aba-ab");
    fails[0] = 1;
    start_slowly();
    await_handed(4);
    scripted_for(&one, 100);
    assert_int_equal(handed_count, 4);
    assert_int_equal(gauge("millrace_worker_retries_pending"), 1);
    assert_int_equal(gauge("millrace_worker_pending_records"), 2);
    assert_int_equal(gauge("millrace_worker_in_flight"), 0);
    await_commit(6);
    assert_handed(MR_COUNT_OF(expected), expected);
    assert_int_equal(gauge("millrace_worker_retries_total"), 1);
    assert_balance();
    scripted_stop(&one, 5000);
}

static void test_those_behind_it_go_on_one_failure_at_a_time(void **state)
{
    /* 1 and 2 of a fail twice each, 5 once; b goes by. */
    static const int64_t expected[] = {0, 1, 4, 1, 1, 2, 2, 2, 3, 5, 5, 6};
    (void)state;
    produce_keys("aaaabaa");
    fails[1] = 2;
    fails[2] = 2;
    fails[5] = 1;
    start_slowly();
    one.options.retry_delay_ms = 150;
    one.options.retry_delay_max_ms = 150;
    await_commit(7);
    assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&one, 5000);
}

static void test_the_next_goes_on_when_it_is_dead(void **state)
{
    static const int64_t expected[] = {0, 2, 0, 0, 1};
    struct mock_records dead;
    (void)state;
    produce_keys("aab");
    fails[0] = 99;
    start_slowly();
    await_commit(3);
    assert_handed(MR_COUNT_OF(expected), expected);
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_reason"), MR_SLICE("retries")));
    assert_true(
        mr_slice_is(mock_record_header(&dead.at[0], "millrace_dead_attempts"), MR_SLICE("3")));
    mock_records_free(&dead);
    assert_balance();
    scripted_stop(&one, 5000);
}

/* Handed out together, and both failed: the second attempt of the later one comes after the earlier
 * one is settled. */
static void test_two_of_a_key_that_fail_together_come_one_after_the_other(void **state)
{
    static const int64_t expected[] = {0, 1, 2, 0, 0, 1, 2};
    (void)state;
    produce_keys("aaa");
    fails[0] = 2;
    fails[1] = 1;
    fails[2] = 1;
    one.options.batch_count_max = 3;
    one.options.batch_age_ms = 10000;
    one.on_batch = settle;
    scripted_start(&one);
    await_commit(3);
    assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&one, 5000);
}

static void test_an_empty_key_is_a_key(void **state)
{
    static const int64_t expected[] = {0, 2, 0, 1};
    (void)state;
    produce("", 0);
    produce("", 1);
    produce(NULL, 2);
    fails[0] = 1;
    start_slowly();
    await_commit(3);
    assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&one, 5000);
}

static void test_records_without_a_key_wait_for_nobody(void **state)
{
    static const int64_t expected[] = {0, 1, 2, 0, 1};
    (void)state;
    produce_keys("---");
    fails[0] = 1;
    fails[1] = 1;
    start_slowly();
    await_commit(3);
    assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&one, 5000);
}

static void wait_once(struct scripted_worker *scripted, struct mr_batch *batch)
{
    scripted->on_batch = settle;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        handed[handed_count++] = mr_delivery_offset(mr_batch_at(batch, i));
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
    produce_keys("aaab");
    one.options.batch_count_max = 4;
    one.options.batch_age_ms = 10000;
    one.options.retry_delay_ms = 300;
    one.options.retry_delay_max_ms = 300;
    one.on_batch = wait_once;
    scripted_start(&one);
    await_commit(4);
    assert_handed(MR_COUNT_OF(expected), expected);
    scripted_stop(&one, 5000);
}

/* --- time and bounds --- */

static uint64_t handed_ns[8];
static void note_time(struct scripted_worker *scripted, struct mr_batch *batch)
{
    assert_true(handed_count < MR_COUNT_OF(handed_ns));
    handed_ns[handed_count] = uv_hrtime();
    settle(scripted, batch);
}

static void test_the_delay_doubles_up_to_its_limit(void **state)
{
    static const uint64_t expected_ms[] = {100, 200, 300, 300};
    (void)state;
    produce("a", 0);
    fails[0] = 4;
    one.options.retry_max = 5;
    one.options.retry_delay_ms = 100;
    one.options.retry_delay_max_ms = 300;
    one.on_batch = note_time;
    scripted_start(&one);
    await_commit(1);
    assert_int_equal(handed_count, 5);
    for (size_t i = 0; i < MR_COUNT_OF(expected_ms); i++) {
        uint64_t delay_ms = (handed_ns[i + 1] - handed_ns[i]) / 1000000;
        assert_true(delay_ms + 1 >=
                    expected_ms[i]); /* the loop's clock counts whole milliseconds */
    }
    scripted_stop(&one, 5000);
}

static void test_with_many_waiting_no_others_are_begun(void **state)
{
    (void)state;
    produce_keys("--bc");
    fails[0] = 1;
    fails[1] = 1;
    one.options.retry_pending_max = 2;
    start_slowly();
    await_handed(2);
    scripted_for(&one, 200);
    assert_int_equal(handed_count, 2);
    await_commit(4);
    assert_int_equal(handed_count, 6);
    assert_int_equal(handed[2], 0); /* then 2 may be begun before the second attempt of 1 */
    scripted_stop(&one, 5000);
}

/* More fail at once than a commit can tell: every second one, so that each has an entry of its own.
 * They wait until they are told, and all come through. */
static size_t batch_counts[4];
static void settle_and_count(struct scripted_worker *scripted, struct mr_batch *batch)
{
    if (scripted->batches <= MR_COUNT_OF(batch_counts)) {
        batch_counts[scripted->batches - 1] = mr_batch_count(batch);
    }
    settle(scripted, batch);
}

static void test_more_failures_than_a_commit_can_tell(void **state)
{
    enum { FAIL = ATTEMPT_TABLE_MAX + 72, RECORDS = 2 * FAIL };
    char text[4096 + 1];
    (void)state;
    scripted_produce(&mock, "events", 0, 0, RECORDS);
    for (int i = 0; i < RECORDS; i += 2) {
        fails[i] = 1;
    }
    one.options.batch_count_max = RECORDS;
    one.options.batch_age_ms = 10000;
    one.options.retry_delay_ms = 300;
    one.options.retry_delay_max_ms = 300;
    one.on_batch = settle_and_count;
    scripted_start(&one);
    await_commit(RECORDS);
    assert_int_equal(batch_counts[0], RECORDS);
    assert_int_equal(batch_counts[1], ATTEMPT_TABLE_MAX); /* those that were told */
    assert_int_equal(handed_count, RECORDS + FAIL);
    assert_int_equal(settled_count, RECORDS);
    mock_kafka_metadata(&mock, "workers", "events", 0, text, sizeof(text));
    assert_string_equal(text, "");
    assert_balance();
    scripted_stop(&one, 5000);
}

/* Of the others every second one fails, so that each of these has an entry of its own. */
static void first_waits_for_all_others(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        unsigned attempt = mr_delivery_attempt(delivery);
        if (mr_delivery_offset(delivery) == 0 && settled_count < 2 * ATTEMPT_TABLE_MAX) {
            mr_wait(delivery, "for the others", 10);
        } else if (attempt == 1 && mr_delivery_offset(delivery) % 2 == 0) {
            mr_retry(delivery, "it said no");
        } else {
            settled_count++;
            mr_done(delivery);
        }
    }
}

/* All places are taken by records that are settled behind the first, which needs one at last. */
static void test_what_is_settled_gives_way(void **state)
{
    enum { RECORDS = 2 * ATTEMPT_TABLE_MAX + 1 };
    (void)state;
    scripted_produce(&mock, "events", 0, 0, RECORDS);
    one.options.retry_pending_max = ATTEMPT_TABLE_MAX;
    one.options.commit_interval_ms = 20;
    one.on_batch = first_waits_for_all_others;
    scripted_start(&one);
    await_commit(RECORDS);
    assert_int_equal(settled_count, RECORDS);
    scripted_stop(&one, 5000);
}

/* --- in whatever order they fail --- */

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
        handed_count++;
        attempts[offset] = mr_delivery_attempt(delivery);
        if (attempts[offset] <= fails[offset]) {
            mr_retry(delivery, "it said no");
        } else {
            settled_count++;
            mr_done(delivery);
        }
    }
}

static void start_with_many(int64_t delay_ms)
{
    one.options.batch_count_max = MANY;
    one.options.batch_age_ms = 500;
    one.options.retry_delay_ms = delay_ms;
    one.options.retry_delay_max_ms = delay_ms;
    one.options.retry_pending_max = 2 * MANY;
    one.on_batch = settle_in_that_order;
    scripted_start(&one);
}

/* First attempts fail, and no second one begins before the stop. */
static void fail_and_restart(void)
{
    start_with_many(HOUR_MS);
    await_handed(MANY);
    scripted_stop(&one, 5000);
    metrics_reset();
    scripted_init(&one, &mock, &loop);
}

/* MANY records of these keys come in one batch. Every second one fails, so that each of them needs
 * an entry of its own in the commit, and some fail twice. */
static void fail_many(const char *const *keys, int key_count,
                      size_t (*order)(size_t index, size_t count), bool restart)
{
    size_t forgotten = restart ? MANY_FAIL - ATTEMPT_TABLE_MAX : 0;
    place_of = order;
    scripted_produce_keys(&mock, "events", 0, keys, key_count, 0, MANY);
    for (int i = 0; i < MANY; i += 2) {
        fails[i] = i % 30 == 0 ? 2 : 1;
    }
    if (restart) {
        fail_and_restart();
        handed_count = 0;
        settled_count = 0;
    }
    start_with_many(10);
    await_commit(MANY);
    assert_int_equal(settled_count, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(attempts[i], fails[i] + 1);
    }
    assert_int_equal(handed_count,
                     MANY + (restart ? forgotten : MANY_FAIL) + (size_t)MANY_FAIL_TWICE);
    assert_balance();
    scripted_stop(&one, 5000);
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
    scripted_produce(&mock, "events", 0, 0, MANY);
    mock_kafka_commit(&mock, "workers", "events", 0, 0, text);
    for (int i = 0; i < 10; i++) {
        fails[i] = 1;
    }
    one.options.batch_count_max = 10;
    one.options.pending_count_max = 10;
    one.on_batch = settle;
    scripted_start(&one);
    await_commit(MANY);
    assert_int_equal(settled_count, MANY);
    scripted_stop(&one, 5000);
}

/* usage: [TEST_LOG=1] integration_worker_retry */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_its_own_key_waits_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_those_behind_it_go_on_one_failure_at_a_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_next_goes_on_when_it_is_dead, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_two_of_a_key_that_fail_together_come_one_after_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_empty_key_is_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_records_without_a_key_wait_for_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_the_sink_is_put_behind_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_delay_doubles_up_to_its_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_with_many_waiting_no_others_are_begun, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_more_failures_than_a_commit_can_tell, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_settled_gives_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_in_reverse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_in_reverse_before_a_restart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_a_key_fail_scattered_before_a_restart, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_some_keys_fail_scattered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_of_some_keys_fail_in_reverse_before_a_restart,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_told_of_later_ones_gives_way, set_up,
                                        tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Very many dead letters at once, and very long ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "kafka/worker_internal.h"
#include "lib/scripted_worker.h"

enum { LETTERS = 60000, CPU_S_MAX = 8 };

static struct mock_kafka mock;
static struct scripted_worker one;
static uv_loop_t loop;

static int set_up(void **state)
{
    (void)state;
    scripted_set_up(&one, &mock, &loop, 1, 4); /* the mock drops what is over 5 MiB */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scripted_tear_down(&mock, &loop);
    return 0;
}

static void all_are_dead(struct scripted_worker *scripted, struct mr_batch *batch)
{
    size_t count = mr_batch_count(batch);
    (void)scripted;
    for (size_t i = 0; i < count; i++) {
        mr_dead(mr_batch_at(batch, i), "mapping", "no number in it");
    }
}

static bool all_are_committed(void *user)
{
    (void)user;
    return scripted_metric("millrace_worker_committed_offset",
                           "topic=\"events\",partition=\"0\"") == LETTERS;
}

static void start(void)
{
    one.options.batch_count_max = LETTERS;
    one.options.batch_age_ms = 60000;
    one.options.pending_count_max = LETTERS;
    one.options.pending_bytes_max = 1024 * 1024 * 1024;
    one.on_batch = all_are_dead;
    scripted_start(&one);
}

static int64_t letters(const char *outcome)
{
    return scripted_metric("millrace_producer_events_total", outcome);
}

static int64_t gauge(const char *name)
{
    return scripted_metric(name, "topic=\"events\",partition=\"0\"");
}

/* More than the producer takes at once: the others wait for it without being refused. And so many
 * that the loop would stand still for long if each looked at all of them. */
static void test_they_hold_nothing_up(void **state)
{
    clock_t began;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, LETTERS);
    start();
    began = clock();
    assert_true(scripted_until(&one, all_are_committed, NULL));
    assert_true((clock() - began) / CLOCKS_PER_SEC < CPU_S_MAX);
    assert_int_equal(one.batches, 1);
    assert_int_equal(letters("outcome=\"stored\""), LETTERS);
    assert_int_equal(letters("outcome=\"busy\""), 0);
    scripted_stop(&one, 5000);
}

static bool some_are_stored(void *user)
{
    (void)user;
    return letters("outcome=\"stored\"") > 0;
}

static void test_a_stop_in_the_midst_of_them_ends(void **state)
{
    int64_t committed;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, LETTERS);
    start();
    assert_true(scripted_until(&one, some_are_stored, NULL));
    committed = gauge("millrace_worker_committed_offset");
    scripted_stop(&one, 0);
    assert_true(mock_kafka_committed(&mock, "workers", "events", 0) >= committed);
    assert_true(mock_kafka_committed(&mock, "workers", "events", 0) <=
                letters("outcome=\"stored\""));
}

/* Kafka takes none of them at first: each comes again, later and later. */
static void test_all_that_are_refused_come_again(void **state)
{
    (void)state;
    scripted_produce(&mock, "events", 0, 0, LETTERS);
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 4);
    start();
    assert_true(scripted_until(&one, all_are_committed, NULL));
    assert_int_equal(letters("outcome=\"stored\""), LETTERS);
    assert_null(scripted_reason(&one, "dead-letters"));
    assert_int_equal(gauge("millrace_worker_in_flight"), 0);
    scripted_stop(&one, 5000);
}

/* --- one that says too much --- */

enum { LONG_TEXT = 1024 * 1024, LARGE = LONG_TEXT / 2 };
static char long_text[LONG_TEXT + 1];

static void *refuse_large(void *ptr, size_t bytes)
{
    return bytes < LARGE ? realloc(ptr, bytes) : NULL;
}

static void says_too_much(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    mem_set_hooks(&(struct mem_hooks){refuse_large, free});
    mr_dead_server(mr_batch_at(batch, 0), "mapping", long_text, long_text);
    mem_set_hooks(NULL);
}

/* What a letter has no room for is not held until Kafka has the letter. */
static void test_a_long_reason_is_cut_at_once(void **state)
{
    struct mock_records dead;
    (void)state;
    memset(long_text, 'z', LONG_TEXT);
    scripted_produce(&mock, "events", 0, 0, 1);
    one.on_batch = says_too_much;
    scripted_start(&one);
    assert_true(scripted_until(&one, some_are_stored, NULL));
    mock_kafka_read(&mock, "events.dead", &dead);
    assert_int_equal(dead.count, 1);
    assert_int_equal(mock_record_header(&dead.at[0], "millrace_dead_text").len,
                     DEAD_TEXT_BYTES_MAX);
    assert_int_equal(mock_record_header(&dead.at[0], "millrace_dead_server").len,
                     DEAD_TEXT_BYTES_MAX);
    mock_records_free(&dead);
    scripted_stop(&one, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_they_hold_nothing_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_in_the_midst_of_them_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_that_are_refused_come_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_reason_is_cut_at_once, set_up, tear_down),
    };
    mr_log_init("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

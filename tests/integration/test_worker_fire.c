// SPDX-License-Identifier: Apache-2.0
/* All kinds of settlements in random order, partitions that are lost and come back, and memory that
 * fails: the books balance at every moment, and no record overtakes another of its key. */
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
#include "lib/heap.h"
#include "lib/scripted_worker.h"

enum {
    PARTITIONS = 2,
    KEYS = 5, /* the first is none */
    RECORDS = 400,
    ALLOCATIONS_MAX = 5000,
    API_HEARTBEAT = 12,
    LOSSES = 3,
    RETRY_MAX = 3,
};

static struct mock_kafka mock;
static struct scripted_worker one;
static uv_loop_t loop;

static bool is_over[PARTITIONS][RECORDS];
static unsigned tries[PARTITIONS][RECORDS];
static size_t over_count;
static struct mr_delivery *held[PARTITIONS * 2 * RECORDS]; /* not settled yet */
static size_t held_count;
static unsigned losses;

static int set_up(void **state)
{
    (void)state;
    scripted_set_up(&one, &mock, &loop, PARTITIONS, 1);
    memset(is_over, 0, sizeof(is_over));
    memset(tries, 0, sizeof(tries));
    over_count = 0;
    held_count = 0;
    losses = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scripted_tear_down(&mock, &loop);
    return 0;
}

static const char *const keys[KEYS] = {NULL, "a", "b", "c", "d"};
static const char *key_of(int64_t offset)
{
    return keys[offset % KEYS];
}

/* --- the books --- */

static int64_t gauge(const char *text, const char *name, int32_t partition)
{
    char labels[64];
    int64_t value;
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"%d\"", (int)partition);
    value = scripted_metric_in(text, name, labels);
    return value < 0 ? 0 : value; /* hidden while it is not ours */
}

static int64_t books(const char *text, const char *outcome, int32_t partition)
{
    char labels[96];
    int64_t value;
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"%d\",outcome=\"%s\"",
                   (int)partition, outcome);
    value = scripted_metric_in(text, "millrace_worker_settled_total", labels);
    return value < 0 ? 0 : value;
}

static void assert_balance(void)
{
    char *text = scripted_metrics_text();
    for (int32_t p = 0; p < PARTITIONS; p++) {
        int64_t received = gauge(text, "millrace_worker_received_total", p);
        assert_int_equal(received, books(text, "done", p) + books(text, "dead", p) +
                                       books(text, "skipped", p) + books(text, "given_up", p) +
                                       gauge(text, "millrace_worker_in_flight", p) +
                                       gauge(text, "millrace_worker_pending_records", p) +
                                       gauge(text, "millrace_worker_retries_pending", p));
    }
    free(text);
}

/* --- the author --- */

/* All before it of its key are over, or come with it, before it. */
static void assert_order(struct mr_batch *batch, size_t index)
{
    int32_t partition = mr_batch_partition(batch);
    int64_t offset = mr_delivery_offset(mr_batch_at(batch, index));
    for (int64_t before = offset - KEYS; key_of(offset) != NULL && before >= 0; before -= KEYS) {
        bool found = is_over[partition][before];
        for (size_t i = 0; i < index && !found; i++) {
            found = mr_delivery_offset(mr_batch_at(batch, i)) == before;
        }
        if (!found) {
            fail_msg("%d has overtaken %d in partition %d", (int)offset, (int)before,
                     (int)partition);
        }
    }
}

static void note_over(const struct mr_delivery *delivery)
{
    bool *over = &is_over[delivery->partition->number][mr_delivery_offset(delivery)];
    over_count += !*over;
    *over = true;
}

static void hold(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        assert_order(batch, i);
        tries[mr_batch_partition(batch)][mr_delivery_offset(delivery)]++;
        assert_true(held_count < MR_COUNT_OF(held));
        held[held_count++] = delivery;
    }
}

static void settle_somehow(struct mr_delivery *delivery)
{
    int dice = rand() % 100; /* NOLINT: repeatable is what it is to be */
    if (dice < 60) {
        note_over(delivery);
        mr_done(delivery);
    } else if (dice < 65) {
        note_over(delivery);
        mr_skip(delivery, "by chance");
    } else if (dice < 70) {
        note_over(delivery);
        mr_dead(delivery, "chance", "no luck");
    } else if (dice < 75) {
        tries[delivery->partition->number][mr_delivery_offset(delivery)]--; /* not counted */
        mr_wait(delivery, "the sink is away", 10);
    } else {
        if (mr_delivery_attempt(delivery) >= RETRY_MAX) {
            note_over(delivery);
        }
        mr_retry(delivery, "no luck");
    }
}

static void settle_some(void)
{
    for (size_t count = held_count == 0 ? 0 : 1 + (size_t)rand() % held_count; count > 0; count--) {
        size_t at = (size_t)rand() % held_count;
        struct mr_delivery *delivery = held[at];
        held[at] = held[--held_count];
        settle_somehow(delivery);
        assert_balance();
    }
}

static bool has_settled_all(void *user)
{
    size_t wanted = (losses + 1) * PARTITIONS * RECORDS / (LOSSES + 1);
    (void)user;
    assert_balance();
    settle_some();
    if (losses < LOSSES && over_count > wanted) {
        losses++;
        mock_kafka_push_error(&mock, API_HEARTBEAT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
    }
    return over_count == PARTITIONS * RECORDS && losses == LOSSES;
}

static bool is_all_committed(void *user)
{
    char *text;
    bool holds = true;
    (void)user;
    assert_balance();
    settle_some();
    text = scripted_metrics_text();
    for (int32_t p = 0; p < PARTITIONS; p++) {
        holds = holds && gauge(text, "millrace_worker_committed_offset", p) == RECORDS;
    }
    free(text);
    return holds;
}

static void test_the_books_balance_under_fire(void **state)
{
    (void)state;
    srand(getenv("TEST_SEED") != NULL ? (unsigned)strtoul(getenv("TEST_SEED"), NULL, 10) : 5);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        scripted_produce_keys(&mock, "events", p, keys, KEYS, 0, RECORDS);
    }
    scripted_set(&one, "session.timeout.ms", "4000");
    one.options.batch_count_max = 20;
    one.options.batch_age_ms = 5;
    one.options.retry_max = RETRY_MAX;
    one.options.retry_delay_ms = 5;
    one.options.retry_delay_max_ms = 20;
    one.options.retry_pending_max = 10;
    one.on_batch = hold;
    scripted_start(&one);
    assert_true(scripted_until(&one, has_settled_all, NULL) ||
                scripted_until(&one, has_settled_all, NULL)); /* joining again takes seconds */
    assert_true(scripted_until(&one, is_all_committed, NULL));
    for (int32_t p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < RECORDS; i++) {
            assert_in_range(tries[p][i], 1, RETRY_MAX + LOSSES);
        }
        assert_int_equal(mock_kafka_committed(&mock, "workers", "events", p), RECORDS);
    }
    scripted_stop(&one, 30000);
    assert_balance();
}

/* --- memory fails --- */

enum { A_ROUND = 4 };

static int64_t over_offset; /* all before it are over for the author */

/* Of a round: the first is tried again, the second waits behind it, the third is dead. */
static void settle_round(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        int64_t offset = mr_delivery_offset(delivery);
        if (offset % A_ROUND == 0 && mr_delivery_attempt(delivery) == 1) {
            mr_retry(delivery, "no");
            continue;
        }
        is_over[0][offset] = true;
        if (offset % A_ROUND == 2) {
            mr_dead(delivery, "mapping", "no");
        } else {
            mr_done(delivery);
        }
    }
}

static int64_t wanted_offset;
static bool has_committed(void *user)
{
    const struct partition *partition = partition_find(one.worker, "events", 0);
    (void)user;
    while (over_offset < RECORDS && is_over[0][over_offset]) {
        over_offset++;
    }
    if (partition == NULL) {
        return false;
    }
    assert_true(partition->ledger.committed <= over_offset); /* no false commit */
    return partition->ledger.committed == wanted_offset;
}

static void run_round(int64_t first)
{
    static const char *const round_keys[A_ROUND] = {"a", "a", NULL, "b"};
    scripted_produce_keys(&mock, "events", 0, round_keys, A_ROUND, (int)first, A_ROUND);
    wanted_offset = first + A_ROUND;
    assert_true(scripted_until(&one, has_committed, NULL));
}

static void test_any_allocation_may_fail_in_a_round_of_retries(void **state)
{
    int64_t first = 0;
    long alive;
    (void)state;
    heap_fail_at(0);
    alive = heap_alive();
    over_offset = 0;
    one.options.batch_count_max = 1;
    one.options.batch_age_ms = 0;
    one.options.retry_delay_ms = 5;
    one.options.commit_interval_ms = 10;
    one.on_batch = settle_round;
    scripted_start(&one);
    for (unsigned n = 0;; n++) {
        assert_true(first + A_ROUND <= RECORDS);
        heap_fail_at(n); /* none in the first round, whose joining isn't meant */
        run_round(first);
        first += A_ROUND;
        if (n > 0 && !heap_failed()) {
            print_message("%u allocations\n", n - 1);
            break;
        }
    }
    heap_fail_at(0);
    scripted_stop(&one, 30000);
    metrics_reset();
    assert_int_equal(heap_alive(), alive);
    heap_restore();
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), first);
}

static void test_any_allocation_may_fail_at_the_start(void **state)
{
    static const struct mr_worker_ops no_ops = {.batch = NULL};
    struct worker_loop_spec spec = {.conf = &one.conf,
                                    .options = &one.options,
                                    .ops = &no_ops,
                                    .program = "p",
                                    .readiness = &one.readiness};
    struct mr_worker *worker = NULL;
    struct mr_error err;
    long alive;
    int rc;
    (void)state;
    heap_fail_at(0);
    alive = heap_alive();
    for (unsigned n = 1;; n++) {
        assert_true(n < ALLOCATIONS_MAX);
        heap_fail_at(n);
        rc = worker_loop_start(&loop, &spec, &worker, &err);
        if (rc == 0) {
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_null(worker);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(heap_alive(), alive);
    }
    assert_false(heap_failed());
    worker_loop_stop(worker, 0, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    metrics_reset();
    assert_int_equal(heap_alive(), alive);
    heap_restore();
}

/* usage: [TEST_LOG=1] [TEST_SEED=n] integration_worker_fire */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_books_balance_under_fire, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_allocation_may_fail_in_a_round_of_retries, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_any_allocation_may_fail_at_the_start, set_up,
                                        tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "base/metrics.h"
#include "kafka/worker_internal.h"
#include "lib/scripted_worker.h"

enum { PARTITIONS = 4, RECORDS = 100 /* of each, in one go */ };

static struct mock_kafka mock;
static struct scripted_worker a;
static struct scripted_worker b;
static uv_loop_t loop;
static unsigned done[PARTITIONS][2 * RECORDS]; /* how often, by offset */
static size_t done_count;                      /* different records that are done at least once */

static void init(struct scripted_worker *scripted)
{
    scripted_init(scripted, &mock, &loop);
    scripted->options.batch_count_max = RECORDS;
    scripted->options.batch_age_ms = 60000;
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "events", PARTITIONS);
    mock_kafka_create_topic(&mock, "events.dead", 1);
    init(&a);
    init(&b);
    memset(done, 0, sizeof(done));
    done_count = 0;
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

static void produce_everywhere(int first)
{
    for (int32_t p = 0; p < PARTITIONS; p++) {
        scripted_produce(&mock, "events", p, first, RECORDS);
    }
}

static void settle(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        unsigned *times = &done[mr_batch_partition(batch)][mr_delivery_offset(delivery)];
        done_count += *times == 0;
        (*times)++;
        mr_done(delivery);
    }
}

static void settle_held(struct scripted_worker *scripted)
{
    while (scripted->held_count > 0) {
        settle(scripted, scripted_take(scripted));
    }
}

static bool holds_all(void *user)
{
    return ((struct scripted_worker *)user)->held_count == PARTITIONS;
}

static bool is_rebalancing(void *user)
{
    return ((struct scripted_worker *)user)->worker->rebalance.count > 0;
}

static size_t count_partitions(const struct scripted_worker *scripted)
{
    size_t count = 0;
    for (const struct partition *p = scripted->worker->partitions; p != NULL; p = p->next) {
        count++;
    }
    return count;
}

static bool is_shared(void *user)
{
    (void)user;
    return count_partitions(&a) == PARTITIONS / 2 && count_partitions(&b) == PARTITIONS / 2;
}

static size_t wanted_count;
static bool has_done(void *user)
{
    (void)user;
    return done_count >= wanted_count;
}

static int64_t committed(int32_t partition)
{
    return mock_kafka_committed(&mock, "workers", "events", partition);
}

/* A holds a batch of every partition when B joins: what moves waits until A has settled it. */
static void hand_over(const char *strategy)
{
    scripted_set(&a, "partition.assignment.strategy", strategy);
    scripted_set(&b, "partition.assignment.strategy", strategy);
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    b.on_batch = settle;
    scripted_start(&b);
    assert_true(scripted_until(&a, is_rebalancing, &a));
    scripted_for(&a, 300);
    assert_int_equal(b.records, 0);
    a.on_batch = settle;
    settle_held(&a);
    assert_true(scripted_until(&a, is_shared, NULL));
    produce_everywhere(RECORDS);
    wanted_count = (size_t)PARTITIONS * 2 * RECORDS;
    assert_true(scripted_until(&a, has_done, NULL));
    scripted_for(&a, 300); /* some commit intervals */
    scripted_stop(&b, 30000);
    scripted_stop(&a, 30000);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), 2 * RECORDS);
    }
}

/* A leader's SyncGroup that overtakes a member's makes the embedded broker, unlike Kafka, turn that
 * member away, begin another rebalance and refuse commits while it lasts. */
static bool were_commits_refused(void)
{
    return scripted_metric("millrace_worker_commit_failures_total", "group=\"workers\"") > 0;
}

/* With a commit that is refused, twice is right: such a run shows nothing, and is made again. */
static void test_partitions_move_without_a_record_twice(void **state)
{
    enum { RUNS_MAX = 8 };
    hand_over("cooperative-sticky");
    for (int run = 1; were_commits_refused(); run++) {
        assert_true(run < RUNS_MAX);
        (void)tear_down(state);
        (void)set_up(state);
        hand_over("cooperative-sticky");
    }
    for (int32_t p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < 2 * RECORDS; i++) {
            assert_int_equal(done[p][i], 1);
        }
    }
}

/* The embedded broker, unlike Kafka, refuses commits until the members have let go: what A held
 * may come once more, but nothing is left out. */
static void test_partitions_move_with_an_eager_assignor_too(void **state)
{
    (void)state;
    hand_over("range");
}

/* A's batches are held beyond half of max.poll.interval.ms: B gets the records from where A has
 * committed, and what A says later changes nothing. */
static void test_a_batch_that_is_not_settled_in_time_is_given_up(void **state)
{
    size_t moved;
    (void)state;
    scripted_set(&a, "max.poll.interval.ms", "6000");
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    for (size_t i = 0; i < PARTITIONS; i++) {
        for (size_t j = 0; j < 10; j++) {
            mr_done(mr_batch_at(a.held[i], j));
        }
    }
    b.on_batch = settle;
    b.options.batch_age_ms = 20;
    scripted_start(&b);
    wanted_count = (size_t)PARTITIONS / 2 * (RECORDS - 10);
    assert_true(scripted_until(&a, has_done, NULL));
    assert_true(is_shared(NULL));
    moved = done_count;
    for (size_t i = 0; i < PARTITIONS; i++) { /* two of them are orphans, two are A's own */
        mr_batch_done(a.held[i]);
    }
    scripted_for(&a, 200);
    assert_int_equal(moved, done_count);
    scripted_stop(&b, 30000);
    scripted_stop(&a, 30000);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), RECORDS);
        assert_int_equal(done[p][5], 0); /* committed by A before */
    }
}

static bool has_joined(void *user)
{
    (void)user;
    return count_partitions(&a) == PARTITIONS;
}

static bool is_refused(void *user)
{
    return scripted_reason(user, "dead-letters") != NULL;
}

static bool is_not_refused(void *user)
{
    return scripted_reason(user, "dead-letters") == NULL;
}

/* A letter that is refused goes with its partition: it is not ours any more. */
static void test_a_refused_letter_is_forgotten_with_its_partition(void **state)
{
    enum { API_HEARTBEAT = 12, OFTEN = 10000 };
    (void)state;
    scripted_set(&a, "session.timeout.ms", "4000");
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                          OFTEN);
    mr_dead(mr_batch_at(a.held[0], 0), "mapping", "no");
    assert_true(scripted_until(&a, is_refused, &a));
    mock_kafka_push_error(&mock, API_HEARTBEAT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
    assert_true(scripted_until(&a, is_not_refused, &a));
    scripted_stop(&a, 100);
}

static bool has_batches_again(void *user)
{
    return ((struct scripted_worker *)user)->held_count == 2 * PARTITIONS;
}

/* Kafka has forgotten the member: nothing is waited for, nothing committed, all comes again. */
static void test_lost_partitions_are_dropped_at_once(void **state)
{
    enum { API_HEARTBEAT = 12 };
    (void)state;
    scripted_set(&a, "session.timeout.ms", "4000");
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    mock_kafka_push_error(&mock, API_HEARTBEAT, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
    assert_true(scripted_until(&a, has_batches_again, &a));
    for (size_t i = 0; i < PARTITIONS; i++) { /* the lost ones */
        mr_batch_done(a.held[i]);
    }
    scripted_for(&a, 300);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), -1);
    }
    for (size_t i = PARTITIONS; i < (size_t)2 * PARTITIONS; i++) {
        mr_batch_done(a.held[i]);
    }
    scripted_stop(&a, 30000);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), RECORDS);
    }
}

static void test_a_stop_waits_for_what_is_in_hand(void **state)
{
    enum { STOP_MS = 400 };
    struct mr_batch *batch;
    uint64_t before;
    (void)state;
    scripted_produce(&mock, "events", 0, 0, RECORDS);
    scripted_start(&a);
    while (a.held_count == 0) {
        scripted_for(&a, 20);
    }
    batch = scripted_take(&a);
    for (size_t i = 0; i < 7; i++) {
        mr_done(mr_batch_at(batch, i));
    }
    mr_done(mr_batch_at(batch, 50));
    mr_wait(mr_batch_at(batch, 51), "no", 1000);
    mr_dead(mr_batch_at(batch, 52), "mapping", "no");
    uv_update_time(&loop);
    before = uv_now(&loop); /* what the deadline is counted from */
    scripted_stop(&a, STOP_MS);
    assert_true(uv_now(&loop) - before >= STOP_MS);
    assert_int_equal(committed(0), 7);
}

static void test_a_stop_ends_when_the_last_is_settled(void **state)
{
    uint64_t before;
    (void)state;
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    worker_loop_stop(a.worker, 15000, NULL, NULL);
    scripted_for(&a, 200);
    assert_false(a.closed);
    settle_held(&a);
    before = uv_hrtime();
    a.worker->stop.stopped = NULL;
    while (!a.closed) {
        scripted_for(&a, 20);
    }
    assert_true(uv_hrtime() - before < 10000000000U);
    uv_close((uv_handle_t *)&a.tick, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), RECORDS);
    }
}

/* The next regular commit is far away: it is the last one that is tried again. */
static void test_a_last_commit_that_fails_is_tried_again_soon(void **state)
{
    (void)state;
    a.options.commit_interval_ms = 60000;
    a.on_batch = settle;
    produce_everywhere(0);
    scripted_start(&a);
    wanted_count = (size_t)PARTITIONS * RECORDS;
    assert_true(scripted_until(&a, has_done, NULL));
    mock_kafka_push_error(&mock, MOCK_API_OFFSET_COMMIT,
                          RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 2);
    scripted_stop(&a, 30000);
    for (int32_t p = 0; p < PARTITIONS; p++) {
        assert_int_equal(committed(p), RECORDS);
    }
}

static bool is_closed(void *user)
{
    return ((struct scripted_worker *)user)->closed;
}

/* The frame ends the process 5 s after the deadline or the second signal, whatever is left. */
static void stop_while_kafka_is_frozen(uint64_t end_ms_max)
{
    uint64_t before;
    mock_kafka_set_rtt(&mock, 600000);
    worker_loop_stop(a.worker, 20000, NULL, NULL);
    scripted_for(&a, 300);
    assert_false(a.closed);
    before = uv_hrtime();
    worker_loop_stop(a.worker, 0, NULL, NULL);
    assert_true(scripted_until(&a, is_closed, &a));
    uv_close((uv_handle_t *)&a.tick, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_true(uv_hrtime() - before < end_ms_max * 1000000);
}

static void test_a_second_stop_ends_though_kafka_is_frozen(void **state)
{
    (void)state;
    a.options.commit_interval_ms = 60000;
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    mr_done(mr_batch_at(a.held[0], 0));
    stop_while_kafka_is_frozen(4000);
}

static void test_a_second_stop_is_quick_with_nothing_in_hand(void **state)
{
    (void)state;
    scripted_start(&a);
    assert_true(scripted_until(&a, has_joined, &a));
    stop_while_kafka_is_frozen(1500);
}

static bool is_ready(void *user)
{
    return readiness_is_ready(&((struct scripted_worker *)user)->readiness);
}

static bool lacks_the_topic(void *user)
{
    const char *reason = scripted_reason(user, "topic");
    return reason != NULL && strstr(reason, "'late' is missing") != NULL;
}

static void test_a_missing_topic_is_waited_for(void **state)
{
    static char late[] = "late";
    (void)state;
    a.options.topic = late;
    scripted_start(&a);
    assert_true(scripted_until(&a, lacks_the_topic, &a));
    mock_kafka_create_topic(&mock, "late", 1);
    mock_kafka_create_topic(&mock, "late.dead", 1);
    assert_true(scripted_until(&a, is_ready, &a));
    scripted_stop(&a, 30000);
}

static bool lacks_the_group(void *user)
{
    return scripted_reason(user, "group") != NULL;
}

/* With an eager assignor nobody reads until all members have joined again. */
static void test_an_eager_member_that_has_let_go_is_not_ready(void **state)
{
    (void)state;
    scripted_set(&a, "partition.assignment.strategy", "range");
    scripted_set(&b, "partition.assignment.strategy", "range");
    scripted_start(&a);
    assert_true(scripted_until(&a, is_ready, &a));
    scripted_start(&b);
    assert_true(scripted_until(&a, lacks_the_group, &a));
    assert_true(scripted_until(&a, is_shared, NULL));
    assert_true(scripted_until(&a, is_ready, &a));
    scripted_stop(&b, 30000);
    scripted_stop(&a, 30000);
}

static void test_settling_twice_stops_the_program(void **state)
{
    int status;
    pid_t child;
    (void)state;
    produce_everywhere(0);
    scripted_start(&a);
    assert_true(scripted_until(&a, holds_all, &a));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        mr_done(mr_batch_at(a.held[0], 3));
        mr_skip(mr_batch_at(a.held[0], 3), "twice");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    settle_held(&a);
    scripted_stop(&a, 30000);
}

static void test_a_bad_configuration_is_refused_with_its_name(void **state)
{
    static char regex[] = "^events.*";
    static char empty[] = "events,,more";
    static char circle[] = "events, events.dead";
    static char circle_dead[] = "events";
    struct worker_loop_spec spec = {.conf = &a.conf, .options = &a.options, .program = "p"};
    static const struct mr_worker_ops no_ops = {.batch = NULL};
    struct mr_worker *worker = NULL;
    struct mr_error err;
    (void)state;
    spec.ops = &no_ops;
    a.options.topic = regex;
    assert_int_equal(worker_loop_start(&loop, &spec, &worker, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "dead.topic"));
    a.options.topic = empty;
    assert_int_equal(worker_loop_start(&loop, &spec, &worker, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "topic: an empty name"));
    a.options.topic = circle;
    assert_int_equal(worker_loop_start(&loop, &spec, &worker, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "events.dead is read and is for dead letters"));
    a.options.dead_topic = circle_dead;
    assert_int_equal(worker_loop_start(&loop, &spec, &worker, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "events is read and is for dead letters"));
    a.options.dead_topic = NULL;
    scripted_init(&a, &mock, &loop);
    scripted_set(&a, "fetch.min.bytes", "many");
    assert_int_equal(worker_loop_start(&loop, &spec, &worker, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "fetch.min.bytes"));
    assert_null(worker);
}

/* usage: [TEST_LOG=1] integration_worker_group [TEST] */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_partitions_move_without_a_record_twice, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_partitions_move_with_an_eager_assignor_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_batch_that_is_not_settled_in_time_is_given_up,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_partitions_are_dropped_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_waits_for_what_is_in_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_ends_when_the_last_is_settled, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_refused_letter_is_forgotten_with_its_partition,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_last_commit_that_fails_is_tried_again_soon, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_stop_ends_though_kafka_is_frozen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_stop_is_quick_with_nothing_in_hand, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_topic_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_eager_member_that_has_let_go_is_not_ready, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_settling_twice_stops_the_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_bad_configuration_is_refused_with_its_name, set_up,
                                        tear_down),
    };
    mr_log_init("test", getenv("TEST_LOG") != NULL ? MR_LOG_DEBUG : MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

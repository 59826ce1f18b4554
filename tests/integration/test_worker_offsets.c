// SPDX-License-Identifier: Apache-2.0
/* What a worker says of its lag, and where it goes on when Kafka lacks what comes next. The mock
 * cluster deletes no records: that it lacks an offset is an answer it is told to give, or the group
 * has committed what was never there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <millrace/log.h>

#include "kafka/worker_internal.h"
#include "kit/clock.h"
#include "lib/scripted_worker.h"

enum {
    HOUR_S = 3600,
    CENTURIES_H = 300 * 365 * 24,
    TIME_BYTES = 32,
    LIST_OFFSETS = 2, /* the request's number */
    ENOUGH = 10000,   /* errors, until they are cleared */
};

static struct mock_kafka mock;
static struct scripted_worker one;
static uv_loop_t loop;

static int set_up(void **state)
{
    (void)state;
    scripted_set_up(&one, &mock, &loop, 2, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scripted_tear_down(&mock, &loop);
    return 0;
}

/* --- what is waited for --- */

struct wanted {
    const char *name;
    int partition;
    int64_t value;
};

static int64_t metric(const char *name, int partition)
{
    char labels[64];
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"%d\"", partition);
    return scripted_metric(name, labels);
}

static bool is_so(void *user)
{
    const struct wanted *wanted = user;
    return metric(wanted->name, wanted->partition) == wanted->value;
}

static void await(const char *name, int partition, int64_t value)
{
    struct wanted wanted = {name, partition, value};
    if (!scripted_until(&one, is_so, &wanted)) {
        fail_msg("%s of %d is %lld, not %lld", name, partition, (long long)metric(name, partition),
                 (long long)value);
    }
}

static const char lag[] = "millrace_worker_lag_records";
static const char missed[] = "millrace_worker_records_missed_total";
static const char committed[] = "millrace_worker_committed_offset";
static const char received[] = "millrace_worker_received_total";

static void settle_at_once(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    mr_batch_done(batch);
}

/* --- the lag --- */

static void test_the_lag_is_what_is_not_settled(void **state)
{
    (void)state;
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    await(lag, 0, 10);
    await(lag, 1, 0); /* an empty one */
    scripted_produce(&mock, "events", 0, 10, 5);
    await(lag, 0, 15);
    mr_done(mr_batch_at(one.held[0], 1)); /* behind one that is not settled */
    mr_done(mr_batch_at(one.held[0], 0));
    await(lag, 0, 13);
    one.on_batch = settle_at_once;
    mr_batch_done(scripted_take(&one));
    await(lag, 0, 0);
    scripted_stop(&one, 30000);
    assert_int_equal(metric(lag, 0), -1); /* the series has gone with the partition */
    assert_int_equal(metric(lag, 1), -1);
    assert_int_equal(metric("millrace_worker_oldest_unsettled_seconds", 0), -1);
}

/* While the sink is stuck nothing is fetched, and so fetches don't tell the end. */
static void test_the_lag_grows_while_nothing_is_read(void **state)
{
    (void)state;
    one.options.pending_count_max = 5;
    scripted_set(&one, "queued.min.messages", "1");
    scripted_set(&one, "queued.max.messages.kbytes", "1");
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    await("millrace_worker_paused", 0, 1);
    scripted_produce(&mock, "events", 0, 10, 500);
    await(lag, 0, 510);
    scripted_produce(&mock, "events", 0, 510, 500);
    await(lag, 0, 1010);
    scripted_stop(&one, 0);
}

static void produce_with_time(int64_t seconds_ago)
{
    char text[TIME_BYTES];
    struct tm parts;
    time_t at = (time_t)(clock_wall_ms() / 1000 - seconds_ago);
    struct kafka_header headers[] = {
        {"ce_specversion", MR_SLICE("1.0")},
        {"ce_id", MR_SLICE("1")},
        {"ce_source", MR_SLICE("/s")},
        {"ce_type", MR_SLICE("t")},
        {"ce_time", {0}},
    };
    struct kafka_record record = {
        .value = MR_SLICE("1"), .headers = headers, .header_count = MR_COUNT_OF(headers)};
    (void)gmtime_r(&at, &parts);
    headers[4].value = mr_slice(text, strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts));
    (void)mock_kafka_produce(&mock, "events", 0, &record);
}

static int64_t fresh(const char *below)
{
    char labels[64];
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",le=\"%s\"", below);
    return scripted_metric("millrace_worker_freshness_seconds_bucket", labels);
}

static void test_freshness_is_the_age_of_what_was_stored(void **state)
{
    (void)state;
    one.on_batch = settle_at_once;
    produce_with_time(2 * HOUR_S);
    produce_with_time(20);
    produce_with_time(-HOUR_S); /* a clock that is ahead: as fresh as can be */
    produce_with_time((int64_t)CENTURIES_H * HOUR_S); /* more ns than an int64_t holds */
    scripted_produce(&mock, "events", 0, 0, 4);       /* without a time: not counted */
    scripted_start(&one);
    await(committed, 0, 8);
    assert_int_equal(fresh("0.1"), 1);
    assert_int_equal(fresh("10"), 1);
    assert_int_equal(fresh("60"), 2);
    assert_int_equal(fresh("3600"), 2);
    assert_int_equal(fresh("21600"), 3);
    assert_int_equal(fresh("604800"), 3);
    assert_int_equal(fresh("+Inf"), 4);
    assert_true(scripted_metric("millrace_worker_batch_seconds_count", "topic=\"events\"") > 0);
    scripted_stop(&one, 30000);
}

/* --- where it begins --- */

/* What comes while a worker is away is not lost, though it has read nothing before. */
static void test_a_beginning_at_the_end_is_committed(void **state)
{
    struct scripted_worker second;
    (void)state;
    one.options.start = WORKER_FROM_LATEST;
    scripted_produce(&mock, "events", 0, 0, 3);
    scripted_start(&one);
    await(committed, 0, 3);
    await(lag, 0, 0);
    assert_int_equal(mock_kafka_committed(&mock, "workers", "events", 0), 3);
    scripted_stop(&one, 30000);
    assert_int_equal(one.records, 0);
    scripted_produce(&mock, "events", 0, 3, 4);
    scripted_init(&second, &mock, &loop);
    second.options.start = WORKER_FROM_LATEST;
    second.on_batch = settle_at_once;
    one = second;
    scripted_start(&one);
    await(committed, 0, 7);
    assert_int_equal(one.records, 4);
    scripted_stop(&one, 30000);
}

/* What was written to it before the group saw it is read, and counts as no beginning of a group. */
static void test_an_added_partition_is_read_from_its_beginning(void **state)
{
    (void)state;
    one.options.start = WORKER_FROM_LATEST;
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 3);
    scripted_produce(&mock, "events", 1, 3, 4);
    mock_kafka_commit(&mock, "workers", "events", 0, 3, "");
    scripted_start(&one);
    await(committed, 1, 4);
    assert_int_equal(one.records, 4);
    scripted_stop(&one, 30000);
}

/* None of them is taken for one that was added. */
static void test_a_new_group_begins_all_partitions_at_their_ends(void **state)
{
    (void)state;
    one.options.start = WORKER_FROM_LATEST;
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 3);
    scripted_produce(&mock, "events", 1, 3, 4);
    scripted_start(&one);
    await(committed, 0, 3);
    await(committed, 1, 4);
    assert_int_equal(one.records, 0);
    scripted_stop(&one, 30000);
}

/* --- offsets that Kafka doesn't have --- */

/* The group has committed what the log never had, as if it had been made anew since. */
static void start_behind_the_end(int64_t proof_ms)
{
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 10);
    mock_kafka_commit(&mock, "workers", "events", 0, 500, "");
    scripted_start(&one);
    one.worker->offsets.proof_ms = proof_ms;
}

static void test_with_the_earliest_all_that_is_left_is_read(void **state)
{
    (void)state;
    start_behind_the_end(1);
    await(received, 0, 10);
    assert_int_equal(metric(missed, 0), 0);
    await(committed, 0, 10);
    await(lag, 0, 0);
    scripted_stop(&one, 30000);
}

static void test_with_the_latest_what_is_left_is_missed(void **state)
{
    (void)state;
    one.options.offset_lost = WORKER_FROM_LATEST;
    start_behind_the_end(1);
    await(missed, 0, 10);
    scripted_produce(&mock, "events", 0, 10, 5);
    await(committed, 0, 15);
    assert_int_equal(metric(received, 0), 5);
    await(lag, 0, 0);
    scripted_stop(&one, 30000);
}

/* As of a broker that was frozen while it led, and doesn't know yet that it leads no more. */
static void test_an_offset_that_kafka_has_after_all_is_read_on_from(void **state)
{
    (void)state;
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 10);
    scripted_start(&one);
    await(committed, 0, 10);
    mock_kafka_push_error(&mock, MOCK_API_FETCH, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, 3);
    scripted_produce(&mock, "events", 0, 10, 5);
    await(committed, 0, 15);
    assert_int_equal(metric(received, 0), 15);
    assert_int_equal(metric(missed, 0), 0);
    scripted_stop(&one, 30000);
}

static int64_t looks; /* by the worker's own note of when it looks next */
static int64_t next_look_ms;

static bool has_looked_twice(void *user)
{
    const struct partition *partition = partition_find(one.worker, "events", 0);
    (void)user;
    if (partition != NULL && partition->lost.is && partition->lost.end >= 0 &&
        partition->lost.due_ms != next_look_ms) {
        next_look_ms = partition->lost.due_ms;
        looks++;
    }
    return looks >= 2;
}

static void start_before_it_is_there(void)
{
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 10);
    mock_kafka_commit(&mock, "workers", "events", 0, 15, "");
    scripted_start(&one);
    looks = 0;
    next_look_ms = 0;
    assert_true(scripted_until(&one, has_looked_twice, NULL));
    assert_int_equal(metric(received, 0), 0);
}

/* All that was missing is there at once, as when another broker leads: nothing is read again. */
static void test_a_log_that_ends_too_early_is_not_believed_at_once(void **state)
{
    (void)state;
    start_before_it_is_there();
    mock_kafka_push_error(&mock, LIST_OFFSETS, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, ENOUGH);
    scripted_produce(&mock, "events", 0, 10, 10);
    mock_kafka_clear_errors(&mock, LIST_OFFSETS);
    await(committed, 0, 20);
    assert_int_equal(metric(received, 0), 5);
    assert_int_equal(metric(missed, 0), 0);
    scripted_stop(&one, 30000);
}

/* It is no old view of the log that was read: that one would not grow. */
static void test_a_log_that_ends_too_early_and_grows_is_another_one(void **state)
{
    (void)state;
    start_before_it_is_there();
    scripted_produce(&mock, "events", 0, 10, 2);
    await(received, 0, 12);
    await(committed, 0, 12);
    scripted_stop(&one, 30000);
}

enum { E = WORKER_FROM_EARLIEST, L = WORKER_FROM_LATEST };

/* `lost` lies before what is left, or behind a log that was cut or made anew, or is there. */
static void test_what_is_missed_is_counted(void **state)
{
    static const struct {
        int from;
        int64_t lost;
        struct offsets_log log;
        int64_t next, missed;
    } cases[] = {
        /* deleted by retention */
        {E, 10, {60, 100, -1}, 60, 50},
        {L, 10, {60, 100, -1}, 100, 90},
        {E, 10, {100, 100, -1}, 100, 90},
        {L, 10, {100, 100, -1}, 100, 90},
        {E, 10, {60, 100, 70}, 60, 50},
        /* shorter */
        {E, 500, {60, 100, -1}, 60, 0},
        {L, 500, {60, 100, -1}, 100, 40},
        {E, 500, {0, 0, -1}, 0, 0},
        {L, 500, {0, 0, -1}, 0, 0},
        /* there, and the log that was read */
        {E, 80, {60, 100, -1}, 80, 0},
        {L, 80, {60, 100, -1}, 80, 0},
        {E, 80, {60, 100, 80}, 80, 0},
        {L, 80, {60, 100, 95}, 80, 0},
        {E, 100, {60, 100, -1}, 100, 0},
        {E, 60, {60, 100, 60}, 60, 0},
        /* there, but another log: younger than all that was read before that offset */
        {E, 80, {0, 100, 0}, 0, 0},
        {L, 80, {0, 100, 0}, 80, 80},
        {E, 80, {0, 100, 70}, 70, 0},
        {L, 80, {0, 100, 70}, 80, 10},
        {E, 80, {75, 100, 70}, 75, 0},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        int64_t next = -1;
        int64_t count = -1;
        assert_true(offsets_go_on((enum worker_from)cases[i].from, cases[i].lost, &cases[i].log,
                                  true, &next, &count));
        assert_int_equal(next, cases[i].next);
        assert_int_equal(count, cases[i].missed);
        /* Only an end that lies before it needs a proof. */
        assert_int_equal(offsets_go_on((enum worker_from)cases[i].from, cases[i].lost,
                                       &cases[i].log, false, &next, &count),
                         cases[i].lost <= cases[i].log.end);
    }
}

static bool is_put_off(void *user)
{
    const struct partition *partition = partition_find(one.worker, "events", 0);
    (void)user;
    return partition != NULL && partition->lost.is && !one.worker->offsets.under_way &&
           partition->lost.due_ms > worker_now_ms(one.worker);
}

static void test_kafka_is_asked_again_after_a_pause(void **state)
{
    (void)state;
    mock_kafka_push_error(&mock, LIST_OFFSETS, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                          ENOUGH);
    start_behind_the_end(1);
    assert_true(scripted_until(&one, is_put_off, NULL));
    assert_int_equal(metric(received, 0), 0);
    mock_kafka_clear_errors(&mock, LIST_OFFSETS);
    await(received, 0, 10);
    scripted_stop(&one, 30000);
}

/* With an eager assignor all partitions are assigned again: the others go on where they are, also
 * with what was in hand. */
static void test_others_go_on_with_an_eager_assignor_too(void **state)
{
    struct mr_batch *batch;
    (void)state;
    scripted_set(&one, "partition.assignment.strategy", "range");
    one.options.pending_count_max = 5; /* the other is full, and so not fetched meanwhile */
    scripted_set(&one, "queued.min.messages", "1");
    scripted_produce(&mock, "events", 1, 0, 10);
    scripted_start(&one);
    await(lag, 1, 10);
    await("millrace_worker_paused", 1, 1);
    batch = scripted_take(&one);
    mr_done(mr_batch_at(batch, 0));
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 10);
    await(committed, 0, 10);
    /* The mock may give one to a fetch whose answer is not waited for any more. */
    mock_kafka_push_error(&mock, MOCK_API_FETCH, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, 5);
    scripted_produce(&mock, "events", 0, 10, 5);
    await(committed, 0, 15);
    assert_int_equal(metric(received, 0), 15);
    scripted_produce(&mock, "events", 1, 10, 5);
    mr_batch_done(batch);
    await(committed, 1, 15);
    assert_int_equal(metric(received, 1), 15); /* none of them twice */
    scripted_stop(&one, 30000);
}

/* The consumer asks for what is committed once, and what comes is an error of no kind to be tried
 * again. */
static void is_not_told(rd_kafka_resp_err_t error)
{
    enum { OFFSET_FETCH = 9 };
    one.on_batch = settle_at_once;
    scripted_produce(&mock, "events", 0, 0, 10);
    mock_kafka_commit(&mock, "workers", "events", 0, 4, "");
    mock_kafka_push_error(&mock, OFFSET_FETCH, error, 4);
    scripted_start(&one);
    await(committed, 0, 10);
    await(lag, 1, 0);
    assert_int_equal(metric(received, 0), 6);
    assert_null(scripted_reason(&one, "group"));
    scripted_stop(&one, 30000);
}

static void test_a_position_that_kafka_did_not_tell_is_asked_for_again(void **state)
{
    (void)state;
    is_not_told(RD_KAFKA_RESP_ERR_UNKNOWN);
}

static void test_a_position_that_was_not_allowed_is_asked_for_again(void **state)
{
    (void)state;
    scripted_set(&one, "partition.assignment.strategy", "range");
    is_not_told(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_lag_is_what_is_not_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_lag_grows_while_nothing_is_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_freshness_is_the_age_of_what_was_stored, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_added_partition_is_read_from_its_beginning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_group_begins_all_partitions_at_their_ends,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_beginning_at_the_end_is_committed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_with_the_earliest_all_that_is_left_is_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_with_the_latest_what_is_left_is_missed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_offset_that_kafka_has_after_all_is_read_on_from,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_log_that_ends_too_early_is_not_believed_at_once,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_log_that_ends_too_early_and_grows_is_another_one,
                                        set_up, tear_down),
        cmocka_unit_test(test_what_is_missed_is_counted),
        cmocka_unit_test_setup_teardown(test_kafka_is_asked_again_after_a_pause, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_position_that_kafka_did_not_tell_is_asked_for_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_position_that_was_not_allowed_is_asked_for_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_go_on_with_an_eager_assignor_too, set_up,
                                        tear_down),
    };
    mr_log_init("test", MR_LOG_ERROR, MR_LOG_LOGFMT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kafka/ledger.h"
#include "lib/heap.h"

static void test_only_the_contiguous_prefix_is_committed(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_to_commit(&ledger), -1);
    for (int64_t offset = 100; offset < 104; offset++) {
        assert_int_equal(ledger_receive(&ledger, offset), 1);
    }
    ledger_settle(&ledger, 102);
    ledger_settle(&ledger, 101);
    assert_int_equal(ledger_to_commit(&ledger), -1);
    assert_int_equal(ledger_in_flight(&ledger), 2);
    ledger_settle(&ledger, 100);
    assert_int_equal(ledger_to_commit(&ledger), 103);
    assert_int_equal(ledger_in_flight(&ledger), 1);
    ledger_done(&ledger);
}

static void test_a_commit_without_progress_says_the_same_again(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_position(&ledger), -1);
    assert_int_equal(ledger_receive(&ledger, 100), 1);
    assert_int_equal(ledger_receive(&ledger, 105), 1);
    assert_int_equal(ledger_position(&ledger), 100);
    ledger_settle(&ledger, 105);
    assert_int_equal(ledger_position(&ledger), 100);
    ledger_settle(&ledger, 100);
    ledger_committed(&ledger, 106);
    assert_int_equal(ledger_to_commit(&ledger), -1);
    assert_int_equal(ledger_position(&ledger), 106);
    ledger_done(&ledger);
}

static void test_gaps_are_stepped_over(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_receive(&ledger, 5), 1);
    assert_int_equal(ledger_receive(&ledger, 90), 1);
    ledger_settle(&ledger, 5);
    assert_int_equal(ledger_to_commit(&ledger), 6);
    ledger_settle(&ledger, 90);
    assert_int_equal(ledger_to_commit(&ledger), 91);
    ledger_done(&ledger);
}

static void test_a_gap_at_the_end_is_passed_over(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_receive(&ledger, 5), 1);
    ledger_pass(&ledger, 9); /* 6 to 8 are no records */
    assert_int_equal(ledger_to_commit(&ledger), -1);
    ledger_settle(&ledger, 5);
    assert_int_equal(ledger_to_commit(&ledger), 9);
    ledger_pass(&ledger, 12); /* with nothing in flight */
    assert_int_equal(ledger_to_commit(&ledger), 12);
    ledger_pass(&ledger, 12);
    assert_int_equal(ledger_receive(&ledger, 11), 0);
    assert_int_equal(ledger_receive(&ledger, 12), 1);
    ledger_pass(&ledger, 12); /* below what was received: nothing new */
    assert_int_equal(ledger_to_commit(&ledger), 12);
    ledger_settle(&ledger, 12);
    assert_int_equal(ledger_to_commit(&ledger), 13);
    ledger_done(&ledger);
}

static void test_an_end_reached_without_a_record_is_known(void **state)
{
    struct ledger ledger;
    int64_t time_ms;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_oldest(&ledger, &time_ms), -1);
    ledger_pass(&ledger, 0);
    assert_int_equal(ledger_oldest(&ledger, &time_ms), 0);
    assert_int_equal(ledger_to_commit(&ledger), 0);
    assert_int_equal(ledger_receive(&ledger, 0), 1);
    ledger_done(&ledger);
}

static void test_the_oldest_and_its_time_are_told(void **state)
{
    struct ledger ledger;
    int64_t time_ms;
    (void)state;
    ledger_init(&ledger);
    for (int64_t offset = 1; offset <= 100; offset++) { /* more than the first ring holds */
        assert_int_equal(ledger_receive(&ledger, offset * 10), 1);
        ledger_date(&ledger, offset * 1000);
    }
    assert_int_equal(ledger_oldest(&ledger, &time_ms), 10);
    assert_int_equal(time_ms, 1000);
    ledger_settle(&ledger, 20);
    ledger_settle(&ledger, 10);
    assert_int_equal(ledger_oldest(&ledger, &time_ms), 30);
    assert_int_equal(time_ms, 3000);
    for (int64_t offset = 3; offset <= 100; offset++) {
        ledger_settle(&ledger, offset * 10);
    }
    assert_int_equal(ledger_oldest(&ledger, &time_ms), 1001);
    assert_int_equal(time_ms, -1);
    ledger_done(&ledger);
}

static void test_repeats_are_dropped_also_when_passed(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    assert_int_equal(ledger_receive(&ledger, 7), 1);
    assert_int_equal(ledger_receive(&ledger, 7), 0);
    assert_int_equal(ledger_receive(&ledger, 3), 0);
    ledger_settle(&ledger, 7);
    assert_int_equal(ledger_receive(&ledger, 7), 0);
    assert_int_equal(ledger_in_flight(&ledger), 0);
    ledger_done(&ledger);
}

static void test_commits_never_go_backwards(void **state)
{
    struct ledger ledger;
    (void)state;
    ledger_init(&ledger);
    for (int64_t offset = 0; offset < 10; offset++) {
        assert_int_equal(ledger_receive(&ledger, offset), 1);
        ledger_settle(&ledger, offset);
    }
    ledger_committed(&ledger, 8);
    ledger_committed(&ledger, 4); /* an answer that comes late */
    assert_int_equal(ledger.committed, 8);
    assert_int_equal(ledger_to_commit(&ledger), 10);
    ledger_committed(&ledger, 10);
    assert_int_equal(ledger_to_commit(&ledger), -1);
    ledger_done(&ledger);
}

/* The naive model: an array of every offset, looked through from the start each time. */
enum { MODEL_MAX = 3000 };
struct model {
    int64_t offsets[MODEL_MAX];
    bool settled[MODEL_MAX];
    size_t count;
};

static int64_t model_prefix(const struct model *model)
{
    int64_t prefix = -1;
    for (size_t i = 0; i < model->count && model->settled[i]; i++) {
        prefix = model->offsets[i] + 1;
    }
    return prefix;
}

static size_t model_in_flight(const struct model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->count; i++) {
        count += !model->settled[i];
    }
    return count;
}

static void model_step(struct model *model, struct ledger *ledger, int64_t *next)
{
    long dice = random() % 100;
    if (dice < 50 && model->count < MODEL_MAX) {
        int64_t offset = *next + (random() % 10 == 0 ? random() % 1000 : 0);
        assert_int_equal(ledger_receive(ledger, offset), 1);
        model->offsets[model->count++] = offset;
        *next = offset + 1;
    } else if (dice < 55 && model->count > 0) {
        size_t at = (size_t)random() % model->count;
        assert_int_equal(ledger_receive(ledger, model->offsets[at]), 0);
    } else if (model_in_flight(model) > 0) {
        size_t at = (size_t)random() % model->count;
        /* Mostly near the oldest, so that the prefix moves and the ring turns round. */
        for (; model->settled[at]; at = (at + 1) % model->count) {
        }
        if (random() % 4 != 0) {
            for (at = 0; model->settled[at]; at++) {
            }
        }
        ledger_settle(ledger, model->offsets[at]);
        model->settled[at] = true;
    }
}

static void test_agrees_with_a_naive_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        static struct model model;
        struct ledger ledger;
        int64_t next = 0;
        srandom(seed);
        model = (struct model){.count = 0};
        ledger_init(&ledger);
        for (int step = 0; step < 3000; step++) {
            model_step(&model, &ledger, &next);
            assert_int_equal(ledger.prefix, model_prefix(&model));
            assert_int_equal(ledger_in_flight(&ledger), model_in_flight(&model));
            if (random() % 50 == 0 && ledger_to_commit(&ledger) >= 0) {
                int64_t commit = ledger_to_commit(&ledger);
                assert_true(commit > ledger.committed);
                ledger_committed(&ledger, commit);
            }
        }
        ledger_done(&ledger);
    }
}

static void test_out_of_memory_changes_nothing(void **state)
{
    struct ledger ledger;
    (void)state;
    heap_fail_at(0);
    ledger_init(&ledger);
    for (unsigned n = 1; n <= 3; n++) { /* the first block, and it grown twice */
        int64_t offset = ledger.received + 1;
        while (ledger.count < ledger.capacity) {
            assert_int_equal(ledger_receive(&ledger, offset++), 1);
        }
        heap_fail_at(1);
        assert_int_equal(ledger_receive(&ledger, offset), -1);
        assert_true(heap_failed());
        assert_int_equal(ledger.received, offset - 1);
        assert_int_equal(ledger.count, (size_t)offset);
        heap_fail_at(0);
        assert_int_equal(ledger_receive(&ledger, offset), 1);
    }
    for (int64_t offset = 0; offset <= ledger.received; offset++) {
        ledger_settle(&ledger, offset);
        assert_int_equal(ledger.prefix, offset + 1);
    }
    ledger_done(&ledger);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void settle_twice(void)
{
    struct ledger ledger;
    ledger_init(&ledger);
    (void)ledger_receive(&ledger, 1);
    (void)ledger_receive(&ledger, 2);
    ledger_settle(&ledger, 2);
    ledger_settle(&ledger, 2);
}

static void test_settling_twice_stops_the_program(void **state)
{
    int status;
    pid_t child = fork();
    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        settle_twice();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_contiguous_prefix_is_committed),
        cmocka_unit_test(test_a_commit_without_progress_says_the_same_again),
        cmocka_unit_test(test_gaps_are_stepped_over),
        cmocka_unit_test(test_a_gap_at_the_end_is_passed_over),
        cmocka_unit_test(test_an_end_reached_without_a_record_is_known),
        cmocka_unit_test(test_the_oldest_and_its_time_are_told),
        cmocka_unit_test(test_repeats_are_dropped_also_when_passed),
        cmocka_unit_test(test_commits_never_go_backwards),
        cmocka_unit_test(test_agrees_with_a_naive_model),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
        cmocka_unit_test(test_settling_twice_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

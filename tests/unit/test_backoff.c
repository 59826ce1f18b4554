// SPDX-License-Identifier: Apache-2.0
/* Pauses between attempts to connect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/mqtt/backoff.h"

enum { MAX_MS = 1000 };

static void test_pauses_double_up_to_the_bound(void **state)
{
    static const int64_t expected[] = {100, 200, 400, 800, 1000, 1000, 1000};
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, MAX_MS);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(backoff_next(&backoff, 0), expected[i]);
    }
    backoff_reset(&backoff);
    assert_int_equal(backoff_next(&backoff, 0), 100);
}

static void test_a_pause_lies_between_half_and_all_of_it(void **state)
{
    int64_t least = MAX_MS;
    int64_t most = 0;
    (void)state;
    for (uint64_t random = 0; random < 1000; random++) {
        struct backoff backoff;
        int64_t ms;
        backoff_init(&backoff, MAX_MS);
        ms = backoff_next(&backoff, random * UINT64_C(0x9e3779b97f4a7c15));
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
    }
    assert_int_equal(least, 50);
    assert_int_equal(most, 100);
}

static void test_after_a_refusal_pauses_are_longer_from_the_first_on(void **state)
{
    static const int64_t expected[] = {2000, 4000, 8000, 10000, 10000};
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 10000);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(backoff_refused(&backoff, 0), expected[i]);
    }
    backoff_reset(&backoff);
    assert_in_range(backoff_refused(&backoff, UINT64_MAX), 1000, 2000);
    backoff_init(&backoff, MAX_MS);
    assert_int_equal(backoff_refused(&backoff, 0), MAX_MS);
}

static void test_a_bound_below_the_first_pause_is_that_pause(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 1);
    assert_int_equal(backoff_next(&backoff, 0), BACKOFF_FIRST_MS);
    assert_int_equal(backoff_next(&backoff, 0), BACKOFF_FIRST_MS);
}

static void test_the_longest_bound_does_not_overflow(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, INT64_MAX);
    for (int i = 0; i < 100; i++) {
        assert_true(backoff_next(&backoff, UINT64_MAX) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_double_up_to_the_bound),
        cmocka_unit_test(test_a_pause_lies_between_half_and_all_of_it),
        cmocka_unit_test(test_after_a_refusal_pauses_are_longer_from_the_first_on),
        cmocka_unit_test(test_a_bound_below_the_first_pause_is_that_pause),
        cmocka_unit_test(test_the_longest_bound_does_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

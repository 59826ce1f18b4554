// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/store_health.h"

enum { ERROR = 29, BEGIN_MS = 1000000 };

static void test_failures_over_some_seconds_are_failing(void **state)
{
    struct store_health health = {0};
    (void)state;
    assert_false(store_health_is_failing(&health, BEGIN_MS));
    for (uint64_t ms = 0; ms < STORE_FAILING_MS; ms += 100) {
        store_health_failed(&health, BEGIN_MS + ms, ERROR);
        assert_false(store_health_is_failing(&health, BEGIN_MS + ms));
    }
    store_health_failed(&health, BEGIN_MS + STORE_FAILING_MS, ERROR + 1);
    assert_true(store_health_is_failing(&health, BEGIN_MS + STORE_FAILING_MS));
    assert_int_equal(health.error, ERROR + 1);
    store_health_stored(&health);
    assert_false(store_health_is_failing(&health, BEGIN_MS + STORE_FAILING_MS));
}

static void test_a_burst_or_a_few_say_nothing(void **state)
{
    struct store_health health = {0};
    (void)state;
    for (int i = 0; i < 10000; i++) { /* one batch */
        store_health_failed(&health, BEGIN_MS, ERROR);
    }
    assert_false(store_health_is_failing(&health, BEGIN_MS + STORE_FAILING_MS));
    store_health_stored(&health);
    for (int i = 0; i < STORE_FAILURES_MIN - 1; i++) {
        store_health_failed(&health, BEGIN_MS + (uint64_t)i * STORE_FAILING_MS, ERROR);
        assert_false(store_health_is_failing(&health, BEGIN_MS + (uint64_t)i * STORE_FAILING_MS));
    }
}

static void test_one_stored_between_them_begins_anew(void **state)
{
    struct store_health health = {0};
    (void)state;
    for (uint64_t ms = 0; ms < 10 * STORE_FAILING_MS; ms += 100) {
        store_health_failed(&health, BEGIN_MS + ms, ERROR);
        assert_false(store_health_is_failing(&health, BEGIN_MS + ms));
        if (ms % 2000 == 0) {
            store_health_stored(&health);
        }
    }
}

static void test_old_failures_are_forgotten(void **state)
{
    struct store_health health = {0};
    uint64_t last_ms = BEGIN_MS + 2 * STORE_FAILING_MS;
    (void)state;
    store_health_failed(&health, BEGIN_MS, ERROR);
    store_health_failed(&health, BEGIN_MS + 1, ERROR);
    store_health_failed(&health, last_ms, ERROR);
    assert_true(store_health_is_failing(&health, last_ms + STORE_FORGOTTEN_MS - 1));
    assert_false(store_health_is_failing(&health, last_ms + STORE_FORGOTTEN_MS));
    store_health_failed(&health, last_ms + STORE_FORGOTTEN_MS, ERROR); /* the first of new ones */
    assert_false(store_health_is_failing(&health, last_ms + STORE_FORGOTTEN_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_over_some_seconds_are_failing),
        cmocka_unit_test(test_a_burst_or_a_few_say_nothing),
        cmocka_unit_test(test_one_stored_between_them_begins_anew),
        cmocka_unit_test(test_old_failures_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* How many wrong passwords have come from where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "bridge/http/attempts.h"
#include "lib/heap.h"

enum { MAX = 3, TIME_MS = 1000 };

static struct attempts_source source_of(const char *text)
{
    struct http_client_address address = {.is_v6 = strchr(text, ':') != NULL};
    assert_int_equal(inet_pton(address.is_v6 ? AF_INET6 : AF_INET, text, address.bytes), 1);
    return attempts_source_of(&address);
}

static void fail_from(struct attempts *attempts, const char *from, int times, uint64_t now_ms)
{
    for (int i = 0; i < times; i++) {
        attempts_failed(attempts, source_of(from), now_ms);
    }
}

static void test_after_so_many_it_waits_for_the_end_of_the_time(void **state)
{
    struct attempts *attempts = attempts_new(MAX, TIME_MS);
    struct attempts_source source = source_of("192.0.2.1");
    (void)state;
    assert_int_equal(attempts_wait_ms(attempts, source, 5000), 0);
    fail_from(attempts, "192.0.2.1", 1, 5000);
    fail_from(attempts, "192.0.2.1", 1, 5400);
    assert_int_equal(attempts_wait_ms(attempts, source, 5400), 0);
    fail_from(attempts, "192.0.2.1", 1, 5600);
    assert_int_equal(attempts_wait_ms(attempts, source, 5600), 400);
    fail_from(attempts, "192.0.2.1", 5, 5700); /* those on their way don't make it longer */
    assert_int_equal(attempts_wait_ms(attempts, source, 5999), 1);
    assert_int_equal(attempts_wait_ms(attempts, source, 6000), 0);
    fail_from(attempts, "192.0.2.1", MAX - 1, 6000); /* and it begins anew */
    assert_int_equal(attempts_wait_ms(attempts, source, 6000), 0);
    attempts_free(attempts);
}

static void test_who_is_one_source(void **state)
{
    static const struct {
        const char *failing;
        const char *other;
        bool is_same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true}, /* RFC 4291 2.5.5.2 */
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"0.0.0.1", "::1", false},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct attempts *attempts = attempts_new(MAX, TIME_MS);
        fail_from(attempts, cases[i].failing, MAX, 0);
        assert_int_equal(attempts_wait_ms(attempts, source_of(cases[i].other), 0) > 0,
                         cases[i].is_same);
        attempts_free(attempts);
    }
}

static void test_many_addresses_neither_grow_it_nor_lock_others_out(void **state)
{
    struct attempts *attempts = attempts_new(MAX, TIME_MS);
    struct attempts_source source = {0};
    long alive;
    (void)state;
    heap_fail_at(0);
    for (source.bits = 1; source.bits <= ATTEMPTS_ADDRESSES_MAX; source.bits++) {
        attempts_failed(attempts, source, 10);
    }
    alive = heap_alive();
    for (; source.bits <= 3 * ATTEMPTS_ADDRESSES_MAX; source.bits++) {
        attempts_failed(attempts, source, 10 + source.bits / 1000);
    }
    assert_true(heap_alive() <= alive);
    fail_from(attempts, "192.0.2.1", MAX, 500); /* the newest is still counted */
    assert_true(attempts_wait_ms(attempts, source_of("192.0.2.1"), 500) > 0);
    assert_int_equal(attempts_wait_ms(attempts, source_of("192.0.2.2"), 500), 0);
    attempts_free(attempts);
    heap_restore();
}

static void test_no_limit(void **state)
{
    struct attempts *attempts = attempts_new(0, TIME_MS);
    (void)state;
    fail_from(attempts, "192.0.2.1", 1000, 0);
    assert_int_equal(attempts_wait_ms(attempts, source_of("192.0.2.1"), 0), 0);
    attempts_free(attempts);
}

/* The loops' clocks are read at different moments. */
static void test_clocks_that_differ(void **state)
{
    struct attempts *attempts = attempts_new(MAX, TIME_MS);
    (void)state;
    fail_from(attempts, "192.0.2.1", MAX, 1000);
    fail_from(attempts, "192.0.2.2", MAX, 990);
    assert_int_equal(attempts_wait_ms(attempts, source_of("192.0.2.2"), 990), 1010);
    assert_int_equal(attempts_wait_ms(attempts, source_of("192.0.2.1"), 2000), 0);
    assert_int_equal(attempts_wait_ms(attempts, source_of("192.0.2.2"), 2000), 0);
    attempts_free(attempts);
}

static void test_without_memory(void **state)
{
    struct attempts *attempts;
    (void)state;
    heap_fail_at(1);
    assert_null(attempts_new(MAX, TIME_MS));
    heap_fail_at(2);
    attempts = attempts_new(MAX, TIME_MS);
    assert_non_null(attempts);
    fail_from(attempts, "192.0.2.1", 1, 0); /* not counted, and nothing breaks */
    assert_true(heap_failed());
    fail_from(attempts, "192.0.2.1", MAX, 0);
    assert_true(attempts_wait_ms(attempts, source_of("192.0.2.1"), 0) > 0);
    attempts_free(attempts);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_so_many_it_waits_for_the_end_of_the_time),
        cmocka_unit_test(test_who_is_one_source),
        cmocka_unit_test(test_many_addresses_neither_grow_it_nor_lock_others_out),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_clocks_that_differ),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

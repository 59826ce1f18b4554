// SPDX-License-Identifier: Apache-2.0
/* The right passwords that are remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/verified_cache.h"
#include "lib/heap.h"

static struct verified_digest digest_of(struct verified_cache *cache, const char *a, const char *b)
{
    const struct mr_slice parts[] = {mr_slice_of(a), mr_slice_of(b)};
    struct verified_digest digest;
    assert_true(verified_cache_digest(cache, parts, 2, &digest));
    return digest;
}

static struct verified_digest numbered(struct verified_cache *cache, int number)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", number);
    return digest_of(cache, "hash", text);
}

static struct verified_cache *make(size_t count_max)
{
    struct verified_cache *cache = NULL;
    assert_int_equal(verified_cache_new(count_max, &cache, NULL), 0);
    return cache;
}

static void test_each_part_counts(void **state)
{
    struct verified_cache *cache = make(10);
    struct verified_cache *other = make(10);
    struct verified_digest first = digest_of(cache, "hash", "password");
    static const char *const parts[][2] = {
        {"hash", "passwore"}, {"hasi", "password"}, {"hashp", "assword"}, {"", "hashpassword"}};
    struct verified_digest again = digest_of(cache, "hash", "password");
    struct verified_digest elsewhere = digest_of(other, "hash", "password");
    (void)state;
    assert_true(verified_digest_is(&first, &again));
    assert_false(verified_digest_is(&first, &elsewhere)); /* another key */
    for (size_t i = 0; i < MR_COUNT_OF(parts); i++) {
        struct verified_digest differs = digest_of(cache, parts[i][0], parts[i][1]);
        assert_false(verified_digest_is(&first, &differs));
    }
    verified_cache_free(cache);
    verified_cache_free(other);
}

static void test_what_was_added_is_there(void **state)
{
    enum { COUNT = 1000 };
    struct verified_cache *cache = make(COUNT);
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        struct verified_digest digest = numbered(cache, i);
        assert_false(verified_cache_has(cache, &digest));
        verified_cache_add(cache, &digest);
        assert_true(verified_cache_has(cache, &digest));
    }
    for (int i = 0; i < COUNT; i++) {
        struct verified_digest digest = numbered(cache, i);
        assert_true(verified_cache_has(cache, &digest));
    }
    verified_cache_free(cache);
}

static void test_it_is_bounded_and_keeps_what_is_used(void **state)
{
    enum { MAX = 100, COUNT = 5000 };
    struct verified_cache *cache = make(MAX);
    struct verified_digest used;
    int there = 0;
    (void)state;
    used = digest_of(cache, "hash", "used");
    verified_cache_add(cache, &used);
    for (int i = 0; i < COUNT; i++) {
        struct verified_digest digest = numbered(cache, i);
        verified_cache_add(cache, &digest);
        assert_true(verified_cache_has(cache, &used));
    }
    for (int i = 0; i < COUNT; i++) {
        struct verified_digest digest = numbered(cache, i);
        there += verified_cache_has(cache, &digest);
    }
    assert_int_equal(there, MAX - 1);
    verified_cache_free(cache);
}

static void test_none_is_kept(void **state)
{
    struct verified_cache *cache = make(0);
    struct verified_digest digest = numbered(cache, 1);
    (void)state;
    verified_cache_add(cache, &digest);
    assert_false(verified_cache_has(cache, &digest));
    verified_cache_free(cache);
}

static void test_without_memory(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct verified_cache *cache = NULL;
        heap_fail_at(n);
        if (verified_cache_new(1000, &cache, NULL) != 0) {
            assert_true(heap_failed());
            continue;
        }
        for (int i = 0; i < 200; i++) {
            struct verified_digest digest = numbered(cache, i);
            verified_cache_add(cache, &digest);
            (void)verified_cache_has(cache, &digest); /* kept or not, but nothing breaks */
        }
        verified_cache_free(cache);
        if (!heap_failed()) {
            break;
        }
    }
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_part_counts),
        cmocka_unit_test(test_what_was_added_is_there),
        cmocka_unit_test(test_it_is_bounded_and_keeps_what_is_used),
        cmocka_unit_test(test_none_is_kept),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

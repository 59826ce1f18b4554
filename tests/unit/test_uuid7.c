// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/uuid7.h"

/* RFC 9562 A.6: 2022-02-22T19:22:22Z; its text begins with 017f22e2-79b0-7. */
static const uint64_t example_ms = UINT64_C(0x017F22E279B0);

static void test_layout(void **state)
{
    struct uuid7 uuid;
    char text[UUID7_BYTES];
    (void)state;
    uuid7_init(&uuid);
    for (int i = 0; i < 10000; i++) {
        uuid7_next(&uuid, example_ms, text);
        assert_int_equal(strlen(text), 36);
        assert_memory_equal(text, "017f22e2-79b0-7", 15);
        assert_int_equal(text[18], '-');
        assert_non_null(strchr("89ab", text[19])); /* variant 10 */
        assert_int_equal(text[23], '-');
        assert_int_equal(strspn(text, "0123456789abcdef-"), 36);
    }
    assert_int_equal(example_ms, UINT64_C(1645557742000));
}

static void test_ids_ascend_whatever_the_clock_does(void **state)
{
    struct uuid7 uuid;
    char last[UUID7_BYTES] = "";
    char text[UUID7_BYTES];
    uint64_t ms = example_ms;
    (void)state;
    uuid7_init(&uuid);
    for (int i = 0; i < 200000; i++) {
        if (i % 1000 == 0) {
            ms += 1;
        }
        /* Every third id is asked for an hour ago, and one at the beginning of time. */
        uuid7_next(&uuid, i == 100000 ? 0 : ms - (i % 3 == 0 ? 3600000 : 0), text);
        assert_true(strcmp(last, text) < 0);
        memcpy(last, text, sizeof last);
    }
}

static void test_the_time_is_that_of_the_clock(void **state)
{
    struct uuid7 uuid;
    char text[UUID7_BYTES];
    (void)state;
    uuid7_init(&uuid);
    for (uint64_t ms = 1; ms < UINT64_C(1) << 48; ms = ms * 3 + 1) {
        char high[9];
        char low[5];
        uuid7_next(&uuid, ms, text);
        memcpy(high, text, 8);
        high[8] = '\0';
        memcpy(low, text + 9, 4);
        low[4] = '\0';
        assert_true((strtoull(high, NULL, 16) << 16 | strtoull(low, NULL, 16)) == ms);
    }
}

/* The counter of 26 bits is used up: the time is moved on instead of repeating. */
static void test_a_full_counter_goes_to_the_next_millisecond(void **state)
{
    struct uuid7 uuid;
    char before[UUID7_BYTES];
    char after[UUID7_BYTES];
    (void)state;
    uuid7_init(&uuid);
    uuid7_next(&uuid, example_ms, before);
    uuid.counter = (UINT32_C(1) << 26) - 2;
    uuid7_next(&uuid, example_ms, before);
    assert_memory_equal(before, "017f22e2-79b0-7fff-bfff-", 24);
    uuid7_next(&uuid, example_ms, after);
    assert_memory_equal(after, "017f22e2-79b1-7", 15);
    assert_true(strcmp(before, after) < 0);
    /* Half of the counter is left to count in. */
    assert_non_null(strchr("01234567", after[15]));
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, UUID7_BYTES);
}

/* Four threads of one process in the same few milliseconds. */
static void test_a_million_are_unique(void **state)
{
    enum { GENERATORS = 4, EACH = 250000, COUNT = GENERATORS * EACH };
    struct uuid7 uuids[GENERATORS];
    char(*all)[UUID7_BYTES] = malloc((size_t)COUNT * UUID7_BYTES);
    (void)state;
    assert_non_null(all);
    for (int g = 0; g < GENERATORS; g++) {
        uuid7_init(&uuids[g]);
    }
    for (int i = 0; i < EACH; i++) {
        for (int g = 0; g < GENERATORS; g++) {
            uuid7_next(&uuids[g], example_ms + (uint64_t)i / 50000, all[i * GENERATORS + g]);
        }
    }
    qsort(all, COUNT, UUID7_BYTES, compare);
    for (int i = 1; i < COUNT; i++) {
        assert_true(memcmp(all[i - 1], all[i], UUID7_BYTES) != 0);
    }
    free(all);
}

/* The random part: each of its 48 bits is set about half of the time. 10,000 ids: a bit outside
 * 4500 to 5500 is ten standard deviations away. */
static void test_random_bits_are_random(void **state)
{
    struct uuid7 uuid;
    unsigned set[48] = {0};
    char text[UUID7_BYTES];
    (void)state;
    uuid7_init(&uuid);
    for (int i = 0; i < 10000; i++) {
        uint64_t bits;
        uuid7_next(&uuid, example_ms, text);
        bits = strtoull(text + 24, NULL, 16);
        for (unsigned b = 0; b < 48; b++) {
            set[b] += (unsigned)(bits >> b & 1);
        }
    }
    for (unsigned b = 0; b < 48; b++) {
        assert_in_range(set[b], 4500, 5500);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_ids_ascend_whatever_the_clock_does),
        cmocka_unit_test(test_the_time_is_that_of_the_clock),
        cmocka_unit_test(test_a_full_counter_goes_to_the_next_millisecond),
        cmocka_unit_test(test_a_million_are_unique),
        cmocka_unit_test(test_random_bits_are_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The texts are written by hand, from the grammar in attempt_table.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/attempt_table.h"

enum { METADATA_BYTES_MAX = 4096 }; /* Kafka's offset.metadata.max.bytes */

static struct attempt_table table;

static int set_up(void **state)
{
    (void)state;
    table.count = 0;
    return 0;
}

static void assert_written(int64_t base, const char *expected)
{
    char text[ATTEMPT_TABLE_BYTES] = "";
    assert_int_equal(attempt_table_write(&table, base, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_entries_are_gaps_and_attempts(void **state)
{
    (void)state;
    assert_written(7, "");
    assert_true(attempt_table_set(&table, 1017, 2));
    assert_true(attempt_table_set(&table, 1000, 3));
    assert_written(1000, "mr1 1000 0:3 17:2");
    assert_written(999, "mr1 999 1:3 17:2");
    assert_true(attempt_table_set(&table, 1017, 10));
    assert_written(1001, "mr1 1001 16:10"); /* what is committed already isn't told */
    assert_written(1018, "");
    assert_true(attempt_table_set(&table, 1017, ATTEMPT_SETTLED));
    assert_written(1000, "mr1 1000 0:3 17:0");
}

static void test_the_longest_text_fits_into_a_commit(void **state)
{
    enum { STEP = 1000000000 };
    const int64_t first = INT64_MAX - 1 - (int64_t)ATTEMPT_TABLE_MAX * STEP;
    struct attempt_table read;
    char text[ATTEMPT_TABLE_BYTES];
    size_t len;
    (void)state;
    for (int64_t i = 0; i < ATTEMPT_TABLE_MAX; i++) {
        for (int64_t more = ATTEMPT_MORE_MAX; more >= 0; more--) {
            assert_true(attempt_table_set(&table, first + i * STEP + more, ATTEMPT_NUMBER_MAX));
        }
    }
    assert_int_equal(table.count, ATTEMPT_TABLE_MAX);
    assert_false(attempt_table_set(&table, first + STEP - 2, 2));
    assert_false(attempt_table_set(&table, first + STEP - 1, ATTEMPT_NUMBER_MAX)); /* 101 */
    assert_false(attempt_table_set(&table, first + 1, 2)); /* would make three of one */
    assert_int_equal(table.count, ATTEMPT_TABLE_MAX);
    assert_true(attempt_table_set(&table, first + 1, ATTEMPT_NUMBER_MAX)); /* it is so already */
    len = attempt_table_write(&table, first, text);
    assert_in_range(len, 1, METADATA_BYTES_MAX);
    assert_int_equal(attempt_table_read(mr_slice(text, len), first, &read, NULL), 0);
    assert_int_equal(read.count, ATTEMPT_TABLE_MAX);
    for (size_t i = 0; i < ATTEMPT_TABLE_MAX; i++) {
        assert_int_equal(read.entries[i].offset, table.entries[i].offset);
        assert_int_equal(read.entries[i].last, table.entries[i].offset + ATTEMPT_MORE_MAX);
        assert_int_equal(read.entries[i].attempt, table.entries[i].attempt);
    }
}

static void test_what_is_passed_is_taken_out(void **state)
{
    (void)state;
    (void)attempt_table_set(&table, 5, 2);
    (void)attempt_table_set(&table, 9, 3);
    (void)attempt_table_set(&table, 12, 4);
    attempt_table_remove(&table, -1, 4);
    attempt_table_remove(&table, 5, 8);
    assert_written(0, "mr1 0 5:2 4:3 3:4");
    attempt_table_remove(&table, 5, 9);
    assert_written(0, "mr1 0 5:2 7:4");
    attempt_table_remove(&table, -1, 11);
    assert_written(0, "mr1 0 12:4");
    attempt_table_remove(&table, -1, 13);
    assert_int_equal(table.count, 0);
}

static void test_finding(void **state)
{
    unsigned attempt = 99;
    (void)state;
    (void)attempt_table_set(&table, 5, 2);
    (void)attempt_table_set(&table, 9, ATTEMPT_SETTLED);
    assert_false(attempt_table_find(&table, 4, &attempt));
    assert_false(attempt_table_find(&table, 6, &attempt));
    assert_false(attempt_table_find(&table, 10, &attempt));
    assert_int_equal(attempt, 99);
    assert_true(attempt_table_find(&table, 9, &attempt));
    assert_int_equal(attempt, ATTEMPT_SETTLED);
    assert_true(attempt_table_find(&table, 5, &attempt));
    assert_int_equal(attempt, 2);
}

static void test_the_last_gives_way(void **state)
{
    (void)state;
    (void)attempt_table_set(&table, 5, 2);
    (void)attempt_table_set(&table, 9, 3);
    (void)attempt_table_set(&table, 10, 3);
    assert_false(attempt_table_drop(&table, 10));
    assert_false(attempt_table_drop(&table, 9));
    assert_true(attempt_table_drop(&table, 8));
    assert_written(0, "mr1 0 5:2");
    assert_true(attempt_table_drop(&table, 4));
    assert_false(attempt_table_drop(&table, 0));
    assert_int_equal(table.count, 0);
}

static void test_neighbours_are_one_entry_in_whatever_order_they_come(void **state)
{
    static const int64_t orders[][5] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}};
    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        table.count = 0;
        for (size_t j = 0; j < 5; j++) {
            assert_true(attempt_table_set(&table, 100 + orders[i][j], 2));
        }
        assert_written(98, "mr1 98 2-4:2");
        assert_written(100, "mr1 100 0-4:2");
        assert_written(102, "mr1 102 0-2:2"); /* what is committed already isn't told */
        assert_written(104, "mr1 104 0:2");
        assert_written(105, "");
    }
    assert_true(attempt_table_set(&table, 105, 3));
    assert_written(100, "mr1 100 0-4:2 1:3");
}

static void test_one_of_many_changes(void **state)
{
    unsigned attempt = 0;
    (void)state;
    for (int64_t offset = 10; offset < 20; offset++) {
        assert_true(attempt_table_set(&table, offset, 2));
    }
    assert_true(attempt_table_set(&table, 14, 3));
    assert_written(10, "mr1 10 0-3:2 1:3 1-4:2");
    assert_true(attempt_table_find(&table, 13, &attempt));
    assert_int_equal(attempt, 2);
    assert_true(attempt_table_find(&table, 14, &attempt));
    assert_int_equal(attempt, 3);
    assert_true(attempt_table_set(&table, 10, 3));
    assert_true(attempt_table_set(&table, 19, 3));
    assert_written(10, "mr1 10 0:3 1-2:2 1:3 1-3:2 1:3");
    assert_true(attempt_table_set(&table, 14, 2));
    assert_written(10, "mr1 10 0:3 1-7:2 1:3");
}

static void test_a_part_of_many_is_taken_out(void **state)
{
    (void)state;
    for (int64_t offset = 10; offset < 20; offset++) {
        assert_true(attempt_table_set(&table, offset, 2));
    }
    assert_true(attempt_table_set(&table, 30, 2));
    attempt_table_remove(&table, 13, 13);
    assert_written(10, "mr1 10 0-9:2 11:2");
    attempt_table_remove(&table, 12, 14);
    assert_written(10, "mr1 10 0-2:2 3-4:2 11:2");
    attempt_table_remove(&table, 18, 29);
    assert_written(10, "mr1 10 0-2:2 3-3:2 12:2");
    attempt_table_remove(&table, 10, 16);
    assert_written(10, "mr1 10 0:2 7-1:2 12:2");
    attempt_table_remove(&table, -1, 17);
    assert_written(10, "mr1 10 8:2 12:2");
}

/* Two parts need two entries: without the second what lies behind is forgotten. */
static void test_no_place_for_the_second_half(void **state)
{
    unsigned attempt;
    (void)state;
    for (int64_t i = 1; i < ATTEMPT_TABLE_MAX; i++) {
        assert_true(attempt_table_set(&table, 100 * i, 3));
    }
    for (int64_t offset = 10; offset < 20; offset++) {
        assert_true(attempt_table_set(&table, offset, 2));
    }
    attempt_table_remove(&table, 12, 14);
    assert_true(attempt_table_find(&table, 12, &attempt));
    assert_false(attempt_table_find(&table, 13, &attempt));
    assert_false(attempt_table_find(&table, 15, &attempt));
    assert_int_equal(table.count, ATTEMPT_TABLE_MAX);
}

static void test_adding_another(void **state)
{
    struct attempt_table other = {.count = 0};
    unsigned attempt;
    (void)state;
    (void)attempt_table_set(&other, 1, 2);
    (void)attempt_table_set(&other, 20, 2);
    (void)attempt_table_set(&other, 21, 2);
    (void)attempt_table_set(&table, 10, 5);
    attempt_table_add(&table, &other);
    assert_written(0, "mr1 0 1:2 9:5 10-1:2");
    table.count = 0;
    for (int64_t i = 1; i < ATTEMPT_TABLE_MAX; i++) {
        (void)attempt_table_set(&table, 100 * i, 3);
    }
    attempt_table_add(&table, &other);
    assert_true(attempt_table_find(&table, 1, &attempt));
    assert_false(attempt_table_find(&table, 20, &attempt));
}

static void test_reading(void **state)
{
    (void)state;
    assert_int_equal(attempt_table_read(MR_SLICE("mr1 1000 0:3 17:2"), 1000, &table, NULL), 0);
    assert_int_equal(table.count, 2);
    assert_int_equal(table.entries[0].offset, 1000);
    assert_int_equal(table.entries[0].attempt, 3);
    assert_int_equal(table.entries[1].offset, 1017);
    assert_int_equal(table.entries[1].attempt, 2);
    assert_int_equal(attempt_table_read(MR_SLICE("mr1 5 1-99:2 1:3"), 5, &table, NULL), 0);
    assert_int_equal(table.count, 2);
    assert_int_equal(table.entries[0].offset, 6);
    assert_int_equal(table.entries[0].last, 105);
    assert_int_equal(table.entries[1].offset, 106);
    assert_int_equal(table.entries[1].last, 106);
    assert_int_equal(attempt_table_read(MR_SLICE("mr1 7 0:0"), 7, &table, NULL), 0);
    assert_int_equal(table.entries[0].attempt, ATTEMPT_SETTLED);
    assert_int_equal(attempt_table_read(MR_SLICE(""), 1000, &table, NULL), 0);
    assert_int_equal(table.count, 0);
    assert_int_equal(
        attempt_table_read(MR_SLICE("mr1 0 9223372036854775806:1000000"), 0, &table, NULL), 0);
    assert_int_equal(table.entries[0].offset, INT64_MAX - 1);
}

/* All of them of offset 10. */
static void test_anything_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "a comment",
        "mr1",
        "mr1 10",
        "mr1 10 ",
        "mr2 10 0:2",
        "mr1  10 0:2",
        "mr1 11 0:2",
        "mr1 010 0:2",
        "mr1 -10 0:2",
        "mr1 10 0:1",
        "mr1 10 0:02",
        "mr1 10 0:00",
        "mr1 10 00:2",
        "mr1 10 0:1000001",
        "mr1 10 0:99999999999999999999",
        "mr1 10 0:2 0:2",
        "mr1 10 0:2 -1:2",
        "mr1 10 0:2 ",
        "mr1 10 0:2,1:2",
        "mr1 10 0:2\n",
        "mr1 10 0:",
        "mr1 10 :2",
        "mr1 10 1",
        "mr1 10 0-0:2",
        "mr1 10 0-100:2",
        "mr1 10 0-01:2",
        "mr1 10 0-:2",
        "mr1 10 0-1",
        "mr1 10 0-1-1:2",
        "mr1 10 0-1:2 0:2",
        "mr1 10 9223372036854775796-1:2",
        "mr1 10 9223372036854775797:2",
        "mr1 10 9223372036854775796:2 1:2",
        "mr1 10 99999999999999999999:2",
        "mr1 99999999999999999999 0:2",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct mr_error err;
        if (attempt_table_read(mr_slice_of(texts[i]), 10, &table, &err) != MR_EFORMAT) {
            fail_msg("taken: %s", texts[i]);
        }
        assert_int_equal(table.count, 0);
    }
    assert_int_equal(attempt_table_read(mr_slice("mr1 10 0:2\0", 11), 10, &table, NULL),
                     MR_EFORMAT);
}

static void test_one_entry_too_many_is_refused(void **state)
{
    char text[8 * (ATTEMPT_TABLE_MAX + 1) + 8] = "mr1 0";
    size_t len = strlen(text);
    (void)state;
    for (int i = 0; i <= ATTEMPT_TABLE_MAX; i++) {
        memcpy(text + len, " 1:2", 4);
        len += 4;
    }
    assert_int_equal(attempt_table_read(mr_slice(text, len), 0, &table, NULL), MR_EFORMAT);
    assert_int_equal(attempt_table_read(mr_slice(text, len - 4), 0, &table, NULL), 0);
    assert_int_equal(table.count, ATTEMPT_TABLE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_entries_are_gaps_and_attempts, set_up),
        cmocka_unit_test_setup(test_the_longest_text_fits_into_a_commit, set_up),
        cmocka_unit_test_setup(test_what_is_passed_is_taken_out, set_up),
        cmocka_unit_test_setup(test_finding, set_up),
        cmocka_unit_test_setup(test_the_last_gives_way, set_up),
        cmocka_unit_test_setup(test_neighbours_are_one_entry_in_whatever_order_they_come, set_up),
        cmocka_unit_test_setup(test_one_of_many_changes, set_up),
        cmocka_unit_test_setup(test_a_part_of_many_is_taken_out, set_up),
        cmocka_unit_test_setup(test_no_place_for_the_second_half, set_up),
        cmocka_unit_test_setup(test_adding_another, set_up),
        cmocka_unit_test_setup(test_reading, set_up),
        cmocka_unit_test_setup(test_anything_else_is_refused, set_up),
        cmocka_unit_test_setup(test_one_entry_too_many_is_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

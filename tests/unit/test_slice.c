// SPDX-License-Identifier: Apache-2.0
/* Cutting text into its parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kit/slice.h"
#include "lib/event_asserts.h"

static void test_blanks_around_are_cut_off(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},         {" ", ""}, {" \t ", ""}, {"a", "a"}, {" a\t", "a"}, {"a \t b", "a \t b"},
        {"\n a", "\n a"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_slice(slice_trim(mr_slice_of(cases[i][0])), cases[i][1]);
    }
    assert_null(slice_trim(mr_slice(NULL, 0)).ptr);
}

static void test_parts_come_one_by_one(void **state)
{
    struct mr_slice left = MR_SLICE("a,,b");
    (void)state;
    assert_slice(slice_cut(&left, ','), "a");
    assert_slice(slice_cut(&left, ','), "");
    assert_slice(slice_cut(&left, ','), "b");
    assert_int_equal(left.len, 0);
    left = MR_SLICE("a,");
    assert_slice(slice_cut(&left, ','), "a");
    assert_int_equal(left.len, 0);
    left = MR_SLICE("ab");
    assert_slice(slice_cut(&left, ','), "ab");
    assert_int_equal(left.len, 0);
    left = mr_slice(NULL, 0);
    assert_null(slice_cut(&left, ',').ptr);
    assert_null(left.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blanks_around_are_cut_off),
        cmocka_unit_test(test_parts_come_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

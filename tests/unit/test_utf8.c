// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kit/utf8.h"

/* U+0061, U+00E9, U+20AC and U+1F600, of 1 to 4 bytes (RFC 3629 3). */
#define TEXT "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"

static void test_a_cut_never_ends_inside_a_sequence(void **state)
{
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    const struct mr_slice text = MR_SLICE(TEXT);
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct mr_slice cut = utf8_cut(text, i);
        assert_ptr_equal(cut.ptr, text.ptr);
        assert_int_equal(cut.len, expected[i]);
    }
}

static void test_what_is_short_enough_stays(void **state)
{
    struct mr_slice absent = {NULL, 0};
    (void)state;
    assert_null(utf8_cut(absent, 0).ptr);
    assert_int_equal(utf8_cut(MR_SLICE(""), 5).len, 0);
    assert_int_equal(utf8_cut(MR_SLICE("\xC3"), 1).len, 1); /* cut before it came to us */
}

/* Not UTF-8: nothing is read before its beginning. */
static void test_continuation_bytes_alone_are_cut_to_nothing(void **state)
{
    (void)state;
    assert_int_equal(utf8_cut(MR_SLICE("\x80\x80\x80"), 2).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cut_never_ends_inside_a_sequence),
        cmocka_unit_test(test_what_is_short_enough_stays),
        cmocka_unit_test(test_continuation_bytes_alone_are_cut_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

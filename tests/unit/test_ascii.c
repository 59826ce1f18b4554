// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kit/ascii.h"

/* As the C library has it, for every byte. */
static void test_the_values_of_hexadecimal_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char text[] = {(char)c, '\0'};
        char *end;
        long value = strtol(text, &end, 16);
        assert_int_equal(ascii_hex_value((char)c), end == text + 1 ? value : -1);
    }
}

/* RFC 9110 5.6.2: tchar, word for word. */
static void test_exactly_the_characters_of_a_token(void **state)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool is_digit = c >= '0' && c <= '9';
        bool is_alpha = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool expected = is_digit || is_alpha || memchr(others, c, sizeof others - 1) != NULL;
        assert_int_equal(ascii_is_token_char((unsigned char)c), expected);
    }
}

static void test_case_is_of_a_to_z_alone(void **state)
{
    (void)state;
    assert_true(ascii_same(MR_SLICE("Content-Type"), MR_SLICE("content-tYPE")));
    assert_false(ascii_same(MR_SLICE("\xC4"), MR_SLICE("\xE4"))); /* Latin 1 */
    assert_false(ascii_same(MR_SLICE("@["), MR_SLICE("`{")));     /* beside A and Z */
    assert_true(ascii_begins_with(MR_SLICE("CE_id"), MR_SLICE("ce_")));
    assert_false(ascii_begins_with(MR_SLICE("ce"), MR_SLICE("ce_")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_values_of_hexadecimal_digits),
        cmocka_unit_test(test_exactly_the_characters_of_a_token),
        cmocka_unit_test(test_case_is_of_a_to_z_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kit/number.h"

static void test_known_numbers(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {21.1, "21.1"},
        {0.1 + 0.2, "0.30000000000000004"}, /* needs all 17 digits */
        {1.0 / 3.0, "0.3333333333333333"},  /* 16 */
        {100000.0, "100000"},
        {9007199254740993.0, "9007199254740992"},
        {1e15, "1e+15"},
        {1e-5, "1e-05"},
        {1e300, "1e+300"},
        {DBL_MAX, "1.7976931348623157e+308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {-DBL_MIN, "-2.2250738585072014e-308"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[NUMBER_BYTES];
        assert_true(number_format(rows[i].value, text));
        assert_string_equal(text, rows[i].text);
    }
}

static void test_what_is_no_number(void **state)
{
    char text[NUMBER_BYTES] = "untouched";
    (void)state;
    assert_false(number_format(NAN, text));
    assert_false(number_format(INFINITY, text));
    assert_false(number_format(-INFINITY, text));
    assert_string_equal(text, "untouched");
}

/* Bit patterns of all kinds: jansson takes the text as a number, and it is the same double. */
static void test_every_number_is_json_and_reads_back(void **state)
{
    uint64_t bits = UINT64_C(0x9E3779B97F4A7C15);
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[NUMBER_BYTES];
        double value;
        memcpy(&value, &bits, sizeof value);
        /* splitmix64's step: any exponent, any mantissa */
        bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9) + UINT64_C(0x9E3779B97F4A7C15);
        if (!isfinite(value)) {
            assert_false(number_format(value, text));
            continue;
        }
        assert_true(number_format(value, text));
        assert_true(strtod(text, NULL) == value);
        if (i % 10 == 0) {
            json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
            assert_non_null(json);
            assert_true(json_real_value(json) == value);
            json_decref(json);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_numbers),
        cmocka_unit_test(test_what_is_no_number),
        cmocka_unit_test(test_every_number_is_json_and_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

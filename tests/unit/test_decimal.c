// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "consumers/influx/decimal.h"

static void expect(const char *number, int power, enum decimal_result result, bool is_negative,
                   uint64_t value)
{
    bool negative = false;
    uint64_t got = 0;
    assert_int_equal(decimal_scale(mr_slice_of(number), power, &negative, &got), result);
    if (result != DECIMAL_RANGE) {
        assert_int_equal(got, value);
        assert_int_equal(negative, is_negative);
    }
}

static void numbers_are_read_digit_by_digit(void **state)
{
    (void)state;
    expect("0", 0, DECIMAL_EXACT, false, 0);
    expect("-0", 0, DECIMAL_EXACT, false, 0);
    expect("-0.0e5", 9, DECIMAL_EXACT, false, 0);
    expect("21", 0, DECIMAL_EXACT, false, 21);
    expect("21.0", 0, DECIMAL_EXACT, false, 21);
    expect("2.1e1", 0, DECIMAL_EXACT, false, 21);
    expect("2100E-2", 0, DECIMAL_EXACT, false, 21);
    expect("-21", 0, DECIMAL_EXACT, true, 21);
    expect("21.5", 0, DECIMAL_FRACTION, false, 21);
    expect("-0.5", 0, DECIMAL_FRACTION, false, 0);
    expect("0.001", 3, DECIMAL_EXACT, false, 1);
    expect("0.0001", 3, DECIMAL_FRACTION, false, 0);
    expect("1e-400", 0, DECIMAL_FRACTION, false, 0);
    expect("0e999999999999999999999", 0, DECIMAL_EXACT, false, 0);
    expect("1e999999999999999999999", 0, DECIMAL_RANGE, false, 0);
    expect("1e-999999999999999999999", 0, DECIMAL_FRACTION, false, 0);
    expect("0.00000000000000000000001e23", 0, DECIMAL_EXACT, false, 1);
    expect("10000000000000000000000e-22", 0, DECIMAL_EXACT, false, 1);
    expect("1465839830.1004002", 9, DECIMAL_EXACT, false, UINT64_C(1465839830100400200));
    expect("1465839830.1004002009", 9, DECIMAL_FRACTION, false, UINT64_C(1465839830100400200));
}

static void sixty_four_bits_are_the_bound(void **state)
{
    (void)state;
    expect("9007199254740993", 0, DECIMAL_EXACT, false, UINT64_C(9007199254740993)); /* 2^53+1 */
    expect("18446744073709551615", 0, DECIMAL_EXACT, false, UINT64_MAX);
    expect("18446744073709551616", 0, DECIMAL_RANGE, false, 0);
    expect("-18446744073709551615", 0, DECIMAL_EXACT, true, UINT64_MAX);
    expect("1e19", 0, DECIMAL_EXACT, false, UINT64_C(10000000000000000000));
    expect("2e19", 0, DECIMAL_RANGE, false, 0);
    expect("1e20", 0, DECIMAL_RANGE, false, 0);
    expect("1", 19, DECIMAL_EXACT, false, UINT64_C(10000000000000000000));
}

/* The C library's own arithmetic, where it is exact. */
static void it_agrees_with_the_c_library(void **state)
{
    unsigned seed = 7;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        bool negative;
        uint64_t got;
        int64_t thousandths;
        seed = seed * 1103515245u + 12345u;
        thousandths = (int64_t)(seed % 2000000000u) - 1000000000;
        (void)snprintf(text, sizeof text, i % 2 != 0 ? "%.3f" : "%.9e",
                       (double)thousandths / 1000.0);
        assert_int_equal(decimal_scale(mr_slice_of(text), 3, &negative, &got), DECIMAL_EXACT);
        assert_int_equal(negative ? -(int64_t)got : (int64_t)got, thousandths);
    }
}

static void only_json_numbers_are_numbers(void **state)
{
    static const char *const bad[] = {"",         "+1", "1.",  ".5",  "01",   "0x10", "1e",
                                      "1 ",       " 1", "NaN", "inf", "--1",  "1_0",  "1,5",
                                      "Infinity", "-",  "1\n", "\"1", "true", "1 2"};
    static const char *const good[] = {"0", "-0", "1.5", "1E+2", "-1e-9", "12345678901234567890"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(decimal_is_number(mr_slice_of(bad[i])));
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(decimal_is_number(mr_slice_of(good[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_digit_by_digit),
        cmocka_unit_test(sixty_four_bits_are_the_bound),
        cmocka_unit_test(it_agrees_with_the_c_library),
        cmocka_unit_test(only_json_numbers_are_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

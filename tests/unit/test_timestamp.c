// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "event/timestamp.h"

#define S INT64_C(1000000000)

/* In an exactly sized block, so that the sanitizer sees a read past its end. */
static int parse(struct mr_slice text, int64_t *ret_ns, struct mr_error *err)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    int rc;
    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    rc = timestamp_parse(mr_slice(copy, text.len), ret_ns, err);
    assert_int_equal(timestamp_is_valid(mr_slice(copy, text.len)), rc == 0 || rc == MR_ELIMIT);
    free(copy);
    return rc;
}

static int64_t parsed(const char *text)
{
    int64_t ns = -1;
    struct mr_error err = {0};
    if (parse(mr_slice_of(text), &ns, &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return ns;
}

static const char *formatted(int64_t ns)
{
    static char text[TIMESTAMP_BYTES];
    int len = timestamp_format(ns, text);
    assert_int_equal(len, strlen(text));
    return text;
}

/* Seconds by GNU date, `date -u -d ... +%s`, of the UTC moments that RFC 3339 5.8 says they are. */
static void test_the_examples_of_rfc_3339(void **state)
{
    (void)state;
    assert_int_equal(parsed("1985-04-12T23:20:50.52Z"), 482196050 * S + 520000000);
    assert_int_equal(parsed("1996-12-19T16:39:57-08:00"), 851042397 * S);
    assert_int_equal(parsed("1996-12-20T00:39:57Z"), 851042397 * S);
    assert_int_equal(parsed("1990-12-31T23:59:60Z"), 662687999 * S);
    assert_int_equal(parsed("1990-12-31T15:59:60-08:00"), 662687999 * S);
    assert_int_equal(parsed("1937-01-01T12:00:27.87+00:20"), -1041337173 * S + 870000000);
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(parsed("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(parsed("1970-01-01t00:00:01z"), S);
    assert_int_equal(parsed("1970-01-01T00:00:00-00:00"), 0); /* RFC 3339 4.3 */
    assert_int_equal(parsed("1970-01-01T23:59:00+23:59"), 0);
    assert_int_equal(parsed("1969-12-31T00:01:00-23:59"), 0);
    assert_int_equal(parsed("1970-01-01T00:00:00.1Z"), 100000000);
    assert_int_equal(parsed("1970-01-01T00:00:00.000000001Z"), 1);
    assert_int_equal(parsed("1970-01-01T00:00:00.0000000019999999999999999Z"), 1);
    assert_int_equal(parsed("1969-12-31T23:59:59.999999999Z"), -1);
    assert_int_equal(parsed("2000-02-29T00:00:00Z"), 951782400 * S);
    assert_int_equal(parsed("2016-12-31T23:59:60.5Z"), 1483228799 * S + 500000000);
    assert_int_equal(parsed("2017-01-01T05:29:60+05:30"), 1483228799 * S);
}

static void test_what_is_refused(void **state)
{
    static const struct mr_slice bad[] = {
        MR_SLICE_INIT(""),
        MR_SLICE_INIT("1970"),
        MR_SLICE_INIT("1970-01-01"),
        MR_SLICE_INIT("1970-01-01T00:00:00"),
        MR_SLICE_INIT("1970-01-01 00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00.Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00,5Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00+01"),
        MR_SLICE_INIT("1970-01-01T00:00:00+0100"),
        MR_SLICE_INIT("1970-01-01T00:00:00+24:00"),
        MR_SLICE_INIT("1970-01-01T00:00:00+01:60"),
        MR_SLICE_INIT("1970-01-01T00:00:00ZZ"),
        MR_SLICE_INIT("1970-01-01T00:00:00Z "),
        MR_SLICE_INIT(" 1970-01-01T00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00+01:00x"),
        MR_SLICE_INIT("1970-01-01T00:00:00 +01:00"),
        MR_SLICE_INIT("1970-1-01T00:00:00Z"),
        MR_SLICE_INIT("1970-001T00:00:00Z"),
        MR_SLICE_INIT("1970-00-01T00:00:00Z"),
        MR_SLICE_INIT("1970-13-01T00:00:00Z"),
        MR_SLICE_INIT("1970-01-00T00:00:00Z"),
        MR_SLICE_INIT("1970-01-32T00:00:00Z"),
        MR_SLICE_INIT("1970-04-31T00:00:00Z"),
        MR_SLICE_INIT("1970-06-31T00:00:00Z"),
        MR_SLICE_INIT("1970-09-31T00:00:00Z"),
        MR_SLICE_INIT("1970-11-31T00:00:00Z"),
        MR_SLICE_INIT("1900-02-29T00:00:00Z"),
        MR_SLICE_INIT("2100-02-29T00:00:00Z"),
        MR_SLICE_INIT("2023-02-29T00:00:00Z"),
        MR_SLICE_INIT("2000-02-30T00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T24:00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:60:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00:61Z"),
        MR_SLICE_INIT("1970-01-01T00:00:60Z"),
        MR_SLICE_INIT("1990-12-31T23:59:60+01:00"),
        MR_SLICE_INIT("1990-12-31T23:58:60Z"),
        MR_SLICE_INIT("+1970-01-01T00:00:00Z"),
        MR_SLICE_INIT("-1970-01-01T00:00:00Z"),
        MR_SLICE_INIT("11970-01-01T00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T-1:00:00Z"),
        MR_SLICE_INIT("197\0-01-01T00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00\0"),
        MR_SLICE_INIT("1970-01-01T00:00:0\xB2Z"),
        MR_SLICE_INIT("1970/01/01T00:00:00Z"),
        MR_SLICE_INIT("1970-01-01T00:00:00z\0"),
        MR_SLICE_INIT("1970-01-01T00:00:00\xE2\x88\x92"),
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_error err = {0};
        int64_t ns = 42;
        if (parse(bad[i], &ns, &err) != MR_EFORMAT) {
            fail_msg("accepted %.*s", MR_SLICE_ARG(bad[i]));
        }
        assert_int_equal(err.code, MR_EFORMAT);
        assert_int_equal(ns, 42);
    }
}

static void test_every_prefix_is_refused(void **state)
{
    static const char text[] = "1937-01-01T12:00:27.87+00:20";
    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        int64_t ns;
        assert_int_equal(parse(mr_slice(text, len), &ns, NULL), MR_EFORMAT);
    }
}

/* The ends of int64_t: -9223372036854775808 and 9223372036854775807. */
static void test_the_ends_of_the_range(void **state)
{
    struct mr_error err;
    int64_t ns = 42;
    (void)state;
    assert_int_equal(parsed("1677-09-21T00:12:43.145224192Z"), INT64_MIN);
    assert_int_equal(parsed("1677-09-21T00:12:44Z"), -9223372036 * S);
    assert_int_equal(parsed("2262-04-11T23:47:16.854775807Z"), INT64_MAX);
    assert_string_equal(formatted(INT64_MIN), "1677-09-21T00:12:43.145224192Z");
    assert_string_equal(formatted(INT64_MAX), "2262-04-11T23:47:16.854775807Z");
    assert_int_equal(parse(MR_SLICE("1677-09-21T00:12:43.145224191Z"), &ns, &err), MR_ELIMIT);
    assert_int_equal(err.code, MR_ELIMIT);
    assert_int_equal(parse(MR_SLICE("1677-09-21T00:12:43Z"), &ns, &err), MR_ELIMIT);
    assert_int_equal(parse(MR_SLICE("2262-04-11T23:47:16.854775808Z"), &ns, &err), MR_ELIMIT);
    assert_int_equal(parse(MR_SLICE("0000-01-01T00:00:00+23:59"), &ns, &err), MR_ELIMIT);
    assert_int_equal(parse(MR_SLICE("9999-12-31T23:59:59.9-23:59"), &ns, &err), MR_ELIMIT);
    assert_int_equal(parse(MR_SLICE("9999-12-31T23:59:60Z"), &ns, &err), MR_ELIMIT);
    assert_int_equal(ns, 42);
}

static void test_as_many_fraction_digits_as_needed(void **state)
{
    (void)state;
    assert_string_equal(formatted(0), "1970-01-01T00:00:00Z");
    assert_string_equal(formatted(1), "1970-01-01T00:00:00.000000001Z");
    assert_string_equal(formatted(1000), "1970-01-01T00:00:00.000001Z");
    assert_string_equal(formatted(1000000), "1970-01-01T00:00:00.001Z");
    assert_string_equal(formatted(120 * 1000000), "1970-01-01T00:00:00.120Z");
    assert_string_equal(formatted(-1), "1969-12-31T23:59:59.999999999Z");
    assert_string_equal(formatted(-S), "1969-12-31T23:59:59Z");
    assert_string_equal(formatted(482196050 * S + 520000000), "1985-04-12T23:20:50.520Z");
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 33;
}

/* libc's timegm and gmtime_r are the other implementation. */
static void test_random_moments_against_libc(void **state)
{
    uint64_t random = 3339;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        struct tm tm = {0};
        char text[64];
        char expected[64];
        int64_t ns = (int64_t)next_random(&random);
        int64_t fraction = ns % S < 0 ? ns % S + S : ns % S;
        time_t seconds = (time_t)((ns - fraction) / S);
        if (ns < INT64_MIN + S) {
            continue;
        }
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(timegm(&tm) == seconds);
        (void)snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)fraction);
        (void)timestamp_format(ns, text);
        assert_int_equal(parsed(expected), ns);
        assert_int_equal(parsed(text), ns);
        if (fraction % 1000 != 0) {
            assert_string_equal(text, expected);
        }
    }
}

/* Every day of the range, and those libc says don't exist. */
static void test_every_day_against_libc(void **state)
{
    (void)state;
    for (int year = 1600; year <= 2400; year++) {
        for (int day = 0; day < 12 * 33; day++) {
            struct tm tm = {.tm_year = year - 1900, .tm_mon = day / 33, .tm_mday = day % 33};
            time_t seconds = timegm(&tm);
            bool exists = tm.tm_mon == day / 33 && tm.tm_mday == day % 33;
            char text[64];
            int64_t ns;
            int rc;
            (void)snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", year, day / 33 + 1,
                           day % 33);
            rc = timestamp_parse(mr_slice_of(text), &ns, NULL);
            assert_int_equal(rc != MR_EFORMAT, exists);
            if (rc == 0) {
                assert_true(ns == (int64_t)seconds * S);
                assert_string_equal(formatted(ns), text);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_examples_of_rfc_3339),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_the_ends_of_the_range),
        cmocka_unit_test(test_as_many_fraction_digits_as_needed),
        cmocka_unit_test(test_random_moments_against_libc),
        cmocka_unit_test(test_every_day_against_libc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

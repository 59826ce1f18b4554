// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/json_scan.h"

/* The verdict over an exactly sized block, so that the sanitizer sees a read past its end. */
static bool is_valid(struct mr_slice text)
{
    char *copy = malloc(text.len > 0 ? text.len : 1);
    bool result;
    assert_non_null(copy);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    result = json_is_valid(mr_slice(copy, text.len));
    free(copy);
    return result;
}

/* jansson's verdict. `ret_comparable` is false where json_scan.h says that the two differ. */
static bool jansson_is_valid(struct mr_slice text, bool *ret_comparable)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    enum json_error_code code = value == NULL ? json_error_code(&error) : json_error_unknown;
    *ret_comparable = code != json_error_numeric_overflow && code != json_error_null_byte_in_key &&
                      code != json_error_null_character;
    json_decref(value);
    return value != NULL;
}

/* Written from RFC 8259, section by section. */
static const struct mr_slice good[] = {
    /* 2: structural characters and white space */
    MR_SLICE_INIT("[]"),
    MR_SLICE_INIT("{}"),
    MR_SLICE_INIT(" \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n1 \t\r\n, \t\r\n\"b\" : [ ] } \t\r\n"),
    MR_SLICE_INIT("[ ]"),
    MR_SLICE_INIT("{ }"),
    MR_SLICE_INIT("[1 , 2]"),
    /* 3: any value, also at the top */
    MR_SLICE_INIT("true"),
    MR_SLICE_INIT("false"),
    MR_SLICE_INIT("null"),
    MR_SLICE_INIT(" null "),
    MR_SLICE_INIT("\"\""),
    MR_SLICE_INIT("0"),
    MR_SLICE_INIT("[true,false,null]"),
    /* 4, 5: members and elements */
    MR_SLICE_INIT("{\"\":0}"),
    MR_SLICE_INIT("{\"a\":1,\"a\":2}"),
    MR_SLICE_INIT("{\"a\":{\"b\":[{\"c\":[]}]},\"d\":[[[]],{}]}"),
    MR_SLICE_INIT("[[],[[]],{},\"\",0,-0,[null]]"),
    /* 6: numbers */
    MR_SLICE_INIT("-0"),
    MR_SLICE_INIT("-1"),
    MR_SLICE_INIT("10"),
    MR_SLICE_INIT("0.0"),
    MR_SLICE_INIT("-0.10"),
    MR_SLICE_INIT("0e0"),
    MR_SLICE_INIT("0E+00"),
    MR_SLICE_INIT("1e-1"),
    MR_SLICE_INIT("1.5E+3"),
    MR_SLICE_INIT("123456789.0123456789e-10"),
    MR_SLICE_INIT("1e-400"),
    MR_SLICE_INIT("123456789012345678901234567890"),
    /* 7: strings */
    MR_SLICE_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    MR_SLICE_INIT("\"\\u0041\\u00e4\\u20AC\\ud834\\udd1e\\uDBFF\\uDFFF\""),
    MR_SLICE_INIT("\"\\uD7FF\\uE000\\uFFFF\\ufdd0\""),
    MR_SLICE_INIT("\"\\u0000\""),
    MR_SLICE_INIT("\"\x20\x21\x23[]{}:,/'\x7F\""),
    MR_SLICE_INIT("\"0123456\\n89abcdef\\\"0123456789abcdef\""),
    MR_SLICE_INIT("{\"\\u0061\\n\":1}"),
    /* 8.1: UTF-8 of every length, at its edges, in names too */
    MR_SLICE_INIT("\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\""),
    MR_SLICE_INIT("\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""),
    MR_SLICE_INIT("\"abcdefgh\xC3\xA4ijklmnopq\xE2\x82\xAC\""),
    MR_SLICE_INIT("{\"\xC3\xA4\":\"\xEF\xBB\xBF\"}"),
    /* 13: examples */
    MR_SLICE_INIT("{\"Image\":{\"Width\":800,\"Height\":600,\"Title\":\"View from 15th Floor\","
                  "\"Thumbnail\":{\"Url\":\"http://www.example.com/image/481989943\","
                  "\"Height\":125,\"Width\":100},\"Animated\":false,"
                  "\"IDs\":[116,943,234,38793]}}"),
    MR_SLICE_INIT("[{\"precision\":\"zip\",\"Latitude\":37.7668,\"Longitude\":-122.3959}]"),
    MR_SLICE_INIT("\"Hello world!\""),
    MR_SLICE_INIT("42"),
};

static const struct mr_slice malformed[] = {
    MR_SLICE_INIT(""),
    MR_SLICE_INIT(" "),
    MR_SLICE_INIT("["),
    MR_SLICE_INIT("]"),
    MR_SLICE_INIT("{"),
    MR_SLICE_INIT("}"),
    MR_SLICE_INIT("[}"),
    MR_SLICE_INIT("{]"),
    MR_SLICE_INIT("[1"),
    MR_SLICE_INIT("[1,"),
    MR_SLICE_INIT("[1,]"),
    MR_SLICE_INIT("[,1]"),
    MR_SLICE_INIT("[1,,2]"),
    MR_SLICE_INIT("[1 2]"),
    MR_SLICE_INIT("[1:2]"),
    MR_SLICE_INIT(","),
    MR_SLICE_INIT("[1}"),
    MR_SLICE_INIT("{\"a\":1]"),
    MR_SLICE_INIT("[[]"),
    MR_SLICE_INIT("[]]"),
    MR_SLICE_INIT("[{]}"),
    MR_SLICE_INIT("{\"a\""),
    MR_SLICE_INIT("{\"a\":"),
    MR_SLICE_INIT("{\"a\":1"),
    MR_SLICE_INIT("{\"a\":1,"),
    MR_SLICE_INIT("{\"a\":1,}"),
    MR_SLICE_INIT("{\"a\" 1}"),
    MR_SLICE_INIT("{\"a\",1}"),
    MR_SLICE_INIT("{\"a\":}"),
    MR_SLICE_INIT("{:1}"),
    MR_SLICE_INIT("{a:1}"),
    MR_SLICE_INIT("{'a':1}"),
    MR_SLICE_INIT("{1:1}"),
    MR_SLICE_INIT("{null:1}"),
    MR_SLICE_INIT("{\"a\":1 \"b\":2}"),
    MR_SLICE_INIT("{,}"),
    MR_SLICE_INIT("{\"a\"::1}"),
    MR_SLICE_INIT("{\"a\":1,,\"b\":2}"),
    MR_SLICE_INIT("{\"a\":1:2}"),
    MR_SLICE_INIT("1 2"),
    MR_SLICE_INIT("[] x"),
    MR_SLICE_INIT("{}{}"),
    MR_SLICE_INIT("\"a\"\"b\""),
    MR_SLICE_INIT("null,"),
    MR_SLICE_INIT("nul"),
    MR_SLICE_INIT("nulll"),
    MR_SLICE_INIT("Null"),
    MR_SLICE_INIT("TRUE"),
    MR_SLICE_INIT("tru e"),
    MR_SLICE_INIT("fals"),
    MR_SLICE_INIT("undefined"),
    MR_SLICE_INIT("NaN"),
    MR_SLICE_INIT("Infinity"),
    MR_SLICE_INIT("-Infinity"),
    /* 6: numbers */
    MR_SLICE_INIT("-"),
    MR_SLICE_INIT("+1"),
    MR_SLICE_INIT("--1"),
    MR_SLICE_INIT("- 1"),
    MR_SLICE_INIT("01"),
    MR_SLICE_INIT("-01"),
    MR_SLICE_INIT("00"),
    MR_SLICE_INIT("1."),
    MR_SLICE_INIT("1.e1"),
    MR_SLICE_INIT(".5"),
    MR_SLICE_INIT("-.5"),
    MR_SLICE_INIT("1e"),
    MR_SLICE_INIT("1e+"),
    MR_SLICE_INIT("1E-"),
    MR_SLICE_INIT("1e1.5"),
    MR_SLICE_INIT("1e+-1"),
    MR_SLICE_INIT("1ee1"),
    MR_SLICE_INIT("0x10"),
    MR_SLICE_INIT("1_000"),
    MR_SLICE_INIT("1.2.3"),
    MR_SLICE_INIT("1a"),
    MR_SLICE_INIT("\xEF\xBC\x91"),
    MR_SLICE_INIT("[-]"),
    /* 7: strings */
    MR_SLICE_INIT("\""),
    MR_SLICE_INIT("\"a"),
    MR_SLICE_INIT("\"a\\"),
    MR_SLICE_INIT("\"a\\\""),
    MR_SLICE_INIT("'a'"),
    MR_SLICE_INIT("\"\\a\""),
    MR_SLICE_INIT("\"\\'\""),
    MR_SLICE_INIT("\"\\0\""),
    MR_SLICE_INIT("\"\\x41\""),
    MR_SLICE_INIT("\"\\U0041\""),
    MR_SLICE_INIT("\"\\u\""),
    MR_SLICE_INIT("\"\\u004\""),
    MR_SLICE_INIT("\"\\u00g1\""),
    MR_SLICE_INIT("\"\\u 041\""),
    MR_SLICE_INIT("\"\\u004"),
    MR_SLICE_INIT("\"\\u-041\""),
    MR_SLICE_INIT("\"\t\""),
    MR_SLICE_INIT("\"\n\""),
    MR_SLICE_INIT("\"\0\""),
    MR_SLICE_INIT("\"\x1F\""),
    MR_SLICE_INIT("\"01234567\x01\""),
    MR_SLICE_INIT("{\"\n\":1}"),
    /* 8.2: lone surrogates, which json_scan.h refuses */
    MR_SLICE_INIT("\"\\ud800\""),
    MR_SLICE_INIT("\"\\udc00\""),
    MR_SLICE_INIT("\"\\uDBFFx\""),
    MR_SLICE_INIT("\"\\ud834\\ud834\""),
    MR_SLICE_INIT("\"\\ud834\\u0041\""),
    MR_SLICE_INIT("\"\\ud834\\n\""),
    MR_SLICE_INIT("\"\\ud834\\udd1\""),
    MR_SLICE_INIT("\"\\udd1e\\ud834\""),
    MR_SLICE_INIT("\"\\ud834\\"),
    MR_SLICE_INIT("\"\\ud834\\udd1"),
    MR_SLICE_INIT("\"\\ud834/udd1e\""),
    /* 8.1: encoding */
    MR_SLICE_INIT("\xEF\xBB\xBF{}"),
    MR_SLICE_INIT("\"\x80\""),
    MR_SLICE_INIT("\"\xC3\""),
    MR_SLICE_INIT("\"\xC0\xAF\""),
    MR_SLICE_INIT("\"\xE0\x80\xAF\""),
    MR_SLICE_INIT("\"\xFF\""),
    MR_SLICE_INIT("\"\xED\xA0\x80\""),
    MR_SLICE_INIT("\"\xF4\x90\x80\x80\""),
    MR_SLICE_INIT("\"\xF0\x9F\x98\""),
    MR_SLICE_INIT("\"01234567\xE2\x82"),
    MR_SLICE_INIT("{\"\xFF\":1}"),
    MR_SLICE_INIT("\xC3\xA4"),
    MR_SLICE_INIT("\0"),
    MR_SLICE_INIT("[]\0"),
    MR_SLICE_INIT("\xFF\xFE[\0]\0"),
    /* other white space and comments */
    MR_SLICE_INIT("[\f]"),
    MR_SLICE_INIT("[\v]"),
    MR_SLICE_INIT("[\xC2\xA0]"),
    MR_SLICE_INIT("[]//x"),
    MR_SLICE_INIT("/**/[]"),
    MR_SLICE_INIT("#\n[]"),
};

static void test_what_rfc_8259_allows_and_jansson_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(good); i++) {
        bool comparable;
        bool expected = jansson_is_valid(good[i], &comparable);
        if (!is_valid(good[i]) || (comparable && !expected)) {
            fail_msg("%.*s", MR_SLICE_ARG(good[i]));
        }
    }
}

static void test_what_rfc_8259_forbids_and_jansson_agrees(void **state)
{
    (void)state;
    assert_false(json_is_valid(mr_slice(NULL, 0)));
    for (size_t i = 0; i < MR_COUNT_OF(malformed); i++) {
        bool comparable;
        bool expected = jansson_is_valid(malformed[i], &comparable);
        if (is_valid(malformed[i]) || expected) {
            fail_msg("accepted %.*s", MR_SLICE_ARG(malformed[i]));
        }
    }
}

/* The differences that json_scan.h names. */
static void test_the_differences_to_jansson(void **state)
{
    static const struct mr_slice texts[] = {
        MR_SLICE_INIT("1e400"),
        MR_SLICE_INIT("[-1e999999999999999999999]"),
        MR_SLICE_INIT("{\"\\u0000\":1}"),
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        bool comparable;
        assert_false(jansson_is_valid(texts[i], &comparable));
        assert_false(comparable);
        assert_true(is_valid(texts[i]));
    }
    assert_false(is_valid(MR_SLICE("1\0")));
    assert_false(is_valid(MR_SLICE("[true\0]")));
    assert_false(is_valid(MR_SLICE("[1\0,2]")));
}

static void test_depth(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct mr_error err;
    struct json_scan scan;
    (void)state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_true(is_valid(mr_slice(text, sizeof text - 2)));
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_false(is_valid(mr_slice(text, sizeof text)));
    json_scan_init(&scan, mr_slice(text, sizeof text));
    while (json_scan_next(&scan) == JSON_SCAN_ARRAY_BEGIN) {
    }
    assert_int_equal(json_scan_error(&scan, &err), MR_EFORMAT);
    assert_string_equal(err.text, "line 1, column 129: nested too deeply");
}

/* Objects and arrays in every order down to 12 levels: the closing one must match. */
static void test_the_levels_remember_what_they_are(void **state)
{
    (void)state;
    for (unsigned pattern = 0; pattern < 1U << 12; pattern++) {
        char text[200];
        size_t len = 0;
        size_t closing;
        for (unsigned level = 0; level < 12; level++) {
            bool is_object = (pattern >> level & 1U) != 0;
            len += (size_t)snprintf(text + len, sizeof text - len, is_object ? "{\"k\":" : "[");
        }
        text[len++] = '0';
        closing = len;
        for (unsigned level = 12; level-- > 0;) {
            text[len++] = (pattern >> level & 1U) != 0 ? '}' : ']';
        }
        assert_true(json_is_valid(mr_slice(text, len)));
        closing += pattern % 12;
        text[closing] = text[closing] == '}' ? ']' : '}';
        assert_false(json_is_valid(mr_slice(text, len)));
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Good texts with up to 3 bytes changed, removed or added: the verdict must be jansson's. */
static void test_random_changes_are_judged_as_by_jansson(void **state)
{
    static const char spice[] =
        "{}[]:,\"\\/ \n0123456789+-.eEutrfalsn\xC3\xA4\xF0\x9F\x98\x80\xED\xA0";
    uint64_t random = 8259;
    unsigned valid = 0;
    (void)state;
    for (int i = 0; i < 60000; i++) {
        struct mr_slice text = good[next_random(&random) % MR_COUNT_OF(good)];
        char bytes[512];
        size_t len = text.len;
        bool comparable;
        bool expected;
        memcpy(bytes, text.ptr, len);
        for (uint64_t change = next_random(&random) % 3 + 1; change > 0; change--) {
            size_t at = next_random(&random) % (len + 1);
            uint64_t kind = next_random(&random) % 3;
            if (kind > 0 && at < len) {
                memmove(bytes + at, bytes + at + 1, len - at - 1);
                len--;
            }
            if (kind < 2) {
                memmove(bytes + at + 1, bytes + at, len - at);
                bytes[at] = spice[next_random(&random) % (sizeof spice - 1)];
                len++;
            }
        }
        expected = jansson_is_valid(mr_slice(bytes, len), &comparable);
        if (comparable && is_valid(mr_slice(bytes, len)) != expected) {
            fail_msg("jansson says %d: %.*s", expected, (int)len, bytes);
        }
        valid += expected;
    }
    /* Both verdicts must have been met often. */
    assert_in_range(valid, 5000, 50000);
}

static void test_the_tokens_of_a_text(void **state)
{
    static const struct {
        enum json_token token;
        unsigned depth;
        const char *raw;
    } expected[] = {
        {JSON_SCAN_OBJECT_BEGIN, 1, NULL}, {JSON_SCAN_NAME, 1, "a\\n"},
        {JSON_SCAN_ARRAY_BEGIN, 2, NULL},  {JSON_SCAN_NUMBER, 2, "-1.50e+2"},
        {JSON_SCAN_STRING, 2, "x y"},      {JSON_SCAN_TRUE, 2, "true"},
        {JSON_SCAN_FALSE, 2, "false"},     {JSON_SCAN_NULL, 2, "null"},
        {JSON_SCAN_OBJECT_BEGIN, 3, NULL}, {JSON_SCAN_OBJECT_END, 2, NULL},
        {JSON_SCAN_ARRAY_END, 1, NULL},    {JSON_SCAN_NAME, 1, ""},
        {JSON_SCAN_STRING, 1, ""},         {JSON_SCAN_OBJECT_END, 0, NULL},
        {JSON_SCAN_END, 0, NULL},          {JSON_SCAN_END, 0, NULL},
    };
    struct json_scan scan;
    (void)state;
    json_scan_init(&scan,
                   MR_SLICE(" {\"a\\n\" : [-1.50e+2 , \"x y\",true,false,null,{}],\"\":\"\"} "));
    for (size_t i = 0; i < MR_COUNT_OF(expected); i++) {
        assert_int_equal(json_scan_next(&scan), expected[i].token);
        assert_int_equal(scan.depth, expected[i].depth);
        if (expected[i].raw != NULL) {
            assert_true(mr_slice_is(scan.raw, mr_slice_of(expected[i].raw)));
        }
        if (expected[i].token == JSON_SCAN_NAME || expected[i].token == JSON_SCAN_STRING) {
            assert_int_equal(scan.raw_has_escapes,
                             memchr(scan.raw.ptr, '\\', scan.raw.len) != NULL);
        }
    }
}

static void test_errors_say_where_and_stay(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"{\"a\" 1}", "line 1, column 6: expected ':'"},
        {"{\n  \"\xC3\xA4\": tru}", "line 2, column 8: expected a value"},
        {"[1\n\n 2]", "line 3, column 2: expected ',' or ']'"},
        {"{\"a\":1]", "line 1, column 7: expected ',' or '}'"},
        {"{\"a\":1,}", "line 1, column 8: expected a name in quotes"},
        {"[1,", "line 1, column 4: unexpected end"},
        {"", "line 1, column 1: unexpected end"},
        {"[-x]", "line 1, column 3: expected a digit"},
        {"[] []", "line 1, column 4: text after the value"},
        {"\"a\nb\"", "line 1, column 3: a control character in a string"},
        {"\"a\\qb\"", "line 1, column 3: malformed escape or lone surrogate"},
        {"\"a\xFF\"", "line 1, column 3: malformed UTF-8"},
        {"\xEF\xBB\xBF{}", "line 1, column 1: a byte order mark is not allowed"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct json_scan scan;
        struct mr_error err;
        json_scan_init(&scan, mr_slice_of(cases[i].text));
        while (json_scan_next(&scan) < JSON_SCAN_END) {
        }
        assert_int_equal(json_scan_next(&scan), JSON_SCAN_ERROR);
        assert_int_equal(json_scan_error(&scan, &err), MR_EFORMAT);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void test_skipping_a_value_gives_its_text(void **state)
{
    struct json_scan scan;
    struct mr_slice raw = MR_SLICE("untouched");
    (void)state;
    json_scan_init(&scan, MR_SLICE("{\"a\" :  {\"b\":[1, {}]}  ,\"c\":-1.5}"));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_OBJECT_BEGIN);
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_NAME);
    assert_int_equal(json_scan_skip(&scan, &raw), 0);
    assert_true(mr_slice_is(raw, MR_SLICE("{\"b\":[1, {}]}")));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_NAME);
    assert_int_equal(json_scan_skip(&scan, &raw), 0);
    assert_true(mr_slice_is(raw, MR_SLICE("-1.5")));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_OBJECT_END);
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_END);

    json_scan_init(&scan, MR_SLICE(" \"x\" "));
    assert_int_equal(json_scan_skip(&scan, &raw), 0);
    assert_true(mr_slice_is(raw, MR_SLICE("\"x\"")));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_END);

    raw = MR_SLICE("untouched");
    json_scan_init(&scan, MR_SLICE(" [1,2"));
    assert_int_equal(json_scan_skip(&scan, &raw), MR_EFORMAT);
    assert_true(mr_slice_is(raw, MR_SLICE("untouched")));
    assert_int_equal(json_scan_skip(&scan, &raw), MR_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_rfc_8259_allows_and_jansson_agrees),
        cmocka_unit_test(test_what_rfc_8259_forbids_and_jansson_agrees),
        cmocka_unit_test(test_the_differences_to_jansson),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_the_levels_remember_what_they_are),
        cmocka_unit_test(test_random_changes_are_judged_as_by_jansson),
        cmocka_unit_test(test_the_tokens_of_a_text),
        cmocka_unit_test(test_errors_say_where_and_stay),
        cmocka_unit_test(test_skipping_a_value_gives_its_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

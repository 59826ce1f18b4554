// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "event/json_scan.h"
#include "lib/heap.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Nothing for a surrogate. */
static size_t put_utf8(uint32_t c, char *to)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return c >= 0xD800 && c <= 0xDFFF ? 0 : 3;
    }
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* What jansson decodes is what we decode, and what we write it decodes to what it was. */
static void test_strings_there_and_back_with_jansson(void **state)
{
    uint64_t random = 7;
    struct mr_buf text;
    struct mr_buf back;
    (void)state;
    buf_init(&text, 100000);
    buf_init(&back, 100000);
    for (int i = 0; i < 20000; i++) {
        char bytes[64] = {0};
        size_t len = 0;
        json_t *value;
        char *dumped;
        struct json_scan scan;
        for (size_t p = 0; p < 8; p++) {
            uint32_t c = (uint32_t)(next_random(&random) % 0x10FFFF) >> (next_random(&random) % 21);
            len += put_utf8(c, bytes + len);
        }
        /* ours, read by jansson */
        buf_clear(&text);
        assert_int_equal(json_write_string(mr_slice(bytes, len), &text), 0);
        value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        assert_true(mr_slice_is(mr_slice(json_string_value(value), json_string_length(value)),
                                mr_slice(bytes, len)));
        /* jansson's, with every escape it knows, read by us */
        dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_ESCAPE_SLASH);
        json_decref(value);
        assert_non_null(dumped);
        json_scan_init(&scan, mr_slice_of(dumped));
        assert_int_equal(json_scan_next(&scan), JSON_SCAN_STRING);
        buf_clear(&back);
        assert_int_equal(json_scan_unescape(&scan, &back), 0);
        assert_true(mr_slice_is(buf_slice(&back), mr_slice(bytes, len)));
        free(dumped);
    }
    buf_done(&text);
    buf_done(&back);
}

static void test_what_is_escaped(void **state)
{
    static const struct {
        struct mr_slice text;
        const char *written;
    } cases[] = {
        {MR_SLICE_INIT(""), "\"\""},
        {MR_SLICE_INIT("a/b"), "\"a/b\""},
        {MR_SLICE_INIT("\"\\"), "\"\\\"\\\\\""},
        {MR_SLICE_INIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\""},
        {MR_SLICE_INIT("\0\x1b\x1f\x7f"), "\"\\u0000\\u001b\\u001f\\u007f\""},
        {MR_SLICE_INIT("\xC2\x80\xC2\x9F\xC2\xA0\xC3\xA4"), "\"\\u0080\\u009f\xC2\xA0\xC3\xA4\""},
    };
    struct mr_buf buf;
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        buf_init(&buf, 100);
        assert_int_equal(json_write_string(cases[i].text, &buf), 0);
        assert_true(mr_slice_is(buf_slice(&buf), mr_slice_of(cases[i].written)));
        buf_done(&buf);
    }
    buf_init(&buf, 5);
    assert_int_equal(json_write_string(MR_SLICE("abcd"), &buf), MR_ELIMIT);
    buf_done(&buf);
}

static void test_the_bound_of_unescaped_text_is_exact(void **state)
{
    struct json_scan scan;
    struct mr_buf buf;
    (void)state;
    json_scan_init(&scan, MR_SLICE("\"a\\ud83d\\ude00\\u00e4b\""));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_STRING);
    buf_init(&buf, 8);
    assert_int_equal(json_scan_unescape(&scan, &buf), 0);
    assert_true(mr_slice_is(buf_slice(&buf), MR_SLICE("a\xF0\x9F\x98\x80\xC3\xA4"
                                                      "b")));
    buf_done(&buf);
    buf_init(&buf, 7);
    assert_int_equal(json_scan_unescape(&scan, &buf), MR_ELIMIT);
    buf_done(&buf);
}

static void test_out_of_memory(void **state)
{
    struct json_scan scan;
    struct mr_buf buf;
    (void)state;
    buf_init(&buf, 100);
    json_scan_init(&scan, MR_SLICE("\"a\\n\""));
    assert_int_equal(json_scan_next(&scan), JSON_SCAN_STRING);
    heap_fail_at(1);
    assert_int_equal(json_scan_unescape(&scan, &buf), MR_ENOMEM);
    buf_clear(&buf);
    heap_fail_at(1);
    assert_int_equal(json_write_string(MR_SLICE("a"), &buf), MR_ENOMEM);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_there_and_back_with_jansson),
        cmocka_unit_test(test_what_is_escaped),
        cmocka_unit_test(test_the_bound_of_unescaped_text_is_exact),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

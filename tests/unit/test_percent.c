// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event/percent.h"
#include "lib/heap.h"

/* RFC 3986: 2.3 unreserved, 2.2 reserved, 2.5 the letter a with grave accent and katakana. */
static const struct {
    const char *plain;
    const char *encoded;
} rows[] = {
    {"", ""},
    {"AZaz09-._~", "AZaz09-._~"},
    {":/?#[]@", "%3A%2F%3F%23%5B%5D%40"},
    {"!$&'()*+,;=", "%21%24%26%27%28%29%2A%2B%2C%3B%3D"},
    {"\xc3\x80", "%C3%80"},
    {"\xe3\x82\xa2", "%E3%82%A2"},
    {"100%", "100%25"},
    {"a b", "a%20b"},
};

static void test_encode_and_decode(void **state)
{
    struct mr_buf out;
    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        buf_clear(&out);
        assert_int_equal(percent_encode(mr_slice_of(rows[i].plain), &out), 0);
        assert_true(mr_slice_is(buf_slice(&out), mr_slice_of(rows[i].encoded)));
        buf_clear(&out);
        assert_int_equal(percent_decode(mr_slice_of(rows[i].encoded), false, &out, NULL), 0);
        assert_true(mr_slice_is(buf_slice(&out), mr_slice_of(rows[i].plain)));
    }
    buf_done(&out);
}

static void test_every_byte_comes_back(void **state)
{
    unsigned char bytes[256];
    struct mr_buf encoded;
    struct mr_buf decoded;
    (void)state;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    buf_init(&encoded, 1000);
    buf_init(&decoded, 1000);
    assert_int_equal(percent_encode(mr_slice(bytes, sizeof bytes), &encoded), 0);
    assert_int_equal(encoded.len, 66 + 3 * (256 - 66)); /* 66 unreserved characters */
    assert_int_equal(percent_decode(buf_slice(&encoded), true, &decoded, NULL), 0);
    assert_int_equal(decoded.len, sizeof bytes);
    assert_memory_equal(decoded.ptr, bytes, sizeof bytes);
    buf_done(&encoded);
    buf_done(&decoded);
}

static void test_decoding_takes_either_case_and_plus_in_queries(void **state)
{
    struct mr_buf out;
    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(percent_decode(MR_SLICE("a+b%2b%2F%2f"), true, &out, NULL), 0);
    assert_true(mr_slice_is(buf_slice(&out), MR_SLICE("a b+//")));
    assert_int_equal(percent_decode(MR_SLICE("+"), false, &out, NULL), 0);
    assert_true(mr_slice_is(buf_slice(&out), MR_SLICE("a b+//+"))); /* appended */
    buf_done(&out);
}

static void test_broken_escapes_are_refused(void **state)
{
    static const char *const texts[] = {"%",   "%2",  "ab%",  "ab%4", "%zz",
                                        "%4g", "%g4", "%%41", "%+1",  "% 1"};
    struct mr_buf out;
    struct mr_error err;
    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(buf_add_str(&out, "kept"), 0);
    for (size_t i = 0; i < MR_COUNT_OF(texts); i++) {
        assert_int_equal(percent_decode(mr_slice_of(texts[i]), true, &out, &err), MR_EFORMAT);
        assert_true(mr_slice_is(buf_slice(&out), MR_SLICE("kept")));
    }
    assert_int_equal(percent_decode(MR_SLICE("abc%4"), true, &out, &err), MR_EFORMAT);
    assert_string_equal(err.text, "\"%\" at byte 3 is not followed by two hexadecimal digits");
    buf_done(&out);
}

static void test_bounds_are_exact(void **state)
{
    struct mr_buf out;
    struct mr_error err;
    (void)state;
    buf_init(&out, 7);
    assert_int_equal(percent_encode(MR_SLICE("//a"), &out), 0);
    buf_clear(&out);
    assert_int_equal(percent_encode(MR_SLICE("//ab"), &out), MR_ELIMIT);
    buf_clear(&out);
    assert_int_equal(percent_decode(MR_SLICE("%41%41%41%41%41%41%41"), true, &out, &err), 0);
    buf_clear(&out);
    assert_int_equal(percent_decode(MR_SLICE("%41%41%41%41%41%41%41a"), true, &out, &err),
                     MR_ELIMIT);
    assert_int_equal(err.code, MR_ELIMIT);
    buf_done(&out);
}

static void test_every_allocation_may_fail(void **state)
{
    struct mr_buf out;
    struct mr_error err;
    (void)state;
    buf_init(&out, 1000);
    heap_fail_at(1);
    assert_int_equal(percent_encode(MR_SLICE("x"), &out), MR_ENOMEM);
    buf_clear(&out);
    heap_fail_at(1);
    assert_int_equal(percent_decode(MR_SLICE("x"), false, &out, &err), MR_ENOMEM);
    assert_true(err.retriable);
    buf_done(&out);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_and_decode),
        cmocka_unit_test(test_every_byte_comes_back),
        cmocka_unit_test(test_decoding_takes_either_case_and_plus_in_queries),
        cmocka_unit_test(test_broken_escapes_are_refused),
        cmocka_unit_test(test_bounds_are_exact),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/base64.h"
#include "lib/heap.h"

static const struct {
    struct mr_slice bytes;
    struct mr_slice text;
} vectors[] = {
    /* RFC 4648 10 */
    {MR_SLICE_INIT(""), MR_SLICE_INIT("")},
    {MR_SLICE_INIT("f"), MR_SLICE_INIT("Zg==")},
    {MR_SLICE_INIT("fo"), MR_SLICE_INIT("Zm8=")},
    {MR_SLICE_INIT("foo"), MR_SLICE_INIT("Zm9v")},
    {MR_SLICE_INIT("foob"), MR_SLICE_INIT("Zm9vYg==")},
    {MR_SLICE_INIT("fooba"), MR_SLICE_INIT("Zm9vYmE=")},
    {MR_SLICE_INIT("foobar"), MR_SLICE_INIT("Zm9vYmFy")},
    /* RFC 4648 9 */
    {MR_SLICE_INIT("\x14\xFB\x9C\x03\xD9\x7E"), MR_SLICE_INIT("FPucA9l+")},
    {MR_SLICE_INIT("\x14\xFB\x9C\x03\xD9"), MR_SLICE_INIT("FPucA9k=")},
    {MR_SLICE_INIT("\x14\xFB\x9C\x03"), MR_SLICE_INIT("FPucAw==")},
    /* The whole alphabet, RFC 4648 4 (bytes by Python's base64) */
    {MR_SLICE_INIT("\x00\x10\x83\x10\x51\x87\x20\x92\x8b\x30\xd3\x8f\x41\x14\x93\x51\x55\x97\x61"
                   "\x96\x9b\x71\xd7\x9f\x82\x18\xa3\x92\x59\xa7\xa2\x9a\xab\xb2\xdb\xaf\xc3\x1c"
                   "\xb3\xd3\x5d\xb7\xe3\x9e\xbb\xf3\xdf\xbf"),
     MR_SLICE_INIT("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")},
};

static void test_vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(vectors); i++) {
        struct mr_buf buf;
        char bytes[64];
        size_t len = SIZE_MAX;
        buf_init(&buf, 1000);
        assert_int_equal(buf_add_str(&buf, "> "), 0);
        assert_int_equal(base64_encode(vectors[i].bytes, &buf), 0);
        assert_int_equal(buf.len, vectors[i].text.len + 2);
        assert_memory_equal(buf.ptr + 2, vectors[i].text.ptr, vectors[i].text.len);
        buf_done(&buf);
        assert_int_equal(base64_decode_to(vectors[i].text, bytes, &len, NULL), 0);
        assert_true(mr_slice_is(mr_slice(bytes, len), vectors[i].bytes));
    }
}

static void test_malformed_text_is_refused(void **state)
{
    static const struct mr_slice bad[] = {
        MR_SLICE_INIT("Z"),           MR_SLICE_INIT("Zg"),         MR_SLICE_INIT("Zg="),
        MR_SLICE_INIT("Zm8"),         MR_SLICE_INIT("Zg==="),      MR_SLICE_INIT("===="),
        MR_SLICE_INIT("Z==="),        MR_SLICE_INIT("=Zg="),       MR_SLICE_INIT("Z=g="),
        MR_SLICE_INIT("Zg=A"),        MR_SLICE_INIT("Zg==Zm9v"),   MR_SLICE_INIT("Zm8=Zm9v"),
        MR_SLICE_INIT("Zh=="),        MR_SLICE_INIT("Zm9="),       MR_SLICE_INIT("Zm 9"),
        MR_SLICE_INIT("Zm9v\n"),      MR_SLICE_INIT("Zm9v\r\nZg"), MR_SLICE_INIT(" Zm9v"),
        MR_SLICE_INIT("Zm-_"),        MR_SLICE_INIT("Zm9\0"),      MR_SLICE_INIT("Zm9\xFF"),
        MR_SLICE_INIT("Zm9vZm9\xC3"),
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        struct mr_error err;
        char bytes[12];
        size_t len = SIZE_MAX;
        assert_int_equal(base64_decode_to(bad[i], bytes, &len, &err), MR_EFORMAT);
        assert_int_equal(err.code, MR_EFORMAT);
        assert_int_equal(len, SIZE_MAX);
    }
}

/* Each digit's place in the alphabet, and that no other byte is one, in every position. */
static void test_exactly_the_alphabet_is_taken(void **state)
{
    const char *alphabet = vectors[MR_COUNT_OF(vectors) - 1].text.ptr;
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (int position = 0; position < 4; position++) {
            char text[4] = {'A', 'A', 'A', 'A'};
            char bytes[3];
            size_t len = 0;
            const char *place = c == 0 ? NULL : strchr(alphabet, c);
            int rc;
            text[position] = (char)c;
            rc = base64_decode_to(mr_slice(text, 4), bytes, &len, NULL);
            if (c == '=' && position == 3) {
                assert_int_equal(rc, 0);
                assert_int_equal(len, 2);
                continue;
            }
            assert_int_equal(rc, place == NULL ? MR_EFORMAT : 0);
            if (place != NULL) {
                unsigned value = (unsigned char)bytes[0] * 65536U + (unsigned char)bytes[1] * 256U +
                                 (unsigned char)bytes[2];
                assert_int_equal(len, 3);
                assert_int_equal(value, (unsigned)(place - alphabet) << 6 * (3 - position));
            }
        }
    }
}

static void test_decoding_in_place(void **state)
{
    char text[] = "Zm9vYmE=";
    size_t len = 0;
    (void)state;
    assert_int_equal(base64_decode_to(mr_slice(text, 8), text, &len, NULL), 0);
    assert_int_equal(len, 5);
    assert_memory_equal(text, "fooba", 5);
}

static void test_the_buffers_bound_and_the_heap(void **state)
{
    struct mr_buf buf;
    (void)state;
    buf_init(&buf, 8);
    assert_int_equal(base64_encode(MR_SLICE("foobar"), &buf), 0);
    assert_int_equal(base64_encode(MR_SLICE("f"), &buf), MR_ELIMIT);
    buf_done(&buf);
    heap_fail_at(1);
    assert_int_equal(base64_encode(MR_SLICE("f"), &buf), MR_ENOMEM);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_both_ways),
        cmocka_unit_test(test_malformed_text_is_refused),
        cmocka_unit_test(test_exactly_the_alphabet_is_taken),
        cmocka_unit_test(test_decoding_in_place),
        cmocka_unit_test(test_the_buffers_bound_and_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

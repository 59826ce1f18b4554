// SPDX-License-Identifier: Apache-2.0
#include "event/base64.h"

#include <stdbool.h>
#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { NOT_A_DIGIT = 64 };

/* The value of each digit plus 1, so that the rest of the table is 0. */
static const unsigned char values_plus_1[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

int base64_encode(struct mr_slice bytes, struct mr_buf *out)
{
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    size_t groups = bytes.len / 3;
    size_t left = bytes.len % 3;
    char *to;
    int rc;

    /* Beyond this the length of the text would wrap; no buffer is as large. */
    rc = buf_reserve(out, bytes.len > SIZE_MAX / 2 ? SIZE_MAX : (groups + (left > 0)) * 4);
    if (rc != 0 || bytes.len == 0) {
        return rc;
    }
    to = out->ptr + out->len;
    for (size_t i = 0; i < groups; i++, in += 3, to += 4) {
        to[0] = digits[in[0] >> 2];
        to[1] = digits[(in[0] & 3U) << 4 | in[1] >> 4];
        to[2] = digits[(in[1] & 15U) << 2 | in[2] >> 6];
        to[3] = digits[in[2] & 63U];
    }
    if (left > 0) {
        unsigned second = left == 2 ? in[1] : 0;
        to[0] = digits[in[0] >> 2];
        to[1] = digits[(in[0] & 3U) << 4 | second >> 4];
        to[2] = left == 2 ? digits[(second & 15U) << 2] : '=';
        to[3] = '=';
        to += 4;
    }
    out->len = (size_t)(to - out->ptr);
    return 0;
}

static unsigned value_of(char c)
{
    return values_plus_1[(unsigned char)c] - 1U;
}

/* Two or three digits and padding. Returns the bytes written, 0 if it isn't such a group. */
static size_t decode_padded(const char *in, unsigned char *to)
{
    unsigned a = value_of(in[0]);
    unsigned b = value_of(in[1]);
    unsigned c = value_of(in[2]);
    if (a >= NOT_A_DIGIT || b >= NOT_A_DIGIT || in[3] != '=') {
        return 0;
    }
    if (in[2] == '=') {
        to[0] = (unsigned char)(a << 2 | b >> 4);
        return (b & 15U) == 0 ? 1 : 0;
    }
    if (c >= NOT_A_DIGIT || (c & 3U) != 0) {
        return 0;
    }
    to[0] = (unsigned char)(a << 2 | b >> 4);
    to[1] = (unsigned char)((b & 15U) << 4 | c >> 2);
    return 2;
}

/* Four digits to three bytes. */
static bool decode_group(const char *in, unsigned char *to)
{
    unsigned a = value_of(in[0]);
    unsigned b = value_of(in[1]);
    unsigned c = value_of(in[2]);
    unsigned d = value_of(in[3]);
    if ((a | b | c | d) >= NOT_A_DIGIT) {
        return false;
    }
    to[0] = (unsigned char)(a << 2 | b >> 4);
    to[1] = (unsigned char)((b & 15U) << 4 | c >> 2);
    to[2] = (unsigned char)((c & 3U) << 6 | d);
    return true;
}

int base64_decode_to(struct mr_slice text, char *to, size_t *ret_len, struct mr_error *err)
{
    unsigned char *at = (unsigned char *)to;
    size_t i = 0;
    size_t len;

    if (text.len % 4 != 0) {
        return mr_error_set(err, MR_EFORMAT, "base64: the length is not a multiple of 4");
    }
    for (; i < text.len && decode_group(text.ptr + i, at); i += 4) {
        at += 3;
    }
    if (i < text.len) {
        len = i + 4 == text.len ? decode_padded(text.ptr + i, at) : 0;
        if (len == 0) {
            return mr_error_set(err, MR_EFORMAT, "base64: malformed at byte %zu", i + 1);
        }
        at += len;
    }
    *ret_len = (size_t)(at - (unsigned char *)to);
    return 0;
}

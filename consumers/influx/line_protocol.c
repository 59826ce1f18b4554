// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/line_protocol.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_IN_RANGE = 308 };

/* Bytes that mean something in a name; all others stand for themselves. */
enum { CONTROL = 1, DELIMITER = 2, BACKSLASH = 4 };

static const unsigned char class_of[256] = {
    [0x00 ... 0x1F] = CONTROL, [0x7F] = CONTROL,  [','] = DELIMITER,
    ['='] = DELIMITER,         [' '] = DELIMITER, ['\\'] = BACKSLASH,
};

static bool is_of(char c, unsigned classes)
{
    return (class_of[(unsigned char)c] & classes) != 0;
}

/* The first byte of these classes from `at` on, or the end. */
static size_t find(struct mr_slice name, size_t at, unsigned classes)
{
    while (at < name.len && !is_of(name.ptr[at], classes)) {
        at++;
    }
    return at;
}

static bool begins_comment(enum line_name kind, struct mr_slice name)
{
    return kind == LINE_MEASUREMENT && name.ptr[0] == '#';
}

/* A control character can't be carried at all, a backslash not before what it would escape. */
static bool is_unusable(struct mr_slice name, size_t at)
{
    return name.ptr[at] != '\\' || at + 1 == name.len || is_of(name.ptr[at + 1], DELIMITER) ||
           name.ptr[at + 1] == '"';
}

bool line_is_plain(enum line_name kind, struct mr_slice name)
{
    return name.len > 0 && find(name, 0, CONTROL | DELIMITER | BACKSLASH) == name.len &&
           !begins_comment(kind, name);
}

int line_clean(enum line_name kind, struct mr_slice name, struct mr_buf *out)
{
    const unsigned classes = CONTROL | BACKSLASH;
    size_t begin = 0;
    if (name.len == 0 || begins_comment(kind, name)) {
        (void)buf_add_char(out, '_');
        begin = name.len == 0 ? 0 : 1;
    }
    for (size_t i = find(name, begin, classes); i < name.len; i = find(name, i + 1, classes)) {
        if (is_unusable(name, i)) {
            (void)buf_add(out, name.ptr + begin, i - begin);
            (void)buf_add_char(out, '_');
            begin = i + 1;
        }
    }
    return buf_add(out, name.ptr + begin, name.len - begin);
}

int line_write_name(enum line_name kind, struct mr_slice clean, struct mr_buf *out)
{
    size_t begin = 0;
    assert(clean.len > 0);
    for (size_t i = find(clean, 0, DELIMITER); i < clean.len; i = find(clean, i + 1, DELIMITER)) {
        if (clean.ptr[i] != '=' || kind != LINE_MEASUREMENT) {
            (void)buf_add(out, clean.ptr + begin, i - begin);
            (void)buf_add_char(out, '\\');
            begin = i;
        }
    }
    return buf_add(out, clean.ptr + begin, clean.len - begin);
}

int line_write_string(struct mr_slice text, struct mr_buf *out)
{
    size_t begin = 0;
    (void)buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\') {
            (void)buf_add(out, text.ptr + begin, i - begin);
            (void)buf_add_char(out, '\\');
            begin = i;
        }
    }
    (void)buf_add(out, text.ptr + begin, text.len - begin);
    return buf_add_char(out, '"');
}

#define TEN(tens)                                                                              \
    {tens, '0'}, {tens, '1'}, {tens, '2'}, {tens, '3'}, {tens, '4'}, {tens, '5'}, {tens, '6'}, \
        {tens, '7'}, {tens, '8'},                                                              \
    {                                                                                          \
        tens, '9'                                                                              \
    }

static const char pairs[100][2] = {TEN('0'), TEN('1'), TEN('2'), TEN('3'), TEN('4'),
                                   TEN('5'), TEN('6'), TEN('7'), TEN('8'), TEN('9')};

int line_write_integer(int64_t value, struct mr_buf *out)
{
    char digits[20]; /* of 2^63, and its sign */
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    while (rest >= 100) { /* two at a time: half the divisions */
        at -= 2;
        memcpy(digits + at, pairs[rest % 100], 2);
        rest /= 100;
    }
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0) {
        digits[--at] = '-';
    }
    return buf_add(out, digits + at, sizeof digits - at);
}

/* Without an exponent, 308 digits before the point are always below the largest double. */
static bool is_surely_in_range(struct mr_slice number)
{
    bool has_exponent = false;
    for (size_t i = 0; i < number.len && i < DIGITS_IN_RANGE; i++) {
        has_exponent |= (number.ptr[i] | ('e' ^ 'E')) == 'e';
    }
    return number.len <= DIGITS_IN_RANGE && !has_exponent;
}

int line_check_number(struct mr_slice number, struct mr_error *err)
{
    char text[LINE_NUMBER_BYTES_MAX + 1];
    if (is_surely_in_range(number)) {
        return 0;
    }
    if (number.len > LINE_NUMBER_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a number of %zu characters, over %d", number.len,
                            LINE_NUMBER_BYTES_MAX);
    }
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    if (isinf(strtod(text, NULL))) {
        return mr_error_set(err, MR_EFORMAT, "the number %.40s is beyond a 64-bit float", text);
    }
    return 0;
}

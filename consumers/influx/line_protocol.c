// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/line_protocol.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_delimiter(char c)
{
    return c == ',' || c == '=' || c == ' ';
}

/* Can't be carried at this place of a name. */
static bool is_unusable(enum line_name kind, struct mr_slice name, size_t at)
{
    char c = name.ptr[at];
    if (c == '\\') {
        return at + 1 == name.len || is_delimiter(name.ptr[at + 1]) || name.ptr[at + 1] == '"';
    }
    return is_control(c) || (c == '#' && at == 0 && kind == LINE_MEASUREMENT);
}

int line_clean(enum line_name kind, struct mr_slice name, struct mr_buf *out)
{
    size_t begin = 0;
    if (name.len == 0) {
        return buf_add_char(out, '_');
    }
    for (size_t i = 0; i < name.len; i++) {
        if (is_unusable(kind, name, i)) {
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
    for (size_t i = 0; i < clean.len; i++) {
        char c = clean.ptr[i];
        if (is_delimiter(c) && !(c == '=' && kind == LINE_MEASUREMENT)) {
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

int line_write_integer(int64_t value, struct mr_buf *out)
{
    char digits[20]; /* of 2^63, and its sign */
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
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
    return number.len <= 308 && memchr(number.ptr, 'e', number.len) == NULL &&
           memchr(number.ptr, 'E', number.len) == NULL;
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

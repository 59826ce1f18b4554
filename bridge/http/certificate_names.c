// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/certificate_names.h"

#include <string.h>

#include "event/check.h"
#include "kit/ascii.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    c = ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

static bool is_descr(struct mr_slice type)
{
    for (size_t i = 1; i < type.len; i++) {
        if (!is_letter(type.ptr[i]) && !is_digit(type.ptr[i]) && type.ptr[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool is_numericoid(struct mr_slice type)
{
    bool had_dot = false;
    for (size_t i = 0; i < type.len; i++) {
        bool is_between = i > 0 && i + 1 < type.len && is_digit(type.ptr[i - 1]);
        if (type.ptr[i] == '.' && is_between) {
            had_dot = true;
        } else if (!is_digit(type.ptr[i])) {
            return false;
        }
    }
    return had_dot;
}

bool certificate_is_type(struct mr_slice type)
{
    if (type.len == 0) {
        return false;
    }
    return is_letter(type.ptr[0]) ? is_descr(type) : is_numericoid(type);
}

/* RFC 4514 2.4 and 3: these may follow a backslash by themselves. */
static bool is_escapable(char c)
{
    return memchr("\\\"+,;<> #=", c, 10) != NULL;
}

/* One character of a value, or two hexadecimal digits after a backslash. Returns how many bytes of
 * `text` it took; 0: it may not stand there. */
static size_t unescape(struct mr_slice text, char *to)
{
    int high, low;
    if (text.ptr[0] != '\\') {
        *to = text.ptr[0];
        return memchr("\";<>", text.ptr[0], 4) == NULL && text.ptr[0] != '\0' ? 1 : 0;
    }
    if (text.len < 2) {
        return 0;
    }
    if (is_escapable(text.ptr[1])) {
        *to = text.ptr[1];
        return 2;
    }
    if (text.len < 3) {
        return 0;
    }
    high = ascii_hex_value(text.ptr[1]);
    low = ascii_hex_value(text.ptr[2]);
    *to = (char)(high * 16 + low);
    return high >= 0 && low >= 0 ? 3 : 0;
}

/* The value at the start of `text`, up to the "," or "+" that ends it. */
struct value {
    size_t raw_len;
    size_t len;
    bool is_hex; /* "#04024869": the BER of something that has no text */
};

static bool read_hex_value(struct mr_slice text, struct value *ret_value)
{
    size_t at = 1;
    while (at < text.len && ascii_hex_value(text.ptr[at]) >= 0) {
        at++;
    }
    *ret_value = (struct value){.raw_len = at, .is_hex = true};
    return at > 1 && at % 2 == 1;
}

static bool read_value(struct mr_slice text, char *to, struct value *ret_value)
{
    size_t at = 0, len = 0;
    if (text.len > 0 && text.ptr[0] == '#') {
        return read_hex_value(text, ret_value);
    }
    if (text.len > 0 && text.ptr[0] == ' ') {
        return false;
    }
    while (at < text.len && text.ptr[at] != ',' && text.ptr[at] != '+') {
        bool is_last_space;
        size_t took = unescape(mr_slice(text.ptr + at, text.len - at), to + len);
        if (took == 0) {
            return false;
        }
        at += took;
        len++;
        is_last_space = took == 1 && to[len - 1] == ' ' &&
                        (at == text.len || text.ptr[at] == ',' || text.ptr[at] == '+');
        if (is_last_space) {
            return false;
        }
    }
    *ret_value = (struct value){.raw_len = at, .len = len};
    return true;
}

static int take(struct mr_slice type, const char *text, const struct value *value,
                struct mr_slice *ret_value, struct mr_error *err)
{
    if (ret_value->ptr != NULL) {
        return mr_error_set(err, MR_EFORMAT, "%.*s is there twice", MR_SLICE_ARG(type));
    }
    *ret_value = mr_slice(text, value->len);
    if (value->is_hex || value->len == 0 || !check_string(*ret_value)) {
        return mr_error_set(err, MR_EFORMAT,
                            "%.*s is not a text without control characters, or is empty",
                            MR_SLICE_ARG(type));
    }
    return 0;
}

static int malformed(struct mr_error *err)
{
    return mr_error_set(err, MR_EFORMAT, "not a distinguished name of RFC 4514");
}

int certificate_name(struct mr_slice subject, struct mr_slice type, char *to,
                     struct mr_slice *ret_value, struct mr_error *err)
{
    struct mr_slice left = subject;
    *ret_value = mr_slice(NULL, 0);
    while (left.len > 0) {
        const char *equals = memchr(left.ptr, '=', left.len);
        size_t type_len = equals == NULL ? 0 : (size_t)(equals - left.ptr);
        struct mr_slice its_type = mr_slice(left.ptr, type_len);
        struct value value;
        if (!certificate_is_type(its_type)) {
            return malformed(err);
        }
        left = mr_slice(left.ptr + type_len + 1, left.len - type_len - 1);
        if (!read_value(left, to, &value)) {
            return malformed(err);
        }
        if (ascii_same(its_type, type)) {
            int rc = take(type, to, &value, ret_value, err);
            if (rc != 0) {
                return rc;
            }
            to += value.len; /* what is kept isn't written over */
        }
        if (value.raw_len == left.len) {
            return 0;
        }
        left = mr_slice(left.ptr + value.raw_len + 1, left.len - value.raw_len - 1);
        if (left.len == 0) {
            return malformed(err); /* it ends with the separator */
        }
    }
    return 0;
}

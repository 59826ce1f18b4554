// SPDX-License-Identifier: Apache-2.0
#include "event/percent.h"

#include "kit/ascii.h"

static const char digits[] = "0123456789ABCDEF";

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int percent_encode(struct mr_slice text, struct mr_buf *out)
{
    size_t len = 0;
    char *at;
    int rc;
    for (size_t i = 0; i < text.len; i++) {
        len += is_unreserved(text.ptr[i]) ? 1 : 3;
    }
    rc = buf_reserve(out, len);
    if (rc != 0 || len == 0) {
        return rc;
    }
    at = out->ptr + out->len;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (is_unreserved(text.ptr[i])) {
            *at++ = text.ptr[i];
        } else {
            *at++ = '%';
            *at++ = digits[byte >> 4];
            *at++ = digits[byte & 0x0f];
        }
    }
    out->len += len;
    return 0;
}

static int check_escapes(struct mr_slice text, size_t *ret_len, struct mr_error *err)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++, len++) {
        if (text.ptr[i] != '%') {
            continue;
        }
        if (text.len - i < 3 || ascii_hex_value(text.ptr[i + 1]) < 0 ||
            ascii_hex_value(text.ptr[i + 2]) < 0) {
            return mr_error_set(err, MR_EFORMAT,
                                "\"%%\" at byte %zu is not followed by two hexadecimal digits", i);
        }
        i += 2;
    }
    *ret_len = len;
    return 0;
}

int percent_decode(struct mr_slice text, bool plus_is_space, struct mr_buf *out,
                   struct mr_error *err)
{
    size_t len = 0;
    char *at;
    int rc = check_escapes(text, &len, err);
    if (rc != 0) {
        return rc;
    }
    if (buf_reserve(out, len) != 0) {
        return buf_check(out, err);
    }
    if (len == 0) {
        return 0; /* there may be no memory yet to point into */
    }
    at = out->ptr + out->len;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            *at++ =
                (char)(ascii_hex_value(text.ptr[i + 1]) << 4 | ascii_hex_value(text.ptr[i + 2]));
            i += 2;
        } else {
            *at++ = c == '+' && plus_is_space ? ' ' : c;
        }
    }
    out->len += len;
    return 0;
}

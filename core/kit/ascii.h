// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_ASCII_H
#define KIT_ASCII_H

/* Characters as protocols have them: case of A to Z alone, and the same in every locale. */

#include <stdbool.h>

#include <millrace/slice.h>

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The value of a hexadecimal digit in either case, or -1. */
static inline int ascii_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* tchar of a token (RFC 9110 5.6.2). */
static inline bool ascii_is_token_char(unsigned char c)
{
    static const bool is_token_char[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
        ['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
        ['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
        ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
        ['|'] = true,         ['~'] = true,
    };
    return is_token_char[c];
}

/* `text` begins with `start`, whatever their case. */
static inline bool ascii_begins_with(struct mr_slice text, struct mr_slice start)
{
    if (text.len < start.len) {
        return false;
    }
    for (size_t i = 0; i < start.len; i++) {
        char a = text.ptr[i];
        char b = start.ptr[i];
        if (a != b && ascii_lower(a) != ascii_lower(b)) {
            return false;
        }
    }
    return true;
}

/* They are the same, whatever their case. */
static inline bool ascii_same(struct mr_slice a, struct mr_slice b)
{
    return a.len == b.len && ascii_begins_with(a, b);
}

#endif

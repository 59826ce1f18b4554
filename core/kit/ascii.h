// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_ASCII_H
#define KIT_ASCII_H

/* Case as protocols have it: of A to Z alone, in every locale. */

#include <stdbool.h>

#include <millrace/slice.h>

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* `text` begins with `start`, whatever their case. */
static inline bool ascii_begins_with(struct mr_slice text, struct mr_slice start)
{
    if (text.len < start.len) {
        return false;
    }
    for (size_t i = 0; i < start.len; i++) {
        if (ascii_lower(text.ptr[i]) != ascii_lower(start.ptr[i])) {
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

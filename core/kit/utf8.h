// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_UTF8_H
#define KIT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

static inline bool utf8_is_continuation(unsigned char byte)
{
    return (byte & 0xC0U) == 0x80U;
}

/* The length (1 to 4) of the UTF-8 sequence at the start of `bytes` (RFC 3629 4: no overlong forms,
 * no surrogates, nothing above U+10FFFF), or 0 if there is none. `left` is at least 1. */
static inline size_t utf8_sequence(const char *bytes, size_t left)
{
    const unsigned char *b = (const unsigned char *)bytes;
    unsigned low = 0x80; /* the second byte's range depends on the first one */
    unsigned high = 0xBF;
    size_t len;

    if (b[0] < 0x80) {
        return 1;
    }
    if (b[0] < 0xC2 || b[0] > 0xF4) {
        return 0;
    }
    len = b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (b[0] == 0xE0) {
        low = 0xA0;
    } else if (b[0] == 0xED) {
        high = 0x9F;
    } else if (b[0] == 0xF0) {
        low = 0x90;
    } else if (b[0] == 0xF4) {
        high = 0x8F;
    }
    if (left < len || b[1] < low || b[1] > high || (len > 2 && !utf8_is_continuation(b[2])) ||
        (len > 3 && !utf8_is_continuation(b[3]))) {
        return 0;
    }
    return len;
}

/* The longest beginning of `text` (UTF-8) of at most `bytes_max` bytes that doesn't end inside a
 * sequence. */
static inline struct mr_slice utf8_cut(struct mr_slice text, size_t bytes_max)
{
    if (text.len > bytes_max) {
        text.len = bytes_max;
        while (text.len > 0 && utf8_is_continuation((unsigned char)text.ptr[text.len])) {
            text.len--;
        }
    }
    return text;
}

#endif

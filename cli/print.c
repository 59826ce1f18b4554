// SPDX-License-Identifier: Apache-2.0
#include "cli/print.h"

#include <stdio.h>
#include <string.h>

#include "kit/utf8.h"

enum { ESCAPE_BYTES = 16 }; /* of one character: 4 times \xNN */

bool print_json_line(struct mr_slice line)
{
    size_t printed = 0;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char first = (unsigned char)line.ptr[i];
        unsigned char second = i + 1 < line.len ? (unsigned char)line.ptr[i + 1] : 0;
        bool is_pair = first == 0xC2 && second >= 0x80 && second <= 0x9F;
        if (first != 0x7F && !is_pair) {
            continue;
        }
        if (fwrite(line.ptr + printed, 1, i - printed, stdout) != i - printed ||
            printf("\\u%04x", (unsigned)(is_pair ? second : first)) < 0) {
            return false;
        }
        i += is_pair;
        printed = i + 1;
    }
    return fwrite(line.ptr + printed, 1, line.len - printed, stdout) == line.len - printed &&
           putchar('\n') != EOF;
}

/* One character, or one byte that is of none. Returns how many bytes it took. */
static size_t escape(const char *at, size_t left, char ret_text[ESCAPE_BYTES + 1])
{
    size_t len = utf8_sequence(at, left);
    unsigned char first = (unsigned char)at[0];
    bool is_c1 = len == 2 && first == 0xC2 && (unsigned char)at[1] < 0xA0;
    if (len == 0 || is_c1 || first < 0x20 || first == 0x7F) {
        (void)snprintf(ret_text, ESCAPE_BYTES + 1, "\\x%02x", first);
        if (is_c1) {
            (void)snprintf(ret_text, ESCAPE_BYTES + 1, "\\x%02x\\x%02x", first,
                           (unsigned char)at[1]);
        }
        return len == 0 ? 1 : len;
    }
    if (first == '\\') {
        memcpy(ret_text, "\\\\", sizeof "\\\\");
        return 1;
    }
    memcpy(ret_text, at, len);
    ret_text[len] = '\0';
    return len;
}

size_t print_harmless(struct mr_slice bytes, char *to, size_t size)
{
    size_t at = 0, len = 0;
    while (at < bytes.len) {
        char text[ESCAPE_BYTES + 1];
        size_t taken = escape(bytes.ptr + at, bytes.len - at, text);
        size_t more = strlen(text);
        if (len + more >= size) {
            break;
        }
        memcpy(to + len, text, more);
        len += more;
        at += taken;
    }
    to[len] = '\0';
    return at;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_RECORD_LINES_H
#define TESTS_FUZZ_RECORD_LINES_H

/* A record as lines of "name: value" (a line without ": " is a null header). */

#include <stdbool.h>
#include <string.h>

#include "event/kafka_binding.h"

/* Take the next line from `text` and terminate it, which needs the byte of its line break. */
static inline bool take_header(struct mr_slice *text, char *base, struct kafka_header *header)
{
    char *line = base + (text->ptr - base);
    char *end = text->len == 0 ? NULL : memchr(line, '\n', text->len);
    char *colon;
    if (end == NULL || end == line) {
        return false;
    }
    *end = '\0';
    text->len -= (size_t)(end - line) + 1;
    text->ptr = end + 1;
    colon = strstr(line, ": ");
    header->name = line;
    header->value = (struct mr_slice){0};
    if (colon != NULL) {
        *colon = '\0';
        header->value = mr_slice(colon + 2, (size_t)(end - colon) - 2);
    }
    return true;
}

#endif

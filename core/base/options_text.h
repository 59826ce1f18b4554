// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_OPTIONS_TEXT_H
#define BASE_OPTIONS_TEXT_H

/* What every file of `[section]` and `key = value` lines has in common: the programs' configuration
 * (options_file.c) and files of their own (the devices of millrace-http). */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

static inline bool options_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the blanks on both sides. */
static inline struct mr_slice options_trim(struct mr_slice text)
{
    while (text.len > 0 && options_is_blank(text.ptr[0])) {
        text = mr_slice(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && options_is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* Without a comment at its end, what follows " ;", and then trimmed. */
static inline struct mr_slice options_cut_comment(struct mr_slice value)
{
    for (size_t i = 1; i < value.len; i++) {
        if (value.ptr[i] == ';' && options_is_blank(value.ptr[i - 1])) {
            return options_trim(mr_slice(value.ptr, i));
        }
    }
    return value;
}

#endif

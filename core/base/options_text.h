// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_OPTIONS_TEXT_H
#define BASE_OPTIONS_TEXT_H

/* What every file of `[section]` and `key = value` lines has in common: the programs' configuration
 * (options_file.c) and files of their own (the devices of millrace-http). */

#include "kit/slice.h"

/* Without a comment at its end, what follows " ;", and then trimmed. */
static inline struct mr_slice options_cut_comment(struct mr_slice value)
{
    for (size_t i = 1; i < value.len; i++) {
        if (value.ptr[i] == ';' && slice_is_blank(value.ptr[i - 1])) {
            return slice_trim(mr_slice(value.ptr, i));
        }
    }
    return value;
}

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_SLICE_H
#define KIT_SLICE_H

/* Cutting text into its parts. What is returned borrows from what was given. */

#include <stdbool.h>

#include <millrace/slice.h>

static inline bool slice_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Without the spaces and tabs around it. */
static inline struct mr_slice slice_trim(struct mr_slice text)
{
    while (text.len > 0 && slice_is_blank(text.ptr[0])) {
        text = mr_slice(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && slice_is_blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

/* What stands before the first `separator`, or all of it; `left` is what is behind. An empty part
 * at the very end is not seen: `while (left.len > 0)`. */
static inline struct mr_slice slice_cut(struct mr_slice *left, char separator)
{
    const char *end = left->len == 0 ? NULL : (const char *)memchr(left->ptr, separator, left->len);
    struct mr_slice part = *left;
    if (end == NULL) {
        *left = mr_slice(left->len == 0 ? left->ptr : left->ptr + left->len, 0);
        return part;
    }
    part.len = (size_t)(end - left->ptr);
    *left = mr_slice(end + 1, left->len - part.len - 1);
    return part;
}

#endif

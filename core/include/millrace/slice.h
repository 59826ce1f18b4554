// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_SLICE_H
#define MILLRACE_SLICE_H

/* Borrowed bytes: a pointer and a length, never owned, not terminated. A slice whose `ptr` is NULL
 * stands for "absent", which is not the same as empty. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct mr_slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal, usable in initialisers. */
#define MR_SLICE_INIT(literal)         \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define MR_SLICE(literal) ((struct mr_slice)MR_SLICE_INIT(literal))

/* For printf's "%.*s": MR_SLICE_ARG(slice). It is for people: beyond 4096 bytes nothing is shown,
 * nor behind a NUL byte. */
#define MR_SLICE_ARG(slice) (int)((slice).len > 4096 ? 4096 : (slice).len), (slice).ptr

static inline struct mr_slice mr_slice(const void *ptr, size_t len)
{
    return (struct mr_slice){ptr, len};
}

/* NULL gives an absent slice. */
static inline struct mr_slice mr_slice_of(const char *string)
{
    return (struct mr_slice){string, string == NULL ? 0 : strlen(string)};
}

static inline bool mr_slice_is(struct mr_slice a, struct mr_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_MAGIC_H
#define KIT_MAGIC_H

/* Checked casts: a struct that travels through a C callback's `void *` begins with
 * `unsigned magic`, set when it is made and cleared when it ends. A mix-up or a use after the end
 * stops the program here, instead of corrupting an event there. Active in every build. */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn static inline void magic_fail(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: not a live %s\n", file, line, what);
    abort();
}

#define MAGIC_CHECK(ptr, value)                         \
    do {                                                \
        if ((ptr) == NULL || (ptr)->magic != (value)) { \
            magic_fail(#value, __FILE__, __LINE__);     \
        }                                               \
    } while (0)

/* struct foo *foo; MAGIC_CAST(foo, data, FOO_MAGIC); */
#define MAGIC_CAST(to, from, value) \
    do {                            \
        (to) = (from);              \
        MAGIC_CHECK(to, value);     \
    } while (0)

/* The struct that contains `member` at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif

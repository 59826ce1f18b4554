// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_ERROR_H
#define MILLRACE_ERROR_H

/* Errors: a code for programs, a text for people, and whether trying again can help. Functions
 * return 0 or a code, and describe it in the struct mr_error that the caller gave; NULL is allowed
 * everywhere and loses only the text. A text gains context as it climbs:
 *     "influx: write http://127.0.0.1:8086/write: 401 unauthorized" */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/macros.h>

/* code, short text */
#define MR_ERROR_MAP(X)                            \
    X(MR_ENOMEM, "out of memory")                  \
    X(MR_EINVAL, "invalid argument")               \
    X(MR_ELIMIT, "over a limit")                   \
    X(MR_EFORMAT, "malformed")                     \
    X(MR_ENOTEVENT, "not a CloudEvent")            \
    X(MR_ETOMBSTONE, "a null value, not an event") \
    X(MR_ECONFIG, "bad configuration")             \
    X(MR_EIO, "input/output error")                \
    X(MR_ENET, "network error")                    \
    X(MR_EKAFKA, "Kafka error")                    \
    X(MR_EBUSY, "too much in hand")                \
    X(MR_ECLOSED, "closed")

enum mr_code {
    MR_OK = 0,
#define X(code, text) code,
    MR_ERROR_MAP(X)
#undef X
};

enum { MR_ERROR_TEXT_BYTES = 512 };

struct mr_error {
    enum mr_code code;
    bool retriable;                 /* the same call may succeed later, unchanged */
    char text[MR_ERROR_TEXT_BYTES]; /* always terminated; cut, never overrun */
};

/* Fill `err` (may be NULL) and return `code`. MR_ENOMEM is retriable; the others are not unless
 * mr_error_retriable() follows. */
MR_API int mr_error_set(struct mr_error *err, enum mr_code code, const char *format, ...)
    MR_PRINTF(3, 4);

/* Put "context: " before the text that is there. Returns err->code (MR_EINVAL if `err` is NULL). */
MR_API int mr_error_wrap(struct mr_error *err, const char *format, ...) MR_PRINTF(2, 3);

/* Mark as worth trying again. Returns err->code. */
MR_API int mr_error_retriable(struct mr_error *err);

/* The short text of a code, never NULL. */
MR_API const char *mr_code_text(enum mr_code code);

#endif

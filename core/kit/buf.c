// SPDX-License-Identifier: Apache-2.0
#include "kit/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kit/mem.h"

enum { FIRST_BYTES = 128 };

void buf_init(struct mr_buf *buf, size_t bytes_max)
{
    assert(bytes_max > 0);
    *buf = (struct mr_buf){.bytes_max = bytes_max};
}

void buf_done(struct mr_buf *buf)
{
    size_t bytes_max = buf->bytes_max;
    mem_free(buf->ptr);
    *buf = (struct mr_buf){.bytes_max = bytes_max};
}

void buf_clear(struct mr_buf *buf)
{
    buf->len = 0;
    buf->failed = 0;
}

/* Doubles, so that appending costs a constant amount a byte. */
static int grow(struct mr_buf *buf, size_t needed)
{
    size_t capacity = buf->capacity < FIRST_BYTES ? FIRST_BYTES : buf->capacity;
    char *ptr;
    while (capacity < needed && capacity <= buf->bytes_max / 2) {
        capacity *= 2;
    }
    if (capacity < needed || capacity > buf->bytes_max) {
        capacity = buf->bytes_max;
    }
    assert(capacity >= needed);
    ptr = mem_realloc(buf->ptr, capacity);
    if (ptr == NULL) {
        buf->failed = MR_ENOMEM;
        return buf->failed;
    }
    buf->ptr = ptr;
    buf->capacity = capacity;
    return 0;
}

int buf_reserve(struct mr_buf *buf, size_t len)
{
    assert(buf->bytes_max > 0);
    if (buf->failed != 0) {
        return buf->failed;
    }
    if (len > buf->bytes_max - buf->len) {
        buf->failed = MR_ELIMIT;
        return buf->failed;
    }
    if (len <= buf->capacity - buf->len) {
        return 0;
    }
    return grow(buf, buf->len + len);
}

int buf_add_str(struct mr_buf *buf, const char *string)
{
    return buf_add(buf, string, strlen(string));
}

int buf_addf(struct mr_buf *buf, const char *format, ...)
{
    va_list args;
    int len;
    int rc;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    /* vsnprintf terminates, so one byte more is reserved than is kept. */
    rc = buf_reserve(buf, (size_t)len + 1);
    if (rc != 0) {
        return rc;
    }
    va_start(args, format);
    (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}

char *buf_take(struct mr_buf *buf, size_t *ret_len)
{
    char *ptr = buf->ptr;
    assert(buf->failed == 0);
    *ret_len = buf->len;
    buf_init(buf, buf->bytes_max);
    return ptr;
}

int buf_check(const struct mr_buf *buf, struct mr_error *err)
{
    if (buf->failed == MR_ENOMEM) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (buf->failed != 0) {
        return mr_error_set(err, MR_ELIMIT, "more than %zu bytes", buf->bytes_max);
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_BUF_H
#define KIT_BUF_H

/* A growing byte buffer, born with its maximum. A failed append sets `failed` and changes nothing
 * more, so a writer may append many times and ask once at the end. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <millrace/error.h>
#include <millrace/macros.h>
#include <millrace/slice.h>

struct mr_buf {
    char *ptr; /* NULL while nothing was stored; not terminated */
    size_t len;
    size_t capacity;
    size_t bytes_max;
    int failed; /* 0, or the first failure: MR_ENOMEM, MR_ELIMIT (over bytes_max) */
};

/* Nothing is allocated yet. */
void buf_init(struct mr_buf *buf, size_t bytes_max);

/* Give the memory back; the buffer may be used again as after buf_init. */
void buf_done(struct mr_buf *buf);

/* Forget the contents and any failure, keep the memory. */
void buf_clear(struct mr_buf *buf);

/* Room for `len` more bytes at buf->ptr + buf->len, to be filled by the caller, who then adds to
 * buf->len. Errors: as buf_add. */
int buf_reserve(struct mr_buf *buf, size_t len);

/* Append. Errors: MR_ENOMEM, MR_ELIMIT (over bytes_max); also after an earlier failure. */
int buf_add_str(struct mr_buf *buf, const char *string);
int buf_addf(struct mr_buf *buf, const char *format, ...) MR_PRINTF(2, 3);

static inline int buf_add(struct mr_buf *buf, const void *bytes, size_t len)
{
    if (len == 0) {
        return buf->failed;
    }
    /* Nearly always there is room: then without a call. */
    if ((buf->failed != 0 || len > buf->capacity - buf->len) && buf_reserve(buf, len) != 0) {
        return buf->failed;
    }
    memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    return 0;
}

static inline int buf_add_slice(struct mr_buf *buf, struct mr_slice slice)
{
    return buf_add(buf, slice.ptr, slice.len);
}

static inline int buf_add_char(struct mr_buf *buf, char c)
{
    if ((buf->failed != 0 || buf->len == buf->capacity) && buf_reserve(buf, 1) != 0) {
        return buf->failed;
    }
    buf->ptr[buf->len++] = c;
    return 0;
}

/* Hand the bytes over (to be freed with mem_free; NULL if empty) and begin anew. */
char *buf_take(struct mr_buf *buf, size_t *ret_len);

/* 0, or the reason of the first failure in `err`. */
int buf_check(const struct mr_buf *buf, struct mr_error *err);

static inline struct mr_slice buf_slice(const struct mr_buf *buf)
{
    return mr_slice(buf->ptr == NULL ? "" : buf->ptr, buf->len);
}

#endif

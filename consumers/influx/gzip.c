// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/gzip.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "kit/mem.h"

enum { LEVEL = 1, WINDOW_BITS = 15 + 16 /* gzip */, MEM_LEVEL = 8 };

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return mem_zalloc((size_t)items * size);
}

static void zlib_free(void *opaque, void *address)
{
    (void)opaque;
    mem_free(address);
}

int gzip_init(struct gzip *gzip)
{
    *gzip = (struct gzip){.stream = {.zalloc = zlib_alloc, .zfree = zlib_free}};
    return deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
                        Z_DEFAULT_STRATEGY) == Z_OK
               ? 0
               : MR_ENOMEM;
}

void gzip_done(struct gzip *gzip)
{
    (void)deflateEnd(&gzip->stream);
}

int gzip_write(struct gzip *gzip, struct mr_slice bytes, struct mr_buf *out)
{
    z_stream *stream = &gzip->stream;
    size_t bound;
    int rc;
    (void)deflateReset(stream); /* first: the bound of a finished stream leaves the header out */
    bound = deflateBound(stream, bytes.len);
    rc = buf_reserve(out, bound);
    if (rc != 0) {
        return rc;
    }
    if (bytes.len > UINT_MAX || bound > UINT_MAX) {
        return MR_ELIMIT;
    }
    stream->next_in = (Bytef *)(uintptr_t)bytes.ptr;
    stream->avail_in = (uInt)bytes.len;
    stream->next_out = (Bytef *)out->ptr + out->len;
    stream->avail_out = (uInt)bound;
    rc = deflate(stream, Z_FINISH);
    assert(rc == Z_STREAM_END);
    out->len += bound - stream->avail_out;
    return rc == Z_STREAM_END ? 0 : MR_ELIMIT;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_GZIP_H
#define INFLUX_GZIP_H

#include <zlib.h>

#include "kit/buf.h"

/* Compression to gzip (RFC 1952) at level 1, which costs a quarter of level 6. */
struct gzip {
    z_stream stream;
};

/* Memory is taken once. Errors: MR_ENOMEM. */
int gzip_init(struct gzip *gzip);
void gzip_done(struct gzip *gzip);

/* Append `bytes`, compressed as one member, any number of times. Errors: as buf_add. */
int gzip_write(struct gzip *gzip, struct mr_slice bytes, struct mr_buf *out);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_WRITER_H
#define INFLUX_WRITER_H

/* Batches -> lines -> requests -> settlements. */

#include <millrace/worker.h>

#include "consumers/influx/influx_options.h"

struct writer;

/* Errors: MR_ENOMEM, MR_EINVAL, MR_ENET, MR_ECONFIG (the rules of the mapping). */
int writer_new(struct mr_worker *worker, const struct influx_options *options,
               struct writer **ret_writer, struct mr_error *err);

/* Settle every delivery of the batch, now or later. */
void writer_take(struct writer *writer, struct mr_batch *batch);

/* Settle nothing any more; what is left is freed on the loop. Takes NULL. */
void writer_close(struct writer *writer);

#endif

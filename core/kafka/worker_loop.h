// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_WORKER_LOOP_H
#define KAFKA_WORKER_LOOP_H

/* The consumer group member beneath struct mr_worker: fetching, batching, settling, committing. It
 * runs on one loop and knows nothing of options, signals or the admin listener; the program around
 * it (program/worker_program.c) does. */

#include <millrace/worker.h>

#include "base/readiness.h"
#include "kafka/kafka_conf.h"

/* The choices of the options `start` and `offset.lost`, in the order of worker_options.c. */
enum worker_from { WORKER_FROM_EARLIEST, WORKER_FROM_LATEST };

struct worker_loop_spec {
    const struct kafka_conf *conf; /* borrowed for the worker's life, as all below */
    const struct mr_worker_loop_options *options;
    const struct mr_worker_ops *ops;
    const char *program;        /* group and client.id unless configured */
    const void *author_options; /* what mr_worker_options returns */
    /* Conditions "kafka", "topic", "group", "sink", and, once a dead letter could not be stored,
     * "dead-letters". */
    struct readiness *readiness;
};

/* What worker_loop_start would refuse, without starting; the options are of the program's own
 * section. `spec->conf` NULL: its settings are wrong one by one, and that has been said. Of the
 * rest of `spec` only `options` and `program` count. */
void worker_loop_check(const struct worker_loop_spec *spec, struct mr_check *check);

/* Subscribe and run; ops->open has been called when this returns.
 * Errors: MR_ECONFIG, MR_ENOMEM, MR_EIO (no descriptor), and what ops->open returned. */
int worker_loop_start(uv_loop_t *loop, const struct worker_loop_spec *spec,
                      struct mr_worker **ret_worker, struct mr_error *err);

/* Stop fetching, let batches in hand be settled, commit, leave the group, call ops->close, free. A
 * batch that is not settled within `deadline_ms` is given up (its records are delivered again), and
 * ops->close is called at most 3 s after it, even if Kafka doesn't answer.
 * `stopped` is called on the loop when nothing of the worker is left. A second call only shortens
 * the deadline. */
void worker_loop_stop(struct mr_worker *worker, int64_t deadline_ms, void (*stopped)(void *user),
                      void *user);

#endif

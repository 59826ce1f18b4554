// SPDX-License-Identifier: Apache-2.0
/* A worker whose handler does nothing: what is left is the worker loop. */
#include <millrace/worker.h>

static void batch(struct mr_worker *worker, struct mr_batch *records)
{
    (void)worker;
    mr_batch_done(records);
}

int main(int argc, char **argv)
{
    static const struct mr_worker_ops ops = {.batch = batch};
    static const struct mr_worker_spec spec = {
        .name = "idle-worker",
        .section = "idle",
        .summary = "Settles every record as done, for bench/run worker.",
        .ops = &ops,
    };
    return mr_worker_main(argc, argv, &spec);
}

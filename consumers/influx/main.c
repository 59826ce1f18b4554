// SPDX-License-Identifier: Apache-2.0
/* millrace-influx: events from Kafka become points in InfluxDB 1.x or 2.x. */
#include <millrace/worker.h>

#include "consumers/influx/influx_options.h"
#include "consumers/influx/writer.h"

static int open_writer(struct mr_worker *worker, struct mr_error *err)
{
    struct writer *writer;
    int rc = writer_new(worker, mr_worker_options(worker), &writer, err);
    if (rc == 0) {
        mr_worker_set_state(worker, writer);
    }
    return rc;
}

static void take_batch(struct mr_worker *worker, struct mr_batch *batch)
{
    writer_take(mr_worker_state(worker), batch);
}

static void close_writer(struct mr_worker *worker)
{
    writer_close(mr_worker_state(worker));
}

static const struct mr_worker_ops ops = {
    .open = open_writer,
    .batch = take_batch,
    .close = close_writer,
};

static const struct mr_worker_spec spec = {
    .name = "millrace-influx",
    .section = "influx",
    .summary = "Writes the events of Kafka topics to InfluxDB 1.x or 2.x.",
    .admin_listen = "127.0.0.1:9103",
    .ops = &ops,
    .options = influx_options_table,
    .options_size = sizeof(struct influx_options),
    .check = influx_options_check,
};

int main(int argc, char **argv)
{
    return mr_worker_main(argc, argv, &spec);
}

// SPDX-License-Identifier: Apache-2.0
/* Your own worker: prints what the devices said, and is told again what it could not print.
 *     cc worker.c $(pkg-config --cflags --libs millrace) -o my-worker
 *     ./my-worker --kafka.bootstrap.servers=127.0.0.1:9092 */
#include <millrace/event.h>
#include <millrace/worker.h>
#include <stdio.h>

struct options {
    char *channel;
};

static const struct mr_option options[] = {
    {.key = "channel",
     .type = MR_OPTION_STRING,
     .text = "Print only this channel's events; all of them unless given.",
     .offset = offsetof(struct options, channel)},
    MR_OPTION_END,
};

static void print(struct mr_delivery *delivery, const struct options *wanted)
{
    const struct mr_event *event = mr_delivery_event(delivery);
    struct mr_slice channel = mr_event_string(event, "subject");
    struct mr_slice source = mr_event_string(event, "source");
    struct mr_slice data = mr_event_data(event);

    if (wanted->channel != NULL && !mr_slice_is(channel, mr_slice_of(wanted->channel))) {
        mr_skip(delivery, "channel");
    } else if (printf("%.*s %.*s %.*s\n", MR_SLICE_ARG(source), MR_SLICE_ARG(channel),
                      MR_SLICE_ARG(data)) < 0) {
        mr_wait(delivery, "standard output can't be written", 1000);
    } else {
        mr_done(delivery);
    }
}

static void batch(struct mr_worker *worker, struct mr_batch *records)
{
    size_t count = mr_batch_count(records);
    for (size_t i = 0; i < count; i++) {
        print(mr_batch_at(records, i), mr_worker_options(worker));
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct mr_worker_ops ops = {.batch = batch};
    static const struct mr_worker_spec spec = {
        .name = "my-worker",
        .section = "my",
        .summary = "Prints what the devices said.",
        .admin_listen = "127.0.0.1:9109",
        .ops = &ops,
        .options = options,
        .options_size = sizeof(struct options),
    };
    return mr_worker_main(argc, argv, &spec);
}

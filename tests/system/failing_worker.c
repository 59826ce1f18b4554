// SPDX-License-Identifier: Apache-2.0
/* A worker that does what the records say, and writes down each attempt before it settles it:
 *     "<key> <number> ok"      done
 *     "<key> <number> fail"    fails whenever it is tried
 *     "<key> <number> fail 2"  fails twice (by the library's count)
 * into the file `attempts`, a line each: partition, offset, attempt, key, number, outcome. A line
 * is one write(2), so that kill -9 loses none of them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <millrace/event.h>
#include <millrace/worker.h>

enum { LINE_BYTES = 256, FAIL_US = 2000 /* so that kill -9 meets some of them */ };

struct options {
    char *attempts;
};

static const struct mr_option options[] = {
    {.key = "attempts",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .text = "The file that attempts are added to.",
     .offset = offsetof(struct options, attempts)},
    MR_OPTION_END,
};

static int out = -1;

static int open_file(struct mr_worker *worker, struct mr_error *err)
{
    const struct options *own = mr_worker_options(worker);
    out = open(own->attempts, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return out < 0 ? mr_error_set(err, MR_EIO, "attempts: can't be opened") : 0;
}

static void write_down(const struct mr_batch *batch, const struct mr_delivery *delivery,
                       const char *key, const char *number, const char *outcome)
{
    char line[LINE_BYTES];
    int len = snprintf(line, sizeof(line), "%d %lld %u %s %s %s\n", (int)mr_batch_partition(batch),
                       (long long)mr_delivery_offset(delivery), mr_delivery_attempt(delivery), key,
                       number, outcome);
    if (len < 0 || write(out, line, (size_t)len) != len) {
        abort();
    }
}

static void obey(const struct mr_batch *batch, struct mr_delivery *delivery)
{
    struct mr_slice data = mr_event_data(mr_delivery_event(delivery));
    char text[LINE_BYTES];
    char *rest = text;
    const char *words[4] = {"", "", "", ""};
    (void)snprintf(text, sizeof(text), "%.*s", MR_SLICE_ARG(data));
    for (size_t i = 0; i < 4 && rest != NULL; i++) {
        words[i] = strsep(&rest, " ");
    }
    if (strcmp(words[2], "fail") == 0 &&
        (*words[3] == '\0' || mr_delivery_attempt(delivery) <= strtoul(words[3], NULL, 10))) {
        write_down(batch, delivery, words[0], words[1], "failed");
        (void)usleep(FAIL_US);
        mr_retry(delivery, "it says so");
    } else {
        write_down(batch, delivery, words[0], words[1], "done");
        mr_done(delivery);
    }
}

static void batch(struct mr_worker *worker, struct mr_batch *records)
{
    size_t count = mr_batch_count(records);
    (void)worker;
    for (size_t i = 0; i < count; i++) {
        obey(records, mr_batch_at(records, i));
    }
}

int main(int argc, char **argv)
{
    static const struct mr_worker_ops ops = {.open = open_file, .batch = batch};
    static const struct mr_worker_spec spec = {
        .name = "failing-worker",
        .section = "failing",
        .summary = "Fails when the records say so.",
        .ops = &ops,
        .options = options,
        .options_size = sizeof(struct options),
    };
    return mr_worker_main(argc, argv, &spec);
}

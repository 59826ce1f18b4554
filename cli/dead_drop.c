// SPDX-License-Identifier: Apache-2.0
/* `millrace dead drop`: letters are marked as given up, and count as gone. Without --yes it is only
 * counted what would be done. */
#include <stdio.h>

#include "cli/dead_send.h"

static const char *const columns[] = {"what", "topic", "reason"};

struct dropping {
    const struct dead_task *task;
    struct dead_topic topic;
    struct dead_sender sender;
    struct tally tally;
    bool failed;
};

static bool on_found(void *user, const struct dead_found *found)
{
    struct dropping *dropping = user;
    const struct mr_slice texts[] = {mr_slice_of("would be dropped"), found->view->topic,
                                     found->view->reason};
    if (dropping->task->options->yes) {
        dead_sender_drop(&dropping->sender, found);
        return !dropping->sender.stopped;
    }
    if (tally_add(&dropping->tally, texts, found->view->died_ms, NULL) != 0) {
        dropping->failed = true;
        (void)dead_fail(dropping->task->options->from, "out of memory");
    }
    return !dropping->failed;
}

static int drop(struct dropping *dropping)
{
    const struct dead_task *task = dropping->task;
    int status = dead_topic_open(&dropping->topic, task);
    int sent = 0;
    if (status == 0 && task->options->yes) {
        status = dead_sender_open(&dropping->sender, task, &dropping->tally);
    }
    if (status == 0) {
        status = dead_topic_each(&dropping->topic, task, on_found, dropping);
    }
    if (dropping->sender.magic != 0) {
        sent = dead_sender_close(&dropping->sender);
    }
    return status != 0 || sent != 0 || dropping->failed ? 1 : 0;
}

int dead_drop_run(const struct dead_task *task)
{
    struct dropping dropping = {.task = task};
    int status;
    tally_init(&dropping.tally, columns, MR_COUNT_OF(columns));
    status = drop(&dropping);
    if (status == 0 || dropping.tally.total > 0) {
        (void)tally_print(&dropping.tally, task->options->json, NULL);
    }
    if (!task->options->yes && status == 0 && dropping.tally.total > 0) {
        fprintf(stderr, "Nothing was done; --yes does it.\n");
    }
    dead_topic_close(&dropping.topic);
    tally_done(&dropping.tally);
    return dead_end_of_output(status);
}

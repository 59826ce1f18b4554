// SPDX-License-Identifier: Apache-2.0
/* `millrace dead list`: how many letters there are of each reason, topic and device. */
#include "cli/dead_tally.h"
#include "cli/dead_topic.h"

static const char *const columns[] = {"reason", "topic", "application", "device"};

struct listing {
    struct tally tally;
    bool failed;
};

static bool on_found(void *user, const struct dead_found *found)
{
    struct listing *listing = user;
    const struct mr_slice texts[] = {found->view->reason, found->view->topic,
                                     found->who->application, found->who->device};
    listing->failed = tally_add(&listing->tally, texts, found->view->died_ms, NULL) != 0;
    return !listing->failed;
}

int dead_list_run(const struct dead_task *task)
{
    struct dead_topic topic;
    struct listing listing = {0};
    int status;
    tally_init(&listing.tally, columns, MR_COUNT_OF(columns));
    status = dead_topic_open(&topic, task);
    if (status == 0) {
        status = dead_topic_each(&topic, task, on_found, &listing);
    }
    if (status == 0 &&
        (listing.failed || tally_print(&listing.tally, task->options->json, NULL) == MR_ENOMEM)) {
        status = dead_fail(task->options->from, "out of memory");
    }
    dead_topic_close(&topic);
    tally_done(&listing.tally);
    return dead_end_of_output(status);
}

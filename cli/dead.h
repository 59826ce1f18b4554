// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_H
#define CLI_DEAD_H

/* What the files of `millrace dead` share.
 *     dead.c         options, and which of the four it is
 *     dead_list.c    counts
 *     dead_show.c    one by one
 *     dead_replay.c  back to where they came from
 *     dead_drop.c    given up for good
 *     dead_topic.c   reads the topic: marks first, then the letters that none is for
 *     dead_send.c    writes: records to their origin, and marks
 *     dead_tally.c   counts by texts, as a table or as JSON
 *     dead_letter.c, dead_mark.c   pure: what a record says
 *     dead_filter.c  pure: whether it is meant */

#include "cli/dead_filter.h"
#include "kafka/kafka_conf.h"

enum dead_action { DEAD_LIST, DEAD_SHOW, DEAD_REPLAY, DEAD_DROP };

struct dead_options {
    int action;
    char *from;
    char *to;
    char *reason;
    char *topic;
    char *application;
    char *device;
    char *since;
    char *until;
    char *offset;
    int64_t limit;
    int64_t replays_max;
    bool yes;
    bool json;
};

/* What a command is run with. */
struct dead_task {
    const struct dead_options *options;
    const struct kafka_conf *kafka;
    struct dead_filter filter;
};

/* Each returns the exit status. */
int dead_list_run(const struct dead_task *task);
int dead_show_run(const struct dead_task *task);
int dead_replay_run(const struct dead_task *task);
int dead_drop_run(const struct dead_task *task);

/* "millrace dead: WHAT: WHY" on standard error; returns 1. */
int dead_fail(const char *what, const char *why);

/* SIGINT or SIGTERM has come. */
bool dead_is_interrupted(void);

/* After everything was printed: `status`, or 1 and the reason if it could not be written. A reader
 * that has gone wants no more, and that is no failure. */
int dead_end_of_output(int status);

#endif

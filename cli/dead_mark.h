// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_MARK_H
#define CLI_DEAD_MARK_H

/* A mark says that the letter at an earlier offset of its own partition is settled, and counts as
 * gone: the header millrace_dead_settled is "replayed" or "dropped", millrace_dead_letter is
 * "PARTITION:OFFSET". A mark lies behind its letter, so that retention never takes it first, and it
 * goes with the topic. Pure. */

#include "cli/dead_letter.h"

struct dead_mark {
    char key[80];
    struct kafka_header headers[2];
};

/* `outcome` is "replayed" or "dropped". Borrows from `mark` and `outcome`. */
void dead_mark_write(const char *outcome, int32_t partition, int64_t offset, struct dead_mark *mark,
                     struct kafka_record *ret_record);

/* The letter that the mark at `offset` of `partition` is for. False: of none that it can be for. */
bool dead_mark_read(const struct kafka_record *record, int32_t partition, int64_t offset,
                    int64_t *ret_letter);

#endif

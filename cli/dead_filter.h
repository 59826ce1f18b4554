// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_FILTER_H
#define CLI_DEAD_FILTER_H

/* Which dead letters are meant: all that is given must be so. Pure. */

#include "cli/dead_letter.h"

struct dead_filter {
    struct mr_slice reason; /* ptr NULL: any */
    struct mr_slice topic;  /* where the record was */
    struct mr_slice application;
    struct mr_slice device;
    int64_t since_ms; /* of death: this one and later, and earlier than until_ms */
    int64_t until_ms;
    int64_t partition; /* of the dead-letter topic; -1: any */
    int64_t first;     /* offsets in it */
    int64_t last;
};

/* All of them. */
void dead_filter_init(struct dead_filter *filter);

/* A moment for since_ms or until_ms, which is left alone if `text` is NULL. Errors: MR_EFORMAT. */
int dead_filter_time(const char *text, int64_t *ret_ms, struct mr_error *err);

/* `text` as dead_place_parse takes it; NULL: any. Errors: MR_EFORMAT. */
int dead_filter_place(struct dead_filter *filter, const char *text, struct mr_error *err);

bool dead_filter_takes(const struct dead_filter *filter, const struct dead_view *view,
                       const struct dead_who *who, int32_t partition, int64_t offset);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SHOTS_H
#define TESTS_LIB_SHOTS_H

/* Sends over a producer fixture, and what became of them. */

#include "lib/producer_fixture.h"

/* A send that remembers what became of it; shot_settled is its callback. */
struct shot {
    struct mr_send send; /* first: the callback casts */
    int settled;
    enum mr_outcome_kind kind;
    int64_t offset;
    int32_t partition;
    int64_t retry_after_ms;
    bool too_large;
    char reason[256];
    size_t *left; /* counts down */
};

void shot_settled(struct mr_send *send, const struct mr_outcome *outcome);

/* Send an event of device d<key>; shoot_one: and wait for its outcome. */
void shoot(struct fixture *f, struct shot *shot, size_t *left, unsigned key, struct mr_slice data);
struct shot shoot_one(struct fixture *f, struct mr_slice data);

#endif

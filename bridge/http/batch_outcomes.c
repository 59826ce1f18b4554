// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/batch_outcomes.h"

#include <assert.h>
#include <string.h>

#include "kit/utf8.h"

static enum batch_state state_of(const struct mr_outcome *outcome)
{
    switch (outcome->kind) {
        case MR_STORED:
            return BATCH_STORED;
        case MR_REJECTED:
            return outcome->too_large ? BATCH_TOO_LARGE : BATCH_REJECTED;
        case MR_BUSY:
            return BATCH_BUSY;
        case MR_UNKNOWN:
        default:
            return BATCH_UNKNOWN;
    }
}

/* 1 + the index of the reason, which is kept once; 0: there is none, or no room. */
static uint8_t keep_reason(struct batch_outcomes *outcomes, const char *reason)
{
    struct mr_slice text = utf8_cut(mr_slice_of(reason), BATCH_REASON_BYTES - 1);
    if (text.len == 0) {
        return 0;
    }
    for (unsigned i = 0; i < outcomes->reason_count; i++) {
        if (mr_slice_is(text, mr_slice_of(outcomes->reasons[i]))) {
            return (uint8_t)(i + 1);
        }
    }
    if (outcomes->reason_count == BATCH_REASONS_MAX) {
        return 0;
    }
    memcpy(outcomes->reasons[outcomes->reason_count], text.ptr, text.len);
    outcomes->reasons[outcomes->reason_count][text.len] = '\0';
    return (uint8_t)++outcomes->reason_count;
}

void batch_outcomes_add(struct batch_outcomes *outcomes, struct batch_mark *mark,
                        const struct mr_outcome *outcome)
{
    enum batch_state state = state_of(outcome);
    assert(mark->state == BATCH_PENDING && outcomes->counts[BATCH_PENDING] > 0);
    outcomes->counts[BATCH_PENDING]--;
    outcomes->counts[state]++;
    mark->state = (uint8_t)state;
    if (state != BATCH_STORED) {
        mark->reason = keep_reason(outcomes, outcome->reason);
    }
    if (state == BATCH_BUSY && outcome->retry_after_ms > outcomes->retry_after_ms) {
        outcomes->retry_after_ms = outcome->retry_after_ms;
    }
}

int batch_outcomes_status(const struct batch_outcomes *outcomes)
{
    const size_t *counts = outcomes->counts;
    if (counts[BATCH_PENDING] > 0 || counts[BATCH_UNKNOWN] > 0) {
        return 504;
    }
    if (counts[BATCH_BUSY] > 0) {
        return 503;
    }
    if (counts[BATCH_REJECTED] > 0) {
        return 422;
    }
    return counts[BATCH_TOO_LARGE] > 0 ? 413 : 202;
}

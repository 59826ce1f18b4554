// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BATCH_OUTCOMES_H
#define BRIDGE_HTTP_BATCH_OUTCOMES_H

/* What became of the events of a batch. Pure. */

#include <stddef.h>
#include <stdint.h>

#include <millrace/producer.h>

enum {
    BATCH_REASONS_MAX = 8, /* different ones of one batch; further ones are left out */
    BATCH_REASON_BYTES = 200,
};

enum batch_state {
    BATCH_PENDING, /* nothing is known yet */
    BATCH_STORED,
    BATCH_REJECTED,
    BATCH_TOO_LARGE, /* rejected for its size */
    BATCH_BUSY,
    BATCH_UNKNOWN,
    BATCH_STATES,
};

/* Of one event; zeroed: pending. */
struct batch_mark {
    uint8_t state;  /* enum batch_state */
    uint8_t reason; /* 1 + index into the reasons; 0: none */
};

/* Of all together. Zeroed, but for counts[BATCH_PENDING]: their number. */
struct batch_outcomes {
    size_t counts[BATCH_STATES];
    int64_t retry_after_ms; /* the longest */
    unsigned reason_count;
    char reasons[BATCH_REASONS_MAX][BATCH_REASON_BYTES];
};

/* An event that was pending has been settled. */
void batch_outcomes_add(struct batch_outcomes *outcomes, struct batch_mark *mark,
                        const struct mr_outcome *outcome);

/* The answer's: 202 all are stored; 504 it is not known of one, or of more; else 503 one is surely
 * not stored and may be sent again; else 413 what is left is too large, or 422 can't be stored for
 * another reason, too. */
int batch_outcomes_status(const struct batch_outcomes *outcomes);

#endif

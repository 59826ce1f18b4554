// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_STORE_HEALTH_H
#define KAFKA_STORE_HEALTH_H

/* Whether events are being stored, as told by what becomes of them: metadata may come while nothing
 * can be written (no descriptor for the leader's connection, no permission, a full disk). A few
 * failures among successes, or one event on a quiet bridge, say nothing. Pure; times are of one
 * clock that never steps back. */

#include <stdbool.h>
#include <stdint.h>

enum {
    STORE_FAILURES_MIN = 3,     /* in a row, none stored between them */
    STORE_FAILING_MS = 3000,    /* and as long from the first to the last: no single batch, and
                                   longer than a change of leaders takes */
    STORE_FORGOTTEN_MS = 30000, /* without a further failure: whoever turned away because of us may
                                   come back */
};

/* Zeroed: nothing has failed. */
struct store_health {
    unsigned failures; /* since the last stored event */
    uint64_t first_ms;
    uint64_t last_ms;
    int error; /* of the last */
};

void store_health_stored(struct store_health *health);
void store_health_failed(struct store_health *health, uint64_t now_ms, int error);

/* Nothing is stored, as far as is known. */
bool store_health_is_failing(const struct store_health *health, uint64_t now_ms);

#endif

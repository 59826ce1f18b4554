// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_BACKOFF_H
#define MQTT_BACKOFF_H

/* How long to wait before the next attempt: twice as long each time up to a bound, and somewhere
 * between half of it and all of it, so that many bridges don't come back at the same moment. Pure:
 * the caller brings the randomness. */

#include <stdint.h>

enum { BACKOFF_FIRST_MS = 100, BACKOFF_REFUSED_MS = 2000 };

struct backoff {
    int64_t ms_max; /* at least BACKOFF_FIRST_MS */
    int64_t next_ms;
};

void backoff_init(struct backoff *backoff, int64_t ms_max);

/* An attempt has failed: ms until the next. */
int64_t backoff_next(struct backoff *backoff, uint64_t random);

/* It was refused, and is likely to be again: the same, from BACKOFF_REFUSED_MS on. */
int64_t backoff_refused(struct backoff *backoff, uint64_t random);

/* It went well. */
void backoff_reset(struct backoff *backoff);

#endif

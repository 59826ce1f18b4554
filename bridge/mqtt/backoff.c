// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/backoff.h"

void backoff_init(struct backoff *backoff, int64_t ms_max)
{
    backoff->ms_max = ms_max < BACKOFF_FIRST_MS ? BACKOFF_FIRST_MS : ms_max;
    backoff_reset(backoff);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = BACKOFF_FIRST_MS;
}

static int64_t jittered(int64_t ms, uint64_t random)
{
    int64_t half = ms / 2;
    return ms - (int64_t)(random % (uint64_t)(half + 1));
}

int64_t backoff_next(struct backoff *backoff, uint64_t random)
{
    int64_t ms = backoff->next_ms;
    backoff->next_ms = ms > backoff->ms_max / 2 ? backoff->ms_max : 2 * ms;
    return jittered(ms, random);
}

int64_t backoff_refused(struct backoff *backoff, uint64_t random)
{
    int64_t least = BACKOFF_REFUSED_MS < backoff->ms_max ? BACKOFF_REFUSED_MS : backoff->ms_max;
    backoff->next_ms = backoff->next_ms < least ? least : backoff->next_ms;
    return backoff_next(backoff, random);
}

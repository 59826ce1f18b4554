// SPDX-License-Identifier: Apache-2.0
#include "kafka/store_health.h"

#include <limits.h>

void store_health_stored(struct store_health *health)
{
    *health = (struct store_health){0};
}

static bool is_forgotten(const struct store_health *health, uint64_t now_ms)
{
    return now_ms - health->last_ms >= STORE_FORGOTTEN_MS;
}

void store_health_failed(struct store_health *health, uint64_t now_ms, int error)
{
    if (health->failures == 0 || is_forgotten(health, now_ms)) {
        *health = (struct store_health){.first_ms = now_ms};
    }
    health->failures += health->failures < UINT_MAX;
    health->last_ms = now_ms;
    health->error = error;
}

bool store_health_is_failing(const struct store_health *health, uint64_t now_ms)
{
    return health->failures >= STORE_FAILURES_MIN &&
           health->last_ms - health->first_ms >= STORE_FAILING_MS && !is_forgotten(health, now_ms);
}

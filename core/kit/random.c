// SPDX-License-Identifier: Apache-2.0
#include "kit/random.h"

#include <sys/random.h>
#include <time.h>

uint64_t random_seed(void)
{
    struct timespec now = {0};
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) {
        return seed;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    seed = (uint64_t)now.tv_sec * 1000000007U + (uint64_t)now.tv_nsec;
    return (seed ^ (uint64_t)(uintptr_t)&now) * 0x9e3779b97f4a7c15U;
}

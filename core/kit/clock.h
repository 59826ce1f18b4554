// SPDX-License-Identifier: Apache-2.0
#ifndef KIT_CLOCK_H
#define KIT_CLOCK_H

/* The time of day, which may jump. What is measured or waited for goes by uv_now and uv_hrtime. */

#include <stdint.h>
#include <time.h>

/* Nanoseconds since 1970, UTC. */
static inline int64_t clock_wall_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t clock_wall_ms(void)
{
    return clock_wall_ns() / 1000000;
}

#endif

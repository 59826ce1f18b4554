// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_POINT_GROUPS_H
#define INFLUX_POINT_GROUPS_H

/* Which texts of lines write the same point: the same measurement, tags and time. Of two that do,
 * the one that is stored later wins, so their order must not change. Pure. */

#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/siphash.h"

/* What `lines_of(user, i)` returns are the lines of text `i` of `count`. `ret_groups[i]` becomes
 * the first text that has a point in common with `i`, or with one that has one in common with `i`,
 * and so on: `i` itself if it is the first, or shares nothing. Names that collide in `key` may put
 * more into one group. Errors: MR_ENOMEM. */
int point_groups_make(struct siphash_key key, struct mr_slice (*lines_of)(void *user, uint32_t i),
                      void *user, uint32_t count, uint32_t *ret_groups);

#endif

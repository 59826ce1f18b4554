// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_SERIES_GUARD_H
#define INFLUX_SERIES_GUARD_H

/* Counts the names and tag values that points bring, so that a device that invents them can't take
 * the database down: a series costs InfluxDB memory for as long as it is kept.
 *
 *   tag.limit    distinct values of one tag in one measurement
 *   name.limit   distinct measurements, and distinct field names of one measurement
 *
 * What has been let through once is let through always; what is new over a limit is not. It keeps a
 * hash of each, in bounded memory: with GUARD_NAMES_MAX of them, or GUARD_GROUPS_MAX groups, it is
 * full, and nothing new is let through at all. Names count as they are read: those before the one
 * for which an event is refused have used up room. A restart forgets all of it. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "kit/buf.h"
#include "kit/siphash.h"

enum {
    GUARD_NAMES_MAX = 1024 * 1024, /* of 8 bytes, in a table at most half full */
    GUARD_PASSED = 8192,           /* lines remembered by the hash of their names */
    GUARD_GROUPS_MAX = 64 * 1024,  /* measurements, and tags of measurements */
};

struct guard_set {
    uint64_t *members; /* 0: free; the size is a power of two */
    uint32_t *counts;  /* NULL, or one a member */
    size_t size;
    size_t count;
    size_t count_max;
};

struct series_guard {
    size_t tag_values_max; /* 0: no limit */
    size_t names_max;      /* 0: no limit */
    bool drop_tag;         /* a tag over its limit is left out; else the event is refused */
    struct siphash_key key;
    struct guard_set groups; /* how many members each has */
    struct guard_set names;
    uint64_t passed[GUARD_PASSED]; /* what needs no second look: series, and sets of fields */
};

void series_guard_init(struct series_guard *guard, size_t tag_values_max, size_t names_max,
                       bool drop_tag, struct siphash_key key);
void series_guard_done(struct series_guard *guard);

enum guard_verdict {
    GUARD_PASSES,
    GUARD_CUT_TAG,   /* tags over their limit were left out: the lines are in `out` */
    GUARD_CUT_FULL,  /* the same, for one of them because the guard is full */
    GUARD_OVER_TAG,  /* a tag value over tag.limit; `err` says which, also with the next two */
    GUARD_OVER_NAME, /* a measurement or field over name.limit */
    GUARD_OVER_FULL, /* new, and the guard is full */
    GUARD_NO_MEMORY  /* says nothing of the lines; MR_ENOMEM in `err` */
};

/* `lines` as mapping_lines makes them. `out` is cleared first. */
enum guard_verdict series_guard_check(struct series_guard *guard, struct mr_slice lines,
                                      struct mr_buf *out, struct mr_error *err);

#endif

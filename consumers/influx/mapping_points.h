// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_POINTS_H
#define INFLUX_MAPPING_POINTS_H

/* An event's points by a rule. Pure; memory is kept from event to event, up to a bound. */

#include <stdint.h>

#include <millrace/event.h>

#include "consumers/influx/mapping_rules.h"
#include "event/json_select.h"
#include "kit/buf.h"
#include "kit/siphash.h"

struct mapping_point {
    uint64_t hash;
    uint32_t series_at, series_len; /* in the lines: measurement and tags */
    int64_t ns;
};

struct mapping_points {
    struct json_selection selection;
    struct json_value attributes[RULE_ATTRIBUTES_MAX];
    struct mr_buf text;  /* a string or name on its way */
    struct mr_buf clean; /* a name on its way, cleaned */
    struct mapping_point *points;
    size_t point_capacity;
    uint32_t *slots; /* open addressing: index into `points`, 1 more; 0: free */
    size_t slot_capacity;
    struct siphash_key key; /* of the slots' hashes: devices choose what is hashed */
};

void mapping_points_init(struct mapping_points *points);
void mapping_points_done(struct mapping_points *points);

/* Append the event's lines to `lines`, which is empty, with line feeds between them. None: the
 * rule skips what has no field. Errors: as mapping_lines. */
int mapping_points_write(struct mapping_points *points, const struct rule *rule,
                         struct mr_event *event, int64_t record_ms, struct mr_buf *lines,
                         size_t *ret_count, struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_H
#define INFLUX_MAPPING_H

/* The default mapping: an event to one line of InfluxDB's line protocol. Pure, and a function of
 * the stored event alone, so that a record that is read twice makes the same point.
 *
 *   measurement  the attribute `subject` (the channel), or `type` if the event has no subject
 *   tags         the extensions `application` and `device`; one that is absent or empty is left out
 *   fields       every number (a float), boolean and string in the data, which is a JSON object;
 *                {"a":{"b":1}} is a_b, {"a":[1,2]} is a_0 and a_1; null and what is empty is
 *                skipped; names as field_names_add makes them
 *   timestamp    the attribute `time`, or the record's own if the event has none
 *
 * An event is written whole or not at all: what can't be written makes it a dead letter, never a
 * point with something missing. docs/millrace-influx.md has every rule. */

#include <stdint.h>

#include <millrace/event.h>

#include "consumers/influx/field_names.h"
#include "event/json_scan.h"
#include "kit/buf.h"

enum { MAPPING_LINE_BYTES_MAX = 4 * 1024 * 1024 };

struct mapping_level {
    size_t path_len;   /* of the name of this object or array */
    unsigned elements; /* met so far, in an array */
    bool is_array;
};

struct mapping {
    struct mr_buf line;
    struct mr_buf path; /* the name of the present value: the names above it joined with '_' */
    struct mr_buf text; /* a string or name on its way */
    struct field_names names;
    struct mapping_level levels[JSON_DEPTH_MAX + 1];
    unsigned depth; /* of the innermost open level; levels[0] is the data itself */
};

/* Memory is kept from event to event, up to a bound. Errors: NULL when out of memory. */
struct mapping *mapping_new(void);
void mapping_free(struct mapping *mapping);

/* Make the line of `event`, without a line break at its end; `record_ms` is the record's timestamp,
 * -1 if it has none. `ret_line` lives until the next call.
 * Errors: MR_ENOMEM (retriable; says nothing of the event); any other code: the event can never
 * become a point, and the text says what was found and what was expected. */
int mapping_line(struct mapping *mapping, struct mr_event *event, int64_t record_ms,
                 struct mr_slice *ret_line, struct mr_error *err);

#endif

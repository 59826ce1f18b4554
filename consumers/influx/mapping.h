// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_H
#define INFLUX_MAPPING_H

/* An event to lines of InfluxDB's line protocol: by the first rule of the configuration that
 * matches (mapping_rules.h, mapping_points.h), else by the default mapping, which is here. Pure,
 * and a function of the stored event alone, so that a record that is read twice makes the same
 * points.
 *
 * The default mapping makes one line:
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
#include "consumers/influx/mapping_points.h"
#include "consumers/influx/mapping_rules.h"
#include "event/json_scan.h"
#include "kit/buf.h"

enum { MAPPING_LINE_BYTES_MAX = 4 * 1024 * 1024 };

struct mapping_level {
    size_t path_len;   /* of the name of this object or array */
    unsigned elements; /* met so far, in an array */
    bool is_array;
};

struct mapping {
    const struct mapping_rules *rules; /* NULL: none */
    struct mapping_points points;
    struct mr_buf line; /* or lines */
    struct mr_buf path; /* the name of the present value: the names above it joined with '_' */
    struct mr_buf text; /* a string or name on its way */
    struct field_names names;
    struct mapping_level levels[JSON_DEPTH_MAX + 1];
    unsigned depth; /* of the innermost open level; levels[0] is the data itself */
};

/* Memory is kept from event to event, up to a bound. `rules` is borrowed; NULL: only the default.
 * Errors: NULL when out of memory. */
struct mapping *mapping_new(const struct mapping_rules *rules);
void mapping_free(struct mapping *mapping);

/* Make the lines of `event`: one or several, with a line feed between them and none at the end;
 * `record_ms` is the record's timestamp, -1 if it has none. The lines stand or fall together: they
 * are one delivery's. No line holds a bare line feed outside of a string's quotes. A count of 0,
 * without an error: a rule says that the event is not written (settle it as skipped). `ret_lines`
 * lives until the next call.
 * Errors: MR_ENOMEM (retriable; says nothing of the event); any other code: the event can never
 * become points, and the text says what was found and what was expected. */
int mapping_lines(struct mapping *mapping, struct mr_event *event, int64_t record_ms,
                  struct mr_slice *ret_lines, size_t *ret_count, struct mr_error *err);

#endif

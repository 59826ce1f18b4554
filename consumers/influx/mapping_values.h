// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_VALUES_H
#define INFLUX_MAPPING_VALUES_H

/* One JSON value as a field's value, a tag's, a name or a time: the table of rules in
 * docs/millrace-influx.md. Pure. `scratch` is for strings whose escapes must be resolved. */

#include <millrace/error.h>

#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping_rules.h"
#include "kit/buf.h"

/* There is no such value, or it is null. */
static inline bool mapping_value_is_missing(const struct json_value *value)
{
    return value->token == JSON_SCAN_END || value->token == JSON_SCAN_NULL;
}

/* "a string", "an object", ... */
const char *mapping_value_kind(enum json_token token);

/* Append a field's value, which is not missing. `takes_strings`: a string may hold the number or
 * boolean that `type` asks for. Errors: MR_EFORMAT, MR_ELIMIT, MR_ENOMEM. */
int mapping_write_field_value(const struct json_value *value, enum rule_type type,
                              bool takes_strings, struct mr_buf *scratch, struct mr_buf *out,
                              struct mr_error *err);

/* The text of a value that is not missing, for a tag or a name: a string as it is, a number as it
 * is written, true or false. `ret_text` lives until `scratch` changes. Errors: as above. */
int mapping_value_text(const struct json_value *value, struct mr_buf *scratch,
                       struct mr_slice *ret_text, struct mr_error *err);

/* A time that is not missing, in nanoseconds, within what InfluxDB holds. What is finer is cut.
 * Errors: as above. */
int mapping_value_time(const struct json_value *value, enum rule_unit unit, struct mr_buf *scratch,
                       int64_t *ret_ns, struct mr_error *err);

/* Whether InfluxDB can hold the time; it is `ret_ns` then. Errors: MR_ELIMIT. */
int mapping_check_time(int64_t ns, int64_t *ret_ns, struct mr_error *err);

/* Append a name as InfluxDB can take it. Errors: MR_ELIMIT (LINE_NAME_BYTES_MAX; `what` names it),
 * MR_ENOMEM. `name` is not of `scratch`. */
int mapping_write_name(enum line_name kind, struct mr_slice name, const char *what,
                       struct mr_buf *scratch, struct mr_buf *out, struct mr_error *err);

#endif

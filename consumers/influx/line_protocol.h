// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_LINE_PROTOCOL_H
#define INFLUX_LINE_PROTOCOL_H

/* InfluxDB's line protocol (1.x reference, "Line protocol"):
 *     measurement,tag=value field=1.5,other="text" 1465839830100400200
 * Pure: bytes in, bytes out. A name is first cleaned (what no escaping can carry is replaced), then
 * written with escapes; two clean names are equal exactly if InfluxDB sees them as equal. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/buf.h"

enum line_name {
    LINE_MEASUREMENT, /* escapes: comma, space */
    LINE_TAG_VALUE,   /* escapes: comma, space, equals sign */
    LINE_FIELD,       /* as LINE_TAG_VALUE */
};

enum {
    LINE_NAME_BYTES_MAX = 4096, /* of a measurement, tag value, field name: with all of them at the
                                   bound and escaped, a series key keeps below InfluxDB's 65535 */
    LINE_STRING_BYTES_MAX = 65536, /* of a field's string: the limit that InfluxDB documents */
    LINE_NUMBER_BYTES_MAX = 1024,  /* of a number's text */
};

/* InfluxDB's first and last nanosecond; beyond, it refuses with "time outside range". */
#define LINE_TIME_MIN (INT64_MIN + 2)
#define LINE_TIME_MAX (INT64_MAX - 1)

/* Whether line_clean and line_write_name leave `name` as it is: what they do for most. */
bool line_is_plain(enum line_name kind, struct mr_slice name);

/* Append `name` as InfluxDB can take it. These become '_':
 *   - control characters (U+0000-001F, U+007F): a line break would end the line;
 *   - a backslash before a comma, equals sign, space or quote, or at the end: the line protocol
 *     can't escape a backslash, so it would escape what follows;
 *   - '#' at the beginning of a measurement: the line would be a comment;
 *   - an empty name.
 * Errors: as buf_add. */
int line_clean(enum line_name kind, struct mr_slice name, struct mr_buf *out);

/* Append a clean name with its escapes. Errors: as buf_add. */
int line_write_name(enum line_name kind, struct mr_slice clean, struct mr_buf *out);

/* Append a string value in its quotes; `"` and `\` are escaped, every other byte stands as it is,
 * line breaks too. Errors: as buf_add. */
int line_write_string(struct mr_slice text, struct mr_buf *out);

/* Append a decimal integer. Errors: as buf_add. */
int line_write_integer(int64_t value, struct mr_buf *out);

/* `number` is a JSON number (RFC 8259 6). Whether InfluxDB takes this text as a float: all but
 * those beyond a double's range (1e999). Too small ones are zero to InfluxDB. Errors: MR_EFORMAT,
 * MR_ELIMIT (over LINE_NUMBER_BYTES_MAX); the text shows the number, cut. */
int line_check_number(struct mr_slice number, struct mr_error *err);

#endif

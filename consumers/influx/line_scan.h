// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_LINE_SCAN_H
#define INFLUX_LINE_SCAN_H

/* Reading lines that line_protocol.c has written: names, the types of fields, the time. Pure. What
 * is not such a line is read to some end within its bytes, without a meaning.
 *
 *     line_scan_begin -> line_scan_tag until false -> line_scan_field until false -> line_scan_end
 *     line_scan_lines -> for each line: line_scan_next, and the same from line_scan_tag on */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/siphash.h"

enum line_type {
    LINE_TYPE_NONE,
    LINE_TYPE_FLOAT,
    LINE_TYPE_INTEGER,
    LINE_TYPE_UNSIGNED,
    LINE_TYPE_STRING,
    LINE_TYPE_BOOLEAN,
};

struct line_scan {
    const char *at;
    const char *end;
    bool in_fields;
};

/* `text` begins with a line; more may follow it, each after a line break. `ret_measurement` and all
 * names below are as they stand, with their escapes. */
void line_scan_begin(struct line_scan *scan, struct mr_slice text,
                     struct mr_slice *ret_measurement);

/* All the lines of a text. line_scan_next begins one; false: there are no more. */
void line_scan_lines(struct line_scan *scan, struct mr_slice text);
bool line_scan_next(struct line_scan *scan, struct mr_slice *ret_measurement);

bool line_scan_tag(struct line_scan *scan, struct mr_slice *ret_key, struct mr_slice *ret_value);

/* All tags that are left, at once: ",a=b,c=d". */
struct mr_slice line_scan_tags(struct line_scan *scan);

/* Also passes over tags that were not asked for. */
bool line_scan_field(struct line_scan *scan, struct mr_slice *ret_name, enum line_type *ret_type);

/* After the last field: the time in ns, INT64_MAX if there is none. The scan then stands behind the
 * line break: at == end if that was the last line. */
int64_t line_scan_end(struct line_scan *scan);

/* As line_scan_end, for those who don't ask for the time. */
void line_scan_skip(struct line_scan *scan);

/* "float", as InfluxDB calls it in its answers. LINE_TYPE_NONE: another word. */
enum line_type line_type_of(struct mr_slice word);

/* Hash of `seed` and of a name without its escapes, so that what InfluxDB quotes has the same one.
 * SipHash-1-3: devices choose names, but must not choose what collides. */
uint64_t line_hash(struct siphash_key key, uint64_t seed, struct mr_slice name);

#endif

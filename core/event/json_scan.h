// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_JSON_SCAN_H
#define EVENT_JSON_SCAN_H

/* A strict RFC 8259 pull scanner: no allocation, no recursion, depth bounded. Text is UTF-8 without
 * a byte order mark; names may repeat (the caller decides); lone surrogate escapes are refused,
 * \u0000 is allowed. It agrees with jansson (JSON_DECODE_ANY) except that jansson refuses what
 * RFC 8259 allows (numbers beyond a double, \u0000), and takes deeper nesting and a NUL byte that
 * follows a number or a word. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "kit/buf.h"

enum { JSON_DEPTH_MAX = 128 }; /* open objects and arrays */

enum json_token {
    JSON_SCAN_OBJECT_BEGIN,
    JSON_SCAN_OBJECT_END,
    JSON_SCAN_ARRAY_BEGIN,
    JSON_SCAN_ARRAY_END,
    JSON_SCAN_NAME, /* of an object's member; its value follows */
    JSON_SCAN_STRING,
    JSON_SCAN_NUMBER,
    JSON_SCAN_TRUE,
    JSON_SCAN_FALSE,
    JSON_SCAN_NULL,
    JSON_SCAN_END,   /* the one value is complete, only white space followed */
    JSON_SCAN_ERROR, /* stays so; json_scan_error tells */
};

struct json_scan {
    const char *begin;
    const char *at;
    const char *end;
    struct mr_slice raw;  /* of the last token: strings and names without their quotes, escapes as
                             they stand; numbers as written */
    bool raw_has_escapes; /* of the last string or name */
    unsigned depth;       /* open objects and arrays after the last token */
    const char *error;    /* NULL, or what is wrong at `at` */
    unsigned state;       /* private */
    unsigned char is_object[JSON_DEPTH_MAX / 8]; /* private: a bit a level */
};

void json_scan_init(struct json_scan *scan, struct mr_slice text);

/* The next token. After JSON_SCAN_END or JSON_SCAN_ERROR the same again. */
enum json_token json_scan_next(struct json_scan *scan);

/* After JSON_SCAN_NAME, or before the first token: step over the whole next value; `ret_raw` is its
 * text as it stands, without white space around it. Errors: MR_EFORMAT. */
int json_scan_skip(struct json_scan *scan, struct mr_slice *ret_raw);

/* Where the scanner is: behind the last token, or at what is wrong. Columns are characters; both
 * count from 1. */
void json_scan_position(const struct json_scan *scan, size_t *ret_line, size_t *ret_column);

/* After JSON_SCAN_ERROR: "line 1, column 7: expected ':'" into `err`; returns MR_EFORMAT. */
int json_scan_error(const struct json_scan *scan, struct mr_error *err);

/* The text of the last string or name with its escapes resolved, appended to `out` (UTF-8).
 * Errors: as buf_add. (Lone surrogate escapes were refused by the scanner.) */
int json_scan_unescape(const struct json_scan *scan, struct mr_buf *out);

/* The same into memory of at least raw.len bytes, which may be raw's own. Returns the length. */
size_t json_scan_unescape_to(const struct json_scan *scan, char *to);

/* The text is exactly one JSON value. */
bool json_is_valid(struct mr_slice text);

/* Append `text` (UTF-8) as a JSON string with its quotes; control characters (U+0000-001F, and
 * U+007F-009F, which a terminal might obey), `"` and `\` escaped. Errors: as buf_add. */
int json_write_string(struct mr_slice text, struct mr_buf *out);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_TIMESTAMP_H
#define EVENT_TIMESTAMP_H

/* RFC 3339 timestamps and nanoseconds since 1970-01-01T00:00:00Z. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum { TIMESTAMP_BYTES = 31 }; /* "2010-01-01T00:00:00.000000000Z" and its terminator */

/* RFC 3339 5.6 `date-time`, years 0000 to 9999, any number of fraction digits (what is beyond
 * nanoseconds is cut), 'T' and 'Z' in either case, a leap second (:60) only where UTC could have
 * one (23:59:60 UTC); it counts as the second before it. Errors: MR_EFORMAT (the text says which
 * part), MR_ELIMIT (well-formed, but outside what 64 bits of nanoseconds hold: 1677-09-21 to
 * 2262-04-11). */
int timestamp_parse(struct mr_slice text, int64_t *ret_ns, struct mr_error *err);

/* Only the form; true for years that timestamp_parse can't hold. */
bool timestamp_is_valid(struct mr_slice text);

/* UTC with "Z" and as many fraction digits as needed (0, 3, 6 or 9). Returns the length. */
int timestamp_format(int64_t ns, char ret_text[TIMESTAMP_BYTES]);

#endif

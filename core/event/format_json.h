// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_FORMAT_JSON_H
#define EVENT_FORMAT_JSON_H

/* The JSON event format (CloudEvents 1.0.2 json-format.md), structured mode. */

#include <millrace/event.h>

#include "kit/buf.h"

/* Append the event as one line of compact JSON without a line's end: the attributes in the event's
 * order, booleans and integers as JSON's own, binary ones as base64; then the data (data that is
 * JSON keeps its text, white space and all, except that line breaks between tokens become spaces):
 * `data` if datacontenttype is JSON or absent and the data is valid JSON; `data` as a string if it
 * is another text/... and UTF-8; otherwise `data_base64`. Errors: as buf_add; `out` keeps its
 * length then. */
int event_json_encode(const struct mr_event *event, struct mr_buf *out, struct mr_error *err);

/* Decode one event into `event`, which is cleared first; what needs no unescaping borrows `bytes`.
 * A null member is absent (2.3), but `data: null` is the JSON value null where datacontenttype is
 * JSON or absent, and no data elsewhere. A binary attribute comes as the string it was sent as.
 * `data` is the value's own text if datacontenttype is JSON or absent (then it becomes
 * application/json); of another type it is the string's text, or the own text of a value that is no
 * string. `data_base64` is its bytes; it adds no datacontenttype.
 * All required attributes are there afterwards (mr_event_check).
 * Errors, with line and column: MR_ENOTEVENT (no JSON object; both data and data_base64; a member
 * that is no String, Integer (digits only, 32 bits) or Boolean, or that event_put refuses; a
 * repeated member; a missing attribute), MR_ELIMIT, MR_ENOMEM. The event is empty then. */
int event_json_decode(struct mr_slice bytes, struct mr_event *event, struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_EVENT_INTERNAL_H
#define EVENT_EVENT_INTERNAL_H

/* What the formats may do with an event beyond the public header: set attributes without copying,
 * and take memory that lives as long as the event. */

#include <millrace/event.h>

#include "kit/buf.h"

/* As mr_event_set and its kin by attribute->type, with the same checks, but name and bytes are
 * borrowed: the record they come from must outlive the event's use of them. A name that is already
 * set is an error here: a format must not say a thing twice. Errors: MR_ENOTEVENT (where
 * mr_event_set says MR_EFORMAT, and a second time), MR_ELIMIT, MR_ENOMEM. The event is unchanged
 * then. */
int event_put(struct mr_event *event, const struct mr_attribute *attribute, struct mr_error *err);

/* `len` bytes that live until mr_event_clear or mr_event_free. Errors: NULL when out of memory.
 * Callers bound `len` by what they read, so that memory is at most a small multiple of the input.
 */
char *event_alloc(struct mr_event *event, size_t len);

/* As mr_event_canonical; what is made anew is appended to `out`. Errors: as buf_add. */
enum { EVENT_INTEGER_BYTES = 12 }; /* "-2147483648" and a terminator: the most an integer takes */
int event_write_canonical(const struct mr_attribute *attribute, struct mr_buf *out,
                          struct mr_slice *ret_text);

#endif

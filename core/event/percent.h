// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_PERCENT_H
#define EVENT_PERCENT_H

/* Percent-encoding (RFC 3986 2.1). Pure. */

#include <stdbool.h>

#include "kit/buf.h"

/* Everything but the unreserved characters (RFC 3986 2.3: A-Z a-z 0-9 - . _ ~) becomes %XX with
 * upper-case digits, so that parts can be joined with "/" and taken apart again. Errors: as
 * buf_add. */
int percent_encode(struct mr_slice text, struct mr_buf *out);

/* Decode %XX; with `plus_is_space` (queries: application/x-www-form-urlencoded) also "+".
 * Errors: MR_EFORMAT ("%" without two hexadecimal digits), as buf_add. */
int percent_decode(struct mr_slice text, bool plus_is_space, struct mr_buf *out,
                   struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_TARGET_H
#define BRIDGE_HTTP_TARGET_H

/* What the head of a request decides by itself, whatever its content: which dialect it is for, or
 * the answer. Pure. In this order (RFC 9110):
 *     501  a method that is unknown here (9.1)
 *     204  OPTIONS, of a known target or of "*", with Allow (9.3.7)
 *     404  no dialect has the target
 *     405  a known method that the target doesn't take, with Allow (15.5.6)
 *     400  PUT with Content-Range (14.5)
 *     415  a Content-Encoding: events are stored as they come, and nothing in an event could say
 *          that it is compressed; with Accept-Encoding (15.5.16, 12.5.3)
 * A dialect answers 415 too, for a Content-Type that it doesn't read (cloudevents.c). */

#include "bridge/http/dialects/dialect.h"

enum target_kind { TARGET_FOUND, TARGET_OPTIONS, TARGET_REFUSED };

/* What belongs to the kind; the rest is undefined. */
struct target {
    const struct dialect *dialect; /* found: one of those asked for */
    const char *allow;             /* OPTIONS: the line that the answer, 204, has */
    struct refusal refusal;
};

enum target_kind target_find(const struct dialect_request *request,
                             const struct dialect *const *dialects, size_t count,
                             struct target *ret_target);

#endif

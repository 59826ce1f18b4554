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
 *          that it is compressed; with Accept-Encoding (15.5.16, 12.5.3) */

#include "bridge/http/dialects/dialect.h"

/* One of the `count` dialects, or NULL with the answer: a refusal or, with status 204, no problem.
 */
const struct dialect *target_find(const struct dialect_request *request,
                                  const struct dialect *const *dialects, size_t count,
                                  struct dialect_refusal *ret_refusal);

#endif

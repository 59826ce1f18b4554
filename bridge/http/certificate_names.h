// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_CERTIFICATE_NAMES_H
#define BRIDGE_HTTP_CERTIFICATE_NAMES_H

/* The subject of a client's certificate, as a string of RFC 4514 ("CN=sensor-1,O=farm"). Pure. */

#include <millrace/error.h>
#include <millrace/slice.h>

/* The value of the one attribute of this type ("CN", or an object identifier in dots), whatever the
 * letters' case, without its escapes: in `to`, of at least subject.len bytes. Absent if there is
 * none. Errors: MR_EFORMAT (not such a string, the attribute is there twice, or its value isn't a
 * text: "#04024869", or not UTF-8 without control characters, or empty). */
int certificate_name(struct mr_slice subject, struct mr_slice type, char *to,
                     struct mr_slice *ret_value, struct mr_error *err);

/* Whether it can be the type of an attribute (RFC 4512 1.4: descr or numericoid). */
bool certificate_is_type(struct mr_slice type);

#endif

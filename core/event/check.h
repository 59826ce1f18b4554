// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_CHECK_H
#define EVENT_CHECK_H

/* The forms that CloudEvents 1.0.2 asks of names and values. Pure; nothing is allocated. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

/* 1 to MR_EVENT_NAME_BYTES_MAX of a-z and 0-9 ["Naming Conventions"]; not "data". */
bool check_name(struct mr_slice name);

/* Well-formed UTF-8 (kit/utf8.h). */
bool check_utf8(struct mr_slice text);

/* ["Type System", String]: check_utf8, and none of U+0000-001F, U+007F-009F, U+xFFFE/F,
 * U+FDD0-FDEF. */
bool check_string(struct mr_slice text);

/* RFC 3986 4.1 (URI-reference) and 4.3 (absolute-URI: with a scheme, without a fragment). */
bool check_uri_reference(struct mr_slice text);
bool check_absolute_uri(struct mr_slice text);

/* RFC 3986 3.2: [ userinfo "@" ] host [ ":" port ], each of which may be empty. */
bool check_authority(struct mr_slice text);

/* RFC 2046 media type: type "/" subtype, then parameters; tokens and quoted strings of RFC 9110
 * (8.3.1, 5.6.6), so a lone ";" may stand at the end, a blank may not. */
bool check_media_type(struct mr_slice text);

/* The media type's data is JSON (JSON format 3.1): subtype is `json` or ends in `+json`, in either
 * case. */
bool check_media_type_is_json(struct mr_slice media_type);

#endif

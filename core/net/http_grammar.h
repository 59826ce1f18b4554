// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_GRAMMAR_H
#define NET_HTTP_GRAMMAR_H

/* The characters of HTTP (RFC 9110 5.6, RFC 9112 3.2, RFC 3986 2), and the parse of a finished
 * head. Private to the reader. */

#include <stdbool.h>

#include "net/http_reader.h"

/* What may stand in a field value: VCHAR, obs-text, SP, HTAB (RFC 9110 5.5). */
static inline bool http_is_field_char(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Enter the refused state. `reason` is a literal in plain ASCII without quotes or backslashes. */
void http_refuse(struct http_reader *reader, int status, const char *reason);

/* For what is over one of the reader's limits: the reason names the limit, and what sets it. */
void http_refuse_head(struct http_reader *reader, int status, const char *reason);
void http_refuse_body(struct http_reader *reader);

/* A line of the head, at reader->line_begin, `len` bytes without its CRLF. They refuse what is
 * wrong. */
void http_parse_request_line(struct http_reader *reader, size_t len);
void http_parse_field_line(struct http_reader *reader, size_t len);

/* After the empty line: framing, persistence, expectations. Leaves the state BODY with
 * content_left or chunked set, COMPLETE, or REFUSED. */
void http_parse_head_end(struct http_reader *reader);

#endif

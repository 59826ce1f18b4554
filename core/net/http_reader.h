// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_READER_H
#define NET_HTTP_READER_H

/* A strict HTTP/1.1 request reader (RFC 9112): pure, incremental, bounded. Bytes are given as they
 * come, in any pieces; the outcome doesn't depend on where they are cut. What is ambiguous is
 * refused, never guessed: both Content-Length and Transfer-Encoding, repeated or malformed lengths,
 * obs-fold, space before a colon, bare LF or CR, control characters, a bad chunk, a missing or
 * second Host, a target with characters that no URI has. Memory grows with the bytes that came,
 * never by what a length claims. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/buf.h"

enum { HTTP_HEADERS_MAX = 64, HTTP_METHOD_BYTES_MAX = 16, HTTP_REASON_BYTES = 120 };

struct http_limits {
    size_t head_bytes_max;   /* request line and header section */
    size_t body_bytes_max;   /* content, after chunk decoding */
    const char *head_option; /* what sets them, for refusals; NULL: left out */
    const char *body_option;
    bool length_required; /* POST, PUT and PATCH must say how long their content is, or are refused
                             with 411; otherwise they have none then (RFC 9112 6.3) */
};

struct http_header {
    uint32_t name, name_len; /* offsets into `head`, which may move while it grows */
    uint32_t value, value_len;
};

enum http_reader_state {
    HTTP_READER_HEAD,     /* wants more bytes of the head */
    HTTP_READER_BODY,     /* the head is complete and may be looked at; wants more of the body */
    HTTP_READER_COMPLETE, /* one whole request */
    HTTP_READER_REFUSED,  /* `status` and `reason` say why; the connection can't go on */
};

struct http_reader {
    struct http_limits limits;
    enum http_reader_state state;
    struct mr_buf head; /* the request line and fields as they came */
    struct mr_buf body;
    struct http_header headers[HTTP_HEADERS_MAX];
    unsigned header_count;
    uint32_t method_len; /* at the start of `head` */
    uint32_t target_len; /* 0: the request line is still to come */
    bool http_1_0;
    bool keep_alive;      /* RFC 9112 9.3 */
    bool expect_continue; /* RFC 9110 10.1.1 */
    bool chunked;
    uint64_t content_left; /* bytes of content, or of the chunk, still to come */
    int status;            /* HTTP_READER_REFUSED: 400, 411, 413, 414, 417, 431, 501, 503, 505
                            */
    const char *reason;    /* HTTP_READER_REFUSED: what was wrong and what was expected */
    /* private: */
    unsigned position;       /* where in the grammar */
    unsigned empty_lines;    /* before the request line */
    unsigned size_digits;    /* of the chunk size that is being read */
    size_t line_begin;       /* of the line that is being read, in `head` */
    size_t extension_bytes;  /* chunk extensions and trailers are bounded too, by head_bytes_max */
    uint32_t path, path_len; /* an empty path (absolute-form) stands for "/" */
    uint32_t query, query_len;
    bool has_query;
    char reason_text[HTTP_REASON_BYTES]; /* of a reason with a number in it */
};

/* `head_bytes_max` must be at least 1 and at most 1 GiB. */
void http_reader_init(struct http_reader *reader, const struct http_limits *limits);
void http_reader_done(struct http_reader *reader);

/* Ready for the next request; memory is kept up to a bound. */
void http_reader_reset(struct http_reader *reader);

/* Take bytes up to the end of one request. Returns how many were taken: less than `len` only when
 * the request is complete or refused. Out of memory is a refusal with status 503. */
size_t http_reader_feed(struct http_reader *reader, const char *bytes, size_t len);

/* After the head: the method, the path and query of the target (query absent without "?"). */
struct mr_slice http_reader_method(const struct http_reader *reader);
struct mr_slice http_reader_path(const struct http_reader *reader);
struct mr_slice http_reader_query(const struct http_reader *reader);

/* The value of a field, name without regard to case, white space around it cut; absent if missing.
 * With several of the name, `ret_count` (may be NULL) tells how many; the first is returned. */
struct mr_slice http_reader_header(const struct http_reader *reader, const char *name,
                                   unsigned *ret_count);

/* The fields one by one, as they came; false: there is none at `index`. */
bool http_reader_header_at(const struct http_reader *reader, unsigned index,
                           struct mr_slice *ret_name, struct mr_slice *ret_value);

struct mr_slice http_reader_body(const struct http_reader *reader);

#endif

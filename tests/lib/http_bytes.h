// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_HTTP_BYTES_H
#define TESTS_LIB_HTTP_BYTES_H

/* Each byte value in each place of a request, and what RFC 9110, RFC 9112 and RFC 3986 say of it
 * there. */

#include <stddef.h>

#include <millrace/slice.h>

enum { HTTP_BYTE_PLACES = 12, HTTP_BYTES_TEXT = 300 };

/* What a reader must make of the request, or the status of the refusal. */
enum { HTTP_BYTE_COMPLETE = 0, HTTP_BYTE_WAITS = -1 };

struct http_byte_place {
    const char *name;
    const char *before;
    const char *after;
    int (*expect)(unsigned char c);
};

extern const struct http_byte_place http_byte_places[HTTP_BYTE_PLACES];

/* The request with `c` in its place. */
struct mr_slice http_byte_request(const struct http_byte_place *place, unsigned char c,
                                  char ret_text[HTTP_BYTES_TEXT]);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "lib/http_bytes.h"

#include <stdbool.h>
#include <string.h>

#define ALPHA      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT      "0123456789"
#define HEXDIG     DIGIT "abcdefABCDEF"
#define TCHAR      ALPHA DIGIT "!#$%&'*+-.^_`|~" /* RFC 9110 5.6.2 */
#define UNRESERVED ALPHA DIGIT "-._~"            /* RFC 3986 2.3 */
#define SUB_DELIMS "!$&'()*+,;="                 /* RFC 3986 2.2 */

static bool is_in(unsigned char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* VCHAR, SP, HTAB and obs-text (RFC 9110 5.5). */
static bool is_text(unsigned char c)
{
    return c == '\t' || c == ' ' || (c >= 0x21 && c <= 0x7e) || c >= 0x80;
}

static int in_method(unsigned char c)
{
    return is_in(c, TCHAR) ? HTTP_BYTE_COMPLETE : 400;
}

/* pchar, "/" and "?" (RFC 3986 3.3, 3.4); "%" is for whoever decodes it. */
static int in_target(unsigned char c)
{
    return is_in(c, UNRESERVED SUB_DELIMS ":@/?%") ? HTTP_BYTE_COMPLETE : 400;
}

static int in_minor_version(unsigned char c)
{
    return is_in(c, DIGIT) ? HTTP_BYTE_COMPLETE : 400; /* RFC 9110 2.5 */
}

/* A colon in a name ends it. */
static int in_name(unsigned char c)
{
    return is_in(c, TCHAR ":") ? HTTP_BYTE_COMPLETE : 400;
}

static int in_value(unsigned char c)
{
    return is_text(c) ? HTTP_BYTE_COMPLETE : 400;
}

/* reg-name (RFC 3986 3.2.2); "%" is followed by one digit only, ":" by what is no port. */
static int in_host(unsigned char c)
{
    return is_in(c, UNRESERVED SUB_DELIMS) ? HTTP_BYTE_COMPLETE : 400;
}

static int in_content_length(unsigned char c)
{
    if (is_in(c, " \t")) {
        return HTTP_BYTE_COMPLETE; /* OWS */
    }
    return is_in(c, DIGIT) ? HTTP_BYTE_WAITS : 400;
}

static int in_coding(unsigned char c)
{
    return is_in(c, " \t") ? HTTP_BYTE_COMPLETE : 400; /* OWS */
}

static int in_chunk_size(unsigned char c)
{
    if (c == ';') {
        return HTTP_BYTE_COMPLETE;
    }
    return is_in(c, HEXDIG) ? HTTP_BYTE_WAITS : 400;
}

static int in_content(unsigned char c)
{
    (void)c;
    return HTTP_BYTE_COMPLETE;
}

#define POST    "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\n"
#define EMPTY   "Content-Length: 0\r\n\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

const struct http_byte_place http_byte_places[HTTP_BYTE_PLACES] = {
    {"method", "PO", "ST /v1/c HTTP/1.1\r\nHost: a\r\n" EMPTY, in_method},
    {"target", "POST /v1/", "c?device=d HTTP/1.1\r\nHost: a\r\n" EMPTY, in_target},
    {"query", "POST /v1/c?device=d", "e HTTP/1.1\r\nHost: a\r\n" EMPTY, in_target},
    {"version", "POST /v1/c?device=d HTTP/1.", "\r\nHost: a\r\n" EMPTY, in_minor_version},
    {"name", POST "X", "Y: z\r\n" EMPTY, in_name},
    {"value", POST "X: y", "z\r\n" EMPTY, in_value},
    {"host", "POST /v1/c?device=d HTTP/1.1\r\nHost: a", "b\r\n" EMPTY, in_host},
    {"length", POST "Content-Length: 1", "\r\n\r\nx", in_content_length},
    {"coding", POST "Transfer-Encoding: chunked", "\r\n\r\n0\r\n\r\n", in_coding},
    {"chunk size", CHUNKED "1", "\r\nx\r\n0\r\n\r\n", in_chunk_size},
    {"chunk", CHUNKED "1\r\n", "\r\n0\r\n\r\n", in_content},
    {"trailer", CHUNKED "0\r\nX: y", "z\r\n\r\n", in_value},
};

struct mr_slice http_byte_request(const struct http_byte_place *place, unsigned char c,
                                  char ret_text[HTTP_BYTES_TEXT])
{
    size_t before = strlen(place->before);
    size_t after = strlen(place->after);
    memcpy(ret_text, place->before, before);
    ret_text[before] = (char)c;
    memcpy(ret_text + before + 1, place->after, after);
    return mr_slice(ret_text, before + 1 + after);
}

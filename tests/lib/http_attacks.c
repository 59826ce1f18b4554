// SPDX-License-Identifier: Apache-2.0
#include "lib/http_attacks.h"

#include <millrace/macros.h>

#define TEXT(text)            \
    {                         \
        text, sizeof text - 1 \
    }
#define HEAD    "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"

static const struct http_attack request_lines[] = {
    {TEXT("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400}, /* bare LF, RFC 9112 2.2 */
    {TEXT("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400}, /* bare CR */
    {TEXT("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), 400},
    {TEXT("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400}, /* too many empty lines */
    {TEXT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET\r\n\r\n"), 400},
    {TEXT("GET \r\n\r\n"), 400},
    {TEXT("GET /\r\n\r\n"), 400}, /* HTTP/0.9 */
    {TEXT("GET / \r\n\r\n"), 400},
    {TEXT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400}, /* exactly one SP */
    {TEXT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / http/1.1\r\nHost: a\r\n\r\n"), 400}, /* case-sensitive, 2.3 */
    {TEXT("GET / HTTP/11.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/x.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), 505},
    {TEXT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505},
    {TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},              /* RFC 9113 3.4 */
    {TEXT("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400},             /* only OPTIONS, 3.2.4 */
    {TEXT("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 501}, /* RFC 9110 9.3.6 */
    {TEXT("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400}, /* RFC 9110 4.2.4 */
    {TEXT("GET ftp://h/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\nHost: a\r\n\r\n"), 501}, /* RFC 9112 3.1: 17 bytes */
    {TEXT("\x16\x03\x01"), 400},                                    /* a TLS client */
    {TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"), 505},
    {TEXT("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"), 400},
    {TEXT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {TEXT("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), 501},
};

static const struct http_attack header_lines[] = {
    {TEXT("GET / HTTP/1.1\r\n\r\n"), 400}, /* Host, RFC 9112 3.2 */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400}, /* 5.1: space before ":" */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400},              /* 2.2 */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"), 400}, /* 5.2: obs-fold */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n"), 400}, /* bare LF */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\rY: c\r\n\r\n"), 400}, /* bare CR */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\n\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: b\x7f\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"), 417}, /* RFC 9110 10.1.1 */
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: [zz]\r\n\r\n"), 400}, /* RFC 3986 3.2.2 */
    {TEXT("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: [fe80::1%25en0]\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    {TEXT("GET http://h/ HTTP/1.1\r\nHost: u@h\r\n\r\n"), 400}, /* also beside a target's */
    {TEXT("GET http://h/ HTTP/1.1\r\n\r\n"), 400},
    {TEXT("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n"), 417},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), 411}, /* RFC 9110 15.5.12 */
    {TEXT("PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), 411},
    {TEXT("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n"), 411},
    {TEXT("POST / HTTP/1.0\r\n\r\n"), 411},
    {TEXT("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), 411},
};

/* RFC 9112 6.1, 6.3, 7.1, 11.2. */
static const struct http_attack framings[] = {
    {TEXT(HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5, 5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: +5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: -5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 0x5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5 5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5.0\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: \r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: five\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length : 5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding:\x0b"
               "chunked\r\n\r\n0\r\n\r\n"),
     400},
    {TEXT(HEAD "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(HEAD "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding:\r\n\r\n0\r\n\r\n"), 400},
    {TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(HEAD "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 501},
    {TEXT(HEAD "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: ch\tunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: \x0c"
               "chunked\r\n\r\n0\r\n\r\n"),
     400},
    {TEXT(HEAD "Transfer-Encoding:\xa0"
               "chunked\r\n\r\n0\r\n\r\n"),
     400},
    {TEXT(HEAD "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "\x0bTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer-Encoding: chunked\rX: y\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {TEXT(HEAD "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n"), 411}, /* another name */
    {TEXT(HEAD "Content-Length: 0\r\nTransfer-Encoding: x\r\n\r\n"), 400},
    {TEXT(HEAD "Content-Length: 5\r\n 6\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5,\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5;6\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 0x\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 1e1\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: \xb2\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 5\0\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length:\v5\r\n\r\nhello"), 400},
    {TEXT(HEAD "Content-Length: 18446744073709551621\r\n\r\nhello"), 413}, /* 2^64 + 5 */
    {TEXT(HEAD "Content-Length: 4294968321\r\n\r\nhello"), 413},           /* 2^32 + 1025 */
    {TEXT("POST /v1/c?device=d HTTP/1.0\r\nContent-Length: 5\r\n"
          "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     400},
};

static const struct http_attack chunks[] = {
    {TEXT(CHUNKED "\r\n\r\n"), 400},
    {TEXT(CHUNKED "x\r\n"), 400},
    {TEXT(CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "-1\r\n"), 400},
    {TEXT(CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5 \r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5;a\nhello\r\n0\r\n\r\n"), 400}, /* a bare LF ends no extension */
    {TEXT(CHUNKED "5;a\rhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\rhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhello0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhello\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhello\r0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhello!\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\nno colon\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\n: x\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\na: x\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\na: x\r\n b\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\n\n"), 400},
    {TEXT(CHUNKED "0\r\na\r\n\r\n"), 400},
    {TEXT(CHUNKED "00000000000000000\r\n\r\n"), 400}, /* 17 digits */
    {TEXT(CHUNKED "401\r\n"), 413},                   /* 1025 of 1024 */
    {TEXT(CHUNKED "ffffffffffffffff\r\n"), 413},
    {TEXT(CHUNKED "1\r\nx\r\nffffffffffffffff\r\n"), 413},
    {TEXT(CHUNKED "1\r\nx\r\n400\r\n"), 413},
    {TEXT(CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5_\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\t\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "\t5\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\0\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5,\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\n\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED ";x\r\n\r\n"), 400},
    {TEXT(CHUNKED "5;x=\"\n\"\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5;\0\r\nhello\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhello\r\r\n0\r\n\r\n"), 400},
    {TEXT(CHUNKED "5\r\nhell\r\n0\r\n\r\n"), 400}, /* a byte short: CR is data, LF isn't CR */
    {TEXT(CHUNKED "100000000000000005\r\nhello\r\n0\r\n\r\n"), 400}, /* 2^68 + 5 */
    {TEXT(CHUNKED "8000000000000000\r\n"), 413},
    {TEXT(CHUNKED "0\r\nX: y\0\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\nX : y\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\nX: y\r\r\n\r\n"), 400},
    {TEXT(CHUNKED "0\r\n\r\r\n"), 400},
    {TEXT(CHUNKED "0\r\nGET /v1/c HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
};

const struct http_attack_set http_attack_sets[HTTP_ATTACK_SETS] = {
    {"request lines", request_lines, MR_COUNT_OF(request_lines)},
    {"header lines", header_lines, MR_COUNT_OF(header_lines)},
    {"framings", framings, MR_COUNT_OF(framings)},
    {"chunks", chunks, MR_COUNT_OF(chunks)},
};

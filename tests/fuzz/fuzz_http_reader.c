// SPDX-License-Identifier: Apache-2.0
/* The input is read as a stream of requests, once whole and once cut into pieces of sizes that the
 * first byte chooses; both readings must agree in everything, and keep to the limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/http_reader.h"

static const struct http_limits limits = {
    .head_bytes_max = 512, .body_bytes_max = 256, .length_required = true};

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void require_same(struct mr_slice a, struct mr_slice b)
{
    require(mr_slice_is(a, b) && (a.ptr == NULL) == (b.ptr == NULL));
}

static void require_agree(const struct http_reader *a, const struct http_reader *b)
{
    require(a->state == b->state && a->status == b->status);
    require(a->header_count == b->header_count && a->keep_alive == b->keep_alive);
    require(a->expect_continue == b->expect_continue && a->chunked == b->chunked);
    require_same(buf_slice(&a->head), buf_slice(&b->head));
    require_same(http_reader_body(a), http_reader_body(b));
    require(a->head.len <= limits.head_bytes_max && a->body.len <= limits.body_bytes_max);
    if (a->state == HTTP_READER_REFUSED) {
        require(a->status >= 400 && a->status <= 505 && strcmp(a->reason, b->reason) == 0);
    } else if (a->state == HTTP_READER_COMPLETE) {
        require_same(http_reader_method(a), http_reader_method(b));
        require_same(http_reader_path(a), http_reader_path(b));
        require_same(http_reader_query(a), http_reader_query(b));
        require_same(http_reader_header(a, "host", NULL), http_reader_header(b, "host", NULL));
        require(http_reader_path(a).len > 0);
    }
}

static size_t feed_in_pieces(struct http_reader *reader, const char *bytes, size_t len,
                             unsigned seed)
{
    size_t at = 0;
    while (at < len) {
        size_t piece = 1 + seed % 7;
        size_t taken;
        char *exact;
        seed = seed * 1103515245u + 12345u;
        piece = piece < len - at ? piece : len - at;
        exact = malloc(piece);
        require(exact != NULL);
        memcpy(exact, bytes + at, piece);
        taken = http_reader_feed(reader, exact, piece);
        free(exact);
        at += taken;
        if (taken < piece) {
            break;
        }
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct http_reader whole;
    struct http_reader cut;
    const char *at;
    size_t left;
    if (size == 0) {
        return 0;
    }
    at = (const char *)bytes + 1;
    left = size - 1;
    http_reader_init(&whole, &limits);
    http_reader_init(&cut, &limits);
    for (;;) {
        size_t taken = http_reader_feed(&whole, at, left);
        require(taken == feed_in_pieces(&cut, at, left, bytes[0]));
        require_agree(&whole, &cut);
        require(taken <= left);
        if (whole.state != HTTP_READER_COMPLETE) {
            require(whole.state == HTTP_READER_REFUSED || taken == left);
            break;
        }
        at += taken;
        left -= taken;
        http_reader_reset(&whole);
        http_reader_reset(&cut);
    }
    http_reader_done(&whole);
    http_reader_done(&cut);
    return 0;
}

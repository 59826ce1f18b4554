// SPDX-License-Identifier: Apache-2.0
#include "server_words.h"

#include "event/json_scan.h"
#include "kit/utf8.h"

static int error_member(struct mr_slice body, struct mr_buf *out)
{
    struct json_scan scan;
    enum json_token token;
    json_scan_init(&scan, body);
    token = json_scan_next(&scan);
    while (token != JSON_SCAN_ERROR && token != JSON_SCAN_END) {
        if (token == JSON_SCAN_NAME && scan.depth == 1 &&
            mr_slice_is(scan.raw, MR_SLICE("error"))) {
            return json_scan_next(&scan) == JSON_SCAN_STRING ? json_scan_unescape(&scan, out)
                                                             : MR_EFORMAT;
        }
        token = json_scan_next(&scan);
    }
    return MR_EFORMAT;
}

/* Control characters are spaces, and what isn't UTF-8 is question marks. */
static void make_text(struct mr_buf *out, size_t begin)
{
    size_t i = begin;
    while (i < out->len) {
        size_t len = utf8_sequence(out->ptr + i, out->len - i);
        if (len == 0) {
            out->ptr[i] = '?';
        } else if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 0x7f) {
            out->ptr[i] = ' ';
        }
        i += len == 0 ? 1 : len;
    }
}

void server_words(struct mr_slice body, struct mr_buf *out)
{
    size_t begin = out->len;
    if (error_member(body, out) != 0) {
        (void)buf_add(out, body.ptr,
                      body.len < SERVER_WORDS_BYTES_MAX ? body.len : SERVER_WORDS_BYTES_MAX);
    }
    if (out->len - begin > SERVER_WORDS_BYTES_MAX) {
        out->len = begin + SERVER_WORDS_BYTES_MAX;
    }
    while (out->len > begin && (unsigned char)out->ptr[out->len - 1] <= ' ') {
        out->len--;
    }
    make_text(out, begin);
}

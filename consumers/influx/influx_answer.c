// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/influx_answer.h"

#include <stdio.h>

#include "event/json_scan.h"
#include "kit/utf8.h"

enum { WORDS_BYTES_MAX = 64 * 1024 }; /* while they are taken out of an answer */

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

void influx_words(struct mr_slice body, struct mr_buf *out)
{
    size_t begin = out->len;
    if (error_member(body, out) != 0) {
        (void)buf_add(out, body.ptr,
                      body.len < INFLUX_WORDS_BYTES_MAX ? body.len : INFLUX_WORDS_BYTES_MAX);
    }
    if (out->len - begin > INFLUX_WORDS_BYTES_MAX) {
        out->len = begin + INFLUX_WORDS_BYTES_MAX;
    }
    while (out->len > begin && (unsigned char)out->ptr[out->len - 1] <= ' ') {
        out->len--;
    }
    make_text(out, begin);
}

enum influx_verdict influx_verdict(const struct mr_http_answer *answer)
{
    if (answer != NULL && answer->status == 204) {
        return INFLUX_STORED;
    }
    return answer != NULL && (answer->status == 400 || answer->status == 413) ? INFLUX_REFUSED
                                                                              : INFLUX_AWAY;
}

void influx_reason(struct mr_slice url, const struct mr_http_answer *answer,
                   const struct mr_error *error, char ret_reason[INFLUX_REASON_BYTES])
{
    struct mr_buf words;
    if (answer == NULL) {
        (void)snprintf(ret_reason, INFLUX_REASON_BYTES, "%s", error->text);
        return;
    }
    url.len = url.len > INFLUX_URL_BYTES_SHOWN ? INFLUX_URL_BYTES_SHOWN : url.len;
    buf_init(&words, WORDS_BYTES_MAX);
    influx_words(answer->body, &words);
    (void)snprintf(ret_reason, INFLUX_REASON_BYTES, "POST %.*s: %d %.*s", MR_SLICE_ARG(url),
                   answer->status, MR_SLICE_ARG(buf_slice(&words)));
    buf_done(&words);
}

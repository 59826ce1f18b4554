// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/influx_answer.h"

#include <stdio.h>
#include <string.h>

#include "event/json_scan.h"
#include "kit/utf8.h"

#define DROPPED " dropped="

enum {
    WORDS_BYTES_MAX = INFLUX_ANSWER_BYTES_MAX, /* while they are taken out of an answer */
    STATUS_BYTES = 16,
    PREFIX_BYTES_MAX = 64, /* "failure writing points to database: " */
};

static bool is_words_name(struct mr_slice name)
{
    return mr_slice_is(name, MR_SLICE("error")) || mr_slice_is(name, MR_SLICE("message"));
}

static int error_member(struct mr_slice body, struct mr_buf *out)
{
    struct json_scan scan;
    enum json_token token;
    json_scan_init(&scan, body);
    token = json_scan_next(&scan);
    while (token != JSON_SCAN_ERROR && token != JSON_SCAN_END) {
        if (token == JSON_SCAN_NAME && scan.depth == 1 && is_words_name(scan.raw)) {
            return json_scan_next(&scan) == JSON_SCAN_STRING ? json_scan_unescape(&scan, out)
                                                             : MR_EFORMAT;
        }
        token = json_scan_next(&scan);
    }
    return MR_EFORMAT;
}

/* The words of an answer that is longer than what is kept of it end with their last whole line. */
static int error_member_of_cut(struct mr_slice body, struct mr_buf *out)
{
    struct mr_buf whole;
    int rc = MR_EFORMAT;
    size_t len = body.len;
    while (len >= 2 && !(body.ptr[len - 2] == '\\' && body.ptr[len - 1] == 'n')) {
        len--;
    }
    if (len < 2) {
        return rc;
    }
    buf_init(&whole, INFLUX_ANSWER_BYTES_MAX + 2);
    (void)buf_add(&whole, body.ptr, len - 2);
    if (buf_add_str(&whole, "\"}") == 0) {
        rc = error_member(buf_slice(&whole), out);
    }
    buf_done(&whole);
    return rc;
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

enum influx_verdict influx_verdict(const struct mr_http_answer *answer, struct mr_buf *words)
{
    buf_clear(words);
    if (answer == NULL) {
        return INFLUX_AWAY;
    }
    if (answer->status == 204) {
        return INFLUX_STORED;
    }
    if (answer->status == 413) {
        influx_words(answer->body, words);
        return INFLUX_REFUSED;
    }
    if (answer->status != 400 && answer->status != 422) {
        return INFLUX_AWAY;
    }
    if ((answer->body_is_cut ? error_member_of_cut(answer->body, words)
                             : error_member(answer->body, words)) != 0) {
        return INFLUX_AWAY; /* somebody between says so, who knows nothing of points */
    }
    return mr_slice_is(buf_slice(words), MR_SLICE("unexpected EOF")) ? INFLUX_AWAY : INFLUX_REFUSED;
}

static bool contains(struct mr_slice words, const char *part)
{
    return memmem(words.ptr, words.len, part, strlen(part)) != NULL;
}

static uint64_t number_at(const char *at, const char *end)
{
    uint64_t number = 0;
    while (at < end && *at >= '0' && *at <= '9' && number < UINT32_MAX) {
        number = number * 10 + (uint64_t)(*at++ - '0');
    }
    return number;
}

/* Only where no name of a device's can stand: at the end, or right behind the known beginning. */
static uint64_t dropped_of(struct mr_slice words)
{
    static const char behind[] = "partial write: dropped ";
    const char *end = words.ptr + words.len;
    const char *digits = end;
    const char *found = memmem(words.ptr, words.len, behind, sizeof behind - 1);
    if (found != NULL && (size_t)(found - words.ptr) <= PREFIX_BYTES_MAX) {
        return number_at(found + sizeof behind - 1, end);
    }
    while (digits > words.ptr && digits[-1] >= '0' && digits[-1] <= '9') {
        digits--;
    }
    if ((size_t)(digits - words.ptr) < sizeof DROPPED - 1 ||
        memcmp(digits - (sizeof DROPPED - 1), DROPPED, sizeof DROPPED - 1) != 0) {
        return 0;
    }
    return number_at(digits, end);
}

/* What stands between two texts, from `*at` on, which moves behind the second. */
static bool take_between(struct mr_slice words, size_t *at, const char *before, const char *behind,
                         struct mr_slice *ret)
{
    const char *end = words.ptr + words.len;
    const char *begin = memmem(words.ptr + *at, words.len - *at, before, strlen(before));
    const char *stop;
    if (begin == NULL) {
        return false;
    }
    begin += strlen(before);
    stop = memmem(begin, (size_t)(end - begin), behind, strlen(behind));
    if (stop == NULL) {
        return false;
    }
    *ret = mr_slice(begin, (size_t)(stop - begin));
    *at = (size_t)(stop - words.ptr);
    return true;
}

static void read_conflict(struct influx_refusal *refusal)
{
    struct mr_slice type;
    size_t at = 0;
    if (take_between(refusal->words, &at, "input field \"", "\" on measurement \"",
                     &refusal->field) &&
        take_between(refusal->words, &at, "on measurement \"", "\" is type ",
                     &refusal->measurement) &&
        take_between(refusal->words, &at, "already exists as type ", DROPPED, &type)) {
        refusal->has = line_type_of(type);
    }
}

void influx_refusal_read(int status, struct mr_slice words, struct influx_refusal *ret_refusal)
{
    struct influx_refusal refusal = {.status = status, .words = words};
    if (status == 413) {
        refusal.kind = INFLUX_TOO_LARGE;
    } else if (contains(words, "unable to parse '")) {
        refusal.kind = INFLUX_UNPARSABLE;
    } else if (contains(words, "partial write: field type conflict: ")) {
        refusal.kind = INFLUX_CONFLICT;
        read_conflict(&refusal);
    } else if (contains(words, "partial write: points beyond retention policy") ||
               contains(words, " outside retention policy ")) {
        refusal.kind = INFLUX_LATE;
    }
    if (refusal.kind != INFLUX_UNPARSABLE && refusal.kind != INFLUX_TOO_LARGE) {
        refusal.dropped = dropped_of(words);
    }
    *ret_refusal = refusal;
}

void influx_server_text(const struct influx_refusal *refusal, char ret_text[INFLUX_SERVER_BYTES])
{
    struct mr_slice words = utf8_cut(refusal->words, INFLUX_SERVER_BYTES - STATUS_BYTES);
    (void)snprintf(ret_text, INFLUX_SERVER_BYTES, "%d %.*s", refusal->status, MR_SLICE_ARG(words));
    for (char *at = ret_text; *at != '\0'; at++) {
        *at = (unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at;
    }
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

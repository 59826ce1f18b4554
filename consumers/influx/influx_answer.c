// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/influx_answer.h"

#include <stdio.h>
#include <string.h>

#include <millrace/macros.h>

#include "event/json_scan.h"
#include "kit/utf8.h"

#define DROPPED " dropped="

enum {
    WORDS_BYTES_MAX = INFLUX_ANSWER_BYTES_MAX, /* while they are taken out of an answer */
    STATUS_BYTES = 16,
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

/* The words of an answer that is longer than what is kept of it end with their last whole line, and
 * its line break: where they were cut, a device's text may stand at the end. */
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
    (void)buf_add(&whole, body.ptr, len);
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

static bool begins_with(struct mr_slice words, struct mr_slice with)
{
    return words.len >= with.len && memcmp(words.ptr, with.ptr, with.len) == 0;
}

/* Without a beginning that may stand before it. */
static bool take_off(struct mr_slice *words, struct mr_slice beginning)
{
    if (!begins_with(*words, beginning)) {
        return false;
    }
    *words = mr_slice(words->ptr + beginning.len, words->len - beginning.len);
    return true;
}

#define OF_2X     MR_SLICE("failure writing points to database: ")
#define PARTIAL   MR_SLICE("partial write: ")
#define CONFLICT  MR_SLICE("field type conflict: ")
#define UNPARSED  MR_SLICE("unable to parse '")
#define BEYOND    MR_SLICE("points beyond retention policy")
#define LATE_2X   MR_SLICE("dropped ")
#define LATE_2X_B MR_SLICE(" points outside retention policy")

/* With which InfluxDB 1.x and 2.x begin when they speak of points. A gateway's "Bad Request", a
 * broken transport ("gzip: invalid checksum") or an overload ("timeout") are no point's fault. */
static bool is_of_points(struct mr_slice words)
{
    const struct mr_slice beginnings[] = {
        PARTIAL,
        UNPARSED,
        CONFLICT,
        BEYOND,
        MR_SLICE("max-series-per-database limit exceeded"),
        MR_SLICE("max-values-per-tag limit exceeded"),
        MR_SLICE("max key length exceeded"),
        MR_SLICE("time outside range"),
        MR_SLICE("invalid number"),
        MR_SLICE("invalid boolean"),
        MR_SLICE("invalid field name"),
        MR_SLICE("invalid field format"),
        MR_SLICE("invalid tag key"),
        MR_SLICE("invalid tag format"),
    };
    (void)take_off(&words, OF_2X);
    for (size_t i = 0; i < MR_COUNT_OF(beginnings); i++) {
        if (begins_with(words, beginnings[i])) {
            return true;
        }
    }
    return false;
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
        return INFLUX_AWAY;
    }
    return is_of_points(buf_slice(words)) ? INFLUX_REFUSED : INFLUX_AWAY;
}

static uint64_t number_at(const char *at, const char *end)
{
    uint64_t number = 0;
    while (at < end && *at >= '0' && *at <= '9' && number < UINT32_MAX) {
        number = number * 10 + (uint64_t)(*at++ - '0');
    }
    return number;
}

/* "dropped N points outside retention policy", before anything that a device has named. */
static bool take_late(struct mr_slice words, uint64_t *ret_dropped)
{
    const char *digits;
    if (!take_off(&words, LATE_2X)) {
        return false;
    }
    digits = words.ptr;
    while (words.len > 0 && *words.ptr >= '0' && *words.ptr <= '9') {
        words = mr_slice(words.ptr + 1, words.len - 1);
    }
    *ret_dropped = number_at(digits, words.ptr);
    return words.ptr > digits && begins_with(words, LATE_2X_B);
}

/* " dropped=N" behind all that a device has named; 0: it isn't there. */
static uint64_t dropped_at_end(struct mr_slice words)
{
    const char *end = words.ptr + words.len;
    const char *digits = end;
    while (digits > words.ptr && digits[-1] >= '0' && digits[-1] <= '9') {
        digits--;
    }
    if ((size_t)(digits - words.ptr) < sizeof DROPPED - 1 ||
        memcmp(digits - (sizeof DROPPED - 1), DROPPED, sizeof DROPPED - 1) != 0) {
        return 0;
    }
    return number_at(digits, end);
}

/* The words are cut in two at the last place of `part`. */
static bool cut_at_last(struct mr_slice *words, struct mr_slice part, struct mr_slice *ret_behind)
{
    for (size_t at = words->len; at-- > 0;) {
        struct mr_slice from = mr_slice(words->ptr + at, words->len - at);
        if (begins_with(from, part)) {
            *ret_behind = mr_slice(from.ptr + part.len, from.len - part.len);
            words->len = at;
            return true;
        }
    }
    return false;
}

/* `input field "F" on measurement "M" is type T, already exists as type U dropped=1`: F and M may
 * hold any of these words. So the types are taken from the end, and names in which the words
 * between them stand as well are not told apart. */
static void read_conflict(struct mr_slice words, struct influx_refusal *refusal)
{
    static const char between[] = "\" on measurement \"";
    struct mr_slice has;
    struct mr_slice sent;
    struct mr_slice measurement;
    const char *space;
    if (!cut_at_last(&words, MR_SLICE(", already exists as type "), &has) ||
        !cut_at_last(&words, MR_SLICE("\" is type "), &sent) ||
        !take_off(&words, MR_SLICE("input field \"")) ||
        !cut_at_last(&words, MR_SLICE(between), &measurement) ||
        /* Two may have a quote in common. */
        memmem(words.ptr, words.len + 1, between, sizeof between - 1) != NULL) {
        return;
    }
    space = memchr(has.ptr, ' ', has.len);
    has.len = space == NULL ? has.len : (size_t)(space - has.ptr);
    refusal->has = line_type_of(has);
    refusal->sent = line_type_of(sent);
    refusal->field = words;
    refusal->measurement = measurement;
}

void influx_refusal_read(int status, struct mr_slice words, struct influx_refusal *ret_refusal)
{
    struct influx_refusal refusal = {.status = status, .words = words};
    bool is_partial;
    (void)take_off(&words, OF_2X);
    is_partial = take_off(&words, PARTIAL);
    if (status == 413) {
        refusal.kind = INFLUX_TOO_LARGE;
    } else if (take_off(&words, UNPARSED)) {
        refusal.kind = INFLUX_UNPARSABLE;
        refusal.quotes = words;
    } else if (is_partial && take_late(words, &refusal.dropped)) {
        refusal.kind = INFLUX_LATE;
    } else {
        refusal.dropped = is_partial ? dropped_at_end(words) : 0;
        if (take_off(&words, CONFLICT)) {
            refusal.kind = INFLUX_CONFLICT;
            read_conflict(words, &refusal);
        } else if (begins_with(words, BEYOND)) {
            refusal.kind = INFLUX_LATE;
        }
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

// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/line_scan.h"

#include <stddef.h>
#include <string.h>

#include <millrace/macros.h>

/* Bytes at which a name may end or be escaped; all others are passed over in one step. */
static const bool is_special[256] = {
    [','] = true, ['='] = true, [' '] = true, ['\n'] = true, ['\\'] = true,
};

static bool is_escape(const char *at, const char *end)
{
    return *at == '\\' && at + 1 < end && (at[1] == ',' || at[1] == '=' || at[1] == ' ');
}

/* Up to the first of the two delimiters that isn't escaped, or to the end. */
static struct mr_slice take_name(struct line_scan *scan, char one, char other)
{
    const char *begin = scan->at;
    const char *at = begin;
    const char *end = scan->end;
    for (;;) {
        while (at < end && !is_special[(unsigned char)*at]) {
            at++;
        }
        if (at == end || *at == one || *at == other) {
            break;
        }
        at += is_escape(at, end) ? 2 : 1;
    }
    scan->at = at;
    return mr_slice(begin, (size_t)(at - begin));
}

static bool pass(struct line_scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c) {
        return false;
    }
    scan->at++;
    return true;
}

void line_scan_begin(struct line_scan *scan, struct mr_slice text, struct mr_slice *ret_measurement)
{
    line_scan_lines(scan, text);
    *ret_measurement = take_name(scan, ',', ' ');
}

void line_scan_lines(struct line_scan *scan, struct mr_slice text)
{
    *scan = (struct line_scan){text.ptr, text.ptr + text.len, false};
}

bool line_scan_next(struct line_scan *scan, struct mr_slice *ret_measurement)
{
    if (scan->at == scan->end) {
        return false;
    }
    scan->in_fields = false;
    *ret_measurement = take_name(scan, ',', ' ');
    return true;
}

bool line_scan_tag(struct line_scan *scan, struct mr_slice *ret_key, struct mr_slice *ret_value)
{
    if (!pass(scan, ',')) {
        return false;
    }
    *ret_key = take_name(scan, '=', ' ');
    (void)pass(scan, '=');
    *ret_value = take_name(scan, ',', ' ');
    return true;
}

/* Only a delimiter can stand behind an escape's backslash, so one look back is enough. */
struct mr_slice line_scan_tags(struct line_scan *scan)
{
    const char *begin = scan->at;
    const char *at = begin;
    if (at == scan->end || *at != ',') {
        return mr_slice(begin, 0);
    }
    do {
        at = memchr(at + 1, ' ', (size_t)(scan->end - at - 1));
    } while (at != NULL && at[-1] == '\\');
    scan->at = at == NULL ? scan->end : at;
    return mr_slice(begin, (size_t)(scan->at - begin));
}

static void pass_string(struct line_scan *scan)
{
    const char *at = scan->at + 1;
    const char *end = scan->end;
    while (at < end && *at != '"') {
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    }
    scan->at = at;
    (void)pass(scan, '"');
}

static enum line_type take_value(struct line_scan *scan)
{
    const char *begin = scan->at;
    char last;
    if (begin < scan->end && *begin == '"') {
        pass_string(scan);
        return LINE_TYPE_STRING;
    }
    while (scan->at < scan->end && *scan->at != ',' && *scan->at != ' ' && *scan->at != '\n') {
        scan->at++;
    }
    if (scan->at == begin) {
        return LINE_TYPE_NONE;
    }
    last = scan->at[-1];
    if ((*begin >= '0' && *begin <= '9') || *begin == '-' || *begin == '+' || *begin == '.') {
        return last == 'i' ? LINE_TYPE_INTEGER : last == 'u' ? LINE_TYPE_UNSIGNED : LINE_TYPE_FLOAT;
    }
    return LINE_TYPE_BOOLEAN;
}

bool line_scan_field(struct line_scan *scan, struct mr_slice *ret_name, enum line_type *ret_type)
{
    struct mr_slice key;
    struct mr_slice value;
    while (!scan->in_fields && line_scan_tag(scan, &key, &value)) {
    }
    if (!pass(scan, scan->in_fields ? ',' : ' ')) {
        return false;
    }
    scan->in_fields = true;
    *ret_name = take_name(scan, '=', '\n');
    if (!pass(scan, '=')) {
        return false;
    }
    *ret_type = take_value(scan);
    return true;
}

int64_t line_scan_end(struct line_scan *scan)
{
    bool negative;
    bool has_digits = false;
    uint64_t ns = 0;
    (void)pass(scan, ' ');
    negative = pass(scan, '-');
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        ns = ns * 10 + (uint64_t)(*scan->at++ - '0');
        has_digits = true;
    }
    while (scan->at < scan->end && *scan->at != '\n') {
        scan->at++;
    }
    (void)pass(scan, '\n');
    scan->in_fields = false;
    if (!has_digits || ns > INT64_MAX) {
        return INT64_MAX;
    }
    return negative ? -(int64_t)ns : (int64_t)ns;
}

void line_scan_skip(struct line_scan *scan)
{
    const char *at = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
    scan->at = at == NULL ? scan->end : at + 1;
    scan->in_fields = false;
}

enum line_type line_type_of(struct mr_slice word)
{
    static const struct {
        struct mr_slice word;
        enum line_type type;
    } types[] = {
        {MR_SLICE_INIT("float"), LINE_TYPE_FLOAT},
        {MR_SLICE_INIT("integer"), LINE_TYPE_INTEGER},
        {MR_SLICE_INIT("unsigned"), LINE_TYPE_UNSIGNED},
        {MR_SLICE_INIT("string"), LINE_TYPE_STRING},
        {MR_SLICE_INIT("boolean"), LINE_TYPE_BOOLEAN},
    };
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        if (mr_slice_is(word, types[i].word)) {
            return types[i].type;
        }
    }
    return LINE_TYPE_NONE;
}

/* Eight bytes at a time, as they are without their escapes. */
static uint64_t hash_escaped(struct siphash *hash, struct mr_slice name)
{
    const char *end = name.ptr + name.len;
    char bytes[sizeof(uint64_t)];
    size_t len = 0;
    for (const char *at = name.ptr; at < end; at++) {
        at += is_escape(at, end);
        bytes[len++ % sizeof bytes] = *at;
        if (len % sizeof bytes == 0) {
            uint64_t word;
            memcpy(&word, bytes, sizeof word);
            siphash_word(hash, word);
        }
    }
    return siphash_end(hash, siphash_tail(bytes, len % sizeof bytes), sizeof(uint64_t) + len);
}

uint64_t line_hash(struct siphash_key key, uint64_t seed, struct mr_slice name)
{
    struct siphash hash;
    size_t len = name.len;
    siphash_begin(&hash, key);
    siphash_word(&hash, seed);
    if (memchr(name.ptr, '\\', name.len) != NULL) {
        return hash_escaped(&hash, name);
    }
    for (; name.len >= sizeof(uint64_t);
         name.ptr += sizeof(uint64_t), name.len -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, name.ptr, sizeof word);
        siphash_word(&hash, word);
    }
    return siphash_end(&hash, siphash_tail(name.ptr, name.len), sizeof(uint64_t) + len);
}

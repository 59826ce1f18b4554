// SPDX-License-Identifier: Apache-2.0
#include "event/json_scan.h"

#include <assert.h>
#include <stdint.h>

#include "event/check.h"
#include "kit/ascii.h"
#include "kit/utf8.h"

/* What json_scan.state says: what may come next, after white space. */
enum {
    WANT_VALUE,        /* at the beginning, behind a name and its ':' */
    WANT_VALUE_OR_END, /* behind '[' */
    WANT_NAME_OR_END,  /* behind '{' */
    WANT_COMMA_OR_END, /* behind a value; at depth 0 only the end of the text */
    COMPLETE,
    FAILED,
};

/* Bytes that stand for themselves in a string: ASCII without controls, '"' and '\'. */
static const unsigned char is_plain[256] = {
    [0x20 ... 0x21] = 1,
    [0x23 ... 0x5B] = 1,
    [0x5D ... 0x7F] = 1,
};

void json_scan_init(struct json_scan *scan, struct mr_slice text)
{
    *scan = (struct json_scan){
        .begin = text.ptr,
        .at = text.ptr,
        .end = text.len == 0 ? text.ptr : text.ptr + text.len,
        .state = WANT_VALUE,
    };
}

static enum json_token fail(struct json_scan *scan, const char *at, const char *what)
{
    scan->at = at;
    scan->error = at == scan->end ? "unexpected end" : what;
    scan->state = FAILED;
    return JSON_SCAN_ERROR;
}

static inline void skip_space(struct json_scan *scan)
{
    const char *at = scan->at;
    while (at != scan->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    scan->at = at;
}

/* ---- objects and arrays ---- */

static inline bool in_object(const struct json_scan *scan)
{
    unsigned level = scan->depth - 1;
    return ((unsigned)scan->is_object[level / 8] >> level % 8 & 1U) != 0;
}

static enum json_token open_level(struct json_scan *scan, bool is_object)
{
    unsigned level = scan->depth;
    unsigned bit = 1U << level % 8;
    unsigned bits;
    if (level == JSON_DEPTH_MAX) {
        return fail(scan, scan->at, "nested too deeply");
    }
    bits = scan->is_object[level / 8];
    scan->is_object[level / 8] = (unsigned char)(is_object ? bits | bit : bits & ~bit);
    scan->depth++;
    scan->at++;
    scan->state = is_object ? WANT_NAME_OR_END : WANT_VALUE_OR_END;
    return is_object ? JSON_SCAN_OBJECT_BEGIN : JSON_SCAN_ARRAY_BEGIN;
}

static enum json_token close_level(struct json_scan *scan)
{
    enum json_token token = in_object(scan) ? JSON_SCAN_OBJECT_END : JSON_SCAN_ARRAY_END;
    scan->depth--;
    scan->at++;
    scan->state = WANT_COMMA_OR_END;
    return token;
}

/* ---- strings ---- */

/* In steps of 8: a byte is special if it is below 0x20, '"', '\' or above 0x7F. The arithmetic may
 * also call a byte behind a special one special, never one too few. */
static inline const char *skip_plain(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    while (end - at >= 8) {
        uint64_t word;
        uint64_t quote;
        uint64_t backslash;
        memcpy(&word, at, sizeof word);
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        if (((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) != 0) {
            break;
        }
        at += 8;
    }
    while (at != end && is_plain[(unsigned char)*at] != 0) {
        at++;
    }
    return at;
}

/* The value of 4 hexadecimal digits, or -1. */
static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = ascii_hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* The code point of the escape whose "\u" is before `at`, a surrogate pair as a whole; `ret_len`
 * is what follows "\u". -1: malformed, or half a pair. */
static int32_t unicode_escape(const char *at, const char *end, size_t *ret_len)
{
    int32_t point = hex4(at, end);
    int32_t low;
    if (point < 0xD800 || point > 0xDFFF) {
        *ret_len = 4;
        return point;
    }
    if (point > 0xDBFF || end - at < 10 || at[4] != '\\' || at[5] != 'u') {
        return -1;
    }
    low = hex4(at + 6, end);
    if (low < 0xDC00 || low > 0xDFFF) {
        return -1;
    }
    *ret_len = 10;
    return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
}

/* What an escape's letter stands for; 0: nothing. */
static char unescaped(char letter)
{
    switch (letter) {
        case '"':
        case '\\':
        case '/':
            return letter;
        case 'b':
            return '\b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        default:
            return '\0';
    }
}

/* The length of the escape at `at` ('\'), 0 if it is malformed. */
static size_t escape_length(const char *at, const char *end)
{
    size_t len;
    if (end - at < 2) {
        return 0;
    }
    if (at[1] != 'u') {
        return unescaped(at[1]) != '\0' ? 2 : 0;
    }
    return unicode_escape(at + 2, end, &len) >= 0 ? 2 + len : 0;
}

/* From the opening quote to behind the closing one. False: failed. */
static bool take_string(struct json_scan *scan)
{
    const char *begin = scan->at + 1;
    const char *at = begin;
    bool has_escapes = false;
    for (;;) {
        size_t len;
        at = skip_plain(at, scan->end);
        if (at == scan->end) {
            (void)fail(scan, at, "");
            return false;
        }
        if (*at == '"') {
            break;
        }
        if (*at == '\\') {
            len = escape_length(at, scan->end);
            has_escapes = true;
        } else {
            len = (unsigned char)*at < 0x20 ? 0 : utf8_sequence(at, (size_t)(scan->end - at));
        }
        if (len == 0) {
            (void)fail(scan, at,
                       *at == '\\'                 ? "malformed escape or lone surrogate"
                       : (unsigned char)*at < 0x20 ? "a control character in a string"
                                                   : "malformed UTF-8");
            return false;
        }
        at += len;
    }
    scan->raw = mr_slice(begin, (size_t)(at - begin));
    scan->raw_has_escapes = has_escapes;
    scan->at = at + 1;
    return true;
}

static enum json_token take_name(struct json_scan *scan)
{
    if (scan->at == scan->end || *scan->at != '"') {
        return fail(scan, scan->at, "expected a name in quotes");
    }
    if (!take_string(scan)) {
        return JSON_SCAN_ERROR;
    }
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != ':') {
        return fail(scan, scan->at, "expected ':'");
    }
    scan->at++;
    scan->state = WANT_VALUE;
    return JSON_SCAN_NAME;
}

/* ---- numbers and words ---- */

/* Behind the digits at `at`; NULL if there are none. */
static const char *skip_digits(const char *at, const char *end)
{
    const char *begin = at;
    while (at != end && *at >= '0' && *at <= '9') {
        at++;
    }
    return at == begin ? NULL : at;
}

/* [ "-" ] int [ frac ] [ exp ] */
static enum json_token take_number(struct json_scan *scan)
{
    const char *at = scan->at + (*scan->at == '-');
    const char *digits = at;
    const char *after = at != scan->end && *at == '0' ? at + 1 : skip_digits(at, scan->end);
    if (after != NULL && after != scan->end && *after == '.') {
        digits = after + 1;
        after = skip_digits(digits, scan->end);
    }
    if (after != NULL && after != scan->end && (*after == 'e' || *after == 'E')) {
        digits = after + 1;
        if (digits != scan->end && (*digits == '+' || *digits == '-')) {
            digits++;
        }
        after = skip_digits(digits, scan->end);
    }
    if (after == NULL) {
        return fail(scan, digits, "expected a digit");
    }
    scan->raw = mr_slice(scan->at, (size_t)(after - scan->at));
    scan->at = after;
    scan->state = WANT_COMMA_OR_END;
    return JSON_SCAN_NUMBER;
}

static enum json_token take_word(struct json_scan *scan, struct mr_slice word,
                                 enum json_token token)
{
    if ((size_t)(scan->end - scan->at) < word.len || memcmp(scan->at, word.ptr, word.len) != 0) {
        return fail(scan, scan->at, "expected a value");
    }
    scan->raw = mr_slice(scan->at, word.len);
    scan->at += word.len;
    scan->state = WANT_COMMA_OR_END;
    return token;
}

/* ---- the whole ---- */

static enum json_token take_value(struct json_scan *scan)
{
    if (scan->at == scan->end) {
        return fail(scan, scan->at, "");
    }
    switch (*scan->at) {
        case '"':
            if (!take_string(scan)) {
                return JSON_SCAN_ERROR;
            }
            scan->state = WANT_COMMA_OR_END;
            return JSON_SCAN_STRING;
        case '{':
            return open_level(scan, true);
        case '[':
            return open_level(scan, false);
        case 't':
            return take_word(scan, MR_SLICE("true"), JSON_SCAN_TRUE);
        case 'f':
            return take_word(scan, MR_SLICE("false"), JSON_SCAN_FALSE);
        case 'n':
            return take_word(scan, MR_SLICE("null"), JSON_SCAN_NULL);
        case '-':
        case '0' ... '9':
            return take_number(scan);
        default:
            return fail(scan, scan->at,
                        scan->end - scan->at >= 3 && memcmp(scan->at, "\xEF\xBB\xBF", 3) == 0
                            ? "a byte order mark is not allowed"
                            : "expected a value");
    }
}

static enum json_token after_value(struct json_scan *scan)
{
    if (scan->depth == 0) {
        if (scan->at != scan->end) {
            return fail(scan, scan->at, "text after the value");
        }
        scan->state = COMPLETE;
        return JSON_SCAN_END;
    }
    if (scan->at != scan->end && *scan->at == ',') {
        scan->at++;
        skip_space(scan);
        return in_object(scan) ? take_name(scan) : take_value(scan);
    }
    if (scan->at != scan->end && *scan->at == (in_object(scan) ? '}' : ']')) {
        return close_level(scan);
    }
    return fail(scan, scan->at, in_object(scan) ? "expected ',' or '}'" : "expected ',' or ']'");
}

enum json_token json_scan_next(struct json_scan *scan)
{
    if (scan->state >= COMPLETE) {
        return scan->state == COMPLETE ? JSON_SCAN_END : JSON_SCAN_ERROR;
    }
    skip_space(scan);
    switch (scan->state) {
        case WANT_COMMA_OR_END:
            return after_value(scan);
        case WANT_VALUE_OR_END:
            if (scan->at != scan->end && *scan->at == ']') {
                return close_level(scan);
            }
            return take_value(scan);
        case WANT_NAME_OR_END:
            if (scan->at != scan->end && *scan->at == '}') {
                return close_level(scan);
            }
            return take_name(scan);
        default:
            return take_value(scan);
    }
}

int json_scan_skip(struct json_scan *scan, struct mr_slice *ret_raw)
{
    unsigned depth = scan->depth;
    const char *begin;
    assert(scan->state == WANT_VALUE || scan->state == FAILED);
    skip_space(scan);
    begin = scan->at;
    do {
        if (json_scan_next(scan) == JSON_SCAN_ERROR) {
            return MR_EFORMAT;
        }
    } while (scan->depth > depth);
    *ret_raw = mr_slice(begin, (size_t)(scan->at - begin));
    return 0;
}

void json_scan_position(const struct json_scan *scan, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1;
    size_t column = 1;
    for (const char *at = scan->begin; at != scan->at; at++) {
        if (*at == '\n') {
            line++;
            column = 1;
        } else if (!utf8_is_continuation((unsigned char)*at)) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

int json_scan_error(const struct json_scan *scan, struct mr_error *err)
{
    size_t line;
    size_t column;
    assert(scan->error != NULL);
    json_scan_position(scan, &line, &column);
    return mr_error_set(err, MR_EFORMAT, "line %zu, column %zu: %s", line, column, scan->error);
}

bool json_is_valid(struct mr_slice text)
{
    struct json_scan scan;
    enum json_token token;
    json_scan_init(&scan, text);
    do {
        token = json_scan_next(&scan);
    } while (token < JSON_SCAN_END);
    return token == JSON_SCAN_END;
}

/* ---- the text of strings ---- */

static char *put_utf8(char *to, int32_t point)
{
    uint32_t c = (uint32_t)point;
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xC0U | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xE0U | c >> 12);
        } else {
            *to++ = (char)(0xF0U | c >> 18);
            *to++ = (char)(0x80U | (c >> 12 & 0x3FU));
        }
        *to++ = (char)(0x80U | (c >> 6 & 0x3FU));
    }
    *to++ = (char)(0x80U | (c & 0x3FU));
    return to;
}

/* Resolve the escape at `at`, which the scanner took: its text at `to`. Returns what is behind it.
 */
static const char *resolve(const char *at, const char *end, char **to)
{
    size_t len = 0;
    if (at[1] != 'u') {
        *(*to)++ = unescaped(at[1]);
        return at + 2;
    }
    *to = put_utf8(*to, unicode_escape(at + 2, end, &len));
    return at + 2 + len;
}

/* The next escape, or the end. */
static const char *find_escape(const char *at, const char *end)
{
    const char *escape = at == end ? NULL : memchr(at, '\\', (size_t)(end - at));
    return escape == NULL ? end : escape;
}

size_t json_scan_unescape_to(const struct json_scan *scan, char *to)
{
    const char *at = scan->raw.ptr;
    const char *end = at + scan->raw.len;
    char *begin = to;
    while (at != end) {
        const char *escape = find_escape(at, end);
        memmove(to, at, (size_t)(escape - at));
        to += escape - at;
        at = escape == end ? end : resolve(escape, end, &to);
    }
    return (size_t)(to - begin);
}

/* Escape by escape, because `out` may have room for the text, but not for its escapes. */
int json_scan_unescape(const struct json_scan *scan, struct mr_buf *out)
{
    const char *at = scan->raw.ptr;
    const char *end = at + scan->raw.len;
    while (at != end) {
        const char *escape = find_escape(at, end);
        char text[4];
        char *text_end = text;
        (void)buf_add(out, at, (size_t)(escape - at));
        at = escape == end ? end : resolve(escape, end, &text_end);
        (void)buf_add(out, text, (size_t)(text_end - text));
    }
    return out->failed;
}

/* The short escape's letter of a byte, 0 if it has none. */
static char escape_letter(char c)
{
    switch (c) {
        case '"':
        case '\\':
            return c;
        case '\b':
            return 'b';
        case '\f':
            return 'f';
        case '\n':
            return 'n';
        case '\r':
            return 'r';
        case '\t':
            return 't';
        default:
            return '\0';
    }
}

/* Bytes that json_write_string copies: not '"', '\\', controls, and 0xC2, which begins U+0080-009F.
 */
static const unsigned char is_written_plain[256] = {
    [0x20 ... 0x21] = 1, [0x23 ... 0x5B] = 1, [0x5D ... 0x7E] = 1,
    [0x80 ... 0xC1] = 1, [0xC3 ... 0xFF] = 1,
};

/* Append what stands for the special bytes at `at`; returns how many they are. */
static size_t write_escaped(const char *at, const char *end, struct mr_buf *out)
{
    char letter = escape_letter(*at);
    unsigned code = (unsigned char)*at;
    size_t len = 1;
    if (letter != '\0') {
        (void)buf_add(out, (const char[]){'\\', letter}, 2);
        return 1;
    }
    if (code == 0xC2) {
        if (end - at < 2 || (unsigned char)at[1] >= 0xA0) {
            (void)buf_add_char(out, *at);
            return 1;
        }
        code = (unsigned char)at[1];
        len = 2;
    }
    (void)buf_addf(out, "\\u%04x", code);
    return len;
}

int json_write_string(struct mr_slice text, struct mr_buf *out)
{
    const char *at = text.ptr;
    const char *end = text.len == 0 ? at : at + text.len;
    (void)buf_add_char(out, '"');
    while (at != end) {
        const char *begin = at;
        while (at != end && is_written_plain[(unsigned char)*at] != 0) {
            at++;
        }
        (void)buf_add(out, begin, (size_t)(at - begin));
        if (at != end) {
            at += write_escaped(at, end, out);
        }
    }
    return buf_add_char(out, '"');
}

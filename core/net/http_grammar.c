// SPDX-License-Identifier: Apache-2.0
#include "net/http_grammar.h"

#include <stdio.h>
#include <string.h>

#include "event/check.h"
#include "kit/ascii.h"
#include "kit/slice.h"

void http_refuse(struct http_reader *reader, int status, const char *reason)
{
    reader->state = HTTP_READER_REFUSED;
    reader->status = status;
    reader->reason = reason;
}

static void refuse_over(struct http_reader *reader, int status, const char *reason, size_t max,
                        const char *option)
{
    (void)snprintf(reader->reason_text, sizeof reader->reason_text, "%s: more than %zu bytes%s%s%s",
                   reason, max, option == NULL ? "" : " (", option == NULL ? "" : option,
                   option == NULL ? "" : ")");
    http_refuse(reader, status, reader->reason_text);
}

void http_refuse_head(struct http_reader *reader, int status, const char *reason)
{
    refuse_over(reader, status, reason, reader->limits.head_bytes_max, reader->limits.head_option);
}

void http_refuse_body(struct http_reader *reader)
{
    refuse_over(reader, 413, "the content is too large", reader->limits.body_bytes_max,
                reader->limits.body_option);
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* What a path and a query are made of (RFC 3986 3.3, 3.4); percent-encoding is checked by whoever
 * decodes it. */
static const bool target_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true, ['&'] = true,
    ['\''] = true,        ['('] = true,         [')'] = true,         ['*'] = true, ['+'] = true,
    [','] = true,         [';'] = true,         ['='] = true,         [':'] = true, ['@'] = true,
    ['/'] = true,         ['?'] = true,         ['%'] = true,
};

static bool is_target_char(unsigned char c)
{
    return target_chars[c];
}

static size_t span(struct mr_slice text, bool (*is_in)(unsigned char))
{
    size_t len = 0;
    while (len < text.len && is_in((unsigned char)text.ptr[len])) {
        len++;
    }
    return len;
}

static struct mr_slice skip(struct mr_slice text, size_t len)
{
    return mr_slice(text.ptr + len, text.len - len);
}

/* The line at line_begin. */
static struct mr_slice line_of(const struct http_reader *reader, size_t len)
{
    return mr_slice(reader->head.ptr + reader->line_begin, len);
}

static uint32_t offset_of(const struct http_reader *reader, const char *at)
{
    return (uint32_t)(at - reader->head.ptr);
}

/* RFC 9112 2.3: HTTP-version = "HTTP" "/" DIGIT "." DIGIT. A higher minor version is read as the
 * highest that is known (RFC 9110 2.5). */
static void parse_version(struct http_reader *reader, struct mr_slice text)
{
    if (text.len != 8 || memcmp(text.ptr, "HTTP/", 5) != 0 ||
        !is_digit((unsigned char)text.ptr[5]) || text.ptr[6] != '.' ||
        !is_digit((unsigned char)text.ptr[7])) {
        http_refuse(reader, 400, "a malformed request line: expected METHOD target HTTP/1.1");
    } else if (text.ptr[5] != '1') {
        http_refuse(reader, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    }
    reader->http_1_0 = text.len == 8 && text.ptr[7] == '0';
}

/* uri-host [ ":" port ] (RFC 9110 7.2), without user information. */
static bool is_authority(struct mr_slice text)
{
    return memchr(text.ptr, '@', text.len) == NULL && check_authority(text);
}

/* The part of an absolute-form target that is an origin-form, after "http://authority"; absent if
 * it isn't one. */
static struct mr_slice after_authority(struct mr_slice target)
{
    struct mr_slice rest = {NULL, 0};
    size_t len = 0;
    if (target.len > 7 && ascii_same(mr_slice(target.ptr, 7), MR_SLICE("http://"))) {
        rest = skip(target, 7);
    } else if (target.len > 8 && ascii_same(mr_slice(target.ptr, 8), MR_SLICE("https://"))) {
        rest = skip(target, 8);
    } else {
        return rest;
    }
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?') {
        len++;
    }
    if (len == 0 || rest.ptr[0] == ':' || !is_authority(mr_slice(rest.ptr, len))) {
        return mr_slice(NULL, 0);
    }
    return skip(rest, len);
}

static void set_path_and_query(struct http_reader *reader, struct mr_slice text)
{
    const char *mark = text.len > 0 ? memchr(text.ptr, '?', text.len) : NULL;
    size_t path_len = mark == NULL ? text.len : (size_t)(mark - text.ptr);
    reader->path = offset_of(reader, text.ptr);
    reader->path_len = (uint32_t)path_len;
    reader->has_query = mark != NULL;
    if (mark != NULL) {
        reader->query = offset_of(reader, mark + 1);
        reader->query_len = (uint32_t)(text.len - path_len - 1);
    }
}

/* RFC 9112 3.2: origin-form, absolute-form, and asterisk-form for OPTIONS. */
static void parse_target(struct http_reader *reader, struct mr_slice target)
{
    struct mr_slice origin = target;
    bool is_options = mr_slice_is(http_reader_method(reader), MR_SLICE("OPTIONS"));
    if (mr_slice_is(target, MR_SLICE("*")) && is_options) {
        set_path_and_query(reader, target);
        return;
    }
    if (mr_slice_is(http_reader_method(reader), MR_SLICE("CONNECT"))) {
        http_refuse(reader, 501, "CONNECT: this is no proxy"); /* what follows is a tunnel's */
        return;
    }
    if (target.ptr[0] != '/') {
        origin = after_authority(target);
    }
    if (origin.ptr == NULL) {
        http_refuse(reader, 400, "a target must begin with / or with http://host");
    } else if (span(origin, is_target_char) != origin.len) {
        http_refuse(reader, 400, "the target holds a character that must be percent-encoded");
    } else {
        set_path_and_query(reader, origin);
    }
}

/* RFC 9112 3: method SP request-target SP HTTP-version. */
void http_parse_request_line(struct http_reader *reader, size_t len)
{
    struct mr_slice rest = line_of(reader, len);
    size_t method_len = span(rest, ascii_is_token_char);
    struct mr_slice target;
    const char *space;
    if (method_len == 0 || method_len == rest.len || rest.ptr[method_len] != ' ') {
        http_refuse(reader, 400, "a malformed request line: expected METHOD target HTTP/1.1");
        return;
    }
    if (method_len > HTTP_METHOD_BYTES_MAX) {
        http_refuse(reader, 501, "an unknown method");
        return;
    }
    reader->method_len = (uint32_t)method_len;
    rest = skip(rest, method_len + 1);
    space = rest.len > 0 ? memchr(rest.ptr, ' ', rest.len) : NULL;
    if (space == NULL || space == rest.ptr) {
        http_refuse(reader, 400, "a malformed request line: expected METHOD target HTTP/1.1");
        return;
    }
    target = mr_slice(rest.ptr, (size_t)(space - rest.ptr));
    reader->target_len = (uint32_t)target.len;
    parse_version(reader, skip(rest, target.len + 1));
    if (reader->state != HTTP_READER_REFUSED) {
        parse_target(reader, target);
    }
}

/* RFC 9112 5: field-name ":" OWS field-value OWS. */
void http_parse_field_line(struct http_reader *reader, size_t len)
{
    struct mr_slice line = line_of(reader, len);
    size_t name_len = span(line, ascii_is_token_char);
    struct mr_slice value;
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        http_refuse(reader, 400, "a folded header line");
        return;
    }
    if (name_len == 0 || name_len == line.len || line.ptr[name_len] != ':') {
        http_refuse(reader, 400, "a malformed header line: expected name: value");
        return;
    }
    if (reader->header_count == HTTP_HEADERS_MAX) {
        http_refuse(reader, 431, "more than 64 header lines");
        return;
    }
    value = slice_trim(skip(line, name_len + 1));
    reader->headers[reader->header_count] = (struct http_header){
        .name = offset_of(reader, line.ptr),
        .name_len = (uint32_t)name_len,
        .value = offset_of(reader, value.ptr),
        .value_len = (uint32_t)value.len,
    };
    reader->header_count++;
}

static void check_host(struct http_reader *reader)
{
    unsigned count;
    struct mr_slice host = http_reader_header(reader, "host", &count);
    if (count > 1) {
        http_refuse(reader, 400, "more than one Host");
    } else if (count == 0 && !reader->http_1_0) {
        http_refuse(reader, 400, "Host is missing");
    } else if (count == 1 && !is_authority(host)) {
        http_refuse(reader, 400, "a malformed Host");
    }
}

/* RFC 9110 8.6: 1*DIGIT. What is beyond 64 bits is beyond any limit too. */
static void parse_content_length(struct http_reader *reader, struct mr_slice text, unsigned count)
{
    uint64_t length = 0;
    if (count > 1 || text.len == 0 || span(text, is_digit) != text.len) {
        http_refuse(reader, 400, "a malformed or repeated Content-Length");
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        length = length > (UINT64_MAX - digit) / 10 ? UINT64_MAX : length * 10 + digit;
    }
    if (length > reader->limits.body_bytes_max) {
        http_refuse_body(reader);
        return;
    }
    reader->content_left = length;
}

/* The next element of a list (RFC 9110 5.6.1), which is cut off; empty ones are passed over. Absent
 * at the end. */
static struct mr_slice next_element(struct mr_slice *list)
{
    while (list->len > 0) {
        struct mr_slice element = slice_trim(slice_cut(list, ','));
        if (element.len > 0) {
            return element;
        }
    }
    return mr_slice(NULL, 0);
}

/* Calls `see` with each element of all fields of the name. */
static void see_elements(const struct http_reader *reader, struct mr_slice name,
                         void (*see)(struct mr_slice element, void *user), void *user)
{
    for (unsigned i = 0; i < reader->header_count; i++) {
        const struct http_header *header = &reader->headers[i];
        struct mr_slice list = mr_slice(reader->head.ptr + header->value, header->value_len);
        struct mr_slice element;
        if (!ascii_same(mr_slice(reader->head.ptr + header->name, header->name_len), name)) {
            continue;
        }
        while ((element = next_element(&list)).ptr != NULL) {
            see(element, user);
        }
    }
}

struct codings {
    unsigned chunked;
    unsigned others;
    bool is_last_chunked;
};

static void see_coding(struct mr_slice element, void *user)
{
    struct codings *codings = user;
    codings->is_last_chunked = ascii_same(element, MR_SLICE("chunked"));
    codings->chunked += codings->is_last_chunked;
    codings->others += !codings->is_last_chunked;
}

/* RFC 9112 6.3 (4): without chunked at the end nobody knows where the content ends; 6.1: chunked is
 * applied once, and a coding that isn't understood is a 501. Empty elements of the list are allowed
 * (RFC 9110 5.6.1), but others may read "chunked," as another coding: refused. */
static void parse_transfer_encoding(struct http_reader *reader, struct mr_slice value,
                                    unsigned count)
{
    struct codings codings = {0};
    see_elements(reader, MR_SLICE("transfer-encoding"), see_coding, &codings);
    if (reader->http_1_0) {
        http_refuse(reader, 400, "Transfer-Encoding in HTTP/1.0");
    } else if (!codings.is_last_chunked) {
        http_refuse(reader, 400, "a Transfer-Encoding that does not end with chunked");
    } else if (codings.chunked > 1) {
        http_refuse(reader, 400, "a Transfer-Encoding with chunked more than once");
    } else if (codings.others > 0) {
        http_refuse(reader, 501, "a Transfer-Encoding other than chunked");
    } else if (count > 1 || !ascii_same(value, MR_SLICE("chunked"))) {
        http_refuse(reader, 400, "a malformed Transfer-Encoding");
    } else {
        reader->chunked = true;
    }
}

/* Methods whose content means something (RFC 9110 8.6). */
static bool has_meant_content(struct mr_slice method)
{
    return mr_slice_is(method, MR_SLICE("POST")) || mr_slice_is(method, MR_SLICE("PUT")) ||
           mr_slice_is(method, MR_SLICE("PATCH"));
}

/* RFC 9112 6.1, 6.3. */
static void parse_framing(struct http_reader *reader)
{
    unsigned lengths;
    unsigned codings;
    struct mr_slice length = http_reader_header(reader, "content-length", &lengths);
    struct mr_slice coding = http_reader_header(reader, "transfer-encoding", &codings);
    if (codings > 0 && lengths > 0) {
        http_refuse(reader, 400, "both Content-Length and Transfer-Encoding");
    } else if (codings > 0) {
        parse_transfer_encoding(reader, coding, codings);
    } else if (lengths > 0) {
        parse_content_length(reader, length, lengths);
    } else if (reader->limits.length_required && has_meant_content(http_reader_method(reader))) {
        http_refuse(reader, 411, "Content-Length or Transfer-Encoding: chunked is missing");
    }
}

struct persistence {
    bool has_close;
    bool has_keep_alive;
};

static void see_connection_option(struct mr_slice option, void *user)
{
    struct persistence *said = user;
    said->has_close = said->has_close || ascii_same(option, MR_SLICE("close"));
    said->has_keep_alive = said->has_keep_alive || ascii_same(option, MR_SLICE("keep-alive"));
}

/* RFC 9112 9.3. */
static void parse_persistence(struct http_reader *reader)
{
    struct persistence said = {0};
    see_elements(reader, MR_SLICE("connection"), see_connection_option, &said);
    reader->keep_alive = !said.has_close && (!reader->http_1_0 || said.has_keep_alive);
}

/* RFC 9110 10.1.1: a server ignores it in HTTP/1.0. */
static void parse_expect(struct http_reader *reader)
{
    unsigned count;
    struct mr_slice value = http_reader_header(reader, "expect", &count);
    if (count == 0 || reader->http_1_0) {
        return;
    }
    if (count > 1 || !ascii_same(value, MR_SLICE("100-continue"))) {
        http_refuse(reader, 417, "an expectation other than 100-continue");
        return;
    }
    reader->expect_continue = reader->chunked || reader->content_left > 0;
}

void http_parse_head_end(struct http_reader *reader)
{
    void (*const steps[])(struct http_reader *) = {check_host, parse_framing, parse_persistence,
                                                   parse_expect};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        steps[i](reader);
        if (reader->state == HTTP_READER_REFUSED) {
            return;
        }
    }
    if (reader->chunked || reader->content_left > 0) {
        reader->state = HTTP_READER_BODY;
    } else {
        reader->state = HTTP_READER_COMPLETE;
    }
}

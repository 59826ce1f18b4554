// SPDX-License-Identifier: Apache-2.0
#include "net/http_reader.h"

#include <assert.h>
#include <string.h>

#include "kit/ascii.h"
#include "net/http_grammar.h"

/* Happy path: the head's bytes are gathered line by line and each finished line is parsed
 * (http_grammar.c) -> the empty line decides the framing -> content is copied as it comes, chunks
 * byte by byte with their data in bulk -> COMPLETE. What can go wrong ends in REFUSED. Every
 * decision is taken at a certain byte, whatever piece that byte came in: this is what makes the
 * outcome independent of the cuts. */

enum {
    EMPTY_LINES_MAX = 2, /* before the request line, RFC 9112 2.2 */
    SIZE_DIGITS_MAX = 16,
    HEAD_BYTES_KEPT = 4 * 1024, /* over a reset */
    BODY_BYTES_KEPT = 16 * 1024,
};

enum position {
    AT_LINE,    /* of the head */
    AT_CONTENT, /* with Content-Length */
    AT_CHUNK_SIZE,
    AT_CHUNK_SPACE, /* BWS between the size and ";" */
    AT_CHUNK_EXTENSION,
    AT_CHUNK_SIZE_LF,
    AT_CHUNK_DATA,
    AT_CHUNK_DATA_CR,
    AT_CHUNK_DATA_LF,
    AT_TRAILER, /* the beginning of a trailer line, or of the empty one */
    AT_TRAILER_NAME,
    AT_TRAILER_VALUE,
    AT_TRAILER_LF,
    AT_LAST_LF,
};

static void begin(struct http_reader *reader)
{
    struct mr_buf head = reader->head;
    struct mr_buf body = reader->body;
    struct http_limits limits = reader->limits;
    /* Not the headers: they are 1 KiB, and header_count says how many count. */
    memset(reader, 0, offsetof(struct http_reader, headers));
    memset(&reader->header_count, 0, sizeof *reader - offsetof(struct http_reader, header_count));
    reader->head = head;
    reader->body = body;
    reader->limits = limits;
}

void http_reader_init(struct http_reader *reader, const struct http_limits *limits)
{
    assert(limits->head_bytes_max > 0 && limits->head_bytes_max <= 1u << 30);
    reader->limits = *limits;
    buf_init(&reader->head, limits->head_bytes_max);
    buf_init(&reader->body, limits->body_bytes_max > 0 ? limits->body_bytes_max : 1);
    begin(reader);
}

void http_reader_done(struct http_reader *reader)
{
    buf_done(&reader->head);
    buf_done(&reader->body);
}

static void forget(struct mr_buf *buf, size_t kept)
{
    if (buf->capacity > kept) {
        buf_done(buf);
    }
    buf_clear(buf);
}

void http_reader_reset(struct http_reader *reader)
{
    forget(&reader->head, HEAD_BYTES_KEPT);
    forget(&reader->body, BODY_BYTES_KEPT);
    begin(reader);
}

/* False: refused, for want of memory. */
static bool store(struct http_reader *reader, struct mr_buf *buf, const char *bytes, size_t len)
{
    if (buf_add(buf, bytes, len) == 0) {
        return true;
    }
    http_refuse(reader, 503, "out of memory");
    return false;
}

static void end_of_empty_line(struct http_reader *reader)
{
    if (reader->target_len > 0) {
        http_parse_head_end(reader);
        reader->position = reader->chunked ? AT_CHUNK_SIZE : AT_CONTENT;
        return;
    }
    buf_clear(&reader->head);
    reader->empty_lines++;
    if (reader->empty_lines > EMPTY_LINES_MAX) {
        http_refuse(reader, 400, "a request line is missing");
    }
}

/* The head ends with a CRLF that has just been stored. */
static void end_of_line(struct http_reader *reader)
{
    size_t len = reader->head.len - reader->line_begin - 2;
    if (len == 0) {
        end_of_empty_line(reader);
    } else if (reader->target_len == 0) {
        http_parse_request_line(reader, len);
    } else {
        http_parse_field_line(reader, len);
    }
    reader->line_begin = reader->head.len;
}

static bool after_cr(const struct http_reader *reader)
{
    return reader->head.len > reader->line_begin && reader->head.ptr[reader->head.len - 1] == '\r';
}

/* One byte that isn't a plain character of a line: CR, LF, or what has no place in a head. */
static void feed_head_control(struct http_reader *reader, char c)
{
    bool cr = after_cr(reader);
    if (c == '\n' && cr) {
        if (store(reader, &reader->head, &c, 1)) {
            end_of_line(reader);
        }
    } else if (cr) {
        http_refuse(reader, 400, "a carriage return without a line feed");
    } else if (c == '\r') {
        (void)store(reader, &reader->head, &c, 1);
    } else if (c == '\n') {
        http_refuse(reader, 400, "a line feed without a carriage return");
    } else {
        http_refuse(reader, 400, "a control character in the head");
    }
}

static size_t feed_head(struct http_reader *reader, const char *bytes, size_t len)
{
    size_t room = reader->limits.head_bytes_max - reader->head.len;
    size_t limit = len < room ? len : room;
    size_t plain = 0;
    if (!after_cr(reader)) {
        while (plain < limit && http_is_field_char((unsigned char)bytes[plain])) {
            plain++;
        }
        if (!store(reader, &reader->head, bytes, plain)) {
            return 0;
        }
    }
    if (plain < limit) {
        feed_head_control(reader, bytes[plain]);
        plain++;
    }
    if (reader->state == HTTP_READER_HEAD && reader->head.len == reader->limits.head_bytes_max) {
        if (reader->target_len == 0) {
            http_refuse_head(reader, 414, "the request line is too long");
        } else {
            http_refuse_head(reader, 431, "the head is too long");
        }
    }
    return plain;
}

/* Content, or a chunk's data. */
static size_t feed_content(struct http_reader *reader, const char *bytes, size_t len)
{
    size_t taken = len;
    if (taken > reader->content_left) {
        taken = (size_t)reader->content_left;
    }
    if (!store(reader, &reader->body, bytes, taken)) {
        return 0;
    }
    reader->content_left -= taken;
    if (reader->content_left > 0) {
        return taken;
    }
    if (reader->chunked) {
        reader->position = AT_CHUNK_DATA_CR;
    } else {
        reader->state = HTTP_READER_COMPLETE;
    }
    return taken;
}

/* The size is read; `c` is what follows it. */
static void end_of_size(struct http_reader *reader, char c)
{
    size_t room = reader->limits.body_bytes_max - reader->body.len;
    if (reader->size_digits == 0) {
        http_refuse(reader, 400, "a chunk without a size in hexadecimal digits");
    } else if (reader->content_left > room) {
        http_refuse_body(reader);
    } else if (c == '\r') {
        reader->position = AT_CHUNK_SIZE_LF;
    } else if (c == ';') {
        reader->position = AT_CHUNK_EXTENSION;
    } else if (c == ' ' || c == '\t') {
        reader->position = AT_CHUNK_SPACE;
    } else {
        http_refuse(reader, 400, "a chunk size with something else behind it");
    }
}

static void feed_chunk_size(struct http_reader *reader, char c)
{
    int digit = ascii_hex_value(c);
    if (digit < 0) {
        end_of_size(reader, c);
        return;
    }
    reader->size_digits++;
    if (reader->size_digits > SIZE_DIGITS_MAX) {
        http_refuse(reader, 400, "a chunk size of more than 16 digits");
        return;
    }
    reader->content_left = reader->content_left << 4 | (uint64_t)digit;
}

/* The line feed after a chunk's size line. */
static void begin_chunk(struct http_reader *reader)
{
    reader->size_digits = 0;
    reader->position = reader->content_left > 0 ? AT_CHUNK_DATA : AT_TRAILER;
}

static void expect(struct http_reader *reader, char c, char expected, enum position next)
{
    if (c == expected) {
        reader->position = next;
    } else {
        http_refuse(reader, 400, "a line of a chunk that does not end with CRLF");
    }
}

static void feed_chunk_space(struct http_reader *reader, char c)
{
    if (c == ';') {
        reader->position = AT_CHUNK_EXTENSION;
    } else if (c != ' ' && c != '\t') {
        http_refuse(reader, 400, "a space after a chunk size");
    }
}

/* A chunk extension or a trailer's value, neither of which has a use here. */
static void feed_ignored(struct http_reader *reader, char c, enum position after_cr_position)
{
    if (c == '\r') {
        reader->position = after_cr_position;
    } else if (!http_is_field_char((unsigned char)c)) {
        http_refuse(reader, 400, "a control character in a chunk extension or trailer");
    }
}

static void feed_trailer_name(struct http_reader *reader, char c)
{
    if (ascii_is_token_char((unsigned char)c)) {
        reader->position = AT_TRAILER_NAME;
    } else if (c == ':' && reader->position == AT_TRAILER_NAME) {
        reader->position = AT_TRAILER_VALUE;
    } else if (c == '\r' && reader->position == AT_TRAILER) {
        reader->position = AT_LAST_LF;
    } else {
        http_refuse(reader, 400, "a malformed trailer field");
    }
}

/* Bytes that a sender could repeat for ever without adding content. */
static bool count_extension(struct http_reader *reader)
{
    reader->extension_bytes++;
    if (reader->extension_bytes <= reader->limits.head_bytes_max) {
        return true;
    }
    http_refuse_head(reader, 431, "chunk extensions or trailers are too long");
    return false;
}

static void feed_trailer(struct http_reader *reader, char c)
{
    if (!count_extension(reader)) {
        return;
    }
    if (reader->position == AT_TRAILER_VALUE) {
        feed_ignored(reader, c, AT_TRAILER_LF);
    } else if (reader->position == AT_TRAILER_LF) {
        expect(reader, c, '\n', AT_TRAILER);
    } else {
        feed_trailer_name(reader, c);
    }
}

static void feed_framing(struct http_reader *reader, char c)
{
    switch ((enum position)reader->position) {
        case AT_CHUNK_SIZE:
            feed_chunk_size(reader, c);
            break;
        case AT_CHUNK_SPACE:
            if (count_extension(reader)) {
                feed_chunk_space(reader, c);
            }
            break;
        case AT_CHUNK_EXTENSION:
            if (count_extension(reader)) {
                feed_ignored(reader, c, AT_CHUNK_SIZE_LF);
            }
            break;
        case AT_CHUNK_SIZE_LF:
            expect(reader, c, '\n', AT_CHUNK_DATA);
            if (reader->state == HTTP_READER_BODY) {
                begin_chunk(reader);
            }
            break;
        case AT_CHUNK_DATA_CR:
            expect(reader, c, '\r', AT_CHUNK_DATA_LF);
            break;
        case AT_CHUNK_DATA_LF:
            expect(reader, c, '\n', AT_CHUNK_SIZE);
            break;
        case AT_LAST_LF:
            expect(reader, c, '\n', AT_LINE);
            if (reader->state == HTTP_READER_BODY) {
                reader->state = HTTP_READER_COMPLETE;
            }
            break;
        default:
            feed_trailer(reader, c);
            break;
    }
}

static size_t feed_body(struct http_reader *reader, const char *bytes, size_t len)
{
    if (reader->position == AT_CONTENT || reader->position == AT_CHUNK_DATA) {
        return feed_content(reader, bytes, len);
    }
    feed_framing(reader, bytes[0]);
    return 1;
}

size_t http_reader_feed(struct http_reader *reader, const char *bytes, size_t len)
{
    size_t taken = 0;
    while (taken < len) {
        if (reader->state == HTTP_READER_HEAD) {
            taken += feed_head(reader, bytes + taken, len - taken);
        } else if (reader->state == HTTP_READER_BODY) {
            taken += feed_body(reader, bytes + taken, len - taken);
        } else {
            break;
        }
    }
    return taken;
}

static struct mr_slice part(const struct http_reader *reader, uint32_t begin_at, uint32_t len)
{
    return len == 0 ? MR_SLICE("") : mr_slice(reader->head.ptr + begin_at, len);
}

struct mr_slice http_reader_method(const struct http_reader *reader)
{
    return part(reader, 0, reader->method_len);
}

struct mr_slice http_reader_path(const struct http_reader *reader)
{
    return reader->path_len > 0 ? part(reader, reader->path, reader->path_len) : MR_SLICE("/");
}

struct mr_slice http_reader_query(const struct http_reader *reader)
{
    return reader->has_query ? part(reader, reader->query, reader->query_len) : mr_slice(NULL, 0);
}

struct mr_slice http_reader_header(const struct http_reader *reader, const char *name,
                                   unsigned *ret_count)
{
    struct mr_slice wanted = mr_slice_of(name);
    struct mr_slice found = {NULL, 0};
    unsigned count = 0;
    for (unsigned i = 0; i < reader->header_count; i++) {
        const struct http_header *header = &reader->headers[i];
        if (header->name_len != wanted.len ||
            !ascii_same(part(reader, header->name, header->name_len), wanted)) {
            continue;
        }
        if (count == 0) {
            found = part(reader, header->value, header->value_len);
        }
        count++;
    }
    if (ret_count != NULL) {
        *ret_count = count;
    }
    return found;
}

bool http_reader_header_at(const struct http_reader *reader, unsigned index,
                           struct mr_slice *ret_name, struct mr_slice *ret_value)
{
    const struct http_header *header;
    if (index >= reader->header_count) {
        return false;
    }
    header = &reader->headers[index];
    *ret_name = part(reader, header->name, header->name_len);
    *ret_value = part(reader, header->value, header->value_len);
    return true;
}

struct mr_slice http_reader_body(const struct http_reader *reader)
{
    return buf_slice(&reader->body);
}

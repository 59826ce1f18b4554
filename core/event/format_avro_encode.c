// SPDX-License-Identifier: Apache-2.0
/* Writes schemas/cloudevent.avsc by hand (Avro 1.11 specification, "Binary Encoding"). The size is
 * bounded first, so that the bytes are then written without a further check. */
#include "event/format_avro.h"

#include <assert.h>
#include <string.h>

/* Where the branches lie in the schema's unions. */
enum { ATTRIBUTE_BOOLEAN = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_BYTES = 4 };
enum { DATA_BYTES = 0, DATA_NULL = 1 };

enum { VARINT_BYTES_MAX = 10 };

/* "long": zig-zag, 7 bits a byte, the lowest first. */
static char *put_long(char *at, int64_t value)
{
    uint64_t bits = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    while (bits > 0x7f) {
        *at++ = (char)(unsigned char)(bits | 0x80);
        bits >>= 7;
    }
    *at++ = (char)(unsigned char)bits;
    return at;
}

/* "string" and "bytes": a length, then the bytes. */
static char *put_bytes(char *at, struct mr_slice bytes)
{
    at = put_long(at, (int64_t)bytes.len);
    if (bytes.len > 0) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

static char *put_attribute(char *at, const struct mr_attribute *attribute)
{
    at = put_bytes(at, attribute->name);
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            at = put_long(at, ATTRIBUTE_BOOLEAN);
            *at++ = attribute->boolean ? 1 : 0;
            return at;
        case MR_VALUE_INTEGER:
            at = put_long(at, ATTRIBUTE_INT);
            return put_long(at, attribute->integer);
        case MR_VALUE_STRING:
            at = put_long(at, ATTRIBUTE_STRING);
            return put_bytes(at, attribute->bytes);
        case MR_VALUE_BINARY:
            break;
    }
    at = put_long(at, ATTRIBUTE_BYTES);
    return put_bytes(at, attribute->bytes);
}

/* How many bytes the encoding takes. */
static size_t long_size(int64_t value)
{
    char room[VARINT_BYTES_MAX];
    return (size_t)(put_long(room, value) - room);
}

static size_t bytes_size(struct mr_slice bytes)
{
    return long_size((int64_t)bytes.len) + bytes.len;
}

static size_t attribute_size(const struct mr_attribute *attribute)
{
    size_t size = bytes_size(attribute->name) + 1;
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            return size + 1;
        case MR_VALUE_INTEGER:
            return size + long_size(attribute->integer);
        case MR_VALUE_STRING:
        case MR_VALUE_BINARY:
            break;
    }
    return size + bytes_size(attribute->bytes);
}

static size_t event_size(const struct mr_event *event)
{
    size_t count = mr_event_count(event);
    struct mr_slice data = mr_event_data(event);
    size_t size = long_size((int64_t)count) + 1 + 1;
    for (size_t i = 0; i < count; i++) {
        size += attribute_size(mr_event_at(event, i));
    }
    return size + (data.ptr == NULL ? 0 : bytes_size(data));
}

int event_avro_encode(const struct mr_event *event, struct mr_buf *out, struct mr_error *err)
{
    struct mr_slice data = mr_event_data(event);
    size_t count = mr_event_count(event);
    size_t size;
    char *at;
    int rc = mr_event_check(event, err);
    if (rc != 0) {
        return rc;
    }
    size = event_size(event);
    if (buf_reserve(out, size) != 0) {
        return buf_check(out, err);
    }
    at = out->ptr + out->len;
    at = put_long(at, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        at = put_attribute(at, mr_event_at(event, i));
    }
    at = put_long(at, 0); /* no further block of the map */
    if (data.ptr == NULL) {
        at = put_long(at, DATA_NULL);
    } else {
        at = put_long(at, DATA_BYTES);
        at = put_bytes(at, data);
    }
    assert(at == out->ptr + out->len + size);
    out->len += size;
    return 0;
}

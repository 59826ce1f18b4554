// SPDX-License-Identifier: Apache-2.0
/* Reads schemas/cloudevent.avsc by hand (Avro 1.11 specification, "Binary Encoding"). Nothing that
 * the bytes claim is believed: a length must lie inside them, a count is never allocated for, and
 * each counted item takes at least one byte, so that work ends with the input. Nesting is kept on a
 * bounded stack of our own. */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "event/check.h"
#include "event/event_internal.h"
#include "event/format_avro.h"
#include "event/json_scan.h"
#include "kit/number.h"

enum {
    CONFLUENT_MAGIC = 0x00,
    CONFLUENT_BYTES = 5,
    VARINT_BYTES_MAX = 10,
    DOUBLE_BYTES = 8,
    /* JSON text for each byte of Avro, at most: an empty name with null takes two bytes and becomes
     * `"":null,`; a control character in a string takes one and becomes `\u0000`. */
    JSON_GROWTH_MAX = 8,
    JSON_BYTES_MIN = 64,
};

struct reader {
    const unsigned char *begin;
    const unsigned char *at;
    const unsigned char *end;
    struct mr_error *err;
};

/* The blocks of one map or array. */
struct blocks {
    uint64_t left; /* items of this block */
    bool has_size;
    const unsigned char *end; /* of this block, if it has a size */
};

/* ---- Primitive types ------------------------------------------------------------------------- */

static size_t position(const struct reader *reader)
{
    return (size_t)(reader->at - reader->begin);
}

static size_t rest(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static int fail(const struct reader *reader, const char *what)
{
    return mr_error_set(reader->err, MR_ENOTEVENT, "avro: at byte %zu: %s", position(reader), what);
}

static inline int64_t zigzag(uint64_t bits)
{
    return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

static int read_long_bytes(struct reader *reader, int64_t *ret_value)
{
    uint64_t bits = 0;
    unsigned i;
    for (i = 0; i < VARINT_BYTES_MAX; i++) {
        unsigned char byte;
        if (i == rest(reader)) {
            return fail(reader, "a number is cut off");
        }
        byte = reader->at[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return fail(reader, "a number of more than 64 bits");
        }
        bits |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    reader->at += i + 1;
    *ret_value = zigzag(bits);
    return 0;
}

/* Nearly all numbers are lengths and branches of one byte. */
static inline int read_long(struct reader *reader, int64_t *ret_value)
{
    if (rest(reader) > 0 && *reader->at < 0x80) {
        *ret_value = zigzag(*reader->at++);
        return 0;
    }
    return read_long_bytes(reader, ret_value);
}

static int read_int(struct reader *reader, int32_t *ret_value)
{
    int64_t value = 0;
    int rc = read_long(reader, &value);
    if (rc != 0) {
        return rc;
    }
    if (value < INT32_MIN || value > INT32_MAX) {
        return fail(reader, "an int of more than 32 bits ends here");
    }
    *ret_value = (int32_t)value;
    return 0;
}

static int read_boolean(struct reader *reader, bool *ret_value)
{
    if (rest(reader) == 0 || *reader->at > 1) {
        return fail(reader, "expected a boolean, 0 or 1");
    }
    *ret_value = *reader->at++ == 1;
    return 0;
}

static int read_double(struct reader *reader, double *ret_value)
{
    uint64_t bits = 0;
    if (rest(reader) < DOUBLE_BYTES) {
        return fail(reader, "a double is cut off");
    }
    for (unsigned i = 0; i < DOUBLE_BYTES; i++) { /* little-endian */
        bits |= (uint64_t)reader->at[i] << (8 * i);
    }
    memcpy(ret_value, &bits, sizeof bits);
    reader->at += DOUBLE_BYTES;
    return 0;
}

static int fail_length(const struct reader *reader, int64_t len)
{
    return mr_error_set(reader->err, MR_ENOTEVENT,
                        "avro: at byte %zu: %zu bytes are left, but a length of %" PRId64
                        " ends here",
                        position(reader), rest(reader), len);
}

static inline int read_bytes(struct reader *reader, struct mr_slice *ret_bytes)
{
    int64_t len = 0;
    int rc = read_long(reader, &len);
    if (rc != 0) {
        return rc;
    }
    if (len < 0 || (uint64_t)len > rest(reader)) {
        return fail_length(reader, len);
    }
    *ret_bytes = mr_slice(reader->at, (size_t)len);
    reader->at += len;
    return 0;
}

static int read_string(struct reader *reader, struct mr_slice *ret_text)
{
    struct mr_slice text = {0};
    int rc = read_bytes(reader, &text);
    if (rc != 0) {
        return rc;
    }
    if (!check_utf8(text)) {
        return fail(reader, "a string that is not UTF-8 ends here");
    }
    *ret_text = text;
    return 0;
}

/* The branch of a union of `count`. */
static int read_branch(struct reader *reader, unsigned count, unsigned *ret_branch)
{
    int64_t branch = 0;
    int rc = read_long(reader, &branch);
    if (rc != 0) {
        return rc;
    }
    if (branch < 0 || branch >= (int64_t)count) {
        return mr_error_set(reader->err, MR_ENOTEVENT,
                            "avro: at byte %zu: a union of %u branches, but branch %" PRId64
                            " ends here",
                            position(reader), count, branch);
    }
    *ret_branch = (unsigned)branch;
    return 0;
}

/* Maps and arrays: blocks of a count and so many items, ended by a count of 0. A negative count is
 * followed by the block's size in bytes. */
static int next_block(struct reader *reader, struct blocks *blocks)
{
    int64_t count = 0;
    int64_t size = 0;
    int rc;
    if (blocks->has_size && reader->at != blocks->end) {
        return fail(reader, "a block ends here, but not by its size");
    }
    rc = read_long(reader, &count);
    if (rc != 0) {
        return rc;
    }
    blocks->has_size = count < 0;
    blocks->left = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    if (blocks->has_size) {
        rc = read_long(reader, &size);
        if (rc != 0) {
            return rc;
        }
        if (size < 0 || (uint64_t)size > rest(reader)) {
            return fail(reader, "the size of a block that ends here goes beyond the end");
        }
        blocks->end = reader->at + size;
    }
    if (blocks->left > rest(reader)) {
        return fail(reader, "a count that ends here is more than the bytes that are left");
    }
    return 0;
}

/* Whether one more item follows. */
static inline int next_item(struct reader *reader, struct blocks *blocks, bool *ret_more)
{
    if (blocks->left == 0) {
        int rc = next_block(reader, blocks);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_more = blocks->left > 0;
    blocks->left -= *ret_more ? 1 : 0;
    return 0;
}

/* ---- Attributes ------------------------------------------------------------------------------ */

static int put(struct reader *reader, struct mr_event *event, const struct mr_attribute *attribute)
{
    int rc = event_put(event, attribute, reader->err);
    if (rc != 0) {
        (void)mr_error_wrap(reader->err, "avro: at byte %zu", position(reader));
    }
    return rc;
}

/* The union of an attribute's value; `ret_is_null`: the attribute is absent. */
static int read_value(struct reader *reader, struct mr_attribute *attribute, bool *ret_is_null)
{
    unsigned branch = 0;
    int rc = read_branch(reader, 5, &branch);
    if (rc != 0) {
        return rc;
    }
    *ret_is_null = branch == 0;
    switch (branch) {
        case 1:
            attribute->type = MR_VALUE_BOOLEAN;
            return read_boolean(reader, &attribute->boolean);
        case 2:
            attribute->type = MR_VALUE_INTEGER;
            return read_int(reader, &attribute->integer);
        case 3: /* event_put checks that it is text */
            attribute->type = MR_VALUE_STRING;
            return read_bytes(reader, &attribute->bytes);
        case 4:
            attribute->type = MR_VALUE_BINARY;
            return read_bytes(reader, &attribute->bytes);
        default:
            return 0;
    }
}

static int read_attribute(struct reader *reader, struct mr_event *event)
{
    struct mr_attribute attribute = {0};
    bool is_null = false;
    int rc = read_bytes(reader, &attribute.name);
    if (rc == 0) {
        rc = read_value(reader, &attribute, &is_null);
    }
    if (rc == 0 && is_null && !check_name(attribute.name)) {
        rc = fail(reader, "a null attribute without a legal name ends here");
    }
    if (rc != 0 || is_null) {
        return rc;
    }
    return put(reader, event, &attribute);
}

static int read_attributes(struct reader *reader, struct mr_event *event)
{
    struct blocks blocks = {0};
    for (;;) {
        bool more = false;
        int rc = next_item(reader, &blocks, &more);
        if (rc != 0 || !more) {
            return rc;
        }
        rc = read_attribute(reader, event);
        if (rc != 0) {
            return rc;
        }
    }
}

/* ---- Data that is a JSON value --------------------------------------------------------------- */

/* What the schema's unions are made of. The last four nest. */
enum shape {
    SHAPE_BYTES,
    SHAPE_NULL,
    SHAPE_BOOLEAN,
    SHAPE_DOUBLE,
    SHAPE_STRING,
    SHAPE_VALUES,  /* map of value_shapes: the top of data */
    SHAPE_RECORD,  /* CloudEventData: map of field_shapes */
    SHAPE_RECORDS, /* map of CloudEventData */
    SHAPE_LIST,    /* array of CloudEventData */
};

static const enum shape data_shapes[] = {SHAPE_BYTES, SHAPE_NULL,   SHAPE_BOOLEAN, SHAPE_VALUES,
                                         SHAPE_LIST,  SHAPE_DOUBLE, SHAPE_STRING};
static const enum shape value_shapes[] = {SHAPE_NULL, SHAPE_BOOLEAN, SHAPE_RECORD, SHAPE_DOUBLE,
                                          SHAPE_STRING};
static const enum shape field_shapes[] = {SHAPE_NULL, SHAPE_BOOLEAN, SHAPE_RECORDS,
                                          SHAPE_LIST, SHAPE_DOUBLE,  SHAPE_STRING};

struct level {
    enum shape shape;
    struct blocks blocks;
    bool has_items;
};

/* An explicit stack instead of recursion. */
struct nesting {
    unsigned depth;
    struct level levels[EVENT_AVRO_DEPTH_MAX];
};

static int read_shape(struct reader *reader, const enum shape *shapes, unsigned count,
                      enum shape *ret_shape)
{
    unsigned branch = 0;
    int rc = read_branch(reader, count, &branch);
    if (rc == 0) {
        *ret_shape = shapes[branch];
    }
    return rc;
}

static int write_boolean(struct reader *reader, struct mr_buf *json)
{
    bool value = false;
    int rc = read_boolean(reader, &value);
    return rc != 0 ? rc : buf_add_str(json, value ? "true" : "false");
}

static int write_double(struct reader *reader, struct mr_buf *json)
{
    char text[NUMBER_BYTES];
    double value = 0;
    int rc = read_double(reader, &value);
    if (rc != 0) {
        return rc;
    }
    if (!number_format(value, text)) {
        return fail(reader, "a double that is no JSON number (not finite) ends here");
    }
    return buf_add_str(json, text);
}

static int write_string(struct reader *reader, struct mr_buf *json)
{
    struct mr_slice text = {0};
    int rc = read_string(reader, &text);
    return rc != 0 ? rc : json_write_string(text, json);
}

static int open_level(struct reader *reader, enum shape shape, struct nesting *nesting,
                      struct mr_buf *json)
{
    if (nesting->depth == EVENT_AVRO_DEPTH_MAX) {
        return fail(reader, "the data is nested too deeply");
    }
    nesting->levels[nesting->depth++] = (struct level){.shape = shape};
    return buf_add_char(json, shape == SHAPE_LIST ? '[' : '{');
}

/* A value, or the beginning of one that nests. */
static int write_value(struct reader *reader, enum shape shape, struct nesting *nesting,
                       struct mr_buf *json)
{
    switch (shape) {
        case SHAPE_BYTES: /* only at the top, where it isn't JSON */
        case SHAPE_NULL:
            return buf_add_str(json, "null");
        case SHAPE_BOOLEAN:
            return write_boolean(reader, json);
        case SHAPE_DOUBLE:
            return write_double(reader, json);
        case SHAPE_STRING:
            return write_string(reader, json);
        case SHAPE_VALUES:
        case SHAPE_RECORD:
        case SHAPE_RECORDS:
        case SHAPE_LIST:
            break;
    }
    return open_level(reader, shape, nesting, json);
}

/* The next item of the innermost level, or its end. */
static int write_item(struct reader *reader, struct nesting *nesting, struct mr_buf *json)
{
    struct level *level = &nesting->levels[nesting->depth - 1];
    enum shape shape = SHAPE_RECORD; /* of a list's or map's CloudEventData */
    bool more = false;
    int rc = next_item(reader, &level->blocks, &more);
    if (rc != 0) {
        return rc;
    }
    if (!more) {
        nesting->depth--;
        return buf_add_char(json, level->shape == SHAPE_LIST ? ']' : '}');
    }
    if (level->has_items) {
        (void)buf_add_char(json, ',');
    }
    level->has_items = true;
    if (level->shape != SHAPE_LIST) {
        rc = write_string(reader, json);
        (void)buf_add_char(json, ':');
    }
    if (rc == 0 && level->shape == SHAPE_VALUES) {
        rc = read_shape(reader, value_shapes, MR_COUNT_OF(value_shapes), &shape);
    } else if (rc == 0 && level->shape == SHAPE_RECORD) {
        rc = read_shape(reader, field_shapes, MR_COUNT_OF(field_shapes), &shape);
    }
    return rc != 0 ? rc : write_value(reader, shape, nesting, json);
}

static int write_json(struct reader *reader, enum shape shape, struct mr_buf *json)
{
    struct nesting nesting;
    int rc;
    nesting.depth = 0;
    rc = write_value(reader, shape, &nesting, json);
    while (rc == 0 && nesting.depth > 0) {
        rc = write_item(reader, &nesting, json);
    }
    if (json->failed != 0) {
        assert(json->failed == MR_ENOMEM); /* by JSON_GROWTH_MAX */
        return buf_check(json, reader->err);
    }
    return rc;
}

static int read_json(struct reader *reader, enum shape shape, struct mr_event *event)
{
    struct mr_attribute type = {.name = MR_SLICE("datacontenttype"),
                                .type = MR_VALUE_STRING,
                                .bytes = MR_SLICE("application/json")};
    struct mr_buf json;
    char *copy = NULL;
    int rc;

    buf_init(&json, rest(reader) * JSON_GROWTH_MAX + JSON_BYTES_MIN);
    rc = write_json(reader, shape, &json);
    if (rc == 0) {
        copy = event_alloc(event, json.len);
        if (copy == NULL) {
            json.failed = MR_ENOMEM;
            rc = buf_check(&json, reader->err);
        }
    }
    if (rc == 0) {
        memcpy(copy, buf_slice(&json).ptr, json.len);
        mr_event_set_data(event, mr_slice(copy, json.len));
        if (mr_event_find(event, type.name) == NULL) {
            rc = put(reader, event, &type);
        }
    }
    buf_done(&json);
    return rc;
}

/* ---- The record ------------------------------------------------------------------------------ */

/* A string of another type than JSON is the data itself. */
static bool is_plain_text(const struct mr_event *event)
{
    struct mr_slice type = mr_event_string(event, "datacontenttype");
    return type.ptr != NULL && !check_media_type_is_json(type);
}

static int read_data(struct reader *reader, struct mr_event *event)
{
    enum shape shape = SHAPE_NULL;
    struct mr_slice bytes = {0};
    int rc = read_shape(reader, data_shapes, MR_COUNT_OF(data_shapes), &shape);
    if (rc != 0 || shape == SHAPE_NULL) {
        return rc;
    }
    if (shape == SHAPE_BYTES) {
        rc = read_bytes(reader, &bytes);
    } else if (shape == SHAPE_STRING && is_plain_text(event)) {
        rc = read_string(reader, &bytes);
    } else {
        return read_json(reader, shape, event);
    }
    if (rc == 0) {
        mr_event_set_data(event, bytes);
    }
    return rc;
}

int event_avro_decode(struct mr_slice bytes, struct mr_event *event, struct mr_error *err)
{
    struct reader reader = {.err = err};
    int rc;

    mr_event_clear(event);
    if (bytes.len == 0) {
        return mr_error_set(err, MR_ENOTEVENT, "avro: no bytes at all");
    }
    reader.begin = (const unsigned char *)bytes.ptr;
    reader.at = reader.begin;
    reader.end = reader.begin + bytes.len;
    if (*reader.at == CONFLUENT_MAGIC) {
        if (bytes.len < CONFLUENT_BYTES) {
            return fail(&reader, "a Confluent frame is cut off");
        }
        reader.at += CONFLUENT_BYTES;
    }
    rc = read_attributes(&reader, event);
    if (rc == 0) {
        rc = read_data(&reader, event);
    }
    if (rc == 0 && reader.at != reader.end) {
        rc = fail(&reader, "the record ends here, but more bytes follow");
    }
    return rc != 0 ? rc : mr_event_check(event, err);
}

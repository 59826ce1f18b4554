// SPDX-License-Identifier: Apache-2.0
/* An event is one allocation for nearly all of its life: a few attributes and the bytes that were
 * copied for them lie inside it. What doesn't fit goes to chunks that never move, so that strings
 * handed out stay where they are. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/base64.h"
#include "event/check.h"
#include "event/event_internal.h"
#include "event/timestamp.h"
#include "kit/buf.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum {
    INLINE_ATTRIBUTES = 16,
    INLINE_BYTES = 512,
    CHUNK_BYTES_MIN = 2048,
    CHUNK_BYTES_KEPT_MAX = 8192, /* a larger chunk is given back by mr_event_clear */
    /* What mr_event_set may copy in one life, replaced values included. */
    COPIED_BYTES_MAX = 16 * MR_EVENT_ATTRIBUTES_BYTES_MAX,
    SHOWN_BYTES_MAX = 64, /* of a value in an error's text */
};

struct chunk {
    struct chunk *next; /* older */
    size_t capacity;
    size_t used;
    char bytes[];
};

struct mr_event {
    struct mr_attribute *attributes; /* inline_attributes, or from the heap */
    size_t count;
    size_t capacity;
    size_t bytes;   /* of all names and values */
    size_t copied;  /* by mr_event_set and its kin since mr_event_clear */
    unsigned known; /* which of known_attributes are set, a bit each */
    struct mr_slice data;
    struct chunk *chunks; /* newest first */
    size_t inline_used;
    struct mr_attribute inline_attributes[INLINE_ATTRIBUTES];
    char inline_bytes[INLINE_BYTES];
};

static bool is_supported_version(struct mr_slice value)
{
    return mr_slice_is(value, MR_SLICE("1.0"));
}

enum known {
    KNOWN_ID,
    KNOWN_SOURCE,
    KNOWN_SPECVERSION,
    KNOWN_TYPE,
    KNOWN_REQUIRED, /* so many are: those before it */
    KNOWN_DATACONTENTTYPE = KNOWN_REQUIRED,
    KNOWN_DATASCHEMA,
    KNOWN_SUBJECT,
    KNOWN_TIME,
};

/* CloudEvents 1.0.2, "Context Attributes": all of them non-empty strings. */
static const struct known_attribute {
    struct mr_slice name;
    bool (*is_valid)(struct mr_slice value); /* NULL: any string */
    const char *expected;
} known_attributes[] = {
    [KNOWN_ID] = {MR_SLICE_INIT("id"), NULL, "a non-empty string"},
    [KNOWN_SOURCE] = {MR_SLICE_INIT("source"), check_uri_reference,
                      "a URI-reference (RFC 3986 4.1)"},
    [KNOWN_SPECVERSION] = {MR_SLICE_INIT("specversion"), is_supported_version, "\"1.0\""},
    [KNOWN_TYPE] = {MR_SLICE_INIT("type"), NULL, "a non-empty string"},
    [KNOWN_DATACONTENTTYPE] = {MR_SLICE_INIT("datacontenttype"), check_media_type,
                               "a media type such as application/json (RFC 2046)"},
    [KNOWN_DATASCHEMA] = {MR_SLICE_INIT("dataschema"), check_absolute_uri,
                          "an absolute URI (RFC 3986 4.3)"},
    [KNOWN_SUBJECT] = {MR_SLICE_INIT("subject"), NULL, "a non-empty string"},
    [KNOWN_TIME] = {MR_SLICE_INIT("time"), timestamp_is_valid,
                    "a timestamp such as 2010-01-31T12:00:00Z (RFC 3339)"},
};

/* ---- Life ------------------------------------------------------------------------------------ */

struct mr_event *mr_event_new(void)
{
    struct mr_event *event = mem_alloc(sizeof *event);
    if (event == NULL) {
        return NULL;
    }
    /* The two arrays are filled as they are used. */
    memset(event, 0, offsetof(struct mr_event, inline_attributes));
    event->attributes = event->inline_attributes;
    event->capacity = INLINE_ATTRIBUTES;
    return event;
}

void mr_event_clear(struct mr_event *event)
{
    struct chunk *kept = NULL;
    while (event->chunks != NULL) {
        struct chunk *chunk = event->chunks;
        event->chunks = chunk->next;
        if (kept == NULL && chunk->capacity <= CHUNK_BYTES_KEPT_MAX) {
            kept = chunk;
            kept->next = NULL;
            kept->used = 0;
        } else {
            mem_free(chunk);
        }
    }
    event->chunks = kept;
    event->inline_used = 0;
    event->count = 0;
    event->bytes = 0;
    event->copied = 0;
    event->known = 0;
    event->data = (struct mr_slice){0};
}

void mr_event_free(struct mr_event *event)
{
    if (event == NULL) {
        return;
    }
    while (event->chunks != NULL) {
        struct chunk *chunk = event->chunks;
        event->chunks = chunk->next;
        mem_free(chunk);
    }
    if (event->attributes != event->inline_attributes) {
        mem_free(event->attributes);
    }
    mem_free(event);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static struct chunk *add_chunk(struct mr_event *event, size_t len)
{
    size_t capacity = CHUNK_BYTES_MIN;
    struct chunk *chunk;
    /* Twice the last, so that many small strings cost few chunks. */
    if (event->chunks != NULL && event->chunks->capacity <= CHUNK_BYTES_KEPT_MAX / 2) {
        capacity = event->chunks->capacity * 2;
    }
    if (capacity < len) {
        capacity = len;
    }
    if (capacity > SIZE_MAX - sizeof *chunk) {
        return NULL;
    }
    chunk = mem_alloc(sizeof *chunk + capacity);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = event->chunks;
    chunk->capacity = capacity;
    chunk->used = 0;
    event->chunks = chunk;
    return chunk;
}

char *event_alloc(struct mr_event *event, size_t len)
{
    struct chunk *chunk = event->chunks;
    char *bytes;
    if (len <= INLINE_BYTES - event->inline_used) {
        bytes = event->inline_bytes + event->inline_used;
        event->inline_used += len;
        return bytes;
    }
    if (chunk == NULL || len > chunk->capacity - chunk->used) {
        chunk = add_chunk(event, len);
        if (chunk == NULL) {
            return NULL;
        }
    }
    bytes = chunk->bytes + chunk->used;
    chunk->used += len;
    return bytes;
}

/* Room for one attribute more. */
static int reserve_attribute(struct mr_event *event, struct mr_error *err)
{
    bool is_inline = event->attributes == event->inline_attributes;
    size_t capacity = event->capacity * 2;
    struct mr_attribute *attributes;

    if (event->count < event->capacity) {
        return 0;
    }
    attributes =
        mem_realloc(is_inline ? NULL : event->attributes, capacity * sizeof *event->attributes);
    if (attributes == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (is_inline) {
        memcpy(attributes, event->inline_attributes, sizeof event->inline_attributes);
    }
    event->attributes = attributes;
    event->capacity = capacity;
    return 0;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

/* The beginning of `text`, in quotes, as far as it may be shown to people: whole characters. */
static const char *shown(struct mr_slice text, char room[SHOWN_BYTES_MAX + 8])
{
    struct mr_slice begin = utf8_cut(text, SHOWN_BYTES_MAX);
    if (!check_string(text)) {
        return "(not text)";
    }
    (void)snprintf(room, SHOWN_BYTES_MAX + 8, "\"%.*s%s\"", (int)begin.len,
                   begin.len == 0 ? "" : begin.ptr, begin.len < text.len ? "..." : "");
    return room;
}

/* The length of a name tells which it can be, but for two. */
static const struct known_attribute *find_known(struct mr_slice name)
{
    static const unsigned char of_length[] = {[2] = KNOWN_ID,
                                              [4] = KNOWN_TYPE,
                                              [6] = KNOWN_SOURCE,
                                              [7] = KNOWN_SUBJECT,
                                              [10] = KNOWN_DATASCHEMA,
                                              [11] = KNOWN_SPECVERSION,
                                              [15] = KNOWN_DATACONTENTTYPE};
    size_t known = name.len < MR_COUNT_OF(of_length) ? of_length[name.len] : 0;
    if (known == KNOWN_TYPE && name.ptr[1] == 'i') {
        known = KNOWN_TIME;
    }
    return mr_slice_is(known_attributes[known].name, name) ? &known_attributes[known] : NULL;
}

static const char *type_text(enum mr_value_type type)
{
    switch (type) {
        case MR_VALUE_BOOLEAN:
            return "a boolean";
        case MR_VALUE_INTEGER:
            return "an integer";
        case MR_VALUE_STRING:
            return "a string";
        case MR_VALUE_BINARY:
            return "binary";
    }
    return "of no type";
}

static int check_known(const struct known_attribute *known, const struct mr_attribute *attribute,
                       struct mr_error *err)
{
    char room[SHOWN_BYTES_MAX + 8];
    if (attribute->type != MR_VALUE_STRING) {
        return mr_error_set(err, MR_EFORMAT, "attribute %s: it is %s, expected %s", known->name.ptr,
                            type_text(attribute->type), known->expected);
    }
    if (attribute->bytes.len == 0) {
        return mr_error_set(err, MR_EFORMAT, "attribute %s: it is empty, expected %s",
                            known->name.ptr, known->expected);
    }
    if (known->is_valid != NULL && !known->is_valid(attribute->bytes)) {
        return mr_error_set(err, MR_EFORMAT, "attribute %s: it is %s, expected %s", known->name.ptr,
                            shown(attribute->bytes, room), known->expected);
    }
    return 0;
}

/* Name and value by themselves. Errors: MR_EFORMAT. */
static int check_attribute(const struct mr_attribute *attribute,
                           const struct known_attribute *known, struct mr_error *err)
{
    bool has_bytes = attribute->type == MR_VALUE_STRING || attribute->type == MR_VALUE_BINARY;
    if (known == NULL && !check_name(attribute->name)) {
        char room[SHOWN_BYTES_MAX + 8];
        return mr_error_set(err, MR_EFORMAT,
                            "attribute name %s: expected 1 to %d of a-z and 0-9, and not \"data\"",
                            shown(attribute->name, room), MR_EVENT_NAME_BYTES_MAX);
    }
    if (has_bytes && attribute->bytes.ptr == NULL) {
        return mr_error_set(err, MR_EFORMAT, "attribute %.*s: it has no value, expected %s",
                            MR_SLICE_ARG(attribute->name), type_text(attribute->type));
    }
    if (attribute->type == MR_VALUE_STRING && !check_string(attribute->bytes)) {
        return mr_error_set(err, MR_EFORMAT,
                            "attribute %.*s: it is not text, expected UTF-8 without control "
                            "characters and noncharacters",
                            MR_SLICE_ARG(attribute->name));
    }
    return known == NULL ? 0 : check_known(known, attribute, err);
}

static size_t value_bytes(const struct mr_attribute *attribute)
{
    bool has_bytes = attribute->type == MR_VALUE_STRING || attribute->type == MR_VALUE_BINARY;
    return has_bytes ? attribute->bytes.len : 0;
}

/* The attribute fits beside the others, in place of `old` (may be NULL). */
static int check_limits(const struct mr_event *event, const struct mr_attribute *attribute,
                        const struct mr_attribute *old, struct mr_error *err)
{
    size_t bytes = event->bytes;
    if (old == NULL && event->count == MR_EVENT_ATTRIBUTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "attribute %.*s: there are more than %d attributes",
                            MR_SLICE_ARG(attribute->name), MR_EVENT_ATTRIBUTES_MAX);
    }
    bytes += old == NULL ? attribute->name.len : 0;
    bytes -= old == NULL ? 0 : value_bytes(old);
    assert(bytes <= MR_EVENT_ATTRIBUTES_BYTES_MAX + MR_EVENT_NAME_BYTES_MAX);
    if (bytes > MR_EVENT_ATTRIBUTES_BYTES_MAX ||
        value_bytes(attribute) > MR_EVENT_ATTRIBUTES_BYTES_MAX - bytes) {
        return mr_error_set(err, MR_ELIMIT,
                            "attribute %.*s: names and values are more than %d bytes together",
                            MR_SLICE_ARG(attribute->name), MR_EVENT_ATTRIBUTES_BYTES_MAX);
    }
    return 0;
}

/* ---- Setting --------------------------------------------------------------------------------- */

static struct mr_attribute *find(const struct mr_event *event, struct mr_slice name)
{
    for (size_t i = 0; i < event->count && name.len > 0; i++) {
        struct mr_slice other = event->attributes[i].name; /* never empty */
        if (other.len == name.len && *other.ptr == *name.ptr && mr_slice_is(other, name)) {
            return &event->attributes[i];
        }
    }
    return NULL;
}

static struct mr_attribute *find_set(const struct mr_event *event,
                                     const struct known_attribute *known, struct mr_slice name)
{
    if (known != NULL && (event->known & (1u << (known - known_attributes))) == 0) {
        return NULL;
    }
    return find(event, name);
}

/* After all checks, with room reserved. */
static void append(struct mr_event *event, const struct mr_attribute *attribute,
                   const struct known_attribute *known)
{
    assert(event->count < event->capacity);
    event->attributes[event->count++] = *attribute;
    event->bytes += attribute->name.len + value_bytes(attribute);
    if (known != NULL) {
        event->known |= 1u << (known - known_attributes);
    }
}

int event_put(struct mr_event *event, const struct mr_attribute *attribute, struct mr_error *err)
{
    const struct known_attribute *known = find_known(attribute->name);
    int rc;
    if (check_attribute(attribute, known, err) != 0) {
        if (err != NULL) {
            err->code = MR_ENOTEVENT; /* the record's mistake, not a caller's */
        }
        return MR_ENOTEVENT;
    }
    if (find_set(event, known, attribute->name) != NULL) {
        return mr_error_set(err, MR_ENOTEVENT, "attribute %.*s: it is there twice",
                            MR_SLICE_ARG(attribute->name));
    }
    rc = check_limits(event, attribute, NULL, err);
    if (rc == 0) {
        rc = reserve_attribute(event, err);
    }
    if (rc == 0) {
        append(event, attribute, known);
    }
    return rc;
}

/* Let `attribute` have bytes of the event's own. `has_name`: its name lives long enough already. */
static int copy_bytes(struct mr_event *event, struct mr_attribute *attribute, bool has_name,
                      struct mr_error *err)
{
    size_t value_len = value_bytes(attribute);
    size_t name_len = has_name ? 0 : attribute->name.len;
    char *copy;
    if (value_len + name_len > COPIED_BYTES_MAX - event->copied) {
        return mr_error_set(err, MR_ELIMIT, "attribute %.*s: more than %d bytes were set in all",
                            MR_SLICE_ARG(attribute->name), COPIED_BYTES_MAX);
    }
    copy = event_alloc(event, value_len + name_len);
    if (copy == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    event->copied += value_len + name_len;
    if (value_len > 0) {
        memcpy(copy, attribute->bytes.ptr, value_len);
    }
    attribute->bytes = mr_slice(copy, value_len);
    if (!has_name) {
        memcpy(copy + value_len, attribute->name.ptr, name_len);
        attribute->name.ptr = copy + value_len;
    }
    return 0;
}

static bool is_same_value(const struct mr_attribute *a, const struct mr_attribute *b)
{
    return a->type == b->type && a->boolean == b->boolean && a->integer == b->integer &&
           mr_slice_is(mr_slice(a->bytes.ptr, value_bytes(a)),
                       mr_slice(b->bytes.ptr, value_bytes(b)));
}

static void replace(struct mr_event *event, struct mr_attribute *old,
                    const struct mr_attribute *attribute)
{
    event->bytes = event->bytes - value_bytes(old) + value_bytes(attribute);
    *old = *attribute;
}

static int set(struct mr_event *event, struct mr_attribute attribute, struct mr_error *err)
{
    const struct known_attribute *known = find_known(attribute.name);
    struct mr_attribute *old;
    int rc = check_attribute(&attribute, known, err);
    if (rc != 0) {
        return rc;
    }
    old = find_set(event, known, attribute.name);
    if (old != NULL && is_same_value(old, &attribute)) {
        return 0;
    }
    rc = check_limits(event, &attribute, old, err);
    if (rc == 0 && old == NULL) {
        rc = reserve_attribute(event, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (old != NULL) {
        attribute.name = old->name;
    } else if (known != NULL) {
        attribute.name = known->name;
    }
    rc = copy_bytes(event, &attribute, old != NULL || known != NULL, err);
    if (rc != 0) {
        return rc;
    }
    if (old != NULL) {
        replace(event, old, &attribute);
    } else {
        append(event, &attribute, known);
    }
    return 0;
}

int mr_event_set(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                 struct mr_error *err)
{
    return set(event, (struct mr_attribute){.name = name, .type = MR_VALUE_STRING, .bytes = value},
               err);
}

int mr_event_set_integer(struct mr_event *event, struct mr_slice name, int32_t value,
                         struct mr_error *err)
{
    return set(event,
               (struct mr_attribute){.name = name, .type = MR_VALUE_INTEGER, .integer = value},
               err);
}

int mr_event_set_boolean(struct mr_event *event, struct mr_slice name, bool value,
                         struct mr_error *err)
{
    return set(event,
               (struct mr_attribute){.name = name, .type = MR_VALUE_BOOLEAN, .boolean = value},
               err);
}

int mr_event_set_binary(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                        struct mr_error *err)
{
    return set(event, (struct mr_attribute){.name = name, .type = MR_VALUE_BINARY, .bytes = value},
               err);
}

void mr_event_set_data(struct mr_event *event, struct mr_slice data)
{
    event->data = data;
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct mr_slice mr_event_data(const struct mr_event *event)
{
    return event->data;
}

size_t mr_event_count(const struct mr_event *event)
{
    return event->count;
}

const struct mr_attribute *mr_event_at(const struct mr_event *event, size_t index)
{
    assert(index < event->count);
    return &event->attributes[index];
}

const struct mr_attribute *mr_event_find(const struct mr_event *event, struct mr_slice name)
{
    return find(event, name);
}

struct mr_slice mr_event_string(const struct mr_event *event, const char *name)
{
    const struct mr_attribute *attribute = find(event, mr_slice_of(name));
    if (attribute == NULL || attribute->type != MR_VALUE_STRING) {
        return (struct mr_slice){0};
    }
    return attribute->bytes;
}

static int tell_missing(const struct mr_event *event, struct mr_error *err)
{
    char missing[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < KNOWN_REQUIRED; i++) {
        if ((event->known & (1u << i)) == 0) {
            len += (size_t)snprintf(missing + len, sizeof missing - len, "%s%s",
                                    len == 0 ? "" : ", ", known_attributes[i].name.ptr);
            assert(len < sizeof missing);
        }
    }
    return mr_error_set(err, MR_ENOTEVENT, "required attributes are missing: %s", missing);
}

int mr_event_check(const struct mr_event *event, struct mr_error *err)
{
    const unsigned required = (1u << KNOWN_REQUIRED) - 1;
    return (event->known & required) == required ? 0 : tell_missing(event, err);
}

/* ---- Canonical strings ----------------------------------------------------------------------- */

int event_write_canonical(const struct mr_attribute *attribute, struct mr_buf *out,
                          struct mr_slice *ret_text)
{
    size_t begin = out->len;
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            *ret_text = attribute->boolean ? MR_SLICE("true") : MR_SLICE("false");
            return 0;
        case MR_VALUE_STRING:
            *ret_text = attribute->bytes;
            return 0;
        case MR_VALUE_INTEGER:
            (void)buf_addf(out, "%" PRId32, attribute->integer);
            break;
        case MR_VALUE_BINARY:
            (void)base64_encode(attribute->bytes, out);
            break;
    }
    if (out->failed == 0) {
        *ret_text = out->ptr == NULL ? MR_SLICE("") : mr_slice(out->ptr + begin, out->len - begin);
    }
    return out->failed;
}

int mr_event_canonical(struct mr_event *event, const struct mr_attribute *attribute,
                       struct mr_slice *ret_text, struct mr_error *err)
{
    struct mr_slice text;
    struct mr_buf made;
    char *copy;
    int rc;
    buf_init(&made,
             attribute->bytes.len * 2 + EVENT_INTEGER_BYTES); /* base64: 4 for each begun 3 */
    rc = event_write_canonical(attribute, &made, &text);
    if (rc == 0 && made.len > 0) {
        copy = event_alloc(event, made.len);
        if (copy == NULL) {
            rc = MR_ENOMEM;
        } else {
            memcpy(copy, made.ptr, made.len);
            text = mr_slice(copy, made.len);
        }
    }
    buf_done(&made);
    if (rc != 0) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    *ret_text = text;
    return 0;
}

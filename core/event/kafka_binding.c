// SPDX-License-Identifier: Apache-2.0
#include "event/kafka_binding.h"

#include <assert.h>
#include <string.h>

#include "event/event_internal.h"
#include "event/format_avro.h"
#include "event/format_json.h"
#include "event/percent.h"
#include "kit/ascii.h"

enum {
    /* Three for each byte of application and device. */
    KEY_BYTES_MAX = 4 * MR_EVENT_ATTRIBUTES_BYTES_MAX,
    /* Names with "ce_" and terminator, and the texts of values that are no strings. */
    TEXTS_BYTES_MAX = 4 * MR_EVENT_ATTRIBUTES_BYTES_MAX,
    SUFFIX_BYTES_SHOWN_MAX = 32,
};

static const char content_type[] = "content-type";
static const char prefix[] = "ce_";
enum { PREFIX_LEN = sizeof prefix - 1 };

/* As we write it ourselves: told without looking at the case of each byte. */
static bool is_avro_type(struct mr_slice type)
{
    return mr_slice_is(type, MR_SLICE(EVENT_AVRO_MEDIA_TYPE));
}

/* ["3. Kafka Message Mapping"]: what makes a record structured. */
static bool is_event_type(struct mr_slice type)
{
    return is_avro_type(type) || ascii_begins_with(type, MR_SLICE("application/cloudevents"));
}

/* ---- Writing --------------------------------------------------------------------------------- */

void kafka_writer_init(struct kafka_writer *writer, size_t value_bytes_max)
{
    buf_init(&writer->value, value_bytes_max);
    buf_init(&writer->key, KEY_BYTES_MAX);
    buf_init(&writer->texts, TEXTS_BYTES_MAX);
}

void kafka_writer_done(struct kafka_writer *writer)
{
    buf_done(&writer->value);
    buf_done(&writer->key);
    buf_done(&writer->texts);
}

/* What the attribute's header takes in writer->texts. */
static size_t texts_size(const struct mr_attribute *attribute)
{
    size_t size = PREFIX_LEN + attribute->name.len + 1;
    if (attribute->type == MR_VALUE_INTEGER) {
        size += EVENT_INTEGER_BYTES;
    } else if (attribute->type == MR_VALUE_BINARY) {
        size += (attribute->bytes.len + 2) / 3 * 4;
    }
    return size;
}

/* All at once, so that the headers may point into it while it is filled. */
static int reserve_texts(const struct mr_event *event, struct mr_buf *texts)
{
    size_t size = 0;
    for (size_t i = 0; i < mr_event_count(event); i++) {
        size += texts_size(mr_event_at(event, i));
    }
    return buf_reserve(texts, size);
}

static const char *write_name(struct mr_slice name, struct mr_buf *texts)
{
    size_t begin = texts->len;
    (void)buf_add(texts, prefix, PREFIX_LEN);
    (void)buf_add_slice(texts, name);
    (void)buf_add_char(texts, '\0');
    return texts->ptr + begin;
}

static void add_header(struct kafka_writer *writer, struct kafka_record *record, const char *name,
                       struct mr_slice value)
{
    assert(record->header_count < KAFKA_HEADERS_MAX);
    writer->headers[record->header_count++] = (struct kafka_header){name, value};
}

static int write_headers(const struct mr_event *event, bool is_binary, struct kafka_writer *writer,
                         struct kafka_record *record, struct mr_error *err)
{
    const struct mr_slice datacontenttype = MR_SLICE("datacontenttype");
    struct mr_slice type = MR_SLICE(EVENT_AVRO_MEDIA_TYPE);
    if (reserve_texts(event, &writer->texts) != 0) {
        return buf_check(&writer->texts, err);
    }
    if (is_binary) {
        type = mr_event_string(event, "datacontenttype");
    }
    if (type.ptr != NULL) {
        add_header(writer, record, content_type, type);
    }
    for (size_t i = 0; i < mr_event_count(event); i++) {
        const struct mr_attribute *attribute = mr_event_at(event, i);
        if (!is_binary || !mr_slice_is(attribute->name, datacontenttype)) {
            const char *name = write_name(attribute->name, &writer->texts);
            struct mr_slice text = {0};
            (void)event_write_canonical(attribute, &writer->texts, &text); /* there is room */
            add_header(writer, record, name, text);
        }
    }
    record->headers = writer->headers;
    return buf_check(&writer->texts, err);
}

static int write_key(const struct mr_event *event, struct kafka_writer *writer,
                     struct mr_slice *ret_key, struct mr_error *err)
{
    struct mr_slice key = mr_event_string(event, "partitionkey");
    struct mr_slice application = mr_event_string(event, "application");
    struct mr_slice device = mr_event_string(event, "device");
    if (key.len == 0 && application.len > 0 && device.len > 0) {
        (void)percent_encode(application, &writer->key);
        (void)buf_add_char(&writer->key, '/');
        (void)percent_encode(device, &writer->key);
        key = buf_slice(&writer->key);
    }
    *ret_key = key.len == 0 ? mr_event_string(event, "source") : key;
    return buf_check(&writer->key, err);
}

int kafka_binding_write(const struct mr_event *event, enum event_encoding encoding,
                        struct kafka_writer *writer, struct kafka_record *ret_record,
                        struct mr_error *err)
{
    struct mr_slice data = mr_event_data(event);
    bool is_binary = encoding == EVENT_ENCODING_BINARY && data.ptr != NULL &&
                     !is_event_type(mr_event_string(event, "datacontenttype"));
    struct kafka_record record = {.value = data};
    int rc;

    buf_clear(&writer->value);
    buf_clear(&writer->key);
    buf_clear(&writer->texts);
    rc = mr_event_check(event, err);
    if (rc == 0 && is_binary && data.len > writer->value.bytes_max) {
        rc = mr_error_set(err, MR_ELIMIT, "more than %zu bytes", writer->value.bytes_max);
    }
    if (rc == 0 && !is_binary) {
        rc = event_avro_encode(event, &writer->value, err);
        record.value = buf_slice(&writer->value);
    }
    if (rc == 0) {
        rc = write_headers(event, is_binary, writer, &record, err);
    }
    if (rc == 0) {
        rc = write_key(event, writer, &record.key, err);
    }
    if (rc == 0) {
        *ret_record = record;
    }
    return rc;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The headers that count: of each name the last one. */
struct picked {
    struct mr_slice content_type; /* ptr NULL: none */
    bool has_version;
    size_t count;
    struct {
        struct mr_slice name; /* behind "ce_", in the record's case */
        struct mr_slice value;
    } attributes[MR_EVENT_ATTRIBUTES_MAX];
};

static int pick_attribute(struct picked *picked, struct mr_slice name, struct mr_slice value,
                          struct mr_error *err)
{
    for (size_t i = 0; i < picked->count; i++) {
        if (ascii_same(picked->attributes[i].name, name)) {
            return 0; /* a later one was there */
        }
    }
    if (picked->count == MR_EVENT_ATTRIBUTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "more than %d ce_ headers", MR_EVENT_ATTRIBUTES_MAX);
    }
    picked->attributes[picked->count].name = name;
    picked->attributes[picked->count].value = value;
    picked->count++;
    picked->has_version |= value.ptr != NULL && ascii_same(name, MR_SLICE("specversion"));
    return 0;
}

/* All names of a record are looked at, and nearly all others begin with "ce". */
static bool is_content_type(const char *name)
{
    return ascii_lower(name[0]) == content_type[0] && ascii_lower(name[1]) == content_type[1] &&
           ascii_same(mr_slice_of(name), MR_SLICE(content_type));
}

static void pick_content_type(const struct kafka_record *record, struct picked *picked)
{
    for (size_t i = record->header_count; i-- > 0;) {
        if (is_content_type(record->headers[i].name)) {
            picked->content_type = record->headers[i].value;
            return;
        }
    }
}

/* From the last header to the first. */
static int pick_attributes(const struct kafka_record *record, struct picked *picked,
                           struct mr_error *err)
{
    for (size_t i = record->header_count; i-- > 0;) {
        const struct kafka_header *header = &record->headers[i];
        struct mr_slice name = mr_slice_of(header->name);
        if (ascii_begins_with(name, MR_SLICE(prefix))) {
            int rc = pick_attribute(picked, mr_slice(name.ptr + PREFIX_LEN, name.len - PREFIX_LEN),
                                    header->value, err);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* The name in lower case; where it was not, in memory of the event. */
static int lower_name(struct mr_event *event, struct mr_slice *name, struct mr_error *err)
{
    char *copy;
    size_t i = 0;
    while (i < name->len && ascii_lower(name->ptr[i]) == name->ptr[i]) {
        i++;
    }
    if (i == name->len) {
        return 0;
    }
    copy = event_alloc(event, name->len);
    if (copy == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    for (i = 0; i < name->len; i++) {
        copy[i] = ascii_lower(name->ptr[i]);
    }
    name->ptr = copy;
    return 0;
}

static int put(struct mr_event *event, struct mr_slice name, struct mr_slice value,
               struct mr_error *err)
{
    struct mr_attribute attribute = {.name = name, .type = MR_VALUE_STRING, .bytes = value};
    int rc = value.ptr == NULL ? 0 : lower_name(event, &attribute.name, err);
    if (rc != 0 || value.ptr == NULL) {
        return rc; /* a null header is no attribute */
    }
    return event_put(event, &attribute, err);
}

/* ["3.2. Binary Content Mode"] The content-type header is datacontenttype; its mirror is heard only
 * without that. */
static int read_binary(const struct kafka_record *record, const struct picked *picked,
                       struct mr_event *event, struct mr_error *err)
{
    const struct mr_slice datacontenttype = MR_SLICE("datacontenttype");
    int rc = 0;
    for (size_t i = picked->count; rc == 0 && i-- > 0;) {
        struct mr_slice name = picked->attributes[i].name;
        if (picked->content_type.ptr == NULL || !ascii_same(name, datacontenttype)) {
            rc = put(event, name, picked->attributes[i].value, err);
        }
    }
    if (rc == 0) {
        rc = put(event, datacontenttype, picked->content_type, err);
    }
    mr_event_set_data(event, record->value);
    return rc;
}

/* "+avro" of "application/cloudevents+avro; charset=utf-8". */
static struct mr_slice format_suffix(struct mr_slice type)
{
    struct mr_slice suffix = type;
    suffix.ptr += sizeof "application/cloudevents" - 1;
    suffix.len -= sizeof "application/cloudevents" - 1;
    for (size_t i = 0; i < suffix.len; i++) {
        if (suffix.ptr[i] == ';' || suffix.ptr[i] == ' ' || suffix.ptr[i] == '\t') {
            suffix.len = i;
        }
    }
    return suffix;
}

/* Printable ASCII without blanks, as all media types are: fit for an error's text. */
static bool is_printable(struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

/* ["3.3. Structured Content Mode"] */
static int read_structured(struct mr_slice value, struct mr_slice type, struct mr_event *event,
                           struct mr_error *err)
{
    struct mr_slice suffix;
    if (is_avro_type(type)) {
        return event_avro_decode(value, event, err);
    }
    suffix = format_suffix(type);
    if (ascii_same(suffix, MR_SLICE("+avro"))) {
        return event_avro_decode(value, event, err);
    }
    if (suffix.len == 0 || ascii_same(suffix, MR_SLICE("+json"))) {
        return event_json_decode(value, event, err);
    }
    if (suffix.len > SUFFIX_BYTES_SHOWN_MAX || !is_printable(suffix)) {
        suffix = MR_SLICE("...");
    }
    return mr_error_set(err, MR_ENOTEVENT,
                        "header content-type: application/cloudevents%.*s is an unknown event "
                        "format, expected +avro or +json",
                        MR_SLICE_ARG(suffix));
}

int kafka_binding_read(const struct kafka_record *record, struct mr_event *event,
                       struct mr_error *err)
{
    struct picked picked;
    int rc;

    mr_event_clear(event);
    if (record->value.ptr == NULL) {
        return mr_error_set(err, MR_ETOMBSTONE, "%s", mr_code_text(MR_ETOMBSTONE));
    }
    picked.content_type = (struct mr_slice){0};
    picked.has_version = false;
    picked.count = 0;
    pick_content_type(record, &picked);
    if (picked.content_type.ptr != NULL && is_event_type(picked.content_type)) {
        rc = read_structured(record->value, picked.content_type, event, err);
        return rc != 0 ? rc : mr_event_check(event, err);
    }
    rc = pick_attributes(record, &picked, err);
    if (rc == 0 && !picked.has_version) {
        rc = mr_error_set(err, MR_ENOTEVENT,
                          "neither a content-type header of application/cloudevents nor a "
                          "ce_specversion header");
    }
    if (rc == 0) {
        rc = read_binary(record, &picked, event, err);
    }
    return rc != 0 ? rc : mr_event_check(event, err);
}

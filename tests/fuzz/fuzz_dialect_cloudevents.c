// SPDX-License-Identifier: Apache-2.0
/* CloudEvents over HTTP. The input is that of fuzz_dialect.h. What becomes an event lacks nothing
 * but its time, survives Kafka, and comes back the same in binary mode, as written here by the
 * specification. A batch has as many events as jansson finds, and the same ones each time it is
 * read. */
#include <jansson.h>
#include <string.h>

#include "kit/ascii.h"
#include "tests/fuzz/fuzz_dialect.h"

enum { HEAD_BYTES_MAX = 16384, BODY_BYTES_MAX = 65536, RECORD_BYTES_MAX = 1 << 24 };

/* A dialect may refuse so, and its text can be shown. */
static void must_be_refusal(const struct refusal *refusal)
{
    MUST(refusal->status == 400 || refusal->status == 403 || refusal->status == 405 ||
         refusal->status == 415);
    MUST((refusal->status == 405) == (refusal->headers != NULL));
    MUST(refusal->detail[0] != '\0' && strlen(refusal->detail) < sizeof refusal->detail);
    MUST(check_utf8(mr_slice_of(refusal->detail)));
}

/* Nobody speaks for another without leave. */
static void must_be_allowed(const struct mr_event *event, const struct identity *identity)
{
    struct mr_slice device = mr_event_string(event, "device");
    bool has_gateway = mr_event_find(event, MR_SLICE("gateway")) != NULL;
    struct mr_slice gateway = mr_event_string(event, "gateway");
    if (identity_is_known(identity)) {
        MUST(mr_slice_is(mr_event_string(event, "application"), identity->application));
        MUST(speaks_for_allows(identity, device));
        MUST(has_gateway || mr_slice_is(device, identity->device));
        MUST(!has_gateway || mr_slice_is(gateway, identity->device));
    }
}

/* http-protocol-binding.md, 3.1.3.2. */
static void write_value(struct mr_slice value, struct mr_buf *out)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
            (void)buf_add_char(out, (char)c);
        } else {
            (void)buf_addf(out, "%%%02X", c);
        }
    }
}

/* False: binary mode can't say it, or the reader's limits are too low. */
static bool write_binary(const struct mr_event *event, struct mr_buf *out)
{
    struct mr_slice data = mr_event_data(event);
    struct mr_slice type = mr_event_string(event, "datacontenttype");
    if (ascii_begins_with(type, MR_SLICE("application/cloudevents")) ||
        (data.ptr == NULL) != (data.len == 0 && type.ptr == NULL)) {
        return false;
    }
    (void)buf_add_str(out, "POST /events HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 0; i < mr_event_count(event); i++) {
        const struct mr_attribute *attribute = mr_event_at(event, i);
        if (attribute->type != MR_VALUE_STRING) {
            return false;
        }
        if (mr_slice_is(attribute->name, MR_SLICE("datacontenttype"))) {
            (void)buf_add_str(out, "Content-Type: ");
            (void)buf_add_slice(out, attribute->bytes);
        } else {
            (void)buf_addf(out, "ce-%.*s: ", MR_SLICE_ARG(attribute->name));
            write_value(attribute->bytes, out);
        }
        (void)buf_add_str(out, "\r\n");
    }
    (void)buf_addf(out, "Content-Length: %zu\r\n\r\n", data.len);
    if (out->len > HEAD_BYTES_MAX || mr_event_count(event) > HTTP_HEADERS_MAX - 2) {
        return false;
    }
    (void)buf_add_slice(out, data);
    MUST(out->failed == 0);
    return true;
}

/* The same attributes, in any order: datacontenttype comes last from binary mode. */
static void must_have_all(const struct mr_event *event, const struct mr_event *of)
{
    MUST(mr_event_count(event) == mr_event_count(of));
    for (size_t i = 0; i < mr_event_count(of); i++) {
        const struct mr_attribute *one = mr_event_at(of, i);
        const struct mr_attribute *other = mr_event_find(event, one->name);
        MUST(other != NULL && other->type == MR_VALUE_STRING);
        MUST(mr_slice_is(one->bytes, other->bytes));
    }
    MUST((mr_event_data(event).ptr == NULL) == (mr_event_data(of).ptr == NULL));
    MUST(mr_slice_is(mr_event_data(event), mr_event_data(of)));
}

static void must_survive_http(const struct mr_event *event)
{
    static const struct http_limits limits = {.head_bytes_max = HEAD_BYTES_MAX,
                                              .body_bytes_max = 2 * BODY_BYTES_MAX};
    struct mr_event *again = mr_event_new();
    struct refusal refusal;
    struct http_reader reader;
    struct mr_buf text;
    MUST(again != NULL);
    http_reader_init(&reader, &limits);
    buf_init(&text, RECORD_BYTES_MAX);
    if (write_binary(event, &text)) {
        struct dialect_request request;
        MUST(http_reader_feed(&reader, text.ptr, text.len) == text.len);
        MUST(reader.state == HTTP_READER_COMPLETE);
        request = fuzz_request_of(&reader, &fuzz_identities[0]);
        MUST(dialect_cloudevents.read(&request, again, &refusal) == DIALECT_EVENT);
        must_have_all(again, event);
    }
    buf_done(&text);
    http_reader_done(&reader);
    mr_event_free(again);
}

static void must_be_event(struct mr_event *event, const struct identity *identity)
{
    struct mr_error err;
    size_t count = mr_event_count(event);
    bool has_time = mr_event_find(event, MR_SLICE("time")) != NULL;
    MUST(mr_event_check(event, NULL) == 0);
    must_be_allowed(event, identity);
    must_survive_http(event);
    if (mr_event_complete(event, &err) == 0) {
        MUST(mr_event_count(event) == count + (has_time ? 0 : 1));
        fuzz_must_survive_kafka(event); /* the key is at least its source */
    } else {
        MUST(err.code == MR_ELIMIT); /* the other attributes fill it */
    }
}

static void read_single(const struct dialect_request *request)
{
    struct mr_event *event = mr_event_new();
    struct refusal refusal = {0};
    int rc;
    MUST(event != NULL);
    rc = dialect_cloudevents.read(request, event, &refusal);
    MUST(rc == DIALECT_EVENT || rc == DIALECT_REFUSED);
    if (rc == DIALECT_EVENT) {
        must_be_event(event, &request->identity);
    } else {
        must_be_refusal(&refusal);
    }
    mr_event_free(event);
}

/* jansson refuses what RFC 8259 allows: numbers beyond a double, \u0000 in names. */
static void must_be_array(struct mr_slice text, size_t count)
{
    const size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, flags, &error);
    if (value == NULL) {
        enum json_error_code code = json_error_code(&error);
        MUST(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
    } else {
        MUST(json_is_array(value) && json_array_size(value) == count);
    }
    json_decref(value);
}

static void read_batch(const struct dialect_request *request)
{
    struct mr_event *event = mr_event_new();
    struct mr_event *again = mr_event_new();
    struct dialect_cursor cursor = {0};
    struct dialect_cursor second = {0};
    struct refusal refusal = {0};
    int rc;
    MUST(event != NULL && again != NULL);
    while ((rc = dialect_cloudevents.read_next(request, &cursor, event, &refusal)) ==
           DIALECT_EVENT) {
        MUST(dialect_cloudevents.read_next(request, &second, again, &refusal) == DIALECT_EVENT);
        must_equal(event, again);
        must_be_event(event, &request->identity);
        mr_event_clear(event);
        mr_event_clear(again);
    }
    if (rc == DIALECT_END) {
        must_be_array(request->body, cursor.next);
        MUST(dialect_cloudevents.read_next(request, &cursor, event, &refusal) == DIALECT_END);
    } else {
        MUST(rc == DIALECT_REFUSED);
        must_be_refusal(&refusal);
    }
    mr_event_free(event);
    mr_event_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct http_limits limits = {.head_bytes_max = HEAD_BYTES_MAX,
                                              .body_bytes_max = BODY_BYTES_MAX};
    struct http_reader reader;
    if (size == 0) {
        return 0;
    }
    http_reader_init(&reader, &limits);
    (void)http_reader_feed(&reader, (const char *)bytes + 1, size - 1);
    if (reader.state == HTTP_READER_COMPLETE) {
        struct dialect_request request =
            fuzz_request_of(&reader, &fuzz_identities[bytes[0] % MR_COUNT_OF(fuzz_identities)]);
        if (!dialect_cloudevents.is_mine(request.path)) {
            MUST(!mr_slice_is(request.path, MR_SLICE("/events")));
        } else if (dialect_cloudevents.is_batch(&request)) {
            read_batch(&request);
        } else {
            read_single(&request);
        }
    }
    http_reader_done(&reader);
    return 0;
}

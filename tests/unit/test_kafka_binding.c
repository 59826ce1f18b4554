// SPDX-License-Identifier: Apache-2.0
/* The sections are those of CloudEvents 1.0.2, kafka-protocol-binding.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/format_avro.h"
#include "event/kafka_binding.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

enum { VALUE_BYTES_MAX = 1 << 20 };

struct fixture {
    struct mr_event *event;
    struct mr_event *other;
    struct kafka_writer writer;
    struct kafka_record record;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->event = mr_event_new();
    f->other = mr_event_new();
    kafka_writer_init(&f->writer, VALUE_BYTES_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    mr_event_free(f->event);
    mr_event_free(f->other);
    kafka_writer_done(&f->writer);
    free(f);
    return 0;
}

/* The example of 3.2.5. */
static void set_example(struct mr_event *event)
{
    set_text(event, "specversion", "1.0");
    set_text(event, "type", "com.example.someevent");
    set_text(event, "source", "/mycontext/subcontext");
    set_text(event, "id", "1234-1234-1234");
    set_text(event, "time", "2018-04-05T03:56:24Z");
    set_text(event, "datacontenttype", "application/avro");
    mr_event_set_data(event, MR_SLICE("\x02\x00\xff"));
}

static void write_record(struct fixture *f, enum event_encoding encoding)
{
    struct mr_error err = {0};
    if (kafka_binding_write(f->event, encoding, &f->writer, &f->record, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void assert_header(const struct kafka_record *record, size_t index, const char *name,
                          const char *value)
{
    assert_true(index < record->header_count);
    assert_string_equal(record->headers[index].name, name);
    assert_slice(record->headers[index].value, value);
}

/* In any order: CloudEvents' attributes have none. */
static void assert_equal_events(const struct mr_event *a, const struct mr_event *b)
{
    assert_int_equal(mr_event_count(a), mr_event_count(b));
    for (size_t i = 0; i < mr_event_count(a); i++) {
        const struct mr_attribute *attribute = mr_event_at(a, i);
        const struct mr_attribute *same = mr_event_find(b, attribute->name);
        assert_non_null(same);
        assert_int_equal(attribute->type, same->type);
        assert_int_equal(attribute->integer, same->integer);
        assert_int_equal(attribute->boolean, same->boolean);
        if (attribute->type == MR_VALUE_STRING || attribute->type == MR_VALUE_BINARY) {
            assert_true(mr_slice_is(attribute->bytes, same->bytes));
        }
    }
    assert_int_equal(mr_event_data(a).ptr == NULL, mr_event_data(b).ptr == NULL);
    assert_true(mr_slice_is(mr_event_data(a), mr_event_data(b)));
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void test_binary_mode_is_the_example(void **state)
{
    struct fixture *f = *state;
    set_example(f->event);
    write_record(f, EVENT_ENCODING_BINARY);
    assert_int_equal(f->record.header_count, 6);
    assert_header(&f->record, 0, "content-type", "application/avro");
    assert_header(&f->record, 1, "ce_specversion", "1.0");
    assert_header(&f->record, 2, "ce_type", "com.example.someevent");
    assert_header(&f->record, 3, "ce_source", "/mycontext/subcontext");
    assert_header(&f->record, 4, "ce_id", "1234-1234-1234");
    assert_header(&f->record, 5, "ce_time", "2018-04-05T03:56:24Z");
    assert_ptr_equal(f->record.value.ptr, mr_event_data(f->event).ptr); /* as it is */
    assert_int_equal(f->record.value.len, 3);
    assert_slice(f->record.key, "/mycontext/subcontext");
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_equal_events(f->event, f->other);
}

/* 3.3.3: the headers of binary mode beside the structured value. */
static void test_structured_mode_mirrors_the_attributes(void **state)
{
    struct fixture *f = *state;
    struct mr_buf avro;
    set_example(f->event);
    write_record(f, EVENT_ENCODING_AVRO);
    assert_int_equal(f->record.header_count, 7);
    assert_header(&f->record, 0, "content-type", "application/cloudevents+avro");
    assert_header(&f->record, 1, "ce_specversion", "1.0");
    assert_header(&f->record, 2, "ce_type", "com.example.someevent");
    assert_header(&f->record, 6, "ce_datacontenttype", "application/avro");
    buf_init(&avro, VALUE_BYTES_MAX);
    assert_int_equal(event_avro_encode(f->event, &avro, NULL), 0);
    assert_true(mr_slice_is(f->record.value, buf_slice(&avro)));
    buf_done(&avro);
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_equal_events(f->event, f->other);
}

/* CloudEvents 1.0.2, "Type System": canonical strings; binary is RFC 4648. */
static void test_headers_are_canonical_strings(void **state)
{
    static const enum event_encoding encodings[] = {EVENT_ENCODING_AVRO, EVENT_ENCODING_BINARY};
    struct fixture *f = *state;
    set_example(f->event);
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("yes"), true, NULL), 0);
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("no"), false, NULL), 0);
    assert_int_equal(mr_event_set_integer(f->event, MR_SLICE("low"), INT32_MIN, NULL), 0);
    assert_int_equal(mr_event_set_binary(f->event, MR_SLICE("bytes"), MR_SLICE("fooba"), NULL), 0);
    assert_int_equal(mr_event_set_binary(f->event, MR_SLICE("none"), MR_SLICE(""), NULL), 0);
    set_text(f->event, "text", "caf\xc3\xa9 50%");
    set_text(f->event, "empty", "");
    for (size_t i = 0; i < MR_COUNT_OF(encodings); i++) {
        write_record(f, encodings[i]);
        assert_header(&f->record, f->record.header_count - 7, "ce_yes", "true");
        assert_header(&f->record, f->record.header_count - 6, "ce_no", "false");
        assert_header(&f->record, f->record.header_count - 5, "ce_low", "-2147483648");
        assert_header(&f->record, f->record.header_count - 4, "ce_bytes", "Zm9vYmE=");
        assert_header(&f->record, f->record.header_count - 3, "ce_none", "");
        assert_header(&f->record, f->record.header_count - 2, "ce_text", "caf\xc3\xa9 50%");
        assert_header(&f->record, f->record.header_count - 1, "ce_empty", "");
    }
    /* In binary mode the types are lost: all are strings. */
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_slice(mr_event_string(f->other, "low"), "-2147483648");
    assert_slice(mr_event_string(f->other, "yes"), "true");
    assert_slice(mr_event_string(f->other, "empty"), "");
}

static void test_binary_falls_back_where_it_would_be_misread(void **state)
{
    static const char *const types[] = {"application/cloudevents+json",
                                        "Application/CloudEvents-Batch+json",
                                        "application/cloudevents"};
    struct fixture *f = *state;
    set_example(f->event);
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        set_text(f->event, "datacontenttype", types[i]);
        write_record(f, EVENT_ENCODING_BINARY);
        assert_header(&f->record, 0, "content-type", "application/cloudevents+avro");
        assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
        assert_equal_events(f->event, f->other);
    }
    /* Without data: a null value would be a tombstone. */
    set_text(f->event, "datacontenttype", "application/json");
    mr_event_set_data(f->event, (struct mr_slice){0});
    write_record(f, EVENT_ENCODING_BINARY);
    assert_header(&f->record, 0, "content-type", "application/cloudevents+avro");
    assert_non_null(f->record.value.ptr);
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_equal_events(f->event, f->other);
    /* Empty data is data. */
    mr_event_set_data(f->event, MR_SLICE(""));
    write_record(f, EVENT_ENCODING_BINARY);
    assert_header(&f->record, 0, "content-type", "application/json");
    assert_non_null(f->record.value.ptr);
    assert_int_equal(f->record.value.len, 0);
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_equal_events(f->event, f->other);
}

static void test_the_key(void **state)
{
    static const struct {
        const char *partitionkey;
        const char *application;
        const char *device;
        const char *key;
    } rows[] = {
        {NULL, NULL, NULL, "/mycontext/subcontext"}, /* its source */
        {NULL, "greenhouse", "sensor-17", "greenhouse/sensor-17"},
        {NULL, "a/b", "c d", "a%2Fb/c%20d"},
        {NULL, "a", "b/c", "a/b%2Fc"},
        {NULL, "caf\xc3\xa9", "100%", "caf%C3%A9/100%25"},
        {"mykey", NULL, NULL, "mykey"},
        {"my key/1", "greenhouse", "sensor-17", "my key/1"}, /* 3.1: as it is */
        {"", "greenhouse", "sensor-17", "greenhouse/sensor-17"},
        {NULL, "greenhouse", NULL, "/mycontext/subcontext"},
        {NULL, NULL, "sensor-17", "/mycontext/subcontext"},
        {NULL, "", "sensor-17", "/mycontext/subcontext"},
        {"", NULL, NULL, "/mycontext/subcontext"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        size_t count;
        mr_event_clear(f->event);
        set_example(f->event);
        if (rows[i].partitionkey != NULL) {
            set_text(f->event, "partitionkey", rows[i].partitionkey);
        }
        if (rows[i].application != NULL) {
            set_text(f->event, "application", rows[i].application);
        }
        if (rows[i].device != NULL) {
            set_text(f->event, "device", rows[i].device);
        }
        count = mr_event_count(f->event);
        write_record(f, i % 2 == 0 ? EVENT_ENCODING_AVRO : EVENT_ENCODING_BINARY);
        assert_slice(f->record.key, rows[i].key);
        assert_int_equal(mr_event_count(f->event), count); /* 3.1: the event is not modified */
    }
}

static void test_every_attribute_has_room(void **state)
{
    static char big[60000];
    struct fixture *f = *state;
    memset(big, '/', sizeof big);
    set_example(f->event);
    for (int i = 6; i < MR_EVENT_ATTRIBUTES_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "ext%d", i);
        assert_int_equal(mr_event_set_integer(f->event, mr_slice_of(name), INT32_MIN, NULL), 0);
    }
    write_record(f, EVENT_ENCODING_AVRO);
    assert_int_equal(f->record.header_count, KAFKA_HEADERS_MAX);
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_equal_events(f->event, f->other);
    write_record(f, EVENT_ENCODING_BINARY);
    assert_int_equal(f->record.header_count, KAFKA_HEADERS_MAX - 1);
    assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    assert_int_equal(mr_event_count(f->other), MR_EVENT_ATTRIBUTES_MAX);

    /* The longest binary value, and the longest key. */
    mr_event_clear(f->event);
    set_example(f->event);
    assert_int_equal(
        mr_event_set_binary(f->event, MR_SLICE("bytes"), mr_slice(big, sizeof big), NULL), 0);
    write_record(f, EVENT_ENCODING_AVRO);
    assert_int_equal(f->record.headers[7].value.len, 80000);
    mr_event_clear(f->event);
    set_example(f->event);
    set_text(f->event, "application", "a");
    assert_int_equal(mr_event_set(f->event, MR_SLICE("device"), mr_slice(big, sizeof big), NULL),
                     0);
    write_record(f, EVENT_ENCODING_AVRO);
    assert_int_equal(f->record.key.len, 2 + 3 * sizeof big);
}

static void test_an_unfit_event_is_not_written(void **state)
{
    static char big[VALUE_BYTES_MAX + 1];
    struct fixture *f = *state;
    struct kafka_record before = {.key = MR_SLICE("untouched")};
    struct mr_error err;
    f->record = before;
    assert_int_equal(
        kafka_binding_write(f->event, EVENT_ENCODING_AVRO, &f->writer, &f->record, &err),
        MR_ENOTEVENT);
    assert_int_equal(err.code, MR_ENOTEVENT);
    set_example(f->event);
    mr_event_set_data(f->event, mr_slice(big, sizeof big));
    assert_int_equal(
        kafka_binding_write(f->event, EVENT_ENCODING_AVRO, &f->writer, &f->record, &err),
        MR_ELIMIT);
    assert_int_equal(
        kafka_binding_write(f->event, EVENT_ENCODING_BINARY, &f->writer, &f->record, &err),
        MR_ELIMIT);
    assert_string_equal(err.text, "more than 1048576 bytes");
    assert_memory_equal(&f->record, &before, sizeof before);
    /* The writer is fit for the next. */
    mr_event_set_data(f->event, mr_slice(big, sizeof big - 1));
    write_record(f, EVENT_ENCODING_BINARY);
    mr_event_set_data(f->event, MR_SLICE("x"));
    write_record(f, EVENT_ENCODING_AVRO);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* The steady state of a bridge and of a worker. */
static void test_a_used_writer_and_event_allocate_nothing(void **state)
{
    static const enum event_encoding encodings[] = {EVENT_ENCODING_AVRO, EVENT_ENCODING_BINARY};
    struct fixture *f = *state;
    set_example(f->event);
    set_text(f->event, "application", "greenhouse");
    set_text(f->event, "device", "sensor-17");
    assert_int_equal(mr_event_set_integer(f->event, MR_SLICE("count"), 5, NULL), 0);
    heap_fail_at(0);
    write_record(f, EVENT_ENCODING_AVRO);
    heap_fail_at(1);
    for (int i = 0; i < 100; i++) {
        write_record(f, encodings[i % 2]);
        assert_int_equal(kafka_binding_read(&f->record, f->other, NULL), 0);
    }
    assert_false(heap_failed());
    heap_restore();
}

static int write_and_read(const struct mr_slice bytes, struct mr_event *event)
{
    struct kafka_writer writer;
    struct kafka_header headers[24];
    char names[24][64];
    struct kafka_record record = {0};
    int rc;
    kafka_writer_init(&writer, VALUE_BYTES_MAX);
    set_example(event);
    set_text(event, "application", "a");
    set_text(event, "device", "d");
    rc = mr_event_set_binary(event, MR_SLICE("bytes"), bytes, NULL);
    if (rc == 0) {
        rc = kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL);
    }
    /* Names in capitals take memory of the event. */
    for (int i = 0; i < 24; i++) {
        (void)snprintf(names[i], sizeof names[i], "CE_EXTENSIONOFTHISEVENTWITHALONGNAME%d", i);
        headers[i] = (struct kafka_header){names[i], MR_SLICE("x")};
    }
    headers[0].name = "ce_specversion";
    headers[0].value = MR_SLICE("1.0");
    headers[1].name = "ce_id";
    headers[2].name = "ce_source";
    headers[3].name = "ce_type";
    record = (struct kafka_record){.value = MR_SLICE("x"), .headers = headers, .header_count = 24};
    if (rc == 0) {
        rc = kafka_binding_read(&record, event, NULL);
    }
    kafka_writer_done(&writer);
    return rc;
}

static void test_every_allocation_may_fail(void **state)
{
    static const char bytes[2000];
    unsigned n;
    (void)state;
    for (n = 1;; n++) {
        struct mr_event *event;
        int rc = MR_ENOMEM;
        heap_fail_at(n);
        event = mr_event_new();
        if (event != NULL) {
            rc = write_and_read(mr_slice(bytes, sizeof bytes), event);
        }
        mr_event_free(event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 6);
    heap_restore();
}

int main(void)
{
#define WITH_EVENTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_EVENTS(test_binary_mode_is_the_example),
        WITH_EVENTS(test_structured_mode_mirrors_the_attributes),
        WITH_EVENTS(test_headers_are_canonical_strings),
        WITH_EVENTS(test_binary_falls_back_where_it_would_be_misread),
        WITH_EVENTS(test_the_key),
        WITH_EVENTS(test_every_attribute_has_room),
        WITH_EVENTS(test_an_unfit_event_is_not_written),
        WITH_EVENTS(test_a_used_writer_and_event_allocate_nothing),
        WITH_EVENTS(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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

#include "event/kafka_binding.h"
#include "lib/event_asserts.h"

static int setup(void **state)
{
    *state = mr_event_new();
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    mr_event_free(*state);
    return 0;
}

enum { HEADERS_MAX = 8 };

/* One record as text: headers in pairs, NULL ends them; a value of NULL is a null header. */
struct row {
    const char *headers[2 * HEADERS_MAX];
    struct mr_slice value;
    int rc;
    const char *said; /* or the id of the event */
};

static int read_row(const struct row *row, struct mr_event *event, struct mr_error *err)
{
    struct kafka_header headers[HEADERS_MAX];
    struct kafka_record record = {.value = row->value, .headers = headers};
    while (row->headers[2 * record.header_count] != NULL) {
        const char *const *pair = &row->headers[2 * record.header_count];
        headers[record.header_count++] = (struct kafka_header){pair[0], mr_slice_of(pair[1])};
    }
    return kafka_binding_read(&record, event, err);
}

static void assert_rows(struct mr_event *event, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_error err = {0};
        int rc = read_row(&rows[i], event, &err);
        if (rc != rows[i].rc || (rc != 0 && (int)err.code != rc)) {
            fail_msg("row %zu: %d instead of %d: %s", i, rc, rows[i].rc, err.text);
        }
        if (rc == 0) {
            assert_slice(mr_event_string(event, "id"), rows[i].said);
        } else if (strstr(err.text, rows[i].said) == NULL) {
            fail_msg("row %zu: \"%s\" doesn't say \"%s\"", i, err.text, rows[i].said);
        }
        assert_int_equal(read_row(&rows[i], event, NULL), rc);
    }
}

#define AVRO_VALUE                                     \
    MR_SLICE_INIT(                                     \
        "\x08\x04id\x06\x02"                           \
        "1\x0csource\x06\x04/s\x16specversion\x06\x06" \
        "1.0\x08type\x06\x02t\x00\x00\x08"             \
        "data")
#define FRAMED_VALUE                                   \
    MR_SLICE_INIT(                                     \
        "\x00\x00\x00\x00\x2a\x08\x04id\x06\x02"       \
        "1\x0csource\x06\x04/s\x16specversion\x06\x06" \
        "1.0\x08type\x06\x02t\x00\x00\x08"             \
        "data")
#define JSON_VALUE                                                   \
    MR_SLICE_INIT(                                                   \
        "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\"," \
        "\"id\":\"2\",\"data\":{\"a\":1}}")
#define BINARY_HEADERS "ce_specversion", "1.0", "ce_type", "t", "ce_source", "/s"

/* 3: what the content-type header says. */
static void test_the_mode_is_that_of_the_content_type(void **state)
{
    static const struct row rows[] = {
        {{"content-type", "application/cloudevents+avro"}, AVRO_VALUE, 0, "1"},
        {{"Content-Type", "Application/CloudEvents+AVRO"}, AVRO_VALUE, 0, "1"},
        {{"CONTENT-TYPE", "application/cloudevents+avro; charset=utf-8"}, AVRO_VALUE, 0, "1"},
        {{"content-type", "application/cloudevents+avro"}, FRAMED_VALUE, 0, "1"},
        {{"content-type", "application/cloudevents+json"}, JSON_VALUE, 0, "2"},
        {{"content-type", "application/cloudevents+json; charset=UTF-8"}, JSON_VALUE, 0, "2"},
        {{"content-type", "application/cloudevents"}, JSON_VALUE, 0, "2"},
        {{"content-type", "application/cloudevents;charset=utf-8"}, JSON_VALUE, 0, "2"},
        {{"content-type", "application/cloudevents+protobuf"},
         JSON_VALUE,
         MR_ENOTEVENT,
         "application/cloudevents+protobuf is an unknown event format, expected +avro or +json"},
        {{"content-type", "application/cloudevents-batch+json"},
         JSON_VALUE,
         MR_ENOTEVENT,
         "application/cloudevents-batch+json is an unknown event format"},
        {{"content-type", "application/cloudevents+\x01\xff"},
         JSON_VALUE,
         MR_ENOTEVENT,
         "application/cloudevents... is an unknown event format"},
        {{"content-type", "application/cloudevents+avro"}, JSON_VALUE, MR_ENOTEVENT, "avro: "},
        {{"content-type", "application/cloudevents+avro"},
         MR_SLICE_INIT(""),
         MR_ENOTEVENT,
         "avro: no bytes"},
        {{"content-type", "application/cloudevents+json"}, AVRO_VALUE, MR_ENOTEVENT, ""},
        {{"content-type", "application/cloudevents+json"},
         MR_SLICE_INIT("{}"),
         MR_ENOTEVENT,
         "missing"},
        {{NULL}, AVRO_VALUE, MR_ENOTEVENT, "neither a content-type header of "},
        {{"content-type", "application/json"}, JSON_VALUE, MR_ENOTEVENT, "neither a content-type"},
        {{"content-type", NULL}, JSON_VALUE, MR_ENOTEVENT, "neither a content-type header of "},
        {{"ce_id", "3", "ce_source", "/s"}, JSON_VALUE, MR_ENOTEVENT, "nor a ce_specversion"},
        {{"contenttype", "application/cloudevents+json"}, JSON_VALUE, MR_ENOTEVENT, "neither"},
    };
    assert_rows(*state, rows, MR_COUNT_OF(rows));
}

static void test_binary_mode_is_read_strictly(void **state)
{
    static const struct row rows[] = {
        {{BINARY_HEADERS, "ce_id", "3"}, MR_SLICE_INIT("x"), 0, "3"},
        {{"CE_SpecVersion", "1.0", "Ce_Type", "t", "cE_SOURCE", "/s", "CE_ID", "3"},
         MR_SLICE_INIT("x"),
         0,
         "3"},
        {{BINARY_HEADERS, "ce_id", "3", "other", "\xff", "ce", "x"}, MR_SLICE_INIT(""), 0, "3"},
        {{BINARY_HEADERS}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "attributes are missing: id"},
        {{"ce_specversion", "1.0"}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "missing: id, source, type"},
        {{"ce_specversion", "0.3", "ce_id", "3"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "expected \"1.0\""},
        {{"ce_specversion", NULL, "ce_id", "3"}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "neither"},
        {{BINARY_HEADERS, "ce_id", ""}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "id: it is empty"},
        {{BINARY_HEADERS, "ce_id", "\xff"}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "id: it is not text"},
        {{BINARY_HEADERS, "ce_id", "3", "ce_time", "now"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "time: it is \"now\""},
        {{BINARY_HEADERS, "ce_id", "3", "ce_a_b", "x"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "attribute name \"a_b\""},
        {{BINARY_HEADERS, "ce_id", "3", "ce_", "x"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "attribute name \"\""},
        {{BINARY_HEADERS, "ce_id", "3", "ce_data", "x"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "attribute name \"data\""},
        {{BINARY_HEADERS, "ce_id", "3", "content-type", "json"},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "datacontenttype: it is \"json\""},
        /* The same header twice, in whatever case: the last counts, also if it is null. */
        {{BINARY_HEADERS, "ce_id", "", "ce_id", "3"}, MR_SLICE_INIT("x"), 0, "3"},
        {{BINARY_HEADERS, "ce_id", "4", "CE_ID", "3"}, MR_SLICE_INIT("x"), 0, "3"},
        {{BINARY_HEADERS, "ce_id", "3", "ce_id", ""}, MR_SLICE_INIT("x"), MR_ENOTEVENT, "empty"},
        {{BINARY_HEADERS, "ce_id", "3", "ce_id", NULL},
         MR_SLICE_INIT("x"),
         MR_ENOTEVENT,
         "missing: id"},
        {{"content-type", "application/cloudevents+avro", "content-type", "text/plain",
          BINARY_HEADERS, "ce_id", "3"},
         MR_SLICE_INIT("x"),
         0,
         "3"},
        {{"content-type", "text/plain", "Content-Type", "application/cloudevents+json",
          BINARY_HEADERS, "ce_id", "3"},
         JSON_VALUE,
         0,
         "2"},
    };
    assert_rows(*state, rows, MR_COUNT_OF(rows));
}

static void test_a_null_value_is_a_tombstone_whatever_the_headers(void **state)
{
    static const struct row rows[] = {
        {{NULL}, {0}, MR_ETOMBSTONE, "null value"},
        {{"content-type", "application/cloudevents+avro"}, {0}, MR_ETOMBSTONE, "null value"},
        {{BINARY_HEADERS, "ce_id", "3"}, {0}, MR_ETOMBSTONE, "null value"},
    };
    assert_rows(*state, rows, MR_COUNT_OF(rows));
}

/* 3.3.4 */
static void test_the_json_example(void **state)
{
    static const struct row row = {
        {"content-type", "application/cloudevents+json; charset=UTF-8"},
        MR_SLICE_INIT("{\n"
                      "    \"specversion\" : \"1.0\",\n"
                      "    \"type\" : \"com.example.someevent\",\n"
                      "    \"source\" : \"/mycontext/subcontext\",\n"
                      "    \"id\" : \"1234-1234-1234\",\n"
                      "    \"time\" : \"2018-04-05T03:56:24Z\",\n"
                      "    \"datacontenttype\" : \"application/xml\",\n"
                      "    \"data\" : \"<much wow=\\\"xml\\\"/>\"\n"
                      "}\n"),
        0,
        NULL,
    };
    struct mr_event *event = *state;
    assert_int_equal(read_row(&row, event, NULL), 0);
    assert_int_equal(mr_event_count(event), 6);
    assert_slice(mr_event_string(event, "source"), "/mycontext/subcontext");
    assert_slice(mr_event_string(event, "datacontenttype"), "application/xml");
    assert_slice(mr_event_data(event), "<much wow=\"xml\"/>");
}

/* The mirrors beside a structured value may be stale or broken. */
static void test_mirrored_headers_are_not_heard(void **state)
{
    static const struct row row = {
        {"ce_id", "other", "ce_specversion", "0.1", "ce_extra", "x", "ce_a_b", "\xff",
         "content-type", "application/cloudevents+avro"},
        AVRO_VALUE,
        0,
        NULL,
    };
    struct mr_event *event = *state;
    assert_int_equal(read_row(&row, event, NULL), 0);
    assert_slice(mr_event_string(event, "id"), "1");
    assert_int_equal(mr_event_count(event), 4);
    assert_slice(mr_event_data(event), "data");
}

static void test_binary_mode_in_detail(void **state)
{
    static const struct row row = {
        {"ce_Device", "sensor-17", BINARY_HEADERS, "ce_id", "3", "ce_datacontenttype", "text/xml",
         "content-type", "text/plain"},
        MR_SLICE_INIT("x"),
        0,
        NULL,
    };
    static const struct row mirror = {
        {BINARY_HEADERS, "ce_id", "3", "ce_datacontenttype", "text/xml"},
        MR_SLICE_INIT(""),
        0,
        NULL,
    };
    struct mr_event *event = *state;
    assert_int_equal(read_row(&row, event, NULL), 0);
    assert_slice(mr_event_at(event, 0)->name, "device"); /* in the order of the headers */
    assert_slice(mr_event_string(event, "device"), "sensor-17");
    assert_slice(mr_event_string(event, "datacontenttype"), "text/plain");
    assert_int_equal(mr_event_count(event), 6);
    assert_ptr_equal(mr_event_data(event).ptr, row.value.ptr);

    assert_int_equal(read_row(&mirror, event, NULL), 0);
    assert_slice(mr_event_string(event, "datacontenttype"), "text/xml");
    assert_slice(mr_event_data(event), "");
}

static void test_too_many_headers_are_refused(void **state)
{
    enum { COUNT = 100000 };
    struct mr_event *event = *state;
    struct kafka_header *headers = calloc(COUNT, sizeof *headers);
    char(*names)[16] = calloc(COUNT, sizeof *names);
    struct kafka_record record = {.value = MR_SLICE("x"), .headers = headers};
    struct mr_error err;
    assert_non_null(headers);
    assert_non_null(names);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "ce_x%d", i);
        headers[i] = (struct kafka_header){names[i], MR_SLICE("x")};
    }
    record.header_count = COUNT;
    assert_int_equal(kafka_binding_read(&record, event, &err), MR_ELIMIT);
    assert_string_equal(err.text, "more than 128 ce_ headers");
    free(headers);
    free(names);
}

int main(void)
{
#define WITH_EVENTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_EVENTS(test_the_mode_is_that_of_the_content_type),
        WITH_EVENTS(test_binary_mode_is_read_strictly),
        WITH_EVENTS(test_a_null_value_is_a_tombstone_whatever_the_headers),
        WITH_EVENTS(test_the_json_example),
        WITH_EVENTS(test_mirrored_headers_are_not_heard),
        WITH_EVENTS(test_binary_mode_in_detail),
        WITH_EVENTS(test_too_many_headers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

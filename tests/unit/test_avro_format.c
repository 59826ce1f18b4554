// SPDX-License-Identifier: Apache-2.0
/* Our Avro against avro-c with schemas/cloudevent.avsc, and against files written by fastavro
 * (data/avro/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "event/format_avro.h"
#include "lib/avro_fixture.h"
#include "lib/avro_oracle.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

/* ---- events ---------------------------------------------------------------------------------- */

static void set_required(struct mr_event *event)
{
    set_text(event, "id", "A234-1234-1234");
    set_text(event, "source", "/mycontext");
    set_text(event, "specversion", "1.0");
    set_text(event, "type", "com.example.someevent");
}

/* Ours are avro-c's bytes, and come back as the same event. */
static void assert_agrees(struct avro_fixture *f)
{
    struct mr_slice expected = oracle_encode(f->event);
    buf_clear(&f->out);
    assert_int_equal(event_avro_encode(f->event, &f->out, NULL), 0);
    assert_int_equal(f->out.len, expected.len);
    assert_memory_equal(f->out.ptr, expected.ptr, expected.len);
    assert_decodes(expected, f->other);
    assert_same_event(f->event, f->other);
}

static void test_agrees_with_avro_c_on_every_type(void **state)
{
    struct avro_fixture *f = *state;
    set_required(f->event);
    assert_agrees(f);
    mr_event_set_data(f->event, MR_SLICE(""));
    assert_agrees(f);
    mr_event_set_data(f->event, MR_SLICE("\0\xff{}"));
    set_text(f->event, "time", "2018-04-05T17:31:00Z");
    set_text(f->event, "subject", "caf\xc3\xa9 \xf0\x9f\x8c\xa1");
    set_text(f->event, "datacontenttype", "application/octet-stream");
    set_text(f->event, "empty", "");
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("yes"), true, NULL), 0);
    assert_int_equal(mr_event_set_boolean(f->event, MR_SLICE("no"), false, NULL), 0);
    assert_int_equal(mr_event_set_binary(f->event, MR_SLICE("bytes"), MR_SLICE("\0\1\xff"), NULL),
                     0);
    assert_int_equal(mr_event_set_binary(f->event, MR_SLICE("nobytes"), MR_SLICE(""), NULL), 0);
    assert_agrees(f);
}

static void test_agrees_with_avro_c_on_integers(void **state)
{
    static const int32_t values[] = {
        0,     -1,      1,        63,      -64,     64,        -65,       8191,      -8192,    8192,
        -8193, 1048575, -1048576, 1048576, 1 << 26, 134217727, 134217728, INT32_MAX, INT32_MIN};
    struct avro_fixture *f = *state;
    set_required(f->event);
    for (size_t i = 0; i < MR_COUNT_OF(values); i++) {
        assert_int_equal(mr_event_set_integer(f->event, MR_SLICE("n"), values[i], NULL), 0);
        assert_agrees(f);
    }
}

/* Lengths at which the varint of a length or of the count grows. */
static void test_agrees_with_avro_c_on_lengths(void **state)
{
    static const size_t lens[] = {0, 1, 63, 64, 65, 8191, 8192, 8193, 40000};
    static char big[1 << 19];
    struct avro_fixture *f = *state;
    memset(big, 'x', sizeof big);
    set_required(f->event);
    for (size_t i = 0; i < MR_COUNT_OF(lens); i++) {
        assert_int_equal(mr_event_set(f->event, MR_SLICE("ext"), mr_slice(big, lens[i]), NULL), 0);
        mr_event_set_data(f->event, mr_slice(big, lens[MR_COUNT_OF(lens) - 1 - i]));
        assert_agrees(f);
    }
    mr_event_set_data(f->event, mr_slice(big, sizeof big));
    assert_agrees(f);
    for (int i = 5; i < MR_EVENT_ATTRIBUTES_MAX; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "n%d", i);
        assert_int_equal(mr_event_set_integer(f->event, mr_slice_of(name), i, NULL), 0);
        assert_agrees(f);
    }
}

static void test_encoding_appends_and_is_bounded(void **state)
{
    struct avro_fixture *f = *state;
    struct mr_error err;
    struct mr_buf small;
    struct mr_slice expected;
    assert_int_equal(event_avro_encode(f->event, &f->out, &err), MR_ENOTEVENT);
    set_required(f->event);
    mr_event_set_data(f->event, MR_SLICE("data"));
    expected = oracle_encode(f->event);
    assert_int_equal(buf_add_str(&f->out, "before"), 0);
    assert_int_equal(event_avro_encode(f->event, &f->out, &err), 0);
    assert_int_equal(f->out.len, 6 + expected.len);
    assert_memory_equal(f->out.ptr + 6, expected.ptr, expected.len);

    buf_init(&small, expected.len);
    assert_int_equal(event_avro_encode(f->event, &small, &err), 0);
    buf_done(&small);
    buf_init(&small, expected.len - 1);
    assert_int_equal(event_avro_encode(f->event, &small, &err), MR_ELIMIT);
    assert_int_equal(err.code, MR_ELIMIT);
    assert_int_equal(small.len, 0);
    buf_done(&small);
}

/* ---- what others write ----------------------------------------------------------------------- */

static void test_the_event_borrows_the_record(void **state)
{
    struct avro_fixture *f = *state;
    struct mr_slice bytes;
    set_required(f->event);
    mr_event_set_data(f->event, MR_SLICE("data"));
    bytes = oracle_encode(f->event);
    assert_decodes(bytes, f->other);
    assert_in_range((uintptr_t)mr_event_data(f->other).ptr, (uintptr_t)bytes.ptr,
                    (uintptr_t)bytes.ptr + bytes.len);
    assert_in_range((uintptr_t)mr_event_string(f->other, "id").ptr, (uintptr_t)bytes.ptr,
                    (uintptr_t)bytes.ptr + bytes.len);
}

static void test_null_attributes_are_absent(void **state)
{
    struct avro_fixture *f = *state;
    avro_value_t value;
    oracle_required();
    value = oracle_member(&oracle.attributes, "subject");
    value = oracle_branch(&value, 0);
    assert_int_equal(avro_value_set_null(&value), 0);
    value = oracle_branch(&oracle.data, 1);
    assert_int_equal(avro_value_set_null(&value), 0);
    assert_decodes(oracle_end(), f->event);
    assert_int_equal(mr_event_count(f->event), 4);
    assert_null(mr_event_find(f->event, MR_SLICE("subject")));
    assert_null(mr_event_data(f->event).ptr);
    assert_null(mr_event_find(f->event, MR_SLICE("datacontenttype")));
}

/* Data that is a JSON value without a datacontenttype. */
static void assert_json(struct avro_fixture *f, const char *expected)
{
    assert_decodes(oracle_end(), f->event);
    assert_slice(mr_event_data(f->event), expected);
    assert_slice(mr_event_string(f->event, "datacontenttype"), "application/json");
}

static void test_scalar_data(void **state)
{
    struct avro_fixture *f = *state;
    avro_value_t value;

    oracle_required();
    value = oracle_branch(&oracle.data, 2);
    assert_int_equal(avro_value_set_boolean(&value, 1), 0);
    assert_json(f, "true");
    oracle_required();
    value = oracle_branch(&oracle.data, 2);
    assert_int_equal(avro_value_set_boolean(&value, 0), 0);
    assert_json(f, "false");
    oracle_required();
    value = oracle_branch(&oracle.data, 5);
    assert_int_equal(avro_value_set_double(&value, 21.1), 0);
    assert_json(f, "21.1");
    oracle_required();
    value = oracle_branch(&oracle.data, 6);
    oracle_set_string(&value, MR_SLICE("a \"b\" \\ \n \xe2\x82\xac"));
    assert_json(f, "\"a \\\"b\\\" \\\\ \\n \xe2\x82\xac\"");
    oracle_required();
    value = oracle_branch(&oracle.data, 6);
    oracle_set_string(&value, MR_SLICE(""));
    assert_json(f, "\"\"");
}

#define DATA_0 "\"null\":null,\"bool\":true,\"num\":-0.5,\"str\":\"x\\ty\""
#define DATA_1 DATA_0 ",\"map\":{\"inner\":{" DATA_0 "}},\"list\":[{},{" DATA_0 "}]"

static void test_map_data(void **state)
{
    struct avro_fixture *f = *state;
    avro_value_t map;
    avro_value_t value;

    oracle_required();
    map = oracle_branch(&oracle.data, 3);
    assert_json(f, "{}");

    oracle_required();
    map = oracle_branch(&oracle.data, 3);
    value = oracle_member(&map, "null");
    value = oracle_branch(&value, 0);
    assert_int_equal(avro_value_set_null(&value), 0);
    value = oracle_member(&map, "no");
    value = oracle_branch(&value, 1);
    assert_int_equal(avro_value_set_boolean(&value, 0), 0);
    value = oracle_member(&map, "data");
    value = oracle_branch(&value, 2);
    value = oracle_value(&value);
    oracle_fill(&value, 1);
    value = oracle_member(&map, "big");
    value = oracle_branch(&value, 3);
    assert_int_equal(avro_value_set_double(&value, 1e300), 0);
    value = oracle_member(&map, "");
    value = oracle_branch(&value, 4);
    oracle_set_string(&value, MR_SLICE("\x01"));
    assert_json(
        f, "{\"null\":null,\"no\":false,\"data\":{" DATA_1 "},\"big\":1e+300,\"\":\"\\u0001\"}");
}

static void test_array_data(void **state)
{
    struct avro_fixture *f = *state;
    avro_value_t array;
    avro_value_t item;

    oracle_required();
    array = oracle_branch(&oracle.data, 4);
    assert_json(f, "[]");

    oracle_required();
    array = oracle_branch(&oracle.data, 4);
    item = oracle_item(&array);
    item = oracle_value(&item);
    oracle_fill(&item, 1);
    item = oracle_item(&array);
    item = oracle_item(&array);
    item = oracle_value(&item);
    oracle_fill(&item, 0);
    assert_json(f, "[{" DATA_1 "},{},{" DATA_0 "}]");
}

static void test_a_string_of_another_type_is_its_own_text(void **state)
{
    static const struct {
        const char *type;
        const char *expected;
    } rows[] = {
        {"text/plain", "21 \"C\""},
        {"application/json", "\"21 \\\"C\\\"\""},
        {"application/vnd.example+json", "\"21 \\\"C\\\"\""},
    };
    struct avro_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct mr_attribute type = {.name = MR_SLICE("datacontenttype"),
                                    .type = MR_VALUE_STRING,
                                    .bytes = mr_slice_of(rows[i].type)};
        avro_value_t value;
        oracle_required();
        oracle_attribute(&type);
        value = oracle_branch(&oracle.data, 6);
        oracle_set_string(&value, MR_SLICE("21 \"C\""));
        assert_decodes(oracle_end(), f->event);
        assert_slice(mr_event_data(f->event), rows[i].expected);
        assert_slice(mr_event_string(f->event, "datacontenttype"), rows[i].type);
    }
}

/* data/avro/make.py, in its order. */
static void test_reads_what_fastavro_writes(void **state)
{
    static const struct {
        const char *name;
        size_t attributes; /* datacontenttype included */
        const char *data;
    } rows[] = {
        {"null", 4, NULL},
        {"boolean", 5, "true"},
        {"double", 5, "21.1"},
        {"string", 5, "\"a \\\"quoted\\\" \xe2\x82\xac\\n\""},
        {"text", 5, "a \"quoted\" \xe2\x82\xac\n"},
        {"map", 5,
         "{\"null\":null,\"true\":true,\"number\":-0.5,\"text\":\"x\",\"record\":{\"deep\":1e+300}"
         "}"},
        {"array", 5,
         "[{},{\"a\":1},{\"n\":null,\"f\":false,\"s\":\"\",\"d\":4.94065645841247e-324,"
         "\"m\":{\"one\":{},\"two\":{\"x\":\"y\"}},\"l\":[{},{\"z\":[]}]}]"},
        {"empty-bytes", 4, ""},
    };
    struct avro_fixture *f = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        char path[128];
        size_t len;
        char *bytes;
        (void)snprintf(path, sizeof path, "tests/unit/data/avro/%s.avro", rows[i].name);
        bytes = oracle_read_file(path, &len);
        assert_decodes(mr_slice(bytes, len), f->event);
        assert_int_equal(mr_event_count(f->event), rows[i].attributes);
        assert_slice(mr_event_string(f->event, "id"), "A234-1234-1234");
        if (rows[i].data == NULL) {
            assert_null(mr_event_data(f->event).ptr);
        } else {
            assert_slice(mr_event_data(f->event), rows[i].data);
        }
        free(bytes);
    }
}

static void test_reads_every_attribute_type_of_fastavro(void **state)
{
    struct avro_fixture *f = *state;
    size_t len;
    char *bytes = oracle_read_file("tests/unit/data/avro/bytes.avro", &len);
    assert_decodes(mr_slice(bytes, len), f->event);
    assert_int_equal(mr_event_count(f->event), 12);
    assert_slice(mr_event_string(f->event, "subject"), "caf\xc3\xa9");
    assert_slice(mr_event_string(f->event, "time"), "2018-04-05T17:31:00Z");
    assert_int_equal(mr_event_find(f->event, MR_SLICE("count"))->integer, INT32_MIN);
    assert_int_equal(mr_event_find(f->event, MR_SLICE("ratio"))->integer, INT32_MAX);
    assert_true(mr_event_find(f->event, MR_SLICE("flag"))->boolean);
    assert_false(mr_event_find(f->event, MR_SLICE("noflag"))->boolean);
    assert_true(
        mr_slice_is(mr_event_find(f->event, MR_SLICE("binary"))->bytes, MR_SLICE("\0\xff")));
    assert_true(mr_slice_is(mr_event_data(f->event), MR_SLICE("\0\1\xfe\xff")));
    free(bytes);

    bytes = oracle_read_file("tests/unit/data/avro/many-attributes.avro", &len);
    assert_decodes(mr_slice(bytes, len), f->event);
    assert_int_equal(mr_event_count(f->event), 104);
    assert_int_equal(mr_event_data(f->event).len, 10000);
    assert_int_equal(event_avro_encode(f->event, &f->out, NULL), 0);
    assert_int_equal(f->out.len, len);
    assert_memory_equal(f->out.ptr, bytes, len);
    free(bytes);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Decode JSON data and more attributes than an event holds by itself, and encode. */
static int decode_and_encode(struct mr_slice record, struct mr_event *event)
{
    struct mr_error err = {0};
    struct mr_buf out;
    int rc;
    buf_init(&out, 1 << 20);
    rc = event_avro_decode(record, event, &err);
    if (rc == 0) {
        rc = event_avro_encode(event, &out, &err);
    }
    if (rc != 0) {
        assert_true(err.retriable);
        assert_int_equal(err.code, rc);
    }
    buf_done(&out);
    return rc;
}

static void test_every_allocation_may_fail(void **state)
{
    avro_value_t map;
    avro_value_t value;
    struct mr_slice record;
    unsigned n;
    (void)state;
    oracle_required();
    for (int i = 0; i < 40; i++) {
        char name[32];
        struct mr_attribute attribute = {.type = MR_VALUE_INTEGER, .integer = i};
        (void)snprintf(name, sizeof name, "ext%d", i);
        attribute.name = mr_slice_of(name);
        oracle_attribute(&attribute);
    }
    map = oracle_branch(&oracle.data, 3);
    value = oracle_member(&map, "data");
    value = oracle_branch(&value, 2);
    value = oracle_value(&value);
    oracle_fill(&value, 5);
    record = oracle_end();
    for (n = 1;; n++) {
        struct mr_event *event;
        int rc = MR_ENOMEM;
        heap_fail_at(n);
        event = mr_event_new();
        if (event != NULL) {
            rc = decode_and_encode(record, event);
        }
        mr_event_free(event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 8);
    heap_restore();
}

static void test_the_steady_state_allocates_nothing(void **state)
{
    struct avro_fixture *f = *state;
    set_required(f->event);
    mr_event_set_data(f->event, MR_SLICE("{\"temp\":21.1}"));
    heap_fail_at(0);
    assert_int_equal(event_avro_encode(f->event, &f->out, NULL), 0);
    heap_fail_at(1);
    for (int i = 0; i < 100; i++) {
        buf_clear(&f->out);
        assert_int_equal(event_avro_encode(f->event, &f->out, NULL), 0);
        assert_decodes(buf_slice(&f->out), f->other);
    }
    assert_false(heap_failed());
    heap_restore();
}

static int group_setup(void **state)
{
    oracle_source_dir = TEST_SOURCE_DIR;
    return oracle_setup(state);
}

int main(void)
{
#define WITH_EVENTS(test) cmocka_unit_test_setup_teardown(test, avro_set_up, avro_tear_down)
    const struct CMUnitTest tests[] = {
        WITH_EVENTS(test_agrees_with_avro_c_on_every_type),
        WITH_EVENTS(test_agrees_with_avro_c_on_integers),
        WITH_EVENTS(test_agrees_with_avro_c_on_lengths),
        WITH_EVENTS(test_encoding_appends_and_is_bounded),
        WITH_EVENTS(test_the_event_borrows_the_record),
        WITH_EVENTS(test_null_attributes_are_absent),
        WITH_EVENTS(test_scalar_data),
        WITH_EVENTS(test_map_data),
        WITH_EVENTS(test_array_data),
        WITH_EVENTS(test_a_string_of_another_type_is_its_own_text),
        WITH_EVENTS(test_reads_what_fastavro_writes),
        WITH_EVENTS(test_reads_every_attribute_type_of_fastavro),
        WITH_EVENTS(test_every_allocation_may_fail),
        WITH_EVENTS(test_the_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, group_setup, oracle_teardown);
}

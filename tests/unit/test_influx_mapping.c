// SPDX-License-Identifier: Apache-2.0
/* Expected lines are written by hand after the rules in docs/millrace-influx.md and the
 * InfluxDB 1.x reference, "Line protocol". Which leaves a payload has is asked of jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

static struct mr_event *event_of(const char *subject, const char *data)
{
    struct mr_event *event = mr_event_new();
    assert_non_null(event);
    assert_int_equal(mr_event_set(event, MR_SLICE("id"), MR_SLICE("1"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("source"), MR_SLICE("a/d"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("type"), MR_SLICE("io.x"), NULL), 0);
    if (subject != NULL) {
        assert_int_equal(mr_event_set(event, MR_SLICE("subject"), mr_slice_of(subject), NULL), 0);
    }
    if (data != NULL) {
        mr_event_set_data(event, mr_slice_of(data));
    }
    return event;
}

static void expect_line(struct mr_event *event, int64_t record_ms, const char *expected)
{
    struct mapping *mapping = mapping_new(NULL);
    struct mr_slice line;
    size_t count;
    struct mr_error err = {0};
    int rc = mapping_lines(mapping, event, record_ms, &line, &count, &err);
    print_message("%s%.*s\n", err.text, rc == 0 ? (int)line.len : 0, rc == 0 ? line.ptr : "");
    assert_int_equal(rc, 0);
    assert_int_equal(line.len, strlen(expected));
    assert_memory_equal(line.ptr, expected, line.len);
    mapping_free(mapping);
    mr_event_free(event);
}

static void expect_dead(struct mr_event *event, int64_t record_ms, const char *words)
{
    struct mapping *mapping = mapping_new(NULL);
    struct mr_slice line = {0};
    size_t count;
    struct mr_error err = {0};
    int rc = mapping_lines(mapping, event, record_ms, &line, &count, &err);
    print_message("%s\n", err.text);
    assert_int_not_equal(rc, 0);
    assert_int_not_equal(rc, MR_ENOMEM);
    assert_int_equal(rc, err.code);
    assert_non_null(strstr(err.text, words));
    assert_null(line.ptr);
    mapping_free(mapping);
    mr_event_free(event);
}

static void expect_data(const char *data, const char *fields)
{
    char *line = NULL;
    assert_true(asprintf(&line, "m %s 5000000", fields) > 0);
    expect_line(event_of("m", data), 5, line);
    free(line);
}

static void an_event_becomes_a_line(void **state)
{
    struct mr_event *event = event_of("temperature", "{\"temp\":21.5,\"ok\":true,\"unit\":\"C\"}");
    (void)state;
    set_text(event, "application", "app");
    set_text(event, "device", "dev 1");
    set_text(event, "time", "2016-06-13T17:43:50.1004002Z");
    set_text(event, "datacontenttype", "application/json");
    /* The timestamp of the reference's first example. */
    expect_line(event, 5,
                "temperature,application=app,device=dev\\ 1 temp=21.5,ok=true,unit=\"C\" "
                "1465839830100400200");
}

static void what_is_absent_is_left_out(void **state)
{
    struct mr_event *event;
    (void)state;
    expect_line(event_of(NULL, "{\"a\":1}"), 123, "io.x a=1 123000000");
    event = event_of("m", "{\"a\":1}");
    set_text(event, "device", "d");
    expect_line(event, 0, "m,device=d a=1 0");
    event = event_of("m", "{\"a\":1}");
    set_text(event, "application", "");
    set_text(event, "datacontenttype", "application/senml+json; charset=utf-8");
    expect_line(event, 1, "m a=1 1000000");
    event = event_of("m", "{\"a\":1}");
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("application"), -7, NULL), 0);
    assert_int_equal(mr_event_set_boolean(event, MR_SLICE("device"), true, NULL), 0);
    expect_line(event, 1, "m,application=-7,device=true a=1 1000000");
}

static void names_of_the_event_are_escaped(void **state)
{
    struct mr_event *event = event_of("#a,b c=d\\", "{\"a\":1}");
    (void)state;
    set_text(event, "application", "x,y z=w");
    set_text(event, "device", "\\");
    expect_line(event, 1, "_a\\,b\\ c=d_,application=x\\,y\\ z\\=w,device=_ a=1 1000000");
}

static void values_of_every_kind(void **state)
{
    (void)state;
    expect_data("{\"a\":1,\"b\":-0,\"c\":1E+2,\"d\":0.10}", "a=1,b=-0,c=1E+2,d=0.10");
    expect_data("{\"a\":12345678901234567890123}", "a=12345678901234567890123");
    expect_data("{\"t\":true,\"f\":false,\"n\":null}", "t=true,f=false");
    expect_data(" { \"s\" : \"\" } ", "s=\"\"");
    expect_data("{\"s\":\"a\\\"b\\\\c\"}", "s=\"a\\\"b\\\\c\"");
    expect_data("{\"s\":\"\\u00e9\\n\\ud83d\\ude00\"}", "s=\"\xc3\xa9\n\xf0\x9f\x98\x80\"");
}

static void nested_names_are_joined(void **state)
{
    (void)state;
    expect_data("{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"e\":3}", "a_b=1,a_c_d=2,e=3");
    expect_data("{\"a\":[1,\"x\",{\"b\":true},[2,3]],\"c\":4}",
                "a_0=1,a_1=\"x\",a_2_b=true,a_3_0=2,a_3_1=3,c=4");
    expect_data("{\"a\":[null,1],\"b\":[],\"c\":{}}", "a_1=1");
    expect_data("{\"\":1,\"a\":{\"\":2}}", "_=1,a_=2");
}

static void names_are_made_usable_and_unique(void **state)
{
    (void)state;
    expect_data("{\"a b\":1,\"c,d\":2,\"e=f\":3}", "a\\ b=1,c\\,d=2,e\\=f=3");
    expect_data("{\"a\\nb\":1,\"a\\tb\":2,\"q\\\\\":3}", "a_b=1,a_b_2=2,q_=3");
    expect_data("{\"a_b\":1,\"a\":{\"b\":2},\"a_b\":3}", "a_b=1,a_b_2=2,a_b_3=3");
    expect_data("{\"time\":1,\"device\":2,\"application\":3,\"x\":{\"time\":4}}",
                "time_=1,device_=2,application_=3,x_time=4");
    expect_data("{\"#\":1,\"\\\"\":2,\"\\u0041\":3}", "#=1,\"=2,A=3");
}

static void what_can_never_be_a_point_is_dead(void **state)
{
    struct mr_event *event;
    (void)state;
    expect_dead(event_of("m", NULL), 5, "no data, expected JSON");
    expect_dead(event_of("m", ""), 5, "not valid JSON");
    expect_dead(event_of("m", "{\"a\":1"), 5, "not valid JSON: line 1, column 7");
    expect_dead(event_of("m", "{\"a\":1} x"), 5, "not valid JSON");
    expect_dead(event_of("m", "[1]"), 5, "an array, expected a JSON object");
    expect_dead(event_of("m", "21.5"), 5, "a number, expected a JSON object");
    expect_dead(event_of("m", "\"x\""), 5, "a string, expected a JSON object");
    expect_dead(event_of("m", "null"), 5, "null, expected a JSON object");
    expect_dead(event_of("m", "true"), 5, "a boolean, expected a JSON object");
    expect_dead(event_of("m", "{}"), 5, "no number, boolean or string");
    expect_dead(event_of("m", "{\"a\":null,\"b\":[{}]}"), 5, "no number, boolean or string");
    expect_dead(event_of("m", "{\"a\":1,\"b\":{\"c\":1e999}}"), 5, "b_c: the number 1e999");
    expect_dead(event_of("m", "{\"a\":1}"), -1, "usable time");
    expect_dead(event_of("m", "{\"a\":1}"), INT64_MAX, "usable time");
    event = event_of("m", "{\"a\":1}");
    set_text(event, "time", "9999-12-31T23:59:59Z");
    expect_dead(event, 5, "time 9999-12-31T23:59:59Z");
    event = event_of("m", "{\"a\":1}");
    set_text(event, "datacontenttype", "text/plain");
    expect_dead(event, 5, "the data is text/plain, expected a JSON type");
}

static void sizes_are_bounded(void **state)
{
    char *data = malloc(200000);
    char *fields = malloc(200000);
    size_t at = 0;
    (void)state;
    assert_non_null(data);
    assert_non_null(fields);
    memset(data, 'x', 200000);
    memcpy(data, "{\"", 2);
    (void)snprintf(data + 2 + LINE_NAME_BYTES_MAX + 2, 100, "\":1}");
    expect_dead(event_of("m", data), 5, "a field name of");
    memset(data, 'x', 200000);
    memcpy(data, "{\"s\":\"", 6);
    (void)snprintf(data + 6 + LINE_STRING_BYTES_MAX + 1, 100, "\"}");
    expect_dead(event_of("m", data), 5, "the string s has 65537 bytes, over 65536");
    (void)snprintf(data + 6 + LINE_STRING_BYTES_MAX, 100, "\"}");
    (void)snprintf(fields, 200000, "s=\"%.*s\"", LINE_STRING_BYTES_MAX, data + 6);
    expect_data(data, fields);
    at = (size_t)snprintf(data, 200000, "{");
    for (int i = 0; i <= FIELDS_MAX; i++) {
        at += (size_t)snprintf(data + at, 200000 - at, "%s\"f%d\":%d", i ? "," : "", i, i);
    }
    (void)snprintf(data + at, 200000 - at, "}");
    expect_dead(event_of("m", data), 5, "more than 1000 fields");
    memset(data, 'x', LINE_NAME_BYTES_MAX + 1);
    data[LINE_NAME_BYTES_MAX + 1] = '\0';
    expect_dead(event_of(data, "{\"a\":1}"), 5, "a measurement of 4097 bytes, over 4096");
    free(data);
    free(fields);
}

/* A refused event leaves nothing behind for the next one. */
static void a_mapping_is_used_again(void **state)
{
    struct mapping *mapping = mapping_new(NULL);
    struct mr_event *good = event_of("m", "{\"a\":1,\"b\":{\"a\":2}}");
    struct mr_event *bad = event_of("m", "{\"a\":1,\"b\":[[{\"c\":2,\"c\":1e999}]]}");
    struct mr_slice line;
    size_t count;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mapping_lines(mapping, bad, 1, &line, &count, NULL), MR_EFORMAT);
        assert_int_equal(mapping_lines(mapping, good, 1, &line, &count, NULL), 0);
        assert_true(mr_slice_is(line, MR_SLICE("m a=1,b_a=2 1000000")));
    }
    mapping_free(mapping);
    mr_event_free(good);
    mr_event_free(bad);
}

static size_t leaves_of(const json_t *value)
{
    const char *name;
    json_t *member;
    size_t index;
    size_t count = 0;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            count += leaves_of(member);
        }
        return count;
    }
    if (json_is_array(value)) {
        json_array_foreach(value, index, member)
        {
            count += leaves_of(member);
        }
        return count;
    }
    return json_is_null(value) ? 0 : 1;
}

static unsigned seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

static json_t *random_value(unsigned depth)
{
    static const char *const names[] = {"a", "a_0", "b", "0", "time", "x y", "", "a_2"};
    json_t *value;
    unsigned count = pick(4);
    switch (pick(depth < 4 ? 8 : 5)) {
        case 0:
            return json_integer((json_int_t)pick(1000));
        case 1:
            return json_real(pick(1000) / 8.0);
        case 2:
            return json_boolean(pick(2));
        case 3:
            return json_string("a \"string\\\n, with=all");
        case 4:
            return json_null();
        case 5:
            value = json_array();
            while (count-- > 0) {
                assert_int_equal(json_array_append_new(value, random_value(depth + 1)), 0);
            }
            return value;
        default:
            value = json_object();
            while (count-- > 0) {
                assert_int_equal(json_object_set_new(value, names[pick(MR_COUNT_OF(names))],
                                                     random_value(depth + 1)),
                                 0);
            }
            return value;
    }
}

/* Every leaf that jansson sees is a field, and there is no other. */
static void every_leaf_is_a_field(void **state)
{
    struct mapping *mapping = mapping_new(NULL);
    unsigned with_fields = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        json_t *value = random_value(0);
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        struct mr_event *event = event_of("m", text);
        struct mr_slice line;
        size_t count;
        int rc = mapping_lines(mapping, event, 1, &line, &count, NULL);
        size_t leaves = json_is_object(value) ? leaves_of(value) : 0;
        assert_int_equal(rc == 0, leaves > 0);
        assert_int_equal(rc == 0 ? mapping->names.count : 0, leaves);
        with_fields += rc == 0;
        mr_event_free(event);
        free(text);
        json_decref(value);
    }
    assert_true(with_fields > 300);
    mapping_free(mapping);
}

static void every_allocation_may_fail(void **state)
{
    struct mr_event *event = event_of("m", "{\"\\u0061\":\"\\n\",\"b\":{\"c\":[1,2,true]}}");
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        struct mapping *mapping;
        struct mr_slice line;
        size_t count;
        int rc = MR_ENOMEM;
        heap_fail_at(n);
        mapping = mapping_new(NULL);
        if (mapping != NULL) {
            rc = mapping_lines(mapping, event, 1, &line, &count, NULL);
        }
        mapping_free(mapping);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n >= 5);
    heap_restore();
    mr_event_free(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_becomes_a_line),
        cmocka_unit_test(what_is_absent_is_left_out),
        cmocka_unit_test(names_of_the_event_are_escaped),
        cmocka_unit_test(values_of_every_kind),
        cmocka_unit_test(nested_names_are_joined),
        cmocka_unit_test(names_are_made_usable_and_unique),
        cmocka_unit_test(what_can_never_be_a_point_is_dead),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_mapping_is_used_again),
        cmocka_unit_test(every_leaf_is_a_field),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "lib/avro_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct oracle oracle;
const char *oracle_source_dir;

char *oracle_read_file(const char *name, size_t *ret_len)
{
    enum { FILE_BYTES_MAX = 1 << 16 };
    char path[1024];
    char *bytes = malloc(FILE_BYTES_MAX);
    FILE *file;
    (void)snprintf(path, sizeof path, "%s/%s", oracle_source_dir, name);
    file = fopen(path, "rb");
    assert_non_null(bytes);
    assert_non_null(file);
    *ret_len = fread(bytes, 1, FILE_BYTES_MAX, file);
    assert_true(*ret_len > 0 && *ret_len < FILE_BYTES_MAX);
    (void)fclose(file);
    return bytes;
}

int oracle_setup(void **state)
{
    size_t len;
    char *json = oracle_read_file("schemas/cloudevent.avsc", &len);
    (void)state;
    assert_int_equal(avro_schema_from_json_length(json, len, &oracle.schema), 0);
    free(json);
    oracle.iface = avro_generic_class_from_schema(oracle.schema);
    assert_non_null(oracle.iface);
    return 0;
}

int oracle_teardown(void **state)
{
    (void)state;
    avro_value_iface_decref(oracle.iface);
    avro_schema_decref(oracle.schema);
    return 0;
}

void oracle_begin(void)
{
    assert_int_equal(avro_generic_value_new(oracle.iface, &oracle.record), 0);
    assert_int_equal(avro_value_get_by_name(&oracle.record, "attribute", &oracle.attributes, NULL),
                     0);
    assert_int_equal(avro_value_get_by_name(&oracle.record, "data", &oracle.data, NULL), 0);
}

struct mr_slice oracle_end(void)
{
    avro_writer_t writer = avro_writer_memory(oracle.bytes, sizeof oracle.bytes);
    size_t len;
    assert_int_equal(avro_value_write(writer, &oracle.record), 0);
    len = (size_t)avro_writer_tell(writer);
    avro_writer_free(writer);
    avro_value_decref(&oracle.record);
    return mr_slice(oracle.bytes, len);
}

void oracle_set_string(avro_value_t *value, struct mr_slice text)
{
    /* avro-c counts the terminator, and copies one byte more than it keeps. */
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    assert_int_equal(avro_value_set_string_len(value, copy, text.len + 1), 0);
    free(copy);
}

static void set_avro_bytes(avro_value_t *value, struct mr_slice bytes)
{
    /* It takes a pointer to bytes that it doesn't change. */
    char *copy = malloc(bytes.len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    assert_int_equal(avro_value_set_bytes(value, copy, bytes.len), 0);
    free(copy);
}

avro_value_t oracle_branch(avro_value_t *value, int branch)
{
    avro_value_t result;
    assert_int_equal(avro_value_set_branch(value, branch, &result), 0);
    return result;
}

avro_value_t oracle_member(avro_value_t *map, const char *name)
{
    avro_value_t result;
    assert_int_equal(avro_value_add(map, name, &result, NULL, NULL), 0);
    return result;
}

avro_value_t oracle_item(avro_value_t *array)
{
    avro_value_t result;
    assert_int_equal(avro_value_append(array, &result, NULL), 0);
    return result;
}

avro_value_t oracle_value(avro_value_t *record)
{
    avro_value_t result;
    assert_int_equal(avro_value_get_by_name(record, "value", &result, NULL), 0);
    return result;
}

void oracle_attribute(const struct mr_attribute *attribute)
{
    char name[MR_EVENT_NAME_BYTES_MAX + 1];
    avro_value_t value;
    avro_value_t branch;
    (void)snprintf(name, sizeof name, "%.*s", MR_SLICE_ARG(attribute->name));
    value = oracle_member(&oracle.attributes, name);
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            branch = oracle_branch(&value, 1);
            assert_int_equal(avro_value_set_boolean(&branch, attribute->boolean), 0);
            return;
        case MR_VALUE_INTEGER:
            branch = oracle_branch(&value, 2);
            assert_int_equal(avro_value_set_int(&branch, attribute->integer), 0);
            return;
        case MR_VALUE_STRING:
            branch = oracle_branch(&value, 3);
            oracle_set_string(&branch, attribute->bytes);
            return;
        case MR_VALUE_BINARY:
            branch = oracle_branch(&value, 4);
            set_avro_bytes(&branch, attribute->bytes);
            return;
    }
    fail();
}

struct mr_slice oracle_encode(const struct mr_event *event)
{
    struct mr_slice data = mr_event_data(event);
    avro_value_t branch;
    oracle_begin();
    for (size_t i = 0; i < mr_event_count(event); i++) {
        oracle_attribute(mr_event_at(event, i));
    }
    branch = oracle_branch(&oracle.data, data.ptr == NULL ? 1 : 0);
    if (data.ptr == NULL) {
        assert_int_equal(avro_value_set_null(&branch), 0);
    } else {
        set_avro_bytes(&branch, data);
    }
    return oracle_end();
}

void oracle_required(void)
{
    static const char *const pairs[][2] = {
        {"id", "1"}, {"source", "/s"}, {"specversion", "1.0"}, {"type", "t"}};
    oracle_begin();
    for (size_t i = 0; i < MR_COUNT_OF(pairs); i++) {
        struct mr_attribute attribute = {.name = mr_slice_of(pairs[i][0]),
                                         .type = MR_VALUE_STRING,
                                         .bytes = mr_slice_of(pairs[i][1])};
        oracle_attribute(&attribute);
    }
}

void oracle_fill(avro_value_t *map, int depth)
{
    avro_value_t value = oracle_member(map, "null");
    value = oracle_branch(&value, 0);
    assert_int_equal(avro_value_set_null(&value), 0);
    value = oracle_member(map, "bool");
    value = oracle_branch(&value, 1);
    assert_int_equal(avro_value_set_boolean(&value, 1), 0);
    value = oracle_member(map, "num");
    value = oracle_branch(&value, 4);
    assert_int_equal(avro_value_set_double(&value, -0.5), 0);
    value = oracle_member(map, "str");
    value = oracle_branch(&value, 5);
    oracle_set_string(&value, MR_SLICE("x\ty"));
    if (depth > 0) {
        avro_value_t inner;
        value = oracle_member(map, "map");
        value = oracle_branch(&value, 2);
        inner = oracle_member(&value, "inner");
        inner = oracle_value(&inner);
        oracle_fill(&inner, depth - 1);
        value = oracle_member(map, "list");
        value = oracle_branch(&value, 3);
        inner = oracle_item(&value);
        inner = oracle_item(&value);
        inner = oracle_value(&inner);
        oracle_fill(&inner, depth - 1);
    }
}

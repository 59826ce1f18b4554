// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/json_members.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "event/json_scan.h"

/* The longest name that a table has; each character may be written as an escape of six. */
enum { NAME_BYTES_MAX = 32, NAME_RAW_BYTES_MAX = 6 * NAME_BYTES_MAX, INTEGER_DIGITS_MAX = 18 };

struct reading {
    struct draft *draft;
    const char *what;
    struct json_scan scan;
    const struct json_values *ret;
};

static int refuse_syntax(struct reading *reading)
{
    struct mr_error err;
    (void)json_scan_error(&reading->scan, &err);
    return draft_refuse(reading->draft, 400, "%s: no JSON: %.400s", reading->what, err.text);
}

static int refuse_type(struct reading *reading, const struct json_member *member)
{
    static const char *const expected[] = {
        [JSON_STRING] = "a string",
        [JSON_NUMBER] = "a number of at most 32 characters",
        [JSON_BOOLEAN] = "true or false",
        [JSON_OBJECT] = "an object",
        [JSON_OBJECTS] = "an array of objects",
        [JSON_STRINGS] = "an array of strings",
    };
    if (member->kind == JSON_INTEGER) {
        return draft_refuse(reading->draft, 400, "%s: expected an integer from 0 to %lld",
                            member->path, (long long)member->max);
    }
    return draft_refuse(reading->draft, 400, "%s: expected %s", member->path,
                        expected[member->kind]);
}

/* NULL: it isn't known. */
static const struct json_member *find_member(const struct json_scan *scan,
                                             const struct json_shape *shape)
{
    char plain[NAME_RAW_BYTES_MAX];
    struct mr_slice name = scan->raw;
    if (name.len > sizeof plain) {
        return NULL;
    }
    if (scan->raw_has_escapes) {
        name = mr_slice(plain, json_scan_unescape_to(scan, plain));
    }
    for (unsigned i = 0; i < shape->count; i++) {
        if (mr_slice_is(name, mr_slice_of(shape->members[i].name))) {
            return &shape->members[i];
        }
    }
    return NULL;
}

static int read_string(struct reading *reading, struct json_value *value)
{
    struct mr_buf *text = &reading->draft->text;
    size_t begin = text->len;
    value->is_set = true;
    value->raw = reading->scan.raw;
    if (!reading->scan.raw_has_escapes) {
        return 0;
    }
    if (json_scan_unescape(&reading->scan, text) != 0) {
        return draft_refuse(reading->draft, 503, "out of memory");
    }
    value->escaped = (struct draft_span){.begin = begin, .len = text->len - begin, .is_set = true};
    return 0;
}

static bool take_integer(struct mr_slice raw, int64_t max, struct json_value *value)
{
    int64_t number = 0;
    if (raw.len > INTEGER_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (raw.ptr[i] - '0');
    }
    *value = (struct json_value){.is_set = true, .integer = number, .raw = raw};
    return number <= max;
}

static bool take_number(struct mr_slice raw, struct json_value *value)
{
    char text[JSON_NUMBER_BYTES_MAX + 1];
    if (raw.len > JSON_NUMBER_BYTES_MAX) {
        return false;
    }
    memcpy(text, raw.ptr, raw.len);
    text[raw.len] = '\0';
    *value = (struct json_value){.is_set = true, .number = strtod(text, NULL), .raw = raw};
    return isfinite(value->number);
}

static int read_object(struct reading *reading, const struct json_shape *shape);

static void forget(struct json_value *values, const struct json_shape *shape)
{
    for (unsigned i = 0; i < shape->count; i++) {
        values[shape->members[i].value] = (struct json_value){0};
        if (shape->members[i].inside != NULL) {
            forget(values, shape->members[i].inside);
        }
    }
}

static int read_item(struct reading *reading, const struct json_member *member,
                     enum json_token token)
{
    struct json_value *values = reading->ret->values;
    bool is_object = member->kind == JSON_OBJECTS;
    int rc;
    if (token != (is_object ? JSON_SCAN_OBJECT_BEGIN : JSON_SCAN_STRING)) {
        return refuse_type(reading, member);
    }
    rc = is_object ? read_object(reading, member->inside)
                   : read_string(reading, &values[member->value]);
    if (rc != 0) {
        return rc;
    }
    reading->ret->each(reading->ret->user, member->value, values);
    if (is_object) {
        forget(values, member->inside);
    } else {
        values[member->value] = (struct json_value){0};
    }
    return 0;
}

static int read_array(struct reading *reading, const struct json_member *member)
{
    for (;;) {
        enum json_token token = json_scan_next(&reading->scan);
        if (token == JSON_SCAN_ARRAY_END) {
            return 0;
        }
        if (token == JSON_SCAN_ERROR) {
            return refuse_syntax(reading);
        }
        if (read_item(reading, member, token) != 0) {
            return -1;
        }
    }
}

static int read_value(struct reading *reading, const struct json_member *member)
{
    struct json_value *value = &reading->ret->values[member->value];
    enum json_token token = json_scan_next(&reading->scan);
    bool is_number = token == JSON_SCAN_NUMBER;
    bool is_array = token == JSON_SCAN_ARRAY_BEGIN;
    if (token == JSON_SCAN_ERROR) {
        return refuse_syntax(reading);
    }
    if (token == JSON_SCAN_NULL) {
        return 0;
    }
    switch (member->kind) {
        case JSON_STRING:
            return token == JSON_SCAN_STRING ? read_string(reading, value)
                                             : refuse_type(reading, member);
        case JSON_INTEGER:
            return is_number && take_integer(reading->scan.raw, member->max, value)
                       ? 0
                       : refuse_type(reading, member);
        case JSON_NUMBER:
            return is_number && take_number(reading->scan.raw, value)
                       ? 0
                       : refuse_type(reading, member);
        case JSON_BOOLEAN:
            value->is_set = token == JSON_SCAN_TRUE || token == JSON_SCAN_FALSE;
            value->boolean = token == JSON_SCAN_TRUE;
            return value->is_set ? 0 : refuse_type(reading, member);
        case JSON_OBJECT:
            value->is_set = token == JSON_SCAN_OBJECT_BEGIN;
            return value->is_set ? read_object(reading, member->inside)
                                 : refuse_type(reading, member);
        case JSON_OBJECTS:
        case JSON_STRINGS:
        default:
            return is_array ? read_array(reading, member) : refuse_type(reading, member);
    }
}

/* It calls itself only as deep as the tables are. */
static int read_object(struct reading *reading, const struct json_shape *shape)
{
    uint32_t seen = 0;
    assert(shape->count <= JSON_MEMBERS_MAX);
    for (;;) {
        enum json_token token = json_scan_next(&reading->scan);
        const struct json_member *member;
        struct mr_slice unknown;
        uint32_t bit;
        if (token == JSON_SCAN_OBJECT_END) {
            return 0;
        }
        if (token != JSON_SCAN_NAME) {
            return refuse_syntax(reading);
        }
        member = find_member(&reading->scan, shape);
        if (member == NULL) {
            if (json_scan_skip(&reading->scan, &unknown) != 0) {
                return refuse_syntax(reading);
            }
            continue;
        }
        bit = UINT32_C(1) << (member - shape->members);
        if ((seen & bit) != 0) {
            return draft_refuse(reading->draft, 400, "%s: given twice", member->path);
        }
        seen |= bit;
        if (read_value(reading, member) != 0) {
            return -1;
        }
    }
}

int json_read(struct draft *draft, const char *what, struct mr_slice text,
              const struct json_shape *shape, const struct json_values *ret_values)
{
    struct reading reading = {.draft = draft, .what = what, .ret = ret_values};
    enum json_token token;
    json_scan_init(&reading.scan, text);
    token = json_scan_next(&reading.scan);
    if (token == JSON_SCAN_ERROR) {
        return refuse_syntax(&reading);
    }
    if (token != JSON_SCAN_OBJECT_BEGIN) {
        return draft_refuse(draft, 400, "%s: expected a JSON object", what);
    }
    if (read_object(&reading, shape) != 0) {
        return -1;
    }
    return json_scan_next(&reading.scan) == JSON_SCAN_END ? 0 : refuse_syntax(&reading);
}

struct mr_slice json_string_of(const struct draft *draft, const struct json_value *value)
{
    return value->escaped.is_set ? draft_slice(draft, value->escaped) : value->raw;
}

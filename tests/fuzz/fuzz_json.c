// SPDX-License-Identifier: Apache-2.0
/* The scanner's verdict is jansson's, except where json_scan.h says otherwise; and what the JSON
 * format decodes it encodes so that it decodes to the same. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event/format_json.h"
#include "event/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool is_nested_too_deep(struct mr_slice text)
{
    struct json_scan scan;
    struct mr_error err;
    json_scan_init(&scan, text);
    while (json_scan_next(&scan) < JSON_SCAN_END) {
    }
    return scan.error != NULL && json_scan_error(&scan, &err) == MR_EFORMAT &&
           strstr(err.text, "nested too deeply") != NULL;
}

static void compare_verdicts(struct mr_slice text)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, flags, &error);
    bool is_valid = json_is_valid(text);
    if (value == NULL) {
        enum json_error_code code = json_error_code(&error);
        expect(!is_valid || code == json_error_numeric_overflow ||
               code == json_error_null_byte_in_key);
    } else {
        /* jansson loses a NUL byte that follows a number or a word. */
        expect(is_valid || is_nested_too_deep(text) || memchr(text.ptr, '\0', text.len) != NULL);
    }
    json_decref(value);
}

/* Every string comes back from its own escaping; skipping and stepping end at the same place. */
static void walk(struct mr_slice text)
{
    struct json_scan scan;
    struct json_scan whole;
    struct mr_slice raw = {0};
    struct mr_buf plain;
    struct mr_buf written;
    struct mr_buf again;
    enum json_token token;
    buf_init(&plain, text.len + 1);
    buf_init(&written, 6 * text.len + 2);
    buf_init(&again, text.len + 1);
    json_scan_init(&scan, text);
    while ((token = json_scan_next(&scan)) < JSON_SCAN_END) {
        struct json_scan string;
        if (token != JSON_SCAN_STRING && token != JSON_SCAN_NAME) {
            continue;
        }
        buf_clear(&plain);
        buf_clear(&written);
        buf_clear(&again);
        expect(json_scan_unescape(&scan, &plain) == 0);
        expect(json_write_string(buf_slice(&plain), &written) == 0);
        json_scan_init(&string, buf_slice(&written));
        expect(json_scan_next(&string) == JSON_SCAN_STRING);
        expect(json_scan_unescape(&string, &again) == 0);
        expect(mr_slice_is(buf_slice(&plain), buf_slice(&again)));
        expect(json_scan_next(&string) == JSON_SCAN_END);
    }
    json_scan_init(&whole, text);
    if (json_scan_skip(&whole, &raw) == 0) {
        expect(json_is_valid(raw) && (json_scan_next(&whole) == token));
    }
    buf_done(&plain);
    buf_done(&written);
    buf_done(&again);
}

/* A line break in data that is JSON becomes a space. */
static bool is_same_data(struct mr_slice a, struct mr_slice b)
{
    if (a.len != b.len || (a.ptr == NULL) != (b.ptr == NULL)) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (a.ptr[i] != b.ptr[i] && !(b.ptr[i] == ' ' && (a.ptr[i] == '\n' || a.ptr[i] == '\r'))) {
            return false;
        }
    }
    return true;
}

/* The second event may have gained a datacontenttype: that of bytes that turned out to be JSON. */
static void compare_events(const struct mr_event *a, const struct mr_event *b)
{
    bool is_typed = mr_event_string(a, "datacontenttype").ptr != NULL;
    expect(mr_event_count(b) == mr_event_count(a) ||
           (!is_typed && mr_event_count(b) == mr_event_count(a) + 1));
    for (size_t i = 0; i < mr_event_count(a); i++) {
        const struct mr_attribute *x = mr_event_at(a, i);
        const struct mr_attribute *y = mr_event_at(b, i);
        expect(mr_slice_is(x->name, y->name) && x->type == y->type && x->integer == y->integer &&
               x->boolean == y->boolean && mr_slice_is(x->bytes, y->bytes));
    }
}

static void there_and_back(struct mr_slice text)
{
    struct mr_event *first = mr_event_new();
    struct mr_event *second = mr_event_new();
    struct mr_buf line;
    expect(first != NULL && second != NULL);
    buf_init(&line, 6 * text.len + 100);
    if (event_json_decode(text, first, NULL) == 0) {
        expect(event_json_encode(first, &line, NULL) == 0);
        expect(memchr(line.ptr, '\n', line.len) == NULL);
        expect(event_json_decode(buf_slice(&line), second, NULL) == 0);
        compare_events(first, second);
        if (mr_event_string(first, "datacontenttype").ptr != NULL) {
            expect(is_same_data(mr_event_data(first), mr_event_data(second)));
        }
    }
    buf_done(&line);
    mr_event_free(first);
    mr_event_free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_slice text = mr_slice(bytes, size);
    compare_verdicts(text);
    walk(text);
    there_and_back(text);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* Attributes are put into the event as they are met. `data` and `data_base64` wait, as JSON texts,
 * until all members are read, because datacontenttype may come after them. */
#include <string.h>

#include "event/base64.h"
#include "event/check.h"
#include "event/event_internal.h"
#include "event/format_json.h"
#include "event/json_scan.h"
#include "kit/utf8.h"

enum {
    NAME_BYTES_SHOWN_MAX = 64,
    INTEGER_BYTES_MAX = 11, /* "-2147483648" */
};

struct decoder {
    struct json_scan scan;
    struct mr_event *event;
    struct mr_error *err;
    struct mr_slice name;        /* of the member that is read, its escapes resolved */
    struct mr_slice data;        /* the value's JSON text; absent if there was none */
    struct mr_slice data_base64; /* the same; absent if it was null, too */
};

/* ---- Errors ---- */

/* Puts "json: line 1, column 9: " before the text. */
static int at_position(struct decoder *decoder, int code)
{
    size_t line;
    size_t column;
    json_scan_position(&decoder->scan, &line, &column);
    (void)mr_error_wrap(decoder->err, "json: line %zu, column %zu", line, column);
    return code;
}

static int fail(struct decoder *decoder, const char *what)
{
    (void)mr_error_set(decoder->err, MR_ENOTEVENT, "%s", what);
    return at_position(decoder, MR_ENOTEVENT);
}

static int fail_member(struct decoder *decoder, const char *what)
{
    struct mr_slice name = utf8_cut(decoder->name, NAME_BYTES_SHOWN_MAX);
    (void)mr_error_set(decoder->err, MR_ENOTEVENT, "member \"%.*s\": %s", MR_SLICE_ARG(name), what);
    return at_position(decoder, MR_ENOTEVENT);
}

/* ---- Attributes ---- */

static int put(struct decoder *decoder, const struct mr_attribute *attribute)
{
    int rc = event_put(decoder->event, attribute, decoder->err);
    return rc == 0 ? 0 : at_position(decoder, rc);
}

/* The text of the scanner's string or name: borrowed, or in the event's memory if it has escapes.
 */
static int take_text(struct decoder *decoder, const struct json_scan *scan,
                     struct mr_slice *ret_text)
{
    char *text;
    if (!scan->raw_has_escapes) {
        *ret_text = scan->raw;
        return 0;
    }
    text = event_alloc(decoder->event, scan->raw.len);
    if (text == NULL) {
        return mr_error_set(decoder->err, MR_ENOMEM, "out of memory");
    }
    *ret_text = mr_slice(text, json_scan_unescape_to(scan, text));
    return 0;
}

/* Digits only, as JSON has them, within 32 bits. */
static bool parse_integer(struct mr_slice text, int32_t *ret_integer)
{
    bool is_negative = text.ptr[0] == '-';
    int64_t integer = 0;
    if (text.len > INTEGER_BYTES_MAX) {
        return false;
    }
    for (size_t i = is_negative ? 1 : 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        integer = integer * 10 + (text.ptr[i] - '0');
    }
    integer = is_negative ? -integer : integer;
    if (integer < INT32_MIN || integer > INT32_MAX) {
        return false;
    }
    *ret_integer = (int32_t)integer;
    return true;
}

/* ["2.2. Type System Mapping", "2.3. Mapping CloudEvents Attributes"] */
static int read_attribute(struct decoder *decoder)
{
    struct mr_attribute attribute = {.name = decoder->name};
    enum json_token token = json_scan_next(&decoder->scan);
    int rc;
    switch (token) {
        case JSON_SCAN_STRING:
            attribute.type = MR_VALUE_STRING;
            rc = take_text(decoder, &decoder->scan, &attribute.bytes);
            return rc != 0 ? rc : put(decoder, &attribute);
        case JSON_SCAN_NUMBER:
            attribute.type = MR_VALUE_INTEGER;
            if (!parse_integer(decoder->scan.raw, &attribute.integer)) {
                return fail_member(decoder, "expected an integer of 32 bits");
            }
            return put(decoder, &attribute);
        case JSON_SCAN_TRUE:
        case JSON_SCAN_FALSE:
            attribute.type = MR_VALUE_BOOLEAN;
            attribute.boolean = token == JSON_SCAN_TRUE;
            return put(decoder, &attribute);
        case JSON_SCAN_NULL:
            return check_name(decoder->name)
                       ? 0
                       : fail_member(decoder, "it is null, and no name of an attribute");
        case JSON_SCAN_ERROR:
            return fail(decoder, decoder->scan.error);
        default:
            return fail_member(decoder, "expected a string, an integer or a boolean");
    }
}

/* ---- Data ---- */

static int read_payload(struct decoder *decoder, struct mr_slice *payload)
{
    if (payload->ptr != NULL) {
        return fail_member(decoder, "it is there twice");
    }
    if (json_scan_skip(&decoder->scan, payload) != 0) {
        return fail(decoder, decoder->scan.error);
    }
    return 0;
}

static int read_data_base64(struct decoder *decoder)
{
    int rc = read_payload(decoder, &decoder->data_base64);
    if (rc != 0) {
        return rc;
    }
    if (decoder->data_base64.ptr[0] == 'n') {
        decoder->data_base64 = (struct mr_slice){0};
    } else if (decoder->data_base64.ptr[0] != '"') {
        return fail_member(decoder, "expected a string");
    }
    return 0;
}

/* The text of the JSON string `json`, which was scanned before. */
static int string_text(struct decoder *decoder, struct mr_slice json, struct mr_slice *ret_text)
{
    struct json_scan scan;
    json_scan_init(&scan, json);
    (void)json_scan_next(&scan);
    return take_text(decoder, &scan, ret_text);
}

static int set_data_base64(struct decoder *decoder)
{
    struct mr_slice text;
    char *bytes;
    size_t len = 0;
    int rc = string_text(decoder, decoder->data_base64, &text);
    if (rc != 0) {
        return rc;
    }
    bytes = event_alloc(decoder->event, text.len / 4 * 3);
    if (bytes == NULL) {
        return mr_error_set(decoder->err, MR_ENOMEM, "out of memory");
    }
    if (base64_decode_to(text, bytes, &len, decoder->err) != 0) {
        (void)mr_error_wrap(decoder->err, "json: member \"data_base64\"");
        if (decoder->err != NULL) {
            decoder->err->code = MR_ENOTEVENT;
        }
        return MR_ENOTEVENT;
    }
    mr_event_set_data(decoder->event, mr_slice(bytes, len));
    return 0;
}

/* ["3.1. Handling of "data""] */
static int set_data(struct decoder *decoder)
{
    struct mr_slice type = mr_event_string(decoder->event, "datacontenttype");
    struct mr_slice data = decoder->data;
    int rc = 0;
    if (type.ptr == NULL) {
        rc = put(decoder, &(struct mr_attribute){.name = MR_SLICE("datacontenttype"),
                                                 .type = MR_VALUE_STRING,
                                                 .bytes = MR_SLICE("application/json")});
    } else if (!check_media_type_is_json(type)) {
        if (data.ptr[0] == 'n') {
            return 0;
        }
        if (data.ptr[0] == '"') {
            rc = string_text(decoder, decoder->data, &data);
        }
    }
    if (rc == 0) {
        mr_event_set_data(decoder->event, data);
    }
    return rc;
}

/* ---- The whole ---- */

static int read_member(struct decoder *decoder)
{
    int rc = take_text(decoder, &decoder->scan, &decoder->name);
    if (rc != 0) {
        return rc;
    }
    if (mr_slice_is(decoder->name, MR_SLICE("data"))) {
        return read_payload(decoder, &decoder->data);
    }
    if (mr_slice_is(decoder->name, MR_SLICE("data_base64"))) {
        return read_data_base64(decoder);
    }
    return read_attribute(decoder);
}

static int read_object(struct decoder *decoder)
{
    enum json_token token = json_scan_next(&decoder->scan);
    if (token != JSON_SCAN_OBJECT_BEGIN && token != JSON_SCAN_ERROR) {
        return fail(decoder, "not an object");
    }
    for (;;) {
        int rc;
        token = json_scan_next(&decoder->scan);
        if (token == JSON_SCAN_END) {
            return 0;
        }
        if (token == JSON_SCAN_ERROR) {
            return fail(decoder, decoder->scan.error);
        }
        rc = token == JSON_SCAN_NAME ? read_member(decoder) : 0;
        if (rc != 0) {
            return rc;
        }
    }
}

static int decode(struct decoder *decoder)
{
    int rc = read_object(decoder);
    if (rc != 0) {
        return rc;
    }
    if (decoder->data.ptr != NULL && decoder->data_base64.ptr != NULL) {
        return mr_error_set(decoder->err, MR_ENOTEVENT, "json: both data and data_base64");
    }
    if (decoder->data.ptr != NULL) {
        rc = set_data(decoder);
    } else if (decoder->data_base64.ptr != NULL) {
        rc = set_data_base64(decoder);
    }
    return rc != 0 ? rc : mr_event_check(decoder->event, decoder->err);
}

int event_json_decode(struct mr_slice bytes, struct mr_event *event, struct mr_error *err)
{
    struct decoder decoder = {.event = event, .err = err};
    int rc;
    mr_event_clear(event);
    json_scan_init(&decoder.scan, bytes);
    rc = decode(&decoder);
    if (rc != 0) {
        mr_event_clear(event);
    }
    return rc;
}

// SPDX-License-Identifier: Apache-2.0
#include "event/base64.h"
#include "event/check.h"
#include "event/format_json.h"
#include "event/json_scan.h"

#include <strings.h>

/* ["2.2. Type System Mapping"] */
static void write_value(const struct mr_attribute *attribute, struct mr_buf *out)
{
    switch (attribute->type) {
        case MR_VALUE_BOOLEAN:
            (void)buf_add_str(out, attribute->boolean ? "true" : "false");
            break;
        case MR_VALUE_INTEGER:
            (void)buf_addf(out, "%d", (int)attribute->integer);
            break;
        case MR_VALUE_STRING:
            (void)json_write_string(attribute->bytes, out);
            break;
        case MR_VALUE_BINARY:
            (void)buf_add_char(out, '"');
            (void)base64_encode(attribute->bytes, out);
            (void)buf_add_char(out, '"');
            break;
    }
}

/* The text as it stands, in one line: in valid JSON a line break can only be white space. */
static void write_json(struct mr_slice json, struct mr_buf *out)
{
    char *copy;
    if (buf_add_slice(out, json) != 0) {
        return;
    }
    copy = out->ptr + (out->len - json.len);
    for (size_t i = 0; i < json.len; i++) {
        if (copy[i] == '\n' || copy[i] == '\r') {
            copy[i] = ' ';
        }
    }
}

static bool is_text(struct mr_slice media_type)
{
    return media_type.len > 5 && strncasecmp(media_type.ptr, "text/", 5) == 0;
}

/* ["3.1. Handling of "data""]: a string is read back as text only where the type isn't JSON, so
 * data that says JSON and isn't must be bytes. */
static void write_data(const struct mr_event *event, struct mr_buf *out)
{
    struct mr_slice data = mr_event_data(event);
    struct mr_slice type = mr_event_string(event, "datacontenttype");
    bool says_json = type.ptr == NULL || check_media_type_is_json(type);

    if (data.ptr == NULL) {
        return;
    }
    if (mr_event_count(event) > 0) {
        (void)buf_add_char(out, ',');
    }
    if (says_json && json_is_valid(data)) {
        (void)buf_add_str(out, "\"data\":");
        write_json(data, out);
    } else if (!says_json && is_text(type) && check_utf8(data)) {
        (void)buf_add_str(out, "\"data\":");
        (void)json_write_string(data, out);
    } else {
        (void)buf_add_str(out, "\"data_base64\":\"");
        (void)base64_encode(data, out);
        (void)buf_add_char(out, '"');
    }
}

int event_json_encode(const struct mr_event *event, struct mr_buf *out, struct mr_error *err)
{
    size_t begin = out->len;
    int rc;
    (void)buf_add_char(out, '{');
    for (size_t i = 0; i < mr_event_count(event); i++) {
        const struct mr_attribute *attribute = mr_event_at(event, i);
        (void)buf_add_str(out, i == 0 ? "\"" : ",\"");
        (void)buf_add_slice(out, attribute->name); /* a-z and 0-9: nothing to escape */
        (void)buf_add_str(out, "\":");
        write_value(attribute, out);
    }
    write_data(event, out);
    (void)buf_add_char(out, '}');
    rc = buf_check(out, err);
    if (rc != 0) {
        out->len = begin;
    }
    return rc;
}

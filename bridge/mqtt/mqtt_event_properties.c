// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_event_internal.h"
#include "event/check.h"
#include "event/json_scan.h"
#include "kit/utf8.h"

const struct mqtt_user_property *making_find_property(const struct mqtt_message *message,
                                                      struct mr_slice name, size_t from)
{
    for (size_t i = from; i < message->property_count; i++) {
        if (mr_slice_is(message->properties[i].name, name)) {
            return &message->properties[i];
        }
    }
    return NULL;
}

int making_get_property(struct making *making, struct mr_slice name, struct mr_slice *ret_value)
{
    const struct mqtt_message *message = making->message;
    const struct mqtt_user_property *property = making_find_property(message, name, 0);
    *ret_value = mr_slice(NULL, 0);
    if (property == NULL) {
        return 0;
    }
    if (making_find_property(message, name, (size_t)(property - message->properties) + 1) != NULL) {
        return mr_error_set(making->err, MR_EFORMAT, "user property %.*s: given twice",
                            MR_SLICE_ARG(name));
    }
    *ret_value = property->value;
    return 0;
}

bool making_is_repeated(const struct mqtt_message *message, size_t index)
{
    struct mr_slice name = message->properties[index].name;
    const struct mqtt_user_property *first = making_find_property(message, name, 0);
    return first != &message->properties[index] ||
           making_find_property(message, name, index + 1) != NULL;
}

/* Of a sequence of UTF-8. */
static uint32_t code_point(const char *bytes, size_t len)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t point = (unsigned char)bytes[0] & masks[len];
    for (size_t i = 1; i < len; i++) {
        point = point << 6 | ((unsigned char)bytes[i] & 0x3FU);
    }
    return point;
}

/* Controls and noncharacters, which no attribute may hold (CloudEvents 1.0.2, "Type System"). */
static bool is_escaped(uint32_t point)
{
    return point < 0x20U || (point >= 0x7FU && point <= 0x9FU) || (point & 0xFFFEU) == 0xFFFEU ||
           (point >= 0xFDD0U && point <= 0xFDEFU);
}

/* RFC 8259 7: beyond U+FFFF as a surrogate pair. */
static void write_escaped(uint32_t point, struct mr_buf *out)
{
    if (point > 0xFFFFU) {
        (void)buf_addf(out, "\\u%04x", (unsigned)(0xD800U + ((point - 0x10000U) >> 10)));
        point = 0xDC00U + ((point - 0x10000U) & 0x3FFU);
    }
    (void)buf_addf(out, "\\u%04x", (unsigned)point);
}

/* As a JSON string that may stand in an attribute. False: it isn't UTF-8. */
static bool write_text(struct mr_slice text, struct mr_buf *out)
{
    if (check_string(text)) {
        (void)json_write_string(text, out);
        return true;
    }
    (void)buf_add_char(out, '"');
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_sequence(text.ptr + at, text.len - at);
        uint32_t point = len == 0 ? 0 : code_point(text.ptr + at, len);
        if (len == 0) {
            return false;
        }
        if (is_escaped(point)) {
            write_escaped(point, out);
        } else {
            (void)(point == '"' || point == '\\' ? buf_add_char(out, '\\') : 0);
            (void)buf_add(out, text.ptr + at, len);
        }
        at += len;
    }
    (void)buf_add_char(out, '"');
    return true;
}

int making_keep_property(struct making *making, size_t index)
{
    const struct mqtt_user_property *property = &making->message->properties[index];
    struct mr_buf *text = &making->maker->text;
    (void)buf_add_str(text, text->len == 0 ? "[[" : ",[");
    if (!write_text(property->name, text)) {
        return mr_error_set(making->err, MR_EFORMAT, "user property %zu: its name is not UTF-8",
                            index + 1);
    }
    (void)buf_add_char(text, ',');
    if (!write_text(property->value, text)) {
        return mr_error_set(making->err, MR_EFORMAT, "user property %zu: its value is not UTF-8",
                            index + 1);
    }
    (void)buf_add_char(text, ']');
    return 0;
}

int making_set_kept(struct making *making)
{
    const struct mr_slice name = MR_SLICE("mqttproperties");
    struct mr_buf *text = &making->maker->text;
    if ((text->len == 0 && text->failed == 0) || mr_event_find(making->event, name) != NULL) {
        return 0;
    }
    if (buf_add_char(text, ']') != 0) {
        (void)buf_check(text, making->err);
        return mr_error_wrap(making->err, "user properties");
    }
    return mr_event_set(making->event, name, buf_slice(text), making->err);
}

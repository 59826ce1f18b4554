// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_event.h"

#include <string.h>

#include "bridge/mqtt/routes_internal.h"
#include "event/check.h"
#include "event/content_mode.h"
#include "event/format_avro.h"
#include "event/format_json.h"
#include "event/json_scan.h"
#include "kit/buf.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum {
    ID_BYTES_MAX = 1024,     /* that a property or the payload says */
    EXTENSIONS_MAX = 64,     /* made of user properties; more stay in mqttproperties */
    TEXT_BYTES_MAX = 131072, /* of the channel, an id, mqttproperties: an event's are fewer */
    SHOWN_BYTES = 100,
};

struct mqtt_event_maker {
    struct json_selection selection;
    struct mr_buf text; /* of one attribute at a time, which the event copies */
    const char *reason;
};

/* One message on its way. */
struct making {
    struct mqtt_event_maker *maker;
    const struct mqtt_message *message;
    const struct route_match *match;
    const struct route *route;
    struct mr_event *event;
    struct mr_error *err;
};

int mqtt_event_maker_new(struct mqtt_event_maker **ret_maker, struct mr_error *err)
{
    struct mqtt_event_maker *maker = mem_zalloc(sizeof *maker);
    if (maker == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    json_selection_init(&maker->selection);
    buf_init(&maker->text, TEXT_BYTES_MAX);
    *ret_maker = maker;
    return 0;
}

void mqtt_event_maker_free(struct mqtt_event_maker *maker)
{
    if (maker == NULL) {
        return;
    }
    json_selection_done(&maker->selection);
    buf_done(&maker->text);
    mem_free(maker);
}

const char *mqtt_event_reason(const struct mqtt_event_maker *maker)
{
    return maker->reason;
}

/* ---- user properties ------------------------------------------------------------------------- */

static const struct mqtt_user_property *find_property(const struct mqtt_message *message,
                                                      struct mr_slice name, size_t from)
{
    for (size_t i = from; i < message->property_count; i++) {
        if (mr_slice_is(message->properties[i].name, name)) {
            return &message->properties[i];
        }
    }
    return NULL;
}

/* The value of a property that has a meaning of its own; absent if there is none. */
static int get_property(struct making *making, struct mr_slice name, struct mr_slice *ret_value)
{
    const struct mqtt_message *message = making->message;
    const struct mqtt_user_property *property = find_property(message, name, 0);
    *ret_value = mr_slice(NULL, 0);
    if (property == NULL) {
        return 0;
    }
    if (find_property(message, name, (size_t)(property - message->properties) + 1) != NULL) {
        return mr_error_set(making->err, MR_EFORMAT, "user property %.*s: given twice",
                            MR_SLICE_ARG(name));
    }
    *ret_value = property->value;
    return 0;
}

static bool is_repeated(const struct mqtt_message *message, size_t index)
{
    struct mr_slice name = message->properties[index].name;
    const struct mqtt_user_property *first = find_property(message, name, 0);
    return first != &message->properties[index] || find_property(message, name, index + 1) != NULL;
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

/* One more pair of mqttproperties, in maker->text. */
static int keep_property(struct making *making, size_t index)
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

/* What was kept. The event's own, if it has one, stays. */
static int set_kept(struct making *making)
{
    const struct mr_slice name = MR_SLICE("mqttproperties");
    struct mr_buf *text = &making->maker->text;
    if (text->len == 0 || mr_event_find(making->event, name) != NULL) {
        return 0;
    }
    if (buf_add_char(text, ']') != 0) {
        (void)buf_check(text, making->err);
        return mr_error_wrap(making->err, "user properties");
    }
    return mr_event_set(making->event, name, buf_slice(text), making->err);
}

/* ---- what is set ----------------------------------------------------------------------------- */

static bool has(const struct making *making, struct mr_slice name)
{
    return mr_event_find(making->event, name) != NULL;
}

static int set_missing(struct making *making, struct mr_slice name, struct mr_slice value)
{
    if (value.ptr == NULL || has(making, name)) {
        return 0;
    }
    return mr_event_set(making->event, name, value, making->err);
}

/* What the pattern's part says; absent: it has none. */
static struct mr_slice get_part(const struct making *making, enum route_part part)
{
    for (size_t i = 0; i < topic_pattern_names(making->route->pattern); i++) {
        if (making->route->parts[i] == part) {
            return making->match->values[i];
        }
    }
    return mr_slice(NULL, 0);
}

/* The topic's word, or the route's constant: there is never both. */
static struct mr_slice get_said(const struct making *making, enum route_part part,
                                struct mr_slice constant)
{
    struct mr_slice value = get_part(making, part);
    return value.ptr == NULL ? constant : value;
}

/* The named parts that are extensions, if the event says nothing of them. */
static int set_parts(struct making *making)
{
    for (size_t i = 0; i < topic_pattern_names(making->route->pattern); i++) {
        int rc = making->route->parts[i] != ROUTE_PART_EXTENSION
                     ? 0
                     : set_missing(making, topic_pattern_name(making->route->pattern, i),
                                   making->match->values[i]);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* What the transport says. */
static int set_transport(struct making *making)
{
    const struct mqtt_message *message = making->message;
    const struct mr_slice retain = MR_SLICE("mqttretain");
    const struct mr_slice correlation = MR_SLICE("mqttcorrelation");
    int rc = set_missing(making, MR_SLICE("mqtttopic"), message->topic);
    if (rc == 0 && message->retain && !has(making, retain)) {
        rc = mr_event_set_boolean(making->event, retain, true, making->err);
    }
    if (rc == 0) {
        rc = set_missing(making, MR_SLICE("mqttresponsetopic"), message->response_topic);
    }
    if (rc == 0 && message->correlation.ptr != NULL && !has(making, correlation)) {
        rc = mr_event_set_binary(making->event, correlation, message->correlation, making->err);
    }
    return rc;
}

/* ---- plain messages: who sent it ------------------------------------------------------------- */

/* `value` is what the route says of the name; else the user property does. */
static int get_name(struct making *making, struct mr_slice name, struct mr_slice *value)
{
    int rc = value->ptr != NULL ? 0 : get_property(making, name, value);
    if (rc == 0 && value->len > ROUTES_NAME_BYTES_MAX) {
        rc = mr_error_set(making->err, MR_ELIMIT, "%.*s: more than %d bytes", MR_SLICE_ARG(name),
                          ROUTES_NAME_BYTES_MAX);
    }
    return rc;
}

static int get_device(struct making *making, struct mr_slice *ret_device)
{
    int rc;
    *ret_device = get_said(making, ROUTE_PART_DEVICE, making->route->device);
    rc = get_name(making, MR_SLICE("device"), ret_device);
    if (rc == 0 && ret_device->len == 0) {
        making->maker->reason = "no-device";
        rc = mr_error_set(making->err, MR_EFORMAT, "%s",
                          ret_device->ptr == NULL
                              ? "no device: expected {device} or `device` in the route, or a user "
                                "property `device`"
                              : "device: its name is empty");
    }
    return rc;
}

/* channel[/suffix], else the levels without a name. */
static int get_channel(struct making *making, struct mr_slice *ret_channel)
{
    struct mr_buf *text = &making->maker->text;
    struct mr_slice channel = get_said(making, ROUTE_PART_CHANNEL, making->route->channel);
    struct mr_slice suffix = get_part(making, ROUTE_PART_SUFFIX);
    buf_clear(text);
    if (channel.ptr != NULL) {
        (void)buf_add_slice(text, channel);
    }
    if (channel.ptr != NULL && suffix.ptr != NULL) {
        (void)buf_add_char(text, '/');
    }
    if (suffix.ptr != NULL) {
        (void)buf_add_slice(text, suffix);
    }
    if (channel.ptr == NULL && suffix.ptr == NULL) {
        (void)topic_pattern_write_unnamed(making->route->pattern, making->message->topic, text);
    }
    *ret_channel = buf_slice(text);
    return buf_check(text, making->err);
}

static int set_sender(struct making *making)
{
    struct mr_slice application =
        get_said(making, ROUTE_PART_APPLICATION, making->route->application);
    struct mr_slice device;
    struct mr_slice channel;
    int rc = get_device(making, &device);
    if (rc == 0) {
        rc = get_name(making, MR_SLICE("application"), &application);
    }
    if (rc == 0) {
        rc = get_channel(making, &channel);
    }
    if (rc != 0) {
        return rc;
    }
    if (application.ptr == NULL) {
        application = MR_SLICE("default");
    }
    if (application.len == 0 || channel.len == 0) {
        return mr_error_set(making->err, MR_EFORMAT, "%s: it is empty",
                            application.len == 0 ? "application" : "channel");
    }
    return mr_event_from_device(making->event, application, device, channel, making->err);
}

/* ---- plain messages: the rest ---------------------------------------------------------------- */

static struct mr_slice guess_type(const struct mqtt_message *message)
{
    if (json_is_valid(message->payload)) {
        return MR_SLICE("application/json");
    }
    return message->payload_format == 1 && check_utf8(message->payload)
               ? MR_SLICE("text/plain; charset=utf-8")
               : MR_SLICE("application/octet-stream");
}

/* A content type that is no media type (MQTT allows any text) is kept beside a guessed one. */
static int set_content(struct making *making)
{
    struct mr_slice type = making->message->content_type;
    int rc = 0;
    mr_event_set_data(making->event, making->message->payload);
    if (type.len > 0 && !check_media_type(type)) {
        rc = set_missing(making, MR_SLICE("mqttcontenttype"), type);
        type = mr_slice(NULL, 0);
    }
    if (type.len == 0) {
        type = making->route->content.ptr != NULL ? making->route->content
                                                  : guess_type(making->message);
    }
    return rc != 0 ? rc
                   : mr_event_set(making->event, MR_SLICE("datacontenttype"), type, making->err);
}

/* The properties that are attributes of CloudEvents, and what the route says instead of them. */
static int set_known(struct making *making)
{
    const struct {
        struct mr_slice name;
        struct mr_slice otherwise;
    } known[] = {
        {MR_SLICE("id"), {NULL, 0}},
        {MR_SLICE("time"), {NULL, 0}},
        {MR_SLICE("type"), making->route->type},
        {MR_SLICE("dataschema"), making->route->dataschema},
    };
    for (size_t i = 0; i < MR_COUNT_OF(known); i++) {
        struct mr_slice value;
        int rc = get_property(making, known[i].name, &value);
        if (rc == 0 && i == 0 && value.len > ID_BYTES_MAX) {
            rc = mr_error_set(making->err, MR_ELIMIT, "id: more than %d bytes", ID_BYTES_MAX);
        }
        if (rc == 0) {
            rc = set_missing(making, known[i].name, value.ptr == NULL ? known[i].otherwise : value);
        }
        if (rc != 0) {
            return value.ptr == NULL ? rc : mr_error_wrap(making->err, "user property");
        }
    }
    return 0;
}

/* Said already. */
static bool is_said(const struct making *making, const struct mqtt_user_property *property)
{
    const struct mr_attribute *attribute = mr_event_find(making->event, property->name);
    return attribute != NULL && attribute->type == MR_VALUE_STRING &&
           mr_slice_is(attribute->bytes, property->value);
}

static bool is_extension(const struct making *making, size_t index)
{
    const struct mqtt_user_property *property = &making->message->properties[index];
    struct mr_slice name = property->name;
    return check_name(name) && !(name.len >= 4 && memcmp(name.ptr, "mqtt", 4) == 0) &&
           check_string(property->value) && !has(making, name) &&
           !is_repeated(making->message, index);
}

static int set_properties(struct making *making)
{
    size_t extensions = 0;
    buf_clear(&making->maker->text);
    for (size_t i = 0; i < making->message->property_count; i++) {
        const struct mqtt_user_property *property = &making->message->properties[i];
        int rc = 0;
        if (is_said(making, property)) {
            continue;
        }
        if (extensions < EXTENSIONS_MAX && is_extension(making, i)) {
            extensions++;
            rc = mr_event_set(making->event, property->name, property->value, making->err);
        } else {
            rc = keep_property(making, i);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return set_kept(making);
}

/* ---- plain messages: the id ------------------------------------------------------------------ */

static int check_id_kind(struct making *making, const struct json_value *value)
{
    if (value->token == JSON_SCAN_STRING || value->token == JSON_SCAN_NUMBER) {
        return 0;
    }
    return mr_error_set(making->err, MR_EFORMAT, "id: %.*s is neither a string nor a number",
                        SHOWN_BYTES, making->route->id_path.ptr);
}

static int set_found_id(struct making *making, const struct json_value *value)
{
    struct mr_slice id = value->raw;
    int rc = check_id_kind(making, value);
    if (rc != 0) {
        return rc;
    }
    if (value->raw.len > ID_BYTES_MAX) {
        return mr_error_set(making->err, MR_ELIMIT, "id: more than %d bytes", ID_BYTES_MAX);
    }
    if (value->has_escapes) {
        struct json_scan scan = {.raw = value->raw, .raw_has_escapes = true};
        buf_clear(&making->maker->text);
        if (json_scan_unescape(&scan, &making->maker->text) != 0) {
            return buf_check(&making->maker->text, making->err);
        }
        id = buf_slice(&making->maker->text);
    }
    rc = mr_event_set(making->event, MR_SLICE("id"), id, making->err);
    return rc == 0 ? 0
                   : mr_error_wrap(making->err, "%.*s", SHOWN_BYTES, making->route->id_path.ptr);
}

/* A payload that isn't JSON, or has no such value, has no id. */
static int set_id_of_payload(struct making *making)
{
    struct json_selection *selection = &making->maker->selection;
    const struct json_value *value;
    int rc;
    if (making->route->id_path.ptr == NULL || has(making, MR_SLICE("id"))) {
        return 0;
    }
    rc = json_select_run(&making->route->id, making->message->payload, selection, making->err);
    if (rc == MR_EFORMAT && !json_is_valid(making->message->payload)) {
        return 0;
    }
    if (rc != 0) {
        return mr_error_wrap(making->err, "id");
    }
    value = &selection->values[making->route->id_slot];
    if (value->token == JSON_SCAN_END || value->token == JSON_SCAN_NULL) {
        return 0;
    }
    return set_found_id(making, value);
}

static int make_plain(struct making *making)
{
    int rc = set_sender(making);
    if (rc == 0) {
        rc = set_parts(making);
    }
    if (rc == 0) {
        rc = set_content(making);
    }
    if (rc == 0) {
        rc = set_known(making);
    }
    if (rc == 0) {
        rc = set_transport(making);
    }
    if (rc == 0) {
        rc = set_properties(making);
    }
    return rc == 0 ? set_id_of_payload(making) : rc;
}

/* ---- CloudEvents ----------------------------------------------------------------------------- */

/* A property that is an attribute. */
static int set_attribute(struct making *making, const struct mqtt_user_property *property)
{
    if (mr_slice_is(property->name, MR_SLICE("datacontenttype"))) {
        return mr_error_set(making->err, MR_ENOTEVENT,
                            "user property datacontenttype: the content type says it");
    }
    if (has(making, property->name)) {
        return mr_error_set(making->err, MR_ENOTEVENT, "user property %.*s: given twice",
                            MR_SLICE_ARG(property->name));
    }
    return mr_event_set(making->event, property->name, property->value, making->err);
}

/* [3.1] Each attribute is a user property of its name, but for datacontenttype. */
static int read_binary(struct making *making)
{
    const struct mqtt_message *message = making->message;
    struct mr_slice type =
        message->content_type.len > 0 ? message->content_type : making->route->content;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < message->property_count; i++) {
        if (check_name(message->properties[i].name)) {
            rc = set_attribute(making, &message->properties[i]);
        }
    }
    if (rc == 0) {
        rc = set_missing(making, MR_SLICE("datacontenttype"), type);
    }
    if (type.ptr != NULL || message->payload.len > 0) {
        mr_event_set_data(making->event, message->payload);
    }
    return rc == 0 ? mr_event_check(making->event, making->err) : rc;
}

static int read_structured(struct making *making, enum content_mode mode)
{
    struct mr_slice payload = making->message->payload;
    if (mode == CONTENT_JSON) {
        return event_json_decode(payload, making->event, making->err);
    }
    if (mode == CONTENT_AVRO) {
        return event_avro_decode(payload, making->event, making->err);
    }
    return mr_error_set(making->err, MR_ENOTEVENT,
                        "content type: a message holds one event; expected " EVENT_JSON_MEDIA_TYPE
                        " or " EVENT_AVRO_MEDIA_TYPE);
}

/* What the route says where the event says nothing. */
static int set_route(struct making *making)
{
    struct mr_slice application =
        get_said(making, ROUTE_PART_APPLICATION, making->route->application);
    struct mr_slice device = get_said(making, ROUTE_PART_DEVICE, making->route->device);
    int rc = set_missing(making, MR_SLICE("device"), device);
    if (application.ptr == NULL && has(making, MR_SLICE("device"))) {
        application = MR_SLICE("default");
    }
    if (rc == 0) {
        rc = set_missing(making, MR_SLICE("application"), application);
    }
    return rc == 0 ? set_parts(making) : rc;
}

/* In structured mode properties may mirror the attributes [3.2.3]: those say nothing new. */
static int keep_properties(struct making *making)
{
    buf_clear(&making->maker->text);
    for (size_t i = 0; i < making->message->property_count; i++) {
        int rc = has(making, making->message->properties[i].name) ? 0 : keep_property(making, i);
        if (rc != 0) {
            return rc;
        }
    }
    return set_kept(making);
}

static int make_of_event(struct making *making, enum content_mode mode)
{
    int rc;
    making->maker->reason = "not-an-event";
    rc = mode == CONTENT_DATA ? read_binary(making) : read_structured(making, mode);
    if (rc == 0) {
        rc = keep_properties(making);
    }
    if (rc == 0) {
        rc = set_route(making);
    }
    return rc == 0 ? set_transport(making) : rc;
}

/* ---- all messages ---------------------------------------------------------------------------- */

static int check_message(struct making *making)
{
    const struct mqtt_message *message = making->message;
    if (!check_string(message->topic)) {
        return mr_error_set(making->err, MR_EFORMAT,
                            "topic: expected UTF-8 without control characters");
    }
    if (message->properties_left_out > 0) {
        return mr_error_set(making->err, MR_ELIMIT, "more than %d user properties",
                            MQTT_USER_PROPERTIES_MAX);
    }
    return 0;
}

/* The message's own content type counts, then the property, then the route. */
static bool is_event(const struct making *making, enum content_mode *ret_mode)
{
    struct mr_slice type = making->message->content_type;
    *ret_mode = content_mode_of(type);
    if (*ret_mode != CONTENT_DATA) {
        return true;
    }
    if (find_property(making->message, MR_SLICE("specversion"), 0) != NULL) {
        return true;
    }
    if (type.len == 0) {
        *ret_mode = content_mode_of(making->route->content);
    }
    return *ret_mode != CONTENT_DATA;
}

int mqtt_event_make(struct mqtt_event_maker *maker, const struct mqtt_message *message,
                    const struct route_match *match, struct mr_slice id, struct mr_event *event,
                    struct mr_error *err)
{
    struct mr_error own;
    struct making making = {maker, message, match, match->route, event, err == NULL ? &own : err};
    enum content_mode mode;
    int rc;
    mr_event_clear(event);
    maker->reason = "bad-message";
    rc = check_message(&making);
    if (rc == 0) {
        rc = is_event(&making, &mode) ? make_of_event(&making, mode) : make_plain(&making);
    }
    if (rc == 0) {
        rc = set_missing(&making, MR_SLICE("id"), id);
    }
    if (rc == 0) {
        rc = mr_event_complete(event, making.err);
    }
    if (rc == MR_ELIMIT) {
        maker->reason = "limit";
    }
    return rc;
}

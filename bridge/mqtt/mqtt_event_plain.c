// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "bridge/mqtt/mqtt_event_internal.h"
#include "event/check.h"
#include "event/json_scan.h"

enum {
    ID_BYTES_MAX = 1024, /* that a property or the payload says */
    EXTENSIONS_MAX = 64, /* made of user properties; more stay in mqttproperties */
    SHOWN_BYTES = 100,
};

/* ---- who sent it ------------------------------------------------------------- */

/* `value` is what the route says of the name; else the user property does. */
static int get_name(struct making *making, struct mr_slice name, struct mr_slice *value)
{
    int rc = value->ptr != NULL ? 0 : making_get_property(making, name, value);
    if (rc == 0 && value->len > ROUTES_NAME_BYTES_MAX) {
        rc = mr_error_set(making->err, MR_ELIMIT, "%.*s: more than %d bytes", MR_SLICE_ARG(name),
                          ROUTES_NAME_BYTES_MAX);
    }
    return rc;
}

static int get_device(struct making *making, struct mr_slice *ret_device)
{
    int rc;
    *ret_device = making_get_said(making, ROUTE_PART_DEVICE, making->route->device);
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
    struct mr_slice channel = making_get_said(making, ROUTE_PART_CHANNEL, making->route->channel);
    struct mr_slice suffix = making_get_part(making, ROUTE_PART_SUFFIX);
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
        making_get_said(making, ROUTE_PART_APPLICATION, making->route->application);
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

/* ---- the rest ---------------------------------------------------------------- */

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
        rc = making_set_missing(making, MR_SLICE("mqttcontenttype"), type);
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
        int rc = making_get_property(making, known[i].name, &value);
        if (rc == 0 && i == 0 && value.len > ID_BYTES_MAX) {
            rc = mr_error_set(making->err, MR_ELIMIT, "id: more than %d bytes", ID_BYTES_MAX);
        }
        if (rc == 0) {
            rc = making_set_missing(making, known[i].name,
                                    value.ptr == NULL ? known[i].otherwise : value);
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
           check_string(property->value) && !making_has(making, name) &&
           !making_is_repeated(making->message, index);
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
            rc = making_keep_property(making, i);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return making_set_kept(making);
}

/* ---- the id ------------------------------------------------------------------ */

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
    if (making->route->id_path.ptr == NULL || making_has(making, MR_SLICE("id"))) {
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

int making_set_plain(struct making *making)
{
    int rc = set_sender(making);
    if (rc == 0) {
        rc = making_set_parts(making);
    }
    if (rc == 0) {
        rc = set_content(making);
    }
    if (rc == 0) {
        rc = set_known(making);
    }
    if (rc == 0) {
        rc = making_set_transport(making);
    }
    if (rc == 0) {
        rc = set_properties(making);
    }
    return rc == 0 ? set_id_of_payload(making) : rc;
}

// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_event_internal.h"
#include "event/check.h"
#include "kit/mem.h"

enum { TEXT_BYTES_MAX = 131072 /* of the channel, an id, mqttproperties: an event's are fewer */ };

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

/* ---- what is set ----------------------------------------------------------------------------- */

bool making_has(const struct making *making, struct mr_slice name)
{
    return mr_event_find(making->event, name) != NULL;
}

int making_set_missing(struct making *making, struct mr_slice name, struct mr_slice value)
{
    if (value.ptr == NULL || making_has(making, name)) {
        return 0;
    }
    return mr_event_set(making->event, name, value, making->err);
}

struct mr_slice making_get_part(const struct making *making, enum route_part part)
{
    for (size_t i = 0; i < topic_pattern_names(making->route->pattern); i++) {
        if (making->route->parts[i] == part) {
            return making->match->values[i];
        }
    }
    return mr_slice(NULL, 0);
}

struct mr_slice making_get_said(const struct making *making, enum route_part part,
                                struct mr_slice constant)
{
    struct mr_slice value = making_get_part(making, part);
    return value.ptr == NULL ? constant : value;
}

int making_set_parts(struct making *making)
{
    for (size_t i = 0; i < topic_pattern_names(making->route->pattern); i++) {
        int rc = making->route->parts[i] != ROUTE_PART_EXTENSION
                     ? 0
                     : making_set_missing(making, topic_pattern_name(making->route->pattern, i),
                                          making->match->values[i]);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int making_set_transport(struct making *making)
{
    const struct mqtt_message *message = making->message;
    const struct mr_slice retain = MR_SLICE("mqttretain");
    const struct mr_slice correlation = MR_SLICE("mqttcorrelation");
    int rc = making_set_missing(making, MR_SLICE("mqtttopic"), message->topic);
    if (rc == 0 && message->retain && !making_has(making, retain)) {
        rc = mr_event_set_boolean(making->event, retain, true, making->err);
    }
    if (rc == 0) {
        rc = making_set_missing(making, MR_SLICE("mqttresponsetopic"), message->response_topic);
    }
    if (rc == 0 && message->correlation.ptr != NULL && !making_has(making, correlation)) {
        rc = mr_event_set_binary(making->event, correlation, message->correlation, making->err);
    }
    return rc;
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
    if (making_find_property(making->message, MR_SLICE("specversion"), 0) != NULL) {
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
        rc =
            is_event(&making, &mode) ? making_read_event(&making, mode) : making_set_plain(&making);
    }
    if (rc == 0) {
        rc = making_set_missing(&making, MR_SLICE("id"), id);
    }
    if (rc == 0) {
        rc = mr_event_complete(event, making.err);
    }
    if (rc == MR_ELIMIT) {
        maker->reason = "limit";
    }
    return rc;
}

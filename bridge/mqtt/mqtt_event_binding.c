// SPDX-License-Identifier: Apache-2.0
/* CloudEvents 1.0.2, MQTT protocol binding. */
#include "bridge/mqtt/mqtt_event_internal.h"
#include "event/check.h"
#include "event/format_avro.h"
#include "event/format_json.h"

/* A property that is an attribute. That of the content type may be there beside it, or, as some
 * senders have it, instead of it. */
static int set_attribute(struct making *making, const struct mqtt_user_property *property)
{
    const struct mr_slice content_type = MR_SLICE("datacontenttype");
    if (mr_slice_is(property->name, content_type) && making->message->content_type.len > 0) {
        return mr_slice_is(property->value, making->message->content_type)
                   ? 0
                   : mr_error_set(making->err, MR_ENOTEVENT,
                                  "user property datacontenttype: the content type is another");
    }
    if (making_has(making, property->name)) {
        return mr_error_set(making->err, MR_ENOTEVENT, "user property %.*s: given twice",
                            MR_SLICE_ARG(property->name));
    }
    return mr_event_set(making->event, property->name, property->value, making->err);
}

/* [3.1] Each attribute is a user property of its name, but for datacontenttype. MQTT can't tell no
 * data from empty data: without a content type no payload is no data. */
static int read_binary(struct making *making)
{
    const struct mr_slice content_type = MR_SLICE("datacontenttype");
    const struct mqtt_message *message = making->message;
    int rc = 0;
    if (message->content_type.len > 0) {
        rc = making_set_missing(making, content_type, message->content_type);
    }
    for (size_t i = 0; rc == 0 && i < message->property_count; i++) {
        if (check_name(message->properties[i].name)) {
            rc = set_attribute(making, &message->properties[i]);
        }
    }
    if (rc == 0) {
        rc = making_set_missing(making, content_type, making->route->content);
    }
    if (making_has(making, content_type) || message->payload.len > 0) {
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
        making_get_said(making, ROUTE_PART_APPLICATION, making->route->application);
    struct mr_slice device = making_get_said(making, ROUTE_PART_DEVICE, making->route->device);
    int rc = making_set_missing(making, MR_SLICE("device"), device);
    if (application.ptr == NULL && making_has(making, MR_SLICE("device"))) {
        application = MR_SLICE("default");
    }
    if (rc == 0) {
        rc = making_set_missing(making, MR_SLICE("application"), application);
    }
    return rc == 0 ? making_set_parts(making) : rc;
}

/* In structured mode properties may mirror the attributes [3.2.3]: those say nothing new. */
static int keep_properties(struct making *making)
{
    buf_clear(&making->maker->text);
    for (size_t i = 0; i < making->message->property_count; i++) {
        int rc = making_has(making, making->message->properties[i].name)
                     ? 0
                     : making_keep_property(making, i);
        if (rc != 0) {
            return rc;
        }
    }
    return making_set_kept(making);
}

int making_read_event(struct making *making, enum content_mode mode)
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
    return rc == 0 ? making_set_transport(making) : rc;
}

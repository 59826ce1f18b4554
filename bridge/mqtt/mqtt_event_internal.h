// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_EVENT_INTERNAL_H
#define MQTT_MQTT_EVENT_INTERNAL_H

/* What the files of mqtt_event share.
 *     mqtt_event.c             which kind of message it is; what all kinds have
 *     mqtt_event_plain.c       messages that are no CloudEvents
 *     mqtt_event_binding.c     those that are: the MQTT binding
 *     mqtt_event_properties.c  user properties, and those that no attribute can be */

#include "bridge/mqtt/mqtt_event.h"
#include "bridge/mqtt/routes_internal.h"
#include "event/content_mode.h"
#include "kit/buf.h"

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
    struct mr_error *err; /* never NULL */
};

/* mqtt_event.c. Functions that return an int fill making->err; see mqtt_event_make. */

bool making_has(const struct making *making, struct mr_slice name);

/* Unless the event has the attribute, or `value` is absent. */
int making_set_missing(struct making *making, struct mr_slice name, struct mr_slice value);

/* What the pattern's part says; absent: it has none. */
struct mr_slice making_get_part(const struct making *making, enum route_part part);

/* The topic's word, or the route's constant: there is never both. */
struct mr_slice making_get_said(const struct making *making, enum route_part part,
                                struct mr_slice constant);

/* The named parts that are extensions, if the event says nothing of them. */
int making_set_parts(struct making *making);

/* What the transport says: mqtttopic and its kin. */
int making_set_transport(struct making *making);

/* mqtt_event_plain.c: all but the id of a redelivery, and what mr_event_complete adds. */
int making_set_plain(struct making *making);

/* mqtt_event_binding.c: the whole event. CONTENT_DATA: binary mode. */
int making_read_event(struct making *making, enum content_mode mode);

/* mqtt_event_properties.c */

/* The first of that name at `from` or behind it; NULL: there is none. */
const struct mqtt_user_property *making_find_property(const struct mqtt_message *message,
                                                      struct mr_slice name, size_t from);

/* The value of a property that has a meaning of its own, which must not be there twice; absent if
 * there is none. */
int making_get_property(struct making *making, struct mr_slice name, struct mr_slice *ret_value);

/* There is another of the same name. */
bool making_is_repeated(const struct mqtt_message *message, size_t index);

/* Property `index` is to stand in mqttproperties; maker->text, cleared before the first one,
 * collects them. */
int making_keep_property(struct making *making, size_t index);

/* Set mqttproperties, if anything was kept. The event's own, if it has one, stays. */
int making_set_kept(struct making *making);

#endif

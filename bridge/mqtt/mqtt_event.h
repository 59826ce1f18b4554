// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_EVENT_H
#define MQTT_MQTT_EVENT_H

/* A message becomes an event: docs/millrace-mqtt.md has the table. CloudEvents MQTT binding 1.0.2:
 * structured mode (3.2: content type application/cloudevents+json or +avro; over MQTT 3.1.1, which
 * has no content type, by the route's `content`), binary mode (3.1, v5 only: the user property
 * `specversion`), and plain messages. Pure. */

#include <millrace/error.h>
#include <millrace/event.h>

#include "bridge/mqtt/message.h"
#include "bridge/mqtt/routes.h"

struct mqtt_event_maker; /* memory that is used again and again; one a loop */

/* Errors: MR_ENOMEM. */
int mqtt_event_maker_new(struct mqtt_event_maker **ret_maker, struct mr_error *err);
void mqtt_event_maker_free(struct mqtt_event_maker *maker);

/* `id`, if not absent, is the event's unless the message brings its own (it is a redelivery's).
 * `event` is cleared first; its data (in structured mode its strings, too) borrows the message. All
 * required attributes are there afterwards. Errors: MR_ENOTEVENT, MR_EFORMAT (what can't become an
 * event: for its dead letter; the text says what, where and what was expected), MR_ELIMIT,
 * MR_ENOMEM. */
int mqtt_event_make(struct mqtt_event_maker *maker, const struct mqtt_message *message,
                    const struct route_match *match, struct mr_slice id, struct mr_event *event,
                    struct mr_error *err);

/* After such an error but MR_ENOMEM, the reason of the dead letter: `no-device`, `not-an-event` (it
 * says that it is a CloudEvent, and is none), `bad-message`, `limit`. */
const char *mqtt_event_reason(const struct mqtt_event_maker *maker);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MESSAGE_PROPERTIES_H
#define MQTT_MESSAGE_PROPERTIES_H

/* What libmosquitto hands over, as a message of our own. */

#include <mosquitto.h>

#include <millrace/error.h>

#include "bridge/mqtt/message.h"

/* Memory of one message's properties, used again and again; zeroed at first. */
struct message_properties {
    struct mqtt_user_property user[MQTT_USER_PROPERTIES_MAX];
    void *copies[2 * MQTT_USER_PROPERTIES_MAX + 8]; /* libmosquitto allocates what it returns */
    size_t copy_count;
};

/* `properties` NULL: none. `ret_message` borrows from the arguments and from `memory`, until
 * message_properties_clear, which must follow. Errors: MR_ENOMEM (clear all the same). */
int message_properties_read(const struct mosquitto_message *received,
                            const mosquitto_property *properties, struct message_properties *memory,
                            struct mqtt_message *ret_message, struct mr_error *err);
void message_properties_clear(struct message_properties *memory);

#endif

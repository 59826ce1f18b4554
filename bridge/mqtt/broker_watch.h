// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_BROKER_WATCH_H
#define MQTT_BROKER_WATCH_H

/* What the broker says of messages that it threw away (full queues, slow clients, ...), where it
 * publishes that as mosquitto does: no bridge can save those, so they are shown. Nothing happens
 * with another broker, or one that doesn't let us see it. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/slice.h>

#define BROKER_WATCH_TOPIC "$SYS/broker/publish/messages/dropped"

struct broker_watch {
    bool is_known;
    uint64_t dropped; /* the last that it said */
};

/* True: the message was one of these, and is done with. */
bool broker_watch_take(struct broker_watch *watch, struct mr_slice topic, struct mr_slice payload);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MESSAGE_H
#define MQTT_MESSAGE_H

/* One PUBLISH as the broker sent it, without a library's types. Everything is borrowed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

enum {
    MQTT_USER_PROPERTIES_MAX = 256, /* of one message; more make it a dead letter */
    MQTT_SUBSCRIPTIONS_MAX = 8,     /* identifiers of one message that are kept */
};

/* MQTT 5.0, 3.3.2.3.7: a name may stand there more than once. */
struct mqtt_user_property {
    struct mr_slice name;
    struct mr_slice value;
};

/* What MQTT 3.1.1 doesn't have is absent (ptr NULL, or -1). */
struct mqtt_message {
    struct mr_slice topic;
    struct mr_slice payload; /* never absent; its len may be 0 */
    uint16_t packet_id;      /* 0 with QoS 0 */
    uint8_t qos;
    bool retain;
    bool is_first; /* the broker says that it hasn't sent it before (DUP is 0); false: not known */
    struct mr_slice content_type;                   /* 3.3.2.3.9 */
    struct mr_slice response_topic;                 /* 3.3.2.3.5 */
    struct mr_slice correlation;                    /* 3.3.2.3.6, any bytes */
    int payload_format;                             /* 3.3.2.3.2: 0 bytes, 1 UTF-8; -1 */
    int64_t expiry_seconds;                         /* 3.3.2.3.3, what is left of it; -1 */
    uint32_t subscriptions[MQTT_SUBSCRIPTIONS_MAX]; /* 3.3.2.3.8: which it was sent for */
    size_t subscription_count; /* with those that were not kept; 0: the broker doesn't say */
    const struct mqtt_user_property *properties;
    size_t property_count;
    size_t properties_left_out; /* over MQTT_USER_PROPERTIES_MAX */
};

#endif

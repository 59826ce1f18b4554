// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_ROUTES_INTERNAL_H
#define MQTT_ROUTES_INTERNAL_H

/* What mqtt_event.c reads of a route. Texts are borrowed from the options; absent if not given. */

#include "bridge/mqtt/routes.h"
#include "event/json_select.h"

/* What a named part of the pattern says. */
enum route_part {
    ROUTE_PART_EXTENSION, /* the extension of that name */
    ROUTE_PART_APPLICATION,
    ROUTE_PART_DEVICE,
    ROUTE_PART_CHANNEL,
    ROUTE_PART_SUFFIX, /* of the channel, behind a slash */
};

struct route {
    struct topic_pattern *pattern;
    enum route_part parts[TOPIC_PATTERN_NAMES_MAX]; /* by the pattern's names */
    const char *kafka_topic;
    struct mr_slice application;
    struct mr_slice device;
    struct mr_slice channel;
    struct mr_slice content;
    struct mr_slice type;
    struct mr_slice dataschema;
    struct mr_slice id_path; /* as it is written */
    struct json_select id;   /* its only path; if there is an id_path */
    unsigned id_slot;
};

#endif

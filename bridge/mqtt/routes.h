// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_ROUTES_H
#define MQTT_ROUTES_H

/* The `[route NAME]` sections and the ready-made routes behind them: which messages are taken, what
 * their topics say, and which Kafka topic they go to. The first that matches wins. Pure. */

#include <stddef.h>

#include <millrace/options.h>

#include "bridge/mqtt/message.h"
#include "bridge/mqtt/topic_pattern.h"

enum {
    ROUTES_MAX = MR_SECTIONS_MAX + 8,
    ROUTES_KAFKA_TOPICS_MAX =
        12, /* different ones; their names are constants, never from a topic */
    ROUTES_NAME_BYTES_MAX = 1024, /* of an application, a device */
};

enum routes_ready { ROUTES_DROGUE, ROUTES_TELEMETRY, ROUTES_NONE };
enum routes_unrouted { UNROUTED_DEAD, UNROUTED_DROP };

/* What the options say; part of bridge_options. */
struct routes_options {
    struct mr_sections routes; /* [route NAME] */
    int ready;                 /* routes.ready: enum routes_ready */
    int unrouted;              /* unrouted: enum routes_unrouted */
};

/* The rows of the table, for MR_OPTION_SECTIONS's `keys`. */
extern const struct mr_option route_keys[];

/* The rows of a table whose struct has a struct routes_options `member`. */
#define ROUTES_OPTIONS(owner, member)                                                          \
    {.key = "route",                                                                           \
     .type = MR_OPTION_SECTIONS,                                                               \
     .keys = route_keys,                                                                       \
     .text =                                                                                   \
         "Which topics are subscribed to, and what their levels say; the first section, in "   \
         "the order of the file, whose `topic` fits a message is its route. See "              \
         "docs/millrace-mqtt.md.",                                                             \
     .offset = offsetof(owner, member.routes)},                                                \
        {.key = "routes.ready",                                                                \
         .type = MR_OPTION_ENUM,                                                               \
         .initial = "drogue",                                                                  \
         .choices = "drogue|telemetry|none",                                                   \
         .text =                                                                               \
             "The ready-made routes behind the [route NAME] sections: drogue's {channel} and " \
             "{channel}/{device}, usual telemetry topics, or none.",                           \
         .offset = offsetof(owner, member.ready)},                                             \
    {                                                                                          \
        .key = "unrouted", .type = MR_OPTION_ENUM, .initial = "dead", .choices = "dead|drop",  \
        .text =                                                                                \
            "What becomes of a message that no route fits, which only an older subscription "  \
            "can bring: the dead-letter topic, or nothing.",                                   \
        .offset = offsetof(owner, member.unrouted)                                             \
    }

struct routes;
struct route;

/* One message's route, and what the topic said. */
struct route_match {
    const struct route *route;
    struct mr_slice values[TOPIC_PATTERN_NAMES_MAX]; /* by the pattern's names; borrow the topic */
};

/* `kafka_topic` is the default one; it and `options` are borrowed for the life of the routes.
 * Errors: MR_ECONFIG (the first problem), MR_ENOMEM. */
int routes_new(const struct routes_options *options, const char *kafka_topic,
               struct routes **ret_routes, struct mr_error *err);
void routes_free(struct routes *routes); /* takes NULL */

/* All that routes_new would refuse, each at its place. `kafka_topic` NULL: not known. */
void routes_check(const struct routes_options *options, const char *kafka_topic,
                  struct mr_check *check);

bool routes_find(const struct routes *routes, struct mr_slice topic, struct route_match *ret_match);

/* The filters to subscribe to: those that no other one covers, since a broker may send a message
 * once for each that matches (MQTT 5.0, 3.3.4). Terminated, owned by `routes`. */
size_t routes_filters(const struct routes *routes);
const char *routes_filter(const struct routes *routes, size_t index);

/* The different Kafka topics, the default first. */
size_t routes_kafka_topics(const struct routes *routes);
const char *routes_kafka_topic(const struct routes *routes, size_t index);

/* The Kafka topic of a route, one of those. */
const char *route_kafka_topic(const struct route *route);

#endif

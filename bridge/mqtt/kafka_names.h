// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_KAFKA_NAMES_H
#define MQTT_KAFKA_NAMES_H

/* The Kafka topics that the bridge may write to besides its default one: those of the routes, and
 * of each the one for its dead letters. All are constants of the configuration. Pure. */

#include <millrace/error.h>

#include "bridge/mqtt/routes.h"

enum { KAFKA_NAMES_MAX = 2 * ROUTES_KAFKA_TOPICS_MAX - 1 };

#define KAFKA_NAMES_DEAD ".dead" /* behind a topic's name */

struct kafka_names {
    char *names[KAFKA_NAMES_MAX + 1]; /* ends with NULL */
};

/* Errors: MR_ENOMEM. */
int kafka_names_make(const struct routes *routes, struct kafka_names *ret_names,
                     struct mr_error *err);
void kafka_names_done(struct kafka_names *names);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_SUBSCRIPTIONS_H
#define MQTT_SUBSCRIPTIONS_H

/* The filters that each connection subscribes to, and the connections' client ids. Pure, but for
 * the host's name. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/error.h>

#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/message.h"
#include "bridge/mqtt/routes.h"

struct subscriptions {
    char **filters; /* "$share/GROUP/sensors/+/+", or without the share */
    size_t count;
};

/* `group` NULL: not shared. Errors: MR_ENOMEM. */
int subscriptions_make(const struct routes *routes, const char *group,
                       struct subscriptions *ret_subscriptions, struct mr_error *err);
void subscriptions_done(struct subscriptions *subscriptions);

/* A broker may send a message once for each subscription that matches (MQTT 5.0, 3.3.4), also to
 * different members of a share group. With identifiers, the filter's place from 1 on, the copies
 * can be told apart: that of the first filter that takes the topic counts. */

/* Some topic is taken by two of the filters: they need identifiers. */
bool subscriptions_overlap(const struct routes *routes);

/* Whether this copy counts; the only one does, and every one of a broker that doesn't say for which
 * subscription it is. */
bool subscriptions_count_copy(const struct routes *routes, const struct mqtt_message *message);

/* Of the connection with this index, from 0, of `connections`: "millrace-mqtt-gateway7-2".
 * `client_id` NULL: by the host's name. */
void subscriptions_client_id(const char *client_id, int64_t connections, int64_t index,
                             char ret_id[CONNECTION_ID_BYTES]);

#endif

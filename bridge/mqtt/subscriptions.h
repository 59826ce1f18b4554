// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_SUBSCRIPTIONS_H
#define MQTT_SUBSCRIPTIONS_H

/* The filters that each connection subscribes to, and the connections' client ids. Pure, but for
 * the host's name. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>

#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/message.h"
#include "bridge/mqtt/routes.h"

struct subscriptions {
    char **filters; /* "$share/GROUP/sensors/+/+", or without the share */
    size_t count;
    uint32_t identifiers; /* filter i has this and i as its identifier; 0: they need none */
};

/* `group` NULL: not shared. Errors: MR_ENOMEM. */
int subscriptions_make(const struct routes *routes, const char *group,
                       struct subscriptions *ret_subscriptions, struct mr_error *err);
void subscriptions_done(struct subscriptions *subscriptions);

/* A broker may send a message once for each subscription that matches (MQTT 5.0, 3.3.4), also to
 * different members of a share group. Where filters overlap each has an identifier, which also
 * tells other lists of filters apart: what was subscribed to by an earlier configuration may be the
 * only copy of what waited since then. */

/* Whether this copy of a message is the one to be taken: it was sent for the first filter that
 * takes its topic, or for no subscription of this list, or the broker doesn't say. */
bool subscriptions_take_copy(const struct routes *routes, uint32_t identifiers,
                             const struct mqtt_message *message);

/* Of the connection with this index, from 0, of `connections`: "millrace-mqtt-gateway7-2".
 * `client_id` NULL: by the host's name. */
void subscriptions_client_id(const char *client_id, int64_t connections, int64_t index,
                             char ret_id[CONNECTION_ID_BYTES]);

#endif

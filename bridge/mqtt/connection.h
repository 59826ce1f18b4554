// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_CONNECTION_H
#define MQTT_CONNECTION_H

/* One session at the broker, and the connection for it: connected, subscribed, read from, and
 * connected again for ever. Its messages go to `deliveries`; their acknowledgements leave when
 * Kafka has them (ack_window.h). Main loop. */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include <millrace/error.h>

#include "bridge/mqtt/bridge_options.h"
#include "bridge/mqtt/deliveries.h"
#include "bridge/mqtt/mqtt_metrics.h"
#include "bridge/mqtt/routes.h"

struct broker_watch;
struct connection;

enum { CONNECTION_ID_BYTES = 512, CONNECTION_REASON_BYTES = 256 };

struct connection_spec {
    uv_loop_t *loop;
    const struct bridge_options *options;
    const char *client_id; /* copied */
    char *const *filters;  /* as they are subscribed to, with their $share/GROUP/ */
    size_t filter_count;
    uint32_t identifiers; /* subscriptions.h */
    const struct routes *routes;
    struct deliveries *deliveries;
    const struct mqtt_metrics *metrics;
    struct broker_watch *watch;    /* NULL: another connection does that */
    void (*on_change)(void *user); /* connection_reason has another answer */
    bool retires;                  /* end the session for good (retire.c), then: */
    void (*on_retired)(void *user);
    void *user;
};

/* It begins to connect at once. Errors: MR_ENOMEM, MR_EIO. */
int connection_open(const struct connection_spec *spec, struct connection **ret_connection,
                    struct mr_error *err);

/* Why it isn't subscribed, terminated; NULL: it is. */
const char *connection_reason(const struct connection *connection);

/* Read no more, wait until Kafka has what was read, acknowledge that, say DISCONNECT, and see that
 * the broker gets it. `drained` is called once, unless connection_close comes first. */
void connection_drain(struct connection *connection, void (*drained)(void *user), void *user);

/* Close at once; nothing more is acknowledged. Deliveries must call back no more. `closed` is
 * called when nothing is left. */
void connection_close(struct connection *connection, void (*closed)(void *user), void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_DELIVERIES_H
#define MQTT_DELIVERIES_H

/* Messages on their way from a connection to Kafka. Happy path: a message comes -> its route -> an
 * event -> mr_send -> stored -> settled. What can go wrong: no route, or it can't become an event,
 * or Kafka finds it too large (it goes to the dead-letter topic, with its MQTT topic, properties
 * and the reason, and is settled when Kafka has that; `unrouted = drop` settles it at once); it is
 * surely not stored, or perhaps (sent again after a while, with the same id, until it is stored);
 * its expiry passes before that (dropped, counted); memory is short (tried again). One object is a
 * message, from its receipt to its settlement; a bridge has one `deliveries` for all its
 * connections, on the main loop. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/producer.h>
#include <millrace/slice.h>

#include "bridge/mqtt/message.h"
#include "bridge/mqtt/routes.h"

struct deliveries;
struct mqtt_metrics;

struct deliveries_spec {
    uv_loop_t *loop;
    struct mr_port *port;
    const struct routes *routes;
    bool drops_unrouted;
    size_t message_bytes_max; /* of a record in Kafka */
    struct mqtt_metrics *metrics;
};

/* Called once for each message, on the loop, never from inside deliveries_take. `id` of the event
 * that was stored; absent for others; valid during the callback. */
typedef void (*deliveries_settled_cb)(void *user, void *item, struct mr_slice id);

/* Errors: MR_ENOMEM, MR_EIO. */
int deliveries_new(const struct deliveries_spec *spec, struct deliveries **ret_deliveries,
                   struct mr_error *err);

/* Take a message, which is copied as far as it is needed later. `id`: see mqtt_event_make;
 * `ret_id` borrows until the settlement: the event's. `item` comes back with the settlement.
 * Errors: MR_ENOMEM (nothing was taken). */
int deliveries_take(struct deliveries *deliveries, const struct mqtt_message *message,
                    struct mr_slice id, deliveries_settled_cb settled, void *user, void *item,
                    struct mr_slice *ret_id, struct mr_error *err);

/* Not settled yet, and their bytes. */
size_t deliveries_count(const struct deliveries *deliveries);
size_t deliveries_bytes(const struct deliveries *deliveries);

/* Nothing is sent again any more, and no callback comes; what is with the producer is waited for,
 * by the frame. `closed` is called when nothing is left. */
void deliveries_close(struct deliveries *deliveries, void (*closed)(void *user), void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_DELIVERIES_H
#define MQTT_DELIVERIES_H

/* Messages on their way from a connection to Kafka. Happy path: a message comes -> its route -> an
 * event -> producer_send_event -> stored -> settled. What can go wrong: no route, or it can't
 * become an event, or Kafka finds it too large (it goes to the dead-letter topic, which is `.dead`
 * behind the name of its route's topic, or the default one's; with its MQTT topic, properties and
 * the reason (dead_message.h); and is settled when Kafka has that; `unrouted = drop` settles it at
 * once); it is surely not stored, or perhaps (sent again after 100 ms, then later and later up to 5
 * s, as the same event with the same id, until it is stored); its expiry passes before it is sent
 * again (dropped, counted; what is with the producer is stored all the same, and a dead letter
 * doesn't expire); memory is short (tried again). One object is a message, from its receipt to its
 * settlement; a bridge has one `deliveries` for all its connections, on the main loop.
 *
 * Order: events of the same key are given to the producer in the order in which they were taken,
 * and it keeps that. While one waits to be sent again, those of its key that are taken after it
 * wait behind it; only those that the producer had already may be stored before it.
 *
 * Bounds: what is taken is bounded by the connections' windows. */

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
    size_t message_bytes_max;     /* of a record in Kafka: producer_message_bytes_max */
    struct mqtt_metrics *metrics; /* those of the outcomes, retries and in_flight are kept here */
};

/* Called once for each message, on the loop, never from inside deliveries_take. `id` of the event
 * that was stored; absent for others; valid during the callback. */
typedef void (*deliveries_settled_cb)(void *user, void *item, struct mr_slice id);

/* Errors: MR_ENOMEM, MR_EIO. */
int deliveries_new(const struct deliveries_spec *spec, struct deliveries **ret_deliveries,
                   struct mr_error *err);

/* Take a message, which is copied as far as it is needed later. `id`: see mqtt_event_make;
 * `ret_id` borrows until the settlement: the event's, absent if it is none. `item` comes back with
 * the settlement. Errors: MR_ENOMEM (nothing was taken). */
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

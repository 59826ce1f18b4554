// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_ACK_WINDOW_H
#define MQTT_ACK_WINDOW_H

/* What one connection has read and may not acknowledge yet. libmosquitto queues a message's PUBACK
 * before it hands it over, and a write sends all that is queued. So a connection reads for a while
 * (until nothing more comes, or a bound), writes nothing until Kafka has all of that, writes, and
 * reads again. Acknowledgements thus leave in the order of receipt (MQTT 5.0, 4.6). Pure. */

#include <stdbool.h>
#include <stddef.h>

struct ack_window {
    size_t messages_max;
    size_t bytes_max;
    size_t messages;  /* read since the last release */
    size_t bytes;     /* theirs */
    size_t held;      /* those of them that are to be acknowledged */
    size_t unsettled; /* of all that were ever taken */
    bool is_shut;     /* nothing is read until the release */
};

void ack_window_init(struct ack_window *window, size_t messages_max, size_t bytes_max);

/* A message was read. `is_acknowledged`: QoS 1. `is_unsettled`: ack_window_settle follows. */
void ack_window_take(struct ack_window *window, size_t bytes, bool is_acknowledged,
                     bool is_unsettled);
void ack_window_settle(struct ack_window *window);

/* Nothing more has come: what was read is waited for. A window in which nothing is to be
 * acknowledged stays open. */
void ack_window_shut(struct ack_window *window);

/* The connection has ended, but what came on it before may be read, up to the bounds. */
void ack_window_open(struct ack_window *window);

/* Whether the connection may be read from. */
bool ack_window_reads(const struct ack_window *window);

/* Whether something may be written: that acknowledges nothing that isn't settled. */
bool ack_window_writes(const struct ack_window *window);

/* All is settled and what was queued is written: begin anew. */
void ack_window_release(struct ack_window *window);

/* The connection has ended, and what it had queued with it. What isn't settled still is to be. */
void ack_window_abandon(struct ack_window *window);

#endif

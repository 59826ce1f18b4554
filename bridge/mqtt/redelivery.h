// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_REDELIVERY_H
#define MQTT_REDELIVERY_H

/* Which QoS 1 messages of one session the broker may send again, and what became of them: so that
 * one that comes again keeps its id, and isn't produced twice. What the broker sends for the first
 * time (no DUP flag, MQTT 5.0, 3.3.1.1) is new, however it looks: the packet id may be free again
 * without our acknowledgement, for the message has expired, or was given to another of the share
 * (4.8.2). Otherwise a message is known by its packet id and a digest (SHA-256) of topic, payload,
 * retain flag and properties (but the expiry, of which less is left each time), and only a broker
 * that says "session present" can mean the same one. Pure.
 *
 * An acknowledgement that was never given to the socket has surely not arrived: a message with that
 * packet id and digest is the same one. One that was given to the socket of a connection that ended
 * since may have arrived: the message is taken as the same one (it keeps its id) but is produced
 * again, for a new message could look the same.
 *
 * A broker sends again in the order in which it sent first (MQTT 5.0, 4.6), before what is new. So
 * of what came on earlier connections a message can only be one that came after all those that were
 * recognised on this one, and after the first that is new it can be none of them: the rest is
 * forgotten then. Without this a packet id that is used again, with the same payload, would be
 * taken for an old message. With a broker that keeps to no order messages are produced twice, none
 * is lost. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "bridge/mqtt/message.h"

enum { REDELIVERY_ID_BYTES = 64 }; /* of an id; a longer one is the message's own, not kept here */

enum redelivery_state {
    REDELIVERY_PENDING, /* on its way to Kafka */
    REDELIVERY_SETTLED, /* Kafka has it; its acknowledgement is held back */
    REDELIVERY_SENT,    /* its acknowledgement was given to the socket */
};

enum redelivery_verdict {
    REDELIVERY_NEW,    /* produce it; an entry was made */
    REDELIVERY_AGAIN,  /* produce it with `ret_id`; the entry is pending again */
    REDELIVERY_WAITS,  /* it is on its way: acknowledged when that is settled; nothing to do */
    REDELIVERY_STORED, /* Kafka has it: acknowledge it only */
};

struct redelivery;
struct redelivery_entry;

/* `max` (at least 1) bounds the entries (Receive Maximum and as many again); the oldest is
 * forgotten for a new one. What is forgotten while it is pending isn't counted: it lives until it
 * is settled. Errors: MR_ENOMEM. */
int redelivery_new(size_t max, struct redelivery **ret_redelivery, struct mr_error *err);
void redelivery_free(struct redelivery *redelivery);

/* A message of QoS 1 has come on the connection that redelivery_connected told of. `ret_entry`
 * lives until redelivery_settled, and for REDELIVERY_STORED until the next call of any function
 * here. Errors: MR_ENOMEM (nothing has changed, but that an earlier message of this packet id may
 * be forgotten; the message may be produced without an entry). */
int redelivery_take(struct redelivery *redelivery, const struct mqtt_message *message,
                    enum redelivery_verdict *ret_verdict, struct redelivery_entry **ret_entry,
                    struct mr_error *err);

/* The id that the event got; kept if it fits. For REDELIVERY_AGAIN. */
void redelivery_set_id(struct redelivery_entry *entry, struct mr_slice id);
struct mr_slice redelivery_id(const struct redelivery_entry *entry); /* absent: none */

/* A pending one is settled, once for however many copies wait for it. */
void redelivery_settled(struct redelivery *redelivery, struct redelivery_entry *entry);

/* Acknowledgements of all that came on this connection and is settled were given to the socket. */
void redelivery_sent(struct redelivery *redelivery);

/* The connection is new. Without the session packet ids mean nothing any more: all is forgotten
 * (what is pending is settled into nothing). */
void redelivery_connected(struct redelivery *redelivery, bool session_present);

/* The broker may still send again what came on earlier connections. */
bool redelivery_expects(const struct redelivery *redelivery);

/* How many may be recognised. */
size_t redelivery_count(const struct redelivery *redelivery);

#endif

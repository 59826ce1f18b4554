// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SCRIPT_BROKER_H
#define TESTS_LIB_SCRIPT_BROKER_H

/* An MQTT broker on a raw socket of 127.0.0.1 that does what the test says: it records every packet
 * in the order of time, answers as its script has it, and sends whatever bytes it is given. It has
 * no memory of sessions: whether one is present is the script's word. One thread does all of its
 * reading and writing; the functions here may be called from the test's thread alone. Waits end
 * after SCRIPT_BROKER_DEADLINE_S; what isn't as expected fails the test. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/mqtt_wire.h"

struct cert;

enum { SCRIPT_BROKER_DEADLINE_S = 150, SCRIPT_BROKER_CONNECTIONS_MAX = 1024 };

/* How it answers, from now on. All zero: it takes everybody, without a session, and grants all. */
struct script_broker_script {
    bool connack_held; /* a CONNECT gets no answer */
    bool drops;        /* a CONNECT ends the connection */
    uint8_t connack;   /* reason (3.2.2.2; return code in 3.1.1); not 0: it then closes */
    bool session_present;
    struct mr_slice connack_properties; /* a list, see mqtt_wire.h; borrowed; 5.0 only */
    bool suback_held;
    uint8_t suback; /* not 0: this failure for each filter, 3.9.3 */
    bool grants_qos_0;
    bool unsuback_held;
    bool pingresp_held;
    bool reading_held;   /* what clients send isn't read */
    bool takes_anything; /* a packet that isn't right is passed over, and fails no test */
};

/* One packet that came, or the end of a connection (WIRE_END). */
struct script_broker_packet {
    struct wire_packet packet;
    unsigned number;      /* of this broker, from 1 */
    unsigned connection;  /* from 1 */
    double at_s;          /* raw_now_s */
    bool session_present; /* of CONNECT: what its answer said */
};

struct script_broker;

/* `server`: with TLS, under this certificate (NULL: without); clients must show one that `ca` has
 * signed (NULL: none is asked for). */
struct script_broker *script_broker_start(const struct cert *server, const struct cert *ca);
uint16_t script_broker_port(const struct script_broker *broker);
/* Takes NULL. */
void script_broker_stop(struct script_broker *broker);

void script_broker_set(struct script_broker *broker, const struct script_broker_script *script);

/* Down: connections are refused, and those that are open are closed. The port stays ours. */
void script_broker_set_up(struct script_broker *broker, bool up);

/* Connections so far, also those that have ended; each is named by its number, from 1. */
unsigned script_broker_connections(struct script_broker *broker);

/* The first packet of this type after packet number `after` (0: of all); it stays where it is until
 * script_broker_stop. */
const struct script_broker_packet *script_broker_wait_packet(struct script_broker *broker,
                                                             enum wire_type type, unsigned after);
/* NULL: there is none so far. */
const struct script_broker_packet *script_broker_look(struct script_broker *broker,
                                                      enum wire_type type, unsigned after);
/* The packet of this number, or NULL. */
const struct script_broker_packet *script_broker_packet_at(struct script_broker *broker,
                                                           unsigned number);

/* Packets of this type on `connection` (0: on all). */
size_t script_broker_count(struct script_broker *broker, enum wire_type type, unsigned connection);
void script_broker_wait_count(struct script_broker *broker, enum wire_type type,
                              unsigned connection, size_t count);

/* A client has connected and subscribed after packet number `after`; returns its connection. */
unsigned script_broker_wait_subscribed(struct script_broker *broker, unsigned after);

/* The version that its client speaks. */
uint8_t script_broker_level(struct script_broker *broker, unsigned connection);

/* Bytes for the connection's socket, which are sent as it takes them. */
void script_broker_send(struct script_broker *broker, unsigned connection, struct mr_slice bytes);
/* The same, but nothing is read or answered there until the last part is sent: no answer comes in
 * between. */
void script_broker_send_part(struct script_broker *broker, unsigned connection,
                             struct mr_slice bytes, bool is_last);
void script_broker_publish(struct script_broker *broker, unsigned connection,
                           const struct wire_publish *publish);
/* Bytes that the connection's socket didn't take so far. */
size_t script_broker_unsent(struct script_broker *broker, unsigned connection);

/* Once everything is sent: FIN, or (`reset`) RST at once. */
void script_broker_close(struct script_broker *broker, unsigned connection, bool reset);
/* DISCONNECT with this reason, then FIN. */
void script_broker_disconnect(struct script_broker *broker, unsigned connection, uint8_t reason,
                              const char *text);

#endif

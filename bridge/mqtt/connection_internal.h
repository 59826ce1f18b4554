// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_CONNECTION_INTERNAL_H
#define MQTT_CONNECTION_INTERNAL_H

/* What the connection's files share.
 *     connection.c          its life: attempts, pauses, drain, close
 *     connection_session.c  what happens once there is a socket: CONNACK, SUBACK, messages, writing
 *     retire.c              the end of its session for good */

#include <netdb.h>

#include "bridge/mqtt/ack_window.h"
#include "bridge/mqtt/backoff.h"
#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/message_properties.h"
#include "bridge/mqtt/mqtt_client.h"
#include "bridge/mqtt/redelivery.h"

enum { CONNECTION_MAGIC = 0x4d434f4e };

enum connection_state {
    CONNECTION_WAITING, /* for the next attempt: a pause, or for what isn't settled */
    CONNECTION_RESOLVING,
    CONNECTION_CONNECTING, /* to CONNACK */
    CONNECTION_SUBSCRIBING,
    CONNECTION_READY,
    CONNECTION_LEAVING, /* DISCONNECT is on its way, or the broker's end of the connection */
    CONNECTION_OVER,
};

/* How an attempt, or a connection, ended. */
enum connection_end {
    CONNECTION_LOST,    /* by the network, or the broker */
    CONNECTION_REFUSED, /* the broker doesn't want it */
    CONNECTION_AWAY,    /* by ourselves, to wait for Kafka */
};

struct connection {
    unsigned magic;
    struct connection_spec spec;
    char client_id[CONNECTION_ID_BYTES];
    enum connection_state state;
    struct mqtt_client *client; /* from CONNECTING to LEAVING */
    struct ack_window window;
    struct redelivery *redelivery;
    struct message_properties properties;
    struct backoff backoff;
    uv_timer_t retry; /* WAITING */
    uv_timer_t tick;
    uv_getaddrinfo_t lookup;
    struct addrinfo *addresses; /* of the broker, all; NULL: none at hand */
    struct addrinfo *address;   /* the one that is tried */
    uint64_t began_ms;          /* uv_now: of the state, CONNECTING to READY */
    uint64_t heard_ms;          /* when a message last came */
    uint64_t written_ms;        /* when something was last written */
    int keep_alive_s;
    int suback_id;
    size_t asked;    /* filters of the SUBSCRIBE that is to be answered */
    size_t granted;  /* of those before it */
    int unsuback_id; /* of the round of retire.c */
    unsigned retire_rounds;
    size_t retire_messages; /* in this round */
    bool identifies;        /* each filter has a SUBSCRIBE of its own, with an identifier */
    bool is_looking_up;
    bool is_lingering;
    bool is_due;         /* the pause is over; what isn't settled is waited for */
    bool has_subscribed; /* since the program's start */
    bool forgets;        /* what the redeliveries know is not to be trusted */
    bool is_writing;     /* the socket took only a part */
    bool is_hung_up;     /* by the broker: nothing that is written will arrive */
    bool is_draining;
    bool is_closing;
    bool is_round_open;   /* UNSUBACK is waited for */
    bool has_left;        /* DISCONNECT was written */
    bool is_cleaning;     /* the next connection has a clean session */
    bool is_session_over; /* the broker will have none any more */
    bool is_refused;      /* set inside a callback, with `failure`, to end it afterwards */
    bool has_reached;     /* somebody listened at the address that `attempt` is about */
    char failure[CONNECTION_REASON_BYTES];
    char attempt[CONNECTION_REASON_BYTES];      /* what is wrong, of the addresses so far */
    char reason[CONNECTION_REASON_BYTES + 128]; /* why it isn't ready */
    unsigned handles;
    void (*drained)(void *user);
    void *drained_user;
    void (*closed)(void *user);
    void *closed_user;
};

/* connection.c */

/* There is no client any more after this. */
void connection_end(struct connection *connection, enum connection_end how, const char *reason);
void connection_set_state(struct connection *connection, enum connection_state state);
/* All is written, and the window is empty: the drain may go on. */
void connection_leave_if_drained(struct connection *connection);
/* Say DISCONNECT, and see that the broker gets it. */
void connection_leave(struct connection *connection, bool ends_session);
void connection_over(struct connection *connection);
/* Nothing is unsettled any more, and there is no client. */
void connection_try_again(struct connection *connection);

/* connection_session.c */

/* Begin to connect to `address`. Errors: as mqtt_client_connect. */
int session_begin(struct connection *connection, const char *address, uint16_t port,
                  struct mr_error *err);

/* Once a second, with a client. */
void session_tick(struct connection *connection);

/* End the connection after the read that this is called from. The first text counts. */
void session_fail(struct connection *connection, const char *text, bool is_refused);

/* Write what may be written, and watch the socket for what comes next. */
void session_go_on(struct connection *connection);

/* retire.c; nothing happens to a connection that isn't to be retired */

void retire_begin(struct connection *connection); /* CONNACK has come */
void retire_unsuback(struct connection *connection, int packet_id);
/* The next step, when nothing is held. True: something is to be written. */
bool retire_go_on(struct connection *connection);
/* The broker has ended the connection after our DISCONNECT. False: that is all. */
bool retire_left(struct connection *connection);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_CLIENT_H
#define MQTT_MQTT_CLIENT_H

/* One libmosquitto client for one network connection: made, connected, driven and thrown away; the
 * next connection gets another, so that nothing that was queued for one can leave with the next.
 * Bytes leave only inside mqtt_client_write: the library believes itself in a threaded program
 * (mosquitto_threaded_set), and then only queues. A client that is freed just closes its socket:
 * what was queued is never sent. Nothing here blocks. */

#include <mosquitto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>

struct broker_tls;

/* What the broker answered to CONNECT. */
struct mqtt_connack {
    int code; /* 0: accepted */
    bool session_present;
    int keep_alive_s;   /* the broker's own, which holds then (MQTT 5.0, 3.2.2.3.14); -1: none */
    int64_t expiry_s;   /* of the session, if it isn't what was asked for; -1 */
    bool shares;        /* it knows shared subscriptions */
    bool identifies;    /* and subscription identifiers (v5) */
    const char *reason; /* in its words or the specification's; valid during the callback */
};

/* Called from inside mqtt_client_read: they may queue packets, but must not free the client. */
struct mqtt_client_events {
    void (*on_connack)(void *user, const struct mqtt_connack *connack);
    void (*on_message)(void *user, const struct mosquitto_message *message,
                       const mosquitto_property *properties);
    /* `codes`, one for each filter: the granted QoS, or a failure (128 and more). */
    void (*on_suback)(void *user, int packet_id, int count, const int *codes);
    void (*on_unsuback)(void *user, int packet_id);
    /* From the loop: the socket's state (UV_READABLE, UV_WRITABLE; UV_DISCONNECT: the broker has
     * closed it); 0: it has an error, and isn't watched any more. What came before these may be
     * read. */
    void (*on_socket)(void *user, int events);
};

struct mqtt_client_spec {
    const char *client_id;
    bool is_v5;
    bool clean;       /* clean start */
    int64_t expiry_s; /* of the session, v5 */
    int keep_alive_s; /* at least 5 */
    int receive_max;
    uint32_t packet_bytes_max;
    const char *user; /* NULL: none */
    const char *password;
    struct broker_tls *tls; /* NULL: none; taken over, whatever becomes of the call */
    struct mqtt_client_events events;
    void *user_data;
};

struct mqtt_client;

/* Begin to connect; the address is in numbers. Errors: MR_ENOMEM, MR_ENET (the text says why),
 * MR_EINVAL (the library refuses a setting). */
int mqtt_client_connect(uv_loop_t *loop, const struct mqtt_client_spec *spec, const char *address,
                        uint16_t port, struct mqtt_client **ret_client, struct mr_error *err);

/* Close the socket as it is and free; not from inside a callback of the client's. */
void mqtt_client_free(struct mqtt_client *client);

/* Which states of the socket on_socket is called for, besides UV_DISCONNECT and an error. */
void mqtt_client_watch(struct mqtt_client *client, int events);

enum mqtt_client_progress {
    MQTT_CLIENT_MORE,  /* there may be more to read; or not all could be written */
    MQTT_CLIENT_DONE,  /* there is nothing more to read now; or all is written */
    MQTT_CLIENT_ENDED, /* the connection has ended, see mqtt_client_reason */
    MQTT_CLIENT_QOS_2, /* reading: the broker sends a message of QoS 2, see there */
};

/* Read about one packet, and write all that is queued, as far as the socket takes it. The first
 * call finds out whether the connection came about. A message of QoS 2 can't be held back: the
 * library answers it (PUBREC) before it hands it over. So it isn't read, or (TLS) nothing may be
 * written any more: the connection is to be given up. */
enum mqtt_client_progress mqtt_client_read(struct mqtt_client *client);
enum mqtt_client_progress mqtt_client_write(struct mqtt_client *client);

/* Whether mqtt_client_is_first is found out; it costs about a microsecond a message. At first it
 * isn't. Also from inside a callback. */
void mqtt_client_mind_first(struct mqtt_client *client, bool is_minded);

/* Of the message that on_message is called for: the broker says that it hasn't sent it before (DUP
 * is 0). False: it has, or it is not known. */
bool mqtt_client_is_first(const struct mqtt_client *client);

/* Something is queued. */
bool mqtt_client_wants_write(const struct mqtt_client *client);

/* Once a second, while anything may be written: queues a ping when it is time, and finds out that
 * the last was not answered. False: the connection has ended. */
bool mqtt_client_tick(struct mqtt_client *client);

/* The subscription options are QoS 1, retain as published, and retained messages with a new
 * subscription only (v5). `identifier`: of all these subscriptions (MQTT 5.0, 3.8.2.1.2); 0: none.
 * Errors: MR_ENOMEM, MR_ENET. */
int mqtt_client_subscribe(struct mqtt_client *client, char *const *filters, size_t count,
                          uint32_t identifier, int *ret_packet_id, struct mr_error *err);
int mqtt_client_unsubscribe(struct mqtt_client *client, char *const *filters, size_t count,
                            int *ret_packet_id, struct mr_error *err);

/* QoS 0, for what is of the moment only. Errors are of no matter. */
void mqtt_client_subscribe_lightly(struct mqtt_client *client, const char *filter);

/* Queue DISCONNECT. `ends_session`: it expires now (v5). After the write that sends it the library
 * closes the socket; `ret_fd` is another descriptor of it, the caller's, by which what is unread
 * can be read before the connection is given up: a close before that makes the system send a reset,
 * which may overtake what was written. -1: none was left. Errors: MR_ENET. */
int mqtt_client_disconnect(struct mqtt_client *client, bool ends_session, int *ret_fd,
                           struct mr_error *err);

/* DISCONNECT was written as a whole. */
bool mqtt_client_has_left(const struct mqtt_client *client);

/* Why it has ended: never empty. */
const char *mqtt_client_reason(const struct mqtt_client *client);

/* Somebody has listened at the address. */
bool mqtt_client_is_connected(const struct mqtt_client *client);

/* The broker's last word was that another client has taken the session over. */
bool mqtt_client_was_taken_over(const struct mqtt_client *client);

#endif

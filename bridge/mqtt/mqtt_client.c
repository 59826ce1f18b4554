// SPDX-License-Identifier: Apache-2.0
/* Happy path: a libmosquitto client with our settings -> it connects in the background -> the
 * socket is writable: connected -> CONNECT is written -> what is read comes through the callbacks.
 * What can go wrong: the socket or TLS fails, the broker closes, says DISCONNECT with a reason, or
 * sends what is no MQTT (each ends the client, with the reason; the library closes its socket, and
 * our watch of it ends with that). */
#include "bridge/mqtt/mqtt_client.h"

#include <assert.h>
#include <errno.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge/mqtt/abort_guard.h"
#include "bridge/mqtt/broker_tls.h"
#include "bridge/mqtt/mqtt_socket.h"
#include "bridge/mqtt/mqtt_words.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    CLIENT_MAGIC = 0x4d435450,
    REASON_CODE_FAILURE = 128, /* MQTT 5.0, 2.4: this and above */
};

#define BROKER_ENDED     "the broker ended the connection: "
#define RECEIVED_PUBLISH " received PUBLISH (d"
#define QOS_2            ", q2,"

struct mqtt_client {
    unsigned magic;
    struct mosquitto *mosq;
    struct broker_tls *tls; /* NULL: none */
    struct mqtt_client_events events;
    void *user;
    uv_poll_t poll;
    bool is_watched; /* `poll` is of a socket */
    bool is_connected;
    bool is_answered; /* CONNACK has come */
    bool is_ended;
    bool was_taken_over;
    bool is_leaving; /* DISCONNECT is queued */
    bool has_left;   /* and written: the library says so by the same callback */
    bool is_first;   /* the PUBLISH that is being read */
    bool is_inside;  /* a packet: its first byte has been read */
    bool has_qos_2;  /* a PUBLISH of it has come */
    bool is_v5;
    int error; /* errno: the socket's own */
    char reason[sizeof BROKER_ENDED + MQTT_WORDS_BYTES];
};

/* The first reason is the cause. */
static void set_reason(struct mqtt_client *client, const char *text)
{
    if (client->reason[0] == '\0') {
        (void)snprintf(client->reason, sizeof client->reason, "%s", text);
    }
}

const char *mqtt_client_reason(const struct mqtt_client *client)
{
    return client->reason[0] != '\0' ? client->reason
           : client->error != 0      ? strerror(client->error)
                                     : "the connection has ended";
}

bool mqtt_client_is_connected(const struct mqtt_client *client)
{
    return client->is_connected;
}

bool mqtt_client_has_left(const struct mqtt_client *client)
{
    return client->has_left;
}

bool mqtt_client_was_taken_over(const struct mqtt_client *client)
{
    return client->was_taken_over;
}

static bool has_tls_reason(const struct mqtt_client *client)
{
    return client->tls != NULL && broker_tls_reason(client->tls)[0] != '\0';
}

/* ---- what the library calls ---- */

static int64_t property_int32(const mosquitto_property *properties, int name)
{
    uint32_t value;
    return mosquitto_property_read_int32(properties, name, &value, false) == NULL ? -1
                                                                                  : (int64_t)value;
}

static int property_int16(const mosquitto_property *properties, int name)
{
    uint16_t value;
    return mosquitto_property_read_int16(properties, name, &value, false) == NULL ? -1 : value;
}

static bool property_flag(const mosquitto_property *properties, int name, bool otherwise)
{
    uint8_t value;
    return mosquitto_property_read_byte(properties, name, &value, false) == NULL ? otherwise
                                                                                 : value != 0;
}

static void on_connack(struct mosquitto *mosq, void *user, int code, int flags,
                       const mosquitto_property *properties)
{
    struct mqtt_client *client;
    char reason[MQTT_WORDS_BYTES];
    struct mqtt_connack connack;
    bool was_up;
    (void)mosq;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    mqtt_reason_text(client->is_v5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code),
                     properties, reason);
    connack = (struct mqtt_connack){
        .code = code,
        .session_present = (flags & 1) != 0,
        .keep_alive_s = property_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE),
        .expiry_s = property_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL),
        .shares = property_flag(properties, MQTT_PROP_SHARED_SUB_AVAILABLE, true),
        .identifies =
            client->is_v5 && property_flag(properties, MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE, true),
        .reason = reason,
    };
    client->is_answered = true;
    if (code != 0) {
        set_reason(client, reason);
    }
    was_up = abort_guard_suspend();
    client->events.on_connack(client->user, &connack);
    abort_guard_resume(was_up);
    errno = 0; /* mqtt_client_read looks at it */
}

static void on_disconnect(struct mosquitto *mosq, void *user, int code,
                          const mosquitto_property *properties)
{
    struct mqtt_client *client;
    char reason[MQTT_WORDS_BYTES];
    int error = errno;
    (void)mosq;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    client->is_ended = true;
    /* Small codes are the library's, which says so itself; a broker that leaves has large ones. */
    if (code >= REASON_CODE_FAILURE) {
        mqtt_reason_text(mosquitto_reason_string(code), properties, reason);
        (void)snprintf(client->reason, sizeof client->reason, "%s%s", BROKER_ENDED, reason);
        client->was_taken_over = code == MQTT_RC_SESSION_TAKEN_OVER;
    } else if (code == 0) {
        client->has_left = client->is_leaving;
        set_reason(client, "the broker ended the connection");
    } else {
        set_reason(client, mqtt_error_text(code, error));
    }
}

static void on_message(struct mosquitto *mosq, void *user, const struct mosquitto_message *message,
                       const mosquitto_property *properties)
{
    struct mqtt_client *client;
    bool was_up;
    (void)mosq;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    was_up = abort_guard_suspend();
    client->events.on_message(client->user, message, properties);
    abort_guard_resume(was_up);
    client->is_first = false;
    errno = 0;
}

/* The library shows DUP only here, before on_message, and a message of QoS 2, before it answers:
 * "Client ID received PUBLISH (d0, q1, ...". */
static void on_log(struct mosquitto *mosq, void *user, int level, const char *text)
{
    struct mqtt_client *client;
    const char *flag = level == MOSQ_LOG_DEBUG ? strstr(text, RECEIVED_PUBLISH) : NULL;
    (void)mosq;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    if (flag != NULL) {
        flag += sizeof RECEIVED_PUBLISH - 1;
        client->is_first = flag[0] == '0';
        client->has_qos_2 = client->has_qos_2 || strncmp(flag + 1, QOS_2, sizeof QOS_2 - 1) == 0;
    }
}

void mqtt_client_mind_first(struct mqtt_client *client, bool is_minded)
{
    is_minded = is_minded || client->tls != NULL; /* on_log tells of QoS 2 */
    mosquitto_log_callback_set(client->mosq, is_minded ? on_log : NULL);
}

bool mqtt_client_is_first(const struct mqtt_client *client)
{
    return client->is_first;
}

static void on_suback(struct mosquitto *mosq, void *user, int packet_id, int count,
                      const int *codes, const mosquitto_property *properties)
{
    struct mqtt_client *client;
    bool was_up;
    (void)mosq;
    (void)properties;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    was_up = abort_guard_suspend();
    client->events.on_suback(client->user, packet_id, count, codes);
    abort_guard_resume(was_up);
    errno = 0;
}

static void on_unsuback(struct mosquitto *mosq, void *user, int packet_id,
                        const mosquitto_property *properties)
{
    struct mqtt_client *client;
    bool was_up;
    (void)mosq;
    (void)properties;
    MAGIC_CAST(client, user, CLIENT_MAGIC);
    was_up = abort_guard_suspend();
    client->events.on_unsuback(client->user, packet_id);
    abort_guard_resume(was_up);
    errno = 0;
}

/* ---- beginning and end ---- */

static int refuse(int rc, const char *what, struct mr_error *err)
{
    return mr_error_set(err, rc == MOSQ_ERR_NOMEM ? MR_ENOMEM : MR_EINVAL, "%s: %s", what,
                        mosquitto_strerror(rc));
}

/* The library has no call that connects in the background with properties, but it keeps those of an
 * attempt, whatever became of it, for all later ones. So this attempt is one without an address. */
static int set_properties(struct mosquitto *mosq, const struct mqtt_client_spec *spec,
                          struct mr_error *err)
{
    mosquitto_property *properties = NULL;
    int rc = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                          (uint32_t)spec->expiry_s);
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_property_add_int32(&properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
                                          spec->packet_bytes_max);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_connect_bind_v5(mosq, NULL, 0, spec->keep_alive_s, NULL, properties);
        rc = rc == MOSQ_ERR_INVAL ? MOSQ_ERR_SUCCESS : rc;
    }
    mosquitto_property_free_all(&properties);
    return rc == MOSQ_ERR_SUCCESS ? 0 : refuse(rc, "CONNECT", err);
}

static int configure(struct mosquitto *mosq, const struct mqtt_client_spec *spec,
                     struct mr_error *err)
{
    int rc = mosquitto_threaded_set(mosq, true);
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION,
                                  spec->is_v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_RECEIVE_MAXIMUM, spec->receive_max);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_TCP_NODELAY, 1);
    }
    if (rc == MOSQ_ERR_SUCCESS && spec->user != NULL) {
        rc = mosquitto_username_pw_set(mosq, spec->user, spec->password);
    }
    if (rc == MOSQ_ERR_SUCCESS && spec->tls != NULL) {
        rc = mosquitto_int_option(mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
    }
    if (rc == MOSQ_ERR_SUCCESS && spec->tls != NULL) {
        rc = mosquitto_void_option(mosq, MOSQ_OPT_SSL_CTX, broker_tls_context(spec->tls));
    }
    if (rc != MOSQ_ERR_SUCCESS) {
        return refuse(rc, "MQTT client", err);
    }
    mosquitto_connect_v5_callback_set(mosq, on_connack);
    mosquitto_disconnect_v5_callback_set(mosq, on_disconnect);
    mosquitto_message_v5_callback_set(mosq, on_message);
    mosquitto_subscribe_v5_callback_set(mosq, on_suback);
    mosquitto_unsubscribe_v5_callback_set(mosq, on_unsuback);
    return spec->is_v5 ? set_properties(mosq, spec, err) : 0;
}

/* Any error is UV_EBADF to libuv. */
static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct mqtt_client *client;
    MAGIC_CAST(client, poll->data, CLIENT_MAGIC);
    if (status < 0) {
        client->error = mqtt_socket_error(mosquitto_socket(client->mosq));
    }
    client->events.on_socket(client->user, status < 0 ? 0 : events);
}

static int begin(struct mqtt_client *client, uv_loop_t *loop, const struct mqtt_client_spec *spec,
                 const char *address, uint16_t port, struct mr_error *err)
{
    int rc = configure(client->mosq, spec, err);
    if (rc != 0) {
        return rc;
    }
    mqtt_client_mind_first(client, false);
    broker_tls_prepare(client->tls);
    errno = 0;
    rc = mosquitto_connect_bind_async(client->mosq, address, port, spec->keep_alive_s, NULL);
    if (rc != MOSQ_ERR_SUCCESS || mosquitto_socket(client->mosq) < 0) {
        int error = errno;
        return mr_error_set(
            err, MR_ENET, "%s",
            has_tls_reason(client) ? broker_tls_reason(client->tls) : mqtt_error_text(rc, error));
    }
    rc = uv_poll_init(loop, &client->poll, mosquitto_socket(client->mosq));
    if (rc != 0) {
        return mr_error_set(err, MR_ENET, "%s", uv_strerror(rc));
    }
    client->poll.data = client;
    client->is_watched = true;
    mqtt_socket_keep_alive(mosquitto_socket(client->mosq));
    return 0;
}

int mqtt_client_connect(uv_loop_t *loop, const struct mqtt_client_spec *spec, const char *address,
                        uint16_t port, struct mqtt_client **ret_client, struct mr_error *err)
{
    int rc;
    struct mqtt_client *client = mem_zalloc(sizeof *client);
    if (client == NULL) {
        broker_tls_free(spec->tls);
        return mr_error_set(err, MR_ENOMEM, "MQTT client");
    }
    client->magic = CLIENT_MAGIC;
    client->events = spec->events;
    client->user = spec->user_data;
    client->is_v5 = spec->is_v5;
    client->tls = spec->tls;
    client->mosq = mosquitto_new(spec->client_id, spec->clean, client);
    if (client->mosq == NULL) {
        rc = mr_error_set(err, errno == ENOMEM ? MR_ENOMEM : MR_EINVAL, "MQTT client: %s",
                          strerror(errno));
        broker_tls_free(spec->tls);
        mem_free(client);
        return rc;
    }
    rc = begin(client, loop, spec, address, port, err);
    if (rc != 0) {
        mqtt_client_free(client);
        return rc;
    }
    mqtt_client_watch(client, UV_WRITABLE);
    *ret_client = client;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct mqtt_client *client;
    MAGIC_CAST(client, handle->data, CLIENT_MAGIC);
    client->magic = 0;
    mem_free(client);
}

void mqtt_client_free(struct mqtt_client *client)
{
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (client->is_watched) {
        (void)uv_poll_stop(&client->poll);
    }
    mosquitto_destroy(client->mosq);
    broker_tls_free(client->tls);
    client->mosq = NULL;
    client->tls = NULL;
    if (client->is_watched) {
        uv_close((uv_handle_t *)&client->poll, on_closed);
    } else {
        client->magic = 0;
        mem_free(client);
    }
}

/* ---- bytes ---- */

void mqtt_client_watch(struct mqtt_client *client, int events)
{
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (client->is_ended) {
        return;
    }
    (void)uv_poll_start(&client->poll, events | UV_DISCONNECT, on_socket);
}

static enum mqtt_client_progress ended(struct mqtt_client *client, int rc, int error)
{
    client->is_ended = true;
    if (has_tls_reason(client)) {
        (void)snprintf(client->reason, sizeof client->reason, "%s", broker_tls_reason(client->tls));
    }
    client->error = client->error == 0 ? error : client->error;
    if (client->tls != NULL && !client->is_answered &&
        (client->error == EPIPE || client->error == ECONNRESET)) {
        set_reason(client, MQTT_NO_TLS);
    } else if (client->error == 0 || rc != MOSQ_ERR_ERRNO) {
        set_reason(client, mqtt_error_text(rc, client->error));
    }
    (void)uv_poll_stop(&client->poll);
    return MQTT_CLIENT_ENDED;
}

/* The library can't tell why a connection didn't come about. */
static bool comes_about(struct mqtt_client *client)
{
    if (!client->is_connected) {
        client->error =
            client->error == 0 ? mqtt_socket_error(mosquitto_socket(client->mosq)) : client->error;
        client->is_connected = client->error == 0;
    }
    return client->is_connected;
}

/* Under TLS on_log tells, and inside of a packet there is no next. */
static enum mqtt_next next_packet(const struct mqtt_client *client)
{
    return client->tls != NULL || client->is_inside
               ? MQTT_NEXT_OTHER
               : mqtt_socket_next(mosquitto_socket(client->mosq));
}

struct reading {
    struct mosquitto *mosq;
    int rc;
};

static void read_packet(void *user)
{
    struct reading *read = user;
    read->rc = mosquitto_loop_read(read->mosq, 1);
}

enum mqtt_client_progress mqtt_client_read(struct mqtt_client *client)
{
    struct reading read;
    enum mqtt_next next;
    int rc;
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (client->is_ended || !comes_about(client)) {
        return ended(client, MOSQ_ERR_ERRNO, 0);
    }
    next = next_packet(client);
    if (next != MQTT_NEXT_OTHER) {
        return next == MQTT_NEXT_QOS_2 ? MQTT_CLIENT_QOS_2 : MQTT_CLIENT_DONE;
    }
    broker_tls_prepare(client->tls);
    errno = 0;
    read = (struct reading){client->mosq, MOSQ_ERR_MALFORMED_PACKET};
    if (!abort_guard_call(read_packet, &read)) {
        return ended(client, MOSQ_ERR_MALFORMED_PACKET, 0);
    }
    rc = read.rc;
    if (rc != MOSQ_ERR_SUCCESS || client->is_ended || mosquitto_socket(client->mosq) < 0) {
        return ended(client, rc == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : rc, errno);
    }
    client->is_inside = errno == EAGAIN || errno == EWOULDBLOCK;
    return client->has_qos_2   ? MQTT_CLIENT_QOS_2
           : client->is_inside ? MQTT_CLIENT_DONE
                               : MQTT_CLIENT_MORE;
}

enum mqtt_client_progress mqtt_client_write(struct mqtt_client *client)
{
    int rc;
    int error;
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (client->is_ended || !comes_about(client)) {
        return ended(client, MOSQ_ERR_ERRNO, 0);
    }
    mqtt_socket_cork(mosquitto_socket(client->mosq), 1); /* it writes packet by packet */
    broker_tls_prepare(client->tls);
    errno = 0;
    rc = mosquitto_loop_write(client->mosq, 1);
    error = errno;
    mqtt_socket_cork(mosquitto_socket(client->mosq), 0);
    if (rc != MOSQ_ERR_SUCCESS || client->is_ended || mosquitto_socket(client->mosq) < 0) {
        return ended(client, rc == MOSQ_ERR_SUCCESS ? MOSQ_ERR_CONN_LOST : rc, error);
    }
    return mqtt_client_wants_write(client) ? MQTT_CLIENT_MORE : MQTT_CLIENT_DONE;
}

bool mqtt_client_wants_write(const struct mqtt_client *client)
{
    return mosquitto_want_write(client->mosq);
}

bool mqtt_client_tick(struct mqtt_client *client)
{
    int rc;
    MAGIC_CHECK(client, CLIENT_MAGIC);
    broker_tls_prepare(client->tls);
    errno = 0;
    rc = mosquitto_loop_misc(client->mosq);
    if (rc != MOSQ_ERR_SUCCESS || client->is_ended) {
        (void)ended(client, rc, errno);
        return false;
    }
    return true;
}

/* ---- packets ---- */

static int sent(int rc, const char *what, struct mr_error *err)
{
    if (rc == MOSQ_ERR_SUCCESS) {
        return 0;
    }
    return mr_error_set(err, rc == MOSQ_ERR_NOMEM ? MR_ENOMEM : MR_ENET, "%s: %s", what,
                        mosquitto_strerror(rc));
}

int mqtt_client_subscribe(struct mqtt_client *client, char *const *filters, size_t count,
                          uint32_t identifier, int *ret_packet_id, struct mr_error *err)
{
    int options = client->is_v5
                      ? (int)MQTT_SUB_OPT_RETAIN_AS_PUBLISHED | (int)MQTT_SUB_OPT_SEND_RETAIN_NEW
                      : 0;
    mosquitto_property *properties = NULL;
    int rc = MOSQ_ERR_SUCCESS;
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (identifier > 0) {
        rc = mosquitto_property_add_varint(&properties, MQTT_PROP_SUBSCRIPTION_IDENTIFIER,
                                           identifier);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_subscribe_multiple(client->mosq, ret_packet_id, (int)count, filters, 1,
                                          options, properties);
    }
    mosquitto_property_free_all(&properties);
    return sent(rc, "SUBSCRIBE", err);
}

int mqtt_client_unsubscribe(struct mqtt_client *client, char *const *filters, size_t count,
                            int *ret_packet_id, struct mr_error *err)
{
    MAGIC_CHECK(client, CLIENT_MAGIC);
    return sent(
        mosquitto_unsubscribe_multiple(client->mosq, ret_packet_id, (int)count, filters, NULL),
        "UNSUBSCRIBE", err);
}

void mqtt_client_subscribe_lightly(struct mqtt_client *client, const char *filter)
{
    MAGIC_CHECK(client, CLIENT_MAGIC);
    (void)mosquitto_subscribe_v5(client->mosq, NULL, filter, 0, 0, NULL);
}

int mqtt_client_disconnect(struct mqtt_client *client, bool ends_session, int *ret_fd,
                           struct mr_error *err)
{
    mosquitto_property *properties = NULL;
    int rc = MOSQ_ERR_SUCCESS;
    MAGIC_CHECK(client, CLIENT_MAGIC);
    if (client->is_v5 && ends_session) {
        rc = mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
    }
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_disconnect_v5(client->mosq, 0, properties);
    }
    mosquitto_property_free_all(&properties);
    client->is_leaving = rc == MOSQ_ERR_SUCCESS;
    if (client->is_leaving) {
        *ret_fd = dup(mosquitto_socket(client->mosq));
    }
    return sent(rc, "DISCONNECT", err);
}

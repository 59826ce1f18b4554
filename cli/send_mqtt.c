// SPDX-License-Identifier: Apache-2.0
/* Messages over MQTT at QoS 1, as a device sends them. With version 5 the content type and user
 * properties say what 3.1.1 has no place for; --events is CloudEvents' binding: binary mode with 5,
 * structured mode with 3.1.1.
 *
 * Happy path: connect -> CONNACK -> publish as many as the window has room for -> a PUBACK each.
 * What can go wrong: no connection, or it ends (again after a second; libmosquitto then sends what
 * has no PUBACK once more); the broker refuses the client (the end, unless it says "busy"); a
 * PUBACK says that the message was refused, or that nobody subscribes to its topic: that one is
 * refused, the others go on. send_run.c ends it all when nothing comes through. */
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <string.h>

#include "cli/send.h"
#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    MQTT_MAGIC = 0x5e4d40,
    POLL_MAGIC = 0x5e4d41,
    KEEP_ALIVE_S = 60,
    MISC_MS = 500, /* pings, and what a poll can't see */
    WHERE_BYTES = MR_HOST_BYTES + 16,
    CLIENT_ID_BYTES = 64,
    NO_SUBSCRIBER = MQTT_RC_NO_MATCHING_SUBSCRIBERS,
};

#define SYSTEM_AUTHORITIES "/etc/ssl/certs" /* MOSQ_OPT_TLS_USE_OS_CERTS alone is refused */

/* One that waits for its PUBACK. */
struct pending {
    int mid;
    size_t number;
    size_t bytes;
};

/* Watches the socket of one connection; ends after it, on the loop. */
struct socket_poll {
    unsigned magic;
    struct send *send;
    uv_poll_t poll;
};

struct send_mqtt {
    unsigned magic;
    struct send *send;
    struct mosquitto *mosq;
    struct socket_poll *socket;
    uv_timer_t misc;
    uv_timer_t again;
    unsigned timers; /* that are still to be closed */
    bool connected;
    bool has_reason;     /* this connection's end has one: the first one says most */
    const char *refusal; /* the broker's, of the client; NULL: none. Told outside of its callback,
                            in which libmosquitto can't be closed */
    bool settled;        /* since this was cleared: there may be more to read */
    char where[WHERE_BYTES]; /* the broker, for people */
    struct mr_buf name;
    struct mr_buf value;
    size_t pending_count;
    struct pending pending[SEND_WINDOW_MAX]; /* mostly answered in this order */
};

/* --- the socket --- */

static void on_socket(uv_poll_t *poll, int status, int events);

static void on_socket_closed(uv_handle_t *handle)
{
    struct socket_poll *socket;
    MAGIC_CAST(socket, handle->data, POLL_MAGIC);
    socket->magic = 0;
    mem_free(socket);
}

static void forget_socket(struct send_mqtt *mqtt)
{
    if (mqtt->socket != NULL) {
        uv_close((uv_handle_t *)&mqtt->socket->poll, on_socket_closed);
        mqtt->socket = NULL;
    }
}

static void on_again(uv_timer_t *timer);

static void set_reason(struct send_mqtt *mqtt, const char *why)
{
    if (!mqtt->has_reason && !mqtt->send->ended) {
        send_trouble(mqtt->send, mqtt->where, why);
        mqtt->has_reason = true;
    }
}

/* The socket is gone: try again in a while. */
static void lose(struct send_mqtt *mqtt, const char *why)
{
    forget_socket(mqtt);
    mqtt->connected = false;
    if (why != NULL) {
        set_reason(mqtt, why);
    }
    (void)uv_timer_start(&mqtt->again, on_again, SEND_AGAIN_MS, 0);
}

/* After every call of libmosquitto that may write or close. */
static void watch(struct send_mqtt *mqtt)
{
    if (mqtt->send->ended) {
        return;
    }
    if (mosquitto_socket(mqtt->mosq) < 0) {
        if (mqtt->socket != NULL) {
            lose(mqtt, NULL);
        }
        return;
    }
    if (mqtt->socket != NULL) {
        int events = UV_READABLE | (mosquitto_want_write(mqtt->mosq) ? UV_WRITABLE : 0);
        (void)uv_poll_start(&mqtt->socket->poll, events, on_socket);
    }
}

static bool watch_new_socket(struct send_mqtt *mqtt)
{
    struct socket_poll *socket = mem_zalloc(sizeof *socket);
    if (socket == NULL) {
        return false;
    }
    socket->magic = POLL_MAGIC;
    socket->send = mqtt->send;
    socket->poll.data = socket;
    if (uv_poll_init(&mqtt->send->loop, &socket->poll, mosquitto_socket(mqtt->mosq)) != 0) {
        mem_free(socket);
        return false;
    }
    mqtt->socket = socket;
    watch(mqtt);
    return true;
}

static const char *error_text(int rc)
{
    return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

static void check(struct send_mqtt *mqtt, int rc)
{
    /* What on_log and on_disconnect have heard says more than MOSQ_ERR_TLS and "lost". */
    if (rc == MOSQ_ERR_ERRNO) {
        set_reason(mqtt, error_text(rc));
    }
}

/* libmosquitto may have read more than it gave us (TLS). */
static void read_all(struct send_mqtt *mqtt)
{
    do {
        mqtt->settled = false;
        check(mqtt, mosquitto_loop_read(mqtt->mosq, 1));
    } while (mqtt->settled && !mqtt->send->ended);
}

static void go_on(struct send_mqtt *mqtt)
{
    if (mqtt->refusal != NULL) {
        send_give_up(mqtt->send, mqtt->where, mqtt->refusal);
    } else if (!mqtt->send->ended) {
        send_pump(mqtt->send);
    }
    watch(mqtt);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct socket_poll *socket;
    struct send_mqtt *mqtt;
    MAGIC_CAST(socket, poll->data, POLL_MAGIC);
    mqtt = socket->send->mqtt;
    MAGIC_CHECK(mqtt, MQTT_MAGIC);
    if ((events & UV_WRITABLE) != 0 || status < 0) {
        check(mqtt, mosquitto_loop_write(mqtt->mosq, 1));
    }
    if ((events & UV_READABLE) != 0 || status < 0) {
        read_all(mqtt);
    }
    go_on(mqtt);
}

static void on_misc(uv_timer_t *timer)
{
    struct send_mqtt *mqtt;
    MAGIC_CAST(mqtt, timer->data, MQTT_MAGIC);
    if (mqtt->socket != NULL) {
        check(mqtt, mosquitto_loop_misc(mqtt->mosq));
        read_all(mqtt);
        go_on(mqtt);
    }
}

/* --- the connection --- */

static void connect_now(struct send_mqtt *mqtt, bool is_first)
{
    const struct send_options *options = mqtt->send->options;
    int rc;
    mqtt->has_reason = false;
    rc = is_first ? mosquitto_connect_async(mqtt->mosq, options->broker.host, options->broker.port,
                                            KEEP_ALIVE_S)
                  : mosquitto_reconnect_async(mqtt->mosq);
    if (mosquitto_socket(mqtt->mosq) < 0) {
        lose(mqtt, error_text(rc));
    } else if (!watch_new_socket(mqtt)) {
        send_give_up(mqtt->send, mqtt->where, "the socket can't be watched");
    }
}

static void on_again(uv_timer_t *timer)
{
    struct send_mqtt *mqtt;
    MAGIC_CAST(mqtt, timer->data, MQTT_MAGIC);
    connect_now(mqtt, false);
}

/* MQTT 5.0, 3.2.2.2; MQTT 3.1.1, 3.2.2.3. */
static bool is_passing(int protocol, int code)
{
    return protocol == SEND_MQTT_5
               ? code == MQTT_RC_SERVER_UNAVAILABLE || code == MQTT_RC_SERVER_BUSY ||
                     code == MQTT_RC_QUOTA_EXCEEDED || code == MQTT_RC_CONNECTION_RATE_EXCEEDED
               : code == CONNACK_REFUSED_SERVER_UNAVAILABLE;
}

static void on_connect(struct mosquitto *mosq, void *user, int code, int flags,
                       const mosquitto_property *properties)
{
    struct send_mqtt *mqtt;
    const char *text;
    int protocol;
    (void)mosq;
    (void)flags;
    (void)properties;
    MAGIC_CAST(mqtt, user, MQTT_MAGIC);
    protocol = mqtt->send->options->protocol;
    mqtt->connected = code == 0;
    mqtt->settled = true;
    if (code == 0 || mqtt->send->ended) {
        return;
    }
    text = protocol == SEND_MQTT_5 ? mosquitto_reason_string(code) : mosquitto_connack_string(code);
    if (is_passing(protocol, code)) {
        set_reason(mqtt, text);
    } else {
        mqtt->refusal = text;
    }
}

static void on_disconnect(struct mosquitto *mosq, void *user, int code,
                          const mosquitto_property *properties)
{
    struct send_mqtt *mqtt;
    (void)mosq;
    (void)properties;
    MAGIC_CAST(mqtt, user, MQTT_MAGIC);
    mqtt->connected = false;
    set_reason(mqtt,
               code >= MQTT_RC_UNSPECIFIED ? mosquitto_reason_string(code) : error_text(code));
}

static void on_log(struct mosquitto *mosq, void *user, int level, const char *text)
{
    struct send_mqtt *mqtt;
    (void)mosq;
    MAGIC_CAST(mqtt, user, MQTT_MAGIC);
    if (level == MOSQ_LOG_ERR) {
        set_reason(mqtt, text);
    }
}

/* --- messages --- */

static void on_publish(struct mosquitto *mosq, void *user, int mid, int code,
                       const mosquitto_property *properties)
{
    struct send_mqtt *mqtt;
    struct pending done = {0};
    size_t at = 0;
    (void)mosq;
    (void)properties;
    MAGIC_CAST(mqtt, user, MQTT_MAGIC);
    while (at < mqtt->pending_count && mqtt->pending[at].mid != mid) {
        at++;
    }
    if (at == mqtt->pending_count) {
        return;
    }
    done = mqtt->pending[at];
    mqtt->pending_count--;
    memmove(&mqtt->pending[at], &mqtt->pending[at + 1],
            (mqtt->pending_count - at) * sizeof mqtt->pending[0]);
    mqtt->settled = true;
    send_settled(mqtt->send, done.number, done.bytes,
                 code == 0 ? NULL
                 : code == NO_SUBSCRIBER
                     ? "nobody subscribes to the topic: the broker threw it away"
                     : mosquitto_reason_string(code));
}

static int add_pair(mosquitto_property **list, const char *name, const char *value)
{
    return value == NULL
               ? MOSQ_ERR_SUCCESS
               : mosquitto_property_add_string_pair(list, MQTT_PROP_USER_PROPERTY, name, value);
}

/* CloudEvents MQTT binding 1.0.2, 3.1: an attribute a property, the data's type as content type. */
static int add_event(struct send_mqtt *mqtt, mosquitto_property **list, struct mr_event *event)
{
    int rc = MOSQ_ERR_SUCCESS;
    for (size_t i = 0; i < mr_event_count(event) && rc == MOSQ_ERR_SUCCESS; i++) {
        const struct mr_attribute *attribute = mr_event_at(event, i);
        bool is_type = mr_slice_is(attribute->name, MR_SLICE("datacontenttype"));
        struct mr_slice text;
        buf_clear(&mqtt->name);
        buf_clear(&mqtt->value);
        (void)buf_add_slice(&mqtt->name, attribute->name);
        (void)buf_add_char(&mqtt->name, '\0');
        if (mr_event_canonical(event, attribute, &text, NULL) != 0 ||
            buf_add_slice(&mqtt->value, text) != 0 || buf_add_char(&mqtt->value, '\0') != 0 ||
            mqtt->name.failed != 0) {
            return mqtt->value.failed == MR_ELIMIT ? MOSQ_ERR_INVAL : MOSQ_ERR_NOMEM;
        }
        rc = is_type ? mosquitto_property_add_string(list, MQTT_PROP_CONTENT_TYPE, mqtt->value.ptr)
                     : add_pair(list, mqtt->name.ptr, mqtt->value.ptr);
    }
    return rc;
}

static int add_plain(const struct send_options *options, mosquitto_property **list,
                     const struct send_message *message)
{
    int rc = mosquitto_property_add_string(list, MQTT_PROP_CONTENT_TYPE, message->content_type);
    rc = rc != 0 ? rc : add_pair(list, "id", message->id);
    rc = rc != 0 ? rc : add_pair(list, "time", options->time);
    rc = rc != 0 ? rc : add_pair(list, "application", options->application);
    return rc != 0 ? rc : add_pair(list, "device", options->device);
}

static int add_own(struct send_mqtt *mqtt, mosquitto_property **list)
{
    const char *rest = mqtt->send->options->properties;
    struct mr_error err;
    int rc = MOSQ_ERR_SUCCESS;
    while (rc == MOSQ_ERR_SUCCESS && send_property_next(&rest, &mqtt->name, &mqtt->value, &err)) {
        rc = add_pair(list, mqtt->name.ptr, mqtt->value.ptr);
    }
    return rc;
}

static int make_properties(struct send_mqtt *mqtt, const struct send_message *message,
                           mosquitto_property **ret_list)
{
    int rc = message->event != NULL ? add_event(mqtt, ret_list, message->event)
                                    : add_plain(mqtt->send->options, ret_list, message);
    return rc != 0 ? rc : add_own(mqtt, ret_list);
}

/* libmosquitto has it, and sends it when there is a connection. */
static bool is_queued(int rc)
{
    return rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN || rc == MOSQ_ERR_CONN_LOST ||
           rc == MOSQ_ERR_ERRNO || rc == MOSQ_ERR_TLS;
}

static void give(struct send *send, const struct send_message *message)
{
    struct send_mqtt *mqtt = send->mqtt;
    bool is_5 = send->options->protocol == SEND_MQTT_5;
    struct mr_slice payload =
        is_5 && message->event != NULL ? mr_event_data(message->event) : message->data;
    mosquitto_property *properties = NULL;
    int mid = 0;
    int rc = is_5 ? make_properties(mqtt, message, &properties) : MOSQ_ERR_SUCCESS;
    if (rc == MOSQ_ERR_SUCCESS) {
        rc = mosquitto_publish_v5(mqtt->mosq, &mid, send->options->topic, (int)payload.len,
                                  payload.ptr, 1, false, properties);
    } else {
        mid = 0;
        rc = rc == MOSQ_ERR_NOMEM ? rc : MOSQ_ERR_INVAL;
    }
    mosquitto_property_free_all(&properties);
    if (!is_queued(rc)) {
        send_settled(send, message->number, message->data.len, error_text(rc));
        return;
    }
    mqtt->pending[mqtt->pending_count++] =
        (struct pending){.mid = mid, .number = message->number, .bytes = message->data.len};
    if (rc != MOSQ_ERR_SUCCESS) {
        mqtt->connected = false;
    }
}

/* --- open and close --- */

static bool is_ready(const struct send *send)
{
    return send->mqtt != NULL && send->mqtt->connected &&
           send->mqtt->pending_count < SEND_WINDOW_MAX;
}

static int set_options(struct send_mqtt *mqtt)
{
    const struct send_options *options = mqtt->send->options;
    bool is_5 = options->protocol == SEND_MQTT_5;
    int rc = mosquitto_int_option(mqtt->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                                  is_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    rc = rc != 0 ? rc
                 : mosquitto_int_option(mqtt->mosq, MOSQ_OPT_SEND_MAXIMUM, (int)options->window);
    rc = rc != 0 ? rc : mosquitto_int_option(mqtt->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (rc == 0 && options->user != NULL) {
        rc = mosquitto_username_pw_set(mqtt->mosq, options->user, options->password);
    }
    if (rc != 0 || !options->tls) {
        return rc;
    }
    rc = mosquitto_tls_set(mqtt->mosq, options->tls_ca,
                           options->tls_ca == NULL ? SYSTEM_AUTHORITIES : NULL,
                           options->tls_certificate, options->tls_key, NULL);
    return rc != 0 || options->tls_verify_name ? rc : mosquitto_tls_insecure_set(mqtt->mosq, true);
}

static int open_client(struct send_mqtt *mqtt)
{
    const struct send_options *options = mqtt->send->options;
    char own_id[CLIENT_ID_BYTES];
    (void)snprintf(own_id, sizeof own_id, "millrace-send-%ld", (long)uv_os_getpid());
    (void)mosquitto_lib_init();
    mqtt->mosq =
        mosquitto_new(options->client_id == NULL ? own_id : options->client_id, true, mqtt);
    if (mqtt->mosq == NULL) {
        return MOSQ_ERR_NOMEM;
    }
    mosquitto_connect_v5_callback_set(mqtt->mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(mqtt->mosq, on_disconnect);
    mosquitto_publish_v5_callback_set(mqtt->mosq, on_publish);
    mosquitto_log_callback_set(mqtt->mosq, on_log);
    return set_options(mqtt);
}

static int open_mqtt(struct send *send)
{
    const struct mr_address *broker = &send->options->broker;
    bool is_ip6 = strchr(broker->host, ':') != NULL;
    struct send_mqtt *mqtt = mem_zalloc(sizeof *mqtt);
    int rc;
    if (mqtt == NULL) {
        fprintf(stderr, "millrace send: out of memory\n");
        return 1;
    }
    mqtt->magic = MQTT_MAGIC;
    mqtt->send = send;
    send->mqtt = mqtt;
    buf_init(&mqtt->name, SEND_PROPERTY_BYTES_MAX);
    buf_init(&mqtt->value, SEND_PROPERTY_BYTES_MAX);
    (void)snprintf(mqtt->where, sizeof mqtt->where, "%s%s%s:%u", is_ip6 ? "[" : "", broker->host,
                   is_ip6 ? "]" : "", broker->port);
    (void)uv_timer_init(&send->loop, &mqtt->misc);
    (void)uv_timer_init(&send->loop, &mqtt->again);
    mqtt->misc.data = mqtt;
    mqtt->again.data = mqtt;
    mqtt->timers = 2;
    rc = open_client(mqtt);
    if (rc != 0) {
        fprintf(stderr, "millrace send: MQTT: %s\n",
                send->trouble[0] == '\0' ? error_text(rc) : send->trouble);
        return 1;
    }
    (void)uv_timer_start(&mqtt->misc, on_misc, MISC_MS, MISC_MS);
    connect_now(mqtt, true);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct send_mqtt *mqtt;
    MAGIC_CAST(mqtt, handle->data, MQTT_MAGIC);
    mqtt->timers--;
    if (mqtt->timers > 0) {
        return;
    }
    if (mqtt->mosq != NULL) {
        mosquitto_destroy(mqtt->mosq);
    }
    (void)mosquitto_lib_cleanup();
    buf_done(&mqtt->name);
    buf_done(&mqtt->value);
    mqtt->magic = 0;
    mqtt->send->mqtt = NULL;
    mem_free(mqtt);
}

static void close_mqtt(struct send *send)
{
    struct send_mqtt *mqtt = send->mqtt;
    if (mqtt == NULL) {
        return;
    }
    forget_socket(mqtt);
    if (mqtt->mosq != NULL && mosquitto_socket(mqtt->mosq) >= 0) {
        (void)mosquitto_disconnect(mqtt->mosq);
        (void)mosquitto_loop_write(mqtt->mosq, 1);
    }
    uv_close((uv_handle_t *)&mqtt->misc, on_timer_closed);
    uv_close((uv_handle_t *)&mqtt->again, on_timer_closed);
}

const struct send_way send_over_mqtt = {
    .open = open_mqtt, .is_ready = is_ready, .give = give, .close = close_mqtt};

// SPDX-License-Identifier: Apache-2.0
/* Happy path: CONNECT -> CONNACK -> SUBSCRIBE -> SUBACK: ready -> messages are read until nothing
 * more comes, and go to Kafka -> all of them are settled: their acknowledgements are written ->
 * more is read.
 *
 * What can go wrong: the broker refuses the connection or a subscription, or grants no QoS 1; the
 * session has messages of QoS 2 (they are never taken); memory is short (the connection ends, for
 * the message must come again); Kafka takes longer than the keep alive allows (the connection ends
 * without a word, for all that is queued would leave before it); the broker is silent. What a
 * callback finds wrong ends the connection after the read that it was called from. */
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>

#include "bridge/mqtt/broker_tls.h"
#include "bridge/mqtt/broker_watch.h"
#include "bridge/mqtt/connection_internal.h"
#include "bridge/mqtt/message_copy.h"
#include "bridge/mqtt/subscriptions.h"
#include "kit/magic.h"

enum {
    ANSWER_MS_MAX = 15000, /* for CONNACK and SUBACK, from the last message before it on */
    READS_MAX = 256,       /* packets of one turn of the loop */
    HOLD_TENTHS = 12,      /* of the keep alive; the broker waits 15 (MQTT 5.0, 3.1.2.10) */
    CODE_FAILURE = 128,
};

#define HAS_QOS_2                                                                               \
    "the session has messages of QoS 2, of a subscription that isn't the bridge's: they can't " \
    "wait for Kafka before they are acknowledged; let the bridge have a client.id of its own"

/* The first one counts. */
void session_fail(struct connection *connection, const char *text, bool is_refused)
{
    if (connection->failure[0] == '\0') {
        (void)snprintf(connection->failure, sizeof connection->failure, "%.*s",
                       CONNECTION_REASON_BYTES - 1, text);
        connection->is_refused = is_refused;
    }
}

/* ---- what the broker says ---- */

static bool is_v5(const struct connection *connection)
{
    return connection->spec.options->protocol == BRIDGE_PROTOCOL_5;
}

/* Those that overlap one by one and in their order: that of the first is there before a copy is
 * passed over for its sake. */
static void subscribe_more(struct connection *connection)
{
    struct mr_error err;
    size_t next = connection->granted;
    connection->asked = connection->identifies ? 1 : connection->spec.filter_count;
    if (mqtt_client_subscribe(
            connection->client, connection->spec.filters + next, connection->asked,
            connection->identifies ? connection->spec.identifiers + (uint32_t)next : 0,
            &connection->suback_id, &err) != 0) {
        session_fail(connection, err.text, false);
    }
}

static void subscribe(struct connection *connection, bool identifies)
{
    connection->granted = 0;
    connection->identifies = identifies && connection->spec.identifiers > 0;
    subscribe_more(connection);
    if (connection->spec.watch != NULL) {
        mqtt_client_subscribe_lightly(connection->client, BROKER_WATCH_TOPIC);
    }
}

static void be_ready(struct connection *connection)
{
    connection->has_subscribed = true;
    connection_set_state(connection, CONNECTION_READY);
    mr_log(MR_LOG_INFO, "subscribed", MR_STR("client_id", connection->client_id),
           MR_INT("filters", connection->spec.filter_count));
}

static void note_terms(struct connection *connection, const struct mqtt_connack *connack)
{
    int64_t asked_s = connection->spec.options->session_expiry_ms / 1000;
    connection->keep_alive_s = connack->keep_alive_s > 0
                                   ? connack->keep_alive_s
                                   : (int)(connection->spec.options->keep_alive_ms / 1000);
    if (connack->expiry_s >= 0 && connack->expiry_s < asked_s) {
        mr_log(MR_LOG_WARN, "the broker keeps the session for less than session.expiry",
               MR_STR("client_id", connection->client_id), MR_INT("seconds", connack->expiry_s));
    }
}

static void on_connack(void *user, const struct mqtt_connack *connack)
{
    struct connection *connection;
    char text[CONNECTION_REASON_BYTES];
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    if (connack->code != 0) {
        (void)snprintf(text, sizeof text, "the broker refuses the connection: %s", connack->reason);
        session_fail(connection, text, true);
        return;
    }
    if (connection->state != CONNECTION_CONNECTING) {
        session_fail(connection, "the broker sent a second CONNACK", false);
        return;
    }
    if (bridge_text(connection->spec.options->group) != NULL && !connack->shares) {
        session_fail(connection, "the broker has no shared subscriptions, which group needs", true);
        return;
    }
    note_terms(connection, connack);
    mr_log(MR_LOG_INFO, "connected to the broker", MR_STR("client_id", connection->client_id),
           MR_STR("session", connack->session_present ? "present" : "new"));
    redelivery_connected(connection->redelivery, connack->session_present && !connection->forgets);
    mqtt_client_mind_first(connection->client, redelivery_expects(connection->redelivery));
    connection->forgets = false;
    connection_set_state(connection, CONNECTION_SUBSCRIBING);
    if (connection->spec.retires) {
        retire_begin(connection);
    } else if (connack->session_present && !is_v5(connection) && connection->has_subscribed) {
        be_ready(connection); /* subscribing again would bring all retained messages again */
    } else {
        subscribe(connection, connack->identifies);
    }
}

static void on_suback(void *user, int packet_id, int count, const int *codes)
{
    struct connection *connection;
    char text[CONNECTION_REASON_BYTES];
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    if (connection->state != CONNECTION_SUBSCRIBING || packet_id != connection->suback_id) {
        return;
    }
    if ((size_t)count != connection->asked) {
        session_fail(connection, "the broker answered SUBSCRIBE for another number of filters",
                     true);
        return;
    }
    for (int i = 0; i < count; i++) {
        const char *filter = connection->spec.filters[connection->granted + (size_t)i];
        if (codes[i] >= CODE_FAILURE || codes[i] < 0) {
            (void)snprintf(text, sizeof text, "the broker refuses the subscription to '%.100s': %s",
                           filter,
                           is_v5(connection) ? mosquitto_reason_string(codes[i]) : "not allowed");
            session_fail(connection, text, true);
        } else if (codes[i] == 0) {
            (void)snprintf(text, sizeof text,
                           "the broker grants only QoS 0 for '%.100s': it would lose messages",
                           filter);
            session_fail(connection, text, true);
        }
    }
    if (connection->failure[0] != '\0') {
        return;
    }
    connection->granted += connection->asked;
    if (connection->granted < connection->spec.filter_count) {
        connection->began_ms = uv_now(connection->spec.loop);
        subscribe_more(connection);
    } else {
        be_ready(connection);
    }
}

static void on_unsuback(void *user, int packet_id)
{
    struct connection *connection;
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    retire_unsuback(connection, packet_id);
}

/* ---- messages ---- */

static void on_settled(void *user, void *item, struct mr_slice id)
{
    struct connection *connection;
    (void)id;
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    if (item != NULL) {
        redelivery_settled(connection->redelivery, item);
    }
    ack_window_settle(&connection->window);
    if (connection->window.unsettled > 0) {
        return;
    }
    if (connection->client != NULL) {
        session_go_on(connection);
    } else {
        connection_try_again(connection);
    }
}

static void count(struct connection *connection, const struct mqtt_message *message,
                  bool is_unsettled)
{
    bool is_acknowledged = message->qos > 0;
    ack_window_take(&connection->window, message_copy_bytes(message), is_acknowledged,
                    is_unsettled);
    mr_gauge_add(connection->spec.metrics->held, is_acknowledged ? 1 : 0);
}

/* Without memory for it the message is taken all the same: a copy wouldn't be recognised. */
static enum redelivery_verdict recognise(struct connection *connection,
                                         const struct mqtt_message *message,
                                         struct redelivery_entry **ret_entry)
{
    enum redelivery_verdict verdict = REDELIVERY_NEW;
    struct redelivery_entry *entry = NULL;
    if (message->qos == 1 &&
        redelivery_take(connection->redelivery, message, &verdict, &entry, NULL) != 0) {
        verdict = REDELIVERY_NEW;
        entry = NULL;
    }
    if (message->is_first) {
        mqtt_client_mind_first(connection->client, redelivery_expects(connection->redelivery));
    }
    *ret_entry = entry;
    return verdict;
}

static void acknowledge_only(struct connection *connection, const struct mqtt_message *message)
{
    mr_count(connection->spec.metrics->received, 1);
    mr_count(connection->spec.metrics->repeated, 1);
    count(connection, message, false);
}

static void take(struct connection *connection, const struct mqtt_message *message)
{
    struct redelivery_entry *entry;
    struct mr_slice id = {0};
    struct mr_error err;
    enum redelivery_verdict verdict;
    connection->retire_messages++;
    if (!subscriptions_take_copy(connection->spec.routes, connection->spec.identifiers, message)) {
        acknowledge_only(connection, message);
        return;
    }
    verdict = recognise(connection, message, &entry);
    if (verdict == REDELIVERY_WAITS || verdict == REDELIVERY_STORED) {
        acknowledge_only(connection, message);
        return;
    }
    if (verdict == REDELIVERY_AGAIN) {
        id = redelivery_id(entry);
    }
    if (deliveries_take(connection->spec.deliveries, message, id, on_settled, connection, entry,
                        &id, &err) != 0) {
        connection->forgets = true; /* for it isn't settled in truth */
        if (entry != NULL) {
            redelivery_settled(connection->redelivery, entry);
        }
        count(connection, message, false);
        session_fail(connection, err.text, false);
        return;
    }
    mr_count(connection->spec.metrics->received, 1);
    if (entry != NULL) {
        redelivery_set_id(entry, id);
    }
    count(connection, message, true);
}

/* The session has this subscription also when nobody watches any more (retire.c). */
static bool is_watched(struct connection *connection, const struct mqtt_message *message)
{
    struct route_match match;
    if (!mr_slice_is(message->topic, MR_SLICE(BROKER_WATCH_TOPIC))) {
        return false;
    }
    if (connection->spec.watch != NULL) {
        (void)broker_watch_take(connection->spec.watch, message->topic, message->payload);
    }
    return !routes_find(connection->spec.routes, message->topic, &match);
}

/* MQTT 5.0, 3.3.2.1; the library doesn't look. */
static bool is_a_filter(const struct mqtt_message *message)
{
    return memchr(message->topic.ptr, '+', message->topic.len) != NULL ||
           memchr(message->topic.ptr, '#', message->topic.len) != NULL;
}

static void on_message(void *user, const struct mosquitto_message *received,
                       const mosquitto_property *properties)
{
    struct connection *connection;
    struct mqtt_message message;
    struct mr_error err;
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    connection->heard_ms = uv_now(connection->spec.loop);
    if (connection->failure[0] != '\0') {
        return; /* it comes again */
    }
    if (message_properties_read(received, properties, &connection->properties, &message, &err) !=
        0) {
        session_fail(connection, err.text, false);
    } else if (is_a_filter(&message)) {
        session_fail(connection, "the broker sent a message with a wildcard in its topic", true);
    } else if (!is_watched(connection, &message)) {
        message.is_first = mqtt_client_is_first(connection->client);
        take(connection, &message);
    }
    message_properties_clear(&connection->properties);
}

/* ---- the socket ---- */

static bool may_read(const struct connection *connection)
{
    switch (connection->state) {
        case CONNECTION_CONNECTING:
            return true;
        case CONNECTION_SUBSCRIBING:
        case CONNECTION_READY:
            return !connection->is_draining && !connection->is_writing &&
                   ack_window_reads(&connection->window);
        default:
            return false;
    }
}

static void watch(struct connection *connection)
{
    int events = 0;
    if (may_read(connection)) {
        events |= UV_READABLE;
    }
    if (connection->is_writing) {
        events |= UV_WRITABLE;
    }
    mqtt_client_watch(connection->client, events);
}

/* Acknowledgements count as sent from their first byte on. Returns false if the connection has
 * ended. */
static bool write_queued(struct connection *connection)
{
    enum mqtt_client_progress progress;
    if (connection->is_hung_up || !ack_window_writes(&connection->window)) {
        return true;
    }
    if (connection->window.held > 0) {
        redelivery_sent(connection->redelivery);
    }
    if (mqtt_client_wants_write(connection->client) || connection->state == CONNECTION_CONNECTING) {
        connection->written_ms = uv_now(connection->spec.loop);
        progress = mqtt_client_write(connection->client);
        if (progress == MQTT_CLIENT_ENDED) {
            connection_end(connection, CONNECTION_LOST, mqtt_client_reason(connection->client));
            return false;
        }
        connection->is_writing = progress == MQTT_CLIENT_MORE;
    }
    if (!connection->is_writing && connection->window.unsettled == 0) {
        mr_gauge_add(connection->spec.metrics->held, -(int64_t)connection->window.held);
        ack_window_release(&connection->window);
    }
    return true;
}

void session_go_on(struct connection *connection)
{
    do {
        if (!write_queued(connection)) {
            return;
        }
    } while (retire_go_on(connection));
    if (connection->client != NULL) {
        watch(connection);
        connection_leave_if_drained(connection);
    }
}

static void read_some(struct connection *connection)
{
    for (int i = 0; i < READS_MAX && may_read(connection); i++) {
        enum mqtt_client_progress progress = mqtt_client_read(connection->client);
        if (connection->failure[0] != '\0') {
            connection_end(connection,
                           connection->is_refused ? CONNECTION_REFUSED : CONNECTION_LOST,
                           connection->failure);
            return;
        }
        if (progress == MQTT_CLIENT_ENDED) {
            connection_end(connection,
                           mqtt_client_was_taken_over(connection->client) ? CONNECTION_REFUSED
                                                                          : CONNECTION_LOST,
                           mqtt_client_reason(connection->client));
            return;
        }
        if (progress == MQTT_CLIENT_QOS_2) {
            connection_end(connection, CONNECTION_REFUSED, HAS_QOS_2);
            return;
        }
        if (progress == MQTT_CLIENT_DONE) {
            ack_window_shut(&connection->window);
            break;
        }
    }
    session_go_on(connection);
}

/* The broker has closed the connection, or it is broken: what is held will never be acknowledged on
 * it, so it must not count as sent. What the broker said before tells more than the socket. */
static void hang_up(struct connection *connection)
{
    const struct mqtt_client *client = connection->client;
    connection->is_hung_up = true;
    connection->is_writing = false;
    ack_window_open(&connection->window);
    if (may_read(connection)) {
        read_some(connection);
    }
    if (connection->client == client) {
        connection_end(connection, CONNECTION_LOST, mqtt_client_reason(client));
    }
}

static void on_socket(void *user, int events)
{
    struct connection *connection;
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    if (events == 0 || (events & UV_DISCONNECT) != 0) {
        hang_up(connection);
    } else if (write_queued(connection)) {
        if ((events & UV_READABLE) != 0) {
            read_some(connection);
        } else {
            session_go_on(connection);
        }
    }
}

/* ---- time ---- */

/* mosquitto sends all that it had in flight for the session before it answers SUBSCRIBE, which may
 * be hundreds of thousands of messages. */
static bool is_silent(const struct connection *connection, uint64_t now_ms)
{
    uint64_t since_ms =
        connection->heard_ms > connection->began_ms ? connection->heard_ms : connection->began_ms;
    return connection->state != CONNECTION_READY && connection->window.unsettled == 0 &&
           now_ms - since_ms > ANSWER_MS_MAX;
}

static bool holds_too_long(const struct connection *connection, uint64_t now_ms)
{
    return connection->state != CONNECTION_CONNECTING &&
           (!ack_window_writes(&connection->window) || connection->is_writing) &&
           now_ms - connection->written_ms >=
               (uint64_t)connection->keep_alive_s * 1000 * HOLD_TENTHS / 10;
}

static void end_silent(struct connection *connection)
{
    connection_end(connection, CONNECTION_LOST,
                   connection->state == CONNECTION_CONNECTING
                       ? "no answer to the attempt to connect"
                       : "no answer to SUBSCRIBE or UNSUBSCRIBE");
}

static void end_held(struct connection *connection)
{
    if (connection->is_writing) {
        connection_end(connection, CONNECTION_LOST, "the broker reads nothing");
    } else {
        connection_end(connection, CONNECTION_AWAY,
                       "closed by the bridge until Kafka has stored what came from there");
    }
}

/* Where no acknowledgement is held back (QoS 0), pings go on; but when the window is full, their
 * answers aren't read. */
static void keep_alive(struct connection *connection)
{
    if (mqtt_client_tick(connection->client)) {
        session_go_on(connection);
    } else if (connection->window.unsettled > 0 && !ack_window_reads(&connection->window)) {
        end_held(connection);
    } else {
        connection_end(connection, CONNECTION_LOST, mqtt_client_reason(connection->client));
    }
}

void session_tick(struct connection *connection)
{
    uint64_t now_ms = uv_now(connection->spec.loop);
    if (is_silent(connection, now_ms)) {
        end_silent(connection);
    } else if (holds_too_long(connection, now_ms)) {
        end_held(connection);
    } else if (ack_window_writes(&connection->window) &&
               connection->state != CONNECTION_CONNECTING) {
        keep_alive(connection);
    }
}

int session_begin(struct connection *connection, const char *address, uint16_t port,
                  struct mr_error *err)
{
    const struct bridge_options *options = connection->spec.options;
    struct mqtt_client_spec spec = {
        .client_id = connection->client_id,
        .is_v5 = is_v5(connection),
        .clean = connection->is_cleaning,
        .expiry_s = options->session_expiry_ms / 1000,
        .keep_alive_s = (int)(options->keep_alive_ms / 1000),
        .receive_max = (int)options->in_flight_max,
        .packet_bytes_max = (uint32_t)options->packet_bytes_max,
        .user = bridge_text(options->user),
        .password = bridge_text(options->password),
        .events = {on_connack, on_message, on_suback, on_unsuback, on_socket},
        .user_data = connection,
    };
    connection->keep_alive_s = spec.keep_alive_s;
    if (options->tls && broker_tls_new(options, &spec.tls, err) != 0) {
        return MR_ECONFIG;
    }
    return mqtt_client_connect(connection->spec.loop, &spec, address, port, &connection->client,
                               err);
}

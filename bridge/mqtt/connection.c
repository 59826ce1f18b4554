// SPDX-License-Identifier: Apache-2.0
/* Happy path: the broker's addresses are looked up -> the first is connected to, and the session
 * goes on in connection_session.c -> drain: nothing is read any more, what was read is settled and
 * acknowledged -> DISCONNECT -> the broker's end of the connection is read up to its end.
 *
 * What can go wrong: there is no address, or none answers, or the broker refuses us or ends the
 * connection: another attempt after a pause. Kafka doesn't store what was read in time: the
 * connection is closed as it is. Before the next attempt all that was read is settled: the broker
 * will send it again, and what Kafka has is recognised (redelivery.h). */
#include "bridge/mqtt/connection.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>

#include "bridge/mqtt/connection_internal.h"
#include "bridge/mqtt/linger.h"
#include "kit/magic.h"
#include "kit/mem.h"
#include "kit/random.h"

enum {
    TICK_MS = 1000,
    HINT_BYTES = 64,
    STABLE_MS = 10000, /* what stood for so long isn't the same trouble as the next */
    LINGER_MS = 5000,  /* for the broker to read the last acknowledgements, however busy it is */
    PORT_BYTES = 8,
    TLS_RECORD_MESSAGES_MAX = 4096, /* in one TLS record, which is read as a whole */
};

static void begin_attempt(struct connection *connection);

const char *connection_reason(const struct connection *connection)
{
    return connection->state == CONNECTION_READY ? NULL : connection->reason;
}

static void tell(struct connection *connection)
{
    if (!connection->is_closing) {
        connection->spec.on_change(connection->spec.user);
    }
}

void connection_set_state(struct connection *connection, enum connection_state state)
{
    enum connection_state before = connection->state;
    connection->state = state;
    connection->began_ms = uv_now(connection->spec.loop);
    if ((before == CONNECTION_READY) != (state == CONNECTION_READY)) {
        mr_gauge_add(connection->spec.metrics->connected, state == CONNECTION_READY ? 1 : -1);
    }
    tell(connection);
}

static const char *event_text(enum connection_end how, bool was_ready)
{
    if (how == CONNECTION_AWAY) {
        return "connection to the broker closed: Kafka is awaited";
    }
    return was_ready ? "connection to the broker lost" : "no connection to the broker";
}

/* "broker.example.com:1883: Connection refused". The log has it once. */
static void set_reason(struct connection *connection, enum connection_end how, const char *text,
                       const char *hint, bool was_ready)
{
    const struct mr_address *broker = &connection->spec.options->broker;
    char reason[sizeof connection->reason];
    (void)snprintf(reason, sizeof reason, "%.100s:%u: %.*s%s", broker->host, broker->port,
                   CONNECTION_REASON_BYTES - HINT_BYTES, text, hint);
    if (was_ready || strcmp(reason, connection->reason) != 0) {
        mr_log(MR_LOG_WARN, event_text(how, was_ready), MR_STR("client_id", connection->client_id),
               MR_STR("reason", reason));
    }
    memcpy(connection->reason, reason, sizeof reason);
}

/* ---- attempts ---- */

static void on_retry(uv_timer_t *timer)
{
    struct connection *connection;
    MAGIC_CAST(connection, timer->data, CONNECTION_MAGIC);
    connection->is_due = true;
    connection_try_again(connection);
}

void connection_try_again(struct connection *connection)
{
    if (connection->state == CONNECTION_WAITING && connection->is_due &&
        connection->window.unsettled == 0 && !connection->is_closing) {
        begin_attempt(connection);
    }
}

static void pause_after(struct connection *connection, enum connection_end how)
{
    int64_t ms = how == CONNECTION_AWAY      ? 0
                 : how == CONNECTION_REFUSED ? backoff_refused(&connection->backoff, random_seed())
                                             : backoff_next(&connection->backoff, random_seed());
    connection->is_due = false;
    connection_set_state(connection, CONNECTION_WAITING);
    (void)uv_timer_start(&connection->retry, on_retry, (uint64_t)ms, 0);
}

static void forget_addresses(struct connection *connection)
{
    if (connection->addresses != NULL) {
        uv_freeaddrinfo(connection->addresses);
    }
    connection->addresses = NULL;
    connection->address = NULL;
}

/* Errors: as mqtt_client_connect. */
static int connect_to(struct connection *connection, struct mr_error *err)
{
    char host[NI_MAXHOST];
    const struct addrinfo *address = connection->address;
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        return mr_error_set(err, MR_ENET, "an address that can't be written in numbers");
    }
    connection_set_state(connection, CONNECTION_CONNECTING);
    return session_begin(connection, host, connection->spec.options->broker.port, err);
}

static void try_address(struct connection *connection)
{
    struct mr_error err;
    if (connect_to(connection, &err) != 0) {
        connection_end(connection, CONNECTION_LOST, err.text);
    }
}

/* A name may have addresses at which nobody listens (localhost is ::1, too). */
static bool try_next_address(struct connection *connection)
{
    if (connection->address == NULL || connection->address->ai_next == NULL) {
        forget_addresses(connection);
        return false;
    }
    connection->address = connection->address->ai_next;
    try_address(connection);
    return true;
}

static void free_client(struct connection *connection)
{
    if (connection->client != NULL) {
        mqtt_client_free(connection->client);
        connection->client = NULL;
        mr_gauge_add(connection->spec.metrics->held, -(int64_t)connection->window.held);
        ack_window_abandon(&connection->window);
        connection->is_writing = false;
        connection->is_hung_up = false;
    }
}

/* Of the addresses of one attempt, one at which somebody listens has more to tell. */
static void note(struct connection *connection, const char *reason)
{
    bool is_reached = connection->client != NULL && mqtt_client_is_connected(connection->client);
    mr_log(MR_LOG_DEBUG, "attempt failed", MR_STR("client_id", connection->client_id),
           MR_STR("reason", reason), MR_INT("reached", is_reached));
    if (connection->attempt[0] == '\0' || (is_reached && !connection->has_reached)) {
        (void)snprintf(connection->attempt, sizeof connection->attempt, "%s", reason);
        connection->has_reached = is_reached;
    }
}

/* Returns what may help to find the cause. mosquitto 2.0.11 doesn't say that another client has
 * taken the session over (MQTT 5.0, 4.13); 2.0.21 does. */
static const char *end_ready(struct connection *connection, enum connection_end how,
                             bool is_taken_over)
{
    static const char another[] = "; does another client use this client id?";
    mr_count(connection->spec.metrics->reconnects, 1);
    if (uv_now(connection->spec.loop) - connection->began_ms >= STABLE_MS) {
        backoff_reset(&connection->backoff);
        return is_taken_over ? another : "";
    }
    return is_taken_over || how == CONNECTION_LOST ? another : "";
}

void connection_end(struct connection *connection, enum connection_end how, const char *reason)
{
    enum connection_state state = connection->state;
    const char *hint = "";
    bool is_taken_over =
        connection->client != NULL && mqtt_client_was_taken_over(connection->client);
    note(connection, reason);
    free_client(connection);
    connection->failure[0] = '\0';
    connection->is_refused = false;
    if (state == CONNECTION_READY) {
        hint = end_ready(connection, how, is_taken_over);
    }
    if (state == CONNECTION_CONNECTING && how == CONNECTION_LOST && !connection->is_draining &&
        try_next_address(connection)) {
        return;
    }
    set_reason(connection, how, connection->attempt, hint, state == CONNECTION_READY);
    connection->attempt[0] = '\0';
    connection->has_reached = false;
    if (connection->is_draining) {
        connection_over(connection);
    } else {
        pause_after(connection, how);
    }
}

static void settle_close(struct connection *connection);

static void on_resolved(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses)
{
    struct connection *connection;
    MAGIC_CAST(connection, lookup->data, CONNECTION_MAGIC);
    connection->is_looking_up = false;
    if (connection->state != CONNECTION_RESOLVING) { /* drained or closed meanwhile */
        uv_freeaddrinfo(addresses);
        settle_close(connection);
        return;
    }
    if (status != 0 || addresses == NULL) {
        uv_freeaddrinfo(addresses);
        connection_end(connection, CONNECTION_LOST,
                       status != 0 ? uv_strerror(status) : "it has no address");
        return;
    }
    connection->addresses = addresses;
    connection->address = addresses;
    try_address(connection);
}

static void begin_attempt(struct connection *connection)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct mr_address *broker = &connection->spec.options->broker;
    char port[PORT_BYTES];
    int rc;
    forget_addresses(connection);
    (void)snprintf(port, sizeof port, "%u", broker->port);
    connection_set_state(connection, CONNECTION_RESOLVING);
    connection->lookup.data = connection;
    rc = uv_getaddrinfo(connection->spec.loop, &connection->lookup, on_resolved, broker->host, port,
                        &hints);
    connection->is_looking_up = rc == 0;
    if (rc != 0) {
        connection_end(connection, CONNECTION_LOST, uv_strerror(rc));
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct connection *connection;
    MAGIC_CAST(connection, timer->data, CONNECTION_MAGIC);
    if (connection->client != NULL) {
        session_tick(connection);
    }
}

/* ---- drain ---- */

void connection_over(struct connection *connection)
{
    void (*drained)(void *user) = connection->drained;
    free_client(connection);
    forget_addresses(connection);
    (void)uv_timer_stop(&connection->retry);
    connection_set_state(connection, CONNECTION_OVER);
    connection->drained = NULL;
    if (drained != NULL && !connection->is_closing) {
        drained(connection->drained_user);
    }
}

static void on_lingered(void *user)
{
    struct connection *connection;
    MAGIC_CAST(connection, user, CONNECTION_MAGIC);
    connection->is_lingering = false;
    if (!retire_left(connection)) {
        connection_over(connection);
    }
    settle_close(connection);
}

/* DISCONNECT is written at once or not at all: the socket has just taken all that there was. */
void connection_leave(struct connection *connection, bool ends_session)
{
    struct mr_error err;
    int fd = -1;
    (void)snprintf(connection->reason, sizeof connection->reason, "%s",
                   connection->spec.retires ? "retiring" : "draining");
    connection_set_state(connection, CONNECTION_LEAVING);
    if (mqtt_client_disconnect(connection->client, ends_session, &fd, &err) == 0) {
        (void)mqtt_client_write(connection->client);
    }
    connection->has_left = mqtt_client_has_left(connection->client);
    free_client(connection);
    connection->is_lingering = true;
    linger(connection->spec.loop, fd, LINGER_MS, on_lingered, connection);
}

void connection_leave_if_drained(struct connection *connection)
{
    if (connection->is_draining && connection->state != CONNECTION_LEAVING &&
        connection->window.unsettled == 0 && !connection->is_writing) {
        connection_leave(connection, false);
    }
}

void connection_drain(struct connection *connection, void (*drained)(void *user), void *user)
{
    MAGIC_CHECK(connection, CONNECTION_MAGIC);
    connection->is_draining = true;
    connection->drained = drained;
    connection->drained_user = user;
    if (connection->state == CONNECTION_SUBSCRIBING || connection->state == CONNECTION_READY) {
        session_go_on(connection);
    } else if (connection->state != CONNECTION_LEAVING) {
        connection_over(connection);
    }
}

/* ---- beginning and end ---- */

static void settle_close(struct connection *connection)
{
    void (*closed)(void *user) = connection->closed;
    void *user = connection->closed_user;
    if (!connection->is_closing || connection->handles > 0 || connection->is_looking_up ||
        connection->is_lingering) {
        return;
    }
    redelivery_free(connection->redelivery);
    connection->magic = 0;
    mem_free(connection);
    closed(user);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *connection;
    MAGIC_CAST(connection, handle->data, CONNECTION_MAGIC);
    connection->handles--;
    settle_close(connection);
}

void connection_close(struct connection *connection, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(connection, CONNECTION_MAGIC);
    assert(!connection->is_closing);
    connection->is_closing = true;
    connection->closed = closed;
    connection->closed_user = user;
    if (connection->is_looking_up) {
        (void)uv_cancel((uv_req_t *)&connection->lookup);
    }
    connection_over(connection);
    uv_close((uv_handle_t *)&connection->retry, on_handle_closed);
    uv_close((uv_handle_t *)&connection->tick, on_handle_closed);
}

static struct connection *new_connection(const struct connection_spec *spec, struct mr_error *err)
{
    const struct bridge_options *options = spec->options;
    size_t more = options->tls ? TLS_RECORD_MESSAGES_MAX : 0;
    struct connection *connection = mem_zalloc(sizeof *connection);
    if (connection == NULL) {
        (void)mr_error_set(err, MR_ENOMEM, "MQTT connection");
        return NULL;
    }
    if (redelivery_new(2 * ((size_t)options->in_flight_max + more), &connection->redelivery, err) !=
        0) {
        mem_free(connection);
        return NULL;
    }
    connection->magic = CONNECTION_MAGIC;
    connection->spec = *spec;
    (void)snprintf(connection->client_id, sizeof connection->client_id, "%s", spec->client_id);
    (void)snprintf(connection->reason, sizeof connection->reason, "connecting");
    ack_window_init(&connection->window, (size_t)options->in_flight_max,
                    (size_t)options->in_flight_bytes_max);
    backoff_init(&connection->backoff, options->reconnect_ms_max);
    return connection;
}

int connection_open(const struct connection_spec *spec, struct connection **ret_connection,
                    struct mr_error *err)
{
    struct connection *connection = new_connection(spec, err);
    if (connection == NULL) {
        return MR_ENOMEM;
    }
    (void)uv_timer_init(spec->loop, &connection->retry);
    (void)uv_timer_init(spec->loop, &connection->tick);
    connection->retry.data = connection;
    connection->tick.data = connection;
    connection->handles = 2;
    connection->is_due = false;
    (void)uv_timer_start(&connection->retry, on_retry, 0, 0);
    (void)uv_timer_start(&connection->tick, on_tick, TICK_MS, TICK_MS);
    *ret_connection = connection;
    return 0;
}

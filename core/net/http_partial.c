// SPDX-License-Identifier: Apache-2.0
/* What is only partly here: requests and TLS records that are half sent, handshakes under way.
 * Nobody has said yet who sends them, so all of them together have a budget of their own, a part of
 * in_flight_bytes_max, and handshakes a number. When it is used up the oldest is ended, not the
 * newcomer: an honest client is through within milliseconds, and who holds on to what is half sent
 * comes to be the oldest. A request that is wholly here is never refused for those that aren't. */
#include <assert.h>

#include "net/http_internal.h"
#include "net/tls_stream.h"

/* A single request within the limits fits, whatever the share is. */
static size_t budget(const struct http_server *server)
{
    size_t share = (size_t)server->config.in_flight_bytes_max / HTTP_PARTIAL_SHARE;
    size_t one = http_server_request_bytes_max(&server->config.limits) + TLS_HELD_BYTES;
    return share > one ? share : one;
}

static struct deadlines *list_of(const struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->state == HTTP_CONNECTION_CLOSED || connection->partial_held == 0) {
        return NULL;
    }
    return connection->tls != NULL && http_tls_is_shaking_hands(connection) ? &server->handshakes
                                                                            : &server->partials;
}

void http_partial_count(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t held = connection->partial == NULL ? 0 : connection->partial->bytes_held;
    struct deadlines *list;
    if (connection->tls != NULL && connection->state != HTTP_CONNECTION_CLOSED) {
        held += http_tls_held(connection);
    }
    server->partial_bytes += held;
    server->partial_bytes -= connection->partial_held;
    connection->partial_held = held;
    list = list_of(connection);
    if (list == connection->begun.list) {
        return;
    }
    server->handshake_count -= connection->begun.list == &server->handshakes;
    server->handshake_count += list == &server->handshakes;
    deadline_lift(&connection->begun);
    if (list != NULL) {
        deadline_set(list, &connection->begun, uv_now(server->loop));
    }
}

static struct http_connection *oldest(const struct http_server *server)
{
    struct deadline *first = server->partials.first;
    struct deadline *handshake = server->handshakes.first;
    if (first == NULL || (handshake != NULL && handshake->due_ms < first->due_ms)) {
        first = handshake;
    }
    return first == NULL ? NULL : CONTAINER_OF(first, struct http_connection, begun);
}

static void end(struct http_connection *connection)
{
    if (connection->partial != NULL && connection->state == HTTP_CONNECTION_OPEN) {
        http_connection_refuse(connection, 503,
                               "too many requests are half sent, and this one was begun first");
        http_server_mark_dirty(connection);
        return;
    }
    if (connection->tls != NULL) {
        http_tls_crowd_out(connection);
    }
    http_connection_close(connection);
}

bool http_partial_make_room(struct http_server *server)
{
    size_t bytes_max = (size_t)server->config.in_flight_bytes_max;
    size_t partial_max = budget(server);
    struct http_connection *each;
    assert(server->bytes >= server->partial_bytes);
    while (server->partial_bytes > partial_max && (each = oldest(server)) != NULL) {
        end(each);
    }
    if (server->bytes - server->partial_bytes > bytes_max) {
        return false; /* for which those that are partly here can't make up */
    }
    while (server->bytes > bytes_max && (each = oldest(server)) != NULL) {
        end(each);
    }
    return true;
}

void http_partial_bound_handshakes(struct http_server *server)
{
    while (server->handshake_count > (size_t)server->config.handshakes_max) {
        end(CONTAINER_OF(server->handshakes.first, struct http_connection, begun));
    }
}

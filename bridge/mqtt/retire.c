// SPDX-License-Identifier: Apache-2.0
/* Happy path: CONNACK -> UNSUBSCRIBE of all filters: nothing new comes for this session -> what the
 * broker still has for it is read and settled as ever -> once nothing is held, UNSUBSCRIBE again,
 * which mosquitto answers behind all that it sends, others perhaps before: when no message comes
 * before that answer, nor for a while after it, the broker has none left -> DISCONNECT that lets
 * the session expire now; with 3.1.1, which can't say that, DISCONNECT, and once more CONNECT with
 * a clean session. What can go wrong: the connection ends (all begins anew with the next), or the
 * program is ended first (the session stays, for the next time). */
#include <millrace/log.h>

#include "bridge/mqtt/connection_internal.h"

enum { ROUNDS_MIN = 2, QUIET_MS = 2000 };

static void begin_round(struct connection *connection)
{
    struct mr_error err;
    connection->retire_rounds++;
    connection->retire_messages = 0;
    connection->began_ms = uv_now(connection->spec.loop);
    connection->is_round_open =
        mqtt_client_unsubscribe(connection->client, connection->spec.filters,
                                connection->spec.filter_count, &connection->unsuback_id, &err) == 0;
    if (!connection->is_round_open) {
        session_fail(connection, err.text, false);
    }
}

void retire_begin(struct connection *connection)
{
    connection->retire_rounds = 0;
    connection->is_round_open = false;
    if (connection->is_cleaning) {
        connection->is_session_over = true;
    } else {
        begin_round(connection);
    }
}

void retire_unsuback(struct connection *connection, int packet_id)
{
    if (packet_id == connection->unsuback_id) {
        connection->is_round_open = false;
    }
}

bool retire_go_on(struct connection *connection)
{
    bool is_v5 = connection->spec.options->protocol == BRIDGE_PROTOCOL_5;
    if (!connection->spec.retires || connection->is_draining ||
        connection->state != CONNECTION_SUBSCRIBING || connection->is_round_open ||
        connection->window.messages > 0 || connection->is_writing) {
        return false;
    }
    if (connection->is_session_over) {
        connection_leave(connection, false);
    } else if (connection->retire_rounds < ROUNDS_MIN || connection->retire_messages > 0) {
        begin_round(connection);
        return connection->is_round_open;
    } else if (uv_now(connection->spec.loop) - connection->began_ms >= QUIET_MS) {
        connection->is_session_over = is_v5;
        connection->is_cleaning = !is_v5;
        connection_leave(connection, true);
    }
    return false;
}

bool retire_left(struct connection *connection)
{
    if (!connection->spec.retires || connection->is_draining || connection->is_closing) {
        return false;
    }
    if (!connection->has_left) {
        connection->is_session_over = false;
        connection->is_cleaning = false;
    }
    if (!connection->is_session_over) {
        connection->is_due = true;
        connection_set_state(connection, CONNECTION_WAITING);
        connection_try_again(connection);
        return true;
    }
    mr_log(MR_LOG_INFO, "session retired", MR_STR("client_id", connection->client_id));
    connection_over(connection);
    connection->spec.on_retired(connection->spec.user);
    return true;
}

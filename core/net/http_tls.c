// SPDX-License-Identifier: Apache-2.0
/* What TLS adds to a connection. Happy path: a stream is made -> the handshake, which has as much
 * time as a request -> what is read is unsealed before it is parsed, and answers are sealed before
 * they are sent -> one side says that it is done (close_notify), and so does the other.
 *
 * What can go wrong: the client doesn't speak TLS (400, in the clear), the handshake fails, or a
 * record is forged (the alert is sent, then nothing more: requests in hand live on until they are
 * answered), it comes to no end (the read deadline), the client talks without taking what it is
 * told (the connection is given up), others wait with theirs (the oldest is ended, http_partial.c).
 */
#include <millrace/log.h>

#include "kit/ascii.h"
#include "kit/mem.h"
#include "net/http_internal.h"
#include "net/tls_stream.h"

enum { HTTP_TLS_LOG_MS = 10000 };

struct http_tls {
    struct tls_stream *stream;
    bool is_begun;       /* a byte of the client's has come */
    bool is_counted;     /* how the handshake ended */
    bool is_turned_away; /* answered 503 as soon as it can be told */
    bool is_late;        /* the handshake's time was up */
};

_Static_assert(HTTP_PLAIN_BYTES >= HTTP_READ_BYTES + TLS_RECORD_BYTES_MAX,
               "room for what one reading can make");

static void count(struct http_connection *connection, enum tls_outcome outcome)
{
    struct http_tls *tls = connection->tls;
    struct mr_series *const *series = connection->server->config.handshakes;
    if (tls->is_counted) {
        return;
    }
    tls->is_counted = true;
    if (series != NULL) {
        mr_count(series[outcome], 1);
    }
    if (outcome != TLS_COMPLETED && outcome != TLS_TIMEOUT && outcome != TLS_ABANDONED &&
        outcome != TLS_CROWDED_OUT) {
        mr_log_limited(MR_LOG_INFO, HTTP_TLS_LOG_MS, "a TLS handshake has failed",
                       MR_STR("reason", outcome == TLS_PLAINTEXT ? "not TLS, but HTTP"
                                                                 : tls_stream_reason(tls->stream)));
    }
}

int http_tls_open(struct http_connection *connection, struct tls_context *context,
                  bool is_turned_away)
{
    struct http_tls *tls = mem_zalloc(sizeof *tls);
    if (tls == NULL) {
        return MR_ENOMEM;
    }
    tls->stream = tls_stream_new(context);
    if (tls->stream == NULL) {
        mem_free(tls);
        return MR_ENOMEM;
    }
    tls->is_turned_away = is_turned_away;
    connection->tls = tls;
    http_server_set_deadline(connection->server, &connection->server->requests,
                             &connection->read_deadline);
    return 0;
}

void http_tls_done(struct http_connection *connection)
{
    struct http_tls *tls = connection->tls;
    if (tls != NULL) {
        count(connection, tls->is_late ? TLS_TIMEOUT : TLS_ABANDONED);
        tls_stream_free(tls->stream);
        mem_free(tls);
        connection->tls = NULL;
    }
}

static void on_completed(struct http_connection *connection)
{
    count(connection, TLS_COMPLETED);
    deadline_lift(&connection->read_deadline);
    if (connection->tls->is_turned_away) {
        http_connection_turn_away(connection);
    }
}

/* The stream is at its end; what was unsealed before that is still to be parsed. */
static void on_failed(struct http_connection *connection)
{
    count(connection, tls_stream_outcome(connection->tls->stream));
    connection->is_broken = true;
}

/* A record begins with its type, 22 for a handshake (RFC 8446 5.1); a method with a letter. */
static bool is_plain(const struct http_connection *connection, char first)
{
    char letter = ascii_lower(first);
    return !connection->tls->is_begun && letter >= 'a' && letter <= 'z';
}

static void refuse_plain(struct http_connection *connection)
{
    count(connection, TLS_PLAINTEXT);
    http_tls_done(connection);
    if (http_connection_begin_request(connection)) {
        http_connection_refuse(connection, 400, "plain HTTP on a port that speaks TLS: use https");
    }
}

size_t http_tls_unseal(struct http_connection *connection, const char **bytes, size_t len)
{
    struct http_server *server = connection->server;
    struct http_tls *tls = connection->tls;
    bool was_open = tls_stream_state(tls->stream) != TLS_STREAM_HANDSHAKING;
    size_t plain_len;
    if (is_plain(connection, (*bytes)[0])) {
        refuse_plain(connection);
        return 0;
    }
    tls->is_begun = true;
    plain_len = tls_stream_feed(tls->stream, *bytes, len, server->plain_buffer);
    *bytes = server->plain_buffer;
    if (!was_open && tls_stream_state(tls->stream) != TLS_STREAM_HANDSHAKING &&
        tls_stream_outcome(tls->stream) == TLS_COMPLETED) {
        on_completed(connection);
    }
    if (connection->tls == NULL) { /* no memory to turn it away */
        return 0;
    }
    if (tls_stream_state(tls->stream) == TLS_STREAM_FAILED ||
        tls_stream_out(tls->stream)->len > HTTP_OUT_BYTES_HIGH) {
        on_failed(connection);
    } else if (tls_stream_state(tls->stream) == TLS_STREAM_ENDED) {
        connection->is_notified = true;
    }
    http_connection_count_bytes(connection);
    return plain_len;
}

struct mr_buf *http_tls_seal(struct http_connection *connection)
{
    struct tls_stream *stream = connection->tls->stream;
    if (connection->out.len > 0 && tls_stream_state(stream) != TLS_STREAM_HANDSHAKING) {
        if (tls_stream_write(stream, connection->out.ptr, connection->out.len) != 0) {
            return NULL;
        }
        buf_done(&connection->out);
    }
    return tls_stream_out(stream);
}

void http_tls_end(struct http_connection *connection)
{
    tls_stream_end(connection->tls->stream);
}

bool http_tls_time_out(struct http_connection *connection)
{
    connection->tls->is_late = true;
    return tls_stream_state(connection->tls->stream) != TLS_STREAM_HANDSHAKING;
}

size_t http_tls_held(const struct http_connection *connection)
{
    return tls_stream_held(connection->tls->stream);
}

size_t http_tls_out_held(const struct http_connection *connection)
{
    const struct mr_buf *out = tls_stream_out(connection->tls->stream);
    return out->len == 0 ? 0 : out->capacity;
}

bool http_tls_is_shaking_hands(const struct http_connection *connection)
{
    return tls_stream_state(connection->tls->stream) == TLS_STREAM_HANDSHAKING;
}

void http_tls_crowd_out(struct http_connection *connection)
{
    count(connection, TLS_CROWDED_OUT);
    mr_log_limited(MR_LOG_WARN, HTTP_TLS_LOG_MS,
                   "too much is half sent over TLS: what was begun first is ended");
}

struct mr_slice http_request_certificate_subject(const struct http_request *request)
{
    const struct http_connection *connection = request->connection;
    return connection == NULL || connection->tls == NULL
               ? mr_slice(NULL, 0)
               : tls_stream_subject(connection->tls->stream);
}

// SPDX-License-Identifier: Apache-2.0
/* One connection, and the order of its answers. Happy path: bytes are read -> a request is complete
 * -> it joins the pipeline and the program sees it -> its answer comes at some time -> once a loop
 * iteration the answers that are next in order are written together (http_connection_flush) -> ...
 * -> the client closes, or the last answer is out: our side is shut, and what the client still
 * sends is thrown away for a while, so that it can read the answer before the connection is reset.
 *
 * What can go wrong: the pipeline is full (reading pauses, what was read waits in `surplus`), the
 * client doesn't read (reading pauses, then the write deadline closes; when draining, the end
 * deadline closes on one that reads too slowly), it is slow or idle (408,
 * or closed), it sends what is refused (a last answer, in order), it vanishes (requests in hand
 * live on until they are answered), memory is short (503, or closed). Nothing here frees a
 * connection but the callback of uv_close. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "kit/mem.h"
#include "net/http_internal.h"

enum { BUFFER_BYTES_KEPT = 4 * 1024 };

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void shrink(struct mr_buf *buf)
{
    if (buf->capacity > BUFFER_BYTES_KEPT) {
        buf_done(buf);
    }
    buf_clear(buf);
}

/* What is kept empty for the next use is not counted: it is small, and bounded by the number of
 * connections. */
static size_t held(const struct mr_buf *buf)
{
    return buf->len == 0 ? 0 : buf->capacity;
}

void http_connection_count_bytes(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t bytes = held(&connection->surplus) + held(&connection->out) + held(&connection->sending);
    if (connection->tls != NULL) {
        bytes += http_tls_held(connection) + http_tls_out_held(connection);
    }
    server->bytes += bytes;
    server->bytes -= connection->bytes_held;
    connection->bytes_held = bytes;
    http_partial_count(connection);
}

void http_connection_drop_surplus(struct http_connection *connection)
{
    buf_done(&connection->surplus);
    http_connection_count_bytes(connection);
}

/* What is answered can go; what isn't lives on without us. */
static void drop_pipeline(struct http_connection *connection)
{
    struct http_request *request = connection->first;
    while (request != NULL) {
        struct http_request *next = request->next;
        request->connection = NULL;
        if (request->is_answered) {
            http_request_free(request);
        }
        request = next;
    }
    connection->first = NULL;
    connection->last = NULL;
    connection->pipelined = 0;
}

static void drop_partial(struct http_connection *connection)
{
    if (connection->partial != NULL) {
        http_request_free(connection->partial);
        connection->partial = NULL;
        http_partial_count(connection);
    }
}

static void count_connections(struct http_server *server, int by)
{
    if (server->config.connections_gauge != NULL) {
        mr_gauge_add(server->config.connections_gauge, by);
    }
}

static void unlink_connection(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->prev != NULL) {
        connection->prev->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->prev = connection->prev;
    }
    for (struct http_connection **at = &server->dirty; *at != NULL && connection->is_dirty;
         at = &(*at)->next_dirty) {
        if (*at == connection) {
            *at = connection->next_dirty;
            break;
        }
    }
    server->connection_count--;
    count_connections(server, -1);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_connection *connection;
    struct http_server *server;
    MAGIC_CAST(connection, handle->data, HTTP_CONNECTION_MAGIC);
    server = connection->server;
    unlink_connection(connection);
    buf_done(&connection->out);
    buf_done(&connection->sending);
    http_connection_count_bytes(connection);
    connection->magic = 0;
    mem_free(connection);
    http_server_wake(server);
    http_server_check_end(server);
}

void http_connection_close(struct http_connection *connection)
{
    if (connection->state == HTTP_CONNECTION_CLOSED) {
        return;
    }
    connection->state = HTTP_CONNECTION_CLOSED;
    drop_pipeline(connection);
    drop_partial(connection);
    http_tls_done(connection); /* whose memory is wanted now, if this is to make room */
    http_connection_drop_surplus(connection);
    deadline_lift(&connection->read_deadline);
    deadline_lift(&connection->write_deadline);
    deadline_lift(&connection->end_deadline);
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

/* Put the answers that are next in order into `out`. */
static void collect_answers(struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    while (connection->first != NULL && connection->first->is_answered && !connection->is_done) {
        struct http_request *request = connection->first;
        bool is_last = request->next == NULL && connection->partial == NULL;
        bool is_closing = request->is_closing || (server->is_draining && is_last);
        if (http_request_write_answer(request, is_closing) != 0) {
            http_connection_close(connection);
            return;
        }
        connection->first = request->next;
        connection->last = connection->first == NULL ? NULL : connection->last;
        connection->pipelined--;
        http_request_free(request);
        if (is_closing) {
            connection->is_done = true;
            connection->is_last = true;
            drop_pipeline(connection);
            drop_partial(connection);
            http_connection_drop_surplus(connection);
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct http_connection *connection;
    MAGIC_CAST(connection, write->data, HTTP_CONNECTION_MAGIC);
    connection->is_writing = false;
    shrink(&connection->sending);
    http_connection_count_bytes(connection);
    deadline_lift(&connection->write_deadline);
    if (status < 0) {
        http_connection_close(connection);
    } else {
        http_server_mark_dirty(connection);
    }
}

/* What the socket doesn't take at once. */
static void send_rest(struct http_connection *connection, struct mr_buf *out, size_t written)
{
    struct mr_buf empty = connection->sending;
    uv_buf_t rest;
    assert(empty.len == 0);
    connection->sending = *out;
    *out = empty;
    out->bytes_max = connection->sending.bytes_max;
    rest = uv_buf_init(connection->sending.ptr + written,
                       (unsigned)(connection->sending.len - written));
    connection->is_writing = true;
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &rest, 1, on_written) != 0) {
        connection->is_writing = false;
        http_connection_close(connection);
        return;
    }
    http_server_set_deadline(connection->server, &connection->server->writes,
                             &connection->write_deadline);
}

static void send_out(struct http_connection *connection)
{
    struct mr_buf *out = &connection->out;
    uv_buf_t buf;
    int written;
    if (connection->is_writing) {
        return;
    }
    if (connection->tls != NULL) {
        out = http_tls_seal(connection);
    }
    if (out == NULL) {
        http_connection_close(connection);
        return;
    }
    if (out->len == 0) {
        return;
    }
    buf = uv_buf_init(out->ptr, (unsigned)out->len);
    written = uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
    if (written == UV_EAGAIN) {
        written = 0;
    }
    if (written < 0) {
        http_connection_close(connection);
    } else if ((size_t)written == out->len && connection->tls == NULL) {
        shrink(out);
    } else if ((size_t)written == out->len) {
        buf_done(out); /* beside OpenSSL's work it costs nothing, and TLS takes memory enough */
    } else {
        send_rest(connection, out, (size_t)written);
    }
}

/* RFC 9110 10.1.1: the interim answer goes out in the order of the answers too. */
static void send_continue(struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    struct http_request *request = connection->partial;
    if (request == NULL || connection->first != NULL || request->is_continued ||
        request->reader.state != HTTP_READER_BODY || !request->reader.expect_continue) {
        return;
    }
    if (server->in_flight >= (size_t)server->config.in_flight_max) {
        http_connection_refuse(connection, 503, "too many requests in hand");
        return;
    }
    request->is_continued = true;
    if (request->reader.body.len > 0) { /* it doesn't wait */
        return;
    }
    (void)buf_add(&connection->out, continue_line, sizeof continue_line - 1);
    send_out(connection);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct http_connection *connection;
    MAGIC_CAST(connection, shutdown->data, HTTP_CONNECTION_MAGIC);
    if (status < 0) {
        http_connection_close(connection);
    }
}

/* RFC 9112 9.6: shut our side, and read on until the client has closed its own. */
static void linger(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->tls != NULL) {
        http_tls_end(connection);
        send_out(connection);
        connection->is_ended = connection->is_ended && !connection->is_notified;
    }
    if (connection->is_ended) {
        http_connection_close(connection);
    }
    if (connection->state == HTTP_CONNECTION_CLOSED) {
        return;
    }
    connection->state = HTTP_CONNECTION_LINGERING;
    deadline_lift(&connection->end_deadline);
    drop_partial(connection);
    http_connection_drop_surplus(connection);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        http_connection_close(connection);
        return;
    }
    http_server_set_deadline(server, &server->lingers, &connection->read_deadline);
    http_connection_set_reading(connection, true);
}

/* Nothing is in hand and nothing of a next request has come. */
static bool is_idle(const struct http_connection *connection)
{
    return connection->first == NULL && connection->surplus.len == 0 && connection->out.len == 0 &&
           !connection->is_writing &&
           (connection->partial == NULL || connection->partial->reader.head.len == 0);
}

/* Nothing more will be answered. */
static bool is_over(const struct http_connection *connection)
{
    bool is_begun = connection->partial != NULL && connection->partial->reader.head.len > 0;
    if (connection->out.len > 0 || connection->is_writing) {
        return false;
    }
    if (connection->is_done || connection->first != NULL) {
        return connection->is_done;
    }
    return (connection->is_ended && connection->surplus.len == 0) ||
           (connection->server->is_draining && !is_begun);
}

static void rest(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    bool idle = is_idle(connection);
    if (idle && connection->read_deadline.list == NULL) {
        http_server_set_deadline(server, &server->idles, &connection->read_deadline);
    } else if (!idle && connection->read_deadline.list == &server->idles) {
        deadline_lift(&connection->read_deadline);
    }
    http_connection_set_reading(
        connection, http_connection_may_parse(connection) && connection->surplus.len == 0);
}

/* Draining: a client that reads slowly must not get a new write deadline again and again. */
static void bound_writing(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    bool is_unsent = connection->out.len > 0 || connection->is_writing;
    if (server->is_draining && is_unsent && connection->first == NULL &&
        connection->end_deadline.list == NULL) {
        http_server_set_deadline(server, &server->ends, &connection->end_deadline);
    }
}

void http_connection_flush(struct http_connection *connection)
{
    if (connection->state == HTTP_CONNECTION_OPEN) {
        collect_answers(connection);
    }
    if (connection->state == HTTP_CONNECTION_OPEN) {
        send_out(connection);
        http_connection_count_bytes(connection);
        http_connection_parse_surplus(connection); /* for which there may be room only now */
        send_continue(connection);
    }
    if (connection->state != HTTP_CONNECTION_OPEN) {
        return;
    }
    bound_writing(connection);
    if (is_over(connection)) {
        linger(connection);
    } else {
        rest(connection);
    }
}

void http_connection_abort(struct http_connection *connection)
{
    connection->is_last = true;
    connection->is_done = true;
    drop_pipeline(connection);
    drop_partial(connection);
    http_connection_drop_surplus(connection);
    deadline_lift(&connection->read_deadline);
    buf_done(&connection->out);
    http_server_mark_dirty(connection);
}

void http_connection_read_timeout(struct http_connection *connection)
{
    bool is_open = connection->state == HTTP_CONNECTION_OPEN;
    if (is_open && connection->partial != NULL && connection->partial->reader.head.len > 0) {
        http_connection_refuse(connection, 408, "the request did not come to its end in time");
    } else if (is_open && connection->tls != NULL && http_tls_time_out(connection)) {
        http_connection_abort(connection);
    } else {
        http_connection_close(connection);
    }
    http_server_mark_dirty(connection);
}

void http_connection_turn_away(struct http_connection *connection)
{
    if (http_connection_begin_request(connection)) {
        http_connection_refuse(connection, 503, "too many connections");
        http_server_mark_dirty(connection);
    }
}

static void link_connection(struct http_server *server, struct http_connection *connection)
{
    connection->server = server;
    connection->next = server->connections;
    if (server->connections != NULL) {
        server->connections->prev = connection;
    }
    server->connections = connection;
    server->connection_count++;
    count_connections(server, 1);
}

/* Under TLS nothing can be told before the handshake. */
static void begin(struct http_connection *connection, struct tls_context *tls)
{
    struct http_server *server = connection->server;
    bool is_over = server->connection_count > (size_t)server->config.connections_max;
    if (tls != NULL && http_tls_open(connection, tls, is_over) != 0) {
        http_connection_close(connection);
    } else if (tls != NULL) {
        rest(connection);
        http_connection_count_bytes(connection);
        http_partial_bound_handshakes(server);
        (void)http_partial_make_room(server);
    } else if (tls == NULL && is_over) {
        http_connection_turn_away(connection);
    } else {
        rest(connection);
    }
}

void http_connection_open(struct http_server *server, int fd, struct tls_context *tls)
{
    size_t connections_max = (size_t)server->config.connections_max;
    struct http_connection *connection;
    if (server->connection_count >= connections_max + (size_t)server->config.turned_away_max) {
        (void)close(fd);
        return;
    }
    connection = mem_zalloc(sizeof *connection);
    if (connection == NULL || uv_tcp_init(server->loop, &connection->tcp) != 0) {
        mem_free(connection);
        (void)close(fd);
        return;
    }
    connection->magic = HTTP_CONNECTION_MAGIC;
    connection->tcp.data = connection;
    connection->write.data = connection;
    connection->shutdown.data = connection;
    buf_init(&connection->surplus, HTTP_PLAIN_BYTES);
    buf_init(&connection->out, HTTP_OUT_BYTES_MAX);
    buf_init(&connection->sending, HTTP_OUT_BYTES_MAX);
    link_connection(server, connection);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        (void)close(fd);
        http_connection_close(connection);
    } else {
        begin(connection, tls);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* The reading half of a connection: bytes -> the partial request -> the pipeline. What can't be
 * taken yet waits in `surplus`, and reading stops until it can. Nothing of this answers out of
 * turn: a refusal joins the pipeline like any request, as the last one.
 *
 * A request's time counts from when its last byte came, not from when we got round to it: `surplus`
 * keeps its time, and for what waits unread in the socket a time is kept before which it can't have
 * come (struct http_unread). */
#include <assert.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/http_internal.h"

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_connection *connection;
    (void)suggested;
    MAGIC_CAST(connection, handle->data, HTTP_CONNECTION_MAGIC);
    *buf = uv_buf_init(connection->server->read_buffer, HTTP_READ_BYTES);
}

static void append(struct http_connection *connection, struct http_request *request)
{
    if (connection->last == NULL) {
        connection->first = request;
    } else {
        connection->last->next = request;
    }
    connection->last = request;
    connection->pipelined++;
}

void http_connection_refuse(struct http_connection *connection, int status, const char *reason)
{
    struct http_request *request = connection->partial;
    connection->partial = NULL;
    connection->is_last = true;
    deadline_lift(&connection->read_deadline);
    http_connection_drop_surplus(connection);
    http_partial_count(connection);
    append(connection, request);
    http_request_refuse(request, status, reason);
}

static void dispatch(struct http_connection *connection, uint64_t came_ms)
{
    struct http_server *server = connection->server;
    struct http_request *request = connection->partial;
    connection->partial = NULL;
    connection->is_last = !request->reader.keep_alive;
    deadline_lift(&connection->read_deadline);
    append(connection, request);
    request->came_ms = came_ms;
    if (connection->partial_held > 0) {
        http_partial_count(connection);
    }
    if (server->in_flight >= (size_t)server->config.in_flight_max ||
        !http_partial_make_room(server)) {
        http_request_refuse(request, 503, "too many requests in hand");
        return;
    }
    request->is_counted = true;
    server->in_flight++;
    server->on_request(request, server->user);
}

void http_connection_dispatch_head(struct http_connection *connection)
{
    connection->partial->reader.keep_alive = false;
    http_connection_drop_surplus(connection);
    dispatch(connection, uv_now(connection->server->loop));
}

bool http_connection_may_parse(const struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    if (connection->state != HTTP_CONNECTION_OPEN || connection->is_last ||
        connection->out.len > HTTP_OUT_BYTES_HIGH ||
        connection->pipelined >= (size_t)server->config.pipeline_max) {
        return false;
    }
    if (connection->partial != NULL) {
        return true;
    }
    /* What is refused behind an unanswered request takes memory too. */
    return !server->is_draining &&
           (connection->first == NULL ||
            server->bytes - server->partial_bytes <= (size_t)server->config.in_flight_bytes_max);
}

bool http_connection_begin_request(struct http_connection *connection)
{
    if (connection->partial == NULL) {
        connection->partial = http_request_new(connection);
    }
    if (connection->partial == NULL) {
        http_connection_close(connection);
        return false;
    }
    return true;
}

/* The partial request has its deadline already. */
static bool is_timed(const struct http_connection *connection)
{
    const struct deadlines *list = connection->read_deadline.list;
    return list == &connection->server->requests || list == &connection->server->drains;
}

/* The head is here, and not all of the content: if the program refuses it whatever that is, the
 * rest isn't waited for. */
static void judge_head(struct http_connection *connection)
{
    const struct http_server *server = connection->server;
    struct http_request *request = connection->partial;
    if (request == NULL || request->is_judged || request->reader.state != HTTP_READER_BODY) {
        return;
    }
    request->is_judged = true;
    if (server->config.wants_content != NULL &&
        !server->config.wants_content(request, server->user)) {
        http_connection_dispatch_head(connection);
    }
}

/* More of it is to come. */
static void keep_partial(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->partial->reader.head.len > 0 && !is_timed(connection)) {
        http_server_set_deadline(server, server->is_draining ? &server->drains : &server->requests,
                                 &connection->read_deadline);
    }
    http_partial_count(connection);
    if (!http_partial_make_room(server)) {
        http_connection_refuse(connection, 503, "too many requests in hand");
    }
    judge_head(connection);
}

/* After bytes were given to the partial request. */
static void step(struct http_connection *connection, uint64_t came_ms)
{
    struct http_request *request = connection->partial;
    const struct http_reader *reader = &request->reader;
    http_request_count_bytes(request);
    if (reader->state == HTTP_READER_COMPLETE) {
        dispatch(connection, came_ms);
    } else if (reader->state == HTTP_READER_REFUSED) {
        http_connection_refuse(connection, reader->status, reader->reason);
    } else {
        keep_partial(connection);
    }
}

/* Bytes that were read at `came_ms`. Returns how many were taken. */
static size_t parse(struct http_connection *connection, const char *bytes, size_t len,
                    uint64_t came_ms)
{
    size_t taken = 0;
    while (taken < len && http_connection_may_parse(connection)) {
        if (!http_connection_begin_request(connection)) {
            return len;
        }
        taken += http_reader_feed(&connection->partial->reader, bytes + taken, len - taken);
        step(connection, came_ms);
    }
    return taken;
}

/* What waits in the socket. */
static size_t count_unread(const struct http_connection *connection)
{
    int bytes = 0;
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&connection->tcp, &fd) == 0) {
        (void)ioctl(fd, FIONREAD, &bytes);
    }
    return bytes > 0 ? (size_t)bytes : 0;
}

static void mark_unread(struct http_connection *connection)
{
    connection->unread.bytes = count_unread(connection);
    connection->unread.marked_ms = uv_now(connection->server->loop);
}

/* Reading stops: from now on bytes may wait in the socket. */
static void begin_unread(struct http_connection *connection)
{
    if (!connection->unread.is_any) {
        connection->unread.is_any = true;
        connection->unread.since_ms = uv_now(connection->server->loop);
        mark_unread(connection);
    }
}

/* Reading goes on: what comes from now on has not waited. */
static void end_unread(struct http_connection *connection)
{
    connection->unread.is_any = connection->unread.is_any && count_unread(connection) > 0;
}

/* `len` bytes have just been read. Returns when the first of them can have come at the earliest. */
static uint64_t take_unread(struct http_connection *connection, size_t len)
{
    struct http_unread *unread = &connection->unread;
    uint64_t came_ms = unread->since_ms;
    if (!unread->is_any) {
        return uv_now(connection->server->loop);
    }
    if (len < HTTP_READ_BYTES) {
        unread->is_any = false; /* that was all */
    } else if (len < unread->bytes) {
        unread->bytes -= len;
    } else { /* what follows wasn't there at the mark */
        unread->since_ms = unread->marked_ms;
        mark_unread(connection);
    }
    return came_ms;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

void http_connection_set_reading(struct http_connection *connection, bool wanted)
{
    wanted = wanted && !connection->is_ended;
    if (wanted == connection->is_reading) {
        return;
    }
    connection->is_reading = wanted;
    if (!wanted) {
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
        begin_unread(connection);
        return;
    }
    end_unread(connection);
    if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) != 0) {
        http_connection_close(connection);
    }
}

/* Reading stops at once: libuv calls back again and again as long as its buffer was filled. */
static void keep_surplus(struct http_connection *connection, const char *bytes, size_t len,
                         uint64_t came_ms)
{
    struct http_server *server = connection->server;
    assert(connection->surplus.len == 0);
    if (buf_add(&connection->surplus, bytes, len) != 0) {
        http_connection_close(connection);
        return;
    }
    connection->surplus_came_ms = came_ms;
    http_connection_count_bytes(connection);
    http_connection_set_reading(connection, false);
    if (!http_partial_make_room(server) && http_connection_begin_request(connection)) {
        http_connection_refuse(connection, 503, "too many requests in hand");
    }
}

void http_connection_parse_surplus(struct http_connection *connection)
{
    struct mr_buf surplus = connection->surplus;
    size_t taken;
    if (surplus.len == 0 || !http_connection_may_parse(connection)) {
        return;
    }
    uv_update_time(connection->server->loop); /* how long it has waited matters */
    /* Taken out of the connection, which must not change it while it is read. */
    buf_init(&connection->surplus, HTTP_PLAIN_BYTES);
    taken = parse(connection, surplus.ptr, surplus.len, connection->surplus_came_ms);
    if (taken < surplus.len && connection->state == HTTP_CONNECTION_OPEN && !connection->is_last) {
        memmove(surplus.ptr, surplus.ptr + taken, surplus.len - taken);
        surplus.len -= taken;
        connection->surplus = surplus;
    } else {
        buf_done(&surplus);
    }
    http_connection_count_bytes(connection);
}

static void discard(struct http_connection *connection, size_t len)
{
    connection->discarded += len;
    if (connection->discarded > HTTP_LINGER_BYTES_MAX) {
        http_connection_close(connection);
    }
}

static void take_bytes(struct http_connection *connection, const char *bytes, size_t len,
                       uint64_t came_ms)
{
    size_t taken = parse(connection, bytes, len, came_ms);
    if (taken < len && connection->state == HTTP_CONNECTION_OPEN && !connection->is_last) {
        keep_surplus(connection, bytes + taken, len - taken, came_ms);
    }
}

/* The bytes of a TLS record are there when its last one is: they came with this reading, whatever
 * waited for it before. */
static void take_sealed(struct http_connection *connection, const char *bytes, size_t len,
                        uint64_t came_ms)
{
    len = http_tls_unseal(connection, &bytes, len);
    (void)http_partial_make_room(connection->server);
    if (len > 0 && connection->state == HTTP_CONNECTION_OPEN) {
        take_bytes(connection, bytes, len, came_ms);
    }
    if (connection->state != HTTP_CONNECTION_OPEN) {
        return;
    }
    if (connection->is_broken) {
        http_connection_abort(connection);
    } else if (connection->is_notified) {
        http_connection_set_reading(connection, false);
        connection->is_ended = true;
    }
}

static void on_bytes(struct http_connection *connection, const char *bytes, size_t len)
{
    uint64_t came_ms = take_unread(connection, len);
    if (connection->state == HTTP_CONNECTION_LINGERING) {
        discard(connection, len);
    } else if (connection->tls != NULL) {
        take_sealed(connection, bytes, len, came_ms);
    } else {
        take_bytes(connection, bytes, len, came_ms);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct http_connection *connection;
    MAGIC_CAST(connection, stream->data, HTTP_CONNECTION_MAGIC);
    if (connection->state == HTTP_CONNECTION_CLOSED || len == 0) {
        return;
    }
    if (len > 0) {
        on_bytes(connection, buf->base, (size_t)len);
    } else if (len == UV_EOF && connection->state == HTTP_CONNECTION_OPEN) {
        connection->is_ended = true; /* it may still read the answers */
        connection->is_reading = false;
    } else {
        http_connection_close(connection);
    }
    http_server_mark_dirty(connection);
}

void http_connection_read_now(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    uv_os_fd_t fd;
    ssize_t len;
    if (connection->state != HTTP_CONNECTION_OPEN || !connection->is_reading ||
        uv_fileno((const uv_handle_t *)&connection->tcp, &fd) != 0) {
        return;
    }
    len = recv(fd, server->read_buffer, HTTP_READ_BYTES, MSG_DONTWAIT);
    if (len > 0) { /* an end or an error is told again, to on_read */
        on_bytes(connection, server->read_buffer, (size_t)len);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* One connection, and the order of its answers. Happy path: bytes are read -> a request is complete
 * -> it joins the pipeline and the program sees it -> its answer comes at some time -> once a loop
 * iteration the answers that are next in order are written together (http_connection_flush) -> ...
 * -> the client closes, or the last answer is out: our side is shut, and what the client still
 * sends is thrown away for a while, so that it can read the answer before the connection is reset.
 *
 * What can go wrong: the pipeline is full (reading pauses, what was read waits in `surplus`), the
 * client doesn't read (reading pauses, then the write deadline closes), it is slow or idle (408,
 * or closed), it sends what is refused (a last answer, in order), it vanishes (requests in hand
 * live on until they are answered), memory is short (503, or closed). Nothing here frees a
 * connection but the callback of uv_close. */
#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/mem.h"
#include "net/http_internal.h"

enum { BUFFER_BYTES_KEPT = 4 * 1024 };

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_connection *connection;
    (void)suggested;
    MAGIC_CAST(connection, handle->data, HTTP_CONNECTION_MAGIC);
    *buf = uv_buf_init(connection->server->read_buffer, HTTP_READ_BYTES);
}

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

static void count_bytes(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    size_t bytes = held(&connection->surplus) + held(&connection->out) + held(&connection->sending);
    server->bytes += bytes;
    server->bytes -= connection->bytes_held;
    connection->bytes_held = bytes;
}

static void drop_surplus(struct http_connection *connection)
{
    buf_done(&connection->surplus);
    count_bytes(connection);
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
    count_bytes(connection);
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
    drop_surplus(connection);
    deadline_lift(&connection->read_deadline);
    deadline_lift(&connection->write_deadline);
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
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

/* The partial request is refused: it is answered in its turn, and is the last. */
static void refuse(struct http_connection *connection, int status, const char *reason)
{
    struct http_request *request = connection->partial;
    connection->partial = NULL;
    connection->is_last = true;
    deadline_lift(&connection->read_deadline);
    drop_surplus(connection);
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
    request->begun_ms = came_ms;
    if (server->in_flight >= (size_t)server->config.in_flight_max ||
        server->bytes > (size_t)server->config.in_flight_bytes_max) {
        http_request_refuse(request, 503, "too many requests in hand");
        return;
    }
    request->is_counted = true;
    server->in_flight++;
    server->on_request(request, server->user);
}

/* A request may be begun or gone on with. */
static bool may_parse(const struct http_connection *connection)
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
    return !server->is_draining && (connection->first == NULL ||
                                    server->bytes <= (size_t)server->config.in_flight_bytes_max);
}

static bool begin_request(struct http_connection *connection)
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

/* After bytes were given to the partial request. */
static void step(struct http_connection *connection, uint64_t came_ms)
{
    struct http_server *server = connection->server;
    struct http_request *request = connection->partial;
    const struct http_reader *reader = &request->reader;
    http_request_count_bytes(request);
    if (reader->state == HTTP_READER_COMPLETE) {
        dispatch(connection, came_ms);
    } else if (reader->state == HTTP_READER_REFUSED) {
        refuse(connection, reader->status, reader->reason);
    } else if (server->bytes > (size_t)server->config.in_flight_bytes_max) {
        refuse(connection, 503, "too many requests in hand");
    } else if (reader->head.len > 0 && connection->read_deadline.list != &server->requests) {
        http_server_set_deadline(server, &server->requests, &connection->read_deadline);
    }
}

/* Bytes that were read at `came_ms`. Returns how many were taken. */
static size_t parse(struct http_connection *connection, const char *bytes, size_t len,
                    uint64_t came_ms)
{
    size_t taken = 0;
    while (taken < len && may_parse(connection)) {
        if (!begin_request(connection)) {
            return len;
        }
        taken += http_reader_feed(&connection->partial->reader, bytes + taken, len - taken);
        step(connection, came_ms);
    }
    return taken;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void set_reading(struct http_connection *connection, bool wanted)
{
    wanted = wanted && !connection->is_ended;
    if (wanted == connection->is_reading) {
        return;
    }
    connection->is_reading = wanted;
    if (!wanted) {
        (void)uv_read_stop((uv_stream_t *)&connection->tcp);
    } else if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) != 0) {
        http_connection_close(connection);
    }
}

/* Reading stops at once: libuv calls back again and again as long as its buffer was filled. */
static void keep_surplus(struct http_connection *connection, const char *bytes, size_t len)
{
    struct http_server *server = connection->server;
    assert(connection->surplus.len == 0);
    if (buf_add(&connection->surplus, bytes, len) != 0) {
        http_connection_close(connection);
        return;
    }
    connection->surplus_came_ms = uv_now(server->loop);
    count_bytes(connection);
    set_reading(connection, false);
    if (server->bytes > (size_t)server->config.in_flight_bytes_max && begin_request(connection)) {
        refuse(connection, 503, "too many requests in hand");
    }
}

static void parse_surplus(struct http_connection *connection)
{
    struct mr_buf surplus = connection->surplus;
    size_t taken;
    if (surplus.len == 0 || !may_parse(connection)) {
        return;
    }
    uv_update_time(connection->server->loop); /* how long it has waited matters */
    /* Taken out of the connection, which must not change it while it is read. */
    buf_init(&connection->surplus, HTTP_READ_BYTES);
    taken = parse(connection, surplus.ptr, surplus.len, connection->surplus_came_ms);
    if (taken < surplus.len && connection->state == HTTP_CONNECTION_OPEN && !connection->is_last) {
        memmove(surplus.ptr, surplus.ptr + taken, surplus.len - taken);
        surplus.len -= taken;
        connection->surplus = surplus;
    } else {
        buf_done(&surplus);
    }
    count_bytes(connection);
}

static void discard(struct http_connection *connection, size_t len)
{
    connection->discarded += len;
    if (connection->discarded > HTTP_LINGER_BYTES_MAX) {
        http_connection_close(connection);
    }
}

static void on_bytes(struct http_connection *connection, const char *bytes, size_t len)
{
    size_t taken;
    if (connection->state == HTTP_CONNECTION_LINGERING) {
        discard(connection, len);
        return;
    }
    taken = parse(connection, bytes, len, uv_now(connection->server->loop));
    if (taken < len && connection->state == HTTP_CONNECTION_OPEN && !connection->is_last) {
        keep_surplus(connection, bytes + taken, len - taken);
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
            drop_surplus(connection);
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct http_connection *connection;
    MAGIC_CAST(connection, write->data, HTTP_CONNECTION_MAGIC);
    connection->is_writing = false;
    shrink(&connection->sending);
    count_bytes(connection);
    deadline_lift(&connection->write_deadline);
    if (status < 0) {
        http_connection_close(connection);
    } else {
        http_server_mark_dirty(connection);
    }
}

/* What the socket doesn't take at once. */
static void send_rest(struct http_connection *connection, size_t written)
{
    struct mr_buf empty = connection->sending;
    uv_buf_t rest;
    assert(empty.len == 0);
    connection->sending = connection->out;
    connection->out = empty;
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
    uv_buf_t buf;
    int written;
    if (connection->is_writing || connection->out.len == 0) {
        return;
    }
    buf = uv_buf_init(connection->out.ptr, (unsigned)connection->out.len);
    written = uv_try_write((uv_stream_t *)&connection->tcp, &buf, 1);
    if (written == UV_EAGAIN) {
        written = 0;
    }
    if (written < 0) {
        http_connection_close(connection);
    } else if ((size_t)written == connection->out.len) {
        shrink(&connection->out);
    } else {
        send_rest(connection, (size_t)written);
    }
}

/* RFC 9110 10.1.1: the interim answer goes out in the order of the answers too. */
static void send_continue(struct http_connection *connection)
{
    struct http_request *request = connection->partial;
    if (request == NULL || connection->first != NULL || request->is_continued ||
        request->reader.state != HTTP_READER_BODY || !request->reader.expect_continue) {
        return;
    }
    if (connection->server->in_flight >= (size_t)connection->server->config.in_flight_max) {
        refuse(connection, 503, "too many requests in hand");
        return;
    }
    request->is_continued = true;
    if (request->reader.body.len == 0) {
        (void)buf_add(&connection->out, continue_line, sizeof continue_line - 1);
        send_out(connection);
    }
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
    if (connection->is_ended) {
        http_connection_close(connection);
        return;
    }
    connection->state = HTTP_CONNECTION_LINGERING;
    drop_partial(connection);
    drop_surplus(connection);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        http_connection_close(connection);
        return;
    }
    http_server_set_deadline(server, &server->lingers, &connection->read_deadline);
    set_reading(connection, true);
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
    set_reading(connection, may_parse(connection) && connection->surplus.len == 0);
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

void http_connection_flush(struct http_connection *connection)
{
    if (connection->state == HTTP_CONNECTION_OPEN) {
        collect_answers(connection);
    }
    if (connection->state == HTTP_CONNECTION_OPEN) {
        send_out(connection);
        count_bytes(connection);
        parse_surplus(connection); /* for which there may be room only now */
        send_continue(connection);
    }
    if (connection->state != HTTP_CONNECTION_OPEN) {
        return;
    }
    if (is_over(connection)) {
        linger(connection);
    } else {
        rest(connection);
    }
}

void http_connection_read_timeout(struct http_connection *connection)
{
    bool is_partial = connection->state == HTTP_CONNECTION_OPEN && connection->partial != NULL;
    if (is_partial && connection->partial->reader.head.len > 0) {
        refuse(connection, 408, "the request did not come to its end in time");
    } else {
        http_connection_close(connection);
    }
    http_server_mark_dirty(connection);
}

/* Over connections.max: told so, and done. */
static void turn_away(struct http_connection *connection)
{
    if (begin_request(connection)) {
        refuse(connection, 503, "too many connections");
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

void http_connection_open(struct http_server *server, int fd)
{
    size_t connections_max = (size_t)server->config.connections_max;
    struct http_connection *connection;
    if (server->connection_count >= connections_max + HTTP_TURNED_AWAY_MAX) {
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
    buf_init(&connection->surplus, HTTP_READ_BYTES);
    buf_init(&connection->out, HTTP_OUT_BYTES_MAX);
    buf_init(&connection->sending, HTTP_OUT_BYTES_MAX);
    link_connection(server, connection);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        (void)close(fd);
        http_connection_close(connection);
    } else if (server->connection_count > connections_max) {
        turn_away(connection);
    } else {
        rest(connection);
    }
}

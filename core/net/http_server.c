// SPDX-License-Identifier: Apache-2.0
/* The server: its listening socket, its clock, its end. Happy path: the socket is readable ->
 * connections are accepted (http_connection.c) -> whatever has something to do marks itself dirty
 * -> once before and once after the loop waits, the dirty ones are flushed, so that the answers of
 * one loop iteration leave in as few writes as there are clients -> drain: the socket is closed,
 * connections end as their answers are out -> close.
 *
 * What can go wrong: no descriptor is left (a spare one is given up to turn the client away; if
 * that is not to be had either, accepting pauses); something becomes dirty just before the loop
 * waits (an idle handle keeps it from sleeping). */
#include "net/http_server.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "kit/mem.h"
#include "net/http_internal.h"
#include "net/listener.h"

enum {
    ACCEPTS_MAX = 64,     /* in one loop iteration */
    CLOCK_STEP_MS = 20,   /* deadlines are looked at no more often */
    ACCEPT_PAUSE_MS = 100 /* after descriptors have run out */
};

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it is active is all it does */
}

void http_server_wake(struct http_server *server)
{
    if (!server->is_closing) {
        (void)uv_idle_start(&server->idle, on_idle);
    }
}

void http_server_mark_dirty(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->is_dirty || connection->state == HTTP_CONNECTION_CLOSED) {
        return;
    }
    connection->is_dirty = true;
    connection->next_dirty = server->dirty;
    server->dirty = connection;
    http_server_wake(server);
}

static void check_drained(struct http_server *server)
{
    void (*drained)(void *) = server->drained;
    if (drained != NULL && server->connection_count == 0 && server->in_flight == 0 &&
        !server->is_closing) {
        server->drained = NULL;
        drained(server->drained_user);
    }
}

static void flush(struct http_server *server)
{
    struct http_connection *connection = server->dirty;
    (void)uv_idle_stop(&server->idle);
    server->dirty = NULL;
    while (connection != NULL) {
        struct http_connection *next = connection->next_dirty;
        connection->is_dirty = false;
        connection->next_dirty = NULL;
        http_connection_flush(connection);
        connection = next;
    }
    check_drained(server);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct http_server *server;
    MAGIC_CAST(server, prepare->data, HTTP_SERVER_MAGIC);
    flush(server);
}

static void on_check(uv_check_t *check)
{
    struct http_server *server;
    MAGIC_CAST(server, check->data, HTTP_SERVER_MAGIC);
    flush(server);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct http_server *server, uint64_t due_ms)
{
    uint64_t now_ms = uv_now(server->loop);
    uint64_t earliest_ms = now_ms + CLOCK_STEP_MS;
    due_ms = due_ms < earliest_ms ? earliest_ms : due_ms;
    if (due_ms >= server->timer_due_ms || server->is_closing) {
        return;
    }
    server->timer_due_ms = due_ms;
    (void)uv_timer_start(&server->timer, on_timer, due_ms - now_ms, 0);
}

void http_server_set_deadline(struct http_server *server, struct deadlines *list,
                              struct deadline *deadline)
{
    deadline_set(list, deadline, uv_now(server->loop));
    arm(server, deadline->due_ms);
}

static void expire_reads(struct deadlines *list, uint64_t now_ms)
{
    struct deadline *due;
    while ((due = deadlines_take_due(list, now_ms)) != NULL) {
        http_connection_read_timeout(CONTAINER_OF(due, struct http_connection, read_deadline));
    }
}

static void expire_writes(struct deadlines *list, uint64_t now_ms)
{
    struct deadline *due;
    while ((due = deadlines_take_due(list, now_ms)) != NULL) {
        http_connection_close(CONTAINER_OF(due, struct http_connection, write_deadline));
    }
}

/* A request that is in hand again has its time; its answer gets a new end. */
static void expire_ends(struct deadlines *list, uint64_t now_ms)
{
    struct deadline *due;
    while ((due = deadlines_take_due(list, now_ms)) != NULL) {
        struct http_connection *connection =
            CONTAINER_OF(due, struct http_connection, end_deadline);
        if (connection->first == NULL) {
            http_connection_close(connection);
        }
    }
}

static void watch_listeners(struct http_server *server);

static void on_timer(uv_timer_t *timer)
{
    struct http_server *server;
    uint64_t now_ms;
    MAGIC_CAST(server, timer->data, HTTP_SERVER_MAGIC);
    struct deadlines *const lists[] = {&server->idles,   &server->requests, &server->drains,
                                       &server->lingers, &server->writes,   &server->ends};
    now_ms = uv_now(server->loop);
    server->timer_due_ms = UINT64_MAX;
    if (server->is_accept_paused) {
        server->is_accept_paused = false;
        watch_listeners(server);
    }
    expire_reads(&server->idles, now_ms);
    expire_reads(&server->requests, now_ms);
    expire_reads(&server->drains, now_ms);
    expire_reads(&server->lingers, now_ms);
    expire_writes(&server->writes, now_ms);
    expire_ends(&server->ends, now_ms);
    for (size_t i = 0; i < MR_COUNT_OF(lists); i++) {
        if (lists[i]->first != NULL) {
            arm(server, lists[i]->first->due_ms);
        }
    }
}

static void pause_accepting(struct http_server *server)
{
    server->is_accept_paused = true;
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].fd >= 0) {
            (void)uv_poll_stop(&server->listeners[i].poll);
        }
    }
    arm(server, uv_now(server->loop) + ACCEPT_PAUSE_MS);
}

static void accept_some(struct http_listener *listener, int64_t max)
{
    struct http_server *server = listener->server;
    for (int64_t i = 0; i < max && listener->fd >= 0; i++) {
        bool is_short;
        int fd = listener_accept(listener->fd, &server->spare_fd, &is_short);
        if (fd >= 0) {
            http_connection_open(server, fd, listener->tls);
        } else if (is_short && server->spare_fd < 0) {
            pause_accepting(server);
            server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
            return;
        } else if (!is_short) {
            return;
        }
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct http_listener *listener;
    (void)status;
    (void)events;
    MAGIC_CAST(listener, poll->data, HTTP_LISTENER_MAGIC);
    accept_some(listener, ACCEPTS_MAX);
}

static void watch_listeners(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].fd >= 0) {
            (void)uv_poll_start(&server->listeners[i].poll, UV_READABLE, on_acceptable);
        }
    }
}

static void destroy(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        tls_context_unref(server->listeners[i].tls);
    }
    mem_free(server->plain_buffer);
    server->magic = 0;
    mem_free(server);
}

void http_server_check_end(struct http_server *server)
{
    void (*closed)(void *) = server->closed;
    void *user = server->closed_user;
    if (!server->is_closing || server->handles_open > 0 || server->connection_count > 0 ||
        server->in_flight > 0) {
        return;
    }
    destroy(server);
    if (closed != NULL) {
        closed(user);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct http_server *server;
    MAGIC_CAST(server, handle->data, HTTP_SERVER_MAGIC);
    server->handles_open--;
    http_server_check_end(server);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct http_listener *listener;
    MAGIC_CAST(listener, handle->data, HTTP_LISTENER_MAGIC);
    listener->server->handles_open--;
    http_server_check_end(listener->server);
}

static void stop_listening(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        struct http_listener *listener = &server->listeners[i];
        if (listener->fd >= 0) {
            (void)uv_poll_stop(&listener->poll);
            (void)close(listener->fd);
            listener->fd = -1;
            uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
        }
    }
    if (server->spare_fd >= 0) {
        (void)close(server->spare_fd);
        server->spare_fd = -1;
    }
}

/* Nothing of it can fail. */
static void start_handles(struct http_server *server)
{
    (void)uv_prepare_init(server->loop, &server->prepare);
    (void)uv_check_init(server->loop, &server->check);
    (void)uv_idle_init(server->loop, &server->idle);
    (void)uv_timer_init(server->loop, &server->timer);
    server->prepare.data = server;
    server->check.data = server;
    server->idle.data = server;
    server->timer.data = server;
    server->handles_open += HTTP_HANDLES;
    (void)uv_prepare_start(&server->prepare, on_prepare);
    (void)uv_check_start(&server->check, on_check);
    watch_listeners(server);
}

/* On failure nothing of it is left open. */
static int open_listener(struct http_server *server, const struct http_listener_config *config,
                         struct mr_error *err)
{
    struct http_listener *listener = &server->listeners[server->listener_count];
    int rc;
    if (config->tls != NULL && server->plain_buffer == NULL) {
        server->plain_buffer = mem_alloc(HTTP_PLAIN_BYTES);
        if (server->plain_buffer == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
    }
    rc = listener_open(&config->address, server->config.reuse_port, &listener->fd, &listener->port,
                       err);
    if (rc != 0) {
        return rc;
    }
    rc = uv_poll_init(server->loop, &listener->poll, listener->fd);
    if (rc != 0) { /* it asks the system */
        (void)close(listener->fd);
        return mr_error_set(err, MR_ENET, "watch the listening socket: %s", uv_strerror(rc));
    }
    listener->magic = HTTP_LISTENER_MAGIC;
    listener->server = server;
    listener->poll.data = listener;
    listener->tls = config->tls == NULL ? NULL : tls_context_ref(config->tls);
    server->handles_open++;
    server->listener_count++;
    return 0;
}

/* A server that could not be opened: the loop ends what was begun of it. */
static void abandon(struct http_server *server)
{
    server->is_closing = true;
    if (server->handles_open == 0) {
        destroy(server);
    } else {
        stop_listening(server);
    }
}

int http_server_open(uv_loop_t *loop, const struct http_server_config *config,
                     http_request_cb on_request, void *user, struct http_server **ret_server,
                     struct mr_error *err)
{
    int rc = 0;
    struct http_server *server = mem_zalloc(sizeof *server);
    assert(config->pipeline_max > 0 && config->connections_max > 0);
    assert(config->listener_count > 0 && config->listener_count <= HTTP_LISTENERS_MAX);
    if (server == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    server->magic = HTTP_SERVER_MAGIC;
    server->loop = loop;
    server->config = *config;
    server->on_request = on_request;
    server->user = user;
    server->timer_due_ms = UINT64_MAX;
    server->date = (time_t)-1;
    server->idles.after_ms = (uint64_t)config->idle_ms;
    server->requests.after_ms = (uint64_t)config->request_ms;
    server->drains.after_ms = (uint64_t)config->drain_ms;
    server->ends.after_ms = (uint64_t)config->drain_ms;
    server->writes.after_ms = (uint64_t)config->write_ms;
    server->lingers.after_ms = HTTP_LINGER_MS;
    server->spare_fd = -1;
    for (size_t i = 0; i < config->listener_count && rc == 0; i++) {
        rc = open_listener(server, &config->listeners[i], err);
    }
    if (rc != 0) {
        abandon(server);
        return rc;
    }
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    start_handles(server);
    *ret_server = server;
    return 0;
}

void http_server_limit_connections(struct http_server *server, int64_t connections_max,
                                   int64_t turned_away_max)
{
    MAGIC_CHECK(server, HTTP_SERVER_MAGIC);
    assert(connections_max > 0 && turned_away_max >= 0);
    server->config.connections_max = connections_max;
    server->config.turned_away_max = turned_away_max;
}

uint16_t http_server_port(const struct http_server *server, size_t listener)
{
    assert(listener < server->listener_count);
    return server->listeners[listener].port;
}

void http_server_set_tls(struct http_server *server, struct tls_context *context)
{
    MAGIC_CHECK(server, HTTP_SERVER_MAGIC);
    for (size_t i = 0; i < server->listener_count; i++) {
        struct http_listener *listener = &server->listeners[i];
        if (listener->tls != NULL) {
            tls_context_unref(listener->tls);
            listener->tls = tls_context_ref(context);
        }
    }
}

/* What is begun has less time from now on, but never more than it had. */
static void hurry_requests(struct http_server *server)
{
    uint64_t due_ms = uv_now(server->loop) + server->drains.after_ms;
    for (struct http_connection *each = server->connections; each != NULL; each = each->next) {
        if (each->read_deadline.list == &server->requests && each->read_deadline.due_ms > due_ms) {
            http_server_set_deadline(server, &server->drains, &each->read_deadline);
        }
    }
}

void http_server_drain(struct http_server *server, void (*drained)(void *user), void *user)
{
    MAGIC_CHECK(server, HTTP_SERVER_MAGIC);
    /* Those in the backlog have been told by the system that they are connected: all of them. */
    for (size_t i = 0; i < server->listener_count; i++) {
        accept_some(&server->listeners[i],
                    server->config.connections_max + server->config.turned_away_max);
    }
    for (struct http_connection *each = server->connections; each != NULL; each = each->next) {
        http_connection_read_now(each);
    }
    server->is_draining = true;
    hurry_requests(server);
    server->drained = drained;
    server->drained_user = user;
    stop_listening(server);
    for (struct http_connection *each = server->connections; each != NULL; each = each->next) {
        http_server_mark_dirty(each);
    }
    http_server_wake(server);
}

void http_server_close(struct http_server *server, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(server, HTTP_SERVER_MAGIC);
    assert(!server->is_closing);
    server->is_closing = true;
    server->closed = closed;
    server->closed_user = user;
    stop_listening(server);
    for (struct http_connection *each = server->connections; each != NULL; each = each->next) {
        http_connection_close(each);
    }
    while (server->spare != NULL) {
        struct http_request *request = server->spare;
        server->spare = request->next;
        http_request_destroy(request);
    }
    uv_close((uv_handle_t *)&server->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&server->check, on_handle_closed);
    uv_close((uv_handle_t *)&server->idle, on_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
}

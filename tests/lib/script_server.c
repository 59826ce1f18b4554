// SPDX-License-Identifier: Apache-2.0
#include "lib/script_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REQUEST_BYTES_MAX = 16 * 1024 * 1024 };

struct connection {
    struct script_server *server;
    pthread_t thread;
    int fd;
    unsigned number;
    char *bytes;
    size_t len;
    size_t capacity;
};

struct script_server {
    script_handler handler;
    void *user;
    int listen_fd;
    uint16_t port;
    pthread_t acceptor;
    pthread_mutex_t lock; /* of all below, and around the handler */
    bool stopping;
    unsigned requests;
    unsigned connection_count;
    struct connection *connections[CONNECTIONS_MAX];
};

/* More bytes into the buffer, which is kept terminated. */
static bool receive(struct connection *c)
{
    ssize_t got;
    if (c->capacity - c->len < 2) {
        size_t capacity = c->capacity == 0 ? 65536 : c->capacity * 2;
        char *bytes = capacity > REQUEST_BYTES_MAX ? NULL : realloc(c->bytes, capacity);
        if (bytes == NULL) {
            return false;
        }
        c->bytes = bytes;
        c->capacity = capacity;
    }
    got = recv(c->fd, c->bytes + c->len, c->capacity - c->len - 1, 0);
    if (got <= 0) {
        return false;
    }
    c->len += (size_t)got;
    c->bytes[c->len] = '\0';
    return true;
}

const char *script_header(const char *head, const char *name)
{
    static _Thread_local char value[1024];
    size_t len = strlen(name);
    for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            const char *begin = line + len + 1 + strspn(line + len + 1, " ");
            (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(begin, "\r"), begin);
            return value;
        }
    }
    return NULL;
}

/* One whole request at the start of the buffer; its length, or 0 if the client has left. */
static size_t read_request(struct connection *c, size_t *ret_head)
{
    char *end = NULL;
    const char *text;
    size_t body = 0;
    while (c->bytes == NULL || (end = strstr(c->bytes, "\r\n\r\n")) == NULL) {
        if (!receive(c)) {
            return 0;
        }
    }
    *ret_head = (size_t)(end - c->bytes) + 4;
    end[2] = '\0'; /* the head ends with its last line */
    text = script_header(c->bytes, "content-length");
    body = text == NULL ? 0 : strtoul(text, NULL, 10);
    while (c->len < *ret_head + body) {
        if (!receive(c)) {
            return 0;
        }
    }
    return *ret_head + body;
}

static bool send_answer(const struct connection *c, const struct script_answer *answer)
{
    size_t len = answer->bytes == NULL ? 0 : answer->len ? answer->len : strlen(answer->bytes);
    size_t piece = answer->piece_bytes ? answer->piece_bytes : len;
    for (size_t at = 0; at < len; at += piece) {
        size_t want = len - at < piece ? len - at : piece;
        if (answer->pause_ms > 0) {
            (void)poll(NULL, 0, answer->pause_ms);
        }
        if (send(c->fd, answer->bytes + at, want, MSG_NOSIGNAL) != (ssize_t)want) {
            return false;
        }
    }
    return true;
}

/* False: the connection ends. */
static bool serve_one(struct connection *c)
{
    struct script_server *server = c->server;
    struct script_answer answer = {0};
    struct script_request request = {.connection = c->number};
    size_t head = 0;
    size_t len = read_request(c, &head);
    bool ok;
    if (len == 0) {
        return false;
    }
    request.head = c->bytes;
    request.body = (struct mr_slice){c->bytes + head, len - head};
    pthread_mutex_lock(&server->lock);
    request.number = ++server->requests;
    server->handler(server->user, &request, &answer);
    pthread_mutex_unlock(&server->lock);
    ok = send_answer(c, &answer);
    memmove(c->bytes, c->bytes + len, c->len - len + 1);
    c->len -= len;
    if (answer.then == SCRIPT_HANG) {
        char byte;
        while (recv(c->fd, &byte, 1, 0) > 0) {
        }
    } else if (answer.then == SCRIPT_RESET) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    return ok && answer.then == SCRIPT_KEEP;
}

static void *serve(void *data)
{
    struct connection *c = data;
    while (serve_one(c)) {
    }
    pthread_mutex_lock(&c->server->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&c->server->lock);
    return NULL;
}

static void begin_connection(struct script_server *server, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    pthread_mutex_lock(&server->lock);
    if (c == NULL || server->stopping || server->connection_count == CONNECTIONS_MAX) {
        close(fd);
        free(c);
    } else {
        c->server = server;
        c->fd = fd;
        server->connections[server->connection_count++] = c;
        c->number = server->connection_count;
        if (pthread_create(&c->thread, NULL, serve, c) != 0) {
            abort();
        }
    }
    pthread_mutex_unlock(&server->lock);
}

static void *accept_all(void *data)
{
    struct script_server *server = data;
    for (;;) {
        int fd = accept(server->listen_fd, NULL, NULL);
        if (fd < 0) {
            return NULL; /* script_server_stop has shut the socket down */
        }
        begin_connection(server, fd);
    }
}

static int listen_on(uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(address.sin_port);
    return fd;
}

struct script_server *script_server_start(uint16_t port, script_handler handler, void *user)
{
    struct script_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->handler = handler;
    server->user = user;
    server->listen_fd = listen_on(port, &server->port);
    if (server->listen_fd < 0) {
        free(server);
        return NULL;
    }
    (void)pthread_mutex_init(&server->lock, NULL);
    if (pthread_create(&server->acceptor, NULL, accept_all, server) != 0) {
        abort();
    }
    return server;
}

uint16_t script_server_port(const struct script_server *server)
{
    return server->port;
}

unsigned script_server_connections(struct script_server *server)
{
    unsigned count;
    pthread_mutex_lock(&server->lock);
    count = server->connection_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

void script_server_stop(struct script_server *server)
{
    if (server == NULL) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    (void)shutdown(server->listen_fd, SHUT_RDWR);
    for (unsigned i = 0; i < server->connection_count; i++) {
        if (server->connections[i]->fd >= 0) {
            (void)shutdown(server->connections[i]->fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->lock);
    (void)pthread_join(server->acceptor, NULL);
    close(server->listen_fd);
    for (unsigned i = 0; i < server->connection_count; i++) {
        (void)pthread_join(server->connections[i]->thread, NULL);
        free(server->connections[i]->bytes);
        free(server->connections[i]);
    }
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

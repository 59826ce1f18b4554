// SPDX-License-Identifier: Apache-2.0
#include "lib/script_broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/certificates.h"
#include "lib/heap.h"
#include "lib/raw_client.h"

enum {
    READ_BYTES = 65536,
    RECEIVED_BYTES = 8192,
    SEGMENT_BYTES = 1000,
    LOOK_MS = 2,
    POLLED_MAX = SCRIPT_BROKER_CONNECTIONS_MAX + 2
};

struct connection {
    int fd; /* -1: it has ended */
    unsigned number;
    uint8_t level; /* of its CONNECT */
    SSL *ssl;      /* NULL: plain */
    struct mr_buf in;
    struct mr_buf out;
    size_t sent;  /* of `out` */
    bool closing; /* FIN when `out` is empty */
    bool closed;  /* our FIN was sent */
    bool reset;
    bool is_inside; /* of a packet that is sent in parts */
};

struct script_broker {
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    int reserve_fd;       /* bound to the port, never listening: nobody else gets it */
    int listen_fd;        /* -1: down */
    int wake_fd;
    uint16_t port;
    SSL_CTX *context; /* NULL: plain */
    struct script_broker_script script;
    bool stopping;
    char bad[128]; /* what a client has sent that it must not; "" */
    struct connection *connections[SCRIPT_BROKER_CONNECTIONS_MAX];
    unsigned connection_count;
    struct script_broker_packet **packets;
    unsigned packet_count;
    unsigned capacity;
};

/* A failed set-up is not a failed check: stop with its words. */
static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "script_broker: %s\n", what);
        abort();
    }
}

static void record(struct script_broker *broker, const struct connection *c,
                   const struct wire_packet *packet)
{
    struct script_broker_packet *kept = malloc(sizeof *kept);
    if (broker->packet_count == broker->capacity) {
        broker->capacity = broker->capacity == 0 ? 1024 : broker->capacity * 2;
        broker->packets = realloc(broker->packets, broker->capacity * sizeof(void *));
    }
    need(kept != NULL && broker->packets != NULL, "out of memory");
    kept->packet = *packet;
    kept->number = broker->packet_count + 1;
    kept->connection = c->number;
    kept->at_s = raw_now_s();
    kept->session_present = broker->script.session_present && broker->script.connack == 0;
    broker->packets[broker->packet_count++] = kept;
}

static void end_connection(struct script_broker *broker, struct connection *c)
{
    record(broker, c, &(struct wire_packet){.type = WIRE_END});
    SSL_free(c->ssl);
    c->ssl = NULL;
    (void)close(c->fd);
    c->fd = -1;
}

static void answer_connect(struct script_broker *broker, struct connection *c)
{
    const struct script_broker_script *script = &broker->script;
    if (script->connack_held || script->drops) {
        c->closing = script->drops;
        return;
    }
    wire_add_connack(&c->out, c->level, script->session_present && script->connack == 0,
                     script->connack, script->connack_properties);
    c->closing = script->connack != 0; /* 3.1.4-2, 3.2.2-7 */
}

static void answer(struct script_broker *broker, struct connection *c,
                   const struct wire_packet *packet)
{
    const struct script_broker_script *script = &broker->script;
    if (packet->type == WIRE_CONNECT) {
        c->level = packet->level;
        answer_connect(broker, c);
    } else if (packet->type == WIRE_SUBSCRIBE && !script->suback_held) {
        wire_add_suback(&c->out, c->level, packet,
                        script->suback != 0    ? script->suback
                        : script->grants_qos_0 ? 0
                                               : WIRE_AS_ASKED);
    } else if (packet->type == WIRE_UNSUBSCRIBE && !script->unsuback_held) {
        wire_add_unsuback(&c->out, c->level, packet);
    } else if (packet->type == WIRE_PINGREQ && !script->pingresp_held) {
        wire_add_packet(&c->out, WIRE_PINGRESP, 0, MR_SLICE(""));
    } else if (packet->type == WIRE_DISCONNECT) {
        c->closing = true; /* 3.14.4 */
    }
}

static void take_packets(struct script_broker *broker, struct connection *c)
{
    size_t at = 0;
    long len;
    struct wire_packet packet;
    while ((len = wire_length((const uint8_t *)c->in.ptr + at, c->in.len - at)) > 0) {
        if (!wire_read((const uint8_t *)c->in.ptr + at, (size_t)len, c->level, &packet)) {
            if (broker->script.takes_anything) {
                at += (size_t)len;
                continue;
            }
            (void)snprintf(broker->bad, sizeof broker->bad,
                           "a packet of type %d that isn't as the specification has it",
                           (int)packet.type);
            return;
        }
        record(broker, c, &packet);
        if (!c->closing) {
            answer(broker, c, &packet);
        }
        at += (size_t)len;
    }
    if (len < 0) {
        (void)snprintf(broker->bad, sizeof broker->bad, "what is no packet");
        return;
    }
    memmove(c->in.ptr, c->in.ptr + at, c->in.len - at);
    c->in.len -= at;
}

/* Bytes, 0: none now, -1: the end. */
static ssize_t receive(struct connection *c, void *bytes, size_t len)
{
    if (c->ssl != NULL) {
        int got = SSL_read(c->ssl, bytes, (int)len);
        int error = got > 0 ? 0 : SSL_get_error(c->ssl, got);
        ERR_clear_error();
        return got > 0                                                         ? got
               : error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0
                                                                               : -1;
    }
    ssize_t got = recv(c->fd, bytes, len, MSG_DONTWAIT);
    return got > 0 ? got : got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void read_connection(struct script_broker *broker, struct connection *c)
{
    ssize_t got;
    do {
        need(buf_reserve(&c->in, READ_BYTES) == 0, "a client sends too much");
        got = receive(c, c->in.ptr + c->in.len, READ_BYTES);
        c->in.len += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    if (c->in.len > 0 && broker->bad[0] == '\0') {
        take_packets(broker, c);
    }
    if (got < 0) {
        end_connection(broker, c);
    }
}

static size_t unsent(const struct connection *c)
{
    return c->out.len - c->sent;
}

static ssize_t give(struct connection *c)
{
    if (c->ssl != NULL) {
        int sent = SSL_write(c->ssl, c->out.ptr + c->sent, (int)unsent(c));
        ERR_clear_error();
        return sent;
    }
    return send(c->fd, c->out.ptr + c->sent, unsent(c), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* What can't be sent is no failure here: the end of the connection is seen when it is read. */
static void write_connection(struct script_broker *broker, struct connection *c)
{
    ssize_t sent = unsent(c) > 0 ? give(c) : 0;
    c->sent += sent > 0 ? (size_t)sent : 0;
    if (unsent(c) == 0) {
        buf_clear(&c->out);
        c->sent = 0;
    }
    if (c->reset) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        end_connection(broker, c);
    } else if (c->closing && !c->closed && unsent(c) == 0) {
        c->closed = true;
        if (c->ssl != NULL) {
            (void)SSL_shutdown(c->ssl);
            ERR_clear_error();
        }
        (void)shutdown(c->fd, SHUT_WR);
    }
}

static void accept_connection(struct script_broker *broker)
{
    int one = 1;
    int fd = accept4(broker->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c;
    if (fd < 0) {
        return;
    }
    need(broker->connection_count < SCRIPT_BROKER_CONNECTIONS_MAX, "too many connections");
    c = calloc(1, sizeof *c);
    need(c != NULL, "out of memory");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->fd = fd;
    c->level = WIRE_LEVEL_5;
    wire_begin(&c->in);
    wire_begin(&c->out);
    if (broker->context != NULL) {
        c->ssl = SSL_new(broker->context);
        need(c->ssl != NULL && SSL_set_fd(c->ssl, fd) == 1, "no TLS");
        SSL_set_accept_state(c->ssl);
    }
    broker->connections[broker->connection_count++] = c;
    c->number = broker->connection_count;
}

static bool is_read(const struct script_broker *broker, const struct connection *c)
{
    return !broker->script.reading_held && (!c->is_inside || c->closing);
}

/* What the poll waits for; a connection without an end has its place behind the two others. */
static nfds_t fill_polled(struct script_broker *broker, struct pollfd *polled,
                          struct connection **of)
{
    nfds_t count = 2;
    polled[0] = (struct pollfd){.fd = broker->wake_fd, .events = POLLIN};
    polled[1] = (struct pollfd){.fd = broker->listen_fd, .events = POLLIN};
    for (unsigned i = 0; i < broker->connection_count; i++) {
        struct connection *c = broker->connections[i];
        if (c->fd >= 0) {
            bool writes = unsent(c) > 0 && (c->ssl == NULL || SSL_is_init_finished(c->ssl));
            int events = (is_read(broker, c) ? POLLIN : 0) | (writes ? POLLOUT : 0);
            of[count] = c;
            polled[count++] = (struct pollfd){.fd = c->fd, .events = (short)events};
        }
    }
    return count;
}

static void *run(void *data)
{
    struct script_broker *broker = data;
    struct pollfd polled[POLLED_MAX];
    struct connection *of[POLLED_MAX];
    uint64_t woken;
    heap_leave_out_thread();
    pthread_mutex_lock(&broker->lock);
    while (!broker->stopping) {
        nfds_t count = fill_polled(broker, polled, of);
        pthread_mutex_unlock(&broker->lock);
        (void)poll(polled, count, -1);
        pthread_mutex_lock(&broker->lock);
        (void)!read(broker->wake_fd, &woken, sizeof woken);
        for (nfds_t i = 2; i < count; i++) {
            if (of[i]->fd >= 0 && is_read(broker, of[i]) && polled[i].revents != 0) {
                read_connection(broker, of[i]);
            }
            if (of[i]->fd >= 0) {
                write_connection(broker, of[i]);
            }
        }
        if (broker->listen_fd >= 0 && polled[1].revents != 0) {
            accept_connection(broker);
        }
    }
    pthread_mutex_unlock(&broker->lock);
    return NULL;
}

static void wake(struct script_broker *broker)
{
    const uint64_t one = 1;
    (void)!write(broker->wake_fd, &one, sizeof one);
}

static int bind_port(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    need(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
             bind(fd, (struct sockaddr *)&address, sizeof address) == 0,
         "bind");
    return fd;
}

static void start_listening(struct script_broker *broker)
{
    /* So that one that doesn't read is soon felt: the sender's buffer grows by segments. */
    const int few = RECEIVED_BYTES;
    const int segment = SEGMENT_BYTES;
    broker->listen_fd = bind_port(broker->port);
    need(
        setsockopt(broker->listen_fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few) == 0 &&
            setsockopt(broker->listen_fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment) == 0 &&
            listen(broker->listen_fd, 128) == 0,
        "listen");
}

static SSL_CTX *make_context(const struct cert *server, const struct cert *ca)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    need(context != NULL && SSL_CTX_use_certificate(context, server->x509) == 1 &&
             SSL_CTX_use_PrivateKey(context, server->key) == 1,
         "TLS");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        need(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca->x509) == 1, "CA");
    }
    return context;
}

struct script_broker *script_broker_start(const struct cert *server, const struct cert *ca)
{
    struct script_broker *broker = calloc(1, sizeof *broker);
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    need(broker != NULL, "out of memory");
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    broker->reserve_fd = bind_port(0);
    need(getsockname(broker->reserve_fd, (struct sockaddr *)&address, &len) == 0, "port");
    broker->port = ntohs(address.sin_port);
    broker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    broker->context = server == NULL ? NULL : make_context(server, ca);
    start_listening(broker);
    need(broker->wake_fd >= 0 && pthread_mutex_init(&broker->lock, NULL) == 0 &&
             pthread_create(&broker->thread, NULL, run, broker) == 0,
         "start");
    return broker;
}

uint16_t script_broker_port(const struct script_broker *broker)
{
    return broker->port;
}

void script_broker_stop(struct script_broker *broker)
{
    if (broker == NULL) {
        return;
    }
    pthread_mutex_lock(&broker->lock);
    broker->stopping = true;
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
    (void)pthread_join(broker->thread, NULL);
    for (unsigned i = 0; i < broker->connection_count; i++) {
        struct connection *c = broker->connections[i];
        if (c->fd >= 0) {
            end_connection(broker, c);
        }
        buf_done(&c->in);
        buf_done(&c->out);
        free(c);
    }
    for (unsigned i = 0; i < broker->packet_count; i++) {
        free(broker->packets[i]);
    }
    free(broker->packets);
    (void)close(broker->listen_fd);
    (void)close(broker->reserve_fd);
    (void)close(broker->wake_fd);
    SSL_CTX_free(broker->context);
    (void)pthread_mutex_destroy(&broker->lock);
    free(broker);
}

void script_broker_set(struct script_broker *broker, const struct script_broker_script *script)
{
    pthread_mutex_lock(&broker->lock);
    broker->script = *script;
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

void script_broker_set_up(struct script_broker *broker, bool up)
{
    pthread_mutex_lock(&broker->lock);
    if (up && broker->listen_fd < 0) {
        start_listening(broker);
    } else if (!up && broker->listen_fd >= 0) {
        (void)shutdown(broker->listen_fd, SHUT_RDWR); /* for the poll holds it a moment longer */
        (void)close(broker->listen_fd);
        broker->listen_fd = -1;
        for (unsigned i = 0; i < broker->connection_count; i++) {
            if (broker->connections[i]->fd >= 0) {
                end_connection(broker, broker->connections[i]);
            }
        }
    }
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

unsigned script_broker_connections(struct script_broker *broker)
{
    unsigned count;
    pthread_mutex_lock(&broker->lock);
    count = broker->connection_count;
    pthread_mutex_unlock(&broker->lock);
    return count;
}

const struct script_broker_packet *script_broker_packet_at(struct script_broker *broker,
                                                           unsigned number)
{
    const struct script_broker_packet *packet = NULL;
    char bad[sizeof broker->bad];
    pthread_mutex_lock(&broker->lock);
    if (number >= 1 && number <= broker->packet_count) {
        packet = broker->packets[number - 1];
    }
    memcpy(bad, broker->bad, sizeof bad);
    pthread_mutex_unlock(&broker->lock);
    if (bad[0] != '\0') {
        fail_msg("a client has sent %s", bad);
    }
    return packet;
}

const struct script_broker_packet *script_broker_look(struct script_broker *broker,
                                                      enum wire_type type, unsigned after)
{
    const struct script_broker_packet *packet;
    while ((packet = script_broker_packet_at(broker, ++after)) != NULL) {
        if (packet->packet.type == type) {
            return packet;
        }
    }
    return NULL;
}

const struct script_broker_packet *script_broker_wait_packet(struct script_broker *broker,
                                                             enum wire_type type, unsigned after)
{
    double end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    const struct script_broker_packet *packet;
    while ((packet = script_broker_look(broker, type, after)) == NULL) {
        if (raw_now_s() > end) {
            fail_msg("no packet of type %d after number %u", (int)type, after);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    return packet;
}

size_t script_broker_count(struct script_broker *broker, enum wire_type type, unsigned connection)
{
    const struct script_broker_packet *packet = NULL;
    size_t count = 0;
    while ((packet = script_broker_look(broker, type, packet == NULL ? 0 : packet->number)) !=
           NULL) {
        count += connection == 0 || packet->connection == connection;
    }
    return count;
}

void script_broker_wait_count(struct script_broker *broker, enum wire_type type,
                              unsigned connection, size_t count)
{
    double end = raw_now_s() + SCRIPT_BROKER_DEADLINE_S;
    while (script_broker_count(broker, type, connection) < count) {
        if (raw_now_s() > end) {
            fail_msg("%zu packets of type %d, not %zu",
                     script_broker_count(broker, type, connection), (int)type, count);
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

unsigned script_broker_wait_subscribed(struct script_broker *broker, unsigned after)
{
    return script_broker_wait_packet(broker, WIRE_SUBSCRIBE, after)->connection;
}

/* Under the lock, which the caller gives back. */
static struct connection *lock_connection(struct script_broker *broker, unsigned connection)
{
    pthread_mutex_lock(&broker->lock);
    need(connection >= 1 && connection <= broker->connection_count, "no such connection");
    return broker->connections[connection - 1];
}

uint8_t script_broker_level(struct script_broker *broker, unsigned connection)
{
    uint8_t level = lock_connection(broker, connection)->level;
    pthread_mutex_unlock(&broker->lock);
    return level;
}

void script_broker_send(struct script_broker *broker, unsigned connection, struct mr_slice bytes)
{
    script_broker_send_part(broker, connection, bytes, true);
}

void script_broker_send_part(struct script_broker *broker, unsigned connection,
                             struct mr_slice bytes, bool is_last)
{
    struct connection *c = lock_connection(broker, connection);
    c->is_inside = !is_last;
    need(buf_add_slice(&c->out, bytes) == 0, "out of memory");
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

void script_broker_publish(struct script_broker *broker, unsigned connection,
                           const struct wire_publish *publish)
{
    struct connection *c = lock_connection(broker, connection);
    wire_add_publish(&c->out, c->level, publish);
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

size_t script_broker_unsent(struct script_broker *broker, unsigned connection)
{
    size_t len = unsent(lock_connection(broker, connection));
    pthread_mutex_unlock(&broker->lock);
    return len;
}

void script_broker_close(struct script_broker *broker, unsigned connection, bool reset)
{
    struct connection *c = lock_connection(broker, connection);
    c->closing = true;
    c->reset = reset;
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

void script_broker_disconnect(struct script_broker *broker, unsigned connection, uint8_t reason,
                              const char *text)
{
    struct connection *c = lock_connection(broker, connection);
    wire_add_disconnect(&c->out, reason, text);
    c->closing = true;
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

/* An HTTP/1.1 server on one loop. Requests are read ahead and answered in order, each when its
 * answer is ready; a request outlives its connection until it is answered. Several servers may
 * share an address, one a loop (SO_REUSEPORT). Every count, size and wait has a bound in the
 * configuration. */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/metrics.h>
#include <millrace/options.h>
#include <millrace/slice.h>

#include "net/http_reader.h"
#include "net/tls_context.h"

struct http_server;
struct http_request;

enum { HTTP_LISTENERS_MAX = 2 };

struct http_listener_config {
    struct mr_address address;
    struct tls_context *tls; /* NULL: plain. The server takes a reference of its own */
};

struct http_server_config {
    /* The bounds are for all of them together. */
    struct http_listener_config listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    bool reuse_port;             /* several loops on one address */
    int64_t connections_max;     /* over it, accepted connections are answered 503 and closed */
    int64_t turned_away_max;     /* so many at a time; more are closed without an answer */
    int64_t pipeline_max;        /* unanswered requests of one connection before reading pauses */
    int64_t in_flight_max;       /* unanswered requests of this server; over it, 503 */
    int64_t in_flight_bytes_max; /* bytes held by them, by partial ones and by answers
                                    that are not sent yet; over it, 503. What is only partly
                                    here has half of it (or one request's bytes, if that is
                                    more); over that, what was begun first is ended */
    int64_t handshakes_max;      /* TLS handshakes under way; over it, the oldest is ended */
    struct http_limits limits;
    int64_t idle_ms;                     /* a connection without a request */
    int64_t request_ms;                  /* from a request's first byte to its last; for a TLS
                                            handshake, from the connection's beginning */
    int64_t drain_ms;                    /* once draining, for the rest of a begun request,
                                            and for taking the answers that are ready */
    int64_t write_ms;                    /* a client that doesn't read its answer */
    const char *server_name;             /* Server header; NULL: none */
    struct mr_series *connections_gauge; /* NULL: none */
    struct mr_series *const *handshakes; /* a counter for each enum tls_outcome; NULL: none */
    /* Told of each answer that the server gives by itself (a refusal); may be NULL. Gets `user`. */
    void (*on_refusal)(int status, void *user);
    /* Asked about a head that has come without all of its content, before that is waited for (and,
     * with Expect: 100-continue, called for). False: the program will refuse it whatever the
     * content is. It is then given to the program without being whole, and its answer ends the
     * connection. NULL: content is always wanted. Gets `user`. */
    bool (*wants_content)(const struct http_request *request, void *user);
};

/* What one request within the limits holds of in_flight_bytes_max at most. */
size_t http_server_request_bytes_max(const struct http_limits *limits);

/* Answer now or later, exactly once. On the server's loop. */
typedef void (*http_request_cb)(struct http_request *request, void *user);

/* Listen. Errors: MR_ENET (the text names the address and the reason: taken, not permitted, not
 * ours), MR_ENOMEM. */
int http_server_open(uv_loop_t *loop, const struct http_server_config *config,
                     http_request_cb on_request, void *user, struct http_server **ret_server,
                     struct mr_error *err);

/* Lower (or raise) the two bounds on connections. On the server's loop, or before that runs. */
void http_server_limit_connections(struct http_server *server, int64_t connections_max,
                                   int64_t turned_away_max);

/* The port that a listener has (config's port 0: the system's choice). */
uint16_t http_server_port(const struct http_server *server, size_t listener);

/* The context of the TLS listeners' connections from now on; a reference is taken. Those that are
 * open go on with theirs. On the server's loop. */
void http_server_set_tls(struct http_server *server, struct tls_context *context);

/* Stop accepting; answer what is in hand with "Connection: close", a request that doesn't come to
 * its end within drain_ms with 408; close idle connections, and those of clients that haven't taken
 * their last answers drain_ms after these were ready.
 * `drained` is called on the loop when no connection and no unanswered request is left. */
void http_server_drain(struct http_server *server, void (*drained)(void *user), void *user);

/* Close everything now. Unanswered requests stay valid until http_request_answer, which then only
 * frees them. `closed` is called when the server's memory is gone: not before the last request is
 * answered. */
void http_server_close(struct http_server *server, void (*closed)(void *user), void *user);

/* The request: slices live until it is answered. */
struct mr_slice http_request_method(const struct http_request *request);
struct mr_slice http_request_path(
    const struct http_request *request); /* raw: not percent-decoded */
struct mr_slice http_request_query(
    const struct http_request *request); /* raw; absent without "?" */
struct mr_slice http_request_header(const struct http_request *request, const char *name,
                                    unsigned *ret_count);
bool http_request_header_at(const struct http_request *request, unsigned index,
                            struct mr_slice *ret_name, struct mr_slice *ret_value);
struct mr_slice http_request_body(const struct http_request *request);
/* The subject of the client's certificate, which has been verified, as RFC 4514 writes it (UTF-8,
 * escaped); absent without one, or if its subject is empty. Lives as long as the connection, and is
 * absent when that has gone. */
struct mr_slice http_request_certificate_subject(const struct http_request *request);
/* False: it was given to the program by its head alone (wants_content). */
bool http_request_is_whole(const struct http_request *request);
/* When its last byte came, or earlier (uv_now). */
uint64_t http_request_came_ms(const struct http_request *request);

/* Where it was sent from: the other end of its connection, which may be a proxy. */
struct http_client_address {
    unsigned char bytes[16]; /* in the network's order; the first 4 of IPv4; zeros: not known */
    bool is_v6;
};

/* Only while the program is given the request: its connection may go afterwards. */
struct http_client_address http_request_client_address(const struct http_request *request);

struct http_answer {
    int status;
    const char *content_type; /* NULL: no content */
    struct mr_slice body;     /* copied */
    const char *headers;      /* further lines, each ended by CRLF, or NULL */
    bool close;               /* end the connection after it */
};

/* Queue the answer and free the request (and its user memory). HEAD gets no content. */
void http_request_answer(struct http_request *request, const struct http_answer *answer);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef NET_HTTP_INTERNAL_H
#define NET_HTTP_INTERNAL_H

/* What the server's files share: http_server.c (listening, accepting, the clock, the end),
 * http_connection.c (a connection's life, writing, lingering), http_connection_read.c (its
 * reading), http_partial.c (the bounds of what is half here), http_tls.c (what TLS adds to one),
 * http_request.c (requests and answers). */

#include "kit/buf.h"
#include "kit/magic.h"
#include "net/deadlines.h"
#include "net/http_server.h"

enum {
    HTTP_SERVER_MAGIC = 0x48535256,
    HTTP_LISTENER_MAGIC = 0x484c5354,
    HTTP_CONNECTION_MAGIC = 0x48434f4e,
    HTTP_REQUEST_MAGIC = 0x48524551,

    HTTP_READ_BYTES = 64 * 1024,              /* read at once, into a buffer of the server's */
    HTTP_PLAIN_BYTES = 96 * 1024,             /* what one reading makes at most, under TLS */
    HTTP_OUT_BYTES_HIGH = 64 * 1024,          /* unread answers before reading pauses */
    HTTP_OUT_BYTES_MAX = 64 * 1024 * 1024,    /* unread answers before the connection is given up */
    HTTP_ANSWER_BYTES_MAX = 16 * 1024 * 1024, /* one answer */
    HTTP_LINGER_MS = 1000,                    /* for the client to read a last answer and close */
    HTTP_LINGER_BYTES_MAX = 4 * 1024 * 1024,  /* that are read and thrown away meanwhile */
    HTTP_SPARE_REQUESTS_MAX = 64,             /* kept for the next */
    HTTP_PARTIAL_SHARE = 2, /* in_flight_bytes_max by this is for what is half here */
    HTTP_HANDLES = 4,       /* of the server itself, without its listeners */
    HTTP_DATE_LINES_BYTES = 128,
};

struct http_request {
    unsigned magic;
    struct http_server *server;
    struct http_connection *connection; /* NULL once it has gone */
    struct http_request *next;          /* in the pipeline, or of the spare ones */
    struct http_reader reader;
    size_t bytes_held; /* as counted in the server's bytes */
    uint64_t came_ms;  /* when its last byte came */
    bool is_counted;   /* in in_flight: the program has it */
    bool is_continued; /* 100 was sent */
    bool is_judged;    /* by its head: wants_content was asked */
    bool is_answered;
    bool is_closing; /* the connection ends after the answer */
    bool is_http_1_0;
    int status;
    struct mr_buf answer; /* from the fields of the content on */
};

enum http_connection_state {
    HTTP_CONNECTION_OPEN,
    HTTP_CONNECTION_LINGERING, /* the last answer is out, ours is shut: waiting for the client's end
                                */
    HTTP_CONNECTION_CLOSED,    /* uv_close was called */
};

/* What waits in the socket while reading is paused, and until all of it has been read. */
struct http_unread {
    bool is_any;
    uint64_t since_ms; /* the next byte can't have come before this */
    size_t bytes;      /* so many had come at marked_ms; those behind them came later */
    uint64_t marked_ms;
};

struct http_tls;

struct http_connection {
    unsigned magic;
    enum http_connection_state state;
    struct http_server *server;
    struct http_connection *prev;
    struct http_connection *next;
    struct http_connection *next_dirty;
    bool is_dirty;
    bool is_reading;
    bool is_writing;      /* uv_write is under way, with `sending` */
    bool is_ended;        /* the client has shut its side */
    bool is_last;         /* no request is read after those in hand */
    bool is_done;         /* no answer goes out after those in `out` */
    bool is_notified;     /* is_ended by TLS's word; the connection itself is not */
    bool is_broken;       /* TLS has failed: nothing of it can be read or answered any more */
    struct http_tls *tls; /* NULL: plain */
    size_t pipelined;
    struct http_request *first; /* complete requests in their order, answered or not */
    struct http_request *last;
    struct http_request *partial; /* the one being read */
    struct mr_buf surplus;        /* read, but the pipeline is full */
    uint64_t surplus_came_ms;     /* when it was read */
    struct http_unread unread;
    struct mr_buf out; /* answers ready to be sent; under TLS, to be sealed */
    struct mr_buf sending;
    size_t bytes_held;     /* of these three and TLS, as counted in the server's bytes */
    size_t discarded;      /* while lingering */
    size_t partial_held;   /* of `partial` and TLS, as counted in the server's partial_bytes */
    struct deadline begun; /* since when it has held any: of the lists partials and handshakes */
    struct deadline read_deadline;
    struct deadline write_deadline;
    struct deadline end_deadline;      /* draining: for all that is left to be written */
    struct http_client_address client; /* asked for once, if at all */
    bool is_client_known;
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
};

struct http_listener {
    unsigned magic;
    struct http_server *server;
    struct tls_context *tls; /* NULL: plain */
    int fd;                  /* -1: not listening */
    uint16_t port;
    uv_poll_t poll;
};

struct http_server {
    unsigned magic;
    uv_loop_t *loop;
    struct http_server_config config;
    http_request_cb on_request;
    void *user;
    struct http_listener listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    int spare_fd; /* given up for a moment when no descriptor is left, to turn a client away */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while something is dirty, so that the loop doesn't sleep on it */
    uv_timer_t timer;
    uint64_t timer_due_ms; /* UINT64_MAX: not armed */
    bool is_accept_paused;
    bool is_draining;
    bool is_closing;
    unsigned handles_open;
    struct http_connection *connections;
    size_t connection_count;
    struct http_connection *dirty;
    struct http_request *spare;
    size_t spare_count;
    size_t in_flight;
    size_t bytes;         /* held by requests, surplus and answers */
    size_t partial_bytes; /* of these, by what is only partly here */
    size_t handshake_count;
    /* In the order in which they were begun; nothing is ever due. */
    struct deadlines partials;
    struct deadlines handshakes;
    struct deadlines idles;
    struct deadlines requests;
    struct deadlines drains; /* instead of `requests`, once draining */
    struct deadlines writes;
    struct deadlines ends; /* once draining; progress doesn't move them */
    struct deadlines lingers;
    void (*drained)(void *user);
    void *drained_user;
    void (*closed)(void *user);
    void *closed_user;
    time_t date;                                /* of date_lines */
    char date_lines[HTTP_DATE_LINES_BYTES * 2]; /* Date and Server */
    char *plain_buffer;                         /* HTTP_PLAIN_BYTES; NULL: no listener has TLS */
    char read_buffer[HTTP_READ_BYTES];
};

/* http_server.c */
void http_server_mark_dirty(struct http_connection *connection);
void http_server_wake(struct http_server *server);
void http_server_set_deadline(struct http_server *server, struct deadlines *list,
                              struct deadline *deadline);
void http_server_check_end(struct http_server *server);

/* http_connection.c: life, writing, rest. Opening takes `fd`; closes it on failure. `tls` is NULL
 * for a plain connection. */
void http_connection_open(struct http_server *server, int fd, struct tls_context *tls);
void http_connection_flush(struct http_connection *connection);
void http_connection_close(struct http_connection *connection);
/* What TLS has to say is sent, and the connection ends. */
void http_connection_abort(struct http_connection *connection);
/* Over connections.max: told so, and done. */
void http_connection_turn_away(struct http_connection *connection);
void http_connection_read_timeout(struct http_connection *connection);
void http_connection_count_bytes(struct http_connection *connection);
void http_connection_drop_surplus(struct http_connection *connection);

/* http_connection_read.c: from bytes to requests in the pipeline. */
/* A request may be begun or gone on with. */
bool http_connection_may_parse(const struct http_connection *connection);
/* `partial` is there; otherwise there was no memory, and the connection is closed. */
bool http_connection_begin_request(struct http_connection *connection);
/* The partial request is refused: it is answered in its turn, and is the last. */
void http_connection_refuse(struct http_connection *connection, int status, const char *reason);
/* The partial request goes to the program with its content unread, and is the last. */
void http_connection_dispatch_head(struct http_connection *connection);
void http_connection_parse_surplus(struct http_connection *connection);
void http_connection_set_reading(struct http_connection *connection, bool wanted);
/* Read what has come already, once: a drain must not close on a request that waits unread. */
void http_connection_read_now(struct http_connection *connection);

/* http_partial.c */
/* After what a connection holds of a request, a record or a handshake has changed. */
void http_partial_count(struct http_connection *connection);
/* End what was begun first until what is partly here keeps to its bounds; that may be the caller's
 * own connection. False: whole requests and answers alone are over in_flight_bytes_max. */
bool http_partial_make_room(struct http_server *server);
/* The same for the number of handshakes. */
void http_partial_bound_handshakes(struct http_server *server);

/* http_tls.c; on connections that have `tls`, but for done. */
/* Errors: MR_ENOMEM. */
int http_tls_open(struct http_connection *connection, struct tls_context *context,
                  bool is_turned_away);
void http_tls_done(struct http_connection *connection);
/* What was read -> plaintext, which `bytes` points to then; returns its length. May end or break
 * the connection, or take `tls` from it: a client that doesn't speak TLS is told so. */
size_t http_tls_unseal(struct http_connection *connection, const char **bytes, size_t len);
/* `out` -> what is to be sent, which is returned. NULL: it can't be sealed. */
struct mr_buf *http_tls_seal(struct http_connection *connection);
/* No more will be sealed, and the client is told so with what is sent next. */
void http_tls_end(struct http_connection *connection);
/* The read deadline is over. Returns whether the client can be told that this is the end. */
bool http_tls_time_out(struct http_connection *connection);
/* The bytes that a handshake or a half record holds. */
size_t http_tls_held(const struct http_connection *connection);
/* The bytes that wait to be sent. */
size_t http_tls_out_held(const struct http_connection *connection);
bool http_tls_is_shaking_hands(const struct http_connection *connection);
/* It is ended because others wait: for the metrics. */
void http_tls_crowd_out(struct http_connection *connection);

/* http_request.c */
struct http_request *http_request_new(struct http_connection *connection); /* NULL: out of memory */
void http_request_free(struct http_request *request); /* or keep it for the next */
void http_request_destroy(struct http_request *request);
void http_request_count_bytes(struct http_request *request);
/* The server's own answer to a request that the program doesn't see. */
void http_request_refuse(struct http_request *request, int status, const char *reason);
/* Append a whole answer to connection->out. Errors: as buf_add. */
int http_request_write_answer(struct http_request *request, bool is_closing);

#endif

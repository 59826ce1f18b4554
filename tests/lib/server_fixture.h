// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SERVER_FIXTURE_H
#define TESTS_LIB_SERVER_FIXTURE_H

/* The server on a loop of its own thread, and clients with plain sockets. What the server does with
 * a request is chosen by its path:
 *     /echo      the content comes back              /big     BIG_BYTES come back
 *     /hold?x    "x" comes back, once it is let go   /state   what the server holds
 *     /release   every held request is answered, the youngest first
 *     /release-one   the oldest
 *     /subject   the subject of the client's certificate */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/http_internal.h"

enum { HELD_MAX = 64, BIG_BYTES = 64 * 1024, PIPELINE_MAX = 8 };

struct server_fixture {
    pthread_t thread;
    uv_loop_t loop;
    int loop_rc; /* of making it */
    uv_async_t async;
    struct http_server *server;
    uint16_t port;
    uint16_t second_port; /* of the second listener; 0: there is none */
    struct http_request *held[HELD_MAX];
    unsigned held_count;
    unsigned seen;
    atomic_bool wants_drain;
    atomic_bool wants_close;
    atomic_bool wants_release;
    _Atomic(struct tls_context *) next_tls; /* a reference, which is taken over */
    atomic_bool is_drained;
    atomic_bool is_closed;
    atomic_bool is_blocked; /* /block sets it, and goes on when the test clears it */
    char *big;
};

/* The http_request_cb. */
void server_on_request(struct http_request *request, void *user);

/* Generous bounds, and a port of the system's choice. */
struct http_server_config server_config(void);

/* A server on a thread of its own; stop: answer what is held, close, join. join: only the last. */
void server_start(struct server_fixture *f, const struct http_server_config *with);
void server_start_default(struct server_fixture *f);
void server_stop(struct server_fixture *f);
void server_join(struct server_fixture *f);

/* Set one of the wants_..., which the server's thread obeys. */
void server_command(struct server_fixture *f, atomic_bool *wanted);
void server_wait_for(const atomic_bool *flag);

/* A number of /state; wait until it is `wanted`; until nothing more is read although answers wait
 * to be sent. */
unsigned long server_state_of(const struct server_fixture *f, const char *name);
void server_wait_state(const struct server_fixture *f, const char *name, unsigned long wanted);
void server_wait_until_stuck(const struct server_fixture *f);

/* Over a connection of its own. */
void server_release_held(const struct server_fixture *f);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_EXCHANGE_H
#define BRIDGE_HTTP_EXCHANGE_H

/* The way of events through the bridge: request -> event -> send -> outcome -> answer; a request is
 * one event, or a batch. An exchange has two lives that end in any order, the request's (answered
 * at the latest after answer.timeout) and that of its sends (settled when the producer knows); it
 * ends with the later one. */

#include <millrace/producer.h>

#include "bridge/http/bridge_metrics.h"
#include "bridge/http/bridge_options.h"
#include "bridge/http/identity/authenticate.h"
#include "net/deadlines.h"
#include "net/http_server.h"

struct exchange_single;

/* Requests that have waited behind others before they are begun have less time left. Deadlines are
 * kept by how much, in steps of a 32nd, so that each list is in order. */
enum { EXCHANGE_WAITS = 32 };

/* The exchanges of one loop. */
struct exchanges {
    unsigned magic;
    uv_loop_t *loop;
    struct mr_port *port;
    struct authenticator *authenticator; /* set after the init; NULL: auth = none */
    struct bridge_metrics *metrics;
    struct mr_event *event; /* used again for each request: the producer copies it */
    struct deadlines answers[EXCHANGE_WAITS]; /* [n]: n steps of the time are gone already */
    uint64_t answer_ms;
    uv_timer_t timer;
    uint64_t timer_due_ms; /* UINT64_MAX: not armed */
    size_t unsettled;
    struct exchange_single *spare;
    size_t spare_count;
    size_t batch_events_max;        /* of one batch (batch.max) */
    size_t batches_events;          /* of all batches that live */
    size_t batches_events_max;      /* but the only batch is always taken (in_flight.max) */
    void (*on_settled)(void *user); /* the last unsettled one has been settled */
    void *user;
};

/* `port` is of `loop`. Errors: MR_ENOMEM. */
int exchanges_init(struct exchanges *exchanges, uv_loop_t *loop, struct mr_port *port,
                   const struct bridge_options *options, struct bridge_metrics *metrics,
                   struct mr_error *err);

/* All exchanges are settled; `closed` is called on the loop. */
void exchanges_close(struct exchanges *exchanges, uv_close_cb closed);

/* http_request_cb, wants_content and on_refusal of the loop's server, whose `user` is the
 * exchanges. */
void exchange_begin(struct http_request *request, void *user);
bool exchange_wants_content(const struct http_request *request, void *user);
void exchange_count_refusal(int status, void *user);

/* authenticated_cb of the loop's authenticator, whose `user` is the exchanges. */
void exchange_go_on(struct http_request *request, const struct identity *identity,
                    const struct refusal *refusal, void *user);

#endif

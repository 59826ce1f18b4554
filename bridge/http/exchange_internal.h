// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_EXCHANGE_INTERNAL_H
#define BRIDGE_HTTP_EXCHANGE_INTERNAL_H

/* What an exchange of one event (exchange.c) and one of a batch (exchange_batch.c) share: a request
 * that is answered at the latest when its deadline comes, and sends that are counted. */

#include "bridge/http/dialects/dialect.h"
#include "bridge/http/exchange.h"

enum { EXCHANGE_MAGIC = 0x58434847 };

/* The first member of both kinds. */
struct exchange {
    unsigned magic;
    struct exchanges *owner;
    struct http_request *request; /* NULL once answered */
    struct deadline deadline;     /* of the answer */
    uint64_t came_ns;             /* uv_hrtime when the request's last byte came */
    /* The deadline has come: answer the request, return the status. */
    int (*answer_late)(struct exchange *exchange);
};

/* The request waits from now on. `exchange` is zeroed. */
void exchange_open(struct exchange *exchange, struct exchanges *owner, struct http_request *request,
                   int (*answer_late)(struct exchange *exchange));

/* Its request has been answered with this status. */
void exchange_answered(struct exchange *exchange, int status);

/* Count an answer by itself. */
void exchange_count_answer(struct exchanges *exchanges, int status);

/* Answer a request that comes to no exchange. */
void exchange_refuse(struct exchanges *exchanges, struct http_request *request,
                     const struct refusal *refusal);
void exchange_refuse_memory(struct exchanges *exchanges, struct http_request *request);

/* Before each mr_send; and at the end of its callback, when nothing of it is used any more. */
void exchange_count_send(struct exchanges *exchanges);
void exchange_count_settled(struct exchanges *exchanges);

/* The request as a dialect sees it: it borrows. */
struct dialect_request exchange_dialect_request(const struct http_request *request,
                                                const struct identity *identity);

/* What an event doesn't say. 0, or -1 with the refusal. */
int exchange_complete(struct mr_event *event, struct refusal *ret_refusal);

/* exchange_batch.c: a request that holds any number of events. */
void exchange_begin_batch(struct exchanges *exchanges, struct http_request *request,
                          const struct dialect *dialect, const struct dialect_request *from);

#endif

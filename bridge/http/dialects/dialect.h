// SPDX-License-Identifier: Apache-2.0
#ifndef DIALECTS_DIALECT_H
#define DIALECTS_DIALECT_H

/* A dialect: how a kind of device says with an HTTP request what the event is. Pure: a request in,
 * an event or a refusal out. One file each, listed in exchange.c. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/event.h>
#include <millrace/slice.h>

#include "bridge/http/identity/identity.h"
#include "bridge/http/refusal.h"
#include "event/format_json_batch.h"

enum { DIALECT_ID_BYTES_MAX = 1024 /* of an event, when a dialect makes it */ };

#define DIALECT_ALLOW_POST     "Allow: POST, OPTIONS\r\n"
#define DIALECT_ALLOW_POST_PUT "Allow: POST, PUT, OPTIONS\r\n"

struct dialect_request {
    struct mr_slice method;
    struct mr_slice path;  /* raw */
    struct mr_slice query; /* raw; absent without "?" */
    struct mr_slice body;
    struct mr_slice (*header)(const void *from, const char *name, unsigned *ret_count);
    /* All headers, one by one: false when there is none at `index`. */
    bool (*header_at)(const void *from, unsigned index, struct mr_slice *ret_name,
                      struct mr_slice *ret_value);
    const void *from;
    struct identity identity;
};

/* Where one is in a batch. Zeroed: at its beginning. */
struct dialect_cursor {
    struct event_json_batch batch;
    bool is_begun;
    size_t next; /* index of the next event */
};

/* What becomes of a request. */
enum dialect_result {
    DIALECT_REFUSED = -1,
    DIALECT_EVENT = 0,
    DIALECT_NOT_STORED = 1, /* understood, and of a kind that is none of ours: answered with 204 */
    DIALECT_END = 2,        /* of read_next: there are no more */
};

struct dialect {
    bool (*is_mine)(struct mr_slice path);
    /* NULL: its paths take POST. Otherwise what `path` takes, as a line of the answer:
     * DIALECT_ALLOW_POST, or with PUT. `read` is never asked for a request with another method. */
    const char *(*allow)(struct mr_slice path);

    /* Fill `event`, which is empty, with what the request says; its data borrows the request's.
     * Returns one of enum dialect_result; with DIALECT_REFUSED the refusal is filled.
     * mr_event_complete adds the rest to an event then. */
    int (*read)(const struct dialect_request *request, struct mr_event *event,
                struct refusal *ret_refusal);

    /* NULL: the dialect has no batches. True: the request holds any number of events, which
     * read_next gives one by one, as often as they are asked for. */
    bool (*is_batch)(const struct dialect_request *request);

    /* The next event, as `read` does it, or DIALECT_END; never DIALECT_NOT_STORED. */
    int (*read_next)(const struct dialect_request *request, struct dialect_cursor *cursor,
                     struct mr_event *event, struct refusal *ret_refusal);
};

extern const struct dialect dialect_drogue;
extern const struct dialect dialect_cloudevents;
extern const struct dialect dialect_publish;
extern const struct dialect dialect_hono;
extern const struct dialect dialect_ttn;
extern const struct dialect dialect_things_stack;

#endif

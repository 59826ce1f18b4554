// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_SINK_H
#define INFLUX_SINK_H

/* InfluxDB as the writer sees it: requests, what their answers mean, and whether it is there. That
 * it refuses points is an answer like any other: it is there.
 *
 *   open     it answers: writes may be sent
 *   closed   it didn't: nothing is sent until the wait is over; then
 *   probing  one empty write asks whether it is back
 *
 * An empty write stores nothing, but is refused for the same reasons as a real one: credentials, a
 * missing database, a server that is away.
 *
 * It begins with a probe, so that readiness is known before the first event. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/worker.h>

#include "consumers/influx/influx_answer.h"
#include "consumers/influx/influx_options.h"

struct sink;

enum sink_state { SINK_OPEN, SINK_CLOSED, SINK_PROBING };

struct sink_result {
    enum influx_verdict verdict;
    const char *reason;                   /* of a refusal or failure; for people */
    int64_t after_ms;                     /* INFLUX_AWAY: when to try again */
    const struct influx_refusal *refusal; /* INFLUX_REFUSED */
};

/* The result and what it points to live until the callback returns. After sink_close it is
 * INFLUX_AWAY with a NULL reason: settle nothing any more. */
typedef void (*sink_cb)(void *user, const struct sink_result *result);

/* `on_change` tells of each change of state, from the loop. Errors: MR_EINVAL (the URL), MR_ENOMEM,
 * MR_ENET. */
int sink_new(struct mr_worker *worker, const struct influx_options *options,
             void (*on_change)(void *user), void *user, struct sink **ret_sink,
             struct mr_error *err);

enum sink_state sink_state(const struct sink *sink);

/* Why it is closed, and when a batch may be tried again. */
const char *sink_reason(const struct sink *sink);
int64_t sink_wait_ms(struct sink *sink);

/* Send `body`, borrowed until the callback: lines, or with the option gzip (influx_wants_gzip)
 * lines that are compressed. Errors, without a callback: as mr_http_client_send. */
int sink_write(struct sink *sink, struct mr_slice body, sink_cb callback, void *user,
               struct mr_error *err);

/* Give everything up; callbacks follow, then `closed`. Nothing of the worker is touched any more.
 */
void sink_close(struct sink *sink, void (*closed)(void *user), void *user);

#endif

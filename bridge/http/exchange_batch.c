// SPDX-License-Identifier: Apache-2.0
/* A batch's way: one request, many events. Happy path: all events are read once, and checked ->
 * they are read again and sent, one after another -> Kafka acknowledges the last one -> 202. What
 * can go wrong: an event is bad (400, nothing is sent), there are too many (413), some aren't
 * stored or not in time: the answer lists them, read from the request a third time, so that of an
 * event only its outcome is kept. The batch ends when its last event is settled. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "bridge/http/answer.h"
#include "bridge/http/batch_outcomes.h"
#include "bridge/http/batch_report.h"
#include "bridge/http/exchange_internal.h"
#include "kit/magic.h"
#include "kit/mem.h"

struct batch;

struct batch_item {
    struct mr_send send;
    struct batch *batch;
    struct batch_mark mark;
};

struct batch {
    struct exchange base;
    const struct dialect *dialect;
    size_t count;
    struct batch_outcomes outcomes;
    struct batch_item items[];
};

/* --- reading --- */

/* The next event, complete. Of enum dialect_result. */
static int read_next(const struct dialect *dialect, const struct dialect_request *from,
                     struct dialect_cursor *cursor, struct mr_event *event,
                     struct refusal *ret_refusal)
{
    size_t index = cursor->next;
    char why[sizeof ret_refusal->detail];
    int rc;
    mr_event_clear(event);
    rc = dialect->read_next(from, cursor, event, ret_refusal);
    if (rc == DIALECT_EVENT) {
        rc = exchange_complete(event, ret_refusal);
    }
    if (rc == DIALECT_REFUSED && ret_refusal->status != 503) {
        memcpy(why, ret_refusal->detail, sizeof why);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "event %zu of the batch (the first is 0; nothing is stored): %.420s", index,
                       why);
    }
    return rc;
}

/* Every event is one. 0, or -1 with the refusal. */
static int check_events(struct exchanges *exchanges, const struct dialect *dialect,
                        const struct dialect_request *from, size_t *ret_count,
                        struct refusal *ret_refusal)
{
    struct dialect_cursor cursor = {0};
    size_t count = 0;
    int rc;
    while ((rc = read_next(dialect, from, &cursor, exchanges->event, ret_refusal)) ==
           DIALECT_EVENT) {
        if (count++ == exchanges->batch_events_max) {
            *ret_refusal = (struct refusal){.status = 413};
            (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                           "the batch has more than %zu events (batch.max); nothing is stored",
                           exchanges->batch_events_max);
            return -1;
        }
    }
    *ret_count = count;
    return rc == DIALECT_END ? 0 : -1;
}

/* --- answering --- */

/* Those that aren't stored, with their ids from the request. */
static void list_events(const struct batch *batch, struct mr_buf *out)
{
    /* Who sent it was judged when it was taken. */
    static const struct identity anyone = {.application = MR_SLICE_INIT("default"),
                                           .device = MR_SLICE_INIT("anyone"),
                                           .speaks_for = MR_SLICE_INIT("*")};
    const struct dialect_request from = exchange_dialect_request(batch->base.request, &anyone);
    struct mr_event *event = batch->base.owner->event;
    struct dialect_cursor cursor = {0};
    struct refusal refusal;
    struct batch_report report;
    int rc = DIALECT_EVENT;
    batch_report_begin(&report, &batch->outcomes, out);
    for (size_t i = 0; i < batch->count; i++) {
        struct mr_slice id = {NULL, 0};
        if (rc == DIALECT_EVENT) { /* without memory it goes on without ids */
            mr_event_clear(event);
            rc = batch->dialect->read_next(&from, &cursor, event, &refusal);
            id = rc == DIALECT_EVENT ? mr_event_string(event, "id") : id;
        }
        batch_report_add(&report, i, batch->items[i].mark, id);
    }
    batch_report_end(&report);
}

/* With what is known by now. Returns the status. */
static int answer(const struct batch *batch)
{
    struct mr_buf report;
    int status;
    buf_init(&report, batch_report_bytes_max(batch->count));
    if (batch->outcomes.counts[BATCH_STORED] < batch->count) {
        list_events(batch, &report);
    }
    status = answer_batch(batch->base.request, &batch->outcomes, &report);
    buf_done(&report);
    return status;
}

static int answer_late(struct exchange *exchange)
{
    return answer(CONTAINER_OF(exchange, struct batch, base));
}

/* --- sending --- */

static void end_if_settled(struct batch *batch)
{
    if (batch->outcomes.counts[BATCH_PENDING] > 0) {
        return;
    }
    if (batch->base.request != NULL) {
        exchange_answered(&batch->base, answer(batch));
    }
    assert(batch->base.deadline.list == NULL);
    batch->base.owner->batches_events -= batch->count;
    batch->base.magic = 0;
    mem_free(batch);
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct batch_item *item = CONTAINER_OF(send, struct batch_item, send);
    struct exchange *base = &item->batch->base;
    struct exchanges *exchanges;
    MAGIC_CHECK(base, EXCHANGE_MAGIC);
    exchanges = base->owner;
    batch_outcomes_add(&item->batch->outcomes, &item->mark, outcome);
    end_if_settled(item->batch);
    exchange_count_settled(exchanges);
}

/* They were all good when they were checked: only memory can be missing now. */
static void send_events(struct batch *batch, const struct dialect_request *from)
{
    const struct mr_outcome no_memory = {.kind = MR_BUSY, .reason = "out of memory"};
    struct exchanges *exchanges = batch->base.owner;
    struct dialect_cursor cursor = {0};
    struct refusal refusal;
    int rc = DIALECT_EVENT;
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];
        item->batch = batch;
        item->send.on_settled = on_settled;
        if (rc == DIALECT_EVENT) {
            rc = read_next(batch->dialect, from, &cursor, exchanges->event, &refusal);
        }
        if (rc == DIALECT_EVENT) {
            exchange_count_send(exchanges);
            mr_send(exchanges->port, &item->send, exchanges->event);
        } else {
            batch_outcomes_add(&batch->outcomes, &item->mark, &no_memory);
        }
    }
    end_if_settled(batch);
}

static struct batch *new_batch(struct exchanges *exchanges, struct http_request *request,
                               const struct dialect *dialect, size_t count)
{
    struct batch *batch = mem_zalloc(sizeof *batch + count * sizeof batch->items[0]);
    if (batch == NULL) {
        return NULL;
    }
    batch->dialect = dialect;
    batch->count = count;
    batch->outcomes.counts[BATCH_PENDING] = count;
    exchanges->batches_events += count;
    exchange_open(&batch->base, exchanges, request, answer_late);
    return batch;
}

/* What batches remember is bounded; one alone has room always. */
static bool is_full(const struct exchanges *exchanges, size_t count)
{
    return exchanges->batches_events > 0 &&
           exchanges->batches_events + count > exchanges->batches_events_max;
}

void exchange_begin_batch(struct exchanges *exchanges, struct http_request *request,
                          const struct dialect *dialect, const struct dialect_request *from)
{
    const struct refusal full = {
        .status = 503,
        .detail =
            "The batch is not stored; send it again later: too many events of batches wait "
            "for Kafka (in_flight.max)"};
    struct refusal refusal;
    struct batch *batch;
    size_t count = 0;
    if (check_events(exchanges, dialect, from, &count, &refusal) != 0) {
        exchange_refuse(exchanges, request, &refusal);
        return;
    }
    if (count == 0) {
        exchange_count_answer(exchanges, answer_stored(request));
        return;
    }
    if (is_full(exchanges, count)) {
        exchange_refuse(exchanges, request, &full);
        return;
    }
    batch = new_batch(exchanges, request, dialect, count);
    if (batch == NULL) {
        exchange_refuse_memory(exchanges, request);
        return;
    }
    send_events(batch, from);
}

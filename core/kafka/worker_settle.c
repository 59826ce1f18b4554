// SPDX-License-Identifier: Apache-2.0
/* Happy path: the author settles each delivery of a batch -> the ledger notes those that are over
 * -> with the last one the batch is over: what has to wait for the sink is pending again, what is
 * to be tried again waits (worker_retry.c), the rest is freed. What can go wrong: a delivery is
 * settled twice, or after its end (a mistake of the author: the program stops); the partition has
 * been given up meanwhile (nothing follows from the settlement).
 *
 * A batch that is over is freed in the next run, not at once, so that an author's loop over
 * mr_batch_count() may settle the last delivery without pulling the batch from under itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/worker_internal.h"

void delivery_release_event(struct mr_delivery *delivery)
{
    struct mr_worker *worker = delivery->partition->worker;
    if (delivery->event == NULL) {
        return;
    }
    mr_event_clear(delivery->event);
    if (worker->spare_count < WORKER_EVENTS_SPARE_MAX) {
        worker->spare[worker->spare_count++] = delivery->event;
    } else {
        mr_event_free(delivery->event);
    }
    delivery->event = NULL;
}

void delivery_release_record(struct mr_delivery *delivery)
{
    if (delivery->record != NULL) {
        rd_kafka_event_destroy(delivery->record);
    }
    delivery->record = NULL;
    delivery->message = NULL;
}

void delivery_free(struct mr_delivery *delivery)
{
    retry_forget(delivery);
    delivery_release_event(delivery);
    delivery_release_record(delivery);
    mem_free(delivery->dead.code);
    mem_free(delivery->dead.text);
    mem_free(delivery->dead.server);
    mem_free(delivery->dead.copy);
    delivery->magic = 0;
    mem_free(delivery);
}

/* The batch that points to it outlives it otherwise. */
static void free_or_leave(struct mr_delivery *delivery)
{
    if (delivery->batch == NULL) {
        delivery_free(delivery);
        return;
    }
    delivery->state = DELIVERY_OVER;
    retry_forget(delivery);
    delivery_release_event(delivery);
    delivery_release_record(delivery);
    mem_free(delivery->dead.copy);
    delivery->dead.copy = NULL;
}

void delivery_settle(struct mr_delivery *delivery, struct mr_series *outcome)
{
    struct partition *partition = delivery->partition;
    if (partition->state != PARTITION_ORPHAN) {
        ledger_settle(&partition->ledger, delivery->offset);
        retry_settle(delivery);
        partition_release(partition, delivery);
        mr_gauge_set(partition->metrics.in_flight, (int64_t)partition_in_flight(partition));
        mr_count(outcome, 1);
        worker_soon(partition->worker);
    }
    free_or_leave(delivery);
}

static _Noreturn void stop_twice(const struct mr_delivery *delivery)
{
    const struct mr_batch *batch = delivery->batch;
    (void)fprintf(stderr, "a delivery of partition %d was settled twice\n",
                  batch == NULL ? -1 : (int)batch->partition->number);
    abort();
}

/* What all settlements begin with. Returns the batch, NULL if its partition has been given up. */
static struct mr_batch *settle(struct mr_delivery *delivery, enum settlement settlement)
{
    struct mr_batch *batch;
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    batch = delivery->batch;
    if (batch == NULL || delivery->settlement != SETTLED_NOT) {
        stop_twice(delivery);
    }
    MAGIC_CHECK(batch, BATCH_MAGIC);
    delivery->settlement = settlement;
    batch->unsettled--;
    if (batch->unsettled == 0) {
        lag_batch_over(batch);
        batch->next = batch->partition->worker->over;
        batch->partition->worker->over = batch;
        worker_soon(batch->partition->worker);
    }
    if (batch->partition->state == PARTITION_ORPHAN) {
        free_or_leave(delivery);
        return NULL;
    }
    return batch;
}

/* --- what the author says --- */

void mr_done(struct mr_delivery *delivery)
{
    struct mr_batch *batch = settle(delivery, SETTLED_OVER);
    if (batch != NULL) {
        batch->has_done = true;
        lag_stored(delivery);
        delivery_settle(delivery, batch->partition->metrics.done);
    }
}

void mr_skip(struct mr_delivery *delivery, const char *rule)
{
    struct mr_batch *batch = settle(delivery, SETTLED_OVER);
    if (batch != NULL) {
        mr_log(MR_LOG_DEBUG, "skipped", MR_STR("topic", batch->partition->topic),
               MR_INT("partition", batch->partition->number), MR_INT("offset", delivery->offset),
               MR_STR("rule", rule));
        delivery_settle(delivery, batch->partition->metrics.skipped);
    }
}

void mr_dead(struct mr_delivery *delivery, const char *code, const char *text)
{
    mr_dead_server(delivery, code, text, NULL);
}

void mr_dead_server(struct mr_delivery *delivery, const char *code, const char *text,
                    const char *server)
{
    if (settle(delivery, SETTLED_OVER) != NULL) {
        dead_begin(delivery, code, text, server);
    }
}

static void hold(struct mr_batch *batch, int64_t after_ms)
{
    after_ms = after_ms < WORKER_WAIT_MAX_MS ? after_ms : WORKER_WAIT_MAX_MS;
    batch->hold_ms = after_ms > batch->hold_ms ? after_ms : batch->hold_ms;
}

void mr_wait(struct mr_delivery *delivery, const char *reason, int64_t after_ms)
{
    struct mr_batch *batch = settle(delivery, SETTLED_WAIT);
    if (batch != NULL) {
        batch->has_wait = true;
        (void)snprintf(batch->reason, sizeof(batch->reason), "%s", reason);
        hold(batch, after_ms > WORKER_WAIT_MIN_MS ? after_ms : WORKER_WAIT_MIN_MS);
    }
}

void mr_retry(struct mr_delivery *delivery, const char *reason)
{
    struct mr_worker *worker;
    struct mr_batch *batch;
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    worker = delivery->partition->worker;
    if (delivery->attempt >= (uint64_t)worker->spec.options->retry_max) {
        mr_dead(delivery, "retries", reason);
        return;
    }
    batch = settle(delivery, SETTLED_RETRY);
    if (batch != NULL) {
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "to be tried again",
                       MR_STR("topic", batch->partition->topic),
                       MR_INT("partition", batch->partition->number),
                       MR_INT("offset", delivery->offset), MR_INT("attempt", delivery->attempt),
                       MR_STR("reason", reason));
        retry_note(delivery);
    }
}

void mr_batch_done(struct mr_batch *batch)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    for (size_t i = 0; i < batch->count; i++) {
        if (!mr_delivery_is_settled(batch->deliveries[i])) {
            mr_done(batch->deliveries[i]);
        }
    }
}

void mr_batch_wait(struct mr_batch *batch, const char *reason, int64_t after_ms)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    for (size_t i = 0; i < batch->count; i++) {
        if (!mr_delivery_is_settled(batch->deliveries[i])) {
            mr_wait(batch->deliveries[i], reason, after_ms);
        }
    }
}

/* --- what the author asks --- */

size_t mr_batch_count(const struct mr_batch *batch)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    return batch->count;
}

struct mr_delivery *mr_batch_at(struct mr_batch *batch, size_t index)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    return index < batch->count ? batch->deliveries[index] : NULL;
}

const char *mr_batch_topic(const struct mr_batch *batch)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    return batch->partition->topic;
}

int32_t mr_batch_partition(const struct mr_batch *batch)
{
    MAGIC_CHECK(batch, BATCH_MAGIC);
    return batch->partition->number;
}

struct mr_event *mr_delivery_event(struct mr_delivery *delivery)
{
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    return delivery->event;
}

int64_t mr_delivery_offset(const struct mr_delivery *delivery)
{
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    return delivery->offset;
}

int64_t mr_delivery_timestamp_ms(const struct mr_delivery *delivery)
{
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    return delivery->timestamp_ms;
}

unsigned mr_delivery_attempt(const struct mr_delivery *delivery)
{
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    return delivery->attempt;
}

bool mr_delivery_is_settled(const struct mr_delivery *delivery)
{
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    return delivery->settlement != SETTLED_NOT;
}

/* --- when a batch is over --- */

void worker_tell_sink(struct mr_worker *worker)
{
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->waiting) {
            readiness_set(worker->spec.readiness, "sink", false, "%s", p->wait_reason);
            return;
        }
    }
    readiness_set(worker->spec.readiness, "sink", true, NULL);
}

/* One success anywhere shows that the sink is there. */
static void note_sink(struct mr_batch *batch)
{
    struct partition *partition = batch->partition;
    partition->waiting = batch->has_wait;
    if (batch->has_wait) {
        memcpy(partition->wait_reason, batch->reason, sizeof(batch->reason));
    } else if (batch->has_done) {
        for (struct partition *p = partition->worker->partitions; p != NULL; p = p->next) {
            p->waiting = false;
        }
    }
    worker_tell_sink(partition->worker);
}

void batch_free(struct mr_batch *batch)
{
    batch->magic = 0;
    mem_free(batch);
}

/* The delivery's own life goes on, if it does, without the batch. */
static void leave_batch(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    delivery->batch = NULL;
    if (delivery->state == DELIVERY_OVER) {
        delivery_free(delivery);
    } else if (delivery->state == DELIVERY_IN_BATCH) { /* to come again */
        if (partition->state == PARTITION_ACTIVE) {
            delivery_release_event(delivery);
            if (delivery->settlement == SETTLED_RETRY) {
                retry_wait(delivery);
            } else {
                (void)partition_put_back(partition, &partition->first, delivery);
            }
        } else {
            if (partition->state == PARTITION_DRAINING) {
                retry_give_up(delivery);
                partition_release(partition, delivery);
                mr_count(partition->metrics.given_up, 1);
            }
            delivery_free(delivery);
        }
    }
}

static void end_batch(struct mr_batch *batch)
{
    struct partition *partition = batch->partition;
    struct mr_worker *worker = partition->worker;
    /* From the last to the first: what is put back comes before what is pending, mostly. */
    for (size_t i = batch->count; i > 0; i--) {
        leave_batch(batch->deliveries[i - 1]);
    }
    partition->batch = NULL;
    if (partition->state == PARTITION_ORPHAN) {
        partition_reap(partition);
    } else {
        if (batch->hold_ms > 0) {
            partition->hold_until_ms = worker_now_ms(worker) + batch->hold_ms;
        }
        if (partition->state == PARTITION_ACTIVE) {
            note_sink(batch);
        }
        partition_tell(partition);
    }
    batch_free(batch);
}

void batch_drop(struct mr_batch *batch)
{
    end_batch(batch);
}

void worker_end_batches(struct mr_worker *worker)
{
    while (worker->over != NULL) {
        struct mr_batch *batch = worker->over;
        worker->over = batch->next;
        end_batch(batch);
    }
}

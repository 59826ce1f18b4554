// SPDX-License-Identifier: Apache-2.0
/* Happy path: what was tried before is known -> a record comes -> it is new to the ledger -> it
 * waits -> enough have come, or the oldest has waited long enough, and no batch is in flight -> the
 * records become events -> the author has the batch. What can go wrong: a record is no event
 * (dead-lettered), or a null value (skipped); too much is in memory (reading pauses); the topic is
 * deleted and made anew beneath us, or truncated (its offsets begin again: new books are opened).
 */
#include <stdio.h>
#include <string.h>

#include "kafka/worker_internal.h"

/* --- coming and going --- */

static struct partition *make(struct mr_worker *worker, const char *topic, int32_t number)
{
    struct partition *partition = mem_zalloc(sizeof(*partition));
    if (partition == NULL) {
        return NULL;
    }
    partition->topic = mem_strdup(topic);
    if (partition->topic == NULL) {
        mem_free(partition);
        return NULL;
    }
    partition->magic = PARTITION_MAGIC;
    partition->worker = worker;
    partition->number = number;
    partition->state = worker->phase == WORKER_RUNNING ? PARTITION_ACTIVE : PARTITION_DRAINING;
    partition->start = RD_KAFKA_OFFSET_INVALID;
    partition->end = -1;
    partition->newest_ms = -1;
    partition->is_added = worker_topics_was_gone(worker, topic);
    ledger_init(&partition->ledger);
    return partition;
}

static void take_up(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    worker_metrics_open(partition);
    consumer_open_queue(partition);
    partition->next = worker->partitions;
    worker->partitions = partition;
}

struct partition *partition_open(struct mr_worker *worker, const char *topic, int32_t number)
{
    struct partition *partition = partition_find(worker, topic, number);
    if (partition == NULL) {
        partition = make(worker, topic, number);
        if (partition != NULL) {
            take_up(partition);
        }
    }
    return partition;
}

struct partition *partition_find(struct mr_worker *worker, const char *topic, int32_t number)
{
    struct partition *p = worker->partitions;
    while (p != NULL && (p->number != number || strcmp(p->topic, topic) != 0)) {
        p = p->next;
    }
    return p;
}

static void partition_free(struct partition *partition)
{
    ledger_done(&partition->ledger);
    mem_free(partition->topic);
    partition->magic = 0;
    mem_free(partition);
}

static void unlink_from(struct partition **list, struct partition *partition)
{
    while (*list != partition) {
        list = &(*list)->next;
    }
    *list = partition->next;
}

void partition_reap(struct partition *partition)
{
    if (partition->state == PARTITION_ORPHAN && partition->batch == NULL &&
        partition->sending == 0) {
        unlink_from(&partition->worker->orphans, partition);
        partition_free(partition);
    }
}

static void drop_pending(struct partition *partition)
{
    while (partition->first != NULL) {
        struct mr_delivery *delivery = partition->first;
        partition->first = delivery->next;
        retry_give_up(delivery);
        partition_release(partition, delivery);
        delivery_free(delivery);
    }
    partition->last = NULL;
    mr_count(partition->metrics.given_up, partition->pending_count);
    partition->pending_count = 0;
    partition->pending_bytes = 0;
    partition->waiting = false;
    retry_drop(partition);
    partition_tell(partition);
}

bool partition_is_full(const struct partition *partition)
{
    const struct mr_worker_loop_options *options = partition->worker->spec.options;
    return partition->held_count >= (size_t)options->pending_count_max ||
           partition->held_bytes >= (size_t)options->pending_bytes_max ||
           partition->ledger.count >= WORKER_UNCOMMITTED_MAX;
}

/* --- what waits --- */

size_t partition_in_flight(const struct partition *partition)
{
    return partition->held_count - partition->pending_count - partition->retries.behind_count -
           partition->retries.waiting;
}

void partition_tell(struct partition *partition)
{
    const struct partition_metrics *metrics = &partition->metrics;
    mr_gauge_set(metrics->pending,
                 (int64_t)(partition->pending_count + partition->retries.behind_count));
    mr_gauge_set(metrics->retries_pending, (int64_t)partition->retries.waiting);
    mr_gauge_set(metrics->in_flight, (int64_t)partition_in_flight(partition));
    mr_gauge_set(metrics->paused, partition_is_full(partition));
}

/* What the old topic's records became is of no use any more: its offsets say nothing about the
 * new one's. Returns NULL if there is no memory: nothing has changed. */
struct partition *partition_renew(struct partition *old)
{
    struct partition *partition = make(old->worker, old->topic, old->number);
    if (partition != NULL) {
        partition->newest_ms = old->newest_ms; /* what comes after it is surely new */
        partition_give_up(old);
        take_up(partition);
    }
    return partition;
}

/* What was committed before says nothing about the new records. */
struct partition *partition_begin_anew(struct partition *old, int64_t offset)
{
    struct partition *partition;
    mr_log(MR_LOG_WARN, "offsets begin anew: was the topic deleted and made again, or truncated?",
           MR_STR("topic", old->topic), MR_INT("partition", old->number),
           MR_INT("received", old->ledger.received), MR_INT("offset", offset),
           MR_INT("waiting_records_dropped", old->held_count - partition_in_flight(old)));
    partition = partition_renew(old);
    if (partition != NULL) {
        partition->recall = RECALL_DONE;
    }
    return partition;
}

static void append(struct partition *partition, struct mr_delivery *delivery)
{
    if (partition->last == NULL) {
        partition->first = delivery;
    } else {
        partition->last->next = delivery;
    }
    partition->last = delivery;
    partition->pending_count++;
    partition->pending_bytes += delivery->bytes;
    partition->held_count++;
    partition->held_bytes += delivery->held_bytes;
}

/* When it came to Kafka, or here if Kafka's record doesn't say or is ahead of our clock. */
static int64_t arrival_ms(const struct mr_delivery *delivery)
{
    int64_t now = worker_wall_ms(delivery->partition->worker);
    bool is_usable = delivery->timestamp_ms > 0 && delivery->timestamp_ms < now;
    return is_usable ? delivery->timestamp_ms : now;
}

static struct mr_delivery *delivery_new(struct partition *partition, rd_kafka_event_t *event,
                                        const rd_kafka_message_t *message)
{
    struct kafka_record record;
    struct mr_delivery *delivery;
    size_t headers;
    if (kafka_message_record(message, &partition->worker->headers, &record, NULL) != 0) {
        return NULL;
    }
    headers = kafka_headers_size(&record);
    delivery = mem_alloc(sizeof(*delivery) + headers);
    if (delivery == NULL) {
        return NULL;
    }
    if (ledger_receive(&partition->ledger, message->offset) < 0) {
        mem_free(delivery);
        return NULL;
    }
    memset(delivery, 0, sizeof(*delivery));
    delivery->magic = DELIVERY_MAGIC;
    delivery->partition = partition;
    delivery->record = event;
    delivery->message = message;
    delivery->offset = message->offset;
    delivery->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    delivery->attempt = 1;
    delivery->bytes = message->len + message->key_len;
    /* The headers as they came, which the message keeps, and as ours. */
    delivery->held_bytes = delivery->bytes + 2 * headers + WORKER_RECORD_OVERHEAD;
    delivery->original = record;
    kafka_headers_move(&delivery->original, delivery->headers);
    kafka_message_drop_headers(message);
    delivery->arrived_ms = worker_now_ms(partition->worker);
    ledger_date(&partition->ledger, arrival_ms(delivery));
    return delivery;
}

int partition_receive(struct partition **partition, rd_kafka_event_t *record,
                      const rd_kafka_message_t *message)
{
    struct mr_delivery *delivery;
    int64_t received;
    if (message->offset <= (*partition)->ledger.received) {
        struct partition *renewed = partition_begin_anew(*partition, message->offset);
        if (renewed == NULL) {
            return MR_ENOMEM;
        }
        *partition = renewed;
    }
    received = (*partition)->ledger.received;
    delivery = delivery_new(*partition, record, message);
    if (delivery == NULL) {
        return MR_ENOMEM;
    }
    append(*partition, delivery);
    offsets_heard(*partition);
    if (delivery->timestamp_ms > (*partition)->newest_ms) {
        (*partition)->newest_ms = delivery->timestamp_ms;
    }
    retry_recall(delivery, received);
    mr_count((*partition)->metrics.received, 1);
    return 0;
}

struct mr_delivery **partition_put_back(struct partition *partition, struct mr_delivery **at,
                                        struct mr_delivery *delivery)
{
    while (*at != NULL && (*at)->offset < delivery->offset) {
        at = &(*at)->next;
    }
    delivery->state = DELIVERY_PENDING;
    delivery->next = *at;
    *at = delivery;
    if (delivery->next == NULL) {
        partition->last = delivery;
    }
    partition->pending_count++;
    partition->pending_bytes += delivery->bytes;
    return &delivery->next;
}

static struct mr_delivery *pop_front(struct partition *partition)
{
    struct mr_delivery *delivery = partition->first;
    partition->first = delivery->next;
    if (partition->first == NULL) {
        partition->last = NULL;
    }
    delivery->next = NULL;
    partition->pending_count--;
    partition->pending_bytes -= delivery->bytes;
    return delivery;
}

void partition_release(struct partition *partition, struct mr_delivery *delivery)
{
    partition->held_count--;
    partition->held_bytes -= delivery->held_bytes;
}

void partition_drain(struct partition *partition)
{
    if (partition->state == PARTITION_ACTIVE) {
        partition->state = PARTITION_DRAINING;
        drop_pending(partition);
        worker_tell_sink(partition->worker);
    }
}

void partition_give_up(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    if (partition_in_flight(partition) > 0) {
        mr_log(MR_LOG_WARN, "records given up unsettled", MR_STR("topic", partition->topic),
               MR_INT("partition", partition->number),
               MR_INT("records", partition_in_flight(partition)));
    }
    drop_pending(partition);
    dead_drop(partition);
    consumer_close_queue(partition);
    worker_metrics_close(partition);
    unlink_from(&worker->partitions, partition);
    partition->state = PARTITION_ORPHAN;
    partition->next = worker->orphans;
    worker->orphans = partition;
    partition_reap(partition);
    worker_tell_sink(worker);
}

bool partition_is_drained(const struct partition *partition)
{
    return partition->batch == NULL && partition->dying == 0;
}

/* --- batches --- */

static struct mr_event *take_event(struct mr_worker *worker)
{
    return worker->spare_count > 0 ? worker->spare[--worker->spare_count] : mr_event_new();
}

/* Records become events only now: what waits is then no larger than what came. */
static int decode(struct mr_delivery *delivery, struct mr_error *err)
{
    struct mr_worker *worker = delivery->partition->worker;
    if (delivery->event == NULL) {
        delivery->event = take_event(worker);
    }
    if (delivery->event == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    return kafka_binding_read(&delivery->original, delivery->event, err);
}

/* Move the oldest pending record into the batch, or to where it belongs if it is no event.
 * Returns false if there is no memory: it stays. */
static bool take_first(struct partition *partition, struct mr_batch *batch)
{
    struct mr_delivery *delivery = partition->first;
    struct mr_error err;
    int rc = decode(delivery, &err);
    if (rc == MR_ENOMEM) {
        delivery_release_event(delivery);
        return false;
    }
    (void)pop_front(partition);
    if (delivery->first_ms == 0) {
        delivery->first_ms = worker_wall_ms(partition->worker);
    }
    if (rc == 0) {
        delivery->state = DELIVERY_IN_BATCH;
        delivery->settlement = SETTLED_NOT;
        delivery->batch = batch;
        lag_read(delivery);
        batch->deliveries[batch->count++] = delivery;
    } else if (rc == MR_ETOMBSTONE) {
        delivery_settle(delivery, partition->metrics.skipped);
    } else {
        delivery_release_event(delivery);
        dead_begin(delivery, "not-an-event", err.text, NULL);
    }
    return true;
}

/* As take_first, unless it was settled before, or has to wait behind another one. */
static bool take_one(struct partition *partition, struct mr_batch *batch)
{
    if (partition->first->retry.was_settled) {
        delivery_settle(pop_front(partition), partition->metrics.skipped);
        return true;
    }
    if (retry_is_behind(partition->first)) {
        retry_put_behind(pop_front(partition));
        return true;
    }
    return take_first(partition, batch);
}

static bool may_dead_letter(const struct partition *partition)
{
    return partition->dying < WORKER_DEAD_A_PARTITION_MAX;
}

/* Returns false if it ended for want of memory. */
static bool fill(struct partition *partition, struct mr_batch *batch, size_t count_max)
{
    size_t bytes_max = (size_t)partition->worker->spec.options->batch_bytes_max;
    size_t bytes = 0;
    while (partition->first != NULL && batch->count < count_max && may_dead_letter(partition) &&
           !retry_refuses(partition, partition->first)) {
        size_t next = partition->first->bytes;
        if (batch->count > 0 && bytes + next > bytes_max) {
            break;
        }
        if (!take_one(partition, batch)) {
            worker_at(partition->worker, worker_now_ms(partition->worker) + WORKER_MEMORY_RETRY_MS);
            return false;
        }
        bytes += next;
    }
    return true;
}

static void build(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    size_t count_max = (size_t)worker->spec.options->batch_count_max;
    struct mr_batch *batch;
    bool was_memory;
    if (partition->pending_count < count_max) {
        count_max = partition->pending_count;
    }
    batch = mem_zalloc(sizeof(*batch) + count_max * sizeof(struct mr_delivery *));
    if (batch == NULL) {
        worker_at(worker, worker_now_ms(worker) + WORKER_MEMORY_RETRY_MS);
        return;
    }
    batch->magic = BATCH_MAGIC;
    batch->partition = partition;
    was_memory = fill(partition, batch, count_max);
    partition_tell(partition);
    if (batch->count == 0) {
        batch_free(batch);
        if (was_memory) {
            worker_soon(worker);
        }
        return;
    }
    batch->unsettled = batch->count;
    batch->began_ns = uv_hrtime();
    partition->batch = batch;
    worker_metrics_batch(partition, batch->count);
    worker->spec.ops->batch(worker, batch);
}

static bool is_batch_full(const struct partition *partition)
{
    const struct mr_worker_loop_options *options = partition->worker->spec.options;
    return partition_is_full(partition) ||
           partition->pending_count >= (size_t)options->batch_count_max ||
           partition->pending_bytes >= (size_t)options->batch_bytes_max;
}

static void decide_batch(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    int64_t now = worker_now_ms(worker);
    int64_t due;
    if (partition->first == NULL || partition->batch != NULL || !may_dead_letter(partition) ||
        retry_refuses(partition, partition->first)) {
        return;
    }
    due = is_batch_full(partition) || partition->first->first_ms != 0 /* it has waited once */
              ? now
              : partition->first->arrived_ms + worker->spec.options->batch_age_ms;
    if (due < partition->hold_until_ms) {
        due = partition->hold_until_ms;
    }
    if (now >= due) {
        build(partition);
    } else {
        worker_at(worker, due);
    }
}

void partition_run(struct partition *partition)
{
    if (partition->state == PARTITION_ACTIVE && partition->recall == RECALL_DONE) {
        partition = consumer_read(partition);
        retry_run(partition);
        decide_batch(partition);
        partition_tell(partition);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Happy path: a record can never succeed -> it is written as a dead letter -> the producer, made
 * with the first one, sends it -> Kafka has it -> the record is settled. What can go wrong: Kafka
 * is away or doesn't answer (sent again, later and later; a second copy harms nobody); Kafka finds
 * it, or another in its request, too large (sent again by itself, then cut to the least); Kafka
 * refuses it for another reason (again and again, loudly: a record is not lost because nobody wants
 * it). Until then the record counts as in flight, and a partition with
 * many of them makes no more batches. */
#include "kafka/worker_internal.h"
#include "kit/clock.h"
#include "kit/utf8.h"

enum {
    BATCH_OVERHEAD = 1024,              /* of the protocol, around key, value and headers */
    QUEUE_BYTES_MAX = 64 * 1024 * 1024, /* and so of a letter, whatever Kafka takes */
    QUEUE_EVENTS_MAX = 10000,
    SENDING_BYTES_MAX = QUEUE_BYTES_MAX / 2, /* the producer counts a little otherwise */
};

/* --- the producer --- */

static size_t letter_bytes_max(const struct mr_producer *producer)
{
    size_t bytes = producer_message_bytes_max(producer);
    bytes = bytes < QUEUE_BYTES_MAX ? bytes : QUEUE_BYTES_MAX;
    return bytes > BATCH_OVERHEAD ? bytes - BATCH_OVERHEAD : 0;
}

static int open_producer(struct mr_worker *worker, const char *topic, struct mr_error *err)
{
    const struct mr_worker_loop_options *options = worker->spec.options;
    struct producer_spec spec = {.conf = worker->spec.conf,
                                 .options = &worker->dead.options,
                                 .program = worker->spec.program};
    int rc;
    if (worker->dead.topic == NULL) {
        worker->dead.topic = mem_strdup(topic);
        if (worker->dead.topic == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
    }
    worker->dead.options = (struct mr_producer_options){
        .topic = worker->dead.topic,
        .topic_create = options->topic_create,
        .topic_partitions = options->topic_partitions,
        .topic_replication = options->topic_replication,
        .encoding = EVENT_ENCODING_AVRO,
        .queue_events_max = QUEUE_EVENTS_MAX,
        .queue_bytes_max = QUEUE_BYTES_MAX,
    };
    if (worker->dead.producer == NULL) {
        rc = producer_new(worker->loop, &spec, &worker->dead.producer, err);
        if (rc != 0) {
            return rc;
        }
    }
    worker->dead.bytes_max = letter_bytes_max(worker->dead.producer);
    return producer_port_open(worker->dead.producer, worker->loop, &worker->dead.port, err);
}

/* --- one dead letter --- */

static struct dead_line *line_of(const struct mr_delivery *delivery)
{
    unsigned tries = delivery->dead.tries;
    return &delivery->partition->worker->dead
                .lines[tries < WORKER_DEAD_LINES ? tries : WORKER_DEAD_LINES - 1];
}

/* There may be as many as all partitions hold: nothing here may look at each of them. Those of one
 * line have the same delay, so that the first is due first. */
static void line_up(struct mr_delivery *delivery)
{
    struct dead_line *line = line_of(delivery);
    delivery->next = NULL;
    if (line->last == NULL) {
        line->first = delivery;
    } else {
        line->last->next = delivery;
    }
    line->last = delivery;
    delivery->partition->worker->dead.waiting++;
}

static void line_up_first(struct mr_delivery *delivery)
{
    struct dead_line *line = line_of(delivery);
    delivery->next = line->first;
    line->first = delivery;
    if (line->last == NULL) {
        line->last = delivery;
    }
    delivery->partition->worker->dead.waiting++;
}

static int64_t delay_ms(unsigned tries)
{
    int64_t delay = WORKER_DEAD_DELAY_MS;
    while (tries-- > 1 && delay < WORKER_DEAD_DELAY_MAX_MS) {
        delay *= 2;
    }
    return delay < WORKER_DEAD_DELAY_MAX_MS ? delay : WORKER_DEAD_DELAY_MAX_MS;
}

static void again(struct mr_delivery *delivery, const char *reason)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    delivery->state = DELIVERY_DYING;
    delivery->dead.tries++;
    delivery->dead.again_ms = worker_now_ms(worker) + delay_ms(delivery->dead.tries);
    worker->dead.refused = true;
    readiness_set(worker->spec.readiness, "dead-letters", false, "%s", reason);
    mr_log_limited(MR_LOG_ERROR, WORKER_LOG_INTERVAL_MS, "dead letter not stored, tried again",
                   MR_STR("topic", partition->topic), MR_INT("partition", partition->number),
                   MR_INT("offset", delivery->offset), MR_STR("reason", reason));
    line_up(delivery);
    worker_soon(worker);
}

/* A letter has been stored, or none is left that was refused. */
static void tell_well(struct mr_worker *worker)
{
    if (worker->dead.refused) {
        worker->dead.refused = false;
        readiness_set(worker->spec.readiness, "dead-letters", true, NULL);
    }
}

static void tell_if_none_is_left(struct mr_worker *worker)
{
    if (worker->dead.waiting == 0 && worker->dead.sending == 0) {
        tell_well(worker);
    }
}

static void stored(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "dead-lettered",
                   MR_STR("topic", partition->topic), MR_INT("partition", partition->number),
                   MR_INT("offset", delivery->offset), MR_STR("code", delivery->dead.code),
                   MR_STR("text", delivery->dead.text));
    tell_well(worker);
    worker_metrics_dead(partition, delivery->dead.code == NULL ? "" : delivery->dead.code);
    partition->dying--;
    delivery_settle(delivery, partition->metrics.dead);
}

/* Kafka refuses whole requests: which of its letters is the one too large shows only when each is
 * sent by itself. */
static void note_refusal(struct mr_delivery *delivery, const struct mr_outcome *outcome)
{
    if (outcome->kind == MR_REJECTED || (outcome->too_large && delivery->dead.alone)) {
        delivery->dead.rejected = true;
    }
    delivery->dead.alone = delivery->dead.alone || outcome->too_large;
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct mr_delivery *delivery = CONTAINER_OF(send, struct mr_delivery, dead.send);
    struct partition *partition;
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    partition = delivery->partition;
    partition->sending--;
    partition->worker->dead.sending--;
    partition->worker->dead.sending_bytes -= delivery->held_bytes;
    partition->worker->dead.is_alone = false;
    worker_soon(partition->worker);
    if (partition->state == PARTITION_ORPHAN) {
        if (delivery->batch == NULL) {
            delivery_free(delivery);
        } else {
            delivery->state = DELIVERY_IN_BATCH; /* freed with the batch */
        }
        tell_if_none_is_left(partition->worker);
        partition_reap(partition);
    } else if (outcome->kind == MR_STORED) {
        stored(delivery);
    } else {
        note_refusal(delivery, outcome);
        again(delivery, outcome->reason);
    }
}

static int write_letter(struct mr_delivery *delivery, struct kafka_record *ret_record,
                        struct mr_error *err)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    struct dead_letter letter = {
        .reason = delivery->dead.code == NULL ? "" : delivery->dead.code,
        .text = delivery->dead.text,
        .server = delivery->dead.server,
        .topic = partition->topic,
        .partition = partition->number,
        .offset = delivery->offset,
        .timestamp_ms = delivery->timestamp_ms,
        .group = worker->group,
        .attempts = delivery->attempt,
        .first_ms = delivery->first_ms,
        .last_ms = delivery->dead.last_ms,
    };
    letter.original = delivery->dead.copy != NULL ? *delivery->dead.copy : delivery->original;
    return dead_letter_write(&letter,
                             delivery->dead.rejected ? DEAD_BYTES_MIN : worker->dead.bytes_max,
                             &worker->dead.writer, ret_record, err);
}

static int send_letter(struct mr_delivery *delivery, struct mr_error *err)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    struct kafka_record record;
    struct mr_buf topic;
    int rc;
    buf_init(&topic, WORKER_NAME_BYTES_MAX);
    rc = worker_dead_topic(worker, partition->topic, &topic);
    if (rc == 0 && worker->dead.port == NULL) {
        rc = open_producer(worker, topic.ptr, err);
    }
    if (rc == 0) {
        rc = write_letter(delivery, &record, err);
    }
    if (rc == 0) {
        delivery->state = DELIVERY_SENDING;
        partition->sending++;
        worker->dead.sending++;
        worker->dead.sending_bytes += delivery->held_bytes;
        worker->dead.is_alone = delivery->dead.alone;
        delivery->dead.send.on_settled = on_settled;
        producer_send_record(worker->dead.port, &delivery->dead.send, topic.ptr, &record);
    } else {
        (void)buf_check(&topic, err);
    }
    buf_done(&topic);
    return rc;
}

/* A letter may wait for long, and must not hold the whole fetch that its record came with. */
static void copy_record(struct mr_delivery *delivery)
{
    delivery->dead.copy = kafka_record_copy(&delivery->original);
    if (delivery->dead.copy != NULL) {
        delivery_release_record(delivery);
    }
}

/* No more of it than a letter takes: an author may pass on what a server said, however long. */
static char *copy_text(const char *text)
{
    struct mr_slice cut = utf8_cut(mr_slice_of(text), DEAD_TEXT_BYTES_MAX);
    return mem_strndup(cut.ptr, cut.len);
}

/* A text for which there is no memory is lost, the record isn't. */
void dead_begin(struct mr_delivery *delivery, const char *code, const char *text,
                const char *server)
{
    struct partition *partition = delivery->partition;
    delivery_release_event(delivery);
    retry_close(delivery);
    copy_record(delivery);
    delivery->dead.code = copy_text(code == NULL ? "" : code);
    delivery->dead.text = copy_text(text == NULL ? "" : text);
    delivery->dead.server = server == NULL ? NULL : copy_text(server);
    delivery->dead.last_ms = clock_wall_ms();
    delivery->dead.again_ms = worker_now_ms(partition->worker);
    delivery->state = DELIVERY_DYING;
    partition->dying++;
    line_up(delivery);
    worker_soon(partition->worker);
}

/* --- all of them --- */

/* Those that have waited longest go first. */
static struct mr_delivery *take_due(struct mr_worker *worker, int64_t now)
{
    for (size_t i = WORKER_DEAD_LINES; i > 0; i--) {
        struct dead_line *line = &worker->dead.lines[i - 1];
        struct mr_delivery *delivery = line->first;
        if (delivery != NULL && delivery->dead.again_ms <= now) {
            line->first = delivery->next;
            line->last = line->first == NULL ? NULL : line->last;
            delivery->next = NULL;
            worker->dead.waiting--;
            return delivery;
        }
        if (delivery != NULL) {
            worker_at(worker, delivery->dead.again_ms);
        }
    }
    return NULL;
}

/* What is settled asks for a run. */
static bool may_send(const struct mr_worker *worker)
{
    return worker->phase < WORKER_CLOSING && !worker->dead.is_alone &&
           worker->dead.sending < QUEUE_EVENTS_MAX &&
           worker->dead.sending_bytes < SENDING_BYTES_MAX;
}

void dead_run(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    struct mr_delivery *delivery;
    while (may_send(worker) && (delivery = take_due(worker, now)) != NULL) {
        struct mr_error err = {0};
        if (delivery->dead.alone && worker->dead.sending > 0) {
            line_up_first(delivery); /* when those are settled */
            return;
        }
        if (send_letter(delivery, &err) != 0) {
            again(delivery, err.text);
        }
    }
}

static void drop_of_line(struct dead_line *line, const struct partition *partition)
{
    struct mr_delivery *delivery = line->first;
    struct mr_delivery *next;
    *line = (struct dead_line){NULL, NULL};
    for (; delivery != NULL; delivery = next) {
        next = delivery->next;
        partition->worker->dead.waiting--;
        if (delivery->partition != partition) {
            line_up(delivery);
        } else if (delivery->batch == NULL) {
            delivery_free(delivery);
        } else {
            delivery->state = DELIVERY_IN_BATCH; /* freed with the batch */
        }
    }
}

void dead_drop(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    for (size_t i = 0; i < WORKER_DEAD_LINES && partition->dying > partition->sending; i++) {
        drop_of_line(&worker->dead.lines[i], partition);
    }
    partition->dying = partition->sending;
    tell_if_none_is_left(worker);
}

static void on_port_closed(void *user)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, user, WORKER_MAGIC);
    worker->dead.port = NULL;
    worker_soon(worker);
}

static void on_producer_closed(void *user)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, user, WORKER_MAGIC);
    worker->dead.producer = NULL;
    worker_soon(worker);
}

bool dead_stop(struct mr_worker *worker)
{
    if (worker->dead.producer == NULL) {
        return true;
    }
    if (worker->dead.sending > 0) {
        if (!worker->dead.abandoned) {
            worker->dead.abandoned = true;
            producer_abandon(worker->dead.producer);
        }
    } else if (worker->dead.port != NULL) {
        if (!worker->stop.port_closing) {
            worker->stop.port_closing = true;
            producer_port_close(worker->dead.port, on_port_closed, worker);
        }
    } else if (!worker->stop.producer_closing) {
        worker->stop.producer_closing = true;
        producer_close(worker->dead.producer, on_producer_closed, worker);
    }
    return worker->dead.producer == NULL;
}

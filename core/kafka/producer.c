// SPDX-License-Identifier: Apache-2.0
/* Happy path: producer_new makes an instance -> the topic is found or created, and Kafka watched
 * (producer_watch.c) -> sends and reports flow (producer_port.c, producer_deliveries.c)
 * -> producer_close destroys the instance once nothing is in it.
 *
 * What can go wrong: Kafka is away (sends end as MR_BUSY or MR_UNKNOWN by message.timeout.ms);
 * librdkafka raises a fatal error (producer_replace.c). */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <millrace/log.h>

#include "kafka/producer_internal.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    DRAIN_MESSAGES = 4096, /* of one loop turn */
    TICK_MS = 1000,
    TICK_BUSY_MS = 10, /* while something is to be given up or destroyed */
};

/* clang-format off */
const struct mr_option mr_producer_options[] = {
    {.key = "topic", .type = MR_OPTION_STRING, .initial = "events", .flags = MR_OPTION_REQUIRED,
     .text = "The topic that events are written to.",
     .offset = offsetof(struct mr_producer_options, topic)},
    {.key = "topic.create", .type = MR_OPTION_BOOLEAN, .initial = "true",
     .text = "Create the topic if it is missing, at start or later. If false, the program waits, not ready, until it is there.",
     .offset = offsetof(struct mr_producer_options, topic_create)},
    {.key = "topic.partitions", .type = MR_OPTION_INTEGER, .initial = "6", .min = 0, .max = 10000, .unit = "partitions",
     .text = "Partitions of a topic that is created; 0 takes the broker's default.",
     .offset = offsetof(struct mr_producer_options, topic_partitions)},
    {.key = "topic.replication", .type = MR_OPTION_INTEGER, .initial = "0", .min = 0, .max = 100, .unit = "replicas",
     .text = "Replicas of a topic that is created; 0 takes the broker's default.",
     .offset = offsetof(struct mr_producer_options, topic_replication)},
    {.key = "encoding", .type = MR_OPTION_ENUM, .initial = "avro", .choices = "avro|binary",
     .text = "How an event is written: avro (structured CloudEvents, attributes also as ce_* headers) or binary (ce_* headers, the data as the value).",
     .offset = offsetof(struct mr_producer_options, encoding)},
    {.key = "queue.events.max", .type = MR_OPTION_INTEGER, .initial = "100000", .min = 1, .max = 10000000, .unit = "events",
     .text = "Events on their way to Kafka at a time; more are refused as busy.",
     .offset = offsetof(struct mr_producer_options, queue_events_max)},
    {.key = "queue.bytes.max", .type = MR_OPTION_SIZE, .initial = "64MiB", .min = 65536, .max = 1099511627776,
     .text = "Bytes of keys, values and headers on their way to Kafka at a time; more are refused as busy.",
     .offset = offsetof(struct mr_producer_options, queue_bytes_max)},
    MR_OPTION_END,
};
/* clang-format on */

static const struct mr_metric events_total = {
    .name = "millrace_producer_events_total",
    .type = MR_COUNTER,
    .help = "Events given to the producer, by what became of them.",
    .labels = {"outcome"},
};
static const struct mr_metric queue_events = {
    .name = "millrace_producer_queue_events",
    .type = MR_GAUGE,
    .help = "Events on their way to Kafka.",
};
static const struct mr_metric queue_bytes = {
    .name = "millrace_producer_queue_bytes",
    .type = MR_GAUGE,
    .help = "Bytes of the events on their way to Kafka.",
};
static const struct mr_metric fatal_errors_total = {
    .name = "millrace_producer_fatal_errors_total",
    .type = MR_COUNTER,
    .help = "Fatal errors of librdkafka's producer, each survived by making a new one.",
};
static const double delivery_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                         0.1,   0.25,   0.5,   1,    2.5,   5};
static const struct mr_metric delivery_seconds = {
    .name = "millrace_producer_delivery_seconds",
    .type = MR_HISTOGRAM,
    .help = "From taking an event to Kafka's acknowledgement.",
    .bounds = delivery_bounds,
    .bound_count = MR_COUNT_OF(delivery_bounds),
};

static void get_series(struct mr_producer *producer)
{
    static const char *const names[OUTCOMES] = {
        [MR_STORED] = "stored",
        [MR_REJECTED] = "rejected",
        [MR_BUSY] = "busy",
        [MR_UNKNOWN] = "unknown",
    };
    for (unsigned i = 0; i < OUTCOMES; i++) {
        producer->outcomes[i] = mr_series_get(&events_total, &names[i]);
    }
    producer->queue_events = mr_series_get(&queue_events, NULL);
    producer->queue_bytes = mr_series_get(&queue_bytes, NULL);
    producer->fatal_errors = mr_series_get(&fatal_errors_total, NULL);
    producer->delivery_seconds = mr_series_get(&delivery_seconds, NULL);
}

/* ---- the loop's side ---- */

static void adjust_tick(struct mr_producer *producer);
static void finish_closing(struct mr_producer *producer);

static void on_more(uv_idle_t *idle)
{
    struct mr_producer *producer;
    MAGIC_CAST(producer, idle->data, PRODUCER_MAGIC);
    producer_drain(producer);
}

void producer_drain(struct mr_producer *producer)
{
    size_t left = DRAIN_MESSAGES;
    struct instance *instance = producer_current(producer);
    bool emptied = instance == NULL || instance_drain(instance, &left);
    bool fatal = instance != NULL && instance->fatal;
    for (instance = producer->retired; instance != NULL; instance = instance->next) {
        emptied = instance_drain(instance, &left) && emptied;
    }
    watch_tell(producer);
    deliveries_hand_over(producer); /* calls back: anything may have been started or closed */
    if (uv_is_closing((uv_handle_t *)&producer->more)) {
        return;
    }
    if (emptied) {
        (void)uv_idle_stop(&producer->more);
    } else {
        (void)uv_idle_start(&producer->more, on_more);
    }
    if (fatal) {
        replace_if_broken(producer);
        adjust_tick(producer);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct mr_producer *producer;
    struct instance *instance;
    MAGIC_CAST(producer, timer->data, PRODUCER_MAGIC);
    producer_drain(producer);
    mr_gauge_set(producer->queue_events, (int64_t)atomic_load(&producer->events));
    mr_gauge_set(producer->queue_bytes, (int64_t)atomic_load(&producer->bytes));
    replace_if_broken(producer);
    instance = producer_current(producer);
    if (producer->abandoned && instance != NULL && atomic_load(&producer->events) > 0) {
        instance_purge(instance);
    }
    replace_destroy_spent(producer);
    producer_watch(producer);
    adjust_tick(producer);
    finish_closing(producer);
}

/* Quick while there is something to be waited for. */
static void adjust_tick(struct mr_producer *producer)
{
    bool busy = producer->retired != NULL || producer->closing ||
                producer_current(producer) == NULL ||
                (producer->abandoned && atomic_load(&producer->events) > 0);
    uint64_t interval = busy ? TICK_BUSY_MS : TICK_MS;
    if (!uv_is_closing((uv_handle_t *)&producer->tick) &&
        uv_timer_get_repeat(&producer->tick) != interval) {
        (void)uv_timer_start(&producer->tick, on_tick, interval, interval);
    }
}

/* ---- beginning and end ---- */

static void note_limits(struct mr_producer *producer)
{
    const rd_kafka_conf_t *conf = rd_kafka_conf(producer_current(producer)->rk);
    char text[sizeof producer->bootstrap] = "";
    size_t size = sizeof text;
    producer->message_bytes_max = 1000000;
    if (rd_kafka_conf_get(conf, "message.max.bytes", text, &size) == RD_KAFKA_CONF_OK) {
        producer->message_bytes_max = strtoul(text, NULL, 10); /* librdkafka printed it */
    }
    size = sizeof producer->bootstrap;
    if (rd_kafka_conf_get(conf, "bootstrap.servers", producer->bootstrap, &size) !=
        RD_KAFKA_CONF_OK) {
        (void)snprintf(producer->bootstrap, sizeof producer->bootstrap, "Kafka");
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct mr_producer *producer;
    void (*closed)(void *user);
    void *user;
    MAGIC_CAST(producer, handle->data, PRODUCER_MAGIC);
    if (--producer->handles > 0) {
        return;
    }
    closed = producer->closed;
    user = producer->closed_user;
    uv_mutex_destroy(&producer->ports_mutex);
    for (size_t i = 0; producer->also_topics[i] != NULL; i++) {
        mem_free(producer->also_topics[i]);
    }
    producer->magic = 0;
    mem_free(producer);
    if (closed != NULL) {
        closed(user);
    }
}

static void open_handles(struct mr_producer *producer)
{
    (void)uv_timer_init(producer->home, &producer->tick);
    (void)uv_idle_init(producer->home, &producer->more);
    producer->tick.data = producer;
    producer->more.data = producer;
    producer->handles = 2;
    (void)uv_idle_start(&producer->more, on_more);
    (void)uv_timer_start(&producer->tick, on_tick, TICK_MS, TICK_MS);
}

int producer_new(uv_loop_t *home, const struct producer_spec *spec,
                 struct mr_producer **ret_producer, struct mr_error *err)
{
    struct instance *instance;
    int rc;
    struct mr_producer *producer = mem_zalloc(sizeof *producer);
    if (producer == NULL) {
        return mr_error_set(err, MR_ENOMEM, "kafka producer");
    }
    producer->magic = PRODUCER_MAGIC;
    producer->home = home;
    producer->spec = *spec;
    rc = uv_mutex_init(&producer->ports_mutex);
    if (rc != 0) {
        mem_free(producer);
        return mr_error_set(err, MR_EIO, "kafka producer: %s", uv_strerror(rc));
    }
    rc = instance_new(producer, &instance, err);
    if (rc != 0) {
        uv_mutex_destroy(&producer->ports_mutex);
        mem_free(producer);
        return rc;
    }
    atomic_store(&producer->current, instance);
    open_handles(producer);
    note_limits(producer);
    get_series(producer);
    readiness_set(spec->readiness, "kafka", false, "%s: connecting", producer->bootstrap);
    readiness_set(spec->readiness, "topic", false, "'%s': not looked for yet",
                  spec->options->topic);
    producer_watch(producer);
    *ret_producer = producer;
    return 0;
}

size_t producer_message_bytes_max(const struct mr_producer *producer)
{
    return producer->message_bytes_max;
}

void producer_abandon(struct mr_producer *producer)
{
    struct instance *instance;
    MAGIC_CHECK(producer, PRODUCER_MAGIC);
    atomic_store(&producer->refusing, true);
    producer->abandoned = true;
    instance = producer_current(producer);
    if (instance != NULL) {
        instance_purge(instance);
    }
    adjust_tick(producer);
}

void producer_close(struct mr_producer *producer, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(producer, PRODUCER_MAGIC);
    assert(producer->ports == NULL);
    atomic_store(&producer->refusing, true);
    producer->closing = true;
    producer->closed = closed;
    producer->closed_user = user;
    producer_stop_topics(producer);
    producer_stop_probe(producer);
    replace_retire(producer);
    adjust_tick(producer);
}

void producer_instance_gone(struct mr_producer *producer)
{
    MAGIC_CHECK(producer, PRODUCER_MAGIC);
    assert(producer->destroying > 0);
    producer->destroying--;
    finish_closing(producer);
}

static void finish_closing(struct mr_producer *producer)
{
    if (producer->closing && producer->retired == NULL && producer->destroying == 0 &&
        producer->topics == NULL && producer->probe == NULL &&
        !uv_is_closing((uv_handle_t *)&producer->tick)) {
        uv_close((uv_handle_t *)&producer->tick, on_handle_closed);
        uv_close((uv_handle_t *)&producer->more, on_handle_closed);
    }
}

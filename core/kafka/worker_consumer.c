// SPDX-License-Identifier: Apache-2.0
/* Happy path: librdkafka's threads put records and rebalances on the consumer's queue, commit
 * results and log lines on ours; whenever one of them was empty and is not any more, they write to
 * an eventfd, which wakes the loop; the run empties both. What can go wrong: Kafka is away, a topic
 * is missing, something is not allowed: the conditions "kafka", "topic" and "group" say so until it
 * is over. A fatal error (another member with the same group.instance.id) ends the membership: the
 * program stays up and not ready, for the operator to see, because starting anew by itself would
 * only throw the other one out in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kafka/kafka_log.h"
#include "kafka/worker_internal.h"

enum { ERRSTR_BYTES = 512, VALUE_BYTES = 512, START_EARLIEST = 0 /* of the choices of `start` */ };

/* --- opening --- */

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct mr_error *err)
{
    char errstr[ERRSTR_BYTES] = "";
    if (rd_kafka_conf_set(conf, key, value, errstr, sizeof(errstr)) != RD_KAFKA_CONF_OK) {
        return mr_error_set(err, MR_ECONFIG, "%s: %s", key, errstr);
    }
    return 0;
}

/* [section] group wins over [kafka.consumer] group.id, and that over the program's name. */
static int set_group(struct mr_worker *worker, rd_kafka_conf_t *conf, struct mr_error *err)
{
    const char *configured = worker->spec.options->group;
    char group[VALUE_BYTES];
    size_t size = sizeof(group);
    int rc = configured != NULL ? set(conf, "group.id", configured, err)
                                : kafka_conf_default(worker->spec.conf, KAFKA_CONSUMER, conf,
                                                     "group.id", worker->spec.program, err);
    if (rc != 0) {
        return rc;
    }
    if (rd_kafka_conf_get(conf, "group.id", group, &size) != RD_KAFKA_CONF_OK) {
        return mr_error_set(err, MR_ECONFIG, "group.id: too long");
    }
    mem_free(worker->group);
    worker->group = mem_strdup(group);
    return worker->group == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
}

/* A regular expression must not match the dead-letter topic. */
static int set_ignored(struct mr_worker *worker, rd_kafka_conf_t *conf, struct mr_error *err)
{
    const char *dead = worker->spec.options->dead_topic;
    struct mr_buf pattern;
    int rc;
    if (!worker->topics.is_regex) {
        return 0;
    }
    buf_init(&pattern, WORKER_NAME_BYTES_MAX);
    (void)buf_add_char(&pattern, '^');
    for (; *dead != '\0'; dead++) {
        (void)buf_add_str(&pattern, *dead == '.' ? "\\" : "");
        (void)buf_add_char(&pattern, *dead);
    }
    (void)buf_add_char(&pattern, '$');
    (void)buf_add_char(&pattern, '\0');
    rc = buf_check(&pattern, err);
    if (rc == 0) {
        rc = kafka_conf_default(worker->spec.conf, KAFKA_CONSUMER, conf, "topic.blacklist",
                                pattern.ptr, err);
    }
    buf_done(&pattern);
    return rc;
}

static int make_conf(struct mr_worker *worker, rd_kafka_conf_t **ret_conf, struct mr_error *err)
{
    const char *start = worker->spec.options->start == START_EARLIEST ? "earliest" : "latest";
    rd_kafka_conf_t *conf;
    int rc = kafka_conf_make(worker->spec.conf, KAFKA_CONSUMER, worker->spec.program, &conf, err);
    if (rc != 0) {
        return rc;
    }
    rc = set_group(worker, conf, err);
    if (rc == 0) {
        rc = kafka_conf_default(worker->spec.conf, KAFKA_CONSUMER, conf, "auto.offset.reset", start,
                                err);
    }
    if (rc == 0) {
        rc = set_ignored(worker, conf, err);
    }
    if (rc != 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                                       RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    *ret_conf = conf;
    return 0;
}

static int64_t max_poll_interval_ms(rd_kafka_t *rk)
{
    char value[VALUE_BYTES];
    size_t size = sizeof(value);
    if (rd_kafka_conf_get(rd_kafka_conf(rk), "max.poll.interval.ms", value, &size) !=
        RD_KAFKA_CONF_OK) {
        return 0;
    }
    return strtoll(value, NULL, 10);
}

int consumer_open(struct mr_worker *worker, struct mr_error *err)
{
    static const uint64_t one = 1;
    char errstr[ERRSTR_BYTES] = "";
    rd_kafka_conf_t *conf;
    int rc = make_conf(worker, &conf, err);
    if (rc != 0) {
        (void)mr_error_wrap(err, "kafka");
        return rc;
    }
    worker->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, errstr, sizeof(errstr));
    if (worker->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_error_set(err, MR_ECONFIG, "kafka: %s", errstr);
    }
    (void)rd_kafka_poll_set_consumer(worker->rk);
    worker->max_poll_interval_ms = max_poll_interval_ms(worker->rk);
    worker->records = rd_kafka_queue_get_consumer(worker->rk);
    worker->answers = rd_kafka_queue_new(worker->rk);
    (void)rd_kafka_set_log_queue(worker->rk, worker->answers);
    rd_kafka_queue_io_event_enable(worker->records, worker->event_fd, &one, sizeof(one));
    rd_kafka_queue_io_event_enable(worker->answers, worker->event_fd, &one, sizeof(one));
    return 0;
}

/* What can't be destroyed stays reachable, for those who look for leaks. */
static rd_kafka_t *volatile kept_consumer;

void consumer_destroy(struct mr_worker *worker)
{
    if (worker->rk == NULL) {
        return;
    }
    rd_kafka_queue_io_event_enable(worker->records, -1, NULL, 0);
    rd_kafka_queue_io_event_enable(worker->answers, -1, NULL, 0);
    rd_kafka_queue_destroy(worker->records);
    rd_kafka_queue_destroy(worker->answers);
    if (worker->stop.keeps_consumer) {
        kept_consumer = worker->rk;
    } else {
        rd_kafka_destroy_flags(worker->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    worker->rk = NULL;
}

/* --- what comes --- */

static void tell_kafka(struct mr_worker *worker, const char *reason)
{
    if (reason != NULL) {
        readiness_set(worker->spec.readiness, "kafka", false, "%s", reason);
    } else if (!worker->kafka_is_well) {
        readiness_set(worker->spec.readiness, "kafka", true, NULL);
    }
    worker->kafka_is_well = reason == NULL;
}

static void tell_topic(struct mr_worker *worker, const char *reason)
{
    worker->topics.trouble = true;
    readiness_set(worker->spec.readiness, "topic", false, "%s", reason);
}

static void fatal(struct mr_worker *worker)
{
    char reason[ERRSTR_BYTES] = "";
    (void)rd_kafka_fatal_error(worker->rk, reason, sizeof(reason));
    worker->fatal = true;
    mr_log(MR_LOG_ERROR, "the group membership has ended; nothing is read until a restart",
           MR_STR("group", worker->group), MR_STR("reason", reason));
    readiness_set(worker->spec.readiness, "group", false, "%s", reason);
}

/* Its topic was deleted, and what comes back under its name may be another one: nothing is taken or
 * committed until its position has been asked for anew. */
static void note_gone(struct mr_worker *worker, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *row = rd_kafka_event_topic_partition(event);
    if (row != NULL) {
        struct partition *partition = partition_find(worker, row->topic, row->partition);
        if (partition != NULL) {
            partition->gone = true;
            partition->gone_ms = worker_now_ms(worker);
            worker->probe.due_ms = 0;
        }
        rd_kafka_topic_partition_destroy(row);
    }
}

static void on_error(struct mr_worker *worker, rd_kafka_event_t *event)
{
    const char *reason = rd_kafka_event_error_string(event);
    if (rd_kafka_event_error_is_fatal(event) ||
        rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__FATAL) {
        fatal(worker);
        return;
    }
    kafka_log_event(event);
    switch (rd_kafka_event_error(event)) {
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR__SSL:
            tell_kafka(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            note_gone(worker, event);
            tell_topic(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            tell_topic(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
            readiness_set(worker->spec.readiness, "group", false, "%s", reason);
            break;
        default:
            break;
    }
}

static void all_is_well(struct mr_worker *worker)
{
    tell_kafka(worker, NULL);
    if (worker->topics.trouble) {
        worker->topics.trouble = false;
        readiness_set(worker->spec.readiness, "topic", true, NULL);
    }
}

/* Returns false if there is no memory for it: it must be offered again before any other. */
static bool on_record(struct mr_worker *worker, rd_kafka_event_t *event,
                      const rd_kafka_message_t *message)
{
    struct partition *partition =
        message == NULL
            ? NULL
            : partition_find(worker, rd_kafka_topic_name(message->rkt), message->partition);
    if (partition == NULL || partition->state != PARTITION_ACTIVE || partition->gone) {
        rd_kafka_event_destroy(event);
        return true;
    }
    all_is_well(worker);
    return partition_receive(partition, event, message);
}

/* Takes the event over. Returns false if there was no memory for a record: nothing more may be
 * taken from the queue before it. */
static bool on_event(struct mr_worker *worker, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_FETCH: {
            const rd_kafka_message_t *message = rd_kafka_event_message_next(event);
            if (!on_record(worker, event, message)) {
                worker->stalled = event;
                worker->stalled_message = message;
                return false;
            }
            return true;
        }
        case RD_KAFKA_EVENT_REBALANCE:
            rebalance_add(worker, event);
            return true;
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            commit_answered(worker, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            on_error(worker, event);
            break;
        case RD_KAFKA_EVENT_LOG:
            kafka_log_event(event);
            break;
        default:
            break;
    }
    rd_kafka_event_destroy(event);
    return true;
}

static void drain_queue(struct mr_worker *worker, rd_kafka_queue_t *queue)
{
    for (unsigned i = 0; i < WORKER_EVENTS_A_RUN_MAX; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 0);
        if (event == NULL) {
            return;
        }
        if (!on_event(worker, event)) {
            worker_at(worker, worker_now_ms(worker) + WORKER_MEMORY_RETRY_MS);
            return;
        }
    }
    worker_soon(worker); /* there may be more, and nothing will tell us so */
}

void consumer_drain(struct mr_worker *worker)
{
    drain_queue(worker, worker->answers);
    if (worker->stalled != NULL) {
        rd_kafka_event_t *event = worker->stalled;
        if (!on_record(worker, event, worker->stalled_message)) {
            worker_at(worker, worker_now_ms(worker) + WORKER_MEMORY_RETRY_MS);
            return;
        }
        worker->stalled = NULL;
    }
    drain_queue(worker, worker->records);
}

/* --- is Kafka there? --- */

static void probe(uv_work_t *work)
{
    const struct rd_kafka_metadata *metadata;
    struct mr_worker *worker;
    rd_kafka_resp_err_t error;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    error = rd_kafka_metadata(worker->rk, 0, NULL, &metadata, WORKER_PROBE_TIMEOUT_MS);
    worker->probe.error = error;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        worker->probe.metadata = metadata;
    }
}

static void after_probe(uv_work_t *work, int status)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    (void)status; /* never cancelled */
    worker->probe.under_way = false;
    tell_kafka(worker, worker->probe.error == RD_KAFKA_RESP_ERR_NO_ERROR
                           ? NULL
                           : rd_kafka_err2str(worker->probe.error));
    if (worker->probe.metadata != NULL) {
        rebalance_reopen(worker, worker->probe.metadata);
        rd_kafka_metadata_destroy(worker->probe.metadata);
        worker->probe.metadata = NULL;
    }
    worker_soon(worker);
}

/* An idle consumer notices neither that a broker is frozen nor that it is back. */
void consumer_probe(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    if (worker->probe.under_way || worker->phase != WORKER_RUNNING) {
        return;
    }
    if (now < worker->probe.due_ms) {
        worker_at(worker, worker->probe.due_ms);
        return;
    }
    worker->probe.due_ms =
        now + (worker->kafka_is_well && !worker->topics.trouble ? WORKER_PROBE_INTERVAL_MS
                                                                : WORKER_NET_MS);
    worker->probe.began_ms = now;
    worker->probe.work.data = worker;
    worker->probe.under_way =
        uv_queue_work(worker->loop, &worker->probe.work, probe, after_probe) == 0;
}

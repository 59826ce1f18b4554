// SPDX-License-Identifier: Apache-2.0
/* Happy path: librdkafka's threads put the records of a partition on its own queue, rebalances on
 * the consumer's, commit results and log lines on ours; whenever one of them was empty and is not
 * any more, they write to an eventfd, which wakes the loop; the run empties them. A partition with
 * enough in memory isn't read: its queue fills up, and librdkafka stops fetching by itself
 * (queued.min.messages, queued.max.messages.kbytes). rd_kafka_pause_partitions would throw away
 * what had been fetched, and librdkafka 2.0.2 may repeat or skip records around it. What can go
 * wrong: Kafka is away, a
 * topic is missing, something is not allowed: the conditions "kafka", "topic" and "group" say so
 * until it is over. A fatal error (another member with the same group.instance.id) ends the
 * membership: the program stays up and not ready, for the operator to see, because starting anew by
 * itself would only throw the other one out in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kafka/kafka_log.h"
#include "kafka/worker_internal.h"

enum { ERRSTR_BYTES = 512, VALUE_BYTES = 512, TOPIC_TEXT_BYTES = 320 };
enum { SYSLOG_NOTICE = 5, KIB = 1024 };

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
static int set_group(const struct worker_loop_spec *spec, rd_kafka_conf_t *conf,
                     struct mr_error *err)
{
    const char *configured = spec->options->group;
    return configured != NULL ? set(conf, "group.id", configured, err)
                              : kafka_conf_default(spec->conf, KAFKA_CONSUMER, conf, "group.id",
                                                   spec->program, err);
}

static int keep_group(struct mr_worker *worker, const rd_kafka_conf_t *conf, struct mr_error *err)
{
    char group[VALUE_BYTES];
    size_t size = sizeof(group);
    if (rd_kafka_conf_get(conf, "group.id", group, &size) != RD_KAFKA_CONF_OK) {
        return mr_error_set(err, MR_ECONFIG, "group.id: too long");
    }
    mem_free(worker->group);
    worker->group = mem_strdup(group);
    return worker->group == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
}

/* A regular expression must not match the dead-letter topic. */
static int set_ignored(const struct worker_loop_spec *spec, rd_kafka_conf_t *conf,
                       struct mr_error *err)
{
    const char *dead = spec->options->dead_topic;
    struct mr_buf pattern;
    int rc;
    if (!worker_topics_are_regex(spec->options) || dead == NULL) {
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
        rc = kafka_conf_default(spec->conf, KAFKA_CONSUMER, conf, "topic.blacklist", pattern.ptr,
                                err);
    }
    buf_done(&pattern);
    return rc;
}

/* look_for_gone_topic() needs the notices, also when the log is to have less. */
static int keep_notices(rd_kafka_conf_t *conf, struct mr_error *err)
{
    char level[VALUE_BYTES];
    size_t size = sizeof(level);
    if (rd_kafka_conf_get(conf, "log_level", level, &size) == RD_KAFKA_CONF_OK &&
        strtol(level, NULL, 10) >= SYSLOG_NOTICE) {
        return 0;
    }
    return set(conf, "log_level", "5", err);
}

static int make_conf(const struct worker_loop_spec *spec, rd_kafka_conf_t **ret_conf,
                     struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    int rc = kafka_conf_make(spec->conf, KAFKA_CONSUMER, spec->program, &conf, err);
    if (rc != 0) {
        return rc;
    }
    rc = set_group(spec, conf, err);
    if (rc == 0) {
        rc = set(conf, "auto.offset.reset", "error", err); /* worker_offsets.c decides */
    }
    if (rc == 0) {
        rc = set(conf, "enable.partition.eof", "true", err);
    }
    if (rc == 0) {
        rc = set_ignored(spec, conf, err);
    }
    if (rc == 0) {
        rc = keep_notices(conf, err);
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

void consumer_check(const struct worker_loop_spec *spec, struct mr_check *check)
{
    struct mr_error err;
    rd_kafka_conf_t *conf;
    if (make_conf(spec, &conf, &err) != 0) {
        mr_check_problem(check, NULL, NULL, "%s", err.text);
    } else {
        kafka_conf_try(spec->conf, KAFKA_CONSUMER, conf, check);
    }
}

/* A number that is configured, or librdkafka's own. */
static int64_t number_of(rd_kafka_t *rk, const char *key)
{
    char value[VALUE_BYTES];
    size_t size = sizeof(value);
    if (rd_kafka_conf_get(rd_kafka_conf(rk), key, value, &size) != RD_KAFKA_CONF_OK) {
        return 0;
    }
    return strtoll(value, NULL, 10);
}

int consumer_open(struct mr_worker *worker, struct mr_error *err)
{
    static const uint64_t one = 1;
    char errstr[ERRSTR_BYTES] = "";
    rd_kafka_conf_t *conf;
    int rc = make_conf(&worker->spec, &conf, err);
    if (rc == 0) {
        rc = keep_group(worker, conf, err);
        if (rc != 0) {
            rd_kafka_conf_destroy(conf);
        }
    }
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
    worker->max_poll_interval_ms = number_of(worker->rk, "max.poll.interval.ms");
    worker->fetched_count_max = (size_t)number_of(worker->rk, "queued.min.messages");
    worker->fetched_bytes_max = (size_t)number_of(worker->rk, "queued.max.messages.kbytes") * KIB;
    worker->events = rd_kafka_queue_get_consumer(worker->rk);
    worker->answers = rd_kafka_queue_new(worker->rk);
    (void)rd_kafka_set_log_queue(worker->rk, worker->answers);
    rd_kafka_queue_io_event_enable(worker->events, worker->event_fd, &one, sizeof(one));
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
    rd_kafka_queue_io_event_enable(worker->events, -1, NULL, 0);
    rd_kafka_queue_io_event_enable(worker->answers, -1, NULL, 0);
    rd_kafka_queue_destroy(worker->events);
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

static struct partition *partition_of(struct mr_worker *worker, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *row = rd_kafka_event_topic_partition(event);
    struct partition *partition = NULL;
    if (row != NULL) {
        partition = partition_find(worker, row->topic, row->partition);
        rd_kafka_topic_partition_destroy(row);
    }
    return partition;
}

/* Its topic was deleted, and what comes back under its name may be another one: nothing is taken or
 * committed until its position has been asked for anew. */
static void note_gone(struct partition *partition)
{
    if (partition != NULL) {
        partition->gone = true;
        worker_topics_note_gone(partition->worker, partition->topic);
        partition->gone_ms = worker_now_ms(partition->worker);
        partition->worker->probe.due_ms = 0;
    }
}

static bool ends_with_none(const char *text)
{
    static const char none[] = " to 0";
    size_t len = strlen(text);
    return len >= sizeof(none) - 1 && strcmp(text + len - (sizeof(none) - 1), none) == 0;
}

/* librdkafka puts the error on the queue of the partition, behind what was fetched before, where it
 * would be found too late: the offsets of the old topic would be committed to the new one. Only its
 * log says at once that a topic has no partitions any more. */
static void look_for_gone_topic(struct mr_worker *worker, rd_kafka_event_t *event)
{
    const char *facility;
    const char *text;
    int level;
    if (rd_kafka_event_log(event, &facility, &text, &level) != 0 ||
        strcmp(facility, "PARTCNT") != 0) {
        return;
    }
    if (ends_with_none(text)) {
        worker->topics.some_went = true;
    }
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        char pattern[TOPIC_TEXT_BYTES];
        const char *at;
        int len =
            snprintf(pattern, sizeof(pattern), "Topic %s partition count changed from ", p->topic);
        at = strstr(text, pattern);
        if (at != NULL && strcmp(at + len + strspn(at + len, "0123456789"), " to 0") == 0) {
            note_gone(p);
            tell_topic(worker, at);
        }
    }
}

/* librdkafka says it once, and metadata may go on listing the topic: it holds until something is
 * read. */
static void note_refused(struct partition *partition)
{
    if (partition != NULL) {
        partition->refused = true;
    }
}

/* librdkafka asks for what is committed once, and leaves the partitions alone after an error that
 * it does not take for a passing one. Only its words tell that error from others. */
static void look_for_untold_position(struct mr_worker *worker, rd_kafka_event_t *event)
{
    static const char words[] = "Failed to fetch committed offset";
    if (strncmp(rd_kafka_event_error_string(event), words, sizeof(words) - 1) == 0) {
        offsets_untold(worker);
    }
}

static void on_error(struct mr_worker *worker, rd_kafka_event_t *event)
{
    char shown[KAFKA_TEXT_BYTES];
    const char *reason = kafka_log_text(rd_kafka_event_error_string(event), shown);
    if (rd_kafka_event_error_is_fatal(event) ||
        rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__FATAL) {
        fatal(worker);
        return;
    }
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        return; /* of a partition that is not ours any more */
    }
    kafka_log_event(event);
    look_for_untold_position(worker, event);
    switch (rd_kafka_event_error(event)) {
        case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        case RD_KAFKA_RESP_ERR__SSL:
            tell_kafka(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
        case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
            note_gone(partition_of(worker, event));
            tell_topic(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            note_refused(partition_of(worker, event));
            tell_topic(worker, reason);
            break;
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
        case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED:
            readiness_set(worker->spec.readiness, "group", false, "%s", reason);
            break;
        default:
            break;
    }
}

/* Takes the event over. */
static void on_event(struct mr_worker *worker, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
        case RD_KAFKA_EVENT_REBALANCE:
            rebalance_add(worker, event);
            return;
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            commit_answered(worker, event);
            break;
        case RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT:
            recall_answered(worker, event);
            break;
        case RD_KAFKA_EVENT_ERROR:
            on_error(worker, event);
            break;
        case RD_KAFKA_EVENT_LOG:
            kafka_log_event(event);
            look_for_gone_topic(worker, event);
            break;
        default: /* a record of a partition that is not ours any more */
            break;
    }
    rd_kafka_event_destroy(event);
}

static void drain_queue(struct mr_worker *worker, rd_kafka_queue_t *queue)
{
    for (unsigned i = 0; i < WORKER_EVENTS_A_RUN_MAX; i++) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 0);
        if (event == NULL) {
            return;
        }
        on_event(worker, event);
    }
    worker_soon(worker); /* there may be more, and nothing will tell us so */
}

void consumer_drain(struct mr_worker *worker)
{
    drain_queue(worker, worker->answers);
    drain_queue(worker, worker->events);
}

/* --- records --- */

void consumer_open_queue(struct partition *partition)
{
    static const uint64_t one = 1;
    partition->queue =
        rd_kafka_queue_get_partition(partition->worker->rk, partition->topic, partition->number);
    if (partition->queue != NULL) {
        rd_kafka_queue_forward(partition->queue, NULL); /* not to the consumer's queue */
        rd_kafka_queue_io_event_enable(partition->queue, partition->worker->event_fd, &one,
                                       sizeof(one));
    }
}

void consumer_close_queue(struct partition *partition)
{
    if (partition->stalled != NULL) {
        rd_kafka_event_destroy(partition->stalled);
        partition->stalled = NULL;
    }
    if (partition->queue != NULL) {
        rd_kafka_queue_io_event_enable(partition->queue, -1, NULL, 0);
        rd_kafka_queue_destroy(partition->queue);
        partition->queue = NULL;
    }
}

/* So much has been taken since the queue was empty that it may have been full, and then librdkafka
 * has stopped fetching. */
static void note_taken(struct partition *partition, const rd_kafka_message_t *message)
{
    const struct mr_worker *worker = partition->worker;
    partition->fetched.count++;
    partition->fetched.bytes += message->len;
    partition->fetched.was_full |= partition->fetched.count >= worker->fetched_count_max ||
                                   partition->fetched.bytes >= worker->fetched_bytes_max;
}

/* Takes the record over, unless there is no memory. As partition_receive(). */
static int on_record(struct partition **partition, rd_kafka_event_t *event,
                     const rd_kafka_message_t *message)
{
    if (message == NULL || (*partition)->gone) {
        rd_kafka_event_destroy(event);
        return 0;
    }
    (*partition)->refused = false;
    tell_kafka((*partition)->worker, NULL);
    note_taken(*partition, message);
    return partition_receive(partition, event, message);
}

/* The record that there was no memory for, or the next event. NULL: none. */
static rd_kafka_event_t *next_event(struct partition *partition,
                                    const rd_kafka_message_t **ret_message)
{
    rd_kafka_event_t *event = partition->stalled;
    if (event != NULL) {
        partition->stalled = NULL;
        *ret_message = partition->stalled_message;
        return event;
    }
    event = rd_kafka_queue_poll(partition->queue, 0);
    if (event != NULL && rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH) {
        *ret_message = rd_kafka_event_message_next(event);
    }
    return event;
}

struct partition *consumer_read(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    for (unsigned i = 0; i < WORKER_EVENTS_A_RUN_MAX; i++) {
        const rd_kafka_message_t *message = NULL;
        rd_kafka_event_t *event;
        if (partition->queue == NULL || partition_is_full(partition)) {
            return partition; /* what is settled asks for a run */
        }
        event = next_event(partition, &message);
        if (event == NULL) {
            partition->fetched.count = 0;
            partition->fetched.bytes = 0;
            return partition;
        }
        if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH) {
            if (!offsets_take(&partition, event)) {
                on_event(worker, event);
            }
            continue;
        }
        if (on_record(&partition, event, message) != 0) {
            partition->stalled = event;
            partition->stalled_message = message;
            worker_at(worker, worker_now_ms(worker) + WORKER_MEMORY_RETRY_MS);
            return partition;
        }
    }
    worker_soon(worker); /* there may be more, and nothing will tell us so */
    return partition;
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

static bool is_there(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, name) == 0) {
            return metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
        }
    }
    return false;
}

/* Trouble with a topic is over when Kafka knows all of them again, and lets us read. */
static void look_at_topics(struct mr_worker *worker, const struct rd_kafka_metadata *metadata)
{
    bool are_there = worker->topics.trouble;
    for (size_t i = 0; i < worker->topics.count && !worker->topics.is_regex; i++) {
        are_there = are_there && is_there(metadata, worker->topics.names[i]);
    }
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        are_there = are_there && !p->gone && !p->refused;
    }
    if (are_there) {
        worker->topics.trouble = false;
        readiness_set(worker->spec.readiness, "topic", true, NULL);
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
        look_at_topics(worker, worker->probe.metadata);
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

// SPDX-License-Identifier: Apache-2.0
/* Happy path: the names are taken apart -> they and their dead-letter topics are looked for, and
 * made if allowed -> all are there -> subscribe. What can go wrong: a topic is missing or can't be
 * made: the condition "topic" says so, and nothing is read until it is there, because a record
 * that must be dead-lettered would otherwise stop its partition later. */
#include <string.h>

#include "kafka/worker_internal.h"

_Static_assert(2 * WORKER_TOPICS_MAX <= TOPICS_NAMES_MAX, "each topic and its dead letters");

static int add_name(struct mr_worker *worker, const char *name, size_t len, struct mr_error *err)
{
    while (len > 0 && *name == ' ') {
        name++;
        len--;
    }
    while (len > 0 && name[len - 1] == ' ') {
        len--;
    }
    if (len == 0) {
        return mr_error_set(err, MR_ECONFIG, "topic: an empty name");
    }
    if (worker->topics.count == WORKER_TOPICS_MAX) {
        return mr_error_set(err, MR_ECONFIG, "topic: more than %d names", WORKER_TOPICS_MAX);
    }
    worker->topics.names[worker->topics.count] = mem_strndup(name, len);
    if (worker->topics.names[worker->topics.count] == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    worker->topics.count++;
    return 0;
}

/* A dead letter that is read as an event would die again, for ever. */
static int check_dead_topics(const struct mr_worker *worker, struct mr_error *err)
{
    struct mr_buf dead;
    int rc = 0;
    buf_init(&dead, WORKER_NAME_BYTES_MAX);
    for (size_t i = 0; i < worker->topics.count * worker->topics.count && rc == 0; i++) {
        const char *name = worker->topics.names[i % worker->topics.count];
        (void)worker_dead_topic(worker, worker->topics.names[i / worker->topics.count], &dead);
        rc = buf_check(&dead, err);
        if (rc == 0 && strcmp(dead.ptr, name) == 0) {
            rc = mr_error_set(err, MR_ECONFIG,
                              "topic: %s is read and is for dead letters too: they would come "
                              "back for ever",
                              name);
        }
    }
    buf_done(&dead);
    return rc;
}

int worker_topics_parse(struct mr_worker *worker, struct mr_error *err)
{
    const struct mr_worker_loop_options *options = worker->spec.options;
    const char *at = options->topic == NULL ? "" : options->topic;
    int rc = 0;
    worker->topics.is_regex = at[0] == '^';
    if (worker->topics.is_regex && options->dead_topic == NULL) {
        return mr_error_set(err, MR_ECONFIG,
                            "topic: a regular expression needs dead.topic, or it could match its "
                            "own dead letters");
    }
    while (rc == 0) {
        size_t len = worker->topics.is_regex ? strlen(at) : strcspn(at, ",");
        rc = add_name(worker, at, len, err);
        if (at[len] == '\0') {
            break;
        }
        at += len + 1;
    }
    return rc == 0 && !worker->topics.is_regex ? check_dead_topics(worker, err) : rc;
}

void worker_topics_free(struct mr_worker *worker)
{
    for (size_t i = 0; i < worker->topics.count; i++) {
        mem_free(worker->topics.names[i]);
    }
    worker->topics.count = 0;
}

int worker_dead_topic(const struct mr_worker *worker, const char *topic, struct mr_buf *buf)
{
    const char *configured = worker->spec.options->dead_topic;
    buf_clear(buf);
    (void)buf_add_str(buf, configured != NULL ? configured : topic);
    (void)buf_add_str(buf, configured != NULL ? "" : ".dead");
    return buf_add_char(buf, '\0');
}

/* The topics, then their dead-letter topics; the broker may make none for a regular expression. */
static size_t wanted_count(const struct mr_worker *worker)
{
    if (worker->topics.is_regex) {
        return 1;
    }
    return worker->topics.count +
           (worker->spec.options->dead_topic != NULL ? 1 : worker->topics.count);
}

static int wanted_name(const struct mr_worker *worker, size_t index, struct mr_buf *buf)
{
    if (!worker->topics.is_regex && index < worker->topics.count) {
        buf_clear(buf);
        (void)buf_add_str(buf, worker->topics.names[index]);
        return buf_add_char(buf, '\0');
    }
    return worker_dead_topic(worker, worker->topics.names[index % worker->topics.count], buf);
}

static void on_stopped(void *user)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, user, WORKER_MAGIC);
    worker->topics.ensure = NULL;
    worker_soon(worker);
}

static void on_state(void *user, const struct mr_error *missing)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, user, WORKER_MAGIC);
    if (missing != NULL) {
        readiness_set(worker->spec.readiness, "topic", false, "%s", missing->text);
        return;
    }
    worker->topics.ensured = true;
    worker->topics.stopping = true;
    topics_stop(worker->topics.ensure, on_stopped, worker);
}

/* Without memory: again in the next run. */
static void ensure(struct mr_worker *worker)
{
    const struct mr_worker_loop_options *options = worker->spec.options;
    struct topics_spec spec = {.create = options->topic_create,
                               .partitions = (int)options->topic_partitions,
                               .replication = (int)options->topic_replication};
    struct mr_buf names[TOPICS_NAMES_MAX];
    size_t count = wanted_count(worker);
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        buf_init(&names[i], WORKER_NAME_BYTES_MAX);
        failed |= wanted_name(worker, i, &names[i]);
        spec.names[i] = names[i].ptr;
    }
    worker->topics.stopping = false;
    if (failed == 0) {
        (void)topics_ensure(worker->loop, worker->rk, &spec, on_state, worker,
                            &worker->topics.ensure, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        buf_done(&names[i]);
    }
}

static void subscribe(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)worker->topics.count);
    rd_kafka_resp_err_t error;
    for (size_t i = 0; i < worker->topics.count; i++) {
        (void)rd_kafka_topic_partition_list_add(list, worker->topics.names[i],
                                                RD_KAFKA_PARTITION_UA);
    }
    error = rd_kafka_subscribe(worker->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        readiness_set(worker->spec.readiness, "topic", false, "subscribe: %s",
                      rd_kafka_err2str(error));
        return;
    }
    worker->topics.subscribed = true;
    readiness_set(worker->spec.readiness, "topic", true, NULL);
    mr_log(MR_LOG_INFO, "subscribed", MR_STR("topic", worker->spec.options->topic),
           MR_STR("group", worker->group));
}

void worker_topics_run(struct mr_worker *worker)
{
    if (worker->phase != WORKER_RUNNING || worker->topics.subscribed ||
        worker->topics.ensure != NULL) {
        return;
    }
    if (worker->topics.ensured) {
        subscribe(worker);
    } else {
        ensure(worker);
    }
}

bool worker_topics_stop(struct mr_worker *worker)
{
    if (worker->topics.ensure != NULL && !worker->topics.stopping) {
        worker->topics.stopping = true;
        topics_stop(worker->topics.ensure, on_stopped, worker);
    }
    return worker->topics.ensure == NULL;
}

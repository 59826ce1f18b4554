// SPDX-License-Identifier: Apache-2.0
/* Happy path: the names are taken apart -> they and their dead-letter topics are looked for, and
 * made if allowed -> all are there -> subscribe. What can go wrong: a topic is missing or can't be
 * made: the condition "topic" says so, and nothing is read until it is there, because a record
 * that must be dead-lettered would otherwise stop its partition later. */
#include <regex.h>
#include <string.h>

#include "kafka/worker_internal.h"
#include "kit/slice.h"

enum { REGEX_REASON_BYTES = 128 };

_Static_assert(2 * WORKER_TOPICS_MAX <= TOPICS_NAMES_MAX, "each topic and its dead letters");

bool worker_topics_are_regex(const struct mr_worker_loop_options *options)
{
    return options->topic != NULL && options->topic[0] == '^';
}

/* The names in `topic`, or the one regular expression. Returns how many there are, also beyond what
 * `ret_names` takes. */
static size_t split(const struct mr_worker_loop_options *options,
                    struct mr_slice ret_names[WORKER_TOPICS_MAX])
{
    const char *at = options->topic == NULL ? "" : options->topic;
    size_t count = 0;
    for (;;) {
        size_t len = worker_topics_are_regex(options) ? strlen(at) : strcspn(at, ",");
        if (count < WORKER_TOPICS_MAX) {
            ret_names[count] = slice_trim(mr_slice(at, len));
        }
        count++;
        if (at[len] == '\0') {
            return count;
        }
        at += len + 1;
    }
}

static const struct mr_slice dead_suffix = MR_SLICE_INIT(".dead");

static bool is_dead_topic_of(struct mr_slice name, struct mr_slice topic,
                             const struct mr_worker_loop_options *options)
{
    if (options->dead_topic != NULL) {
        return mr_slice_is(name, mr_slice_of(options->dead_topic));
    }
    return name.len == topic.len + dead_suffix.len &&
           mr_slice_is(mr_slice(name.ptr, topic.len), topic) &&
           mr_slice_is(mr_slice(name.ptr + topic.len, dead_suffix.len), dead_suffix);
}

static bool is_among(struct mr_slice name, const struct mr_slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mr_slice_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* A dead letter that is read as an event would die again, for ever. */
static void check_against_dead(const struct mr_slice *names, size_t count, size_t i,
                               const struct mr_worker_loop_options *options, struct mr_check *check)
{
    for (size_t j = 0; j < count; j++) {
        if (is_dead_topic_of(names[i], names[j], options)) {
            mr_check_problem(check, NULL, options->dead_topic != NULL ? "dead.topic" : "topic",
                             "%.*s is read and is for dead letters too: they would come back for "
                             "ever",
                             MR_SLICE_ARG(names[i]));
            return;
        }
    }
}

static void check_names(const struct mr_slice *names, size_t count,
                        const struct mr_worker_loop_options *options, struct mr_check *check)
{
    struct mr_error err;
    for (size_t i = 0; i < count; i++) {
        if (names[i].len == 0) {
            mr_check_problem(check, NULL, "topic", "an empty name");
        } else if (topics_check_name(names[i], &err) != 0) {
            mr_check_problem(check, NULL, "topic", "%s", err.text);
        } else if (options->dead_topic == NULL &&
                   names[i].len + dead_suffix.len > TOPICS_NAME_BYTES_MAX) {
            mr_check_problem(check, NULL, "topic",
                             "too long a name for its dead-letter topic, <topic>.dead; give "
                             "dead.topic");
        } else if (is_among(names[i], names, i)) {
            mr_check_problem(check, NULL, "topic", "%.*s is given twice", MR_SLICE_ARG(names[i]));
        } else {
            check_against_dead(names, count, i, options, check);
        }
    }
}

/* librdkafka says only that it is invalid, and only once it subscribes: it calls the same function.
 */
static void check_regex(const struct mr_worker_loop_options *options, struct mr_check *check)
{
    char reason[REGEX_REASON_BYTES];
    regex_t regex;
    int rc = regcomp(&regex, options->topic, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        (void)regerror(rc, &regex, reason, sizeof(reason));
        mr_check_problem(check, NULL, "topic",
                         "expected an extended regular expression, got '%s': %s", options->topic,
                         reason);
        return;
    }
    regfree(&regex);
    if (options->dead_topic == NULL && mr_check_is_right(check, NULL, "dead.topic")) {
        mr_check_problem(check, NULL, "topic",
                         "a regular expression needs dead.topic, or it could match its own "
                         "dead letters");
    }
}

void worker_topics_check(const struct mr_worker_loop_options *options, struct mr_check *check)
{
    struct mr_slice names[WORKER_TOPICS_MAX];
    struct mr_error err;
    size_t count = split(options, names);
    if (options->dead_topic != NULL &&
        topics_check_name(mr_slice_of(options->dead_topic), &err) != 0) {
        mr_check_problem(check, NULL, "dead.topic", "%s", err.text);
    }
    if (worker_topics_are_regex(options)) {
        check_regex(options, check);
        return;
    }
    if (count > WORKER_TOPICS_MAX) {
        mr_check_problem(check, NULL, "topic", "more than %d names", WORKER_TOPICS_MAX);
        count = WORKER_TOPICS_MAX;
    }
    check_names(names, count, options, check);
}

int worker_topics_parse(struct mr_worker *worker, struct mr_error *err)
{
    struct mr_slice names[WORKER_TOPICS_MAX];
    struct mr_check check = {.first = err};
    size_t count = split(worker->spec.options, names);
    worker_topics_check(worker->spec.options, &check);
    if (check.count > 0) {
        return MR_ECONFIG;
    }
    worker->topics.is_regex = worker_topics_are_regex(worker->spec.options);
    for (size_t i = 0; i < count; i++) {
        worker->topics.names[i] = mem_strndup(names[i].ptr, names[i].len);
        if (worker->topics.names[i] == NULL) {
            return mr_error_set(err, MR_ENOMEM, "out of memory");
        }
        worker->topics.count++;
    }
    return 0;
}

void worker_topics_free(struct mr_worker *worker)
{
    for (size_t i = 0; i < worker->topics.count; i++) {
        mem_free(worker->topics.names[i]);
    }
    worker->topics.count = 0;
    if (worker->topics.gone != NULL) {
        rd_kafka_topic_partition_list_destroy(worker->topics.gone);
        worker->topics.gone = NULL;
    }
}

void worker_topics_note_gone(struct mr_worker *worker, const char *topic)
{
    if (worker->topics.gone == NULL) {
        worker->topics.gone = rd_kafka_topic_partition_list_new(1);
    }
    if (!worker_topics_was_gone(worker, topic)) {
        (void)rd_kafka_topic_partition_list_add(worker->topics.gone, topic, RD_KAFKA_PARTITION_UA);
    }
}

bool worker_topics_was_gone(const struct mr_worker *worker, const char *topic)
{
    return worker->topics.gone != NULL &&
           rd_kafka_topic_partition_list_find(worker->topics.gone, topic, RD_KAFKA_PARTITION_UA) !=
               NULL;
}

int worker_dead_topic(const struct mr_worker *worker, const char *topic, struct mr_buf *buf)
{
    const char *configured = worker->spec.options->dead_topic;
    buf_clear(buf);
    (void)buf_add_str(buf, configured != NULL ? configured : topic);
    (void)buf_add_slice(buf, configured != NULL ? MR_SLICE("") : dead_suffix);
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

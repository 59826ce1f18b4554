// SPDX-License-Identifier: Apache-2.0
/* Happy path: timer (at once) -> look() in the thread pool lists the topics -> all there ->
 * on_state with NULL. What can go wrong: Kafka is away (tried again every 0.5 s: a look waits up to
 * 2 s by itself); a topic is missing (created, looked for again); creation is off, refused or slow
 * (tried again, 0.5 s growing to 5 s). Between a start and topics_stop's `stopped` at most one look
 * is under way. */
#include "kafka/kafka_topics.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    TOPICS_MAGIC = 0x70b1c5,
    METADATA_TIMEOUT_MS = 2000,
    CREATE_TIMEOUT_MS =
        5000, /* bounds topics_stop too; what takes longer is found by a later look */
    RETRY_MS = 500,
    RETRY_MAX_MS = 5000,
    ERRSTR_BYTES = 512,
    NAME_BYTES_SHOWN = 60,
};

static bool is_of_a_name(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

int topics_check_name(struct mr_slice name, struct mr_error *err)
{
    bool is_right = name.len > 0 && name.len <= TOPICS_NAME_BYTES_MAX &&
                    !mr_slice_is(name, MR_SLICE(".")) && !mr_slice_is(name, MR_SLICE(".."));
    for (size_t i = 0; i < name.len; i++) {
        is_right = is_right && is_of_a_name(name.ptr[i]);
    }
    if (is_right) {
        return 0;
    }
    return mr_error_set(err, MR_ECONFIG,
                        "expected the name of a topic, 1 to %d of a-z, A-Z, 0-9, '.', '_' and '-', "
                        "other than '.' and '..'; got '%.*s'%s",
                        TOPICS_NAME_BYTES_MAX,
                        (int)(name.len < NAME_BYTES_SHOWN ? name.len : NAME_BYTES_SHOWN),
                        name.len == 0 ? "" : name.ptr, name.len > NAME_BYTES_SHOWN ? "..." : "");
}

struct topics {
    unsigned magic;
    rd_kafka_t *rk;
    char *names[TOPICS_NAMES_MAX];
    bool create;
    int partitions;
    int replication;
    uv_timer_t timer;
    uv_work_t work;
    bool working;
    bool stopping;
    bool told; /* on_state has been called: `state` is what it was told */
    uint64_t pause_ms;
    struct mr_error state;
    struct mr_error found; /* written by the pool's thread while `working` */
    void (*on_state)(void *user, const struct mr_error *missing);
    void *user;
    void (*stopped)(void *user);
    void *stopped_user;
};

static int unreachable(struct mr_error *err, rd_kafka_resp_err_t error)
{
    (void)mr_error_set(err, MR_ENET, "%s", rd_kafka_err2str(error));
    return mr_error_retriable(err);
}

static bool is_listed(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, name) == 0) {
            return metadata->topics[i].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        }
    }
    return false;
}

/* Which names are missing. Listing everything is the one request that can't make a topic come into
 * being. Errors: MR_ENET. */
static int list_missing(struct topics *topics, const char *ret_missing[TOPICS_NAMES_MAX],
                        size_t *ret_count, struct mr_error *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(topics->rk, 1, NULL, &metadata, METADATA_TIMEOUT_MS);
    size_t count = 0;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return unreachable(err, error);
    }
    for (size_t i = 0; i < TOPICS_NAMES_MAX && topics->names[i] != NULL; i++) {
        if (!is_listed(metadata, topics->names[i])) {
            ret_missing[count++] = topics->names[i];
        }
    }
    rd_kafka_metadata_destroy(metadata);
    *ret_count = count;
    return 0;
}

/* The embedded broker knows no CreateTopics, which would wait for a controller in vain. */
static bool is_embedded_broker(rd_kafka_t *rk)
{
    char *id = rd_kafka_clusterid(rk, METADATA_TIMEOUT_MS);
    bool embedded = id != NULL && strncmp(id, "mockCluster", strlen("mockCluster")) == 0;
    if (id != NULL) {
        rd_kafka_mem_free(rk, id);
    }
    return embedded;
}

/* The embedded broker makes a topic when someone asks for it by name. Our instances must not ask so
 * (a real broker would make it with its own partition count), hence a short-lived one. */
static int create_by_asking(struct topics *topics, const char *name, struct mr_error *err)
{
    char errstr[ERRSTR_BYTES];
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error;
    rd_kafka_topic_t *rkt;
    rd_kafka_t *rk;
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(topics->rk));
    (void)rd_kafka_conf_set(conf, "allow.auto.create.topics", "true", errstr, sizeof errstr);
    (void)rd_kafka_conf_set(conf, "enable.idempotence", "false", errstr, sizeof errstr);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof errstr);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return mr_error_set(err, MR_EKAFKA, "%s", errstr);
    }
    rkt = rd_kafka_topic_new(rk, name, NULL);
    error = rkt == NULL ? rd_kafka_last_error()
                        : rd_kafka_metadata(rk, 0, rkt, &metadata, METADATA_TIMEOUT_MS);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
    if (rkt != NULL) {
        rd_kafka_topic_destroy(rkt);
    }
    rd_kafka_destroy(rk);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : unreachable(err, error);
}

/* The first topic that was refused decides. */
static int read_results(rd_kafka_event_t *event, struct mr_error *err)
{
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    size_t count = 0;
    const rd_kafka_topic_result_t **rows;
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR || result == NULL) {
        return mr_error_set(err, MR_EKAFKA, "create topics: %s",
                            rd_kafka_event_error_string(event));
    }
    rows = rd_kafka_CreateTopics_result_topics(result, &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(rows[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR &&
            error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
            const char *text = rd_kafka_topic_result_error_string(rows[i]);
            return mr_error_set(err, MR_EKAFKA, "create topic '%s': %s",
                                rd_kafka_topic_result_name(rows[i]),
                                text != NULL ? text : rd_kafka_err2str(error));
        }
    }
    return 0;
}

static int request_creation(struct topics *topics, rd_kafka_NewTopic_t **new_topics, size_t count,
                            struct mr_error *err)
{
    char errstr[ERRSTR_BYTES];
    int rc;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(topics->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(topics->rk);
    rd_kafka_event_t *event;
    (void)rd_kafka_AdminOptions_set_request_timeout(options, CREATE_TIMEOUT_MS, errstr,
                                                    sizeof errstr);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, CREATE_TIMEOUT_MS / 2, errstr,
                                                      sizeof errstr);
    rd_kafka_CreateTopics(topics->rk, new_topics, count, options, queue);
    event = rd_kafka_queue_poll(queue, CREATE_TIMEOUT_MS + RETRY_MS);
    rc = event == NULL ? unreachable(err, RD_KAFKA_RESP_ERR__TIMED_OUT) : read_results(event, err);
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return rc;
}

static int create(struct topics *topics, const char *const *names, size_t count,
                  struct mr_error *err)
{
    char errstr[ERRSTR_BYTES];
    rd_kafka_NewTopic_t *new_topics[TOPICS_NAMES_MAX];
    size_t made = 0;
    int rc = 0;
    if (is_embedded_broker(topics->rk)) {
        for (size_t i = 0; i < count && rc == 0; i++) {
            rc = create_by_asking(topics, names[i], err);
        }
        return rc;
    }
    for (; made < count && rc == 0; made++) {
        new_topics[made] = rd_kafka_NewTopic_new(
            names[made], topics->partitions == 0 ? -1 : topics->partitions,
            topics->replication == 0 ? -1 : topics->replication, errstr, sizeof errstr);
        if (new_topics[made] == NULL) {
            rc = mr_error_set(err, MR_EKAFKA, "create topic '%s': %s", names[made], errstr);
            break;
        }
    }
    if (rc == 0) {
        rc = request_creation(topics, new_topics, count, err);
    }
    rd_kafka_NewTopic_destroy_array(new_topics, made);
    return rc;
}

static int look(struct topics *topics, struct mr_error *err)
{
    const char *missing[TOPICS_NAMES_MAX];
    size_t count = 0;
    int rc = list_missing(topics, missing, &count, err);
    if (rc != 0 || count == 0) {
        return rc;
    }
    if (!topics->create) {
        return mr_error_set(err, MR_EKAFKA, "'%s' is missing, and topic.create is false",
                            missing[0]);
    }
    rc = create(topics, missing, count, err);
    if (rc == 0) {
        rc = list_missing(topics, missing, &count, err);
    }
    if (rc == 0 && count > 0) {
        return mr_error_set(err, MR_EKAFKA, "'%s' is created, but not to be seen yet", missing[0]);
    }
    return rc;
}

static void work(uv_work_t *request)
{
    struct topics *topics;
    MAGIC_CAST(topics, request->data, TOPICS_MAGIC);
    memset(&topics->found, 0, sizeof topics->found);
    (void)look(topics, &topics->found);
}

static void on_closed(uv_handle_t *handle)
{
    struct topics *topics;
    void (*stopped)(void *user);
    void *user;
    MAGIC_CAST(topics, handle->data, TOPICS_MAGIC);
    stopped = topics->stopped;
    user = topics->stopped_user;
    topics->magic = 0;
    for (size_t i = 0; i < TOPICS_NAMES_MAX; i++) {
        mem_free(topics->names[i]);
    }
    mem_free(topics);
    if (stopped != NULL) {
        stopped(user);
    }
}

static void begin(uv_timer_t *timer);

static void tell(struct topics *topics)
{
    bool news = !topics->told || topics->state.code != topics->found.code ||
                strcmp(topics->state.text, topics->found.text) != 0;
    topics->told = true;
    topics->state = topics->found;
    if (news) {
        topics->on_state(topics->user, topics->state.code == MR_OK ? NULL : &topics->state);
    }
}

static void after_work(uv_work_t *request, int status)
{
    struct topics *topics;
    MAGIC_CAST(topics, request->data, TOPICS_MAGIC);
    (void)status; /* never cancelled */
    if (!topics->stopping) {
        tell(topics); /* may call topics_stop, which leaves the end to us while `working` */
    }
    topics->working = false;
    if (topics->stopping) {
        uv_close((uv_handle_t *)&topics->timer, on_closed);
        return;
    }
    if (topics->found.code == MR_OK) {
        return;
    }
    (void)uv_timer_start(&topics->timer, begin, topics->pause_ms, 0);
    if (topics->found.code != MR_ENET) {
        topics->pause_ms =
            topics->pause_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : topics->pause_ms * 2;
    } else {
        topics->pause_ms = RETRY_MS; /* Kafka is away: be there when it is back */
    }
}

static void begin(uv_timer_t *timer)
{
    struct topics *topics;
    MAGIC_CAST(topics, timer->data, TOPICS_MAGIC);
    topics->working = true;
    (void)uv_queue_work(timer->loop, &topics->work, work, after_work);
}

int topics_ensure(uv_loop_t *loop, rd_kafka_t *rk, const struct topics_spec *spec,
                  void (*on_state)(void *user, const struct mr_error *missing), void *user,
                  struct topics **ret_topics, struct mr_error *err)
{
    struct topics *topics = mem_zalloc(sizeof *topics);
    if (topics == NULL) {
        return mr_error_set(err, MR_ENOMEM, "topics");
    }
    topics->magic = TOPICS_MAGIC;
    for (size_t i = 0; i < TOPICS_NAMES_MAX && spec->names[i] != NULL; i++) {
        topics->names[i] = mem_strdup(spec->names[i]);
        if (topics->names[i] == NULL) {
            for (size_t j = 0; j < i; j++) {
                mem_free(topics->names[j]);
            }
            mem_free(topics);
            return mr_error_set(err, MR_ENOMEM, "topics");
        }
    }
    topics->rk = rk;
    topics->create = spec->create;
    topics->partitions = spec->partitions;
    topics->replication = spec->replication;
    topics->on_state = on_state;
    topics->user = user;
    topics->pause_ms = RETRY_MS;
    topics->work.data = topics;
    topics->timer.data = topics;
    (void)uv_timer_init(loop, &topics->timer);
    (void)uv_timer_start(&topics->timer, begin, 0, 0);
    *ret_topics = topics;
    return 0;
}

void topics_stop(struct topics *topics, void (*stopped)(void *user), void *user)
{
    MAGIC_CHECK(topics, TOPICS_MAGIC);
    topics->stopping = true;
    topics->stopped = stopped;
    topics->stopped_user = user;
    if (!topics->working && !uv_is_closing((uv_handle_t *)&topics->timer)) {
        uv_close((uv_handle_t *)&topics->timer, on_closed);
    }
}

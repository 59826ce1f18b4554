// SPDX-License-Identifier: Apache-2.0
/* What readiness is told of Kafka. Happy path: the topic is looked for (kafka_topics.c, which also
 * creates it) -> it is there -> a probe asks again and again how Kafka and the topic are. What can
 * go wrong: Kafka is away (whoever asks goes on asking); the topic is deleted (the probe stops, and
 * it is looked for as at the start); the instance is replaced (what it was used for ends first);
 * Kafka answers, but stores nothing (what becomes of the sends is watched too). */
#include <assert.h>

#include "kafka/producer_internal.h"
#include "kit/magic.h"
#include "kit/mem.h"

static void tell_kafka_answers(struct mr_producer *producer)
{
    producer->is_failing = store_health_is_failing(&producer->health, uv_now(producer->home));
    readiness_set(producer->spec.readiness, "kafka", !producer->is_failing,
                  "%s: answers, but no event is stored: %s", producer->bootstrap,
                  rd_kafka_err2str((rd_kafka_resp_err_t)producer->health.error));
}

/* While Kafka or the topic is known to be away, failures are no news, and make nobody wait when it
 * is back. */
static void set_probed_well(struct mr_producer *producer, bool well)
{
    producer->is_probed_well = well;
    if (!well) {
        producer->health = (struct store_health){0};
    }
}

/* By its size, which is the event's own fault. */
static bool is_over_a_size(int error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static bool is_of_a_missing_topic(int error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

void watch_settled(struct mr_producer *producer, const struct mr_send *send)
{
    if (producer->also_topics[0] != NULL && send->kind != MR_STORED &&
        is_of_a_missing_topic(send->error)) {
        producer->misses_topic = true;
    }
    if (send->kind == MR_STORED || send->error == SEND_INFERRED) {
        store_health_stored(&producer->health);
    } else if (send->kind != MR_REJECTED && producer->is_probed_well && !producer->abandoned &&
               !producer->closing && !is_over_a_size(send->error)) {
        store_health_failed(&producer->health, uv_now(producer->home), send->error);
    }
}

/* For all topics, once the probe has stopped. */
static void look_again(struct mr_producer *producer)
{
    producer->topic_found = false;
    producer_stop_probe(producer);
}

void watch_tell(struct mr_producer *producer)
{
    bool failing = store_health_is_failing(&producer->health, uv_now(producer->home));
    if (producer->misses_topic) {
        producer->misses_topic = false;
        look_again(producer);
    }
    if (producer->is_probed_well && failing != producer->is_failing) {
        tell_kafka_answers(producer);
    }
}

static void on_topics_stopped(void *user)
{
    struct mr_producer *producer;
    MAGIC_CAST(producer, user, PRODUCER_MAGIC);
    producer->topics_user->users--;
    producer->topics_user = NULL;
    producer->topics = NULL;
    producer->topics_stopping = false;
    producer_watch(producer);
}

void producer_stop_topics(struct mr_producer *producer)
{
    if (producer->topics != NULL && !producer->topics_stopping) {
        producer->topics_stopping = true;
        topics_stop(producer->topics, on_topics_stopped, producer);
    }
}

static void on_topics(void *user, const struct mr_error *missing)
{
    struct mr_producer *producer;
    struct readiness *readiness;
    bool away = missing != NULL && missing->code == MR_ENET;
    MAGIC_CAST(producer, user, PRODUCER_MAGIC);
    readiness = producer->spec.readiness;
    set_probed_well(producer, missing == NULL);
    if (away) {
        readiness_set(readiness, "kafka", false, "%s: %s", producer->bootstrap, missing->text);
        return;
    }
    tell_kafka_answers(producer);
    if (missing == NULL) {
        producer->topic_found = true;
        readiness_set(readiness, "topic", true, "there");
        producer_stop_topics(producer);
    } else {
        readiness_set(readiness, "topic", false, "%s", missing->text);
    }
}

static void on_probe_stopped(void *user)
{
    struct mr_producer *producer;
    MAGIC_CAST(producer, user, PRODUCER_MAGIC);
    if (producer->probe_user != NULL) {
        producer->probe_user->users--;
        producer->probe_user = NULL;
    }
    producer->probe = NULL;
    producer_watch(producer);
}

void producer_stop_probe(struct mr_producer *producer)
{
    if (producer->probe != NULL) {
        probe_stop(producer->probe, on_probe_stopped, producer);
    }
}

static bool probe_target(void *user, rd_kafka_t **ret_rk, rd_kafka_topic_t **ret_rkt)
{
    struct mr_producer *producer;
    struct instance *instance;
    MAGIC_CAST(producer, user, PRODUCER_MAGIC);
    instance = producer_current(producer);
    if (instance == NULL) {
        return false;
    }
    instance->users++;
    producer->probe_user = instance;
    *ret_rk = instance->rk;
    *ret_rkt = instance->rkt;
    return true;
}

static void on_probe(void *user, const struct probe_result *result)
{
    struct mr_producer *producer;
    struct readiness *readiness;
    const char *topic;
    MAGIC_CAST(producer, user, PRODUCER_MAGIC);
    producer->probe_user->users--;
    producer->probe_user = NULL;
    readiness = producer->spec.readiness;
    topic = producer->spec.options->topic;
    set_probed_well(producer, result->error == 0 && result->topic_error == 0 &&
                                  result->leaderless < result->partitions);
    if (result->error != 0) { /* of the topic nothing new is known */
        readiness_set(readiness, "kafka", false, "%s: %s", producer->bootstrap,
                      rd_kafka_err2str(result->error));
        return;
    }
    tell_kafka_answers(producer);
    if (result->topic_error != 0) {
        readiness_set(readiness, "topic", false, "'%s': %s", topic,
                      rd_kafka_err2str(result->topic_error));
        if (result->topic_error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            look_again(producer);
        }
    } else {
        readiness_set(readiness, "topic",
                      result->partitions > 0 && result->leaderless < result->partitions,
                      "'%s': none of its %d partitions has a leader", topic, result->partitions);
    }
}

int producer_also_topics(struct mr_producer *producer, const char *const *names,
                         struct mr_error *err)
{
    MAGIC_CHECK(producer, PRODUCER_MAGIC);
    for (size_t i = 0; names[i] != NULL; i++) {
        assert(i + 2 < TOPICS_NAMES_MAX && producer->also_topics[i] == NULL);
        producer->also_topics[i] = mem_strdup(names[i]);
        if (producer->also_topics[i] == NULL) {
            return mr_error_set(err, MR_ENOMEM, "topics");
        }
    }
    look_again(producer);
    producer_stop_topics(producer); /* it looks for the one that it was told of */
    return 0;
}

/* Start what is to go on next. Out of memory: the tick tries again. */
void producer_watch(struct mr_producer *producer)
{
    const struct mr_producer_options *options = producer->spec.options;
    struct instance *instance = producer_current(producer);
    struct topics_spec topics = {
        .names = {options->topic},
        .create = options->topic_create,
        .partitions = (int)options->topic_partitions,
        .replication = (int)options->topic_replication,
    };
    const struct probe_spec probe = {probe_target, on_probe, producer};
    if (producer->closing || instance == NULL || producer->topics != NULL ||
        producer->probe != NULL) {
        return;
    }
    for (size_t i = 0; producer->also_topics[i] != NULL; i++) {
        topics.names[i + 1] = producer->also_topics[i];
    }
    if (producer->topic_found) {
        (void)probe_start(producer->home, &probe, &producer->probe, NULL);
    } else if (topics_ensure(producer->home, instance->rk, &topics, on_topics, producer,
                             &producer->topics, NULL) == 0) {
        producer->topics_user = instance;
        instance->users++;
    }
}

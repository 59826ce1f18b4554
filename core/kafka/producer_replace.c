// SPDX-License-Identifier: Apache-2.0
/* Happy path: none; a producer that works is never replaced. What can go wrong: librdkafka raises a
 * fatal error. Then the instance is retired: what it held is given up (queued = MR_BUSY, in flight
 * = MR_UNKNOWN), and a new one takes its place at once, but at most once in REPLACE_PAUSE_MS, since
 * a cluster that forbids idempotence makes every one of them fail. A retired instance is destroyed
 * when nothing uses it any more and all its reports are read. */
#include <millrace/log.h>

#include "kafka/producer_internal.h"

enum { REPLACE_PAUSE_MS = 1000 };

void replace_retire(struct mr_producer *producer)
{
    struct instance *instance = producer_current(producer);
    if (instance == NULL) {
        return;
    }
    atomic_store(&producer->current, NULL);
    instance->next = producer->retired;
    producer->retired = instance;
    if (producer->topics_user == instance) {
        producer_stop_topics(producer);
    }
    instance_purge(instance);
}

static void succeed(struct mr_producer *producer)
{
    struct instance *instance;
    struct mr_error err = {0};
    producer->not_before_ms = uv_now(producer->home) + REPLACE_PAUSE_MS;
    if (instance_new(producer, &instance, &err) != 0) {
        mr_log_limited(MR_LOG_ERROR, 10000, "no new Kafka producer", MR_STR("error", err.text));
        return;
    }
    atomic_store(&producer->current, instance);
    producer_watch(producer);
}

void replace_if_broken(struct mr_producer *producer)
{
    char reason[256];
    struct instance *instance = producer_current(producer);
    if (producer->closing) {
        return;
    }
    if (instance != NULL) {
        rd_kafka_resp_err_t error = rd_kafka_fatal_error(instance->rk, reason, sizeof reason);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return;
        }
        mr_count(producer->fatal_errors, 1);
        mr_log(MR_LOG_ERROR, "fatal error of the Kafka producer, which is made anew",
               MR_STR("error", rd_kafka_err2name(error)), MR_STR("text", reason));
        replace_retire(producer);
    }
    if (!producer->abandoned && uv_now(producer->home) >= producer->not_before_ms) {
        succeed(producer);
    }
}

void replace_destroy_spent(struct mr_producer *producer)
{
    struct instance **link = &producer->retired;
    while (*link != NULL) {
        struct instance *instance = *link;
        if (instance_is_spent(instance)) {
            *link = instance->next;
            producer->destroying++;
            instance_destroy(instance);
        } else {
            instance_purge(instance); /* a port that was late may have put something in */
            link = &instance->next;
        }
    }
}

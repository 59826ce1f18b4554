// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_PROBE_H
#define KAFKA_KAFKA_PROBE_H

/* Asks Kafka again and again how it is: a metadata request of one topic, in libuv's thread pool
 * (librdkafka's call blocks), every 2 s when all was well, 0.5 s after the last answer when not;
 * never two at once. */

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <uv.h>

#include <millrace/error.h>

struct probe;

struct probe_result {
    rd_kafka_resp_err_t error;       /* Kafka didn't answer */
    rd_kafka_resp_err_t topic_error; /* what it said of the topic */
    int partitions;
    int leaderless; /* of the partitions */
};

struct probe_spec {
    /* The instance and topic to ask with, which must stay alive until `on_result` or `stopped`;
     * false: not now. */
    bool (*target)(void *user, rd_kafka_t **ret_rk, rd_kafka_topic_t **ret_rkt);
    void (*on_result)(void *user, const struct probe_result *result);
    void *user;
};

/* Errors: MR_ENOMEM. */
int probe_start(uv_loop_t *loop, const struct probe_spec *spec, struct probe **ret_probe,
                struct mr_error *err);

/* No further on_result; `stopped` is called on the loop once no call is under way and the memory is
 * gone. */
void probe_stop(struct probe *probe, void (*stopped)(void *user), void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_TOPICS_H
#define KAFKA_KAFKA_TOPICS_H

/* Topics at start, and once they have gone: look, create if missing and allowed. Asynchronous:
 * librdkafka's blocking calls run in libuv's thread pool. Tried again until it succeeds or is
 * stopped: every 0.5 s while Kafka is away, otherwise after 0.5 s, growing to 5 s. */

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum { TOPICS_NAMES_MAX = 32, TOPICS_NAME_BYTES_MAX = 249 /* Kafka's */ };

/* Kafka's rule for a topic's name. Errors: MR_ECONFIG, the text says the rule. */
int topics_check_name(struct mr_slice name, struct mr_error *err);

struct topics_spec {
    const char *names[TOPICS_NAMES_MAX]; /* NULL behind the last; copied */
    bool create;
    int partitions;  /* 0: the broker's default */
    int replication; /* 0: the broker's default */
};

struct topics;

/* `on_state` is called on the loop: with NULL when all topics are there, otherwise with the reason
 * why they aren't yet (a topic is missing and topic.create is false; Kafka can't be reached; not
 * authorised...), each time that it changes. `rk` must stay alive until topics_stop has called
 * back. A broker without CreateTopics (the embedded one) makes the topic on a metadata request
 * instead. Errors: MR_ENOMEM. */
int topics_ensure(uv_loop_t *loop, rd_kafka_t *rk, const struct topics_spec *spec,
                  void (*on_state)(void *user, const struct mr_error *missing), void *user,
                  struct topics **ret_topics, struct mr_error *err);

/* Stop trying; `stopped` is called on the loop once no call is under way and the memory is gone. */
void topics_stop(struct topics *topics, void (*stopped)(void *user), void *user);

#endif

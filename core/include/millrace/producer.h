// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_PRODUCER_H
#define MILLRACE_PRODUCER_H

/* The way into Kafka: one idempotent librdkafka producer a process (acks=all), shared by all loops.
 * Every send is settled exactly once, with what is surely known about the event. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/event.h>
#include <millrace/macros.h>
#include <millrace/options.h>

enum mr_outcome_kind {
    MR_STORED,   /* acknowledged by Kafka */
    MR_REJECTED, /* can never be stored as it is (too large, not an event) */
    MR_BUSY,     /* surely not stored; the same event may be sent again after `retry_after_ms` */
    MR_UNKNOWN,  /* may be stored; sending again with the same id may store it twice */
};

struct mr_outcome {
    enum mr_outcome_kind kind;
    const char *reason; /* for people; "" when stored; valid during the callback */
    bool too_large; /* MR_REJECTED: it is over a limit of size; MR_BUSY: Kafka refused its request
                       for the size of one of the events in it */
    int64_t retry_after_ms; /* MR_BUSY */
    int32_t partition;      /* MR_STORED */
    int64_t offset;         /* MR_STORED */
};

struct mr_producer;
struct mr_port; /* a loop's access to the producer */
struct mr_send;

/* Called once for each send, always on the port's loop, never from inside mr_send. */
typedef void (*mr_settled_cb)(struct mr_send *send, const struct mr_outcome *outcome);

/* One event on its way. The caller embeds it in an object of its own and keeps that until the
 * callback has been called; nothing is allocated for it. */
struct mr_send {
    mr_settled_cb on_settled; /* set by the caller */
    /* private: */
    unsigned magic;
    struct mr_port *port;
    struct mr_send *next;
    char *text; /* of a refusal that no code describes; owned; NULL: `error` tells */
    int64_t offset;
    int32_t partition;
    int error;    /* rd_kafka_resp_err_t, or of our own making */
    int kind;     /* enum mr_outcome_kind */
    size_t bytes; /* counted against queue.bytes.max */
};

/* What a program wants of librdkafka otherwise than the others do; the user's settings win. */
struct mr_kafka_default {
    const char *key; /* "message.timeout.ms" */
    const char *value;
};

/* The options a program needs for a producer; table mr_producer_options. */
struct mr_producer_options {
    char *topic;               /* topic */
    bool topic_create;         /* topic.create */
    int64_t topic_partitions;  /* topic.partitions; 0: the broker's default */
    int64_t topic_replication; /* topic.replication; 0: the broker's default */
    int encoding;              /* encoding = avro|binary */
    int64_t queue_events_max;  /* queue.events.max */
    int64_t queue_bytes_max;   /* queue.bytes.max */
};
MR_API extern const struct mr_option mr_producer_options[];

/* Send `event` to the producer's topic. The event is copied: it may be freed or changed at once.
 * Never fails and never calls back before it returns: a full queue is MR_BUSY, an unfit event
 * MR_REJECTED, both through the callback. A missing `partitionkey` is not added. */
MR_API void mr_send(struct mr_port *port, struct mr_send *send, const struct mr_event *event);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_PRODUCER_INTERNAL_H
#define KAFKA_PRODUCER_INTERNAL_H

/* What the producer's files share.
 *     producer.c             life cycle
 *     producer_watch.c       readiness: the topic, the probe, whether anything is stored
 *     producer_replace.c     a broken instance and its successor
 *     producer_instance.c    one librdkafka instance: made, woken, retired, destroyed
 *     producer_port.c        a loop's access: mr_send, and settling on that loop
 *     producer_deliveries.c  from delivery reports to outcomes, in chains, to the ports
 *
 * An instance may break (a fatal error) while other threads are sending with it. No lock guards it:
 * a port notes in `using` what it is about to use and looks again whether that is still current (a
 * hazard pointer); the home loop first changes `current` and destroys the old instance only when no
 * port uses it and all that it held is settled. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <librdkafka/rdkafka.h>
#include <millrace/metrics.h>

#include "kafka/kafka_probe.h"
#include "kafka/kafka_topics.h"
#include "kafka/producer.h"
#include "kafka/store_health.h"

enum {
    PRODUCER_MAGIC = 0x9a0d0ce,
    PORT_MAGIC = 0x9047ab1e,
    SEND_MAGIC = 0x5e2d001,
    INSTANCE_MAGIC = 0x1257a9ce,
    BUSY_RETRY_MS = 1000,
    OUTCOMES = 4, /* enum mr_outcome_kind */
};

/* mr_send.error of our own making; librdkafka's codes are above -200. */
enum send_error {
    SEND_QUEUE_EVENTS = -1000,
    SEND_QUEUE_BYTES = -1001,
    SEND_CLOSING = -1002,
    SEND_NO_INSTANCE = -1003,
    SEND_NO_MEMORY = -1004,
    SEND_INFERRED = -1005,
    SEND_OVER_TOPIC = -1006, /* larger than the topic's max.message.bytes */
};

struct instance {
    unsigned magic;
    struct mr_producer *producer;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt; /* options.topic */
    rd_kafka_queue_t *queue;
    int wake_fd;
    uv_poll_t wake;
    unsigned users; /* calls of the thread pool that use it (probe, topics) */
    bool fatal;     /* it has said so: to be replaced */
    uv_work_t destroy;
    struct instance *next; /* in producer->retired */
};

struct mr_port {
    unsigned magic;
    struct mr_producer *producer;
    bool is_home;
    uv_async_t wake;
    struct kafka_writer writer;
    size_t pending;        /* sends not settled yet */
    struct mr_send *local; /* settled by mr_send itself, oldest first */
    struct mr_send *local_last;
    _Atomic(struct instance *) using;    /* the hazard pointer */
    _Atomic(struct mr_send *) delivered; /* from the home loop, newest first */
    /* the home loop's: */
    struct mr_send *chain_newest; /* of the present drain */
    struct mr_send *chain_oldest;
    struct mr_port *next_touched; /* ports with a chain */
    /* under producer->ports_mutex: */
    struct mr_port *next;
    struct mr_port **link; /* what points to this port */
    /* closing */
    void (*closed)(void *user);
    void *closed_user;
};

struct mr_producer {
    unsigned magic;
    uv_loop_t *home;
    struct producer_spec spec;
    _Atomic(struct instance *) current; /* NULL: broken, and no new one could be made yet */
    atomic_bool refusing;               /* abandoned or closing: every send is MR_BUSY */
    atomic_size_t events;               /* held by librdkafka */
    atomic_size_t bytes;
    size_t message_bytes_max;
    uv_mutex_t ports_mutex; /* opening, closing, waking: never an mr_send */
    struct mr_port *ports;
    /* the home loop's: */
    struct instance *retired;
    struct mr_port *touched;
    uv_timer_t tick;
    uv_idle_t more;         /* runs while a drain has left something */
    uint64_t not_before_ms; /* uv_now: no new instance before that */
    bool abandoned;
    bool closing;
    char bootstrap[256];          /* for reasons */
    struct topics *topics;        /* looking for the topic; NULL: found, or not now */
    struct instance *topics_user; /* what it works with */
    bool topics_stopping;
    bool topic_found;
    char *also_topics[TOPICS_NAMES_MAX]; /* ends with NULL */
    bool misses_topic;                   /* a send has found that one of them has gone */
    struct probe *probe;
    struct instance *probe_user;
    bool is_probed_well; /* Kafka answers, and the topic has a leader: failures are news */
    bool is_failing;     /* as it was told to readiness */
    struct store_health health;
    unsigned destroying; /* instances in the thread pool */
    unsigned handles;    /* of ours that are open */
    void (*closed)(void *user);
    void *closed_user;
    struct mr_series *outcomes[OUTCOMES];
    struct mr_series *queue_events;
    struct mr_series *queue_bytes;
    struct mr_series *fatal_errors;
    struct mr_series *delivery_seconds;
};

/* producer_instance.c */

/* Make an instance and watch its queue. Errors: MR_ECONFIG, MR_EKAFKA, MR_ENOMEM, MR_EIO. */
int instance_new(struct mr_producer *producer, struct instance **ret_instance,
                 struct mr_error *err);

/* Everything that it holds and that can be given up, given up; reports follow through the queue. */
void instance_purge(struct instance *instance);

/* Read events; `*left` messages at most (an event more). Returns true if the queue was emptied. */
bool instance_drain(struct instance *instance, size_t *left);

/* Nothing uses it, and all reports are read. */
bool instance_is_spent(struct instance *instance);

/* Stop watching, destroy in the thread pool, free, then producer_instance_gone. */
void instance_destroy(struct instance *instance);

/* producer.c: readable queue, and the end of an instance. */
void producer_drain(struct mr_producer *producer);
void producer_instance_gone(struct mr_producer *producer);

/* producer_watch.c */

/* What became of a send that librdkafka had, and then, once for all of them: what readiness is told
 * of it. */
void watch_settled(struct mr_producer *producer, const struct mr_send *send);
void watch_tell(struct mr_producer *producer);

/* Look for the topic, or probe: what readiness needs now. */
void producer_watch(struct mr_producer *producer);
void producer_stop_topics(struct mr_producer *producer);
void producer_stop_probe(struct mr_producer *producer);

static inline struct instance *producer_current(struct mr_producer *producer)
{
    return atomic_load(&producer->current);
}

/* producer_replace.c */

/* Give up what the current instance holds, and have none. */
void replace_retire(struct mr_producer *producer);

/* Make a new instance if the current one has failed for good, or there is none. */
void replace_if_broken(struct mr_producer *producer);

/* Destroy the retired instances that nothing needs any more. */
void replace_destroy_spent(struct mr_producer *producer);

/* producer_deliveries.c */

/* Put the outcome of a delivered or failed message into its send, and that into its port's chain.
 * `is_alone`: its report holds no other message. */
void deliveries_add(struct mr_producer *producer, const rd_kafka_message_t *message, bool is_alone,
                    uint64_t counts[OUTCOMES]);

/* Hand all chains over, with one wake-up a port; those of the home loop are settled at once. */
void deliveries_hand_over(struct mr_producer *producer);

/* producer_port.c */

/* Settle what was handed over or refused. The port's loop. */
void port_settle_all(struct mr_port *port);

#endif

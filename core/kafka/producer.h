// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_PRODUCER_H
#define KAFKA_PRODUCER_H

/* Life cycle of the producer and its ports, and sending to other topics and of ready-made records
 * (dead letters). The producer belongs to the loop it was made with, the "home loop": delivery
 * reports are drained there and handed to each port in one chain with one wake-up. */

#include <millrace/producer.h>

#include "base/readiness.h"
#include "event/kafka_binding.h"
#include "kafka/kafka_conf.h"

struct producer_spec {
    const struct kafka_conf *conf;             /* borrowed for the producer's life */
    const struct mr_producer_options *options; /* borrowed for the producer's life */
    const char *program;                       /* client.id's default */
    struct readiness *readiness; /* home loop; condition "kafka" and "topic"; may be NULL */
};

/* Start. Connecting, looking for the topic (and creating it) and probing go on in the background;
 * `readiness` says when. Errors: MR_ECONFIG (librdkafka refuses a setting), MR_ENOMEM, MR_EKAFKA,
 * MR_EIO (no descriptor). */
int producer_new(uv_loop_t *home, const struct producer_spec *spec,
                 struct mr_producer **ret_producer, struct mr_error *err);

/* Topics that are to be there besides the producer's own: made as that one is, and the condition
 * "topic" doesn't hold before. When sends to one of them find that it isn't there any more, it is
 * made again. `names`, at most TOPICS_NAMES_MAX - 2, end with NULL and are copied. Once, on the
 * home loop. Errors: MR_ENOMEM. */
int producer_also_topics(struct mr_producer *producer, const char *const *names,
                         struct mr_error *err);

/* What producer_new would refuse, without starting one; the options are of the program's own
 * section. `spec->conf` NULL: its settings are wrong one by one, and that has been said. */
void producer_check(const struct producer_spec *spec, struct mr_check *check);

/* librdkafka's message.max.bytes, as it is configured. */
size_t producer_message_bytes_max(const struct mr_producer *producer);

/* The same before there is a producer: by the settings that `check` was made from. 0: not known, as
 * they are wrong, or memory is short. */
size_t producer_check_message_bytes_max(const struct mr_check *check);

/* Access from `loop` (the home loop or another thread's). Call on the loop's own thread, or before
 * that thread starts. Errors: MR_ENOMEM, MR_EIO. */
int producer_port_open(struct mr_producer *producer, uv_loop_t *loop, struct mr_port **ret_port,
                       struct mr_error *err);

/* Sends of this port that are not settled yet. The port's thread. */
size_t producer_port_pending(const struct mr_port *port);

/* On the port's loop; all its sends must be settled. `closed` is called when the handle is gone. */
void producer_port_close(struct mr_port *port, void (*closed)(void *user), void *user);

/* mr_send to any topic; which, if it isn't the producer's own, must be there: readiness doesn't
 * look for it. */
void producer_send_event(struct mr_port *port, struct mr_send *send, const char *topic,
                         const struct mr_event *event);

/* Send a ready record to any topic, as mr_send otherwise. Key, value and headers are copied. */
void producer_send_record(struct mr_port *port, struct mr_send *send, const char *topic,
                          const struct kafka_record *record);

/* Where a record goes. */
struct producer_place {
    const char *topic;
    int32_t partition;    /* -1: the key tells */
    int64_t timestamp_ms; /* of the record; -1: now */
};

/* As producer_send_record, to this place. */
void producer_send_to(struct mr_port *port, struct mr_send *send,
                      const struct producer_place *place, const struct kafka_record *record);

/* Ports that are open, on all loops. Any thread. */
size_t producer_port_count(struct mr_producer *producer);

/* Settle what is in flight: everything undelivered becomes MR_BUSY (not stored) or MR_UNKNOWN, in
 * milliseconds, and so does every later send. For a drain that has reached its deadline. Home loop.
 */
void producer_abandon(struct mr_producer *producer);

/* Home loop; all ports are closed. `closed` is called when nothing of the producer is left. */
void producer_close(struct mr_producer *producer, void (*closed)(void *user), void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_DELIVERIES_INTERNAL_H
#define MQTT_DELIVERIES_INTERNAL_H

/* What the files of `deliveries` share.
 *     deliveries.c          taking a message, settling it; the beginning and the end
 *     deliveries_send.c     as an event or a dead letter to the producer, and what became of it
 *     deliveries_waiting.c  those that are sent again, and the timer */

#include "bridge/mqtt/dead_message.h"
#include "bridge/mqtt/deliveries.h"
#include "bridge/mqtt/mqtt_event.h"
#include "bridge/mqtt/mqtt_metrics.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    DELIVERIES_MAGIC = 0xde11f3e5,
    DELIVERY_MAGIC = 0xde11f3e7,
    DELIVERY_KEYS = 256, /* of the order; keys with the same number wait for each other */
    DELIVERY_NO_KEY = -1,
    DELIVERY_LOG_MS = 10000, /* between two lines of the same kind */
};

struct delivery {
    unsigned magic;
    struct deliveries *owner;
    struct mr_send send;
    deliveries_settled_cb settled;
    void *user;
    void *item;
    struct mqtt_message message; /* in `memory`, as are the slices */
    struct mr_slice id;          /* of the event; absent: it was none */
    struct mr_slice time;        /* of the event: its copy, made again, has the same */
    const char *kafka_topic;
    const char *reason; /* not NULL: it goes to the dead-letter topic */
    char *text;         /* owned; may be NULL even then */
    int key;            /* 0 to DELIVERY_KEYS - 1, or DELIVERY_NO_KEY */
    unsigned tries;
    bool is_alone;    /* to be sent when the producer has nothing else of ours */
    bool is_rejected; /* even as a dead letter: cut to the least */
    int64_t came_ms;  /* wall clock */
    uint64_t order;   /* in which they were taken */
    uint64_t due_ms;
    uint64_t expires_ms;       /* uv_now; UINT64_MAX: never */
    struct mr_series *outcome; /* of delivery_settle_soon */
    struct delivery *prev;     /* in `waiting` */
    struct delivery *next;     /* in `waiting` or `finished` */
    size_t bytes;
    max_align_t memory[];
};

struct deliveries {
    unsigned magic;
    struct deliveries_spec spec;
    struct mqtt_event_maker *maker;
    struct mr_event *event;
    struct dead_message_writer *writer;
    uv_timer_t timer;
    uint64_t timer_due_ms; /* UINT64_MAX: it isn't running */
    uint64_t taken;
    size_t count;
    size_t bytes;
    size_t sending;
    bool is_alone;            /* what is being sent is to be alone */
    struct delivery *waiting; /* in the order in which they were taken */
    struct delivery *waiting_last;
    size_t waiting_alone;
    unsigned waiting_keys[DELIVERY_KEYS];
    struct delivery *finished; /* to be settled by the timer */
    struct delivery **finished_end;
    bool closing;
    void (*closed)(void *user);
    void *closed_user;
};

/* deliveries.c */

/* It leaves, and its owner is told: the callback may take another message, or close. `_soon`: on a
 * later turn of the loop. */
void delivery_finish(struct delivery *delivery, struct mr_series *outcome);
void delivery_settle_soon(struct delivery *delivery, struct mr_series *outcome);

/* Those of delivery_settle_soon. */
void deliveries_settle_finished(struct deliveries *deliveries);

/* It leaves, and nobody is told. */
void delivery_drop(struct delivery *delivery);

/* The producer has nothing any more, and it is closing. */
void deliveries_end(struct deliveries *deliveries);

/* deliveries_send.c */

/* The event in `deliveries->event`. */
void delivery_send_event(struct delivery *delivery);

/* The copy of the message, as what it is to become. Errors: MR_ENOMEM (not sent). */
int delivery_send(struct delivery *delivery, struct mr_error *err);

/* From now on a dead letter; it isn't waiting. */
void delivery_give_up(struct delivery *delivery, const char *reason, const char *text);

/* mr_send's. */
void delivery_on_settled(struct mr_send *send, const struct mr_outcome *outcome);

/* deliveries_waiting.c */

/* At its place in the order; the timer isn't set. */
void delivery_wait_until(struct delivery *delivery, uint64_t due_ms);
void delivery_take_out(struct delivery *delivery);

/* It was not stored: after a while. `at_once`: on the next turn of the loop. */
void delivery_again(struct delivery *delivery, bool at_once, const char *reason);

/* Nothing that waits has to be sent before it. */
bool delivery_may_be_sent(const struct delivery *delivery);

/* Look at those that wait, at this time at the latest. */
void deliveries_arm(struct deliveries *deliveries, uint64_t due_ms);

#endif

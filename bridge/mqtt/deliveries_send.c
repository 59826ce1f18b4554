// SPDX-License-Identifier: Apache-2.0
/* Happy path: an event -> the producer -> stored -> settled. What can go wrong: it is too large, or
 * no event after all (the message becomes a dead letter); a dead letter is too large for its topic
 * (cut to the least); it isn't stored (deliveries_waiting.c); it was in one request with one that
 * is too large (each is sent alone then). */
#include <stdio.h>

#include <millrace/log.h>

#include "bridge/mqtt/deliveries_internal.h"
#include "bridge/mqtt/kafka_names.h"
#include "kafka/kafka_topics.h"
#include "kafka/producer.h"

enum {
    RECORD_OVERHEAD = 1024, /* of the protocol, around key, value and headers */
    DEAD_TOPIC_BYTES = TOPICS_NAME_BYTES_MAX + (int)sizeof KAFKA_NAMES_DEAD,
};

static size_t letter_bytes_max(const struct delivery *delivery)
{
    size_t bytes = delivery->owner->spec.message_bytes_max;
    if (delivery->is_rejected) {
        return DEAD_BYTES_MIN;
    }
    return bytes > RECORD_OVERHEAD ? bytes - RECORD_OVERHEAD : 0;
}

static int send_letter(struct delivery *delivery, struct mr_error *err)
{
    struct deliveries *deliveries = delivery->owner;
    const struct dead_message dead = {
        .message = &delivery->message,
        .reason = delivery->reason,
        .text = delivery->text,
        .kafka_topic = delivery->kafka_topic,
        .came_ms = delivery->came_ms,
    };
    struct kafka_record record;
    char topic[DEAD_TOPIC_BYTES];
    int rc =
        dead_message_write(&dead, letter_bytes_max(delivery), deliveries->writer, &record, err);
    if (rc == 0) {
        (void)snprintf(topic, sizeof topic, "%s" KAFKA_NAMES_DEAD, delivery->kafka_topic);
        deliveries->sending++;
        producer_send_record(deliveries->spec.port, &delivery->send, topic, &record);
    }
    return rc;
}

void delivery_send_event(struct delivery *delivery)
{
    struct deliveries *deliveries = delivery->owner;
    deliveries->sending++;
    producer_send_event(deliveries->spec.port, &delivery->send, delivery->kafka_topic,
                        deliveries->event);
}

/* A text for which there is no memory is lost, the message isn't. */
void delivery_give_up(struct delivery *delivery, const char *reason, const char *text)
{
    mem_free(delivery->text);
    delivery->text = mem_strdup(text);
    delivery->reason = reason;
    delivery->key = DELIVERY_NO_KEY;
    delivery->tries = 0;
    delivery->is_alone = false;
    mr_log_limited(MR_LOG_WARN, DELIVERY_LOG_MS, "message dead-lettered",
                   MR_SLICE_FIELD("mqtt_topic", delivery->message.topic), MR_STR("code", reason),
                   MR_STR("text", text));
}

/* The same event again: what was made for it the first time is kept. */
static int remake_event(struct delivery *delivery, struct mr_error *err)
{
    struct deliveries *deliveries = delivery->owner;
    struct route_match match;
    int rc;
    (void)routes_find(deliveries->spec.routes, delivery->message.topic, &match); /* as before */
    rc = mqtt_event_make(deliveries->maker, &delivery->message, &match, delivery->id,
                         deliveries->event, err);
    if (rc == 0 && delivery->time.ptr != NULL) {
        rc = mr_event_set(deliveries->event, MR_SLICE("time"), delivery->time, err);
    }
    return rc;
}

int delivery_send(struct delivery *delivery, struct mr_error *err)
{
    struct deliveries *deliveries = delivery->owner;
    int rc = 0;
    if (delivery->reason == NULL) {
        rc = remake_event(delivery, err);
        if (rc == 0) {
            delivery_send_event(delivery);
        } else if (rc != MR_ENOMEM) {
            delivery_give_up(delivery, mqtt_event_reason(deliveries->maker), err->text);
        }
    }
    return delivery->reason == NULL ? rc : send_letter(delivery, err);
}

/* --- what became of it --- */

/* Kafka refuses whole requests: which of its events is the one too large shows only when each is
 * sent by itself. */
static void refused(struct delivery *delivery, const struct mr_outcome *outcome)
{
    bool is_its_own = outcome->kind == MR_REJECTED || (outcome->too_large && delivery->is_alone);
    delivery->is_alone = outcome->too_large && !is_its_own;
    if (!is_its_own) {
        delivery_again(delivery, delivery->is_alone, outcome->reason);
    } else if (delivery->reason != NULL) {
        delivery->is_rejected = true;
        delivery_again(delivery, delivery->is_alone, outcome->reason);
    } else {
        delivery_give_up(delivery,
                         outcome->too_large ? DEAD_MESSAGE_TOO_LARGE : DEAD_MESSAGE_NOT_AN_EVENT,
                         outcome->reason);
        delivery_wait_until(delivery, uv_now(delivery->owner->spec.loop));
        deliveries_arm(delivery->owner, delivery->due_ms);
    }
}

void delivery_on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct delivery *delivery = CONTAINER_OF(send, struct delivery, send);
    struct deliveries *deliveries;
    MAGIC_CHECK(delivery, DELIVERY_MAGIC);
    deliveries = delivery->owner;
    MAGIC_CHECK(deliveries, DELIVERIES_MAGIC);
    deliveries->sending--;
    if (deliveries->closing) {
        delivery_drop(delivery);
        if (deliveries->sending == 0) {
            deliveries_end(deliveries);
        }
        return;
    }
    if (deliveries->waiting_alone > 0 || deliveries->is_alone) {
        deliveries->is_alone = false;
        deliveries_arm(deliveries, uv_now(deliveries->spec.loop));
    }
    if (outcome->kind == MR_STORED) {
        delivery_finish(delivery, delivery->reason == NULL ? deliveries->spec.metrics->stored
                                                           : deliveries->spec.metrics->dead);
    } else {
        refused(delivery, outcome);
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Happy path: deliveries_take makes an event and a copy of the message -> the producer has it ->
 * Kafka has it -> settled. What can go wrong: it is no event (the copy becomes a dead letter, or is
 * dropped); another of its key waits to be sent again (it waits too: deliveries_waiting.c); all is
 * closed meanwhile (what waits is freed, what the producer has when it comes back). */
#include <assert.h>
#include <string.h>

#include "bridge/mqtt/deliveries_internal.h"
#include "bridge/mqtt/message_copy.h"
#include "kit/clock.h"
#include "kit/hash.h"

/* --- settling --- */

static void count(struct delivery *delivery)
{
    struct deliveries *deliveries = delivery->owner;
    deliveries->count++;
    deliveries->bytes += delivery->bytes;
    mr_gauge_add(deliveries->spec.metrics->in_flight, 1);
    mr_gauge_add(deliveries->spec.metrics->in_flight_bytes, (int64_t)delivery->bytes);
}

static void uncount(struct delivery *delivery)
{
    struct deliveries *deliveries = delivery->owner;
    deliveries->count--;
    deliveries->bytes -= delivery->bytes;
    mr_gauge_add(deliveries->spec.metrics->in_flight, -1);
    mr_gauge_add(deliveries->spec.metrics->in_flight_bytes, -(int64_t)delivery->bytes);
}

static void free_delivery(struct delivery *delivery)
{
    delivery->magic = 0;
    mem_free(delivery->text);
    mem_free(delivery);
}

void delivery_drop(struct delivery *delivery)
{
    uncount(delivery);
    free_delivery(delivery);
}

void delivery_finish(struct delivery *delivery, struct mr_series *outcome)
{
    bool is_stored = outcome == delivery->owner->spec.metrics->stored;
    uncount(delivery);
    mr_count(outcome, 1);
    delivery->settled(delivery->user, delivery->item, is_stored ? delivery->id : mr_slice(NULL, 0));
    free_delivery(delivery);
}

void delivery_settle_soon(struct delivery *delivery, struct mr_series *outcome)
{
    struct deliveries *deliveries = delivery->owner;
    delivery->outcome = outcome;
    delivery->next = NULL;
    *deliveries->finished_end = delivery;
    deliveries->finished_end = &delivery->next;
    deliveries_arm(deliveries, uv_now(deliveries->spec.loop));
}

static struct delivery *take_finished(struct deliveries *deliveries)
{
    struct delivery *delivery = deliveries->finished;
    if (delivery != NULL) {
        deliveries->finished = delivery->next;
        if (deliveries->finished == NULL) {
            deliveries->finished_end = &deliveries->finished;
        }
    }
    return delivery;
}

void deliveries_settle_finished(struct deliveries *deliveries)
{
    struct delivery *delivery;
    while ((delivery = take_finished(deliveries)) != NULL) {
        delivery_finish(delivery, delivery->outcome);
    }
}

/* --- taking --- */

/* What a message is to become. */
struct plan {
    const char *kafka_topic;
    const char *reason; /* not NULL: a dead letter */
    bool is_dropped;
    struct mr_error err; /* why */
};

/* The event is in `deliveries->event` then, if it is to be one. Errors: MR_ENOMEM. */
static int make_plan(struct deliveries *deliveries, const struct mqtt_message *message,
                     struct mr_slice id, struct plan *ret_plan)
{
    struct route_match match;
    int rc;
    *ret_plan = (struct plan){0};
    if (!routes_find(deliveries->spec.routes, message->topic, &match)) {
        ret_plan->kafka_topic = routes_kafka_topic(deliveries->spec.routes, 0);
        ret_plan->is_dropped = deliveries->spec.drops_unrouted;
        ret_plan->reason = DEAD_MESSAGE_NO_ROUTE;
        (void)mr_error_set(&ret_plan->err, MR_ENOTEVENT, "no route takes its topic");
        return 0;
    }
    ret_plan->kafka_topic = route_kafka_topic(match.route);
    rc = mqtt_event_make(deliveries->maker, message, &match, id, deliveries->event, &ret_plan->err);
    if (rc != 0 && rc != MR_ENOMEM) {
        ret_plan->reason = mqtt_event_reason(deliveries->maker);
    }
    return rc == MR_ENOMEM ? rc : 0;
}

static uint32_t hash_attribute(uint32_t hash, const struct mr_event *event, const char *name)
{
    return hash_fnv1a(hash, mr_event_string(event, name));
}

/* Equal for events that have the same key in Kafka (kafka_binding_write). */
static int key_of(const struct mr_event *event)
{
    uint32_t hash = HASH_FNV1A_BASIS;
    if (mr_event_string(event, "partitionkey").len > 0) {
        hash = hash_attribute(hash, event, "partitionkey");
    } else if (mr_event_string(event, "application").len > 0 &&
               mr_event_string(event, "device").len > 0) {
        hash = hash_attribute(hash_attribute(hash, event, "application"), event, "device");
    } else {
        hash = hash_attribute(hash, event, "source");
    }
    return (int)((hash ^ hash >> 16) % DELIVERY_KEYS);
}

static struct delivery *make_delivery(struct deliveries *deliveries,
                                      const struct mqtt_message *message, const struct plan *plan)
{
    bool is_event = plan->reason == NULL;
    struct mr_slice id = {NULL, 0};
    struct mr_slice time = {NULL, 0};
    struct delivery *delivery;
    char *at;
    size_t bytes;
    if (is_event) {
        id = mr_event_string(deliveries->event, "id");
        time = mr_event_string(deliveries->event, "time");
    }
    bytes = sizeof *delivery + message_copy_bytes(message) + id.len + time.len;
    delivery = mem_alloc(bytes);
    if (delivery == NULL) {
        return NULL;
    }
    memset(delivery, 0, sizeof *delivery);
    delivery->magic = DELIVERY_MAGIC;
    delivery->owner = deliveries;
    delivery->send.on_settled = delivery_on_settled;
    at = message_copy_into(message, delivery->memory, &delivery->message);
    delivery->id = message_copy_slice(id, &at);
    delivery->time = message_copy_slice(time, &at);
    delivery->kafka_topic = plan->kafka_topic;
    delivery->key = is_event ? key_of(deliveries->event) : DELIVERY_NO_KEY;
    delivery->came_ms = clock_wall_ms();
    delivery->order = deliveries->taken++;
    delivery->expires_ms =
        message->expiry_seconds < 0
            ? UINT64_MAX
            : uv_now(deliveries->spec.loop) + (uint64_t)message->expiry_seconds * 1000;
    delivery->bytes = bytes;
    return delivery;
}

static void begin(struct delivery *delivery, const struct plan *plan)
{
    struct deliveries *deliveries = delivery->owner;
    struct mr_error err;
    if (plan->is_dropped) {
        delivery_settle_soon(delivery, deliveries->spec.metrics->dropped);
        return;
    }
    if (plan->reason != NULL) {
        delivery_give_up(delivery, plan->reason, plan->err.text);
    }
    if (!delivery_may_be_sent(delivery)) {
        delivery_wait_until(delivery, uv_now(deliveries->spec.loop));
    } else if (plan->reason == NULL) {
        delivery_send_event(delivery);
    } else if (delivery_send(delivery, &err) != 0) {
        delivery_again(delivery, false, err.text);
    }
}

int deliveries_take(struct deliveries *deliveries, const struct mqtt_message *message,
                    struct mr_slice id, deliveries_settled_cb settled, void *user, void *item,
                    struct mr_slice *ret_id, struct mr_error *err)
{
    struct plan plan;
    struct delivery *delivery = NULL;
    int rc;
    MAGIC_CHECK(deliveries, DELIVERIES_MAGIC);
    assert(!deliveries->closing);
    rc = make_plan(deliveries, message, id, &plan);
    if (rc == 0) {
        delivery = make_delivery(deliveries, message, &plan);
    }
    if (delivery == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory for a message");
    }
    delivery->settled = settled;
    delivery->user = user;
    delivery->item = item;
    count(delivery);
    *ret_id = delivery->id;
    begin(delivery, &plan);
    return 0;
}

size_t deliveries_count(const struct deliveries *deliveries)
{
    return deliveries->count;
}

size_t deliveries_bytes(const struct deliveries *deliveries)
{
    return deliveries->bytes;
}

/* --- life --- */

static void free_parts(struct deliveries *deliveries)
{
    mqtt_event_maker_free(deliveries->maker);
    mr_event_free(deliveries->event);
    if (deliveries->writer != NULL) {
        dead_message_writer_done(deliveries->writer);
        mem_free(deliveries->writer);
    }
    deliveries->magic = 0;
    mem_free(deliveries);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct deliveries *deliveries;
    void (*closed)(void *user);
    void *user;
    MAGIC_CAST(deliveries, handle->data, DELIVERIES_MAGIC);
    closed = deliveries->closed;
    user = deliveries->closed_user;
    assert(deliveries->count == 0);
    free_parts(deliveries);
    if (closed != NULL) {
        closed(user);
    }
}

static int make_parts(struct deliveries *deliveries, struct mr_error *err)
{
    deliveries->writer = mem_alloc(sizeof *deliveries->writer);
    if (deliveries->writer == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    dead_message_writer_init(deliveries->writer);
    deliveries->event = mr_event_new();
    if (deliveries->event == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    return mqtt_event_maker_new(&deliveries->maker, err);
}

int deliveries_new(const struct deliveries_spec *spec, struct deliveries **ret_deliveries,
                   struct mr_error *err)
{
    struct deliveries *deliveries = mem_zalloc(sizeof *deliveries);
    int rc;
    if (deliveries == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    deliveries->magic = DELIVERIES_MAGIC;
    deliveries->spec = *spec;
    deliveries->timer_due_ms = UINT64_MAX;
    deliveries->finished_end = &deliveries->finished;
    rc = make_parts(deliveries, err);
    if (rc == 0) {
        int status = uv_timer_init(spec->loop, &deliveries->timer);
        rc = status == 0 ? 0 : mr_error_set(err, MR_EIO, "timer: %s", uv_strerror(status));
    }
    if (rc != 0) {
        free_parts(deliveries);
        return rc;
    }
    deliveries->timer.data = deliveries;
    *ret_deliveries = deliveries;
    return 0;
}

void deliveries_end(struct deliveries *deliveries)
{
    uv_close((uv_handle_t *)&deliveries->timer, on_timer_closed);
}

void deliveries_close(struct deliveries *deliveries, void (*closed)(void *user), void *user)
{
    struct delivery *delivery;
    MAGIC_CHECK(deliveries, DELIVERIES_MAGIC);
    assert(!deliveries->closing);
    deliveries->closing = true;
    deliveries->closed = closed;
    deliveries->closed_user = user;
    (void)uv_timer_stop(&deliveries->timer);
    while ((delivery = deliveries->waiting) != NULL) {
        delivery_take_out(delivery);
        delivery_drop(delivery);
    }
    while ((delivery = take_finished(deliveries)) != NULL) {
        delivery_drop(delivery);
    }
    if (deliveries->sending == 0) {
        deliveries_end(deliveries);
    }
}

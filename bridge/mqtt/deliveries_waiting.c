// SPDX-License-Identifier: Apache-2.0
/* Happy path: what was not stored is linked in, at its place in the order -> the timer looks
 * through the list -> what is due is sent again. What can go wrong: an earlier one of its key isn't
 * due yet (it waits for that); its expiry has passed (settled); it is to be sent alone and the
 * producer has others (all wait until it has none; on its settlement the timer looks again). */
#include <millrace/log.h>

#include "bridge/mqtt/deliveries_internal.h"

enum {
    AGAIN_MS = 100, /* until a message is sent again, at first; it doubles */
    AGAIN_MAX_MS = 5000,
};

static void on_timer(uv_timer_t *timer);

void deliveries_arm(struct deliveries *deliveries, uint64_t due_ms)
{
    uint64_t now_ms = uv_now(deliveries->spec.loop);
    if (due_ms >= deliveries->timer_due_ms) {
        return;
    }
    deliveries->timer_due_ms = due_ms;
    (void)uv_timer_start(&deliveries->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* At its place by `order`; which is the end, or close to it. */
void delivery_wait_until(struct delivery *delivery, uint64_t due_ms)
{
    struct deliveries *deliveries = delivery->owner;
    struct delivery *prev = deliveries->waiting_last;
    delivery->due_ms = due_ms;
    while (prev != NULL && prev->order > delivery->order) {
        prev = prev->prev;
    }
    delivery->prev = prev;
    delivery->next = prev == NULL ? deliveries->waiting : prev->next;
    *(prev == NULL ? &deliveries->waiting : &prev->next) = delivery;
    *(delivery->next == NULL ? &deliveries->waiting_last : &delivery->next->prev) = delivery;
    deliveries->waiting_alone += delivery->is_alone;
    if (delivery->key != DELIVERY_NO_KEY) {
        deliveries->waiting_keys[delivery->key]++;
    }
}

void delivery_take_out(struct delivery *delivery)
{
    struct deliveries *deliveries = delivery->owner;
    *(delivery->prev == NULL ? &deliveries->waiting : &delivery->prev->next) = delivery->next;
    *(delivery->next == NULL ? &deliveries->waiting_last : &delivery->next->prev) = delivery->prev;
    deliveries->waiting_alone -= delivery->is_alone;
    if (delivery->key != DELIVERY_NO_KEY) {
        deliveries->waiting_keys[delivery->key]--;
    }
    delivery->prev = NULL;
    delivery->next = NULL;
}

static uint64_t delay_ms(unsigned tries)
{
    uint64_t delay = AGAIN_MS;
    while (tries-- > 1 && delay < AGAIN_MAX_MS) {
        delay *= 2;
    }
    return delay < AGAIN_MAX_MS ? delay : AGAIN_MAX_MS;
}

void delivery_again(struct delivery *delivery, bool at_once, const char *reason)
{
    struct deliveries *deliveries = delivery->owner;
    uint64_t now_ms = uv_now(deliveries->spec.loop);
    delivery->tries++;
    mr_log_limited(MR_LOG_WARN, DELIVERY_LOG_MS,
                   delivery->reason == NULL ? "message not stored, sent again"
                                            : "dead letter not stored, sent again",
                   MR_STR("topic", delivery->kafka_topic), MR_STR("reason", reason));
    delivery_wait_until(delivery, now_ms + (at_once ? 0 : delay_ms(delivery->tries)));
    deliveries_arm(deliveries, delivery->due_ms);
}

bool delivery_may_be_sent(const struct delivery *delivery)
{
    const struct deliveries *deliveries = delivery->owner;
    return !deliveries->is_alone && deliveries->waiting_alone == 0 &&
           (delivery->key == DELIVERY_NO_KEY || deliveries->waiting_keys[delivery->key] == 0);
}

/* What a pass through `waiting` remembers. */
struct pass {
    uint64_t now_ms;
    bool is_held[DELIVERY_KEYS]; /* an earlier one of this key waits on */
};

static void hold(struct pass *pass, const struct delivery *delivery)
{
    if (delivery->key != DELIVERY_NO_KEY) {
        pass->is_held[delivery->key] = true;
    }
}

static void send_waiting(struct delivery *delivery, struct pass *pass)
{
    struct deliveries *deliveries = delivery->owner;
    struct mr_error err;
    bool is_alone = delivery->is_alone;
    delivery_take_out(delivery);
    if (delivery_send(delivery, &err) != 0) {
        hold(pass, delivery);
        delivery_again(delivery, false, err.text);
        return;
    }
    deliveries->is_alone = is_alone;
    if (delivery->tries > 0) {
        mr_count(deliveries->spec.metrics->retries, 1);
    }
}

static bool is_expired(const struct delivery *delivery, const struct pass *pass)
{
    return delivery->reason == NULL && delivery->expires_ms <= pass->now_ms;
}

/* Returns false if what comes behind has to wait for an end of what is being sent. */
static bool look_at(struct delivery *delivery, struct pass *pass)
{
    struct deliveries *deliveries = delivery->owner;
    if (is_expired(delivery, pass)) {
        delivery_take_out(delivery);
        delivery_settle_soon(delivery, deliveries->spec.metrics->expired);
    } else if (delivery->due_ms > pass->now_ms) {
        hold(pass, delivery);
        deliveries_arm(deliveries, delivery->due_ms);
    } else if (delivery->key == DELIVERY_NO_KEY || !pass->is_held[delivery->key]) {
        if (deliveries->is_alone || (delivery->is_alone && deliveries->sending > 0)) {
            return false;
        }
        send_waiting(delivery, pass);
    }
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct deliveries *deliveries;
    struct pass pass = {0};
    struct delivery *next;
    MAGIC_CAST(deliveries, timer->data, DELIVERIES_MAGIC);
    deliveries->timer_due_ms = UINT64_MAX;
    pass.now_ms = uv_now(deliveries->spec.loop);
    for (struct delivery *at = deliveries->waiting; at != NULL; at = next) {
        next = at->next;
        if (!look_at(at, &pass)) {
            break;
        }
    }
    deliveries_settle_finished(deliveries);
}

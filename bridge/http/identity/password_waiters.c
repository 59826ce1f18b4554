// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/password_waiters.h"

#include "kit/magic.h"
#include "kit/mem.h"

enum {
    WAITERS_MAGIC = 0x50575753,
    WAITER_MAGIC = 0x50575754,
    TICK_MS = 20, /* those whose time is up are looked for no more often */
};

/* One of a list, the oldest first; a check's `user` is the first. */
struct waiter {
    unsigned magic;
    struct waiter *next;
    struct http_request *request;
    uint64_t due_ms;
};

static struct waiter *first_of(const struct password_check *check)
{
    struct waiter *first = NULL;
    if (check->user != NULL) {
        MAGIC_CAST(first, check->user, WAITER_MAGIC);
    }
    return first;
}

/* Cut the one behind `before` off (NULL: the first), and end it. */
static struct http_request *remove_behind(struct password_check *check, struct waiter *before)
{
    struct waiter *waiter = before == NULL ? first_of(check) : before->next;
    struct http_request *request = waiter->request;
    if (before == NULL) {
        check->user = waiter->next;
    } else {
        before->next = waiter->next;
    }
    waiter->magic = 0;
    mem_free(waiter);
    return request;
}

struct http_request *password_waiters_take(struct password_check *check)
{
    return check->user == NULL ? NULL : remove_behind(check, NULL);
}

/* Those whose time is up by `now_ms`; true: others go on waiting. */
static bool expire(struct password_waiters *waiters, struct password_check *check, uint64_t now_ms)
{
    struct waiter *before = NULL;
    struct waiter *waiter = first_of(check);
    while (waiter != NULL) {
        if (waiter->due_ms <= now_ms) {
            waiters->config.on_late(remove_behind(check, before), waiters->config.user);
        } else {
            before = waiter;
        }
        waiter = before == NULL ? first_of(check) : before->next;
    }
    return check->user != NULL;
}

static bool expire_all(struct password_waiters *waiters, uint64_t now_ms)
{
    struct password_check *check = password_checks_first(waiters->config.checks);
    bool does_any_wait = false;
    for (; check != NULL; check = check->next) {
        does_any_wait = expire(waiters, check, now_ms) || does_any_wait;
    }
    return does_any_wait;
}

static void on_tick(uv_timer_t *timer)
{
    struct password_waiters *waiters;
    MAGIC_CAST(waiters, timer->data, WAITERS_MAGIC);
    if (!expire_all(waiters, uv_now(timer->loop))) {
        (void)uv_timer_stop(timer);
    }
}

int password_waiters_add(struct password_waiters *waiters, struct password_check *check,
                         struct http_request *request)
{
    struct waiter *waiter = mem_alloc(sizeof *waiter);
    struct waiter *last = first_of(check);
    if (waiter == NULL) {
        return MR_ENOMEM;
    }
    *waiter = (struct waiter){.magic = WAITER_MAGIC,
                              .request = request,
                              .due_ms = http_request_came_ms(request) + waiters->config.answer_ms};
    while (last != NULL && last->next != NULL) {
        last = last->next;
    }
    if (last == NULL) {
        check->user = waiter;
    } else {
        last->next = waiter;
    }
    if (!uv_is_active((uv_handle_t *)&waiters->timer)) {
        (void)uv_timer_start(&waiters->timer, on_tick, TICK_MS, TICK_MS);
    }
    return 0;
}

void password_waiters_end(struct password_waiters *waiters)
{
    (void)expire_all(waiters, UINT64_MAX);
}

void password_waiters_init(struct password_waiters *waiters,
                           const struct password_waiters_config *config)
{
    *waiters = (struct password_waiters){.magic = WAITERS_MAGIC, .config = *config};
    (void)uv_timer_init(config->loop, &waiters->timer);
    waiters->timer.data = waiters;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct password_waiters *waiters;
    MAGIC_CAST(waiters, handle->data, WAITERS_MAGIC);
    waiters->magic = 0;
    waiters->closed(waiters->config.user);
}

void password_waiters_close(struct password_waiters *waiters, void (*closed)(void *user))
{
    MAGIC_CHECK(waiters, WAITERS_MAGIC);
    waiters->closed = closed;
    uv_close((uv_handle_t *)&waiters->timer, on_timer_closed);
}

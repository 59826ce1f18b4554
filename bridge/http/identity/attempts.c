// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/identity/attempts.h"

#include <string.h>
#include <uv.h>

#include "kit/magic.h"
#include "kit/mem.h"
#include "kit/random.h"
#include "net/deadlines.h"

enum { BUCKETS = 16384 /* a power of two */ };

struct attempt {
    struct deadline end; /* of the time that its first failure began */
    struct attempt *next;
    struct attempts_source source;
    int64_t failures;
};

struct attempts {
    uv_mutex_t lock;
    int64_t failures_max;
    uint64_t seed;
    size_t count;
    struct deadlines ends;
    struct attempt *buckets[BUCKETS];
};

struct attempts_source attempts_source_of(const struct http_client_address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct attempts_source source = {.is_v6 = address->is_v6};
    size_t from = 0, len = address->is_v6 ? 8 : 4;
    if (address->is_v6 && memcmp(address->bytes, mapped, sizeof mapped) == 0) {
        source.is_v6 = false;
        from = sizeof mapped;
        len = 4;
    }
    for (size_t i = 0; i < len; i++) {
        source.bits = source.bits << 8 | address->bytes[from + i];
    }
    return source;
}

struct attempts *attempts_new(int64_t failures_max, int64_t time_ms)
{
    struct attempts *attempts = mem_zalloc(sizeof *attempts);
    if (attempts == NULL) {
        return NULL;
    }
    if (uv_mutex_init(&attempts->lock) != 0) {
        mem_free(attempts);
        return NULL;
    }
    attempts->failures_max = failures_max;
    attempts->ends.after_ms = (uint64_t)time_ms;
    attempts->seed = random_seed();
    return attempts;
}

/* Who can choose addresses must not be able to choose buckets: hence the seed. */
static struct attempt **bucket_of(struct attempts *attempts, struct attempts_source source)
{
    uint64_t mixed = (source.bits ^ attempts->seed) + source.is_v6;
    mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccdU;
    mixed = (mixed ^ (mixed >> 33)) * (attempts->seed | 1);
    return &attempts->buckets[(mixed >> 40) & (BUCKETS - 1)];
}

static bool is_same(struct attempts_source a, struct attempts_source b)
{
    return a.bits == b.bits && a.is_v6 == b.is_v6;
}

static struct attempt *find(struct attempts *attempts, struct attempts_source source)
{
    struct attempt *attempt = *bucket_of(attempts, source);
    while (attempt != NULL && !is_same(attempt->source, source)) {
        attempt = attempt->next;
    }
    return attempt;
}

/* It is on no list of deadlines any more. */
static void forget(struct attempts *attempts, struct attempt *attempt)
{
    struct attempt **at = bucket_of(attempts, attempt->source);
    while (*at != attempt) {
        at = &(*at)->next;
    }
    *at = attempt->next;
    attempts->count--;
    mem_free(attempt);
}

static void forget_until(struct attempts *attempts, uint64_t now_ms)
{
    struct deadline *due;
    while ((due = deadlines_take_due(&attempts->ends, now_ms)) != NULL) {
        forget(attempts, CONTAINER_OF(due, struct attempt, end));
    }
}

/* NULL: out of memory. */
static struct attempt *remember(struct attempts *attempts, struct attempts_source source,
                                uint64_t now_ms)
{
    struct attempt **bucket = bucket_of(attempts, source);
    struct attempt *attempt;
    if (attempts->count == ATTEMPTS_ADDRESSES_MAX) {
        forget_until(attempts, attempts->ends.first->due_ms);
    }
    attempt = mem_zalloc(sizeof *attempt);
    if (attempt == NULL) {
        return NULL;
    }
    attempt->source = source;
    deadline_set(&attempts->ends, &attempt->end, now_ms);
    attempt->next = *bucket;
    *bucket = attempt;
    attempts->count++;
    return attempt;
}

/* The loops' clocks differ a little: the list stays in order because a step back is no step. */
static uint64_t not_before_last(const struct attempts *attempts, uint64_t now_ms)
{
    const struct deadline *last = attempts->ends.last;
    uint64_t last_ms = last == NULL ? 0 : last->due_ms - attempts->ends.after_ms;
    return now_ms < last_ms ? last_ms : now_ms;
}

int64_t attempts_wait_ms(struct attempts *attempts, struct attempts_source source, uint64_t now_ms)
{
    const struct attempt *attempt;
    int64_t wait_ms = 0;
    if (attempts->failures_max == 0) {
        return 0;
    }
    uv_mutex_lock(&attempts->lock);
    forget_until(attempts, now_ms);
    attempt = find(attempts, source);
    if (attempt != NULL && attempt->failures >= attempts->failures_max) {
        wait_ms = (int64_t)(attempt->end.due_ms - now_ms);
    }
    uv_mutex_unlock(&attempts->lock);
    return wait_ms;
}

void attempts_failed(struct attempts *attempts, struct attempts_source source, uint64_t now_ms)
{
    struct attempt *attempt;
    if (attempts->failures_max == 0) {
        return;
    }
    uv_mutex_lock(&attempts->lock);
    now_ms = not_before_last(attempts, now_ms);
    forget_until(attempts, now_ms);
    attempt = find(attempts, source);
    if (attempt == NULL) {
        attempt = remember(attempts, source, now_ms);
    }
    if (attempt != NULL) {
        attempt->failures++;
    }
    uv_mutex_unlock(&attempts->lock);
}

void attempts_free(struct attempts *attempts)
{
    if (attempts == NULL) {
        return;
    }
    forget_until(attempts, UINT64_MAX);
    uv_mutex_destroy(&attempts->lock);
    mem_free(attempts);
}

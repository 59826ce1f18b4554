// SPDX-License-Identifier: Apache-2.0
/* Happy path: the author says retry -> the record is listed, and its next attempt is told by the
 * next commit -> its batch is over: it waits -> its time has come, and Kafka has confirmed that
 * commit -> it is pending again, and in the next batch. Records of its key that are about to enter
 * a batch meanwhile are put behind it, and are pending again when it is settled. What can go wrong:
 * commits fail (it waits on, the others don't); more have failed than a commit can tell (the lowest
 * offsets first, the others wait); the partition goes (it is given up, and its attempt stays in the
 * metadata).
 *
 * A record is behind another if that one has the same key, a lower offset, and is open: it has
 * failed and will be tried again, wherever it is at the moment. So also one that has failed itself
 * waits for all before it. */
#include <string.h>

#include "kafka/worker_internal.h"
#include "kit/hash.h"

/* --- keys --- */

static uint32_t hash_of(struct mr_delivery *delivery)
{
    if (delivery->retry.hash == 0) {
        uint32_t hash = hash_fnv1a(HASH_FNV1A_BASIS,
                                   mr_slice(delivery->message->key, delivery->message->key_len));
        delivery->retry.hash = hash == 0 ? 1 : hash;
    }
    return delivery->retry.hash;
}

static bool has_key(const struct mr_delivery *delivery)
{
    return delivery->message->key != NULL;
}

static struct retry_bucket *bucket_of(struct mr_delivery *delivery)
{
    return &delivery->partition->retries.by_key[hash_of(delivery) % WORKER_RETRY_BUCKETS];
}

static bool is_same_key(const struct mr_delivery *a, const struct mr_delivery *b)
{
    return a->retry.hash == b->retry.hash &&
           mr_slice_is(mr_slice(a->message->key, a->message->key_len),
                       mr_slice(b->message->key, b->message->key_len));
}

bool retry_is_behind(struct mr_delivery *delivery)
{
    const struct mr_delivery *open;
    if (delivery->partition->retries.open == 0 || !has_key(delivery)) {
        return false;
    }
    open = bucket_of(delivery)->first;
    while (open != NULL && open->offset < delivery->offset && !is_same_key(open, delivery)) {
        open = open->retry.next_of_hash;
    }
    return open != NULL && open->offset < delivery->offset;
}

/* Most fail in the order of their offsets, or in the reverse one. */
static void link_by_key(struct mr_delivery *delivery)
{
    struct retry_bucket *bucket = bucket_of(delivery);
    struct mr_delivery *previous = bucket->last;
    if (bucket->first != NULL && bucket->first->offset > delivery->offset) {
        previous = NULL;
    }
    while (previous != NULL && previous->offset > delivery->offset) {
        previous = previous->retry.previous_of_hash;
    }
    delivery->retry.previous_of_hash = previous;
    delivery->retry.next_of_hash = previous == NULL ? bucket->first : previous->retry.next_of_hash;
    *(previous == NULL ? &bucket->first : &previous->retry.next_of_hash) = delivery;
    *(delivery->retry.next_of_hash == NULL
          ? &bucket->last
          : &delivery->retry.next_of_hash->retry.previous_of_hash) = delivery;
}

static void unlink_by_key(struct mr_delivery *delivery)
{
    struct retry_bucket *bucket = bucket_of(delivery);
    struct mr_delivery *previous = delivery->retry.previous_of_hash;
    struct mr_delivery *next = delivery->retry.next_of_hash;
    *(previous == NULL ? &bucket->first : &previous->retry.next_of_hash) = next;
    *(next == NULL ? &bucket->last : &next->retry.previous_of_hash) = previous;
}

/* --- the list --- */

static void link_by_offset(struct retries *retries, struct mr_delivery *delivery)
{
    struct mr_delivery *previous = retries->last;
    if (retries->first != NULL && retries->first->offset > delivery->offset) {
        previous = NULL;
    }
    while (previous != NULL && previous->offset > delivery->offset) {
        previous = previous->retry.previous;
    }
    delivery->retry.previous = previous;
    delivery->retry.next = previous == NULL ? retries->first : previous->retry.next;
    *(previous == NULL ? &retries->first : &previous->retry.next) = delivery;
    *(delivery->retry.next == NULL ? &retries->last : &delivery->retry.next->retry.previous) =
        delivery;
}

static void list(struct mr_delivery *delivery)
{
    struct retries *retries = &delivery->partition->retries;
    if (delivery->retry.listed) {
        return;
    }
    link_by_offset(retries, delivery);
    if (has_key(delivery)) {
        link_by_key(delivery);
    }
    delivery->retry.listed = true;
    delivery->retry.is_open = true;
    retries->open++;
    retries->version++;
}

void retry_close(struct mr_delivery *delivery)
{
    struct retries *retries = &delivery->partition->retries;
    if (!delivery->retry.is_open) {
        return;
    }
    delivery->retry.is_open = false;
    retries->open--;
    if (delivery->retry.hash != 0 && has_key(delivery)) {
        unlink_by_key(delivery);
        retries->behind_may_go_on = true;
        worker_soon(delivery->partition->worker);
    }
}

void retry_forget(struct mr_delivery *delivery)
{
    struct retries *retries = &delivery->partition->retries;
    if (!delivery->retry.listed) {
        return;
    }
    retry_close(delivery);
    *(delivery->retry.previous == NULL ? &retries->first : &delivery->retry.previous->retry.next) =
        delivery->retry.next;
    *(delivery->retry.next == NULL ? &retries->last : &delivery->retry.next->retry.previous) =
        delivery->retry.previous;
    delivery->retry.listed = false;
    retries->version++;
}

void retry_settle(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    struct attempt_table *kept = &partition->retries.kept;
    bool has_failed = delivery->retry.listed;
    retry_forget(delivery);
    if (kept->count > 0) {
        attempt_table_remove(kept, -1, partition->ledger.prefix - 1);
    }
    if (has_failed && delivery->offset >= partition->ledger.prefix) {
        (void)attempt_table_set(kept, delivery->offset, ATTEMPT_SETTLED);
    }
}

void retry_give_up(struct mr_delivery *delivery)
{
    struct attempt_table *kept = &delivery->partition->retries.kept;
    if (!delivery->retry.listed) {
        return;
    }
    retry_forget(delivery);
    while (!attempt_table_set(kept, delivery->offset, delivery->attempt)) {
        if (!attempt_table_drop(kept, delivery->offset)) {
            return;
        }
    }
}

/* Records that were told and are not there any more are passed by. */
void retry_recall(struct mr_delivery *delivery, int64_t received)
{
    struct retries *retries = &delivery->partition->retries;
    unsigned attempt;
    if (retries->kept.count == 0) {
        return;
    }
    attempt_table_remove(&retries->kept, received, delivery->offset - 1);
    if (!attempt_table_find(&retries->kept, delivery->offset, &attempt)) {
        return;
    }
    if (attempt == ATTEMPT_SETTLED) {
        delivery->retry.was_settled = true;
        return;
    }
    attempt_table_remove(&retries->kept, received, delivery->offset);
    delivery->attempt = attempt;
    delivery->retry.confirmed = attempt;
    list(delivery);
}

/* --- from batch to batch --- */

static int64_t delay_ms(const struct mr_worker *worker, unsigned attempt)
{
    int64_t delay = worker->spec.options->retry_delay_ms;
    int64_t delay_max = worker->spec.options->retry_delay_max_ms;
    while (attempt-- > 1 && delay < delay_max) {
        delay *= 2;
    }
    return delay < delay_max ? delay : delay_max;
}

void retry_note(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    delivery->retry.again_ms = worker_now_ms(worker) + delay_ms(worker, delivery->attempt);
    delivery->attempt++;
    list(delivery);
    partition->retries.version++;
    mr_count(partition->metrics.retries, 1);
}

void retry_wait(struct mr_delivery *delivery)
{
    delivery->state = DELIVERY_WAITING;
    delivery->partition->retries.waiting++;
    delivery->partition->retries.version++; /* a commit may tell of another one first now */
    worker_soon(delivery->partition->worker);
}

void retry_put_behind(struct mr_delivery *delivery)
{
    struct retries *retries = &delivery->partition->retries;
    struct mr_delivery **at = &retries->behind;
    if (delivery->retry.listed) { /* it looks itself whether it may go on */
        retry_wait(delivery);
        return;
    }
    if (retries->behind_last != NULL && retries->behind_last->offset < delivery->offset) {
        at = &retries->behind_last->next;
    }
    while (*at != NULL && (*at)->offset < delivery->offset) {
        at = &(*at)->next;
    }
    delivery->state = DELIVERY_BEHIND;
    delivery->next = *at;
    *at = delivery;
    if (delivery->next == NULL) {
        retries->behind_last = delivery;
    }
    retries->behind_count++;
}

/* Those that came before the last that has failed are let through: it may have to wait for them. */
bool retry_refuses(const struct partition *partition, const struct mr_delivery *delivery)
{
    const struct retries *retries = &partition->retries;
    return retries->open > 0 &&
           retries->open >= (size_t)partition->worker->spec.options->retry_pending_max &&
           !delivery->retry.listed && delivery->offset > retries->last->offset;
}

static void release_behind(struct partition *partition)
{
    struct retries *retries = &partition->retries;
    struct mr_delivery **from = &retries->behind;
    struct mr_delivery **to = &partition->first;
    retries->behind_last = NULL;
    while (*from != NULL) {
        struct mr_delivery *delivery = *from;
        if (retry_is_behind(delivery)) {
            retries->behind_last = delivery;
            from = &delivery->next;
        } else {
            *from = delivery->next;
            retries->behind_count--;
            to = partition_put_back(partition, to, delivery);
        }
    }
    retries->behind_may_go_on = false;
}

/* An attempt begins only when Kafka knows of it. */
static void look_at(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    struct mr_worker *worker = partition->worker;
    if (delivery->retry.again_ms > worker_now_ms(worker)) {
        worker_at(worker, delivery->retry.again_ms);
    } else if (delivery->retry.confirmed < delivery->attempt) {
        if (retry_is_untold(partition)) {
            commit_soon(worker);
        }
    } else if (!retry_is_behind(delivery)) {
        partition->retries.waiting--;
        (void)partition_put_back(partition, &partition->first, delivery);
    }
}

void retry_run(struct partition *partition)
{
    struct retries *retries = &partition->retries;
    if (retries->behind_may_go_on) {
        release_behind(partition);
    }
    if (retries->waiting > 0) {
        for (struct mr_delivery *d = retries->first; d != NULL; d = d->retry.next) {
            if (d->state == DELIVERY_WAITING) {
                look_at(d);
            }
        }
    }
}

static void drop(struct mr_delivery *delivery)
{
    struct partition *partition = delivery->partition;
    retry_give_up(delivery);
    partition_release(partition, delivery);
    mr_count(partition->metrics.given_up, 1);
    delivery_free(delivery);
}

void retry_drop(struct partition *partition)
{
    struct retries *retries = &partition->retries;
    struct mr_delivery *next;
    for (struct mr_delivery *d = retries->first; d != NULL; d = next) {
        next = d->retry.next;
        if (d->state == DELIVERY_WAITING) {
            retries->waiting--;
            drop(d);
        }
    }
    while (retries->behind != NULL) {
        struct mr_delivery *delivery = retries->behind;
        retries->behind = delivery->next;
        drop(delivery);
    }
    retries->behind_last = NULL;
    retries->behind_count = 0;
}

/* --- what commits tell --- */

/* A commit has ATTEMPT_TABLE_MAX entries. They go first to what is about to be tried or in a batch,
 * then to the rest by offset, the lowest first, and last to what is not here. So no record waits
 * for ever to be told. Take the lowest that waits and whose time has come. It is told by the next
 * commit unless all entries are of
 *  - records in a batch or about to be: the batch ends, and then each of them is settled, or waits,
 *    and comes after ours if its offset is higher;
 *  - dead letters on their way with lower offsets: with WORKER_DEAD_A_PARTITION_MAX of them there
 *    are no batches anyhow, and fewer are fewer than the entries;
 *  - records with lower offsets that wait for their time: it comes.
 * Each of these changes `version`, so that another commit follows. Once told it runs, for of those
 * before it that have its key none waits.
 *
 * A record that is not told by a commit was perhaps told by the one before, and is forgotten now:
 * it is not tried again before it is told again. */
_Static_assert((int)WORKER_DEAD_A_PARTITION_MAX <= (int)ATTEMPT_TABLE_MAX,
               "dead letters leave an entry");

static bool is_under_way(const struct mr_delivery *delivery)
{
    return delivery->state == DELIVERY_PENDING || delivery->state == DELIVERY_IN_BATCH;
}

static void tell(struct partition *partition, bool under_way, struct attempt_table *table)
{
    for (struct mr_delivery *d = partition->retries.first; d != NULL; d = d->retry.next) {
        if (is_under_way(d) == under_way) {
            bool is_told = attempt_table_set(table, d->offset, d->attempt);
            d->retry.sent = is_told ? d->attempt : 0;
            d->retry.confirmed = is_told ? d->retry.confirmed : 0;
        }
    }
}

void retry_tell(struct partition *partition, struct attempt_table *ret_table)
{
    ret_table->count = 0;
    tell(partition, true, ret_table);
    tell(partition, false, ret_table);
    attempt_table_add(ret_table, &partition->retries.kept);
    partition->retries.sent = partition->retries.version;
}

void retry_confirmed(struct partition *partition)
{
    for (struct mr_delivery *d = partition->retries.first; d != NULL; d = d->retry.next) {
        if (d->retry.sent > d->retry.confirmed) {
            d->retry.confirmed = d->retry.sent;
        }
    }
    partition->retries.confirmed = partition->retries.sent;
}

bool retry_is_untold(const struct partition *partition)
{
    return partition->retries.version != partition->retries.confirmed;
}

// SPDX-License-Identifier: Apache-2.0
/* Happy path: partitions are assigned -> books are opened -> ... -> they are to be revoked -> no
 * more batches of them, while the others go on -> what is in hand is settled -> its prefix is
 * committed -> unassigned. What can go wrong: a batch isn't settled in time (given up: the next
 * member reads its records again); the commit fails or isn't answered in time (the same); the
 * partitions are lost already (nothing is waited for, and nothing committed); another rebalance
 * comes meanwhile (it queues behind). */
#include <string.h>

#include "kafka/worker_internal.h"

/* Never once the consumer is closed: librdkafka would wait for ever for its own, ended, thread. */
bool rebalance_is_cooperative(const struct mr_worker *worker)
{
    const char *protocol = rd_kafka_rebalance_protocol(worker->rk);
    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

static void log_error(const char *what, rd_kafka_error_t *error, rd_kafka_resp_err_t code)
{
    if (error != NULL) {
        mr_log(MR_LOG_ERROR, what, MR_STR("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_log(MR_LOG_ERROR, what, MR_STR("reason", rd_kafka_err2str(code)));
    }
}

static void log_partitions(const char *what, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        mr_log(MR_LOG_INFO, what, MR_STR("topic", list->elems[i].topic),
               MR_INT("partition", list->elems[i].partition));
    }
}

/* Without memory for the books a partition is left out: it is not read, and the next rebalance
 * tries again. */
static void assign(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_t *kept = rd_kafka_topic_partition_list_new(list->cnt + 1);
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *row = &list->elems[i];
        if (partition_open(worker, row->topic, row->partition) != NULL) {
            (void)rd_kafka_topic_partition_list_add(kept, row->topic, row->partition);
        } else {
            mr_log(MR_LOG_ERROR, "out of memory: partition left out", MR_STR("topic", row->topic),
                   MR_INT("partition", row->partition));
        }
    }
    worker->was_assigned = true;
    log_partitions("assigned", kept);
    if (rebalance_is_cooperative(worker)) {
        log_error("assign", rd_kafka_incremental_assign(worker->rk, kept), 0);
    } else {
        log_error("assign", NULL, rd_kafka_assign(worker->rk, kept));
    }
    rd_kafka_topic_partition_list_destroy(kept);
    readiness_set(worker->spec.readiness, "group", true,
                  NULL); /* also with none: others have them */
    mr_log(MR_LOG_INFO, "joined", MR_STR("group", worker->group), MR_INT("partitions", list->cnt));
}

static void unassign(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition =
            partition_find(worker, list->elems[i].topic, list->elems[i].partition);
        if (partition != NULL) {
            partition_give_up(partition);
        }
    }
    log_partitions("revoked", list);
    if (rebalance_is_cooperative(worker)) {
        log_error("unassign", rd_kafka_incremental_unassign(worker->rk, list), 0);
    } else {
        log_error("unassign", NULL, rd_kafka_assign(worker->rk, NULL));
        if (worker->phase == WORKER_RUNNING) { /* one member may hold up all of them */
            readiness_set(worker->spec.readiness, "group", false, "the group is rebalancing");
        }
    }
}

/* --- topics that are deleted and made again --- */

static bool is_in(const struct rd_kafka_metadata *metadata, const struct partition *partition)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
            strcmp(topic->topic, partition->topic) == 0) {
            return partition->number < topic->partition_cnt;
        }
    }
    return false;
}

/* With an eager assignor all partitions are assigned anew, or none. */
static rd_kafka_topic_partition_list_t *renew_books(struct mr_worker *worker, bool all,
                                                    const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct partition *next;
    for (struct partition *p = worker->partitions; p != NULL; p = next) {
        bool is_back = p->gone && worker->probe.began_ms > p->gone_ms && is_in(metadata, p);
        struct partition *renewed;
        next = p->next;
        if (!is_back && !all) {
            continue;
        }
        renewed = partition_renew(p); /* comes first in the list: not met again */
        if (renewed != NULL) {
            mr_log(MR_LOG_WARN, "read from what is committed: the topic was gone",
                   MR_STR("topic", renewed->topic), MR_INT("partition", renewed->number));
        }
        if (renewed != NULL || all) {
            p = renewed != NULL ? renewed : p;
            (void)rd_kafka_topic_partition_list_add(list, p->topic, p->number);
        }
    }
    return list;
}

static bool some_is_back(const struct mr_worker *worker, const struct rd_kafka_metadata *metadata)
{
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->gone && worker->probe.began_ms > p->gone_ms && is_in(metadata, p)) {
            return true;
        }
    }
    return false;
}

void rebalance_reopen(struct mr_worker *worker, const struct rd_kafka_metadata *metadata)
{
    rd_kafka_topic_partition_list_t *list;
    bool is_cooperative;
    if (worker->phase != WORKER_RUNNING || worker->rebalance.count > 0 ||
        !some_is_back(worker, metadata)) {
        return;
    }
    is_cooperative = rebalance_is_cooperative(worker);
    list = renew_books(worker, !is_cooperative, metadata);
    if (is_cooperative && list->cnt > 0) {
        log_error("unassign", rd_kafka_incremental_unassign(worker->rk, list), 0);
        log_error("assign", rd_kafka_incremental_assign(worker->rk, list), 0);
    } else if (list->cnt > 0) {
        log_error("assign", NULL, rd_kafka_assign(worker->rk, list));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- rebalances --- */

static void take_first_out(struct mr_worker *worker)
{
    rd_kafka_event_destroy(worker->rebalance.events[0]);
    worker->rebalance.count--;
    memmove(worker->rebalance.events, worker->rebalance.events + 1,
            worker->rebalance.count * sizeof(worker->rebalance.events[0]));
    worker->rebalance.step = REBALANCE_NONE;
}

/* What is revoked cooperatively is followed by an assignment, even of nothing; only then librdkafka
 * joins again. */
static void finish_revoke(struct mr_worker *worker)
{
    bool joins_again =
        rebalance_is_cooperative(worker) && rd_kafka_assignment_lost(worker->rk) == 0;
    unassign(worker, rd_kafka_event_topic_partition_list(worker->rebalance.events[0]));
    take_first_out(worker);
    worker->rebalance.joins_again = joins_again;
    if (worker->phase == WORKER_RUNNING) {
        commit_calmly(worker);
    }
}

static void begin_revoke(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    int64_t wait_ms = worker->max_poll_interval_ms / 2;
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition =
            partition_find(worker, list->elems[i].topic, list->elems[i].partition);
        if (partition != NULL) {
            partition_drain(partition);
        }
    }
    wait_ms = wait_ms < WORKER_REVOKE_WAIT_MAX_MS ? wait_ms : WORKER_REVOKE_WAIT_MAX_MS;
    worker->rebalance.step = REBALANCE_DRAIN;
    worker->rebalance.deadline_ms = worker_now_ms(worker) + wait_ms;
}

typedef bool partition_test(const struct partition *partition);

static bool is_committed(const struct partition *partition)
{
    return !commit_is_owed(partition);
}

static bool all_are(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list,
                    partition_test *test)
{
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition =
            partition_find(worker, list->elems[i].topic, list->elems[i].partition);
        if (partition != NULL && !test(partition)) {
            return false;
        }
    }
    return true;
}

static void go_on_revoking(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    int64_t now = worker_now_ms(worker);
    if (rd_kafka_assignment_lost(worker->rk)) {
        mr_log(MR_LOG_WARN, "partitions are lost: not committed", MR_INT("partitions", list->cnt));
        readiness_set(worker->spec.readiness, "group", false, "the partitions were lost");
        finish_revoke(worker);
        return;
    }
    if (worker->rebalance.step == REBALANCE_DRAIN &&
        (all_are(worker, list, partition_is_drained) || now >= worker->rebalance.deadline_ms)) {
        worker->rebalance.step = REBALANCE_COMMIT;
        worker->rebalance.deadline_ms = now + WORKER_COMMIT_WAIT_MS;
        commit_now(worker);
    }
    if (worker->rebalance.step == REBALANCE_COMMIT &&
        (all_are(worker, list, is_committed) || worker->commit.refused ||
         now >= worker->rebalance.deadline_ms)) {
        finish_revoke(worker);
        return;
    }
    worker_at(worker, worker->rebalance.deadline_ms);
}

/* At once, whatever it is. */
static void answer_first(struct mr_worker *worker)
{
    rd_kafka_event_t *event = worker->rebalance.events[0];
    rd_kafka_resp_err_t kind = rd_kafka_event_error(event);
    if (kind == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        finish_revoke(worker);
        return;
    }
    if (kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(worker, rd_kafka_event_topic_partition_list(event));
        if (worker->rebalance.joins_again) {
            worker->rebalance.joining_until_ms =
                worker_now_ms(worker) + worker->max_poll_interval_ms;
        }
        worker->rebalance.joins_again = false;
    } else {
        log_error("rebalance", NULL, kind);
        log_error("unassign", NULL, rd_kafka_assign(worker->rk, NULL));
    }
    take_first_out(worker);
}

void rebalance_add(struct mr_worker *worker, rd_kafka_event_t *event)
{
    if (worker->rebalance.count == MR_COUNT_OF(worker->rebalance.events)) {
        /* librdkafka waits for the answer to one before it sends another. */
        mr_log(MR_LOG_ERROR, "too many rebalances at once: the oldest is cut short");
        answer_first(worker);
    }
    worker->rebalance.joining_until_ms = 0;
    worker->rebalance.events[worker->rebalance.count++] = event;
}

void rebalance_run(struct mr_worker *worker)
{
    while (worker->rebalance.count > 0) {
        rd_kafka_event_t *event = worker->rebalance.events[0];
        rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
        rd_kafka_resp_err_t kind = rd_kafka_event_error(event);
        if (kind != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS || worker->phase >= WORKER_CLOSING) {
            answer_first(worker);
        } else {
            size_t count = worker->rebalance.count;
            if (worker->rebalance.step == REBALANCE_NONE) {
                begin_revoke(worker, list);
            }
            go_on_revoking(worker, list);
            if (worker->rebalance.count == count) {
                return; /* it goes on */
            }
        }
    }
}

void rebalance_finish(struct mr_worker *worker)
{
    if (worker->rebalance.count > 0 &&
        rd_kafka_event_error(worker->rebalance.events[0]) == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        finish_revoke(worker);
    }
}

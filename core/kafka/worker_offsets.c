// SPDX-License-Identifier: Apache-2.0
/* Where a partition's log begins and ends. Happy path: the end is reached -> what lies before it
 * and is no record is passed over in the books, and so committed. What can go wrong: nothing is
 * committed yet (`start` says where to begin); Kafka doesn't have the offset that comes next,
 * because retention has deleted it, or the topic was cut or made anew: Kafka is asked for what it
 * has, `offset.lost` says where to go on, and what is missed is logged and counted; it has the
 * offset after all (who refused it was no leader any more): read on. librdkafka
 * would decide by itself and say nothing of what is lost (auto.offset.reset); we let it stop
 * instead, and assign the partition again with an offset. A partition that is not being read,
 * because enough of it is in memory, learns nothing of its end from fetches: Kafka is asked every
 * few seconds. */
#include "kafka/worker_internal.h"

/* --- what comes on the queue of a partition --- */

static int64_t offset_of(rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *row = rd_kafka_event_topic_partition(event);
    int64_t offset = RD_KAFKA_OFFSET_INVALID;
    if (row != NULL) {
        offset = row->offset;
        rd_kafka_topic_partition_destroy(row);
    }
    return offset;
}

static void reach_end(struct partition **partition, int64_t offset)
{
    if (offset < 0 || (*partition)->gone) {
        return;
    }
    if (offset <= (*partition)->ledger.received) { /* there is less than we have read */
        struct partition *renewed = partition_begin_anew(*partition, offset);
        if (renewed == NULL) {
            return; /* no memory: the next record will tell the same */
        }
        *partition = renewed;
    }
    ledger_pass(&(*partition)->ledger, offset);
    offsets_heard(*partition);
    (*partition)->end = offset;
    worker_soon((*partition)->worker);
}

bool offsets_take(struct partition **partition, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR) {
        return false;
    }
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reach_end(partition, offset_of(event));
    } else if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        (*partition)->lost.is = true;
        (*partition)->lost.offset = offset_of(event);
        if ((*partition)->lost.since_ms == 0) {
            (*partition)->lost.since_ms = worker_now_ms((*partition)->worker);
            (*partition)->lost.end = -1;
        }
        worker_soon((*partition)->worker);
    } else {
        return false;
    }
    rd_kafka_event_destroy(event);
    return true;
}

void offsets_untold(struct mr_worker *worker)
{
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        bool has_position = p->start != RD_KAFKA_OFFSET_INVALID || p->ledger.received >= 0;
        if (!has_position && !p->lost.is) {
            p->lost.is = true;
            p->lost.untold = true;
            p->lost.offset = RD_KAFKA_OFFSET_STORED;
            p->lost.due_ms = worker_now_ms(worker) + WORKER_LOST_AGAIN_MS;
        }
    }
    worker_soon(worker);
}

/* With the last of them the group is well again, if that was the reason why it was not. */
void offsets_heard(struct partition *partition)
{
    struct mr_worker *worker = partition->worker;
    bool was_untold = partition->lost.untold;
    partition->lost.since_ms = 0;
    partition->lost.untold = false;
    for (const struct partition *p = worker->partitions; was_untold && p != NULL; p = p->next) {
        was_untold = !p->lost.untold;
    }
    if (was_untold) {
        readiness_set(worker->spec.readiness, "group", true, NULL);
    }
}

/* --- going on somewhere else --- */

static bool is_due(const struct partition *partition)
{
    return partition->lost.is && !partition->gone && partition->state == PARTITION_ACTIVE &&
           worker_now_ms(partition->worker) >= partition->lost.due_ms;
}

static bool some_are_lost(const struct mr_worker *worker)
{
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (is_due(p)) {
            return true;
        }
    }
    return false;
}

static void add(rd_kafka_topic_partition_list_t *list, const struct partition *partition,
                int64_t offset)
{
    rd_kafka_topic_partition_list_add(list, partition->topic, partition->number)->offset = offset;
}

static void log_error(const char *what, rd_kafka_error_t *error)
{
    if (error != NULL) {
        mr_log(MR_LOG_ERROR, what, MR_STR("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
}

/* With an eager assignor all are assigned again: each from where it is. What librdkafka had fetched
 * it fetches again, also the record that there was no memory for. */
static void assign_all(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t error;
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->stalled != NULL) {
            rd_kafka_event_destroy(p->stalled);
            p->stalled = NULL;
        }
        add(list, p, p->ledger.received >= 0 ? p->ledger.received + 1 : p->start);
    }
    error = rd_kafka_assign(worker->rk, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_log(MR_LOG_ERROR, "assign", MR_STR("reason", rd_kafka_err2str(error)));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* `list` says from where; each of them has it as its `start` too. */
static void assign_again(struct mr_worker *worker, rd_kafka_topic_partition_list_t *list)
{
    if (list->cnt == 0) {
        return;
    }
    if (rebalance_is_cooperative(worker)) {
        log_error("unassign", rd_kafka_incremental_unassign(worker->rk, list));
        log_error("assign", rd_kafka_incremental_assign(worker->rk, list));
    } else {
        assign_all(worker);
    }
}

static void found(struct partition *partition, int64_t offset,
                  rd_kafka_topic_partition_list_t *list)
{
    partition->lost.is = false;
    partition->lost.due_ms = worker_now_ms(partition->worker) + WORKER_LOST_AGAIN_MS;
    partition->start = offset;
    add(list, partition, offset);
}

/* Nothing is committed, or it is to be asked for again. `start` speaks of groups: what was written
 * to a partition that was added later, before anybody saw it, is read too. */
static int64_t start_of(const struct partition *partition)
{
    bool is_earliest = partition->worker->spec.options->start == WORKER_FROM_EARLIEST;
    if (partition->lost.offset == RD_KAFKA_OFFSET_STORED) {
        return RD_KAFKA_OFFSET_INVALID;
    }
    return is_earliest || partition->is_added ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
}

static void begin_new_ones(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (is_due(p) && p->lost.offset < 0) {
            found(p, start_of(p), list);
        }
    }
    assign_again(worker, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- what was next is not there --- */

bool offsets_go_on(enum worker_from from, int64_t lost, const struct offsets_log *log,
                   bool is_proven, int64_t *ret_next, int64_t *ret_missed)
{
    int64_t unread = log->begin; /* the first that Kafka had, or has, and that wasn't read */
    bool has_it = lost >= log->begin && lost <= log->end;
    if (lost > log->end && !is_proven) {
        return false;
    }
    if (has_it && (log->younger < 0 || log->younger >= lost)) {
        *ret_next = lost;
        *ret_missed = 0;
        return true;
    }
    if (has_it && log->younger > unread) {
        unread = log->younger;
    }
    *ret_next = from == WORKER_FROM_EARLIEST ? unread : has_it ? lost : log->end;
    unread = lost < unread ? lost : unread;
    *ret_missed = *ret_next - unread;
    return true;
}

/* Returns NULL, and nothing has changed, without memory. */
static struct partition *go_on_at(struct partition *partition, int64_t offset)
{
    return offset > partition->ledger.received ? partition
                                               : partition_begin_anew(partition, offset);
}

static void log_missed(const struct partition *partition, const struct offsets_log *log,
                       int64_t next, int64_t missed)
{
    mr_log(missed > 0 ? MR_LOG_ERROR : MR_LOG_WARN,
           missed > 0 ? "records are missed: Kafka does not have what comes next"
                      : "Kafka does not have what comes next",
           MR_STR("topic", partition->topic), MR_INT("partition", partition->number),
           MR_INT("next", partition->lost.offset), MR_INT("begins", log->begin),
           MR_INT("ends", log->end), MR_INT("goes_on", next), MR_INT("missed", missed));
}

/* What was cut off doesn't grow. */
static bool is_proven(struct partition *partition, const struct offsets_log *log)
{
    const struct mr_worker *worker = partition->worker;
    if (partition->lost.end < 0) {
        partition->lost.end = log->end;
    }
    return log->end > partition->lost.end ||
           worker_now_ms(worker) - partition->lost.since_ms >= worker->offsets.proof_ms;
}

static void look_again(struct partition *partition, const struct offsets_log *log)
{
    struct mr_worker *worker = partition->worker;
    int64_t now = worker_now_ms(worker);
    mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS,
                   "Kafka's log ends before what comes next: asked again",
                   MR_STR("topic", partition->topic), MR_INT("partition", partition->number),
                   MR_INT("next", partition->lost.offset), MR_INT("ends", log->end));
    partition->lost.due_ms = now + WORKER_LOST_WATCH_MS;
    worker_at(worker, partition->lost.due_ms);
    if (now - worker->probe.began_ms >= WORKER_NET_MS) {
        worker->probe.due_ms = 0; /* who leads it now? */
    }
}

static void resume(struct partition *partition, const struct offsets_log *log,
                   rd_kafka_topic_partition_list_t *list)
{
    enum worker_from from = (enum worker_from)partition->worker->spec.options->offset_lost;
    int64_t lost = partition->lost.offset;
    int64_t missed;
    int64_t next;
    if (!offsets_go_on(from, lost, log, is_proven(partition, log), &next, &missed)) {
        look_again(partition, log);
        return;
    }
    if (next != lost || missed > 0) {
        log_missed(partition, log, next, missed);
        partition = go_on_at(partition, next);
        if (partition == NULL) {
            return;
        }
        lag_missed(partition, (uint64_t)missed);
        ledger_pass(&partition->ledger, next);
    }
    found(partition, next, list);
}

static const rd_kafka_topic_partition_t *row_of(rd_kafka_topic_partition_list_t *list,
                                                const struct partition *partition)
{
    const rd_kafka_topic_partition_t *row =
        rd_kafka_topic_partition_list_find(list, partition->topic, partition->number);
    return row != NULL && row->err == RD_KAFKA_RESP_ERR_NO_ERROR && row->offset >= 0 ? row : NULL;
}

static void take_answer(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    struct partition *next;
    for (struct partition *p = worker->partitions; p != NULL; p = next) {
        const rd_kafka_topic_partition_t *end = row_of(worker->offsets.ends, p);
        const rd_kafka_topic_partition_t *begin = row_of(worker->offsets.begins, p);
        const rd_kafka_topic_partition_t *younger = row_of(worker->offsets.younger, p);
        next = p->next; /* the one that takes its place comes first in the list */
        if (end == NULL) {
            continue;
        }
        if (begin != NULL && is_due(p) && p->lost.offset >= 0) {
            const struct offsets_log log = {begin->offset, end->offset,
                                            younger != NULL ? younger->offset : -1};
            resume(p, &log, list);
        } else if (!p->gone && !p->lost.is) {
            p->end = end->offset > p->end ? end->offset : p->end;
        }
    }
    assign_again(worker, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- asking Kafka --- */

/* Its special times, which ask for the ends of the log, are librdkafka's logical offsets. */
static void ask(uv_work_t *work)
{
    struct mr_worker *worker;
    rd_kafka_resp_err_t error;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    error = rd_kafka_offsets_for_times(worker->rk, worker->offsets.ends, WORKER_PROBE_TIMEOUT_MS);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && worker->offsets.begins->cnt > 0) {
        error =
            rd_kafka_offsets_for_times(worker->rk, worker->offsets.begins, WORKER_PROBE_TIMEOUT_MS);
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && worker->offsets.younger->cnt > 0) {
        error = rd_kafka_offsets_for_times(worker->rk, worker->offsets.younger,
                                           WORKER_PROBE_TIMEOUT_MS);
    }
    worker->offsets.error = error;
}

static void forget_lists(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_destroy(worker->offsets.ends);
    rd_kafka_topic_partition_list_destroy(worker->offsets.begins);
    rd_kafka_topic_partition_list_destroy(worker->offsets.younger);
}

static void put_off(struct mr_worker *worker)
{
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (is_due(p)) {
            p->lost.due_ms = worker_now_ms(worker) + WORKER_LOST_AGAIN_MS;
        }
    }
}

static void after_ask(uv_work_t *work, int status)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    (void)status; /* never cancelled */
    worker->offsets.under_way = false;
    if (worker->offsets.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "Kafka does not say where logs end",
                       MR_STR("reason", rd_kafka_err2str(worker->offsets.error)));
    } else if (worker->phase == WORKER_RUNNING && worker->rebalance.count == 0) {
        take_answer(worker);
    }
    forget_lists(worker);
    put_off(worker); /* those that are still lost */
    worker_soon(worker);
}

/* Before 2.2.0 librdkafka looks whether a queue that was full has room again when something comes
 * from or goes to the partition's leader, or else after a second, in which a quick worker stands
 * still. Our question is something that goes there. */
static bool some_are_to_be_fetched(const struct mr_worker *worker)
{
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->fetched.was_full) {
            return rd_kafka_version() < 0x020200ff;
        }
    }
    return false;
}

static void list_all(struct mr_worker *worker, bool with_full)
{
    worker->offsets.ends = rd_kafka_topic_partition_list_new(8);
    worker->offsets.begins = rd_kafka_topic_partition_list_new(8);
    worker->offsets.younger = rd_kafka_topic_partition_list_new(8);
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        bool is_lost = is_due(p) && p->lost.offset >= 0;
        if (is_lost) {
            add(worker->offsets.begins, p, RD_KAFKA_OFFSET_BEGINNING);
        }
        if (is_lost && p->newest_ms >= 0) {
            add(worker->offsets.younger, p, p->newest_ms + 1);
        }
        if (is_lost || p->fetched.was_full || (with_full && !p->gone && partition_is_full(p))) {
            add(worker->offsets.ends, p, RD_KAFKA_OFFSET_END);
        }
        p->fetched.was_full = false;
    }
}

static void begin_asking(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    bool with_full = now >= worker->offsets.due_ms;
    bool wakes = some_are_to_be_fetched(worker);
    if (wakes && now < worker->offsets.wake_ms) {
        worker_at(worker, worker->offsets.wake_ms);
        wakes = false;
    }
    if (worker->offsets.under_way || (!with_full && !wakes && !some_are_lost(worker))) {
        return;
    }
    if (wakes) {
        worker->offsets.wake_ms = now + WORKER_WAKE_MS;
    }
    list_all(worker, with_full);
    if (with_full) {
        worker->offsets.due_ms = now + WORKER_PROBE_INTERVAL_MS;
    }
    worker->offsets.work.data = worker;
    worker->offsets.under_way =
        worker->offsets.ends->cnt > 0 &&
        uv_queue_work(worker->loop, &worker->offsets.work, ask, after_ask) == 0;
    if (!worker->offsets.under_way) {
        forget_lists(worker);
    }
}

void offsets_run(struct mr_worker *worker)
{
    if (worker->phase == WORKER_RUNNING && worker->rebalance.count == 0) {
        if (some_are_lost(worker)) {
            begin_new_ones(worker);
        }
        begin_asking(worker);
    }
}

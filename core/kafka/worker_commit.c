// SPDX-License-Identifier: Apache-2.0
/* Happy path: each commit.interval, one commit of every partition whose prefix has moved, or whose
 * attempts have (they are the commit's metadata: attempt_table.h) -> Kafka confirms -> the ledgers
 * note it. What can go wrong: a commit fails (the group is rebalancing, the
 * coordinator is away): said, and tried again with the newest prefixes, which are never lower: at
 * the next commit.interval, or soon if somebody waits for it. Only one commit is in flight, so that
 * an old one can't overtake a new one.
 *
 * While we join the group again Kafka doesn't read on from that connection: a commit would reach it
 * when the generation that it names is over, and librdkafka would take all partitions for lost. It
 * waits until the group has answered, for which Kafka takes max.poll.interval.ms at most: so long
 * another member may need to let go. */
#include <string.h>

#include "kafka/worker_internal.h"

static int64_t offset_owed(const struct partition *partition)
{
    int64_t offset = ledger_to_commit(&partition->ledger);
    if (partition->gone) { /* it may be another topic's already */
        return -1;
    }
    return offset < 0 && retry_is_untold(partition) ? ledger_position(&partition->ledger) : offset;
}

bool commit_is_owed(const struct partition *partition)
{
    return offset_owed(partition) >= 0;
}

/* Each commit replaces the metadata of the one before it. */
static void add_metadata(struct partition *partition, rd_kafka_topic_partition_t *row)
{
    struct attempt_table table;
    char text[ATTEMPT_TABLE_BYTES];
    retry_tell(partition, &table);
    row->metadata_size = attempt_table_write(&table, row->offset, text);
    if (row->metadata_size > 0) {
        row->metadata = rd_kafka_mem_malloc(partition->worker->rk, row->metadata_size);
        memcpy(row->metadata, text, row->metadata_size);
    }
}

static rd_kafka_topic_partition_list_t *list_prefixes(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        rd_kafka_topic_partition_t *row;
        int64_t offset = offset_owed(p);
        if (offset < 0) {
            continue;
        }
        if (list == NULL) {
            list = rd_kafka_topic_partition_list_new(8);
        }
        row = rd_kafka_topic_partition_list_add(list, p->topic, p->number);
        row->offset = offset;
        add_metadata(p, row);
        p->commit_serial = worker->commit.serial + 1;
    }
    return list;
}

static void begin(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = list_prefixes(worker);
    rd_kafka_resp_err_t error;
    if (list == NULL) {
        worker->commit.urgent = false;
        return;
    }
    worker->commit.again_ms = worker_now_ms(worker) + WORKER_COMMIT_AGAIN_MS;
    error = rd_kafka_commit_queue(worker->rk, list, worker->answers, NULL, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    worker->commit.serial++;
    worker->commit.due_ms = worker_now_ms(worker) + worker->spec.options->commit_interval_ms;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "commit failed",
                       MR_STR("reason", rd_kafka_err2str(error)));
        return;
    }
    worker->commit.in_flight = true;
    worker->commit.was_urgent = worker->commit.urgent;
    worker->commit.urgent = false;
}

void commit_run(struct mr_worker *worker)
{
    int64_t due = worker->commit.urgent ? worker->commit.again_ms : worker->commit.due_ms;
    if (worker->commit.in_flight || worker->phase > WORKER_COMMITTING) {
        return;
    }
    due = due > worker->rebalance.joining_until_ms ? due : worker->rebalance.joining_until_ms;
    if (worker_now_ms(worker) >= due) {
        begin(worker);
    } else {
        worker_at(worker, due);
    }
}

void commit_now(struct mr_worker *worker)
{
    worker->commit.urgent = true;
    worker->commit.again_ms = 0;
    worker->commit.refused = false;
    worker_soon(worker);
}

void commit_soon(struct mr_worker *worker)
{
    if (!worker->commit.in_flight && !worker->fatal) { /* the next run asks again */
        worker->commit.urgent = true;
    }
}

void commit_calmly(struct mr_worker *worker)
{
    worker->commit.urgent = false;
    worker->commit.was_urgent = false;
}

/* Our place in the group has been given away, or will be only when we have let go: trying again
 * before that is in vain. Anything else may succeed soon. */
static void note_failure(struct mr_worker *worker, rd_kafka_resp_err_t error)
{
    worker_metrics_commit_failed(worker);
    if (error == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
        error == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
        error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
        error == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) {
        worker->commit.refused = true;
    } else {
        worker->commit.urgent = worker->commit.urgent || worker->commit.was_urgent;
    }
}

static void confirm(struct mr_worker *worker, const rd_kafka_topic_partition_t *row)
{
    struct partition *partition = partition_find(worker, row->topic, row->partition);
    /* It may have gone, and even have come back, since the commit was sent. */
    if (partition == NULL || partition->commit_serial != worker->commit.serial) {
        return;
    }
    if (row->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        note_failure(worker, row->err);
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "commit failed",
                       MR_STR("topic", row->topic), MR_INT("partition", row->partition),
                       MR_INT("offset", row->offset), MR_STR("reason", rd_kafka_err2str(row->err)));
        return;
    }
    ledger_committed(&partition->ledger, row->offset);
    retry_confirmed(partition);
    mr_gauge_set(partition->metrics.committed, partition->ledger.committed);
}

void commit_answered(struct mr_worker *worker, rd_kafka_event_t *answer)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(answer);
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(answer);
    bool failed = error != RD_KAFKA_RESP_ERR_NO_ERROR;
    worker->commit.in_flight = false;
    if (failed) {
        note_failure(worker, error);
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS, "commit failed",
                       MR_STR("reason", rd_kafka_event_error_string(answer)));
        return;
    }
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        confirm(worker, &list->elems[i]);
    }
}

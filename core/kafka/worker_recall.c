// SPDX-License-Identifier: Apache-2.0
/* Happy path: a partition is assigned -> the group's commit of it is asked for, with its metadata
 * -> the attempts told there are kept until their records come -> the partition is read. What can
 * go wrong: the coordinator doesn't answer (asked again; librdkafka couldn't begin to read without
 * it either); the metadata is not ours, or is broken (said, and nothing is known of earlier
 * attempts); the partition goes meanwhile (the answer finds it no more). */
#include "kafka/worker_internal.h"

static void add_once(rd_kafka_topic_partition_list_t *list, const char *topic, int32_t number)
{
    if (rd_kafka_topic_partition_list_find(list, topic, number) == NULL) {
        (void)rd_kafka_topic_partition_list_add(list, topic, number);
    }
}

/* Of each topic the first partition too, whoever has it: see note_beginning. */
static rd_kafka_topic_partition_list_t *take_needed(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->recall == RECALL_NEEDED) {
            if (list == NULL) {
                list = rd_kafka_topic_partition_list_new(8);
            }
            add_once(list, p->topic, p->number);
            add_once(list, p->topic, 0);
            p->recall = RECALL_ASKED;
        }
    }
    return list;
}

static void ask_coordinator(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(worker->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(worker->group, list);
    char errstr[WORKER_REASON_BYTES];
    (void)rd_kafka_AdminOptions_set_request_timeout(options, WORKER_RECALL_TIMEOUT_MS, errstr,
                                                    sizeof(errstr));
    rd_kafka_ListConsumerGroupOffsets(worker->rk, &request, 1, options, worker->answers);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_AdminOptions_destroy(options);
}

/* In libuv's thread pool, and so only if need be: a stop has to wait for it. */
static void ask_as_member(uv_work_t *work)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    worker->recall.error =
        rd_kafka_committed(worker->rk, worker->recall.list, WORKER_RECALL_TIMEOUT_MS);
}

static void after_ask(uv_work_t *work, int status);

/* ListConsumerGroupOffsets asks the coordinator that it once found again and again, also when that
 * is frozen and the group has moved to another. The consumer knows better, but blocks. */
static void begin(struct mr_worker *worker, rd_kafka_topic_partition_list_t *list)
{
    worker->recall.under_way = true;
    if (!worker->recall.as_member) {
        ask_coordinator(worker, list);
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    worker->recall.list = list;
    worker->recall.work.data = worker;
    if (uv_queue_work(worker->loop, &worker->recall.work, ask_as_member, after_ask) != 0) {
        worker->recall.error = RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        after_ask(&worker->recall.work, 0);
    }
}

void recall_run(struct mr_worker *worker)
{
    rd_kafka_topic_partition_list_t *list;
    if (worker->recall.under_way || worker->phase != WORKER_RUNNING) {
        return;
    }
    if (worker_now_ms(worker) < worker->recall.due_ms) {
        worker_at(worker, worker->recall.due_ms);
        return;
    }
    list = take_needed(worker);
    if (list != NULL) {
        begin(worker, list);
    }
}

static void recall(struct partition *partition, const rd_kafka_topic_partition_t *row)
{
    struct attempt_table *kept = &partition->retries.kept;
    struct mr_error err;
    partition->recall = RECALL_DONE;
    if (row->offset < 0) { /* nothing was ever committed */
        return;
    }
    if (attempt_table_read(mr_slice(row->metadata, row->metadata_size), row->offset, kept, &err) !=
        0) {
        mr_log(MR_LOG_WARN, "what was tried before is not known: foreign metadata",
               MR_STR("topic", partition->topic), MR_INT("partition", partition->number),
               MR_INT("offset", row->offset), MR_STR("reason", err.text));
    } else if (kept->count > 0) {
        mr_log(MR_LOG_INFO, "records were tried before", MR_STR("topic", partition->topic),
               MR_INT("partition", partition->number), MR_INT("records", kept->count));
    }
}

/* A group commits each partition that it has begun to read, also at its end. So if it has committed
 * the first one and not this one, this one was added later. (Or its topic was gone: make().) */
static void note_beginning(struct partition *partition, const rd_kafka_topic_partition_t *row,
                           const rd_kafka_topic_partition_t *first)
{
    partition->is_added = row->offset < 0 && (partition->is_added || first->offset >= 0);
    if (partition->is_added) {
        mr_log(MR_LOG_INFO, "an added partition: read from its beginning",
               MR_STR("topic", partition->topic), MR_INT("partition", partition->number));
    }
}

/* Returns the reason if some are to be asked for again. */
static const char *take_rows(struct mr_worker *worker, const rd_kafka_topic_partition_list_t *list)
{
    const char *reason = NULL;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *row = &list->elems[i];
        const rd_kafka_topic_partition_t *first =
            rd_kafka_topic_partition_list_find(list, row->topic, 0);
        struct partition *partition = partition_find(worker, row->topic, row->partition);
        /* It may have gone, and even have come back, since it was asked for. */
        if (partition == NULL || partition->recall != RECALL_ASKED) {
            continue;
        }
        if (row->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            reason = rd_kafka_err2str(row->err);
        } else if (first == NULL || first->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            reason = "the first partition's is not known";
        } else {
            note_beginning(partition, row, first);
            recall(partition, row);
        }
    }
    return reason;
}

static const char *take_groups(struct mr_worker *worker, rd_kafka_event_t *answer)
{
    const rd_kafka_ListConsumerGroupOffsets_result_t *result =
        rd_kafka_event_ListConsumerGroupOffsets_result(answer);
    const char *reason = NULL;
    size_t count = 0;
    const rd_kafka_group_result_t **groups =
        rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count);
    for (size_t i = 0; i < count && reason == NULL; i++) {
        const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[i]);
        reason = error != NULL ? rd_kafka_error_string(error)
                               : take_rows(worker, rd_kafka_group_result_partitions(groups[i]));
    }
    return reason;
}

/* `reason` if not all is known. */
static void end(struct mr_worker *worker, const char *reason)
{
    worker->recall.under_way = false;
    worker->recall.due_ms = 0;
    worker->recall.as_member = reason != NULL;
    for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (p->recall == RECALL_ASKED) {
            p->recall = RECALL_NEEDED;
            worker->recall.due_ms = worker_now_ms(worker) + WORKER_RECALL_AGAIN_MS;
        }
    }
    if (worker->recall.due_ms > 0) {
        mr_log_limited(MR_LOG_WARN, WORKER_LOG_INTERVAL_MS,
                       "what was tried before is asked for again",
                       MR_STR("reason", reason == NULL ? "no answer" : reason));
    }
    worker_soon(worker);
}

void recall_answered(struct mr_worker *worker, rd_kafka_event_t *answer)
{
    end(worker, rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR
                    ? rd_kafka_event_error_string(answer)
                    : take_groups(worker, answer));
}

static void after_ask(uv_work_t *work, int status)
{
    struct mr_worker *worker;
    rd_kafka_topic_partition_list_t *list;
    (void)status; /* never cancelled */
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    list = worker->recall.list;
    worker->recall.list = NULL;
    end(worker, worker->recall.error != RD_KAFKA_RESP_ERR_NO_ERROR
                    ? rd_kafka_err2str(worker->recall.error)
                    : take_rows(worker, list));
    rd_kafka_topic_partition_list_destroy(list);
}

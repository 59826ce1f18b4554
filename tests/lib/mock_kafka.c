// SPDX-License-Identifier: Apache-2.0
#include "lib/mock_kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/tsan_threads.h"

enum { WAIT_MS = 60000, BROKERS = 1, BROKER = 1 /* its id */ };

/* A failed set-up is not a failed check: stop with its words. */
static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "mock_kafka: %s\n", what);
        abort();
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, const char *const *settings)
{
    char errstr[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    if (bootstrap != NULL) {
        need(rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, errstr, sizeof errstr) ==
                 RD_KAFKA_CONF_OK,
             errstr);
    }
    for (; settings != NULL && settings[0] != NULL; settings += 2) {
        need(rd_kafka_conf_set(conf, settings[0], settings[1], errstr, sizeof errstr) ==
                 RD_KAFKA_CONF_OK,
             errstr);
    }
    rd_kafka_conf_set_log_cb(conf, NULL); /* the outages of a test are meant */
    rk = rd_kafka_new(type, conf, errstr, sizeof errstr);
    need(rk != NULL, errstr);
    return rk;
}

void mock_kafka_start(struct mock_kafka *mock)
{
#if defined(__SANITIZE_THREAD__)
    need(tsan_threads_are_posix == 1, "librdkafka's threads are unknown to the sanitizer");
#endif
    mock->rk = client(RD_KAFKA_PRODUCER, NULL, NULL);
    mock->cluster = rd_kafka_mock_cluster_new(mock->rk, BROKERS);
    need(mock->cluster != NULL, "no cluster");
    mock->bootstrap = rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

void mock_kafka_stop(struct mock_kafka *mock)
{
    rd_kafka_mock_cluster_destroy(mock->cluster);
    rd_kafka_destroy(mock->rk);
    memset(mock, 0, sizeof *mock);
}

void mock_kafka_create_topic(struct mock_kafka *mock, const char *topic, int partitions)
{
    need(rd_kafka_mock_topic_create(mock->cluster, topic, partitions, 1) == 0, topic);
}

void mock_kafka_set_up(struct mock_kafka *mock, bool up)
{
    rd_kafka_resp_err_t error = up ? rd_kafka_mock_broker_set_up(mock->cluster, BROKER)
                                   : rd_kafka_mock_broker_set_down(mock->cluster, BROKER);
    need(error == 0, rd_kafka_err2str(error));
}

void mock_kafka_set_rtt(struct mock_kafka *mock, int rtt_ms)
{
    need(rd_kafka_mock_broker_set_rtt(mock->cluster, BROKER, rtt_ms) == 0, "rtt");
}

void mock_kafka_push_error(struct mock_kafka *mock, int16_t api, rd_kafka_resp_err_t error,
                           size_t times)
{
    for (size_t i = 0; i < times; i++) {
        rd_kafka_mock_push_request_errors(mock->cluster, api, 1, error);
    }
}

void mock_kafka_clear_errors(struct mock_kafka *mock, int16_t api)
{
    rd_kafka_mock_clear_request_errors(mock->cluster, api);
}

static rd_kafka_headers_t *headers_of(const struct kafka_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        need(rd_kafka_header_add(headers, header->name, -1, header->value.ptr,
                                 (ssize_t)header->value.len) == 0,
             "header");
    }
    return headers;
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    need(message->err == 0, rd_kafka_message_errstr(message));
    *(int64_t *)message->_private = message->offset;
}

int64_t mock_kafka_produce(struct mock_kafka *mock, const char *topic, int32_t partition,
                           const struct kafka_record *record)
{
    char errstr[512];
    int64_t offset = -1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    rd_kafka_resp_err_t error;
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", mock->bootstrap, errstr, sizeof errstr);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof errstr);
    need(rk != NULL, errstr);
    error = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.ptr, record->value.len),
        RD_KAFKA_V_KEY(record->key.ptr, record->key.len), RD_KAFKA_V_HEADERS(headers_of(record)),
        RD_KAFKA_V_OPAQUE(&offset), RD_KAFKA_V_END);
    need(error == 0, rd_kafka_err2str(error));
    need(rd_kafka_flush(rk, WAIT_MS) == 0, "produce: no delivery report");
    rd_kafka_destroy(rk);
    return offset;
}

static void take(struct mock_records *records, rd_kafka_message_t *message)
{
    struct mock_record *record;
    rd_kafka_headers_t *headers;
    const void *value;
    if ((records->count & (records->count - 1)) == 0) { /* 0, 1, 2, 4, 8... full: double it */
        size_t capacity = records->count == 0 ? 1 : records->count * 2;
        records->at = realloc(records->at, capacity * sizeof *records->at);
        need(records->at != NULL, "out of memory");
    }
    record = &records->at[records->count++];
    memset(record, 0, sizeof *record);
    record->message = message;
    record->partition = message->partition;
    record->offset = message->offset;
    record->timestamp_ms = rd_kafka_message_timestamp(message, NULL);
    record->record.key = mr_slice(message->key, message->key_len);
    record->record.value = mr_slice(message->payload, message->len);
    if (rd_kafka_message_headers(message, &headers) == 0) {
        size_t i;
        for (i = 0; i < KAFKA_HEADERS_MAX; i++) {
            struct kafka_header *header = &record->headers[i];
            if (rd_kafka_header_get_all(headers, i, &header->name, &value, &header->value.len) !=
                0) {
                break;
            }
            header->value.ptr = value;
        }
        record->record.header_count = i;
    }
}

static void read_partition(rd_kafka_t *rk, const char *topic, int32_t partition,
                           struct mock_records *records)
{
    int64_t low = 0;
    int64_t high = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, WAIT_MS);
    need(error == 0, rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = low;
    need(rd_kafka_assign(rk, list) == 0, "assign");
    rd_kafka_topic_partition_list_destroy(list);
    for (int64_t next = low; next < high;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, WAIT_MS);
        need(message != NULL, "read: the records don't come");
        if (message->err != 0) {
            rd_kafka_message_destroy(message);
            continue;
        }
        next = message->offset + 1;
        take(records, message);
    }
}

void mock_kafka_read(struct mock_kafka *mock, const char *topic, struct mock_records *ret_records)
{
    static const char *const settings[] = {"group.id", "mock_kafka_read", "enable.auto.commit",
                                           "false", NULL};
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, mock->bootstrap, settings);
    rd_kafka_resp_err_t error = rd_kafka_metadata(rk, 1, NULL, &metadata, WAIT_MS);
    struct mock_records records = {NULL, 0, rk};
    need(error == 0, rd_kafka_err2str(error));
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        for (int p = 0; strcmp(found->topic, topic) == 0 && p < found->partition_cnt; p++) {
            read_partition(rk, topic, found->partitions[p].id, &records);
        }
    }
    rd_kafka_metadata_destroy(metadata);
    for (size_t i = 0; i < records.count; i++) { /* the array has stopped moving */
        records.at[i].record.headers = records.at[i].headers;
    }
    *ret_records = records;
}

void mock_records_free(struct mock_records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        rd_kafka_message_destroy(records->at[i].message);
    }
    free(records->at);
    (void)rd_kafka_consumer_close(records->rk);
    rd_kafka_destroy(records->rk);
    memset(records, 0, sizeof *records);
}

struct mr_slice mock_record_header(const struct mock_record *record, const char *name)
{
    for (size_t i = 0; i < record->record.header_count; i++) {
        if (strcmp(record->headers[i].name, name) == 0) {
            return record->headers[i].value;
        }
    }
    return mr_slice_of(NULL);
}

/* A client of the group that is no member, and the commit of a partition. */
static rd_kafka_t *ask_committed(struct mock_kafka *mock, const char *group, const char *topic,
                                 int32_t partition, rd_kafka_topic_partition_list_t **ret_list)
{
    const char *const settings[] = {"group.id", group, "enable.auto.commit", "false", NULL};
    rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, mock->bootstrap, settings);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t error;
    (void)rd_kafka_topic_partition_list_add(list, topic, partition);
    error = rd_kafka_committed(rk, list, WAIT_MS);
    need(error == 0, rd_kafka_err2str(error));
    *ret_list = list;
    return rk;
}

static void end_asking(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_topic_partition_list_destroy(list);
    (void)rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
}

int64_t mock_kafka_committed(struct mock_kafka *mock, const char *group, const char *topic,
                             int32_t partition)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_t *rk = ask_committed(mock, group, topic, partition, &list);
    int64_t offset = list->elems[0].offset;
    end_asking(rk, list);
    return offset < 0 ? -1 : offset;
}

void mock_kafka_metadata(struct mock_kafka *mock, const char *group, const char *topic,
                         int32_t partition, char *ret_text, size_t bytes)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_t *rk = ask_committed(mock, group, topic, partition, &list);
    size_t len = list->elems[0].metadata_size;
    need(len < bytes, "metadata: too long");
    if (len > 0) {
        memcpy(ret_text, list->elems[0].metadata, len);
    }
    ret_text[len] = '\0';
    end_asking(rk, list);
}

void mock_kafka_commit(struct mock_kafka *mock, const char *group, const char *topic,
                       int32_t partition, int64_t offset, const char *metadata)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_t *rk = ask_committed(mock, group, topic, partition, &list);
    rd_kafka_topic_partition_t *row = &list->elems[0];
    rd_kafka_resp_err_t error;
    row->offset = offset;
    row->metadata_size = strlen(metadata);
    row->metadata = rd_kafka_mem_malloc(rk, row->metadata_size);
    memcpy(row->metadata, metadata, row->metadata_size);
    error = rd_kafka_commit(rk, list, 0);
    need(error == 0, rd_kafka_err2str(error));
    end_asking(rk, list);
}

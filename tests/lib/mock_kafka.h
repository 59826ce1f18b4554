// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_MOCK_KAFKA_H
#define TESTS_LIB_MOCK_KAFKA_H

/* librdkafka's mock cluster inside the test process: one broker on 127.0.0.1, on a port of the
 * system's choice; our programs and other clients reach it as a Kafka. Any failure of the set-up
 * aborts the test. */

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "event/kafka_binding.h"

struct mock_kafka {
    rd_kafka_t *rk; /* the cluster's owner */
    rd_kafka_mock_cluster_t *cluster;
    const char *bootstrap; /* "127.0.0.1:40123" */
};

void mock_kafka_start(struct mock_kafka *mock);
void mock_kafka_stop(struct mock_kafka *mock);

void mock_kafka_create_topic(struct mock_kafka *mock, const char *topic, int partitions);

/* Down: connections are refused, and those that are open are closed. */
void mock_kafka_set_up(struct mock_kafka *mock, bool up);

/* Hold every answer back for so long ("frozen" is a very long one). */
void mock_kafka_set_rtt(struct mock_kafka *mock, int rtt_ms);

/* The next requests of this kind are answered with these errors, one each; `api` is Kafka's API
 * key (0: Produce, 1: Fetch, 8: OffsetCommit, 22: InitProducerId). */
enum { MOCK_API_PRODUCE = 0, MOCK_API_FETCH = 1, MOCK_API_OFFSET_COMMIT = 8 };
void mock_kafka_push_error(struct mock_kafka *mock, int16_t api, rd_kafka_resp_err_t error,
                           size_t times);
void mock_kafka_clear_errors(struct mock_kafka *mock, int16_t api);

/* Produce one record and wait until it is stored. partition -1: by the key. Returns its offset. */
int64_t mock_kafka_produce(struct mock_kafka *mock, const char *topic, int32_t partition,
                           const struct kafka_record *record);

/* A record that was read; its slices live until mock_kafka_records_free. */
struct mock_record {
    struct kafka_record record;
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    rd_kafka_message_t *message; /* private */
};

struct mock_records {
    struct mock_record *at;
    size_t count;
    rd_kafka_t *rk; /* private: must outlive the messages */
};

/* Everything that is in the topic now, partition by partition in the order of the offsets, with a
 * new client of its own. An unknown topic has no records. */
void mock_kafka_read(struct mock_kafka *mock, const char *topic, struct mock_records *ret_records);
void mock_records_free(struct mock_records *records);

/* The value of a header, absent (ptr NULL) if missing. */
struct mr_slice mock_record_header(const struct mock_record *record, const char *name);

/* The offset that a group has committed, -1: none. */
int64_t mock_kafka_committed(struct mock_kafka *mock, const char *group, const char *topic,
                             int32_t partition);

/* The metadata of that commit, terminated; at most `bytes`. */
void mock_kafka_metadata(struct mock_kafka *mock, const char *group, const char *topic,
                         int32_t partition, char *ret_text, size_t bytes);

/* Commit for a group that has no members. */
void mock_kafka_commit(struct mock_kafka *mock, const char *group, const char *topic,
                       int32_t partition, int64_t offset, const char *metadata);

#endif

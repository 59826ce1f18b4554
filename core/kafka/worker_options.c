// SPDX-License-Identifier: Apache-2.0
#include <millrace/worker.h>

#define ROW(key_, type_, field_) \
    .key = (key_), .type = (type_), .offset = offsetof(struct mr_worker_loop_options, field_)

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS, KIB = 1024, MIB = 1024 * KIB };

const struct mr_option mr_worker_loop_options[] = {
    {ROW("topic", MR_OPTION_STRING, topic), .initial = "events", .flags = MR_OPTION_REQUIRED,
     .text = "What to read: topics, separated by commas, or a regular expression that begins with "
             "^ (then dead.topic must be given)."},
    {ROW("group", MR_OPTION_STRING, group),
     .text = "The consumer group; the program's name unless given. Workers of one group share the "
             "partitions."},
    {ROW("topic.create", MR_OPTION_BOOLEAN, topic_create), .initial = "true",
     .text = "Create missing topics and dead-letter topics at start; otherwise wait for them."},
    {ROW("topic.partitions", MR_OPTION_INTEGER, topic_partitions), .initial = "0", .min = 0,
     .max = 10000, .unit = "partitions",
     .text = "Partitions of a topic that is created; 0: the broker's default."},
    {ROW("topic.replication", MR_OPTION_INTEGER, topic_replication), .initial = "0", .min = 0,
     .max = 100, .unit = "copies",
     .text = "Copies of each partition of a topic that is created; 0: the broker's default."},
    {ROW("start", MR_OPTION_ENUM, start), .initial = "earliest", .choices = "earliest|latest",
     .text = "Where a group begins that has committed nothing yet of a topic. Partitions that are "
             "added to the topic later are read from their beginning."},
    {ROW("offset.lost", MR_OPTION_ENUM, offset_lost), .initial = "earliest",
     .choices = "earliest|latest",
     .text =
         "Where reading goes on when Kafka no longer has what comes next (deleted before it was "
         "read, or the topic was cut or made anew): earliest: with the oldest record that is "
         "left; latest: with what comes from then on. What is missed is counted and logged."},
    {ROW("batch.count", MR_OPTION_INTEGER, batch_count_max), .initial = "5000", .min = 1,
     .max = 100000, .unit = "records", .text = "A batch has at most so many records."},
    {ROW("batch.bytes", MR_OPTION_SIZE, batch_bytes_max), .initial = "1MiB", .min = 1,
     .max = 256 * MIB,
     .text = "A batch is full when its keys and values reach this size; it has at least one "
             "record."},
    {ROW("batch.age", MR_OPTION_DURATION, batch_age_ms), .initial = "100ms", .min = 0,
     .max = HOUR_MS,
     .text = "A batch that is not full is handed over when its oldest record has waited so long."},
    {ROW("pending.count", MR_OPTION_INTEGER, pending_count_max), .initial = "10000", .min = 1,
     .max = 10000000, .unit = "records",
     .text = "With so many records of a partition in memory its reading pauses, until there are "
             "fewer than half."},
    {ROW("pending.bytes", MR_OPTION_SIZE, pending_bytes_max), .initial = "2MiB", .min = KIB,
     .max = 1024 * MIB,
     .text = "The same by memory; each record counts with its key, its value, twice its headers "
             "and 768 bytes."},
    {ROW("retry.max", MR_OPTION_INTEGER, retry_max), .initial = "10", .min = 1, .max = 1000000,
     .unit = "attempts",
     .text = "A record that has failed so often goes to the dead-letter topic."},
    {ROW("retry.delay", MR_OPTION_DURATION, retry_delay_ms), .initial = "1s", .min = 1,
     .max = HOUR_MS,
     .text = "The pause before the second attempt of a record; it doubles with each further one. "
             "Records of its key wait behind it, others go on."},
    {ROW("retry.delay.max", MR_OPTION_DURATION, retry_delay_max_ms), .initial = "1m", .min = 1,
     .max = 24 * HOUR_MS,
     .text = "The longest pause between two attempts; not less than retry.delay."},
    {ROW("retry.pending", MR_OPTION_INTEGER, retry_pending_max), .initial = "100", .min = 1,
     .max = 128, .unit = "records",
     .text = "With so many records of a partition waiting to be tried again no others are begun, "
             "until one of them is settled."},
    {ROW("commit.interval", MR_OPTION_DURATION, commit_interval_ms), .initial = "1s", .min = 10,
     .max = 10 * MINUTE_MS,
     .text = "How often offsets are committed; what lies between is read again after a crash."},
    {ROW("dead.topic", MR_OPTION_STRING, dead_topic),
     .text = "The topic for records that can never succeed; <topic>.dead unless given."},
    MR_OPTION_END,
};

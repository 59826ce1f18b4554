// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_TOPIC_H
#define CLI_DEAD_TOPIC_H

/* A dead-letter topic as it was when it was opened, read without a consumer group. It is read
 * twice: first for the marks, each of which stands behind the letter it is for, then for the
 * letters. What comes after the opening is not seen. */

#include <librdkafka/rdkafka.h>

#include "cli/dead.h"
#include "kafka/kafka_message.h"

struct dead_part;

struct dead_topic {
    const char *name;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    struct dead_part *parts;
    int32_t part_count;
    struct kafka_message_headers headers;
    struct mr_event *event;
    struct dead_who who;
};

/* A letter that no mark is for. All is borrowed for the time of the call. */
struct dead_found {
    const struct kafka_record *record;
    const struct dead_view *view;
    const struct dead_who *who;
    struct mr_event *event;         /* NULL: the value is none */
    const struct mr_error *trouble; /* why it is none */
    int32_t partition;              /* of the dead-letter topic */
    int64_t offset;
};

/* false: enough. */
typedef bool (*dead_found_cb)(void *user, const struct dead_found *found);

/* Connect, and read the marks. What goes wrong is told on standard error. Returns 0 or 1; to be
 * closed in both cases. */
int dead_topic_open(struct dead_topic *topic, const struct dead_task *task);

/* Each letter that the task's filter takes, each partition in order. Returns 0 or 1 (told). */
int dead_topic_each(struct dead_topic *topic, const struct dead_task *task, dead_found_cb on_found,
                    void *user);

/* Whether Kafka has the topic. */
bool dead_topic_exists(struct dead_topic *topic, const char *name);

void dead_topic_close(struct dead_topic *topic);

#endif

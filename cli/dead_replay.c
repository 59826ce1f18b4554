// SPDX-License-Identifier: Apache-2.0
/* `millrace dead replay`: letters go back to where they were, as they were. Left are: what isn't
 * whole any more; what has been replayed often enough; what has no topic to go to, or was in none:
 * a message that millrace-mqtt could make no event of. Without --yes it is only counted what would
 * be done. */
#include <stdio.h>
#include <string.h>

#include "cli/dead_send.h"
#include "kafka/kafka_topics.h"

static const char *const columns[] = {"what", "topic", "reason"};

enum { TOPICS_MAX = 64 }; /* that are remembered; Kafka is asked for others each time */

struct known_topic {
    char name[TOPICS_NAME_BYTES_MAX + 1];
    bool exists;
};

struct replaying {
    const struct dead_task *task;
    struct dead_topic topic;
    struct dead_sender sender;
    struct tally tally;
    struct dead_restored restored;
    struct known_topic topics[TOPICS_MAX];
    size_t topic_count;
    size_t mqtt; /* messages that millrace-mqtt could make no event of: left */
    bool failed;
};

static bool topic_exists(struct replaying *replaying, const char *name)
{
    bool exists;
    for (size_t i = 0; i < replaying->topic_count; i++) {
        if (strcmp(replaying->topics[i].name, name) == 0) {
            return replaying->topics[i].exists;
        }
    }
    exists = dead_topic_exists(&replaying->topic, name);
    if (replaying->topic_count < TOPICS_MAX) {
        struct known_topic *known = &replaying->topics[replaying->topic_count++];
        (void)snprintf(known->name, sizeof known->name, "%s", name);
        known->exists = exists;
    }
    return exists;
}

/* The topic that it goes to. Returns NULL, or why it is left. */
static const char *find_target(struct replaying *replaying, const struct dead_found *found,
                               char name[TOPICS_NAME_BYTES_MAX + 1])
{
    const struct dead_options *options = replaying->task->options;
    struct mr_slice wanted = options->to != NULL ? mr_slice_of(options->to) : found->view->topic;
    if (options->to == NULL && dead_header(found->record, DEAD_MQTT_TOPIC).ptr != NULL) {
        replaying->mqtt++; /* no worker could read it */
        return "left: no event (MQTT)";
    }
    if (wanted.ptr == NULL || topics_check_name(wanted, NULL) != 0) {
        return "left: no topic";
    }
    (void)snprintf(name, TOPICS_NAME_BYTES_MAX + 1, "%.*s", MR_SLICE_ARG(wanted));
    if (strcmp(name, options->from) == 0) {
        return "left: was in this topic";
    }
    return topic_exists(replaying, name) ? NULL : "left: topic is gone";
}

static const char *restore(struct replaying *replaying, const struct dead_found *found,
                           struct kafka_record *ret_record)
{
    const struct dead_view *view = found->view;
    if (!view->is_whole) {
        return "left: not whole";
    }
    if (view->replays >= replaying->task->options->replays_max) {
        return "left: replays-max";
    }
    return dead_letter_restore(found->record, view->replays + 1, &replaying->restored, ret_record,
                               NULL) == 0
               ? NULL
               : "left: not ours";
}

/* An event without a time of its own has that of its record, which a replay must not change. For
 * all others the record's is now: with an old one, retention might take it before it is read. */
static int64_t timestamp_of(const struct dead_found *found)
{
    bool has_time = found->event != NULL && mr_event_string(found->event, "time").ptr != NULL;
    return has_time ? -1 : found->view->timestamp_ms;
}

static void count(struct replaying *replaying, const char *what, struct mr_slice topic,
                  const struct dead_view *view)
{
    const struct mr_slice texts[] = {mr_slice_of(what), topic, view->reason};
    if (tally_add(&replaying->tally, texts, view->died_ms, NULL) != 0) {
        replaying->failed = true;
        (void)dead_fail(replaying->task->options->from, "out of memory");
    }
}

static bool on_found(void *user, const struct dead_found *found)
{
    struct replaying *replaying = user;
    char name[TOPICS_NAME_BYTES_MAX + 1];
    struct kafka_record record;
    const char *left = restore(replaying, found, &record);
    if (left == NULL) {
        left = find_target(replaying, found, name);
    }
    if (left != NULL) {
        count(replaying, left, found->view->topic, found->view);
    } else if (!replaying->task->options->yes) {
        count(replaying, "would be replayed", mr_slice_of(name), found->view);
    } else {
        const struct producer_place to = {
            .topic = name, .partition = -1, .timestamp_ms = timestamp_of(found)};
        dead_sender_replay(&replaying->sender, found, &to, &record);
    }
    return !replaying->failed && !replaying->sender.stopped;
}

static int replay(struct replaying *replaying)
{
    const struct dead_task *task = replaying->task;
    int status = dead_topic_open(&replaying->topic, task);
    int sent = 0;
    if (status == 0 && task->options->yes) {
        status = dead_sender_open(&replaying->sender, task, &replaying->tally);
    }
    if (status == 0) {
        status = dead_topic_each(&replaying->topic, task, on_found, replaying);
    }
    if (replaying->sender.magic != 0) {
        sent = dead_sender_close(&replaying->sender);
    }
    return status != 0 || sent != 0 || replaying->failed ? 1 : 0;
}

int dead_replay_run(const struct dead_task *task)
{
    static struct replaying replaying;
    int status;
    replaying.task = task;
    tally_init(&replaying.tally, columns, MR_COUNT_OF(columns));
    status = replay(&replaying);
    /* What has been done is told even if it wasn't all. */
    if (status == 0 || replaying.tally.total > 0) {
        (void)tally_print(&replaying.tally, task->options->json, NULL);
    }
    if (!task->options->yes && status == 0 && replaying.tally.total > 0) {
        fprintf(stderr, "Nothing was done; --yes does it.\n");
    }
    if (replaying.mqtt > 0) {
        fprintf(stderr,
                "%zu of them are MQTT messages that were no events. Mend the route or the device, "
                "and publish them again: docs/millrace-mqtt.md, Dead letters.\n",
                replaying.mqtt);
    }
    dead_topic_close(&replaying.topic);
    tally_done(&replaying.tally);
    return dead_end_of_output(status);
}

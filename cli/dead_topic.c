// SPDX-License-Identifier: Apache-2.0
/* Happy path: ask for the partitions and what each holds -> read all of them into one queue, up to
 * where they ended then -> note what is marked -> read them again for the letters. What can go
 * wrong: Kafka can't be reached, the topic isn't there, nothing comes for SILENCE_MS, memory runs
 * out: told, status 1. Retention may take letters while we read: they are gone then. */
#include "cli/dead_topic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cli/dead_mark.h"
#include "kit/clock.h"
#include "kit/mem.h"

enum {
    ERROR_BYTES = 512,
    ANSWER_MS = 5000,
    POLL_MS = 100,
    SILENCE_MS = 30000,
    PARTITIONS_MAX = 10000,
    OFFSETS_MAX = 1 << 30, /* in all partitions: a bit each */
    BITS = 8,
};

struct dead_part {
    int64_t begin; /* what is there: begin to end - 1 */
    int64_t end;
    int64_t next; /* in this reading */
    bool ended;
    unsigned char *settled; /* a bit an offset, from begin */
};

static int out_of_memory(const struct dead_topic *topic)
{
    return dead_fail(topic->name, "out of memory");
}

/* --- opening --- */

static int make_client(struct dead_topic *topic, const struct kafka_conf *kafka)
{
    static const char *const settings[][2] = {
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "earliest"}, /* when retention has passed us */
        {"log.queue", "false"},
        {"log_level", "0"},
    };
    static const char *const defaults[][2] = {
        /* A reading ends only when its last request has been answered. */
        {"fetch.wait.max.ms", "20"},
        /* librdkafka before 2.2 sleeps for a second whenever its queue has been full. */
        {"queued.min.messages", "1000000"},
        {"queued.max.messages.kbytes", "16384"},
    };
    struct mr_error err;
    char error[ERROR_BYTES];
    rd_kafka_conf_t *made;
    if (kafka_conf_make(kafka, KAFKA_CONSUMER, "millrace-dead", &made, &err) != 0) {
        return dead_fail("configuration", err.text);
    }
    for (size_t i = 0; i < MR_COUNT_OF(settings); i++) {
        (void)rd_kafka_conf_set(made, settings[i][0], settings[i][1], NULL, 0);
    }
    for (size_t i = 0; i < MR_COUNT_OF(defaults); i++) {
        (void)kafka_conf_default(kafka, KAFKA_CONSUMER, made, defaults[i][0], defaults[i][1], NULL);
    }
    topic->rk = rd_kafka_new(RD_KAFKA_CONSUMER, made, error, sizeof error);
    if (topic->rk == NULL) {
        rd_kafka_conf_destroy(made);
        return dead_fail("configuration", error);
    }
    topic->topic = rd_kafka_topic_new(topic->rk, topic->name, NULL);
    return topic->topic != NULL ? 0 : dead_fail(topic->name, "is no name for a topic");
}

/* How many partitions; 0 and the reason if there are none. */
static int32_t ask_partitions(struct dead_topic *topic, rd_kafka_topic_t *which,
                              rd_kafka_resp_err_t *ret_code)
{
    const struct rd_kafka_metadata *metadata;
    int32_t count = 0;
    rd_kafka_resp_err_t code = rd_kafka_metadata(topic->rk, 0, which, &metadata, ANSWER_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                        : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        count = code == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && count == 0) {
            code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    *ret_code = code;
    return count;
}

bool dead_topic_exists(struct dead_topic *topic, const char *name)
{
    rd_kafka_resp_err_t code;
    rd_kafka_topic_t *which = rd_kafka_topic_new(topic->rk, name, NULL);
    bool exists = which != NULL && ask_partitions(topic, which, &code) > 0;
    if (which != NULL) {
        rd_kafka_topic_destroy(which);
    }
    return exists;
}

static int ask_offsets(struct dead_topic *topic)
{
    int64_t left = OFFSETS_MAX;
    for (int32_t i = 0; i < topic->part_count; i++) {
        struct dead_part *part = &topic->parts[i];
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
            topic->rk, topic->name, i, &part->begin, &part->end, ANSWER_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            return dead_fail("Kafka", rd_kafka_err2str(code));
        }
        if (part->end - part->begin > left) {
            return dead_fail(topic->name, "holds more records than this can read (2^30)");
        }
        if (part->end > part->begin) {
            left -= part->end - part->begin;
            part->settled = mem_zalloc((size_t)((part->end - part->begin) / BITS + 1));
            if (part->settled == NULL) {
                return out_of_memory(topic);
            }
        }
    }
    return 0;
}

/* --- reading --- */

/* One reading of all partitions. */
struct reading {
    struct dead_topic *topic;
    rd_kafka_queue_t *queue;
    int32_t left; /* partitions that haven't been read to their end */
    bool failed;
    bool enough;
    bool (*on_message)(void *user, const rd_kafka_message_t *message);
    void *user;
};

static void end_part(struct reading *reading, int32_t number)
{
    struct dead_part *part = &reading->topic->parts[number];
    if (!part->ended) {
        part->ended = true;
        reading->left--;
    }
}

static void take(struct reading *reading, const rd_kafka_message_t *message)
{
    struct dead_part *part;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
        message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reading->failed = true;
        (void)dead_fail(reading->topic->name, rd_kafka_message_errstr(message));
        return;
    }
    part = &reading->topic->parts[message->partition];
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || message->offset >= part->end) {
        end_part(reading, message->partition);
        return;
    }
    if (part->ended || message->offset < part->next) {
        return;
    }
    part->next = message->offset + 1;
    reading->enough = !reading->on_message(reading->user, message);
    if (part->next == part->end) {
        end_part(reading, message->partition);
    }
}

static int start(struct reading *reading)
{
    struct dead_topic *topic = reading->topic;
    for (int32_t i = 0; i < topic->part_count; i++) {
        struct dead_part *part = &topic->parts[i];
        part->next = part->begin;
        part->ended = true;
        if (part->begin >= part->end) {
            continue;
        }
        if (rd_kafka_consume_start_queue(topic->topic, i, part->begin, reading->queue) != 0) {
            return dead_fail(topic->name, rd_kafka_err2str(rd_kafka_last_error()));
        }
        part->ended = false;
        reading->left++;
    }
    return 0;
}

static void stop(struct reading *reading)
{
    struct dead_topic *topic = reading->topic;
    for (int32_t i = 0; i < topic->part_count; i++) {
        if (topic->parts[i].begin < topic->parts[i].end) {
            (void)rd_kafka_consume_stop(topic->topic, i);
        }
    }
}

static void read_on(struct reading *reading)
{
    uint64_t heard_ns = uv_hrtime();
    while (reading->left > 0 && !reading->failed && !reading->enough) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(reading->queue, POLL_MS);
        (void)rd_kafka_poll(reading->topic->rk, 0);
        if (message != NULL) {
            take(reading, message);
            rd_kafka_message_destroy(message);
            heard_ns = uv_hrtime(); /* not while the letter was dealt with */
        } else if (uv_hrtime() - heard_ns > (uint64_t)SILENCE_MS * 1000000) {
            reading->failed = true;
            (void)dead_fail(reading->topic->name, "Kafka has sent nothing for 30 s");
        }
        if (dead_is_interrupted() && !reading->failed) {
            reading->failed = true;
            (void)dead_fail(reading->topic->name, "interrupted");
        }
    }
}

static int read_all(struct dead_topic *topic,
                    bool (*on_message)(void *user, const rd_kafka_message_t *message), void *user)
{
    struct reading reading = {.topic = topic,
                              .queue = rd_kafka_queue_new(topic->rk),
                              .on_message = on_message,
                              .user = user};
    reading.failed = start(&reading) != 0;
    read_on(&reading);
    stop(&reading);
    rd_kafka_queue_destroy(reading.queue);
    return reading.failed ? 1 : 0;
}

/* --- marks --- */

static void mark(struct dead_part *part, int64_t letter)
{
    if (letter >= part->begin && letter < part->end) {
        int64_t bit = letter - part->begin;
        part->settled[bit / BITS] |= (unsigned char)(1U << (bit % BITS));
    }
}

static bool is_marked(const struct dead_part *part, int64_t letter)
{
    int64_t bit = letter - part->begin;
    return (part->settled[bit / BITS] >> (bit % BITS) & 1) != 0;
}

struct marking {
    struct dead_topic *topic;
    uint64_t others; /* neither letters nor marks */
    bool failed;
};

static bool on_first_reading(void *user, const rd_kafka_message_t *message)
{
    struct marking *marking = user;
    struct dead_topic *topic = marking->topic;
    struct kafka_record record;
    struct dead_view view;
    int64_t letter;
    if (kafka_message_record(message, &topic->headers, &record, NULL) != 0) {
        marking->failed = true;
        return false;
    }
    switch (dead_view_read(&record, 0, &view)) {
        case DEAD_KIND_MARK:
            if (dead_mark_read(&record, message->partition, message->offset, &letter)) {
                mark(&topic->parts[message->partition], letter);
                return true;
            }
            break;
        case DEAD_KIND_LETTER:
            return true;
        case DEAD_KIND_OTHER:
            break;
    }
    marking->others++;
    return true;
}

static int read_marks(struct dead_topic *topic)
{
    struct marking marking = {.topic = topic};
    int status = read_all(topic, on_first_reading, &marking);
    if (marking.failed) {
        return out_of_memory(topic);
    }
    if (status == 0 && marking.others > 0) {
        fprintf(stderr, "millrace dead: %s: %" PRIu64 " records are no dead letters\n", topic->name,
                marking.others);
    }
    return status;
}

int dead_topic_open(struct dead_topic *topic, const struct dead_task *task)
{
    rd_kafka_resp_err_t code;
    *topic = (struct dead_topic){.name = task->options->from};
    dead_who_init(&topic->who);
    topic->event = mr_event_new();
    if (topic->event == NULL) {
        return out_of_memory(topic);
    }
    if (make_client(topic, task->kafka) != 0) {
        return 1;
    }
    topic->part_count = ask_partitions(topic, topic->topic, &code);
    if (topic->part_count == 0) {
        return dead_fail(
            code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT
                ? "Kafka"
                : topic->name,
            rd_kafka_err2str(code));
    }
    if (topic->part_count > PARTITIONS_MAX) {
        return dead_fail(topic->name, "has more partitions than this can read (10000)");
    }
    topic->parts = mem_zalloc((size_t)topic->part_count * sizeof *topic->parts);
    if (topic->parts == NULL) {
        return out_of_memory(topic);
    }
    return ask_offsets(topic) == 0 ? read_marks(topic) : 1;
}

/* --- letters --- */

struct finding {
    struct dead_topic *topic;
    const struct dead_filter *filter;
    dead_found_cb on_found;
    void *user;
    bool failed;
};

static int64_t time_of(const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : ms;
}

/* MR_ENOMEM is ours, whatever else is wrong is the letter's. */
static int read_letter(struct finding *finding, const rd_kafka_message_t *message,
                       struct dead_found *found, struct kafka_record *record,
                       struct dead_view *view, struct mr_error *trouble)
{
    struct dead_topic *topic = finding->topic;
    int rc = kafka_message_record(message, &topic->headers, record, trouble);
    if (rc != 0) {
        return rc;
    }
    *found = (struct dead_found){.record = record,
                                 .view = view,
                                 .who = &topic->who,
                                 .trouble = trouble,
                                 .partition = message->partition,
                                 .offset = message->offset};
    if (dead_view_read(record, time_of(message), view) != DEAD_KIND_LETTER) {
        found->view = NULL;
        return 0;
    }
    rc = kafka_binding_read(record, topic->event, trouble);
    if (rc == MR_ENOMEM) {
        return rc;
    }
    found->event = rc == 0 ? topic->event : NULL;
    return dead_who_read(record, found->event, &topic->who, trouble);
}

static bool on_second_reading(void *user, const rd_kafka_message_t *message)
{
    struct finding *finding = user;
    struct kafka_record record;
    struct dead_view view;
    struct dead_found found;
    struct mr_error trouble = {0};
    if (is_marked(&finding->topic->parts[message->partition], message->offset)) {
        return true;
    }
    if (read_letter(finding, message, &found, &record, &view, &trouble) != 0) {
        finding->failed = true;
        return false;
    }
    if (found.view == NULL || !dead_filter_takes(finding->filter, &view, &finding->topic->who,
                                                 found.partition, found.offset)) {
        return true;
    }
    return finding->on_found(finding->user, &found);
}

int dead_topic_each(struct dead_topic *topic, const struct dead_task *task, dead_found_cb on_found,
                    void *user)
{
    struct finding finding = {
        .topic = topic, .filter = &task->filter, .on_found = on_found, .user = user};
    int status = read_all(topic, on_second_reading, &finding);
    return finding.failed ? out_of_memory(topic) : status;
}

void dead_topic_close(struct dead_topic *topic)
{
    for (int32_t i = 0; topic->parts != NULL && i < topic->part_count; i++) {
        mem_free(topic->parts[i].settled);
    }
    mem_free(topic->parts);
    if (topic->topic != NULL) {
        rd_kafka_topic_destroy(topic->topic);
    }
    if (topic->rk != NULL) {
        rd_kafka_destroy(topic->rk);
    }
    mr_event_free(topic->event);
    kafka_message_headers_done(&topic->headers);
    dead_who_done(&topic->who);
}

// SPDX-License-Identifier: Apache-2.0
/* `millrace tail`: a topic's events as CloudEvents JSON, a line each, whatever their encoding. It
 * reads without a consumer group: nothing is committed, and no other reader notices.
 *
 * Happy path: look up the partitions -> read each from the chosen offset into one queue -> print ->
 * end when every partition has said "end of partition", or go on with --follow. What can go wrong:
 * Kafka can't be reached or the topic isn't there (status 1, with the reason); a record is no event
 * (said on standard error, with its place, and gone past); memory runs out (status 1, with the
 * place that was reached); the reader of our output has gone (end); the output can't be written for
 * another reason, such as a full disk (status 1, with the reason). */
#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "event/format_json.h"
#include "kafka/kafka_conf.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_topics.h"
#include "kit/mem.h"

enum {
    ERROR_BYTES = 512,
    METADATA_TIMEOUT_MS = 5000,
    POLL_MS = 100,
    PARTITIONS_MAX = 10000,
    LINE_BYTES_MAX = 64 * 1024 * 1024,
};

struct tail_options {
    char *topic;
    int64_t count;
    bool from_beginning;
    bool follow;
};

struct tail {
    const struct tail_options *options;
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    struct mr_event *event;
    struct kafka_message_headers headers;
    struct mr_buf line;
    bool *ended; /* a flag a partition: its end was reached */
    int32_t partitions;
    int32_t partitions_left; /* that haven't been read to their end yet */
    uint64_t refused;        /* records that are no events */
    bool failed;
    int output_error; /* errno of the write that failed; 0: none has */
};

static volatile sig_atomic_t interrupted;

static const struct mr_option options[] = {
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .initial = "events",
     .flags = MR_OPTION_REQUIRED,
     .text = "The topic to read.",
     .offset = offsetof(struct tail_options, topic)},
    {.key = "count",
     .type = MR_OPTION_INTEGER,
     .initial = "10",
     .min = 0,
     .max = 1000000000,
     .unit = "records",
     .text = "Begin this many records before the end of each partition (-n).",
     .offset = offsetof(struct tail_options, count)},
    {.key = "from-beginning",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Begin with the oldest record.",
     .offset = offsetof(struct tail_options, from_beginning)},
    {.key = "follow",
     .type = MR_OPTION_BOOLEAN,
     .initial = "false",
     .text = "Go on with what comes, until interrupted (-f).",
     .offset = offsetof(struct tail_options, follow)},
    MR_OPTION_END,
};

static void check_options(const void *data, struct mr_check *check)
{
    const struct tail_options *wanted = data;
    struct mr_error err;
    if (wanted->topic != NULL && topics_check_name(mr_slice_of(wanted->topic), &err) != 0) {
        mr_check_problem(check, NULL, "topic", "%s", err.text);
    }
    /* A number of records in a file may be meant for all other times. */
    if (wanted->from_beginning && options_outranks(check->options, "count", "from-beginning")) {
        mr_check_problem(check, NULL, "count", "not together with --from-beginning");
    }
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "millrace tail: %s: %s\n", what, why);
    return 1;
}

static int connect_to_kafka(struct tail *tail, const struct kafka_conf *kafka)
{
    struct mr_error err;
    char error[ERROR_BYTES];
    rd_kafka_conf_t *made;

    if (kafka_conf_make(kafka, KAFKA_CONSUMER, "millrace-tail", &made, &err) != 0) {
        return fail("configuration", err.text);
    }
    (void)rd_kafka_conf_set(made, "enable.partition.eof", "true", NULL, 0);
    (void)rd_kafka_conf_set(made, "log.queue", "false", NULL, 0);
    (void)rd_kafka_conf_set(made, "log_level", "0", NULL, 0);
    tail->rk = rd_kafka_new(RD_KAFKA_CONSUMER, made, error, sizeof error);
    if (tail->rk == NULL) {
        rd_kafka_conf_destroy(made);
        return fail("configuration", error);
    }
    tail->topic = rd_kafka_topic_new(tail->rk, tail->options->topic, NULL);
    tail->queue = rd_kafka_queue_new(tail->rk);
    return tail->topic != NULL ? 0 : fail(tail->options->topic, "is no name for a topic");
}

static int look_up_partitions(struct tail *tail)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code;

    code = rd_kafka_metadata(tail->rk, 0, tail->topic, &metadata, METADATA_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail("Kafka", rd_kafka_err2str(code));
    }
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                    : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    tail->partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || tail->partitions == 0) {
        return fail(tail->options->topic, code != RD_KAFKA_RESP_ERR_NO_ERROR
                                              ? rd_kafka_err2str(code)
                                              : "has no partitions");
    }
    if (tail->partitions > PARTITIONS_MAX) {
        fprintf(stderr, "millrace tail: %s: has more partitions than this can read (%d)\n",
                tail->options->topic, PARTITIONS_MAX);
        return 1;
    }
    tail->ended = mem_zalloc((size_t)tail->partitions * sizeof *tail->ended);
    return tail->ended != NULL ? 0 : fail(tail->options->topic, "out of memory");
}

static int start_reading(struct tail *tail)
{
    int64_t offset = tail->options->from_beginning ? RD_KAFKA_OFFSET_BEGINNING
                     : tail->options->count == 0   ? RD_KAFKA_OFFSET_END
                                                   : RD_KAFKA_OFFSET_TAIL(tail->options->count);
    for (int32_t partition = 0; partition < tail->partitions; partition++) {
        if (rd_kafka_consume_start_queue(tail->topic, partition, offset, tail->queue) != 0) {
            return fail(tail->options->topic, rd_kafka_err2str(rd_kafka_last_error()));
        }
        tail->partitions_left++;
    }
    return 0;
}

static void stop_reading(struct tail *tail)
{
    for (int32_t partition = 0; partition < tail->partitions; partition++) {
        (void)rd_kafka_consume_stop(tail->topic, partition);
    }
}

static void print_record(struct tail *tail, const rd_kafka_message_t *message)
{
    struct kafka_record record;
    struct mr_error err;
    int rc;
    buf_clear(&tail->line);
    rc = kafka_message_record(message, &tail->headers, &record, &err);
    if (rc == 0) {
        rc = kafka_binding_read(&record, tail->event, &err);
    }
    if (rc == 0) {
        rc = event_json_encode(tail->event, &tail->line, &err);
    }
    if (rc == 0) {
        if (!print_json_line(buf_slice(&tail->line))) {
            tail->output_error = errno;
        }
        return;
    }
    options_make_harmless(err.text);
    fprintf(stderr, "millrace tail: %s [%" PRId32 "] at offset %" PRId64 ": %s\n",
            tail->options->topic, message->partition, message->offset, err.text);
    if (rc == MR_ENOMEM) {
        tail->failed = true; /* it may well be an event */
    } else {
        tail->refused++;
    }
}

static void on_message(struct tail *tail, const rd_kafka_message_t *message)
{
    switch (message->err) {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            print_record(tail, message);
            break;
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            if (!tail->ended[message->partition]) {
                tail->ended[message->partition] = true;
                tail->partitions_left--;
            }
            break;
        default:
            tail->failed = true;
            (void)fail(tail->options->topic, rd_kafka_message_errstr(message));
    }
}

/* After a failed write: a reader that has gone wants no more, and that is no failure. */
static int end_of_output(int error)
{
    return error == EPIPE ? 0 : fail("standard output", strerror(error));
}

static void flush(struct tail *tail)
{
    if (fflush(stdout) != 0 && tail->output_error == 0) {
        tail->output_error = errno;
    }
}

static int read_all(struct tail *tail)
{
    bool unflushed = false;
    while (!interrupted && !tail->failed && tail->output_error == 0 &&
           (tail->options->follow || tail->partitions_left > 0)) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(tail->queue, unflushed ? 0 : POLL_MS);
        (void)rd_kafka_poll(tail->rk, 0);
        if (message == NULL) {
            flush(tail);
            unflushed = false;
            continue;
        }
        on_message(tail, message);
        rd_kafka_message_destroy(message);
        unflushed = true;
    }
    flush(tail);
    if (tail->output_error != 0) {
        return end_of_output(tail->output_error);
    }
    if (tail->refused > 0) {
        fprintf(stderr, "millrace tail: %" PRIu64 " records are no events\n", tail->refused);
    }
    return tail->failed ? 1 : 0;
}

static void on_signal(int signum)
{
    (void)signum;
    interrupted = 1;
}

static void close_all(struct tail *tail)
{
    if (tail->partitions_left > 0 || tail->ended != NULL) {
        stop_reading(tail);
    }
    if (tail->queue != NULL) {
        rd_kafka_queue_destroy(tail->queue);
    }
    if (tail->topic != NULL) {
        rd_kafka_topic_destroy(tail->topic);
    }
    if (tail->rk != NULL) {
        rd_kafka_destroy(tail->rk);
    }
    mr_event_free(tail->event);
    kafka_message_headers_done(&tail->headers);
    buf_done(&tail->line);
    mem_free(tail->ended);
}

static int run(const void *opts, const struct kafka_conf *kafka)
{
    struct tail tail = {.options = opts};
    int status = 1;

    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    (void)sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    buf_init(&tail.line, LINE_BYTES_MAX);
    tail.event = mr_event_new();
    if (tail.event == NULL) {
        (void)fail(tail.options->topic, "out of memory");
    } else if (connect_to_kafka(&tail, kafka) == 0 && look_up_partitions(&tail) == 0 &&
               start_reading(&tail) == 0) {
        status = read_all(&tail);
    }
    close_all(&tail);
    return status;
}

const struct command command_tail = {
    .name = "tail",
    .usage = "[TOPIC] [-n COUNT | --from-beginning] [-f] [--kafka.bootstrap.servers=HOST:PORT]",
    .summary = "print a topic's events as CloudEvents JSON, a line each",
    .text =
        "Any encoding that millrace reads: Avro or JSON structured mode, binary mode, framed by a "
        "schema registry or not.\nWhat is no event is said on standard error. Nothing is "
        "committed.\n[kafka] and [kafka.consumer] go to librdkafka word for word.\n",
    .options = options,
    .options_size = sizeof(struct tail_options),
    .positional = "topic",
    .short_flags = "n=count,f=follow",
    .check = check_options,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
/* Happy path: dead_sender_replay -> the record is sent -> stored: the mark is sent -> stored:
 * counted as "replayed". What can go wrong: Kafka refuses the record (too large): counted as
 * "refused", the letter stays; Kafka is away: what is on its way is "not confirmed", nothing more
 * is begun, and the letters stay, though some may have been stored; the mark can't be written:
 * counted as "replayed, not marked", and the next replay sends it again. */
#include "cli/dead_send.h"

#include <stdio.h>
#include <string.h>

#include "cli/dead_mark.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    SENDER_MAGIC = 0x5e4de2,
    JOB_MAGIC = 0xdead10b,
    IN_FLIGHT_MAX = 1000,
    IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024, /* or one letter */
    QUEUE_BYTES_MAX = 1024 * 1024 * 1024,   /* never reached: we wait before */
    TICK_MS = 100,
};

/* A person waits: longer than a device would. The user's own setting wins. */
static const struct passthrough patience = {
    .section = (char *)"kafka.producer",
    .key = (char *)"message.timeout.ms",
    .value = (char *)"30000",
    .origin = (char *)"millrace dead",
};

/* One letter on its way. Its texts are behind it, in the same block. */
struct job {
    unsigned magic;
    struct dead_sender *sender;
    struct mr_send send;
    int32_t partition;
    int64_t offset;
    int64_t died_ms;
    size_t bytes;
    const char *outcome; /* of the mark; NULL: the record itself is on its way */
    struct mr_slice topic;
    struct mr_slice reason;
    char texts[];
};

static void on_tick(uv_timer_t *tick)
{
    (void)tick;
}

int dead_sender_open(struct dead_sender *sender, const struct dead_task *task, struct tally *tally)
{
    size_t count = task->kafka->count;
    struct mr_error err;
    *sender = (struct dead_sender){.magic = SENDER_MAGIC, .tally = tally};
    (void)uv_loop_init(&sender->loop);
    (void)uv_timer_init(&sender->loop, &sender->tick);
    (void)uv_timer_start(&sender->tick, on_tick, TICK_MS, TICK_MS);
    sender->options = (struct mr_producer_options){
        .topic = task->options->from,
        .encoding = EVENT_ENCODING_AVRO,
        .queue_events_max = 2 * IN_FLIGHT_MAX,
        .queue_bytes_max = QUEUE_BYTES_MAX,
    };
    sender->settings = mem_zalloc((count + 1) * sizeof *sender->settings);
    if (sender->settings == NULL) {
        return dead_fail(task->options->from, "out of memory");
    }
    sender->settings[0] = patience;
    if (count > 0) {
        memcpy(sender->settings + 1, task->kafka->settings, count * sizeof *sender->settings);
    }
    sender->conf = (struct kafka_conf){.settings = sender->settings, .count = count + 1};
    sender->spec = (struct producer_spec){
        .conf = &sender->conf, .options = &sender->options, .program = "millrace-dead"};
    if (producer_new(&sender->loop, &sender->spec, &sender->producer, &err) != 0 ||
        producer_port_open(sender->producer, &sender->loop, &sender->port, &err) != 0) {
        return dead_fail("Kafka", err.text);
    }
    return 0;
}

/* --- one letter --- */

static void tell(struct dead_sender *sender, const struct job *job, const char *why)
{
    if (!sender->failed) {
        fprintf(stderr, "millrace dead: %s: letter %d:%lld: %s\n", sender->options.topic,
                job->partition, (long long)job->offset, why);
    }
    sender->failed = true;
}

static void end_job(struct job *job, const char *what)
{
    struct dead_sender *sender = job->sender;
    const struct mr_slice texts[] = {mr_slice_of(what), job->topic, job->reason};
    if (tally_add(sender->tally, texts, job->died_ms, NULL) != 0) {
        tell(sender, job, "out of memory");
        sender->stopped = true;
    }
    sender->in_flight--;
    sender->bytes -= job->bytes;
    job->magic = 0;
    mem_free(job);
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome);

static void send_mark(struct job *job, const char *outcome)
{
    struct dead_sender *sender = job->sender;
    const struct producer_place place = {
        .topic = sender->options.topic, .partition = job->partition, .timestamp_ms = -1};
    struct dead_mark mark;
    struct kafka_record record;
    dead_mark_write(outcome, job->partition, job->offset, &mark, &record);
    job->outcome = outcome;
    job->send.on_settled = on_settled;
    producer_send_to(sender->port, &job->send, &place, &record);
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct job *job = CONTAINER_OF(send, struct job, send);
    MAGIC_CHECK(job, JOB_MAGIC);
    if (outcome->kind == MR_STORED) {
        if (job->outcome == NULL) {
            send_mark(job, "replayed");
        } else {
            end_job(job, job->outcome);
        }
        return;
    }
    tell(job->sender, job, outcome->reason);
    if (outcome->kind != MR_REJECTED && !outcome->too_large) {
        job->sender->stopped = true;
    }
    if (job->outcome == NULL) {
        end_job(job, outcome->kind == MR_UNKNOWN ? "not confirmed" : "refused");
    } else {
        end_job(job, strcmp(job->outcome, "replayed") == 0 ? "replayed, not marked" : "not marked");
    }
}

static size_t record_bytes(const struct kafka_record *record)
{
    size_t bytes = record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += strlen(record->headers[i].name) + record->headers[i].value.len;
    }
    return bytes;
}

static void wait_for_room(struct dead_sender *sender, size_t bytes)
{
    (void)uv_run(&sender->loop, UV_RUN_NOWAIT);
    while (sender->in_flight >= IN_FLIGHT_MAX ||
           (sender->in_flight > 0 && sender->bytes + bytes > IN_FLIGHT_BYTES_MAX)) {
        (void)uv_run(&sender->loop, UV_RUN_ONCE);
    }
}

static struct mr_slice keep(char **to, struct mr_slice text)
{
    struct mr_slice kept = {text.ptr == NULL ? NULL : *to, text.len};
    if (text.len > 0) {
        memcpy(*to, text.ptr, text.len);
        *to += text.len;
    }
    return kept;
}

/* NULL: nothing more should be begun. */
static struct job *begin(struct dead_sender *sender, const struct dead_found *found,
                         struct mr_slice topic, size_t bytes)
{
    struct job *job;
    char *to;
    MAGIC_CHECK(sender, SENDER_MAGIC);
    wait_for_room(sender, bytes);
    if (sender->stopped) {
        return NULL;
    }
    job = mem_zalloc(sizeof *job + topic.len + found->view->reason.len);
    if (job == NULL) {
        (void)dead_fail(sender->options.topic, "out of memory");
        sender->failed = true;
        sender->stopped = true;
        return NULL;
    }
    job->magic = JOB_MAGIC;
    job->sender = sender;
    job->partition = found->partition;
    job->offset = found->offset;
    job->died_ms = found->view->died_ms;
    job->bytes = bytes;
    to = job->texts;
    job->topic = keep(&to, topic);
    job->reason = keep(&to, found->view->reason);
    sender->in_flight++;
    sender->bytes += bytes;
    return job;
}

void dead_sender_replay(struct dead_sender *sender, const struct dead_found *found,
                        const struct producer_place *to, const struct kafka_record *record)
{
    struct job *job = begin(sender, found, mr_slice_of(to->topic), record_bytes(record));
    if (job != NULL) {
        job->send.on_settled = on_settled;
        producer_send_to(sender->port, &job->send, to, record);
    }
}

void dead_sender_drop(struct dead_sender *sender, const struct dead_found *found)
{
    struct job *job = begin(sender, found, found->view->topic, sizeof(struct dead_mark));
    if (job != NULL) {
        send_mark(job, "dropped");
    }
}

/* --- the end --- */

static void on_port_closed(void *user)
{
    struct dead_sender *sender;
    MAGIC_CAST(sender, user, SENDER_MAGIC);
    sender->port = NULL;
}

static void on_producer_closed(void *user)
{
    struct dead_sender *sender;
    MAGIC_CAST(sender, user, SENDER_MAGIC);
    sender->producer = NULL;
}

int dead_sender_close(struct dead_sender *sender)
{
    MAGIC_CHECK(sender, SENDER_MAGIC);
    while (sender->in_flight > 0) { /* no longer than message.timeout.ms, twice */
        (void)uv_run(&sender->loop, UV_RUN_ONCE);
    }
    if (sender->port != NULL) {
        producer_port_close(sender->port, on_port_closed, sender);
    }
    while (sender->port != NULL) {
        (void)uv_run(&sender->loop, UV_RUN_ONCE);
    }
    if (sender->producer != NULL) {
        producer_close(sender->producer, on_producer_closed, sender);
    }
    while (sender->producer != NULL) {
        (void)uv_run(&sender->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&sender->tick, NULL);
    (void)uv_run(&sender->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&sender->loop);
    mem_free(sender->settings);
    sender->magic = 0;
    return sender->failed ? 1 : 0;
}

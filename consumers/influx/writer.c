// SPDX-License-Identifier: Apache-2.0
/* Happy path: a batch waits in line -> its events become lines, what can't is dead -> one request
 * (or several, one after another, over request.bytes), which it shares with what else is in line ->
 * 204 -> its deliveries are done. What can go wrong: InfluxDB refuses points: who shared the
 * request goes again alone; the request of one job is salvaged (salvage.h), a part at a time, and
 * between two parts the job lines up behind the others; InfluxDB is away, or memory is short: what
 * is left of the batch waits, and comes again as another batch. Writing a point twice is harmless.
 */
#include "consumers/influx/writer.h"

#include <assert.h>
#include <string.h>

#include <millrace/log.h>

#include "consumers/influx/job.h"
#include "consumers/influx/sink.h"
#include "kit/clock.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { WRITER_MAGIC = 0x57525445, LOG_INTERVAL_MS = 10000 };

struct writer {
    unsigned magic;
    const struct influx_options *options;
    struct sink *sink;
    struct job_tools tools;
    struct job *first, *last; /* in line */
    struct job *spare;        /* at most requests.max */
    int64_t spare_count;
    int64_t out;             /* requests at work */
    int64_t salvage_out;     /* of them, those of salvages */
    size_t salvage_bytes;    /* of lines that salvages hold */
    uv_timer_t gather_timer; /* of no time: the batches of one turn of the loop begin together */
    bool pumping;
    bool closing;
};

/* One request is left to the others, if there is more than one: partitions full of bad points don't
 * hold up those of good ones. */
static bool may_send_salvage(const struct writer *writer)
{
    int64_t requests = writer->options->requests_max;
    return writer->salvage_out < (requests > 1 ? requests - 1 : 1);
}

/* The lines of salvages are held until all is proven: as many as all requests may have. */
static bool has_place(const struct writer *writer, size_t bytes)
{
    size_t bytes_max =
        (size_t)writer->options->requests_max * (size_t)writer->options->request_bytes_max;
    return writer->salvage_bytes == 0 || writer->salvage_bytes + bytes <= bytes_max;
}

static struct job *job_get(struct writer *writer, struct mr_batch *batch)
{
    struct job *job = writer->spare;
    if (job != NULL) {
        writer->spare = job->next;
        writer->spare_count--;
    } else {
        job = job_new(&writer->tools, writer);
        if (job == NULL) {
            return NULL;
        }
    }
    job_take(job, batch);
    return job;
}

static void end_salvage(struct job *job)
{
    struct writer *writer = job->owner;
    if (job->is_salvaging) {
        writer->salvage_bytes -= job->text.len;
        job_end_salvage(job);
    }
}

static void job_release(struct job *job)
{
    struct writer *writer = job->owner;
    end_salvage(job);
    if (writer->closing || writer->spare_count >= writer->options->requests_max) {
        job_free(job);
        return;
    }
    job->batch = NULL;
    job->next = writer->spare;
    writer->spare = job;
    writer->spare_count++;
}

/* What isn't settled of the batch comes again. The job is released first: settling may bring the
 * next batch. */
static void job_wait(struct job *job, const char *reason, int64_t after_ms)
{
    struct mr_batch *batch = job->batch;
    job_release(job);
    mr_batch_wait(batch, reason, after_ms);
}

static void line_up(struct writer *writer, struct job *job)
{
    job->next = NULL;
    if (writer->last == NULL) {
        writer->first = job;
    } else {
        writer->last->next = job;
    }
    writer->last = job;
}

static bool is_held_up(const struct job *job)
{
    const struct writer *writer = job->owner;
    return (job->is_salvaging && !may_send_salvage(writer)) ||
           (job->wants_salvage && !has_place(writer, job->salvage_bytes));
}

/* Few large requests cost both sides less than many small ones. Where points were refused lately
 * each batch goes by itself: bad ones of one partition don't hold up those of others. */
static bool are_shared(const struct writer *writer)
{
    return writer->tools.hints.watch == 0;
}

static bool shares_nothing(const struct job *job)
{
    return job->is_salvaging || job->wants_salvage || job->is_alone;
}

/* The first in line that `is_passed_over` (may be NULL) isn't true of; NULL: none. */
static struct job *line_pop(struct writer *writer, bool (*is_passed_over)(const struct job *job))
{
    struct job *before = NULL;
    struct job *job = writer->first;
    while (job != NULL && is_passed_over != NULL && is_passed_over(job)) {
        before = job;
        job = job->next;
    }
    if (job == NULL) {
        return NULL;
    }
    if (before == NULL) {
        writer->first = job->next;
    } else {
        before->next = job->next;
    }
    if (writer->last == job) {
        writer->last = before;
    }
    job->next = NULL;
    return job;
}

static void on_written(void *user, const struct sink_result *result);

/* The lines are made, and stay if there is room for them; else they are made again later, and
 * `ret_begun` is false: the job is in line. Errors: MR_ENOMEM. */
static int begin_salvage(struct job *job, bool *ret_begun)
{
    struct writer *writer = job->owner;
    size_t bytes = job->tools->lines.len;
    int rc;
    *ret_begun = has_place(writer, bytes);
    if (!*ret_begun) {
        job_unmake(job);
        job->wants_salvage = true;
        job->salvage_bytes = bytes;
        line_up(writer, job);
        return 0;
    }
    rc = job_begin_salvage(job);
    writer->salvage_bytes += rc == 0 ? bytes : 0;
    return rc;
}

/* The lines of others in line, as long as there is room, behind those of the job. */
static void add_others(struct job *job)
{
    struct writer *writer = job->owner;
    struct job *last = job;
    struct job *other;
    while (last->at == last->count && (other = line_pop(writer, shares_nothing)) != NULL) {
        if (job_make_more(other) != 0) {
            job_wait(other, "out of memory", writer->options->wait_min_ms);
            return;
        }
        if (other->unit_count > 0) {
            last->next_of_request = other;
            last = other;
        } else if (other->at == other->count) { /* all are dead: the batch is gone */
            job_release(other);
        } else {
            line_up(writer, other);
            return;
        }
    }
}

/* The body of the next request. `ret_ready` is false if there is none: the job is over, or in line.
 * Errors: MR_ENOMEM, MR_ELIMIT. */
static int make_body(struct job *job, bool *ret_ready)
{
    int rc;
    *ret_ready = false;
    if (!job->is_salvaging) {
        rc = job_make(job);
        if (rc != 0) {
            return rc;
        }
        if (job->unit_count == 0) { /* all are dead: the batch is gone */
            job_release(job);
            return 0;
        }
        if (job->wants_salvage || job->has_suspects) {
            bool begun;
            rc = begin_salvage(job, &begun);
            if (rc != 0 || !begun) {
                return rc;
            }
        }
    }
    if (job->is_salvaging && !may_send_salvage(job->owner)) {
        line_up(job->owner, job);
        return 0;
    }
    *ret_ready = true;
    if (!shares_nothing(job) && are_shared(job->owner)) {
        add_others(job);
    }
    rc = job->is_salvaging ? job_make_part(job) : 0;
    return rc != 0 ? rc : job_make_body(job);
}

/* All whose lines are in the request of the job. */
static void request_wait(struct job *job, const char *reason, int64_t after_ms)
{
    while (job != NULL) {
        struct job *next = job->next_of_request;
        job_wait(job, reason, after_ms);
        job = next;
    }
}

/* Make and send the next request of the job. */
static void job_begin(struct job *job)
{
    struct writer *writer = job->owner;
    struct mr_error err = {.text = "out of memory"};
    bool ready;
    int rc = make_body(job, &ready);
    if (rc == 0 && !ready) {
        return;
    }
    rc = rc != 0 ? rc : sink_write(writer->sink, buf_slice(&job->body), on_written, job, &err);
    if (rc != 0) {
        request_wait(job, err.text, writer->options->wait_min_ms);
        return;
    }
    writer->out++;
    writer->salvage_out += job->is_salvaging;
}

/* NULL: none, or none may begin now. */
static struct job *line_next(struct writer *writer)
{
    switch (sink_state(writer->sink)) {
        case SINK_CLOSED:
            return line_pop(writer, NULL);
        case SINK_OPEN:
            return writer->out < writer->options->requests_max ? line_pop(writer, is_held_up)
                                                               : NULL;
        default:
            return NULL;
    }
}

/* Begin what may begin; while InfluxDB is away, what is in line waits in Kafka instead. Settling
 * may bring the next batch at once: it only lines up, and this loop goes on. */
static void pump(struct writer *writer)
{
    if (writer->pumping) {
        return;
    }
    writer->pumping = true;
    for (struct job *job; !writer->closing && (job = line_next(writer)) != NULL;) {
        if (sink_state(writer->sink) == SINK_CLOSED) {
            job_wait(job, sink_reason(writer->sink), sink_wait_ms(writer->sink));
        } else {
            job_begin(job);
        }
    }
    writer->pumping = false;
}

/* The job goes on with what is left of the salvage, then of its batch. */
static void job_go_on(struct job *job)
{
    struct writer *writer = job->owner;
    size_t count;
    if (job->is_salvaging && salvage_part(&job->salvage, &count) == NULL) {
        end_salvage(job);
    }
    if (job->is_salvaging || job->at < job->count) {
        line_up(writer, job);
    } else {
        job_release(job);
    }
}

static void tell_refused(const struct job *job, const struct sink_result *result)
{
    mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS,
                   "influxdb refuses points; the others of the request are stored",
                   MR_STR("error", result->reason), MR_STR("topic", mr_batch_topic(job->batch)),
                   MR_INT("partition", mr_batch_partition(job->batch)),
                   MR_INT("events", job->unit_count));
}

/* A request of a whole is refused: its lines are made again, and salvaged. Errors: MR_ENOMEM. */
static int job_refused(struct job *job, const struct sink_result *result)
{
    struct job_tools *tools = job->tools;
    bool begun;
    bool is_same;
    size_t sent_bytes = job->made_bytes;
    int rc;
    tell_refused(job, result);
    job_unmake(job);
    rc = job_make(job);
    if (rc != 0) {
        return rc;
    }
    (void)salvage_learn(&tools->hints, result->refusal, buf_slice(&tools->lines));
    if (job->unit_count == 0) { /* the clock was set back: all are over now */
        job_go_on(job);
        return 0;
    }
    rc = begin_salvage(job, &begun);
    if (rc != 0 || !begun) {
        return rc;
    }
    /* The answer is about the salvage's first part: nothing is suspected yet, and no 413 to another
     * job has made the request smaller meanwhile. */
    is_same = job->salvage.part_count == 1 && job->made_bytes == sent_bytes;
    if (is_same && salvage_refused(&job->salvage, result->refusal)) {
        job_dead(job, result->refusal, result->reason);
    }
    if (result->refusal->kind == INFLUX_TOO_LARGE) {
        job_tools_too_large(tools, job);
    }
    job_go_on(job);
    return 0;
}

/* Whose points were refused isn't said: each goes again alone. */
static void share_refused(struct job *job, const struct sink_result *result)
{
    if (result->refusal->kind == INFLUX_TOO_LARGE) {
        job_tools_too_large(job->tools, job);
    }
    while (job != NULL) {
        struct job *next = job->next_of_request;
        job->next_of_request = NULL;
        job->is_alone = true;
        job_unmake(job);
        line_up(job->owner, job);
        job = next;
    }
}

static void request_stored(struct job *job)
{
    while (job != NULL) {
        struct job *next = job->next_of_request;
        job->next_of_request = NULL;
        job_stored(job);
        job_go_on(job);
        job = next;
    }
}

static void request_free(struct job *job)
{
    while (job != NULL) {
        struct job *next = job->next_of_request;
        job_free(job);
        job = next;
    }
}

static void on_written(void *user, const struct sink_result *result)
{
    struct job *job;
    struct writer *writer;
    MAGIC_CAST(job, user, JOB_MAGIC);
    MAGIC_CAST(writer, job->owner, WRITER_MAGIC);
    writer->out--;
    writer->salvage_out -= job->is_salvaging;
    if (writer->closing) {
        request_free(job);
        return;
    }
    writer->pumping = true; /* what settling brings lines up, to begin together */
    if (result->verdict == INFLUX_STORED) {
        request_stored(job);
    } else if (result->verdict == INFLUX_AWAY) {
        request_wait(job, result->reason, result->after_ms);
    } else if (job->next_of_request != NULL) {
        share_refused(job, result);
    } else if (!job->is_salvaging) {
        if (job_refused(job, result) != 0) {
            job_wait(job, "out of memory", writer->options->wait_min_ms);
        }
    } else {
        job->tools->hints.now_ns = clock_wall_ns();
        if (salvage_refused(&job->salvage, result->refusal)) {
            job_dead(job, result->refusal, result->reason);
        }
        job_go_on(job);
    }
    writer->pumping = false;
    pump(writer);
}

static void on_gathered(uv_timer_t *timer)
{
    struct writer *writer;
    MAGIC_CAST(writer, timer->data, WRITER_MAGIC);
    pump(writer);
}

static void on_sink_change(void *user)
{
    struct writer *writer;
    MAGIC_CAST(writer, user, WRITER_MAGIC);
    pump(writer);
}

static void writer_free(struct writer *writer)
{
    struct job *job;
    while ((job = writer->spare) != NULL) {
        writer->spare = job->next;
        job_free(job);
    }
    job_tools_done(&writer->tools);
    writer->magic = 0;
    mem_free(writer);
}

int writer_new(struct mr_worker *worker, const struct influx_options *options,
               struct writer **ret_writer, struct mr_error *err)
{
    struct writer *writer = mem_zalloc(sizeof *writer);
    int rc;
    if (writer == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    writer->magic = WRITER_MAGIC;
    writer->options = options;
    rc = job_tools_init(&writer->tools, options, err);
    if (rc != 0) {
        writer_free(writer);
        return rc;
    }
    rc = sink_new(worker, options, on_sink_change, writer, &writer->sink, err);
    if (rc != 0) {
        writer_free(writer);
        return rc;
    }
    (void)uv_timer_init(mr_worker_loop(worker), &writer->gather_timer);
    writer->gather_timer.data = writer;
    *ret_writer = writer;
    return 0;
}

void writer_take(struct writer *writer, struct mr_batch *batch)
{
    struct job *job;
    MAGIC_CHECK(writer, WRITER_MAGIC);
    assert(!writer->closing);
    job = job_get(writer, batch);
    if (job == NULL) {
        mr_batch_wait(batch, "out of memory", writer->options->wait_min_ms);
        return;
    }
    line_up(writer, job);
    (void)uv_timer_start(&writer->gather_timer, on_gathered, 0, 0);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct writer *writer;
    MAGIC_CAST(writer, handle->data, WRITER_MAGIC);
    writer_free(writer);
}

static void on_sink_closed(void *user)
{
    struct writer *writer;
    MAGIC_CAST(writer, user, WRITER_MAGIC);
    uv_close((uv_handle_t *)&writer->gather_timer, on_timer_closed);
}

void writer_close(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    MAGIC_CHECK(writer, WRITER_MAGIC);
    writer->closing = true;
    (void)uv_timer_stop(&writer->gather_timer);
    for (struct job *job; (job = line_pop(writer, NULL)) != NULL;) {
        job_free(job);
    }
    sink_close(writer->sink, on_sink_closed, writer);
}

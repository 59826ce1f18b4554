// SPDX-License-Identifier: Apache-2.0
/* Happy path: a batch waits in line -> its events become lines, what can't is dead -> one request
 * (or several, one after another, over request.bytes) -> 204 -> its deliveries are done. What can
 * go wrong: InfluxDB is away or refuses the request, or memory is short: what is left of the batch
 * waits, and comes again as another batch. Writing a point twice is harmless. */
#include "consumers/influx/writer.h"

#include <assert.h>
#include <string.h>

#include <millrace/log.h>
#include <millrace/metrics.h>

#include "consumers/influx/gzip.h"
#include "consumers/influx/mapping.h"
#include "consumers/influx/sink.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { WRITER_MAGIC = 0x57525445, JOB_MAGIC = 0x574a4f42, LOG_INTERVAL_MS = 10000 };

/* A batch on its way. */
struct job {
    unsigned magic;
    struct writer *writer;
    struct job *next;
    struct mr_batch *batch;
    size_t at;                       /* of the batch: the next to become a line */
    size_t count;                    /* of the batch */
    struct mr_delivery **deliveries; /* in the request that is out */
    size_t delivery_count;
    size_t delivery_capacity;
    struct mr_buf body;
};

struct writer {
    unsigned magic;
    const struct influx_options *options;
    struct sink *sink;
    struct mapping *mapping;
    struct gzip gzip;
    struct mr_buf lines;      /* of the request that is being made */
    struct job *first, *last; /* in line */
    struct job *spare;        /* at most requests.max */
    int64_t spare_count;
    int64_t out; /* requests at work */
    bool pumping;
    bool closing;
    struct mr_series *points;
};

static const struct mr_metric points_total = {.name = "millrace_influx_points_total",
                                              .type = MR_COUNTER,
                                              .help = "Points that InfluxDB has stored."};

static void job_free(struct job *job)
{
    job->magic = 0;
    buf_done(&job->body);
    mem_free(job->deliveries);
    mem_free(job);
}

static struct job *job_new(struct writer *writer, struct mr_batch *batch)
{
    struct job *job = writer->spare;
    if (job != NULL) {
        writer->spare = job->next;
        writer->spare_count--;
    } else {
        job = mem_zalloc(sizeof *job);
        if (job == NULL) {
            return NULL;
        }
        /* Incompressible lines grow a little. */
        buf_init(&job->body,
                 (size_t)writer->options->request_bytes_max + 2 * (size_t)MAPPING_LINE_BYTES_MAX);
        job->magic = JOB_MAGIC;
        job->writer = writer;
    }
    job->batch = batch;
    job->count = mr_batch_count(batch);
    job->at = 0;
    job->delivery_count = 0;
    job->next = NULL;
    return job;
}

static void job_release(struct job *job)
{
    struct writer *writer = job->writer;
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

static int reserve_deliveries(struct job *job)
{
    struct mr_delivery **deliveries;
    if (job->count <= job->delivery_capacity) {
        return 0;
    }
    deliveries = mem_realloc(job->deliveries, job->count * sizeof(struct mr_delivery *));
    if (deliveries == NULL) {
        return MR_ENOMEM;
    }
    job->deliveries = deliveries;
    job->delivery_capacity = job->count;
    return 0;
}

static void tell_dead(const struct job *job, const struct mr_delivery *delivery, const char *text)
{
    mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS, "an event can't become a point",
                   MR_STR("reason", text), MR_STR("topic", mr_batch_topic(job->batch)),
                   MR_INT("partition", mr_batch_partition(job->batch)),
                   MR_INT("offset", mr_delivery_offset(delivery)));
}

/* The next event becomes a line, or is dead. `ret_full`: there is no room for it in this request.
 * The batch may be gone after the last of its deliveries is dead. Errors: MR_ENOMEM. */
static int take_event(struct job *job, bool *ret_full)
{
    struct writer *writer = job->writer;
    struct mr_delivery *delivery = mr_batch_at(job->batch, job->at);
    struct mr_slice line;
    struct mr_error err;
    int rc = mapping_line(writer->mapping, mr_delivery_event(delivery),
                          mr_delivery_timestamp_ms(delivery), &line, &err);
    if (rc == MR_ENOMEM) {
        return rc;
    }
    if (rc != 0) {
        job->at++;
        tell_dead(job, delivery, err.text);
        mr_dead(delivery, "mapping", err.text);
        return 0;
    }
    if (writer->lines.len > 0 &&
        writer->lines.len + line.len + 1 > (size_t)writer->options->request_bytes_max) {
        *ret_full = true;
        return 0;
    }
    (void)buf_add_slice(&writer->lines, line);
    if (buf_add_char(&writer->lines, '\n') != 0) {
        return MR_ENOMEM;
    }
    job->at++;
    job->deliveries[job->delivery_count++] = delivery;
    return 0;
}

static int make_body(struct job *job)
{
    struct writer *writer = job->writer;
    bool full = false;
    int rc = reserve_deliveries(job);
    buf_clear(&writer->lines);
    buf_clear(&job->body);
    job->delivery_count = 0;
    while (rc == 0 && !full && job->at < job->count) {
        rc = take_event(job, &full);
    }
    if (rc == 0 && job->delivery_count > 0) {
        rc = gzip_write(&writer->gzip, buf_slice(&writer->lines), &job->body);
    }
    return rc;
}

static void on_written(void *user, enum influx_verdict verdict, const char *reason,
                       int64_t after_ms);

/* Make the next request of the job. */
static void job_begin(struct job *job)
{
    struct writer *writer = job->writer;
    struct mr_error err;
    if (make_body(job) != 0) {
        job_wait(job, "out of memory", writer->options->wait_min_ms);
        return;
    }
    if (job->delivery_count == 0) { /* all are dead: the batch is gone */
        job_release(job);
        return;
    }
    if (sink_write(writer->sink, buf_slice(&job->body), on_written, job, &err) != 0) {
        job_wait(job, err.text, writer->options->wait_min_ms);
        return;
    }
    writer->out++;
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

static struct job *line_pop(struct writer *writer)
{
    struct job *job = writer->first;
    writer->first = job->next;
    if (writer->first == NULL) {
        writer->last = NULL;
    }
    job->next = NULL;
    return job;
}

/* Begin what may begin; while InfluxDB is away, what is in line waits in Kafka instead. Settling
 * may bring the next batch at once: it only lines up, and this loop goes on. */
static void pump(struct writer *writer)
{
    if (writer->pumping) {
        return;
    }
    writer->pumping = true;
    while (writer->first != NULL && !writer->closing) {
        enum sink_state state = sink_state(writer->sink);
        if (state == SINK_CLOSED) {
            job_wait(line_pop(writer), sink_reason(writer->sink), sink_wait_ms(writer->sink));
        } else if (state == SINK_OPEN && writer->out < writer->options->requests_max) {
            job_begin(line_pop(writer));
        } else {
            break;
        }
    }
    writer->pumping = false;
}

/* The request's deliveries are done; the job goes on with the rest of its batch. */
static void job_stored(struct job *job)
{
    struct writer *writer = job->writer;
    size_t count = job->delivery_count;
    bool more = job->at < job->count;
    mr_count(writer->points, count);
    for (size_t i = 0; i < count; i++) {
        mr_done(job->deliveries[i]);
    }
    if (more) {
        line_up(writer, job);
    } else {
        job_release(job);
    }
}

static void on_written(void *user, enum influx_verdict verdict, const char *reason,
                       int64_t after_ms)
{
    struct job *job;
    struct writer *writer;
    MAGIC_CAST(job, user, JOB_MAGIC);
    writer = job->writer;
    MAGIC_CHECK(writer, WRITER_MAGIC);
    writer->out--;
    if (writer->closing) {
        job_free(job);
        return;
    }
    if (verdict == INFLUX_STORED) {
        job_stored(job);
    } else {
        job_wait(job, reason, after_ms);
    }
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
    gzip_done(&writer->gzip);
    mapping_free(writer->mapping);
    buf_done(&writer->lines);
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
    writer->points = mr_series_get(&points_total, NULL);
    buf_init(&writer->lines,
             (size_t)options->request_bytes_max + (size_t)MAPPING_LINE_BYTES_MAX + 1);
    writer->mapping = mapping_new();
    rc = gzip_init(&writer->gzip);
    if (rc != 0 || writer->mapping == NULL) {
        writer_free(writer);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    rc = sink_new(worker, options, on_sink_change, writer, &writer->sink, err);
    if (rc != 0) {
        writer_free(writer);
        return rc;
    }
    *ret_writer = writer;
    return 0;
}

void writer_take(struct writer *writer, struct mr_batch *batch)
{
    struct job *job;
    MAGIC_CHECK(writer, WRITER_MAGIC);
    assert(!writer->closing);
    job = job_new(writer, batch);
    if (job == NULL) {
        mr_batch_wait(batch, "out of memory", writer->options->wait_min_ms);
        return;
    }
    line_up(writer, job);
    pump(writer);
}

static void on_sink_closed(void *user)
{
    struct writer *writer;
    MAGIC_CAST(writer, user, WRITER_MAGIC);
    writer_free(writer);
}

void writer_close(struct writer *writer)
{
    if (writer == NULL) {
        return;
    }
    MAGIC_CHECK(writer, WRITER_MAGIC);
    writer->closing = true;
    while (writer->first != NULL) {
        job_free(line_pop(writer));
    }
    sink_close(writer->sink, on_sink_closed, writer);
}

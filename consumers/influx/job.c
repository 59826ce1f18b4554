// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/job.h"

#include <assert.h>
#include <string.h>

#include <millrace/log.h>

#include "kit/clock.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    LOG_INTERVAL_MS = 10000,
    REQUEST_BYTES_LEAST = 1024,
    GROWTH = 64, /* a stored request makes the next one larger by this part */
    NS_PER_MS = 1000000,
    KEPT_BYTES_MAX = 1024 * 1024, /* of a salvage's lines, for the next */
};

static const struct mr_metric points_total = {.name = "millrace_influx_points_total",
                                              .type = MR_COUNTER,
                                              .help = "Points that InfluxDB has stored."};
static const struct mr_metric late_total = {
    .name = "millrace_influx_late_total",
    .type = MR_COUNTER,
    .help = "Events whose time InfluxDB refused as beyond its retention."};
static const struct mr_metric over_limit_total = {
    .name = "millrace_influx_over_limit_total",
    .type = MR_COUNTER,
    .help = "Events that brought a new tag value or name over a limit.",
    .labels = {"limit"}};
static const struct mr_metric salvage_requests_total = {
    .name = "millrace_influx_salvage_requests_total",
    .type = MR_COUNTER,
    .help = "Writes that were sent to find the bad points of refused ones."};

/* Buffers of lines change places, so all have one bound: a request, the event that was over it, and
 * what incompressible lines grow by. */
static void lines_init(struct mr_buf *buf, const struct influx_options *options)
{
    buf_init(buf, (size_t)options->request_bytes_max + 2 * (size_t)MAPPING_LINE_BYTES_MAX);
}

static void swap(struct mr_buf *one, struct mr_buf *other)
{
    struct mr_buf buf = *one;
    *one = *other;
    *other = buf;
}

int job_tools_init(struct job_tools *tools, const struct influx_options *options,
                   struct mr_error *err)
{
    struct mr_check check = {.first = err};
    int rc;
    const char *const tag[] = {"tag"};
    const char *const name[] = {"name"};
    const char *const memory[] = {"memory"};
    memset(tools, 0, sizeof *tools);
    tools->options = options;
    tools->bytes_max = (size_t)options->request_bytes_max;
    tools->points = mr_series_get(&points_total, NULL);
    tools->late = mr_series_get(&late_total, NULL);
    tools->over_tags = mr_series_get(&over_limit_total, tag);
    tools->over_names = mr_series_get(&over_limit_total, name);
    tools->over_memory = mr_series_get(&over_limit_total, memory);
    tools->salvage_requests = mr_series_get(&salvage_requests_total, NULL);
    series_guard_init(&tools->guard, (size_t)options->tag_limit, (size_t)options->name_limit,
                      options->over_limit == INFLUX_OVER_DROP_TAG, siphash_key_random());
    tools->hints.types.key = siphash_key_random();
    lines_init(&tools->lines, options);
    buf_init(&tools->guarded, MAPPING_LINE_BYTES_MAX);
    tools->is_gzip = influx_wants_gzip(options);
    rc = tools->is_gzip ? gzip_init(&tools->gzip) : 0;
    if (rc == 0) {
        rc = mapping_rules_new(&options->mapping, &check, &tools->rules);
    }
    if (rc == MR_ECONFIG) {
        return rc;
    }
    tools->mapping = rc == 0 ? mapping_new(tools->rules) : NULL;
    return tools->mapping == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
}

void job_tools_done(struct job_tools *tools)
{
    if (tools->is_gzip) {
        gzip_done(&tools->gzip);
    }
    mapping_free(tools->mapping);
    mapping_rules_free(tools->rules);
    series_guard_done(&tools->guard);
    buf_done(&tools->lines);
    buf_done(&tools->guarded);
}

struct job *job_new(struct job_tools *tools, void *owner)
{
    struct job *job = mem_zalloc(sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    lines_init(&job->body, tools->options);
    lines_init(&job->text, tools->options);
    job->magic = JOB_MAGIC;
    job->owner = owner;
    job->tools = tools;
    return job;
}

void job_free(struct job *job)
{
    MAGIC_CHECK(job, JOB_MAGIC);
    job->magic = 0;
    salvage_done(&job->salvage);
    buf_done(&job->body);
    buf_done(&job->text);
    mem_free(job->deliveries);
    mem_free(job->units);
    mem_free(job);
}

void job_take(struct job *job, struct mr_batch *batch)
{
    job->batch = batch;
    job->count = mr_batch_count(batch);
    job->begin = 0;
    job->at = 0;
    job->counted_cuts = 0;
    job->unit_count = 0;
    job->wants_salvage = false;
    job->next = NULL;
    job->next_of_request = NULL;
    job->is_alone = false;
}

/* --- from events to lines --- */

static int reserve_units(struct job *job)
{
    struct mr_delivery **deliveries;
    struct salvage_unit *units;
    if (job->count <= job->unit_capacity) {
        return 0;
    }
    deliveries = mem_realloc(job->deliveries, job->count * sizeof(struct mr_delivery *));
    if (deliveries == NULL) {
        return MR_ENOMEM;
    }
    job->deliveries = deliveries;
    units = mem_realloc(job->units, job->count * sizeof *units);
    if (units == NULL) {
        return MR_ENOMEM;
    }
    job->units = units;
    job->unit_capacity = job->count;
    return 0;
}

static void tell_dead(const struct job *job, const struct mr_delivery *delivery, const char *text)
{
    mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS, "an event can't become a point",
                   MR_STR("reason", text), MR_STR("topic", mr_batch_topic(job->batch)),
                   MR_INT("partition", mr_batch_partition(job->batch)),
                   MR_INT("offset", mr_delivery_offset(delivery)));
}

/* The event is over: the batch may be gone afterwards. */
static void end_dead(struct job *job, struct mr_delivery *delivery, const char *code,
                     const char *text)
{
    job->at++;
    tell_dead(job, delivery, text);
    mr_dead(delivery, code, text);
}

static int64_t newest_ns(struct mr_slice lines)
{
    struct line_scan scan;
    struct mr_slice name;
    int64_t newest = INT64_MIN;
    line_scan_lines(&scan, lines);
    while (line_scan_next(&scan, &name)) {
        enum line_type type;
        int64_t ns;
        while (line_scan_field(&scan, &name, &type)) {
        }
        ns = line_scan_end(&scan);
        newest = ns > newest ? ns : newest;
    }
    return newest;
}

/* Counted once, however often the event's lines are made. */
static bool take_cut(struct job *job, struct mr_series *over, struct mr_slice *ret_lines)
{
    if (job->at >= job->counted_cuts) {
        mr_count(over, 1);
        job->counted_cuts = job->at + 1;
    }
    *ret_lines = buf_slice(&job->tools->guarded);
    return true;
}

static bool end_over(struct job *job, struct mr_delivery *delivery, struct mr_series *over,
                     const char *text)
{
    mr_count(over, 1);
    end_dead(job, delivery, "over-limit", text);
    return false;
}

/* The rules of the options. False: the event is over. Errors, in `ret_rc`: MR_ENOMEM. */
static bool pass_rules(struct job *job, struct mr_delivery *delivery, struct mr_slice *lines,
                       int *ret_rc)
{
    struct job_tools *tools = job->tools;
    const struct influx_options *options = tools->options;
    int64_t ahead_ns = 0;
    struct mr_error err;
    if (options->future_max_ms > 0 && (ahead_ns = newest_ns(*lines) - tools->hints.now_ns) > 0 &&
        ahead_ns / NS_PER_MS > options->future_max_ms) {
        (void)mr_error_set(&err, MR_ELIMIT, "the time is %lld s in the future, over future.max",
                           (long long)(ahead_ns / NS_PER_MS / 1000));
        end_dead(job, delivery, "future", err.text);
        return false;
    }
    switch (series_guard_check(&tools->guard, *lines, &tools->guarded, &err)) {
        case GUARD_PASSES:
            return true;
        case GUARD_CUT_TAG:
            return take_cut(job, tools->over_tags, lines);
        case GUARD_CUT_FULL:
            return take_cut(job, tools->over_memory, lines);
        case GUARD_OVER_TAG:
            return end_over(job, delivery, tools->over_tags, err.text);
        case GUARD_OVER_NAME:
            return end_over(job, delivery, tools->over_names, err.text);
        case GUARD_OVER_FULL:
            return end_over(job, delivery, tools->over_memory, err.text);
        default:
            *ret_rc = MR_ENOMEM;
            return false;
    }
}

static int add_unit(struct job *job, struct mr_delivery *delivery, struct mr_slice lines,
                    size_t count)
{
    struct job_tools *tools = job->tools;
    size_t offset = tools->lines.len;
    enum salvage_suspicion suspicion = SALVAGE_UNKNOWN;
    (void)buf_add_slice(&tools->lines, lines);
    if (buf_add_char(&tools->lines, '\n') != 0) {
        return MR_ENOMEM;
    }
    job->at++;
    if (tools->hints.watch > 0) {
        suspicion = salvage_suspect(&tools->hints, lines);
        job->has_suspects = job->has_suspects || suspicion != SALVAGE_GOOD;
    }
    job->deliveries[job->unit_count] = delivery;
    job->units[job->unit_count] = (struct salvage_unit){(uint32_t)offset, (uint32_t)lines.len + 1,
                                                        (uint32_t)count, suspicion};
    job->unit_count++;
    return 0;
}

/* The next event becomes lines, or is over. `ret_full`: there is no room for it in this request.
 * Errors: MR_ENOMEM. */
static int take_event(struct job *job, bool *ret_full)
{
    struct job_tools *tools = job->tools;
    struct mr_delivery *delivery = mr_batch_at(job->batch, job->at);
    struct mr_slice lines;
    size_t count;
    struct mr_error err;
    int rc;
    if (mr_delivery_is_settled(delivery)) { /* dead before job_unmake */
        job->at++;
        return 0;
    }
    rc = mapping_lines(tools->mapping, mr_delivery_event(delivery),
                       mr_delivery_timestamp_ms(delivery), &lines, &count, &err);
    if (rc == MR_ENOMEM) {
        return rc;
    }
    if (rc != 0) {
        end_dead(job, delivery, "mapping", err.text);
        return 0;
    }
    if (count == 0) {
        job->at++;
        mr_skip(delivery, "unmatched");
        return 0;
    }
    rc = 0;
    if (!pass_rules(job, delivery, &lines, &rc)) {
        return rc;
    }
    if (tools->lines.len > 0 && tools->lines.len + lines.len + 1 > tools->bytes_max) {
        *ret_full = true;
        return 0;
    }
    return add_unit(job, delivery, lines, count);
}

int job_make(struct job *job)
{
    buf_clear(&job->tools->lines);
    return job_make_more(job);
}

int job_make_more(struct job *job)
{
    struct job_tools *tools = job->tools;
    size_t len = tools->lines.len;
    bool full = false;
    int rc = reserve_units(job);
    tools->hints.now_ns = clock_wall_ns();
    job->begin = job->at;
    job->unit_count = 0;
    job->has_suspects = false;
    while (rc == 0 && !full && job->at < job->count) {
        rc = take_event(job, &full);
    }
    tools->hints.watch -= rc == 0 && tools->hints.watch > 0;
    if (rc != 0) {
        buf_clear(&tools->lines);
        tools->lines.len = len;
    }
    job->made_bytes = tools->lines.len;
    return rc;
}

void job_unmake(struct job *job)
{
    job->at = job->begin;
    job->unit_count = 0;
}

int job_make_body(struct job *job)
{
    struct job_tools *tools = job->tools;
    if (!tools->is_gzip) {
        swap(&tools->lines, &job->body);
        return 0;
    }
    buf_clear(&job->body);
    return gzip_write(&tools->gzip, buf_slice(&tools->lines), &job->body);
}

/* --- salvage --- */

int job_begin_salvage(struct job *job)
{
    struct job_tools *tools = job->tools;
    assert(!job->is_salvaging && job->unit_count > 0);
    if (salvage_begin(&job->salvage, &tools->hints, buf_slice(&tools->lines), job->units,
                      job->unit_count) != 0) {
        return MR_ENOMEM;
    }
    swap(&job->text, &tools->lines);
    job->is_salvaging = true;
    job->wants_salvage = false;
    return 0;
}

int job_make_part(struct job *job)
{
    struct mr_buf *lines = &job->tools->lines;
    size_t count;
    const uint32_t *part = salvage_part(&job->salvage, &count);
    mr_count(job->tools->salvage_requests, 1);
    buf_clear(lines);
    for (size_t i = 0; i < count; i++) {
        const struct salvage_unit *unit = &job->units[part[i]];
        (void)buf_add(lines, job->text.ptr + unit->offset, unit->len);
    }
    return lines->failed;
}

void job_end_salvage(struct job *job)
{
    salvage_done(&job->salvage);
    if (job->text.capacity > KEPT_BYTES_MAX) {
        buf_done(&job->text);
    }
    job->is_salvaging = false;
}

/* --- settling --- */

static void unit_stored(struct job *job, uint32_t unit)
{
    mr_count(job->tools->points, job->units[unit].lines);
    mr_done(job->deliveries[unit]);
}

void job_stored(struct job *job)
{
    struct job_tools *tools = job->tools;
    size_t bytes_max = (size_t)tools->options->request_bytes_max;
    size_t count = job->unit_count;
    const uint32_t *part = job->is_salvaging ? salvage_part(&job->salvage, &count) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        unit_stored(job, part == NULL ? i : part[i]);
    }
    if (part != NULL) {
        tools->hints.now_ns = clock_wall_ns();
        salvage_stored(&job->salvage);
    } else if (tools->bytes_max < bytes_max) {
        tools->bytes_max += tools->bytes_max / GROWTH;
        tools->bytes_max = tools->bytes_max < bytes_max ? tools->bytes_max : bytes_max;
    }
}

static const char *dead_code(const struct influx_refusal *refusal)
{
    return refusal->kind == INFLUX_TOO_LARGE ? "too-large"
           : refusal->kind == INFLUX_LATE    ? "late"
                                             : "influxdb";
}

void job_dead(struct job *job, const struct influx_refusal *refusal, const char *reason)
{
    struct job_tools *tools = job->tools;
    char server[INFLUX_SERVER_BYTES];
    size_t count;
    const uint32_t *part = salvage_part(&job->salvage, &count);
    influx_server_text(refusal, server);
    if (refusal->kind == INFLUX_LATE) {
        mr_count(tools->late, count);
    }
    for (size_t i = 0; i < count; i++) {
        struct mr_delivery *delivery = job->deliveries[part[i]];
        if (refusal->kind == INFLUX_LATE && tools->options->late == INFLUX_LATE_DROP) {
            mr_skip(delivery, "late");
        } else {
            mr_dead_server(delivery, dead_code(refusal), reason, server);
        }
    }
    salvage_over(&job->salvage);
}

void job_tools_too_large(struct job_tools *tools, const struct job *job)
{
    size_t bytes = 0;
    size_t count = 0;
    for (; job != NULL; job = job->next_of_request) {
        for (size_t i = 0; i < job->unit_count; i++) {
            bytes += job->units[i].len;
        }
        count += job->unit_count;
    }
    bytes = bytes / 2 > REQUEST_BYTES_LEAST ? bytes / 2 : REQUEST_BYTES_LEAST;
    if (count > 1 && bytes < tools->bytes_max) {
        tools->bytes_max = bytes;
        mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS,
                       "influxdb finds a request too large; the next ones are smaller, but smaller "
                       "request.bytes is cheaper",
                       MR_INT("bytes", bytes));
    }
}

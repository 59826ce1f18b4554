// SPDX-License-Identifier: Apache-2.0
/* Happy path: probe -> 204 -> open -> writes -> 204 -> stored. What can go wrong: no answer, or one
 * that isn't about the data: closed for wait.min, doubling up to wait.max, then a probe. Points
 * that are refused are the writer's business. */
#include "consumers/influx/sink.h"

#include <assert.h>
#include <string.h>

#include <millrace/http_client.h>
#include <millrace/log.h>
#include <millrace/metrics.h>

#include "consumers/influx/credentials.h"
#include "consumers/influx/influx_answer.h"
#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    SINK_MAGIC = 0x53494e4b,
    WRITE_MAGIC = 0x57524954,
    LOG_INTERVAL_MS = 10000,
    RETRY_AFTER_MS_MAX = 5 * 60 * 1000,
    REQUEST_BYTES_LEAST = 1024,
    SPREAD_MS = 200, /* batches come back a little after the probe, not all at once */
};

struct sink {
    unsigned magic;
    struct mr_worker *worker;
    const struct influx_options *options;
    struct mr_http_client *client;
    char *url;
    size_t url_shown; /* of url: without the query */
    void (*on_change)(void *user);
    void *user;
    uv_timer_t probe_timer;
    enum sink_state state;
    bool is_ready;
    bool is_gzip;
    bool closing;
    uint64_t not_before_ms;   /* while closed */
    uint64_t write_failed_ms; /* 0: the last write was stored */
    int64_t wait_ms;          /* of the last failure; 0: none since the last stored write */
    uint32_t random;
    char reason[INFLUX_REASON_BYTES];
    struct credentials credentials;
    bool is_denied;      /* by the last answer: the next probe comes with what is in the files */
    struct mr_buf words; /* of the last answer */
    struct mr_series *seconds;
    struct mr_series *bytes;
    unsigned parts_open;
    void (*closed)(void *user);
    void *closed_user;
};

struct write {
    unsigned magic;
    struct sink *sink;
    sink_cb callback; /* NULL: a probe */
    void *user;
    uint64_t begun_ns;
    size_t bytes;
};

static const double seconds_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                        0.25,  0.5,    1,     2.5,  5,     10};
static const double bytes_bounds[] = {1024, 4096, 16384, 65536, 262144, 1048576, 4194304};

static const struct mr_metric requests_total = {
    .name = "millrace_influx_requests_total",
    .type = MR_COUNTER,
    .help = "Writes and probes by the HTTP status of their answer; \"none\": no answer.",
    .labels = {"status"}};
static const struct mr_metric request_seconds = {
    .name = "millrace_influx_request_seconds",
    .type = MR_HISTOGRAM,
    .help = "From sending a write to the end of its answer.",
    .bounds = seconds_bounds,
    .bound_count = MR_COUNT_OF(seconds_bounds)};
static const struct mr_metric request_bytes = {.name = "millrace_influx_request_bytes",
                                               .type = MR_HISTOGRAM,
                                               .help = "Body of a write, as it is sent.",
                                               .bounds = bytes_bounds,
                                               .bound_count = MR_COUNT_OF(bytes_bounds)};

static void probe(struct sink *sink);

static uint64_t now_ms(const struct sink *sink)
{
    return uv_now(mr_worker_loop(sink->worker));
}

static int64_t random_below(struct sink *sink, int64_t bound)
{
    sink->random ^= sink->random << 13;
    sink->random ^= sink->random >> 17;
    sink->random ^= sink->random << 5;
    return bound <= 0 ? 0 : (int64_t)(sink->random % (uint64_t)bound);
}

/* wait.min, then twice the last up to wait.max; a random part of up to a half is taken off. */
static int64_t next_wait(struct sink *sink, int64_t *wait_ms)
{
    *wait_ms = *wait_ms == 0 ? sink->options->wait_min_ms : *wait_ms * 2;
    if (*wait_ms > sink->options->wait_max_ms) {
        *wait_ms = sink->options->wait_max_ms;
    }
    return *wait_ms - random_below(sink, *wait_ms / 2 + 1);
}

static void set_ready(struct sink *sink, bool ready)
{
    sink->is_ready = ready;
    mr_worker_set_ready(sink->worker, "influxdb", ready ? NULL : sink->reason);
}

static void set_state(struct sink *sink, enum sink_state state)
{
    bool changed = sink->state != state;
    sink->state = state;
    if (changed) {
        sink->on_change(sink->user);
    }
}

static void on_probe_timer(uv_timer_t *timer)
{
    struct sink *sink;
    MAGIC_CAST(sink, timer->data, SINK_MAGIC);
    probe(sink);
}

/* A failure during the wait that an earlier one began tells nothing new: many partitions that fail
 * at once make one step, not many. */
static void away(struct sink *sink, bool was_write, int64_t retry_after_ms)
{
    uint64_t now = now_ms(sink);
    if (was_write) {
        sink->write_failed_ms = now;
    }
    set_ready(sink, false);
    if (sink->state != SINK_CLOSED || now >= sink->not_before_ms) {
        sink->not_before_ms = now + (uint64_t)next_wait(sink, &sink->wait_ms);
    }
    if (retry_after_ms > RETRY_AFTER_MS_MAX) {
        retry_after_ms = RETRY_AFTER_MS_MAX;
    }
    if (retry_after_ms > 0 && now + (uint64_t)retry_after_ms > sink->not_before_ms) {
        sink->not_before_ms = now + (uint64_t)retry_after_ms;
    }
    mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS, "influxdb doesn't take writes",
                   MR_STR("error", sink->reason), MR_INT("again_ms", sink->not_before_ms - now));
    (void)uv_timer_start(&sink->probe_timer, on_probe_timer, sink->not_before_ms - now, 0);
    set_state(sink, SINK_CLOSED);
}

/* A write was stored, or its points refused. */
static void answered(struct sink *sink)
{
    sink->wait_ms = 0;
    sink->write_failed_ms = 0;
    (void)uv_timer_stop(&sink->probe_timer);
    if (!sink->is_ready) {
        set_ready(sink, true);
    }
    set_state(sink, SINK_OPEN);
}

/* A probe was answered. If real writes failed lately, only a real one proves that it works again,
 * unless none comes any more (its partition may be another's now). */
static void probed(struct sink *sink)
{
    uint64_t quiet_ms = 2 * (uint64_t)sink->options->wait_max_ms;
    if (sink->write_failed_ms == 0 || now_ms(sink) - sink->write_failed_ms > quiet_ms) {
        sink->wait_ms = 0;
        set_ready(sink, true);
    } else {
        (void)uv_timer_start(&sink->probe_timer, on_probe_timer,
                             (uint64_t)sink->options->wait_max_ms, 0);
    }
    set_state(sink, SINK_OPEN);
}

static void count_answer(struct sink *sink, const struct write *write,
                         const struct mr_http_answer *answer)
{
    char status[16] = "none";
    const char *labels[] = {status, NULL};
    if (answer != NULL) {
        mr_observe(sink->seconds, (double)(uv_hrtime() - write->begun_ns) / 1e9);
        (void)snprintf(status, sizeof status, "%d", answer->status);
    }
    mr_count(mr_series_get(&requests_total, labels), 1);
}

/* What a wrong token or password gets; 2.x has no bucket for one that may not see it. */
static bool is_denial(const struct mr_http_answer *answer)
{
    return answer != NULL &&
           (answer->status == 401 || answer->status == 403 || answer->status == 404);
}

static struct mr_slice shown_url(const struct sink *sink)
{
    return mr_slice(sink->url, sink->url_shown);
}

static void probe_answered(struct sink *sink, const struct mr_http_answer *answer,
                           const struct mr_error *error)
{
    if (influx_verdict(answer, &sink->words) == INFLUX_STORED) {
        probed(sink);
        return;
    }
    influx_reason(shown_url(sink), answer, error, sink->reason);
    away(sink, false, answer == NULL ? -1 : answer->retry_after_ms);
}

/* The smallest request.bytes: who finds less too large takes nothing at all, and that is not the
 * point's fault. */
static bool is_absurd(const struct write *write, const struct mr_http_answer *answer)
{
    return answer != NULL && answer->status == 413 && write->bytes < REQUEST_BYTES_LEAST;
}

/* The callback comes last: it may send the next write. */
static void write_answered(struct sink *sink, const struct write *write,
                           const struct mr_http_answer *answer, const struct mr_error *error)
{
    struct sink_result result = {.verdict = influx_verdict(answer, &sink->words)};
    struct influx_refusal refusal;
    char reason[INFLUX_REASON_BYTES];
    if (result.verdict == INFLUX_REFUSED && is_absurd(write, answer)) {
        result.verdict = INFLUX_AWAY;
    }
    if (result.verdict != INFLUX_STORED) {
        influx_reason(shown_url(sink), answer, error, reason);
        result.reason = reason;
    }
    if (result.verdict == INFLUX_AWAY) {
        memcpy(sink->reason, reason, sizeof reason);
        away(sink, true, answer == NULL ? -1 : answer->retry_after_ms);
        result.after_ms = sink_wait_ms(sink);
    } else {
        if (result.verdict == INFLUX_REFUSED) {
            influx_refusal_read(answer->status, buf_slice(&sink->words), &refusal);
            result.refusal = &refusal;
        }
        answered(sink);
    }
    write->callback(write->user, &result);
}

static void on_answer(void *user, const struct mr_http_answer *answer, const struct mr_error *error)
{
    struct write *write;
    struct sink *sink;
    MAGIC_CAST(write, user, WRITE_MAGIC);
    sink = write->sink;
    MAGIC_CHECK(sink, SINK_MAGIC);
    if (sink->closing) {
        if (write->callback != NULL) {
            write->callback(write->user, &(const struct sink_result){.verdict = INFLUX_AWAY});
        }
    } else {
        count_answer(sink, write, answer);
        sink->is_denied = is_denial(answer);
        if (write->callback == NULL) {
            probe_answered(sink, answer, error);
        } else {
            write_answered(sink, write, answer, error);
        }
    }
    write->magic = 0;
    mem_free(write);
}

static int send_write(struct sink *sink, struct mr_slice body, sink_cb callback, void *user,
                      struct mr_error *err)
{
    const char *headers[2];
    struct mr_http_request request = {.method = "POST",
                                      .url = sink->url,
                                      .headers = headers,
                                      .body = body,
                                      .user = sink->options->username,
                                      .password = sink->credentials.password,
                                      .timeout_ms = sink->options->timeout_ms};
    struct write *write = mem_zalloc(sizeof *write);
    int rc;
    if (write == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (body.len > 0 && sink->is_gzip) {
        headers[request.header_count++] = "Content-Encoding: gzip";
    }
    if (sink->credentials.authorization != NULL) {
        headers[request.header_count++] = sink->credentials.authorization;
    }
    *write = (struct write){WRITE_MAGIC, sink, callback, user, uv_hrtime(), body.len};
    rc = mr_http_client_send(sink->client, &request, on_answer, write, NULL, err);
    if (rc != 0) {
        mem_free(write);
        return rc;
    }
    if (body.len > 0) {
        mr_observe(sink->bytes, (double)body.len);
    }
    return 0;
}

int sink_write(struct sink *sink, struct mr_slice body, sink_cb callback, void *user,
               struct mr_error *err)
{
    assert(callback != NULL && sink->state == SINK_OPEN);
    return send_write(sink, body, callback, user, err);
}

static void probe(struct sink *sink)
{
    struct mr_error err;
    /* While it is open, a probe asks on the side and holds nothing up. */
    enum sink_state state = sink->state == SINK_OPEN ? SINK_OPEN : SINK_PROBING;
    if (sink->is_denied && credentials_read_again(&sink->credentials)) {
        mr_log(MR_LOG_INFO, "influxdb's password or token was read again");
    }
    if (send_write(sink, mr_slice("", 0), NULL, NULL, &err) == 0) {
        set_state(sink, state);
        return;
    }
    (void)snprintf(sink->reason, sizeof sink->reason, "%s", err.text);
    away(sink, false, -1);
}

enum sink_state sink_state(const struct sink *sink)
{
    return sink->state;
}

const char *sink_reason(const struct sink *sink)
{
    return sink->reason;
}

int64_t sink_wait_ms(struct sink *sink)
{
    uint64_t now = now_ms(sink);
    int64_t left = sink->not_before_ms > now ? (int64_t)(sink->not_before_ms - now) : 0;
    return left + 1 + random_below(sink, SPREAD_MS);
}

static int open_client(struct sink *sink, struct mr_error *err)
{
    const struct influx_options *options = sink->options;
    const struct mr_http_client_config config = {
        .connections_max = (size_t)options->requests_max + 1, /* and a probe */
        .queued_max = 1,
        .answer_bytes_max = INFLUX_ANSWER_BYTES_MAX,
        .connect_timeout_ms = options->connect_timeout_ms,
        .user_agent = "millrace-influx",
        .ca_file = options->tls_ca,
        .environment_proxy = options->proxy == INFLUX_PROXY_ENVIRONMENT,
    };
    return mr_http_client_open(mr_worker_loop(sink->worker), &config, &sink->client, err);
}

static void sink_free(struct sink *sink)
{
    if (sink == NULL) {
        return;
    }
    sink->magic = 0;
    buf_done(&sink->words);
    credentials_done(&sink->credentials);
    mem_free(sink->url);
    mem_free(sink);
}

static int make_texts(struct sink *sink, const struct influx_options *options)
{
    buf_init(&sink->words, INFLUX_ANSWER_BYTES_MAX);
    sink->url = influx_write_url(options);
    if (sink->url == NULL) {
        return MR_ENOMEM;
    }
    return credentials_init(&sink->credentials, options);
}

int sink_new(struct mr_worker *worker, const struct influx_options *options,
             void (*on_change)(void *user), void *user, struct sink **ret_sink,
             struct mr_error *err)
{
    struct sink *sink = mem_zalloc(sizeof *sink);
    int rc;
    if (sink == NULL || make_texts(sink, options) != 0) {
        sink_free(sink);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    sink->worker = worker;
    sink->options = options;
    sink->is_gzip = influx_wants_gzip(options);
    sink->on_change = on_change;
    sink->user = user;
    sink->state = SINK_PROBING;
    sink->url_shown = strcspn(sink->url, "?");
    sink->random = (uint32_t)uv_hrtime() | 1;
    sink->seconds = mr_series_get(&request_seconds, NULL);
    sink->bytes = mr_series_get(&request_bytes, NULL);
    rc = open_client(sink, err);
    if (rc != 0) {
        sink_free(sink);
        return rc;
    }
    (void)uv_timer_init(mr_worker_loop(worker), &sink->probe_timer);
    sink->probe_timer.data = sink;
    sink->parts_open = 2;
    sink->magic = SINK_MAGIC;
    (void)snprintf(
        sink->reason, sizeof sink->reason, "POST %.*s: no answer yet",
        (int)(sink->url_shown > INFLUX_URL_BYTES_SHOWN ? INFLUX_URL_BYTES_SHOWN : sink->url_shown),
        sink->url);
    mr_worker_set_ready(worker, "influxdb", sink->reason);
    (void)uv_timer_start(&sink->probe_timer, on_probe_timer, 0, 0);
    *ret_sink = sink;
    return 0;
}

static void part_closed(void *user)
{
    struct sink *sink;
    void (*closed)(void *user);
    MAGIC_CAST(sink, user, SINK_MAGIC);
    sink->parts_open--;
    if (sink->parts_open > 0) {
        return;
    }
    closed = sink->closed;
    user = sink->closed_user;
    sink_free(sink);
    closed(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    part_closed(handle->data);
}

void sink_close(struct sink *sink, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(sink, SINK_MAGIC);
    assert(!sink->closing);
    sink->closing = true;
    sink->closed = closed;
    sink->closed_user = user;
    uv_close((uv_handle_t *)&sink->probe_timer, on_timer_closed);
    mr_http_client_close(sink->client, part_closed, sink);
}

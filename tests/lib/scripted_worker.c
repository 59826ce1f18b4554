// SPDX-License-Identifier: Apache-2.0
#include "lib/scripted_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

enum { TICK_MS = 5, FLUSH_MS = 60000, METRICS_BYTES_MAX = 4 * 1024 * 1024 };

static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "scripted_worker: %s\n", what);
        abort();
    }
}

static void on_batch(struct mr_worker *worker, struct mr_batch *batch)
{
    /* The options are the worker's whole author's state here. */
    struct scripted_worker *scripted = (void *)(uintptr_t)mr_worker_options(worker);
    scripted->batches++;
    scripted->records += mr_batch_count(batch);
    if (scripted->on_batch != NULL) {
        scripted->on_batch(scripted, batch);
        return;
    }
    need(scripted->held_count < SCRIPTED_HELD_MAX, "too many batches");
    scripted->held[scripted->held_count++] = batch;
}

static void on_close(struct mr_worker *worker)
{
    struct scripted_worker *scripted = (void *)(uintptr_t)mr_worker_options(worker);
    scripted->closed = true;
}

static const struct mr_worker_ops ops = {.batch = on_batch, .close = on_close};

void scripted_set(struct scripted_worker *scripted, const char *key, const char *value)
{
    static char section[] = "kafka.consumer";
    static char origin[] = "test";
    need(scripted->conf.count < SCRIPTED_SETTINGS_MAX, "too many settings");
    scripted->settings[scripted->conf.count++] =
        (struct passthrough){section, (char *)(uintptr_t)key, (char *)(uintptr_t)value, origin};
}

void scripted_init(struct scripted_worker *scripted, struct mock_kafka *mock, uv_loop_t *loop)
{
    static char topic[] = "events";
    static char group[] = "workers";
    static char both[] = "kafka";
    memset(scripted, 0, sizeof(*scripted));
    scripted->loop = loop;
    scripted->options = (struct mr_worker_loop_options){
        .topic = topic,
        .group = group,
        .batch_count_max = 1000,
        .batch_bytes_max = 1024 * 1024,
        .batch_age_ms = 20,
        .pending_count_max = 10000,
        .pending_bytes_max = 64 * 1024 * 1024,
        .retry_max = 3,
        .retry_delay_ms = 20,
        .retry_delay_max_ms = 50,
        .retry_pending_max = 100,
        .commit_interval_ms = 50,
    };
    scripted->conf.settings = scripted->settings;
    scripted_set(scripted, "bootstrap.servers", mock->bootstrap);
    scripted->settings[0].section = both; /* the dead letters' producer too */
    scripted_set(scripted, "heartbeat.interval.ms", "100");
    scripted_set(scripted, "session.timeout.ms", "6000");
    readiness_init(&scripted->readiness);
}

void scripted_start(struct scripted_worker *scripted)
{
    struct mr_error err = {0};
    scripted->spec = (struct worker_loop_spec){.conf = &scripted->conf,
                                               .options = &scripted->options,
                                               .ops = &ops,
                                               .program = "scripted",
                                               .author_options = scripted,
                                               .readiness = &scripted->readiness};
    need(uv_timer_init(scripted->loop, &scripted->tick) == 0, "timer");
    if (worker_loop_start(scripted->loop, &scripted->spec, &scripted->worker, &err) != 0) {
        need(false, err.text);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_stopped(void *user)
{
    struct scripted_worker *scripted = user;
    scripted->stopped = true;
}

static bool is_stopped(void *user)
{
    const struct scripted_worker *scripted = user;
    return scripted->stopped;
}

static bool is_never(void *user)
{
    (void)user;
    return false;
}

static bool run(struct scripted_worker *scripted, bool (*condition)(void *user), void *user,
                int64_t ms)
{
    uint64_t deadline = uv_hrtime() + (uint64_t)ms * 1000000;
    bool holds = condition(user);
    (void)uv_timer_start(&scripted->tick, on_tick, TICK_MS, TICK_MS);
    while (!holds && uv_hrtime() < deadline) {
        (void)uv_run(scripted->loop, UV_RUN_ONCE);
        holds = condition(user);
    }
    (void)uv_timer_stop(&scripted->tick);
    return holds;
}

bool scripted_until(struct scripted_worker *scripted, bool (*condition)(void *user), void *user)
{
    return run(scripted, condition, user, SCRIPTED_WAIT_MS);
}

void scripted_for(struct scripted_worker *scripted, int64_t ms)
{
    (void)run(scripted, is_never, NULL, ms);
}

void scripted_set_up(struct scripted_worker *scripted, struct mock_kafka *mock, uv_loop_t *loop,
                     int partitions, int dead_partitions)
{
    need(uv_loop_init(loop) == 0, "no loop");
    mock_kafka_start(mock);
    mock_kafka_create_topic(mock, "events", partitions);
    mock_kafka_create_topic(mock, "events.dead", dead_partitions);
    scripted_init(scripted, mock, loop);
}

void scripted_tear_down(struct mock_kafka *mock, uv_loop_t *loop)
{
    mock_kafka_stop(mock);
    need(uv_loop_close(loop) == 0, "a handle is left");
    metrics_reset();
}

void scripted_stop(struct scripted_worker *scripted, int64_t deadline_ms)
{
    worker_loop_stop(scripted->worker, deadline_ms, on_stopped, scripted);
    need(scripted_until(scripted, is_stopped, scripted), "it does not stop");
    need(scripted->closed, "close() was not called");
    uv_close((uv_handle_t *)&scripted->tick, NULL);
    (void)uv_run(scripted->loop, UV_RUN_NOWAIT);
}

struct mr_batch *scripted_take(struct scripted_worker *scripted)
{
    struct mr_batch *batch = scripted->held[0];
    need(scripted->held_count > 0, "no batch is held");
    scripted->held_count--;
    memmove(scripted->held, scripted->held + 1, scripted->held_count * sizeof(scripted->held[0]));
    return batch;
}

const char *scripted_reason(const struct scripted_worker *scripted, const char *condition)
{
    for (unsigned i = 0; i < scripted->readiness.count; i++) {
        const struct readiness_condition *row = &scripted->readiness.conditions[i];
        if (strcmp(row->name, condition) == 0) {
            return row->holds ? NULL : row->reason;
        }
    }
    return NULL;
}

char *scripted_metrics_text(void)
{
    struct mr_buf text;
    char *copy;
    buf_init(&text, METRICS_BYTES_MAX);
    (void)metrics_write(&text);
    (void)buf_add_char(&text, '\0');
    need(text.failed == 0, "metrics");
    copy = strdup(text.ptr);
    need(copy != NULL, "out of memory");
    buf_done(&text);
    return copy;
}

int64_t scripted_metric_in(const char *text, const char *name, const char *labels)
{
    char line[512];
    const char *at;
    (void)snprintf(line, sizeof(line), "\n%s{%s} ", name, labels);
    at = strstr(text, line);
    return at == NULL ? -1 : strtoll(at + strlen(line), NULL, 10);
}

int64_t scripted_metric(const char *name, const char *labels)
{
    char *text = scripted_metrics_text();
    int64_t value = scripted_metric_in(text, name, labels);
    free(text);
    return value;
}

static rd_kafka_t *new_producer(struct mock_kafka *mock)
{
    char errstr[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    (void)rd_kafka_conf_set(conf, "bootstrap.servers", mock->bootstrap, errstr, sizeof(errstr));
    (void)rd_kafka_conf_set(conf, "compression.codec", "lz4", errstr, sizeof(errstr));
    (void)rd_kafka_conf_set(conf, "enable.idempotence", "true", errstr, sizeof(errstr));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
    need(rk != NULL, errstr);
    return rk;
}

void scripted_produce(struct mock_kafka *mock, const char *topic, int32_t partition, int first,
                      int count)
{
    scripted_produce_keyed(mock, topic, partition, NULL, first, count);
}

void scripted_produce_keyed(struct mock_kafka *mock, const char *topic, int32_t partition,
                            const char *key, int first, int count)
{
    scripted_produce_keys(mock, topic, partition, &key, 1, first, count);
}

void scripted_produce_keys(struct mock_kafka *mock, const char *topic, int32_t partition,
                           const char *const *keys, int key_count, int first, int count)
{
    rd_kafka_t *rk = new_producer(mock);
    for (int i = first; i < first + count; i++) {
        char value[32];
        int len = snprintf(value, sizeof(value), "%d", i);
        const char *key = keys[i % key_count];
        size_t key_len = key == NULL ? 0 : strlen(key);
        rd_kafka_resp_err_t error;
        do {
            error = rd_kafka_producev(
                rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, key_len),
                RD_KAFKA_V_VALUE(value, (size_t)len),
                RD_KAFKA_V_HEADER("ce_specversion", "1.0", -1),
                RD_KAFKA_V_HEADER("ce_id", value, len), RD_KAFKA_V_HEADER("ce_source", "/s", -1),
                RD_KAFKA_V_HEADER("ce_type", "t", -1), RD_KAFKA_V_END);
            (void)rd_kafka_poll(rk, error == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
        } while (error == RD_KAFKA_RESP_ERR__QUEUE_FULL);
        need(error == 0, rd_kafka_err2str(error));
    }
    need(rd_kafka_flush(rk, FLUSH_MS) == 0, "produce: no delivery reports");
    rd_kafka_destroy(rk);
}

void scripted_produce_with_header(struct mock_kafka *mock, const char *topic, size_t header_bytes,
                                  int count)
{
    rd_kafka_t *rk = new_producer(mock);
    char *header = calloc(1, header_bytes);
    need(header != NULL, "out of memory");
    for (int i = 0; i < count; i++) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_VALUE(header, 1),
            RD_KAFKA_V_HEADER("ce_specversion", "1.0", -1), RD_KAFKA_V_HEADER("ce_id", "1", -1),
            RD_KAFKA_V_HEADER("ce_source", "/s", -1), RD_KAFKA_V_HEADER("ce_type", "t", -1),
            RD_KAFKA_V_HEADER("large", header, (ssize_t)header_bytes), RD_KAFKA_V_END);
        need(error == 0, rd_kafka_err2str(error));
    }
    need(rd_kafka_flush(rk, FLUSH_MS) == 0, "produce: no delivery reports");
    rd_kafka_destroy(rk);
    free(header);
}

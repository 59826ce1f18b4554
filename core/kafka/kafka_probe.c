// SPDX-License-Identifier: Apache-2.0
/* Happy path: timer -> ask() in the thread pool -> after_ask() on the loop -> on_result -> timer.
 * A broker that doesn't answer costs one thread of the pool up to 2 s at a time. */
#include "kafka/kafka_probe.h"

#include <string.h>

#include "kit/magic.h"
#include "kit/mem.h"

enum { PROBE_MAGIC = 0x92a0be1, TIMEOUT_MS = 2000, WELL_MS = 2000, ILL_MS = 500 };

struct probe {
    unsigned magic;
    struct probe_spec spec;
    uv_timer_t timer;
    uv_work_t work;
    bool working;
    bool stopping;
    rd_kafka_t *rk; /* while working */
    rd_kafka_topic_t *rkt;
    struct probe_result result;
    void (*stopped)(void *user);
    void *stopped_user;
};

static void read_topic(const struct rd_kafka_metadata_topic *topic, struct probe_result *result)
{
    result->topic_error = topic->err;
    result->partitions = topic->partition_cnt;
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (topic->partitions[i].leader < 0) {
            result->leaderless++;
        }
    }
}

static void ask(uv_work_t *work)
{
    struct probe *probe;
    const struct rd_kafka_metadata *metadata;
    MAGIC_CAST(probe, work->data, PROBE_MAGIC);
    memset(&probe->result, 0, sizeof probe->result);
    probe->result.error = rd_kafka_metadata(probe->rk, 0, probe->rkt, &metadata, TIMEOUT_MS);
    if (probe->result.error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1) {
            read_topic(&metadata->topics[0], &probe->result);
        }
        rd_kafka_metadata_destroy(metadata);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe;
    void (*stopped)(void *user);
    void *user;
    MAGIC_CAST(probe, handle->data, PROBE_MAGIC);
    stopped = probe->stopped;
    user = probe->stopped_user;
    probe->magic = 0;
    mem_free(probe);
    stopped(user);
}

static void on_timer(uv_timer_t *timer);

static void after_ask(uv_work_t *work, int status)
{
    struct probe *probe;
    const struct probe_result *result;
    bool well;
    MAGIC_CAST(probe, work->data, PROBE_MAGIC);
    (void)status; /* never cancelled */
    result = &probe->result;
    well = result->error == 0 && result->topic_error == 0 && result->leaderless == 0;
    if (!probe->stopping) {
        probe->spec.on_result(probe->spec.user, result);
    }
    probe->working = false;
    if (probe->stopping) {
        uv_close((uv_handle_t *)&probe->timer, on_closed);
    } else {
        (void)uv_timer_start(&probe->timer, on_timer, well ? WELL_MS : ILL_MS, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *probe;
    MAGIC_CAST(probe, timer->data, PROBE_MAGIC);
    if (!probe->spec.target(probe->spec.user, &probe->rk, &probe->rkt)) {
        (void)uv_timer_start(timer, on_timer, ILL_MS, 0);
        return;
    }
    probe->working = true;
    (void)uv_queue_work(timer->loop, &probe->work, ask, after_ask);
}

int probe_start(uv_loop_t *loop, const struct probe_spec *spec, struct probe **ret_probe,
                struct mr_error *err)
{
    struct probe *probe = mem_zalloc(sizeof *probe);
    if (probe == NULL) {
        return mr_error_set(err, MR_ENOMEM, "probe");
    }
    probe->magic = PROBE_MAGIC;
    probe->spec = *spec;
    probe->work.data = probe;
    probe->timer.data = probe;
    (void)uv_timer_init(loop, &probe->timer);
    (void)uv_timer_start(&probe->timer, on_timer, WELL_MS,
                         0); /* the look for topics was just now */
    *ret_probe = probe;
    return 0;
}

void probe_stop(struct probe *probe, void (*stopped)(void *user), void *user)
{
    MAGIC_CHECK(probe, PROBE_MAGIC);
    probe->stopping = true;
    probe->stopped = stopped;
    probe->stopped_user = user;
    if (!probe->working && !uv_is_closing((uv_handle_t *)&probe->timer)) {
        uv_close((uv_handle_t *)&probe->timer, on_closed);
    }
}

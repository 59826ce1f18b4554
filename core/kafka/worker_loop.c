// SPDX-License-Identifier: Apache-2.0
/* Happy path: start -> the topics are there -> subscribed -> assigned -> records, batches,
 * settlements, commits, all in worker_run() -> stop: no new batches -> those in hand are settled ->
 * the last commit is confirmed -> the group is left -> close() -> everything is given back, the
 * consumer's threads in libuv's pool. What can go wrong while stopping: a batch isn't settled by
 * the deadline (given up, it is read again by another member); the commit or the leaving isn't
 * answered (waited for a few seconds at most, and hardly beyond the deadline, so that close() is
 * called before the frame ends the process). */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kafka/worker_internal.h"
#include "kit/clock.h"

enum { NS_A_MS = 1000000 };

/* --- time --- */

int64_t worker_now_ms(const struct mr_worker *worker)
{
    return (int64_t)uv_now(worker->loop);
}

int64_t worker_wall_ns(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    if (worker->wall.ns == 0 || worker->wall.at_ms != now) {
        worker->wall.ns = clock_wall_ns();
        worker->wall.at_ms = now;
    }
    return worker->wall.ns;
}

int64_t worker_wall_ms(struct mr_worker *worker)
{
    return worker_wall_ns(worker) / NS_A_MS;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct mr_worker *worker)
{
    int64_t left = worker->next_ms - worker_now_ms(worker);
    if (!worker->stop.handles_closing) {
        (void)uv_timer_start(&worker->timer, on_timer, left > 0 ? (uint64_t)left : 0, 0);
    }
}

void worker_at(struct mr_worker *worker, int64_t at_ms)
{
    if (at_ms < worker->next_ms) {
        worker->next_ms = at_ms;
    }
}

void worker_soon(struct mr_worker *worker)
{
    worker->next_ms = 0;
    if (!worker->is_running) {
        arm(worker);
    }
}

/* --- the end --- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct mr_worker *worker;
    void (*stopped)(void *user);
    void *user;
    MAGIC_CAST(worker, handle->data, WORKER_MAGIC);
    if (--worker->handles > 0) {
        return;
    }
    stopped = worker->stop.stopped;
    user = worker->stop.user;
    (void)close(worker->event_fd);
    worker_topics_free(worker);
    dead_writer_done(&worker->dead.writer);
    while (worker->spare_count > 0) {
        mr_event_free(worker->spare[--worker->spare_count]);
    }
    mem_free(worker->dead.topic);
    mem_free(worker->group);
    kafka_message_headers_done(&worker->headers);
    worker->magic = 0;
    mem_free(worker);
    if (stopped != NULL) {
        stopped(user);
    }
}

static void destroy_work(uv_work_t *work)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    consumer_destroy(worker);
}

static void after_destroy(uv_work_t *work, int status)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, work->data, WORKER_MAGIC);
    (void)status;
    worker->stop.handles_closing = true;
    uv_close((uv_handle_t *)&worker->poll, on_handle_closed);
    uv_close((uv_handle_t *)&worker->timer, on_handle_closed);
}

/* After close() nobody settles what was given up. */
static void drop_orphans(struct mr_worker *worker)
{
    struct partition *next;
    worker_end_batches(worker);
    for (struct partition *p = worker->orphans; p != NULL; p = next) {
        next = p->next;
        if (p->batch != NULL) {
            batch_drop(p->batch);
        }
    }
}

static void run_ending(struct mr_worker *worker)
{
    bool topics_are_stopped = worker_topics_stop(worker);
    bool producer_is_closed = dead_stop(worker);
    if (!topics_are_stopped || !producer_is_closed || worker->probe.under_way ||
        worker->offsets.under_way || worker->recall.list != NULL || worker->stop.destroying) {
        return; /* each of them asks for a run when it is over */
    }
    worker->stop.destroying = true;
    (void)uv_poll_stop(&worker->poll);
    worker->stop.destroy.data = worker;
    (void)uv_queue_work(worker->loop, &worker->stop.destroy, destroy_work, after_destroy);
}

/* --- stopping, step by step --- */

/* librdkafka before 2.2.0 aborts when a consumer is destroyed that has joined a group but was never
 * assigned anything with the cooperative-sticky assignor: it is left to the end of the process. */
static bool must_keep_consumer(const struct mr_worker *worker)
{
    return rd_kafka_version() < 0x020200ff && !worker->was_assigned &&
           rebalance_is_cooperative(worker);
}

static void begin_closing(struct mr_worker *worker)
{
    rd_kafka_error_t *error;
    worker->phase = WORKER_CLOSING;
    worker->stop.keeps_consumer = must_keep_consumer(worker);
    worker->stop.step_began_ms = worker_now_ms(worker);
    rebalance_finish(worker);
    while (worker->partitions != NULL) {
        partition_give_up(worker->partitions);
    }
    error = rd_kafka_consumer_close_queue(worker->rk, worker->answers);
    if (error != NULL) {
        mr_log(MR_LOG_WARN, "leaving the group failed",
               MR_STR("reason", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
        worker->stop.close_failed = true;
    }
}

static void begin_ending(struct mr_worker *worker)
{
    worker->phase = WORKER_ENDING;
    /* Kafka doesn't answer: that would take seconds. Or for ever, where a topic was deleted: then
     * librdkafka waits for references to it that it has lost. */
    if (!rd_kafka_consumer_closed(worker->rk) || worker->topics.some_went) {
        worker->stop.keeps_consumer = true;
    }
    while (worker->rebalance.count > 0) {
        rd_kafka_event_destroy(worker->rebalance.events[--worker->rebalance.count]);
    }
    if (worker->spec.ops->close != NULL) {
        worker->spec.ops->close(worker);
    }
    drop_orphans(worker);
}

static bool all_are_drained(const struct mr_worker *worker)
{
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (!partition_is_drained(p)) {
            return false;
        }
    }
    return true;
}

static bool all_are_committed(const struct mr_worker *worker)
{
    for (const struct partition *p = worker->partitions; p != NULL; p = p->next) {
        if (commit_is_owed(p)) {
            return false;
        }
    }
    return true;
}

/* The deadline may come nearer while a step is under way. */
static int64_t step_deadline_ms(const struct mr_worker *worker, int64_t wait_ms, int64_t grace_ms)
{
    int64_t began = worker->stop.step_began_ms;
    int64_t deadline = worker->stop.deadline_ms > began ? worker->stop.deadline_ms : began;
    return began + wait_ms < deadline + grace_ms ? began + wait_ms : deadline + grace_ms;
}

static bool is_commit_awaited(struct mr_worker *worker)
{
    int64_t deadline = step_deadline_ms(worker, WORKER_COMMIT_WAIT_MS, WORKER_COMMIT_GRACE_MS);
    if (all_are_committed(worker) || worker->fatal || worker_now_ms(worker) >= deadline) {
        return false;
    }
    worker_at(worker, deadline);
    return true;
}

static bool is_close_awaited(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    if (worker->stop.close_failed || rd_kafka_consumer_closed(worker->rk) ||
        now >= step_deadline_ms(worker, WORKER_CLOSE_WAIT_MS, WORKER_CLOSE_GRACE_MS)) {
        return false;
    }
    worker_at(worker, now + WORKER_CLOSE_POLL_MS);
    return true;
}

static void run_stop(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    if (worker->phase == WORKER_DRAINING) {
        if (!all_are_drained(worker) && now < worker->stop.deadline_ms) {
            worker_at(worker, worker->stop.deadline_ms);
            return;
        }
        worker->phase = WORKER_COMMITTING;
        worker->stop.step_began_ms = now;
        commit_now(worker);
        commit_run(worker);
    }
    if (worker->phase == WORKER_COMMITTING) {
        if (is_commit_awaited(worker)) {
            return;
        }
        begin_closing(worker);
    }
    if (worker->phase == WORKER_CLOSING) {
        if (is_close_awaited(worker)) {
            return;
        }
        begin_ending(worker);
    }
    run_ending(worker);
}

/* --- the run --- */

static void run_partitions(struct mr_worker *worker)
{
    struct partition *next;
    /* One may be replaced by another, which comes first in the list. An author's batch() can't take
     * partitions away: that happens in the run only. */
    for (struct partition *p = worker->partitions; p != NULL; p = next) {
        next = p->next;
        partition_run(p);
    }
}

static void worker_run(struct mr_worker *worker)
{
    if (worker->stop.destroying) {
        return;
    }
    worker->is_running = true;
    worker->next_ms = worker_now_ms(worker) + WORKER_NET_MS;
    if (worker->phase < WORKER_ENDING) {
        consumer_drain(worker);
    }
    worker_end_batches(worker);
    if (worker->phase < WORKER_ENDING) {
        worker_topics_run(worker);
        rebalance_run(worker);
        recall_run(worker);
        run_partitions(worker);
        offsets_run(worker);
        dead_run(worker);
        commit_run(worker);
        consumer_probe(worker);
        lag_run(worker);
    }
    if (worker->phase > WORKER_RUNNING) {
        run_stop(worker);
    }
    worker->is_running = false;
    arm(worker);
}

static void on_timer(uv_timer_t *timer)
{
    struct mr_worker *worker;
    MAGIC_CAST(worker, timer->data, WORKER_MAGIC);
    worker_run(worker);
}

static void on_event_fd(uv_poll_t *poll, int status, int events)
{
    struct mr_worker *worker;
    uint64_t count;
    MAGIC_CAST(worker, poll->data, WORKER_MAGIC);
    (void)status;
    (void)events;
    (void)!read(worker->event_fd, &count, sizeof(count)); /* before the queues are emptied */
    worker_run(worker);
}

/* --- start and stop --- */

static int open_all(struct mr_worker *worker, struct mr_error *err)
{
    int rc = worker_topics_parse(worker, err);
    if (rc == 0) {
        worker->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (worker->event_fd < 0) {
            rc = mr_error_set(err, MR_EIO, "eventfd: %s", strerror(errno));
        }
    }
    if (rc == 0) {
        rc = consumer_open(worker, err);
    }
    if (rc == 0) {
        rc = uv_poll_init(worker->loop, &worker->poll, worker->event_fd);
        if (rc != 0) {
            return mr_error_set(err, MR_EIO, "eventfd: %s", uv_strerror(rc));
        }
        worker->handles = 1;
        (void)uv_timer_init(worker->loop, &worker->timer);
        worker->handles = 2;
        worker->poll.data = worker;
        worker->timer.data = worker;
    }
    return rc;
}

static void set_first_conditions(struct mr_worker *worker)
{
    struct readiness *readiness = worker->spec.readiness;
    readiness_set(readiness, "kafka", false, "not reached yet");
    readiness_set(readiness, "topic", false, "not looked for yet");
    readiness_set(readiness, "group", false, "waiting for the first assignment");
    readiness_set(readiness, "sink", true, NULL);
}

/* Blocking, for a start that failed: the consumer has joined nothing yet. */
static void undo_start(struct mr_worker *worker)
{
    consumer_destroy(worker);
    if (worker->handles > 0) { /* the loop frees the rest when the handles are closed */
        worker->stop.handles_closing = true;
        uv_close((uv_handle_t *)&worker->poll, on_handle_closed);
        uv_close((uv_handle_t *)&worker->timer, on_handle_closed);
        return;
    }
    if (worker->event_fd >= 0) {
        (void)close(worker->event_fd);
    }
    worker_topics_free(worker);
    dead_writer_done(&worker->dead.writer);
    mem_free(worker->group);
    mem_free(worker);
}

int worker_loop_start(uv_loop_t *loop, const struct worker_loop_spec *spec,
                      struct mr_worker **ret_worker, struct mr_error *err)
{
    struct mr_worker *worker = mem_zalloc(sizeof(*worker));
    int rc;
    if (worker == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    worker->magic = WORKER_MAGIC;
    worker->offsets.proof_ms = WORKER_LOST_PROOF_MS;
    worker->loop = loop;
    worker->spec = *spec;
    worker->event_fd = -1;
    dead_writer_init(&worker->dead.writer);
    rc = open_all(worker, err);
    if (rc == 0 && spec->ops->open != NULL) {
        rc = spec->ops->open(worker, err);
    }
    if (rc != 0) {
        undo_start(worker);
        return rc;
    }
    set_first_conditions(worker);
    (void)uv_poll_start(&worker->poll, UV_READABLE, on_event_fd);
    worker_soon(worker);
    *ret_worker = worker;
    return 0;
}

void worker_loop_stop(struct mr_worker *worker, int64_t deadline_ms, void (*stopped)(void *user),
                      void *user)
{
    int64_t deadline;
    MAGIC_CHECK(worker, WORKER_MAGIC);
    deadline = worker_now_ms(worker) + deadline_ms;
    if (worker->phase != WORKER_RUNNING) {
        if (deadline < worker->stop.deadline_ms) {
            worker->stop.deadline_ms = deadline;
        }
    } else {
        worker->phase = WORKER_DRAINING;
        worker->stop.deadline_ms = deadline;
        worker->stop.stopped = stopped;
        worker->stop.user = user;
        for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
            partition_drain(p);
        }
    }
    worker_soon(worker);
}

/* --- what the author asks --- */

const void *mr_worker_options(const struct mr_worker *worker)
{
    MAGIC_CHECK(worker, WORKER_MAGIC);
    return worker->spec.author_options;
}

uv_loop_t *mr_worker_loop(const struct mr_worker *worker)
{
    MAGIC_CHECK(worker, WORKER_MAGIC);
    return worker->loop;
}

void mr_worker_set_state(struct mr_worker *worker, void *state)
{
    MAGIC_CHECK(worker, WORKER_MAGIC);
    worker->author_state = state;
}

void *mr_worker_state(const struct mr_worker *worker)
{
    MAGIC_CHECK(worker, WORKER_MAGIC);
    return worker->author_state;
}

void mr_worker_set_ready(struct mr_worker *worker, const char *condition, const char *reason)
{
    MAGIC_CHECK(worker, WORKER_MAGIC);
    readiness_set(worker->spec.readiness, condition, reason == NULL, "%s",
                  reason == NULL ? "" : reason);
}

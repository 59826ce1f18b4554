// SPDX-License-Identifier: Apache-2.0
/* The writer under failing allocations. The worker beneath it is a stand-in of this file: it
 * settles nothing but counts, so that every delivery is seen to be settled exactly once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "consumers/influx/writer.h"
#include "lib/heap.h"
#include "lib/script_server.h"

enum { COUNT = 3, DEADLINE_MS = 20000 };

struct mr_delivery {
    struct mr_event *event;
    int settled;
    bool waits;
};

struct mr_batch {
    struct mr_delivery deliveries[COUNT];
};

static uv_loop_t loop;
static int settled;

uv_loop_t *mr_worker_loop(const struct mr_worker *worker)
{
    (void)worker;
    return &loop;
}

void mr_worker_set_ready(struct mr_worker *worker, const char *condition, const char *reason)
{
    (void)worker;
    (void)condition;
    (void)reason;
}

size_t mr_batch_count(const struct mr_batch *batch)
{
    (void)batch;
    return COUNT;
}

struct mr_delivery *mr_batch_at(struct mr_batch *batch, size_t index)
{
    return &batch->deliveries[index];
}

const char *mr_batch_topic(const struct mr_batch *batch)
{
    (void)batch;
    return "events";
}

int32_t mr_batch_partition(const struct mr_batch *batch)
{
    (void)batch;
    return 0;
}

struct mr_event *mr_delivery_event(struct mr_delivery *delivery)
{
    return delivery->event;
}

int64_t mr_delivery_offset(const struct mr_delivery *delivery)
{
    (void)delivery;
    return 0;
}

int64_t mr_delivery_timestamp_ms(const struct mr_delivery *delivery)
{
    (void)delivery;
    return 1;
}

void mr_done(struct mr_delivery *delivery)
{
    delivery->settled++;
    settled++;
}

void mr_dead(struct mr_delivery *delivery, const char *code, const char *text)
{
    assert_string_equal(code, "mapping");
    assert_non_null(text);
    mr_done(delivery);
}

void mr_batch_wait(struct mr_batch *batch, const char *reason, int64_t after_ms)
{
    assert_true(reason != NULL && reason[0] != '\0');
    assert_true(after_ms > 0);
    for (size_t i = 0; i < COUNT; i++) {
        if (batch->deliveries[i].settled == 0) {
            batch->deliveries[i].waits = true;
            mr_done(&batch->deliveries[i]);
        }
    }
}

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    (void)user;
    (void)request;
    answer->bytes = "HTTP/1.1 204 No Content\r\n\r\n";
}

static void on_tick(uv_timer_t *timer)
{
    const uint64_t *begun_ms = timer->data;
    if (uv_now(timer->loop) - *begun_ms > DEADLINE_MS) {
        fail_msg("nothing happened for %d ms", DEADLINE_MS);
    }
}

static void run_until_settled(void)
{
    uv_timer_t tick;
    uint64_t begun_ms = uv_now(&loop);
    (void)uv_timer_init(&loop, &tick);
    tick.data = &begun_ms;
    (void)uv_timer_start(&tick, on_tick, 2, 2);
    while (settled < COUNT) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
}

/* Returns how many were stored or dead, not left to wait; -1: the writer could not be made. */
static int write_batch(const struct influx_options *options, struct mr_batch *batch)
{
    struct writer *writer = NULL;
    int over = 0;
    int rc = writer_new(NULL, options, &writer, NULL);
    settled = 0;
    for (size_t i = 0; i < COUNT; i++) {
        batch->deliveries[i].settled = 0;
        batch->deliveries[i].waits = false;
    }
    if (rc == 0) {
        writer_take(writer, batch);
        run_until_settled();
    }
    writer_close(writer);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; rc == 0 && i < COUNT; i++) {
        assert_int_equal(batch->deliveries[i].settled, 1);
        over += !batch->deliveries[i].waits;
    }
    assert_true(rc == 0 || rc == MR_ENOMEM);
    return rc == 0 ? over : -1;
}

static void every_allocation_may_fail(void **state)
{
    static const char *const data[COUNT] = {"{\"a\":1}", "[]", "{\"b\":\"\\n\"}"};
    struct mr_batch batch = {0};
    struct script_server *server = script_server_start(0, handle, NULL);
    char uri[64];
    struct influx_options options = {.uri = uri,
                                     .database = (char[]){"db"},
                                     .timeout_ms = 2000,
                                     .connect_timeout_ms = 200,
                                     .requests_max = 2,
                                     .request_bytes_max = 20,
                                     .wait_min_ms = 10,
                                     .wait_max_ms = 20};
    int over = -1;
    (void)state;
    assert_non_null(server);
    (void)snprintf(uri, sizeof uri, "http://127.0.0.1:%u", script_server_port(server));
    for (size_t i = 0; i < COUNT; i++) {
        struct mr_event *event = mr_event_new();
        assert_int_equal(mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL), 0);
        mr_event_set_data(event, mr_slice_of(data[i]));
        batch.deliveries[i].event = event;
    }
    for (unsigned n = 1; over < COUNT; n++) {
        assert_int_equal(uv_loop_init(&loop), 0);
        heap_fail_at(n);
        over = write_batch(&options, &batch);
        metrics_reset();
        assert_int_equal(heap_alive(), 0);
        assert_int_equal(uv_loop_close(&loop), 0);
        if (!heap_failed()) {
            assert_int_equal(over, COUNT);
            assert_true(n > 15);
        } else {
            over = -1;
        }
    }
    heap_restore();
    for (size_t i = 0; i < COUNT; i++) {
        mr_event_free(batch.deliveries[i].event);
    }
    script_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "lib/retry_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "kafka/worker_internal.h"

struct mock_kafka retry_mock;
struct scripted_worker retry_one;
uv_loop_t retry_loop;

/* The author fails a record's first so many attempts; and what was handed out, in order. */
unsigned retry_fails[OFFSETS];
int64_t retry_handed[OFFSETS * TIMES_MAX];
size_t retry_handed_count;
size_t retry_settled_count;

int retry_set_up(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&retry_loop), 0);
    mock_kafka_start(&retry_mock);
    mock_kafka_create_topic(&retry_mock, "events", 1);
    mock_kafka_create_topic(&retry_mock, "events.dead", 1);
    scripted_init(&retry_one, &retry_mock, &retry_loop);
    memset(retry_fails, 0, sizeof(retry_fails));
    retry_handed_count = 0;
    retry_settled_count = 0;
    return 0;
}

int retry_tear_down(void **state)
{
    (void)state;
    mock_kafka_stop(&retry_mock);
    assert_int_equal(uv_loop_close(&retry_loop), 0); /* no handle is left */
    metrics_reset();
    return 0;
}

int64_t retry_gauge(const char *name)
{
    return scripted_metric(name, "topic=\"events\",partition=\"0\"");
}

static int64_t retry_books(const char *outcome)
{
    char labels[128];
    (void)snprintf(labels, sizeof(labels), "topic=\"events\",partition=\"0\",outcome=\"%s\"",
                   outcome);
    return scripted_metric("millrace_worker_settled_total", labels);
}

void retry_assert_balance(void)
{
    if (retry_gauge("millrace_worker_in_flight") < 0) { /* not assigned yet */
        return;
    }
    assert_int_equal(retry_gauge("millrace_worker_received_total"),
                     retry_books("done") + retry_books("dead") + retry_books("skipped") +
                         retry_books("given_up") + retry_gauge("millrace_worker_in_flight") +
                         retry_gauge("millrace_worker_pending_records") +
                         retry_gauge("millrace_worker_retries_pending"));
}

void retry_fail_or_settle(struct scripted_worker *scripted, struct mr_batch *batch)
{
    (void)scripted;
    for (size_t i = 0; i < mr_batch_count(batch); i++) {
        struct mr_delivery *delivery = mr_batch_at(batch, i);
        int64_t offset = mr_delivery_offset(delivery);
        assert_true(retry_handed_count < MR_COUNT_OF(retry_handed));
        retry_handed[retry_handed_count++] = offset;
        if (mr_delivery_attempt(delivery) <= retry_fails[offset]) {
            mr_retry(delivery, "it said no");
        } else {
            retry_settled_count++;
            mr_done(delivery);
        }
    }
}

void retry_produce(const char *key, int first)
{
    scripted_produce_keyed(&retry_mock, "events", 0, key, first, 1);
}

/* "abxa": a record each, of these keys; "-": none. */
void retry_produce_keys(const char *keys)
{
    for (int i = 0; keys[i] != '\0'; i++) {
        const char key[] = {keys[i], '\0'};
        retry_produce(keys[i] == '-' ? NULL : key, i);
    }
}

static size_t wanted;
static bool has_handed(void *user)
{
    (void)user;
    retry_assert_balance();
    return retry_handed_count >= wanted;
}

void retry_await_handed(size_t count)
{
    wanted = count;
    assert_true(scripted_until(&retry_one, has_handed, NULL));
}

static int64_t wanted_offset;
static bool has_committed(void *user)
{
    (void)user;
    retry_assert_balance();
    return retry_gauge("millrace_worker_committed_offset") == wanted_offset;
}

void retry_await_commit(int64_t offset)
{
    wanted_offset = offset;
    assert_true(scripted_until(&retry_one, has_committed, NULL));
    assert_int_equal(mock_kafka_committed(&retry_mock, "workers", "events", 0), offset);
}

void retry_assert_handed(size_t count, const int64_t *expected)
{
    assert_int_equal(retry_handed_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(retry_handed[i], expected[i]);
    }
}

void retry_set_delay(int64_t ms)
{
    retry_one.options.retry_delay_ms = ms;
    retry_one.options.retry_delay_max_ms = ms;
}

/* One record a batch; what fails waits until let_go(), however slow the machine is. */
void retry_start_slowly(void)
{
    retry_one.options.batch_count_max = 1;
    retry_set_delay(HOUR_MS);
    retry_one.on_batch = retry_fail_or_settle;
    scripted_start(&retry_one);
}

/* The time of all that wait has come; what fails from now on waits for a moment only. */
void retry_let_go(void)
{
    retry_set_delay(SHORT_MS);
    for (struct partition *p = retry_one.worker->partitions; p != NULL; p = p->next) {
        for (struct mr_delivery *d = p->retries.first; d != NULL; d = d->retry.next) {
            d->retry.again_ms = 0;
        }
    }
    worker_soon(retry_one.worker);
}

/* --- keys --- */

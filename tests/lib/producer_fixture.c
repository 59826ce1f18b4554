// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "lib/event_asserts.h"
#include "lib/producer_fixture.h"

static void on_pulse(uv_timer_t *timer)
{
    (void)timer;
}

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

void fixture_set(struct fixture *f, const char *section, const char *key, const char *value)
{
    assert_true(f->conf.count < MR_COUNT_OF(f->settings));
    f->settings[f->conf.count++] =
        (struct passthrough){text(section), text(key), text(value), text("test.conf:1")};
}

void fixture_set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    mock_kafka_start(&f->mock);
    mock_kafka_create_topic(&f->mock, "events", PARTITIONS);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->pulse), 0);
    assert_int_equal(uv_timer_start(&f->pulse, on_pulse, 5, 5), 0);
    f->conf.settings = f->settings;
    fixture_set(f, "kafka", "bootstrap.servers", f->mock.bootstrap);
    f->options = (struct mr_producer_options){
        .topic = text("events"),
        .topic_create = true,
        .topic_partitions = PARTITIONS,
        .queue_events_max = 100000,
        .queue_bytes_max = 64 << 20,
    };
    readiness_init(&f->readiness);
}

void fixture_run_until(struct fixture *f, bool (*holds)(void *arg), void *arg, uint64_t deadline_ms)
{
    uint64_t end = uv_hrtime() / 1000000 + deadline_ms;
    while (!holds(arg)) {
        assert_true(uv_hrtime() / 1000000 < end);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
}

bool fixture_is_ready(void *fixture)
{
    return readiness_is_ready(&((struct fixture *)fixture)->readiness);
}

bool fixture_is_not_ready(void *fixture)
{
    return !fixture_is_ready(fixture);
}

bool is_true(void *flag)
{
    return *(bool *)flag;
}

bool is_zero(void *size)
{
    return *(size_t *)size == 0;
}

void set_true(void *flag)
{
    *(bool *)flag = true;
}

void fixture_start(struct fixture *f)
{
    struct mr_error err = {0};
    const struct producer_spec spec = {&f->conf, &f->options, "test", &f->readiness};
    assert_int_equal(producer_new(&f->loop, &spec, &f->producer, &err), 0);
    assert_int_equal(producer_port_open(f->producer, &f->loop, &f->port, &err), 0);
    assert_false(readiness_is_ready(&f->readiness));
}

void fixture_start_and_wait(struct fixture *f)
{
    fixture_start(f);
    fixture_run_until(f, fixture_is_ready, f, READY_MS);
}

void fixture_tear_down(struct fixture *f)
{
    f->closed = false;
    producer_port_close(f->port, set_true, &f->closed);
    fixture_run_until(f, is_true, &f->closed, SETTLE_MS);
    f->closed = false;
    producer_close(f->producer, set_true, &f->closed);
    fixture_run_until(f, is_true, &f->closed, SETTLE_MS);
    uv_close((uv_handle_t *)&f->pulse, NULL);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    mock_kafka_stop(&f->mock);
    metrics_reset();
}

void fill_event(struct mr_event *event, const char *id, unsigned key, struct mr_slice data)
{
    char device[32];
    (void)snprintf(device, sizeof device, "d%u", key);
    mr_event_clear(event);
    set_text(event, "id", id);
    set_text(event, "source", "/app/device");
    set_text(event, "specversion", "1.0");
    set_text(event, "type", "io.millrace.event.v1");
    set_text(event, "application", "app");
    set_text(event, "device", device);
    mr_event_set_data(event, data);
}

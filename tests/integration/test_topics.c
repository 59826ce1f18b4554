// SPDX-License-Identifier: Apache-2.0
/* Against the mock cluster; tests/system/test_topics_are_made.py has the real Kafka. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "kafka/kafka_conf.h"
#include "kafka/kafka_topics.h"
#include "lib/heap.h"
#include "lib/mock_kafka.h"

enum { DEADLINE_MS = 60000 };

struct fixture {
    uv_loop_t loop;
    uv_timer_t pulse;
    rd_kafka_t *rk;
    struct topics *topics;
    unsigned calls;
    bool there;
    bool stopped;
    bool stop_when_told;
    char reason[MR_ERROR_TEXT_BYTES];
};

static void on_pulse(uv_timer_t *timer)
{
    (void)timer;
}

static void set_up(struct fixture *f, enum kafka_side side, const char *bootstrap)
{
    static char origin[] = "test";
    static char section[] = "kafka";
    static char key[] = "bootstrap.servers";
    static char group_key[] = "group.id";
    static char group[] = "test_topics";
    char errstr[512];
    struct passthrough settings[] = {{section, key, (char *)(uintptr_t)bootstrap, origin},
                                     {section, group_key, group, origin}};
    struct kafka_conf conf = {.settings = settings, .count = 2};
    rd_kafka_conf_t *made;
    memset(f, 0, sizeof *f);
    assert_int_equal(kafka_conf_make(&conf, side, "test", &made, NULL), 0);
    f->rk = rd_kafka_new(side == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, made,
                         errstr, sizeof errstr);
    assert_non_null(f->rk);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->pulse), 0);
    assert_int_equal(uv_timer_start(&f->pulse, on_pulse, 5, 5), 0);
}

static void on_stopped(void *user)
{
    ((struct fixture *)user)->stopped = true;
}

static void on_state(void *user, const struct mr_error *missing)
{
    struct fixture *f = user;
    f->calls++;
    f->there = missing == NULL;
    (void)snprintf(f->reason, sizeof f->reason, "%s", missing == NULL ? "" : missing->text);
    if (f->stop_when_told) {
        topics_stop(f->topics, on_stopped, f);
    }
}

static void run_until(struct fixture *f, const bool *flag)
{
    uint64_t end = uv_hrtime() / 1000000 + DEADLINE_MS;
    while (!*flag) {
        assert_true(uv_hrtime() / 1000000 < end);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void run_until_told(struct fixture *f, unsigned calls)
{
    uint64_t end = uv_hrtime() / 1000000 + DEADLINE_MS;
    while (f->calls < calls) {
        assert_true(uv_hrtime() / 1000000 < end);
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void ensure(struct fixture *f, const struct topics_spec *spec)
{
    assert_int_equal(topics_ensure(&f->loop, f->rk, spec, on_state, f, &f->topics, NULL), 0);
    assert_int_equal(f->calls, 0);
}

static void tear_down(struct fixture *f)
{
    if (!f->stopped) {
        topics_stop(f->topics, on_stopped, f);
    }
    run_until(f, &f->stopped);
    rd_kafka_destroy(f->rk);
    uv_close((uv_handle_t *)&f->pulse, NULL);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

/* As another client sees it; -1: there is none. */
static int partitions_of(const char *bootstrap, const char *topic)
{
    char errstr[512];
    const struct rd_kafka_metadata *metadata;
    int partitions = -1;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, errstr, sizeof errstr),
                     0);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof errstr);
    assert_non_null(rk);
    assert_int_equal(rd_kafka_metadata(rk, 1, NULL, &metadata, DEADLINE_MS), 0);
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (strcmp(metadata->topics[i].topic, topic) == 0) {
            partitions = metadata->topics[i].partition_cnt;
        }
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(rk);
    return partitions;
}

static void creates(enum kafka_side side)
{
    struct mock_kafka mock;
    struct fixture f;
    const struct topics_spec spec = {{"a", "b"}, true, 3, 0};
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "b", 2);
    set_up(&f, side, mock.bootstrap);
    ensure(&f, &spec);
    run_until_told(&f, 1);
    assert_true(f.there);
    assert_true(partitions_of(mock.bootstrap, "a") > 0);
    assert_int_equal(partitions_of(mock.bootstrap, "b"), 2);
    tear_down(&f);
    assert_int_equal(f.calls, 1);
    mock_kafka_stop(&mock);
}

static void test_a_missing_topic_is_made_on_the_embedded_broker(void **state)
{
    (void)state;
    creates(KAFKA_PRODUCER);
    creates(KAFKA_CONSUMER);
}

static void test_without_create_it_waits_and_makes_nothing(void **state)
{
    struct mock_kafka mock;
    struct fixture f;
    const struct topics_spec spec = {{"wanted"}, false, 0, 0};
    (void)state;
    mock_kafka_start(&mock);
    set_up(&f, KAFKA_PRODUCER, mock.bootstrap);
    ensure(&f, &spec);
    run_until_told(&f, 1);
    assert_false(f.there);
    assert_string_equal(f.reason, "'wanted' is missing, and topic.create is false");
    assert_int_equal(partitions_of(mock.bootstrap, "wanted"), -1);
    mock_kafka_create_topic(&mock, "wanted", 1);
    run_until_told(&f, 2);
    assert_true(f.there);
    tear_down(&f);
    mock_kafka_stop(&mock);
}

static void test_kafka_may_come_later(void **state)
{
    struct mock_kafka mock;
    struct fixture f;
    const struct topics_spec spec = {{"late"}, true, 0, 0};
    (void)state;
    mock_kafka_start(&mock);
    mock_kafka_set_up(&mock, false);
    set_up(&f, KAFKA_PRODUCER, mock.bootstrap);
    ensure(&f, &spec);
    run_until_told(&f, 1);
    assert_false(f.there);
    assert_string_equal(f.reason, rd_kafka_err2str(RD_KAFKA_RESP_ERR__TRANSPORT));
    mock_kafka_set_up(&mock, true);
    while (!f.there) {
        run_until_told(&f, f.calls + 1);
    }
    tear_down(&f);
    mock_kafka_stop(&mock);
}

static void test_stopped_from_the_callback_and_before_it(void **state)
{
    struct mock_kafka mock;
    struct fixture f;
    const struct topics_spec spec = {{"x"}, true, 0, 0};
    (void)state;
    mock_kafka_start(&mock);
    set_up(&f, KAFKA_PRODUCER, mock.bootstrap);
    f.stop_when_told = true;
    ensure(&f, &spec);
    run_until(&f, &f.stopped);
    assert_int_equal(f.calls, 1);
    tear_down(&f);
    set_up(&f, KAFKA_PRODUCER, mock.bootstrap);
    ensure(&f, &spec);
    tear_down(&f);
    assert_int_equal(f.calls, 0);
    mock_kafka_stop(&mock);
}

static void test_out_of_memory_is_told(void **state)
{
    struct mock_kafka mock;
    struct fixture f;
    const struct topics_spec spec = {{"x", "y"}, true, 0, 0};
    (void)state;
    mock_kafka_start(&mock);
    set_up(&f, KAFKA_PRODUCER, mock.bootstrap);
    for (unsigned n = 1;; n++) {
        int rc;
        heap_fail_at(n);
        rc = topics_ensure(&f.loop, f.rk, &spec, on_state, &f, &f.topics, NULL);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(heap_alive(), 0);
    }
    heap_fail_at(0);
    tear_down(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
    mock_kafka_stop(&mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_topic_is_made_on_the_embedded_broker),
        cmocka_unit_test(test_without_create_it_waits_and_makes_nothing),
        cmocka_unit_test(test_kafka_may_come_later),
        cmocka_unit_test(test_stopped_from_the_callback_and_before_it),
        cmocka_unit_test(test_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

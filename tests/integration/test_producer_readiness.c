// SPDX-License-Identifier: Apache-2.0
/* What the producer tells readiness, and how it comes back by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/shots.h"

static bool is_said(struct fixture *f, const char *reason)
{
    struct mr_buf reasons;
    bool said;
    buf_init(&reasons, 10000);
    assert_int_equal(readiness_write(&f->readiness, &reasons), 0);
    assert_int_equal(buf_add_char(&reasons, '\0'), 0);
    said = strstr(reasons.ptr, reason) != NULL;
    buf_done(&reasons);
    return said;
}

static void test_kafka_away_is_busy_in_time_and_comes_back_by_itself(void **state)
{
    struct fixture f;
    struct shot shot;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    mock_kafka_set_up(&f.mock, false);
    fixture_run_until(&f, fixture_is_not_ready, &f, READY_MS);
    assert_true(is_said(&f, f.mock.bootstrap));
    shot = shoot_one(&f, MR_SLICE("x"));
    assert_int_equal(shot.kind, MR_BUSY);
    assert_int_equal(shot.retry_after_ms, 1000);
    mock_kafka_set_up(&f.mock, true);
    fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    fixture_tear_down(&f);
}

static bool is_topic_missed(void *fixture)
{
    return is_said(fixture, "topic: 'events' is created, but not to be seen yet");
}

/* The probe's metadata requests are answered all the time. */
static void test_a_kafka_that_stores_nothing_is_not_ready(void **state)
{
    struct fixture f;
    uint64_t end;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    end = uv_hrtime() + (uint64_t)READY_MS * 1000000;
    do {
        assert_true(uv_hrtime() < end);
        mock_kafka_push_error(&f.mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_POLICY_VIOLATION, 1);
        assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_BUSY);
    } while (fixture_is_ready(&f));
    assert_true(is_said(&f, "answers, but no event is stored: Broker: Policy violation"));
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    assert_true(fixture_is_ready(&f));
    fixture_tear_down(&f);
}

/* Deleted while we run: looked for, and created, as at the start. */
static void test_a_topic_that_has_gone_is_looked_for_again(void **state)
{
    struct fixture f;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    rd_kafka_mock_topic_set_error(f.mock.cluster, "events",
                                  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    fixture_run_until(&f, is_topic_missed, &f, READY_MS);
    rd_kafka_mock_topic_set_error(f.mock.cluster, "events", RD_KAFKA_RESP_ERR_NO_ERROR);
    fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
    assert_int_equal(shoot_one(&f, MR_SLICE("x")).kind, MR_STORED);
    fixture_tear_down(&f);
}

static bool are_cars_missed(void *fixture)
{
    return is_said(fixture, "topic: 'cars.dead' is missing, and topic.create is false");
}

/* Of each topic that it was told of the producer waits. */
static void test_more_topics_are_to_be_there(void **state)
{
    static const char *const names[] = {"cars", "cars.dead", NULL};
    struct fixture f;
    (void)state;
    fixture_set_up(&f);
    f.options.topic_create = false;
    mock_kafka_create_topic(&f.mock, "cars", PARTITIONS);
    fixture_start(&f);
    assert_int_equal(producer_also_topics(f.producer, names, NULL), 0);
    fixture_run_until(&f, are_cars_missed, &f, READY_MS);
    mock_kafka_create_topic(&f.mock, "cars.dead", PARTITIONS);
    fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
    fixture_tear_down(&f);
}

/* As another client sees the cluster. */
static bool has_cars(void *fixture)
{
    struct fixture *f = fixture;
    const struct rd_kafka_metadata *metadata;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    int found = 0;
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", f->mock.bootstrap, NULL, 0),
                     RD_KAFKA_CONF_OK);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    assert_non_null(rk);
    if (rd_kafka_metadata(rk, 1, NULL, &metadata, ANSWER_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; i < metadata->topic_cnt; i++) {
            found += strncmp(metadata->topics[i].topic, "cars", strlen("cars")) == 0 ? 1 : 0;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_destroy(rk);
    return found == 2;
}

static void test_more_topics_are_created(void **state)
{
    static const char *const names[] = {"cars", "cars.dead", NULL};
    struct fixture f;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f); /* also when the own one has been found */
    assert_int_equal(producer_also_topics(f.producer, names, NULL), 0);
    fixture_run_until(&f, has_cars, &f, READY_MS);
    fixture_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kafka_away_is_busy_in_time_and_comes_back_by_itself),
        cmocka_unit_test(test_a_topic_that_has_gone_is_looked_for_again),
        cmocka_unit_test(test_a_kafka_that_stores_nothing_is_not_ready),
        cmocka_unit_test(test_more_topics_are_to_be_there),
        cmocka_unit_test(test_more_topics_are_created),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Messages on their way to Kafka, whichever allocation fails: not taken at all, or settled once,
 * and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/deliveries_fixture.h"
#include "lib/heap.h"

/* A message of each kind. */
static const char *const kinds[] = {"plant/d1/c", "nowhere", "structured/d1"};

/* Whichever allocation fails on the way: not taken at all, or stored, as what it is. */
static bool give_with_failure(struct deliveries_fixture *f, const char *topic, unsigned n,
                              unsigned *taken)
{
    struct given given = {0};
    const struct mqtt_message message = mqtt_message_of(topic, "no event");
    bool has_failed;
    int rc;
    heap_fail_at(n);
    rc = give_message(f, &given, &message, mr_slice(NULL, 0));
    if (rc == 0) {
        deliveries_run(f);
        assert_int_equal(given.settled, 1);
        assert_string_equal(given.stored, given.id);
        ++*taken;
    } else {
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(deliveries_count(f->deliveries), 0);
    }
    has_failed = heap_failed();
    heap_fail_at(0);
    return has_failed;
}

static void test_without_memory_nothing_is_lost(void **state)
{
    struct deliveries_fixture f;
    struct mock_records records;
    unsigned events = 0;
    unsigned dead = 0;
    (void)state;
    heap_fail_at(0);
    deliveries_set_up(&f);
    deliveries_start(&f);
    for (size_t kind = 0; kind < MR_COUNT_OF(kinds); kind++) {
        unsigned n = 1;
        while (give_with_failure(&f, kinds[kind], n, kind == 0 ? &events : &dead)) {
            n++;
        }
        assert_true(n >= 2); /* that of the copy at least has failed */
    }
    assert_counted(&f, (int)events, (int)dead, 0, 0);
    mock_kafka_read(&f.kafka.mock, "events", &records);
    assert_int_equal(records.count, events);
    mock_records_free(&records);
    mock_kafka_read(&f.kafka.mock, "events.dead", &records);
    assert_int_equal(records.count, dead);
    mock_records_free(&records);
    deliveries_tear_down(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_without_memory_there_are_none(void **state)
{
    struct deliveries_fixture f;
    struct deliveries *deliveries;
    struct mr_error err;
    unsigned n = 1;
    (void)state;
    heap_fail_at(0);
    deliveries_set_up(&f);
    deliveries_start(&f);
    deliveries_stop(&f);
    for (;; n++) {
        heap_fail_at(n);
        if (deliveries_new(&f.spec, &deliveries, &err) == 0) {
            break;
        }
        assert_true(heap_failed());
        assert_int_equal(err.code, MR_ENOMEM);
    }
    assert_true(n > 3);
    heap_fail_at(0);
    f.deliveries = deliveries;
    deliveries_tear_down(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static bool is_settled(void *given)
{
    return ((struct given *)given)->settled > 0;
}

/* When it is sent again, that is: the first of the two fills the queue. */
static bool send_again_with_failure(struct deliveries_fixture *f, const char *topic, unsigned n)
{
    struct given given[2] = {0};
    bool has_failed;
    give(f, &given[0], "plant/other/c", "fills the queue");
    give(f, &given[1], topic, "no event");
    fixture_run_until(&f->kafka, is_settled, &given[0], SETTLE_MS);
    assert_int_equal(given[1].settled, 0);
    heap_fail_at(n);
    deliveries_run(f);
    has_failed = heap_failed();
    heap_fail_at(0);
    assert_int_equal(given[1].settled, 1);
    assert_string_equal(given[1].stored, given[1].id);
    return has_failed;
}

static void test_without_memory_what_waits_is_sent_later(void **state)
{
    struct deliveries_fixture f;
    int count[2] = {0};
    (void)state;
    heap_fail_at(0);
    deliveries_set_up(&f);
    f.kafka.options.queue_events_max = 1;
    deliveries_start(&f);
    for (size_t kind = 0; kind < MR_COUNT_OF(count); kind++) {
        bool has_failed;
        do {
            count[kind]++;
            has_failed = send_again_with_failure(&f, kinds[kind], (unsigned)count[kind]);
        } while (has_failed);
    }
    assert_true(count[0] > 1);
    assert_counted(&f, 2 * count[0] + count[1], count[1], 0, 0);
    deliveries_tear_down(&f);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_memory_nothing_is_lost),
        cmocka_unit_test(test_without_memory_what_waits_is_sent_later),
        cmocka_unit_test(test_without_memory_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

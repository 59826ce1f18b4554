// SPDX-License-Identifier: Apache-2.0
/* Several loops, each in a thread of its own, send through one producer. `./test` runs it
 * with the thread sanitizer too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kafka/producer_internal.h"
#include "lib/producer_fixture.h"

enum { LOOPS = 3, KEYS = 50, EVENTS = 200000, WINDOW = 1000, FATAL_ERRORS = 3, PAUSE_MS = 2 };

struct shot {
    struct mr_send send; /* first: the callback casts */
    struct lane *lane;
    int settled;
    enum mr_outcome_kind kind;
    int32_t partition;
    int64_t offset;
    unsigned key;
};

struct lane {
    uv_thread_t thread;
    uv_loop_t loop;
    struct mr_port *port;
    uv_timer_t pause; /* after a refusal */
    struct mr_event *event;
    struct shot *shots;
    unsigned index; /* its keys are its own */
    unsigned total;
    unsigned window;
    unsigned sent;
    unsigned settled;
    bool closing;
    const atomic_bool *stop; /* send no more; NULL: never */
    atomic_uint stored;      /* for the home loop */
    atomic_bool done;
};

static void lane_go(struct lane *lane);

static void on_pause_over(uv_timer_t *timer)
{
    lane_go(timer->data);
}

static void on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct shot *shot = (struct shot *)(void *)send;
    struct lane *lane = shot->lane;
    shot->settled++;
    shot->kind = outcome->kind;
    shot->partition = outcome->partition;
    shot->offset = outcome->offset;
    lane->settled++;
    if (outcome->kind == MR_STORED) {
        atomic_fetch_add(&lane->stored, 1);
        lane_go(lane);
    } else if (!lane->closing && !uv_is_active((uv_handle_t *)&lane->pause)) {
        (void)uv_timer_start(&lane->pause, on_pause_over, PAUSE_MS, 0);
    }
}

static void shoot(struct lane *lane)
{
    struct shot *shot = &lane->shots[lane->sent];
    char id[32];
    (void)snprintf(id, sizeof id, "%u-%u", lane->index, lane->sent);
    shot->lane = lane;
    shot->key = lane->index * KEYS + lane->sent % KEYS;
    shot->send.on_settled = on_settled;
    fill_event(lane->event, id, shot->key, MR_SLICE("{\"temperature\":21.5,\"humidity\":40}"));
    lane->sent++;
    mr_send(lane->port, &shot->send, lane->event);
}

static void lane_go(struct lane *lane)
{
    bool stopping = lane->stop != NULL && atomic_load(lane->stop);
    if (lane->closing) {
        return;
    }
    while (!stopping && lane->sent < lane->total && lane->sent - lane->settled < lane->window) {
        shoot(lane);
    }
    if (lane->sent == lane->settled && (stopping || lane->sent == lane->total)) {
        lane->closing = true;
        uv_close((uv_handle_t *)&lane->pause, NULL);
        producer_port_close(lane->port, NULL, NULL);
    }
}

static void lane_run(void *arg)
{
    struct lane *lane = arg;
    lane_go(lane);
    (void)uv_run(&lane->loop, UV_RUN_DEFAULT);
    atomic_store(&lane->done, true);
}

static void lanes_start(struct fixture *f, struct lane lanes[LOOPS], unsigned total,
                        unsigned window, const atomic_bool *stop)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        struct lane *lane = &lanes[i];
        memset(lane, 0, sizeof *lane);
        lane->index = i;
        lane->total = total;
        lane->window = window;
        lane->stop = stop;
        lane->event = mr_event_new();
        lane->shots = calloc(total, sizeof *lane->shots);
        assert_non_null(lane->shots);
        assert_int_equal(uv_loop_init(&lane->loop), 0);
        assert_int_equal(uv_timer_init(&lane->loop, &lane->pause), 0);
        lane->pause.data = lane;
        assert_int_equal(producer_port_open(f->producer, &lane->loop, &lane->port, NULL), 0);
    }
    for (unsigned i = 0; i < LOOPS; i++) {
        assert_int_equal(uv_thread_create(&lanes[i].thread, lane_run, &lanes[i]), 0);
    }
}

static bool lanes_are_done(void *arg)
{
    struct lane *lanes = arg;
    bool done = true;
    for (int i = 0; i < LOOPS; i++) {
        done = done && atomic_load(&lanes[i].done);
    }
    return done;
}

/* Each send was settled exactly once, and what was stored is in the order of its sending, key by
 * key (within one life of the producer; `ordered` says whether there was only one). */
static void check(struct lane lanes[LOOPS], bool ordered, unsigned counts[OUTCOMES])
{
    static const struct shot *last[LOOPS * KEYS];
    memset(last, 0, sizeof last);
    for (int i = 0; i < LOOPS; i++) {
        for (unsigned n = 0; n < lanes[i].sent; n++) {
            const struct shot *shot = &lanes[i].shots[n];
            const struct shot *before = last[shot->key];
            assert_int_equal(shot->settled, 1);
            counts[shot->kind]++;
            if (shot->kind == MR_STORED && before != NULL) {
                assert_int_equal(before->partition, shot->partition);
                assert_true(!ordered || before->offset < shot->offset);
            }
            last[shot->key] = shot->kind == MR_STORED ? shot : before;
        }
    }
}

static void lanes_join(struct lane lanes[LOOPS])
{
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(uv_thread_join(&lanes[i].thread), 0);
        assert_int_equal(uv_loop_close(&lanes[i].loop), 0);
        mr_event_free(lanes[i].event);
    }
}

static void lanes_free(struct lane lanes[LOOPS])
{
    for (int i = 0; i < LOOPS; i++) {
        free(lanes[i].shots);
    }
}

static void test_each_event_once_and_in_order_per_key(void **state)
{
    struct fixture f;
    struct lane lanes[LOOPS];
    unsigned counts[OUTCOMES] = {0};
    (void)state;
    fixture_set_up(&f);
    fixture_set(&f, "kafka.producer", "message.timeout.ms", "60000"); /* however slow it is */
    fixture_start_and_wait(&f);
    lanes_start(&f, lanes, EVENTS / LOOPS, WINDOW, NULL);
    fixture_run_until(&f, lanes_are_done, lanes, 5 * SETTLE_MS);
    lanes_join(lanes);
    check(lanes, true, counts);
    assert_int_equal(counts[MR_STORED], EVENTS / LOOPS * LOOPS);
    lanes_free(lanes);
    fixture_tear_down(&f);
}

/* Loops that are refused most of the time: local outcomes and reports side by side. */
static void test_a_full_queue_settles_each_once_too(void **state)
{
    struct fixture f;
    struct lane lanes[LOOPS];
    unsigned counts[OUTCOMES] = {0};
    (void)state;
    fixture_set_up(&f);
    f.options.queue_events_max = 50;
    fixture_set(&f, "kafka.producer", "message.timeout.ms", "60000");
    fixture_start_and_wait(&f);
    lanes_start(&f, lanes, EVENTS / LOOPS / 10, WINDOW, NULL);
    fixture_run_until(&f, lanes_are_done, lanes, SETTLE_MS);
    lanes_join(lanes);
    check(lanes, true, counts);
    assert_true(counts[MR_STORED] > 0);
    assert_true(counts[MR_BUSY] > 0);
    assert_int_equal(counts[MR_STORED] + counts[MR_BUSY], EVENTS / LOOPS / 10 * LOOPS);
    lanes_free(lanes);
    fixture_tear_down(&f);
}

/* ---- fatal errors ---- */

struct progress {
    struct lane *lanes;
    unsigned at_least[LOOPS];
};

static bool lanes_went_on(void *arg)
{
    struct progress *progress = arg;
    bool all = true;
    for (int i = 0; i < LOOPS; i++) {
        all = all && atomic_load(&progress->lanes[i].stored) >= progress->at_least[i];
    }
    return all;
}

static void wait_for_progress(struct fixture *f, struct lane *lanes, unsigned more)
{
    struct progress progress = {.lanes = lanes};
    for (int i = 0; i < LOOPS; i++) {
        progress.at_least[i] = atomic_load(&lanes[i].stored) + more;
    }
    fixture_run_until(f, lanes_went_on, &progress, SETTLE_MS);
}

static void raise_fatal_error(void *arg)
{
    (void)rd_kafka_test_fatal_error(arg, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                    "raised by the test");
}

struct succession {
    struct mr_producer *producer;
    int64_t fatal_errors; /* before; an address may come again, a count not */
};

static bool has_successor(void *arg)
{
    struct succession *succession = arg;
    struct mr_producer *producer = succession->producer;
    return mr_series_value(producer->fatal_errors) == succession->fatal_errors + 1 &&
           atomic_load(&producer->current) != NULL && producer->retired == NULL &&
           producer->destroying == 0;
}

static void break_instance(struct fixture *f)
{
    struct succession succession = {f->producer, mr_series_value(f->producer->fatal_errors)};
    uv_thread_t thread;
    assert_int_equal(
        uv_thread_create(&thread, raise_fatal_error, atomic_load(&f->producer->current)->rk), 0);
    assert_int_equal(uv_thread_join(&thread), 0);
    fixture_run_until(f, has_successor, &succession, SETTLE_MS);
}

static void test_fatal_errors_are_survived_with_sends_in_flight(void **state)
{
    enum { TOTAL = 1000000, STEP = 2000 };
    struct fixture f;
    struct lane lanes[LOOPS];
    unsigned counts[OUTCOMES] = {0};
    atomic_bool stop = false;
    (void)state;
    fixture_set_up(&f);
    fixture_start_and_wait(&f);
    lanes_start(&f, lanes, TOTAL, WINDOW / 5, &stop);
    for (int i = 0; i < FATAL_ERRORS; i++) {
        wait_for_progress(&f, lanes, STEP);
        break_instance(&f);
    }
    wait_for_progress(&f, lanes, STEP);
    atomic_store(&stop, true);
    fixture_run_until(&f, lanes_are_done, lanes, SETTLE_MS);
    lanes_join(lanes);
    check(lanes, false, counts);
    print_message("stored %u rejected %u busy %u unknown %u\n", counts[MR_STORED],
                  counts[MR_REJECTED], counts[MR_BUSY], counts[MR_UNKNOWN]);
    assert_true(counts[MR_STORED] > 0);
    assert_int_equal(counts[MR_REJECTED], 0);
    assert_int_equal(mr_series_value(f.producer->fatal_errors), FATAL_ERRORS);
    assert_int_equal(atomic_load(&f.producer->events), 0);
    assert_int_equal(atomic_load(&f.producer->bytes), 0);
    fixture_run_until(&f, fixture_is_ready, &f, READY_MS);
    lanes_free(lanes);
    fixture_tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_once_and_in_order_per_key),
        cmocka_unit_test(test_a_full_queue_settles_each_once_too),
        cmocka_unit_test(test_fatal_errors_are_survived_with_sends_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

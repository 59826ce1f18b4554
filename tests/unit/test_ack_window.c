// SPDX-License-Identifier: Apache-2.0
/* What a connection may read and write while acknowledgements are held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/mqtt/ack_window.h"

enum { MESSAGES = 3, BYTES = 100 };

static struct ack_window make(void)
{
    struct ack_window window;
    ack_window_init(&window, MESSAGES, BYTES);
    return window;
}

static void test_an_empty_window_reads_and_writes(void **state)
{
    struct ack_window window = make();
    (void)state;
    assert_true(ack_window_reads(&window));
    assert_true(ack_window_writes(&window));
    ack_window_shut(&window); /* nothing came: there is nothing to wait for */
    assert_true(ack_window_reads(&window));
}

static void test_nothing_is_written_until_all_is_settled(void **state)
{
    struct ack_window window = make();
    (void)state;
    ack_window_take(&window, 1, true, true);
    ack_window_take(&window, 1, true, true);
    assert_false(ack_window_writes(&window));
    ack_window_settle(&window);
    assert_false(ack_window_writes(&window));
    ack_window_settle(&window);
    assert_true(ack_window_writes(&window));
    ack_window_release(&window);
    assert_int_equal(window.held, 0);
    assert_true(ack_window_reads(&window));
}

static void test_reading_goes_on_until_it_is_shut_and_again_after_the_release(void **state)
{
    struct ack_window window = make();
    (void)state;
    ack_window_take(&window, 1, true, true);
    assert_true(ack_window_reads(&window));
    ack_window_shut(&window);
    assert_false(ack_window_reads(&window));
    ack_window_settle(&window);
    assert_false(ack_window_reads(&window)); /* its acknowledgements first */
    ack_window_release(&window);
    assert_true(ack_window_reads(&window));
}

static void test_the_bounds_of_messages_and_bytes_end_reading(void **state)
{
    struct ack_window window = make();
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        assert_true(ack_window_reads(&window));
        ack_window_take(&window, 1, true, true);
    }
    assert_false(ack_window_reads(&window));
    window = make();
    ack_window_take(&window, BYTES - 1, true, true);
    assert_true(ack_window_reads(&window));
    ack_window_take(&window, 1, true, true);
    assert_false(ack_window_reads(&window));
}

/* QoS 0 has no acknowledgement that could leave too early; its memory counts all the same. */
static void test_what_is_not_acknowledged_holds_no_write_back(void **state)
{
    struct ack_window window = make();
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        ack_window_shut(&window);
        assert_true(ack_window_reads(&window));
        ack_window_take(&window, 1, false, true);
    }
    assert_true(ack_window_writes(&window));
    assert_false(ack_window_reads(&window));
}

/* A message that came again and is stored: only its acknowledgement waits, for the others. */
static void test_a_settled_one_is_held_with_the_others(void **state)
{
    struct ack_window window = make();
    (void)state;
    ack_window_take(&window, 1, true, false);
    assert_true(ack_window_writes(&window));
    ack_window_take(&window, 1, true, true);
    assert_false(ack_window_writes(&window));
    assert_int_equal(window.held, 2);
}

static void test_after_the_connection_has_ended_what_is_unsettled_is_still_counted(void **state)
{
    struct ack_window window = make();
    (void)state;
    ack_window_take(&window, 1, true, true);
    ack_window_shut(&window);
    ack_window_abandon(&window);
    assert_int_equal(window.held, 0);
    assert_int_equal(window.unsettled, 1);
    assert_true(ack_window_reads(&window));
    ack_window_settle(&window);
    assert_int_equal(window.unsettled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_window_reads_and_writes),
        cmocka_unit_test(test_nothing_is_written_until_all_is_settled),
        cmocka_unit_test(test_reading_goes_on_until_it_is_shut_and_again_after_the_release),
        cmocka_unit_test(test_the_bounds_of_messages_and_bytes_end_reading),
        cmocka_unit_test(test_what_is_not_acknowledged_holds_no_write_back),
        cmocka_unit_test(test_a_settled_one_is_held_with_the_others),
        cmocka_unit_test(test_after_the_connection_has_ended_what_is_unsettled_is_still_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

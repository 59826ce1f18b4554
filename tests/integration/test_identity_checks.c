// SPDX-License-Identifier: Apache-2.0
/* Passwords that are checked: how often, how many at a time, what waits for them and what doesn't,
 * and the program's end meanwhile. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/hashes.h"
#include "lib/identity_fixture.h"

enum { MANY = 12, CHECKED_S = 60 };

static void wait_until_checked(const struct identity_fixture *f)
{
    double until = raw_now_s() + CHECKED_S;
    while (bridge_metric(&f->bridge, WAITING) > 0) {
        assert_true(raw_now_s() < until);
    }
}

/* Wrong passwords, each other ones; `least` of them wait or are checked then. */
static void open_slow(const struct identity_fixture *f, int *ret_fds, int count, long least)
{
    for (int i = 0; i < count; i++) {
        char user[32];
        (void)snprintf(user, sizeof user, "slow@farm:wrong-%d", i);
        ret_fds[i] = identity_open_and_put(f, user);
    }
    identity_wait_metric(f, WAITING, least);
}

static void expect_wrong(const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        raw_expect(fds[i], 401, NULL);
        (void)close(fds[i]);
    }
}

static void test_those_found_right_do_not_wait_behind_others(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    identity_start(&f, flags);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    open_slow(&f, fds, MANY, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    }
    assert_true(bridge_metric(&f.bridge, WAITING) > 0);
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]); /* before they are answered */
    }
    identity_stop(&f);
}

static void test_a_client_that_leaves_during_its_check(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    int fd;
    (void)state;
    identity_start(&f, flags);
    fd = identity_open_and_put(&f, "slow@farm:slow");
    identity_wait_metric(&f, WAITING, 1);
    (void)close(fd);
    spawned_signal(&f.bridge.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    assert_int_equal(identity_count_stored(&f), 1); /* all the same */
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_a_drain_waits_for_checks(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    int fd;
    (void)state;
    identity_start(&f, flags);
    fd = identity_open_and_put(&f, "slow@farm:slow");
    identity_wait_metric(&f, WAITING, 1);
    spawned_signal(&f.bridge.child, SIGTERM);
    raw_expect(fd, 202, "");
    raw_expect_end(fd);
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    assert_int_equal(identity_count_stored(&f), 1);
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_a_drain_does_not_wait_for_all_that_is_queued(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=300ms",
                                        "--http.loops=2", NULL};
    struct identity_fixture f;
    int fds[4 * MANY];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, 4 * MANY, 2 * MANY);
    spawned_signal(&f.bridge.child, SIGTERM);
    for (int i = 0; i < 4 * MANY; i++) {
        struct raw_reply reply;
        raw_get_reply(fds[i], &reply);
        assert_true(reply.status == 503 || reply.status == 401);
        free(reply.body);
        raw_expect_end(fds[i]);
    }
    assert_int_equal(spawned_wait(&f.bridge.child), 0);
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_over_the_deadline_they_are_given_up(void **state)
{
    static const char *const flags[] = {"--admin.shutdown.deadline=1s", "--http.answer.timeout=2m",
                                        "--http.attempts.max=0", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, MANY, MANY / 2);
    spawned_signal(&f.bridge.child, SIGTERM);
    assert_int_equal(spawned_wait(&f.bridge.child), 1);
    assert_null(strstr(f.bridge.child.log, "not a live"));
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]);
    }
    mock_kafka_stop(&f.bridge.mock);
    (void)unlink(f.path);
}

static void test_too_many_checks_are_a_503(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.password.checks.max=1",
                                        "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    struct raw_reply reply;
    int fds[3];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, 3, 3); /* two run, one waits */
    assert_int_equal(identity_ask(&f, "/v1/c", "d1@farm:sesame", &reply), 503);
    assert_non_null(strstr(reply.head, "\r\nRetry-After: 1\r\n"));
    raw_check_problem(&reply, 503, NULL);
    free(reply.body);
    expect_wrong(fds, 3);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    identity_stop(&f);
}

/* However many loops there are: more would fill libuv's pool, and Kafka's metadata wait behind
 * them. What has begun and not ended runs. */
static void test_all_loops_together_check_two_at_a_time(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=2m",
                                        "--http.loops=4", NULL};
    struct identity_fixture f;
    double until;
    int fds[MANY];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, MANY, MANY);
    until = raw_now_s() + CHECKED_S;
    for (long waiting = MANY; waiting > 0;) {
        long begun = bridge_metric(&f.bridge, CHECKS); /* first: some may end meanwhile */
        waiting = bridge_metric(&f.bridge, WAITING);
        assert_in_range(begun - (MANY - waiting), 0, 2);
        assert_true(raw_now_s() < until);
    }
    expect_wrong(fds, MANY);
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), MANY);
    identity_stop(&f);
}

/* One address never has more than a quarter of the places. */
static void test_places_are_shared_out(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=1000", "--http.password.checks.max=8",
                                        "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    int fds[2];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, 2, 2);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 503);
    expect_wrong(fds, 2);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    identity_stop(&f);
}

/* Behind many others, so that it surely takes longer than answer.timeout. */
static void test_the_time_of_the_answer_counts(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=1s", "--http.attempts.max=0", NULL};
    struct identity_fixture f;
    struct raw_reply reply;
    int fds[MANY];
    (void)state;
    identity_start(&f, flags);
    open_slow(&f, fds, MANY, MANY - 2);
    assert_int_equal(identity_ask(&f, "/v1/c", "slow@farm:slow", &reply), 503);
    assert_non_null(strstr(reply.body, "its password could not be checked in time"));
    free(reply.body);
    assert_true(bridge_metric(&f.bridge, WAITING) > 0); /* before the check's end */
    assert_int_equal(identity_count_stored(&f), 0);
    wait_until_checked(&f);
    assert_int_equal(identity_status_of(&f, "slow@farm:slow"), 202); /* it went on, and was right */
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), MANY + 1);
    for (int i = 0; i < MANY; i++) {
        (void)close(fds[i]);
    }
    identity_stop(&f);
}

/* Two in front of it, so that the file is surely read before its end. */
static void change_during_a_check(const char *devices, int then)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=2m", NULL};
    static const char *const users[] = {"slow@farm:a", "slow@farm:b", "slow@farm:slow"};
    struct identity_fixture f;
    int fds[MR_COUNT_OF(users)];
    identity_start(&f, flags);
    for (size_t i = 0; i < MR_COUNT_OF(users); i++) {
        fds[i] = identity_open_and_put(&f, users[i]);
        identity_wait_metric(&f, WAITING, (long)i + 1);
    }
    identity_write_devices(&f, devices);
    spawned_signal(&f.bridge.child, SIGHUP);
    identity_wait_metric(&f, READS("taken"), 2);
    for (size_t i = 0; i < MR_COUNT_OF(users); i++) {
        struct raw_reply reply;
        raw_get_reply(fds[i], &reply);
        raw_check_problem(&reply, 503, NULL);
        assert_non_null(strstr(reply.body, "the devices have just changed"));
        free(reply.body);
        (void)close(fds[i]);
    }
    assert_int_equal(identity_status_of(&f, "slow@farm:slow"), 401);
    assert_int_equal(identity_status_of(&f, "slow@farm:sesame"), then);
    identity_stop(&f);
}

/* What is known of the old password says nothing of the new one. */
static void test_a_password_that_changes_during_its_check(void **state)
{
    (void)state;
    change_during_a_check("[device slow@farm]\npassword = " HASH_SHA512 "\n", 202);
}

static void test_a_device_that_vanishes_during_its_check(void **state)
{
    (void)state;
    change_during_a_check("[device d1@farm]\npassword = " HASH_SHA512 "\n", 401);
}

static void test_a_right_password_is_checked_once(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    int fds[MANY];
    (void)state;
    identity_start(&f, flags);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    }
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 1);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("checked")), 1);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("cached")), 4);
    assert_int_equal(identity_status_of(&f, "d1@farm:wrong"), 401);
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 2);
    /* All of them wait for one. */
    for (int i = 0; i < MANY; i++) {
        fds[i] = identity_open_and_put(&f, "slow@farm:slow");
    }
    for (int i = 0; i < MANY; i++) {
        raw_expect(fds[i], 202, "");
        (void)close(fds[i]);
    }
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 3);
    identity_stop(&f);
}

/* Which hash stands for an unknown device's is chance: it may be the slow one. */
static void test_an_unknown_device_costs_a_check_too(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=2m", NULL};
    static const char *const users[] = {"d1@farm:a", "nobody@farm:a", "bare@farm:a", "off@farm:a"};
    struct identity_fixture f;
    (void)state;
    identity_start(&f, flags);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(identity_status_of(&f, users[i % 4]), 401);
        assert_int_equal(bridge_metric(&f.bridge, CHECKS), i + 1);
    }
    identity_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_found_right_do_not_wait_behind_others),
        cmocka_unit_test(test_a_client_that_leaves_during_its_check),
        cmocka_unit_test(test_a_drain_waits_for_checks),
        cmocka_unit_test(test_a_drain_does_not_wait_for_all_that_is_queued),
        cmocka_unit_test(test_over_the_deadline_they_are_given_up),
        cmocka_unit_test(test_too_many_checks_are_a_503),
        cmocka_unit_test(test_all_loops_together_check_two_at_a_time),
        cmocka_unit_test(test_places_are_shared_out),
        cmocka_unit_test(test_the_time_of_the_answer_counts),
        cmocka_unit_test(test_a_password_that_changes_during_its_check),
        cmocka_unit_test(test_a_device_that_vanishes_during_its_check),
        cmocka_unit_test(test_a_right_password_is_checked_once),
        cmocka_unit_test(test_an_unknown_device_costs_a_check_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

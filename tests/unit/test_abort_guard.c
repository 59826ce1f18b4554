// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/mqtt/abort_guard.h"

static void return_at_once(void *user)
{
    ++*(int *)user;
}

static void abort_at_once(void *user)
{
    ++*(int *)user;
    abort();
}

static void abort_suspended(void *user)
{
    bool was_up = abort_guard_suspend();
    assert_true(was_up);
    (void)user;
    abort();
}

static void test_what_aborts_comes_back(void **state)
{
    int calls = 0;
    (void)state;
    for (int i = 0; i < 3; i++) { /* and again */
        assert_false(abort_guard_call(abort_at_once, &calls));
        assert_true(abort_guard_call(return_at_once, &calls));
    }
    assert_int_equal(calls, 6);
}

/* How a child ends that does this. */
static int end_of(void (*function)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        function();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void abort_outside(void)
{
    int calls = 0;
    (void)abort_guard_call(return_at_once, &calls);
    abort();
}

static void abort_in_a_callback(void)
{
    (void)abort_guard_call(abort_suspended, NULL);
}

static void test_every_other_abort_is_deadly(void **state)
{
    (void)state;
    assert_int_equal(end_of(abort_outside), SIGABRT);
    assert_int_equal(end_of(abort_in_a_callback), SIGABRT);
}

static void suspend_and_resume(void *user)
{
    bool was_up = abort_guard_suspend();
    assert_false(abort_guard_suspend());
    abort_guard_resume(was_up);
    abort_at_once(user);
}

static void test_it_is_up_again_behind_a_callback(void **state)
{
    int calls = 0;
    (void)state;
    assert_false(abort_guard_call(suspend_and_resume, &calls));
    assert_int_equal(calls, 1);
    assert_false(abort_guard_suspend());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_aborts_comes_back),
        cmocka_unit_test(test_every_other_abort_is_deadly),
        cmocka_unit_test(test_it_is_up_again_behind_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file_watch.h"
#include "lib/temporary.h"

enum { WAIT_MS = 60000, PATH_BYTES = 200 };

struct fixture {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct file_watch watch;
    char folder[PATH_BYTES];
    char first[PATH_BYTES];
    char second[PATH_BYTES];
    unsigned changes;
    uv_fs_poll_t own; /* the test's own */
    uint64_t seen_ms; /* by that one */
};

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void name(char *path, const struct fixture *f, const char *file)
{
    assert_true(snprintf(path, PATH_BYTES, "%.100s/%s", f->folder, file) < PATH_BYTES);
}

static void on_change(void *user)
{
    struct fixture *f = user;
    f->changes++;
    uv_stop(&f->loop);
}

static void on_deadline(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void run_for(struct fixture *f, uint64_t ms)
{
    assert_int_equal(uv_timer_start(&f->deadline, on_deadline, ms, 0), 0);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    temporary_name(f->folder, "file-watch");
    assert_non_null(mkdtemp(f->folder));
    name(f->first, f, "first");
    name(f->second, f, "second");
    put(f->first, "1");
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    file_watch_close(&f->watch, NULL);
    uv_close((uv_handle_t *)&f->deadline, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    (void)unlink(f->first);
    (void)unlink(f->second);
    (void)rmdir(f->folder);
    return 0;
}

/* The first look at a file is what others are compared with: let it be over. */
static void open_watch(struct fixture *f)
{
    const char *const paths[] = {f->first, NULL, f->second};
    struct mr_error err;
    assert_int_equal(file_watch_open(&f->watch, &f->loop, paths, 3, on_change, f, &err), 0);
    run_for(f, FILE_WATCH_POLL_MS);
    assert_int_equal(f->changes, 0);
}

static void test_a_change_is_told(void **state)
{
    struct fixture *f = *state;
    open_watch(f);
    put(f->first, "12");
    run_for(f, WAIT_MS);
    assert_int_equal(f->changes, 1);
}

/* As Kubernetes and careful editors do it. */
static void test_another_file_of_the_name_is_a_change(void **state)
{
    struct fixture *f = *state;
    char other[PATH_BYTES];
    open_watch(f);
    name(other, f, "other");
    put(other, "1");
    assert_int_equal(rename(other, f->first), 0);
    run_for(f, WAIT_MS);
    assert_int_equal(f->changes, 1);
}

static void test_a_missing_file_is_waited_for(void **state)
{
    struct fixture *f = *state;
    open_watch(f);
    put(f->second, "1");
    run_for(f, WAIT_MS);
    assert_int_equal(f->changes, 1);
    assert_int_equal(unlink(f->second), 0);
    put(f->first, "12"); /* what is told next is this, once, and not what vanished */
    run_for(f, WAIT_MS);
    assert_int_equal(f->changes, 2);
}

static void on_own_poll(uv_fs_poll_t *poll, int status, const uv_stat_t *before,
                        const uv_stat_t *now)
{
    struct fixture *f = poll->data;
    (void)status;
    (void)before;
    (void)now;
    f->seen_ms = uv_now(&f->loop);
}

/* What is told is told when nothing has changed for a moment, so that two files are one change. A
 * poll of our own, begun with the watch's, says when the change can be seen. */
static void test_a_change_is_told_when_the_files_are_still(void **state)
{
    struct fixture *f = *state;
    uint64_t told_ms;
    assert_int_equal(uv_fs_poll_init(&f->loop, &f->own), 0);
    f->own.data = f;
    assert_int_equal(uv_fs_poll_start(&f->own, on_own_poll, f->first, FILE_WATCH_POLL_MS), 0);
    open_watch(f);
    run_for(f, FILE_WATCH_POLL_MS / 2); /* between two looks */
    put(f->first, "12");
    put(f->second, "1");
    run_for(f, WAIT_MS);
    told_ms = uv_now(&f->loop);
    run_for(f, 2 * FILE_WATCH_POLL_MS);
    uv_close((uv_handle_t *)&f->own, NULL);
    assert_int_equal(f->changes, 1);
    assert_true(f->seen_ms > 0);
    assert_true(told_ms >= f->seen_ms + FILE_WATCH_STILL_MS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_change_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_file_of_the_name_is_a_change, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_is_told_when_the_files_are_still, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_file_is_waited_for, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

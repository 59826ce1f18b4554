// SPDX-License-Identifier: Apache-2.0
/* The devices file while the program runs: that a wish to read it again is never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/http/identity/devices_source.h"
#include "lib/temporary.h"

enum { WAIT_MS = 60000, MANY_DEVICES = 20000 };

struct fixture {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct authentication_metrics metrics;
    struct devices_source source;
    char path[TEMPORARY_BYTES];
    unsigned wanted; /* readings */
    unsigned taken;
    uint32_t devices; /* of the latest */
};

static void put(const struct fixture *f, int count)
{
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < count; i++) {
        assert_true(fprintf(file, "[device d%d]\n", i) > 0);
    }
    assert_int_equal(fclose(file), 0);
}

static void on_new(struct devices *devices, void *user)
{
    struct fixture *f = user;
    f->taken++;
    f->devices = devices->count;
    if (f->taken == f->wanted) {
        uv_stop(&f->loop);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void on_closed(struct devices_source *source)
{
    (void)source;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    int fd;
    memset(f, 0, sizeof *f);
    temporary_name(f->path, "devices");
    fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    authentication_metrics_init(&f->metrics);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_timer_init(&f->loop, &f->deadline), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    devices_source_close(&f->source, on_closed);
    uv_close((uv_handle_t *)&f->deadline, NULL);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    (void)unlink(f->path);
    return 0;
}

static void open_source(struct fixture *f)
{
    assert_int_equal(
        devices_source_open(&f->source, &f->loop, f->path, &f->metrics, on_new, f, NULL), 0);
}

/* Until so many more readings are taken. */
static void run_until(struct fixture *f, unsigned wanted)
{
    f->wanted = f->taken + wanted;
    assert_int_equal(uv_timer_start(&f->deadline, on_deadline, WAIT_MS, 0), 0);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->taken, f->wanted);
}

/* The file doesn't change, so that the watch has nothing to tell. */
static void test_asked_twice_it_reads_twice(void **state)
{
    struct fixture *f = *state;
    put(f, 3);
    open_source(f);
    devices_source_read_again(&f->source);
    devices_source_read_again(&f->source);
    devices_source_read_again(&f->source); /* while one is waited for: the same */
    run_until(f, 2);
    assert_int_equal(f->devices, 3);
}

/* The second content may come in the midst of the first one's reading. */
static void test_the_second_content_is_in_force(void **state)
{
    struct fixture *f = *state;
    open_source(f);
    put(f, MANY_DEVICES);
    devices_source_read_again(&f->source);
    put(f, 2);
    devices_source_read_again(&f->source);
    run_until(f, 2);
    assert_int_equal(f->devices, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked_twice_it_reads_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_second_content_is_in_force, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The input of `millrace send`, and its --properties. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/send.h"
#include "cli/send_input.h"
#include "lib/heap.h"
#include "lib/temporary.h"

enum { CHUNK_BYTES = 64 * 1024 }; /* as it reads */

struct fixture {
    uv_loop_t loop;
    struct send_input *input;
    int ready;
    struct mr_slice data;
    size_t number;
    struct mr_error err;
    int fds[2]; /* a pipe that the input reads by its name */
};

static void on_ready(void *user)
{
    struct fixture *f = user;
    f->ready++;
}

static int open_input(struct fixture *f, const char *data, const char *file, bool by_line)
{
    const struct send_input_spec spec = {.loop = &f->loop,
                                         .data = data,
                                         .file = file,
                                         .by_line = by_line,
                                         .ready = on_ready,
                                         .user = f};
    f->ready = 0;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    return send_input_open(&spec, &f->input, &f->err);
}

static void close_input(struct fixture *f)
{
    send_input_close(f->input);
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

/* Of a pipe, which has been given `text`. */
static void open_pipe(struct fixture *f, const char *text)
{
    char name[64];
    assert_int_equal(pipe2(f->fds, O_CLOEXEC), 0);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", f->fds[0]);
    assert_int_equal(write(f->fds[1], text, strlen(text)), strlen(text));
    assert_int_equal(open_input(f, NULL, name, true), 0);
}

static enum send_input_result next(struct fixture *f)
{
    return send_input_next(f->input, &f->data, &f->number, &f->err);
}

/* After waiting for the pipe, if it must. */
static enum send_input_result next_of_pipe(struct fixture *f)
{
    enum send_input_result result = next(f);
    while (result == SEND_INPUT_WAIT) {
        int before = f->ready;
        (void)uv_run(&f->loop, UV_RUN_ONCE);
        assert_int_equal(f->ready, before + 1);
        result = next(f);
    }
    return result;
}

static void expect_line(struct fixture *f, size_t number, const char *text)
{
    assert_int_equal(next_of_pipe(f), SEND_INPUT_THERE);
    assert_int_equal(f->number, number);
    if (!mr_slice_is(f->data, mr_slice_of(text))) {
        fail_msg("'%.*s', not '%s'", MR_SLICE_ARG(f->data), text);
    }
}

static void test_lines_as_they_come(void **state)
{
    struct fixture f;
    (void)state;
    open_pipe(&f, "one\n\n \t\r\ntwo\r\nthr");
    expect_line(&f, 1, "one");
    expect_line(&f, 4, "two");
    assert_int_equal(next(&f), SEND_INPUT_WAIT);
    assert_int_equal(write(f.fds[1], "ee\n f", 5), 5);
    expect_line(&f, 5, "three");
    (void)close(f.fds[1]);
    expect_line(&f, 6, " f");
    assert_int_equal(next_of_pipe(&f), SEND_INPUT_END);
    assert_int_equal(next(&f), SEND_INPUT_END);
    close_input(&f);
    (void)close(f.fds[0]);
}

/* The file description is somebody else's too: a terminal stays as it was. */
static void test_the_descriptor_is_left_as_it_was(void **state)
{
    struct fixture f;
    int fds[2], before, saved = dup(STDIN_FILENO);
    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_true(dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    before = fcntl(STDIN_FILENO, F_GETFL);
    assert_int_equal(open_input(&f, NULL, "-", true), 0);
    assert_int_equal(next(&f), SEND_INPUT_WAIT);
    close_input(&f);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFL), before);
    assert_true(dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    (void)close(saved);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static FILE *temporary(char path[static TEMPORARY_BYTES])
{
    int fd;
    temporary_name(path, "input");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    return fdopen(fd, "w");
}

/* Around the size of what is read at a time. */
static void test_long_lines_are_whole(void **state)
{
    static const size_t lengths[] = {
        CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 1, 3 * CHUNK_BYTES, CHUNK_BYTES * 2 - 1, 5};
    struct fixture f;
    char path[TEMPORARY_BYTES];
    FILE *file = temporary(path);
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(lengths); i++) {
        for (size_t k = 0; k < lengths[i]; k++) {
            (void)fputc('a' + (int)i, file);
        }
        (void)fputc('\n', file);
    }
    (void)fclose(file);
    assert_int_equal(open_input(&f, NULL, path, true), 0);
    for (size_t i = 0; i < MR_COUNT_OF(lengths); i++) {
        assert_int_equal(next(&f), SEND_INPUT_THERE);
        assert_int_equal(f.data.len, lengths[i]);
        assert_int_equal(f.number, i + 1);
        assert_int_equal(f.data.ptr[0], 'a' + (int)i);
        assert_int_equal(f.data.ptr[f.data.len - 1], 'a' + (int)i);
    }
    assert_int_equal(next(&f), SEND_INPUT_END);
    close_input(&f);
    (void)remove(path);
}

static void test_a_line_that_is_too_long_is_said_after_those_before(void **state)
{
    struct fixture f;
    char path[TEMPORARY_BYTES];
    FILE *file = temporary(path);
    (void)state;
    (void)fputs("short\n", file);
    (void)fflush(file);
    assert_int_equal(ftruncate(fileno(file), SEND_LINE_BYTES_MAX + 3 * CHUNK_BYTES), 0);
    (void)fclose(file);
    assert_int_equal(open_input(&f, NULL, path, true), 0);
    assert_int_equal(next(&f), SEND_INPUT_THERE);
    assert_int_equal(next(&f), SEND_INPUT_FAILED);
    assert_int_equal(f.number, 2);
    assert_int_equal(f.err.code, MR_ELIMIT);
    close_input(&f);
    assert_int_equal(open_input(&f, NULL, path, false), 0);
    assert_int_equal(next(&f), SEND_INPUT_FAILED);
    close_input(&f);
    (void)remove(path);
}

static void test_all_of_it_is_one(void **state)
{
    struct fixture f;
    char path[TEMPORARY_BYTES];
    FILE *file = temporary(path);
    (void)state;
    (void)fputs("a\nb\n", file);
    (void)fclose(file);
    assert_int_equal(open_input(&f, NULL, path, false), 0);
    expect_line(&f, 1, "a\nb\n");
    assert_int_equal(next(&f), SEND_INPUT_END);
    close_input(&f);
    (void)remove(path);

    assert_int_equal(open_input(&f, "", NULL, false), 0);
    expect_line(&f, 1, "");
    assert_int_equal(next(&f), SEND_INPUT_END);
    close_input(&f);

    assert_int_equal(open_input(&f, NULL, "/dev/null", false), 0);
    expect_line(&f, 1, "");
    close_input(&f);
}

static void test_without_memory_it_says_so(void **state)
{
    struct fixture f;
    (void)state;
    heap_fail_at(1);
    assert_int_equal(open_input(&f, "x", NULL, false), MR_ENOMEM);
    heap_restore();
    assert_null(f.input);
    send_input_close(NULL);
    assert_int_equal(uv_loop_close(&f.loop), 0);

    assert_int_equal(open_input(&f, NULL, "/dev/zero", true), 0);
    heap_fail_at(1);
    assert_int_equal(next_of_pipe(&f), SEND_INPUT_FAILED);
    heap_restore();
    assert_int_equal(f.err.code, MR_ENOMEM);
    close_input(&f);
}

/* "name=value|" of each, or "!" and what is wrong. */
static void expect_properties(const char *text, const char *expected)
{
    struct mr_buf name, value, all;
    struct mr_error err;
    buf_init(&name, 100);
    buf_init(&value, 100);
    buf_init(&all, 1000);
    while (send_property_next(&text, &name, &value, &err)) {
        assert_int_equal(buf_addf(&all, "%s=%s|", name.ptr, value.ptr), 0);
    }
    if (err.code != MR_OK) {
        assert_int_equal(buf_addf(&all, "!%s", err.text), 0);
    }
    assert_int_equal(buf_add_char(&all, '\0'), 0);
    assert_string_equal(all.ptr, expected);
    buf_done(&name);
    buf_done(&value);
    buf_done(&all);
}

static void test_properties(void **state)
{
    (void)state;
    expect_properties(NULL, "");
    expect_properties("", "");
    expect_properties("a=b", "a=b|");
    expect_properties("a=b,a=,c=d=e", "a=b|a=|c=d=e|");
    expect_properties("a%3D=%2C%25+", "a==,%+|");
    expect_properties("a=b,c", "a=b|!expected NAME=VALUE,NAME=VALUE");
    expect_properties("=b", "!expected NAME=VALUE,NAME=VALUE");
    expect_properties("a=%0", "!\"%\" at byte 0 is not followed by two hexadecimal digits");
    expect_properties("a=%00", "!%00 is not allowed in MQTT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_as_they_come),
        cmocka_unit_test(test_the_descriptor_is_left_as_it_was),
        cmocka_unit_test(test_long_lines_are_whole),
        cmocka_unit_test(test_a_line_that_is_too_long_is_said_after_those_before),
        cmocka_unit_test(test_all_of_it_is_one),
        cmocka_unit_test(test_without_memory_it_says_so),
        cmocka_unit_test(test_properties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

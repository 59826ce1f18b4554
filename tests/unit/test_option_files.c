// SPDX-License-Identifier: Apache-2.0
/* Options whose values stand in files, to be read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/options.h"
#include "lib/heap.h"
#include "lib/temporary.h"

struct target {
    char *name;
    char *password;
    char *password_file;
};

static const struct mr_option table[] = {{.key = "name",
                                          .type = MR_OPTION_STRING,
                                          .text = "Who.",
                                          .offset = offsetof(struct target, name)},
                                         {.key = "password",
                                          .type = MR_OPTION_STRING,
                                          .text = "Psst.",
                                          .flags = MR_OPTION_SECRET,
                                          .offset = offsetof(struct target, password),
                                          .file_offset = offsetof(struct target, password_file)},
                                         MR_OPTION_END};

static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-test", .section = "test", .groups = groups, .group_count = 1};

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_file(char path[static TEMPORARY_BYTES], const char *content)
{
    int fd;
    temporary_name(path, "option");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(path, content);
}

static void test_it_is_read_as_at_first(void **state)
{
    static const struct {
        const char *content, *value;
    } cases[] = {{"two", "two"}, {"two\r\n", "two"}, {"two\n\n", "two\n"}, {"", ""}};
    char path[TEMPORARY_BYTES];
    (void)state;
    make_file(path, "one\n");
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct mr_error err;
        char *value = NULL;
        write_file(path, cases[i].content);
        assert_int_equal(mr_option_read_again(path, &value, &err), 0);
        assert_string_equal(value, cases[i].value);
        mr_option_forget(value);
    }
    assert_int_equal(unlink(path), 0);
}

/* A pipe would be waited for, perhaps for ever. */
static void test_what_can_not_be_read_again(void **state)
{
    char path[TEMPORARY_BYTES];
    struct mr_error err;
    char *value = NULL;
    (void)state;
    make_file(path, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mr_option_read_again(path, &value, &err), MR_EIO);
    assert_null(strstr(err.text, path));
    assert_int_equal(mkfifo(path, S_IRUSR | S_IWUSR), 0);
    assert_int_equal(mr_option_read_again(path, &value, &err), MR_EIO);
    assert_int_equal(unlink(path), 0);
    assert_null(value);
}

static void test_the_name_belongs_to_the_value_that_counts(void **state)
{
    char path[TEMPORARY_BYTES];
    char variable[TEMPORARY_BYTES + 64];
    char *environment[] = {variable, NULL};
    struct target target = {.password_file = (char *)(uintptr_t) "garbage"};
    struct options *options = options_new(&spec, &target);
    (void)state;
    assert_non_null(options);
    assert_null(target.password_file);
    make_file(path, "one\n");
    options_read_flag(options, "name.file", path); /* of an option that keeps none */
    (void)snprintf(variable, sizeof variable, "MILLRACE_TEST_PASSWORD_FILE=%s", path);
    options_read_environment(options, environment);
    assert_string_equal(target.name, "one");
    assert_string_equal(target.password, "one");
    assert_string_equal(target.password_file, path);
    options_read_flag(options, "password", "two");
    assert_string_equal(target.password, "two");
    assert_null(target.password_file);
    options_read_flag(options, "password.file", path);
    assert_string_equal(target.password_file, path);
    assert_int_equal(options_problem_count(options), 0);
    options_free(options);
    assert_null(target.password_file);
    assert_int_equal(unlink(path), 0);
}

static void test_without_memory_nothing_is_read(void **state)
{
    char path[TEMPORARY_BYTES];
    unsigned n;
    (void)state;
    make_file(path, "one");
    for (n = 1; n < 100; n++) {
        char *value = NULL;
        struct mr_error err;
        int rc;
        heap_fail_at(n);
        rc = mr_option_read_again(path, &value, &err);
        assert_int_equal(rc, heap_failed() ? MR_ENOMEM : 0);
        mr_option_forget(value);
        assert_int_equal(heap_alive(), 0);
        if (rc == 0) {
            break;
        }
    }
    heap_restore();
    assert_in_range(n, 2, 99);
    assert_int_equal(unlink(path), 0);
}

/* Either all is as given, or a problem is told. */
static void test_without_memory_no_name_is_lost_unsaid(void **state)
{
    char path[TEMPORARY_BYTES];
    unsigned n;
    (void)state;
    make_file(path, "one");
    for (n = 1; n < 100; n++) {
        struct target target;
        struct options *options;
        heap_fail_at(n);
        options = options_new(&spec, &target);
        if (options != NULL) {
            options_read_flag(options, "password.file", path);
            if (options_problem_count(options) == 0 && options_problems(options)->failed == 0) {
                assert_string_equal(target.password, "one");
                assert_string_equal(target.password_file, path);
            }
            options_free(options);
        }
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
    }
    heap_restore();
    assert_in_range(n, 5, 99);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_read_as_at_first),
        cmocka_unit_test(test_what_can_not_be_read_again),
        cmocka_unit_test(test_the_name_belongs_to_the_value_that_counts),
        cmocka_unit_test(test_without_memory_nothing_is_read),
        cmocka_unit_test(test_without_memory_no_name_is_lost_unsaid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

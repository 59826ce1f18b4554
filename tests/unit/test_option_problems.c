// SPDX-License-Identifier: Apache-2.0
/* What is said of a bad configuration: where it came from, and never what may be a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/options_internal.h"
#include "kit/mem.h"

struct target {
    char *database;
    int64_t low;
    int64_t high;
    char *password;
};

#define FIELD(name) .offset = offsetof(struct target, name), .text = "For the test."

static const struct mr_option table[] = {
    {.key = "database",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_REQUIRED,
     .env = "TEST_DATABASE",
     FIELD(database)},
    {.key = "low", .type = MR_OPTION_INTEGER, .initial = "1", FIELD(low)},
    {.section = "limits", .key = "high", .type = MR_OPTION_INTEGER, .initial = "9", FIELD(high)},
    {.key = "password", .type = MR_OPTION_STRING, .flags = MR_OPTION_SECRET, FIELD(password)},
    MR_OPTION_END};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-test", .section = "test", .groups = groups, .group_count = 1};

static struct target target;
static struct options *options;

static int set_up(void **state)
{
    (void)state;
    options = options_new(&spec, &target);
    return options == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    options_free(options);
    options = NULL;
    return 0;
}

static void read_text(const char *text)
{
    options_read_bytes(options, "t.conf", mr_slice_of(text));
}

static void read_variable(const char *variable)
{
    char *copy = mem_strdup(variable);
    options_read_environment(options, (char *const[]){copy, NULL});
    mem_free(copy);
}

static void assert_problems(const char *expected)
{
    char text[4096];
    struct mr_slice said = buf_slice(options_problems(options));
    assert_in_range(said.len, 0, sizeof text - 1);
    memcpy(text, said.len == 0 ? "" : said.ptr, said.len);
    text[said.len] = '\0';
    assert_string_equal(text, expected);
}

static void test_a_check_says_where_each_value_came_from(void **state)
{
    struct mr_check check = {.options = options};
    (void)state;
    mr_check_problem(&check, NULL, "low", "%s", "too odd");
    read_text("[test]\nlow = 2\n[limits]\nhigh = 3\n");
    mr_check_problem(&check, NULL, "low", "too odd");
    mr_check_problem(&check, "limits", "high", "too even");
    read_variable("MILLRACE_LIMITS_HIGH=4");
    mr_check_problem(&check, "limits", "high", "too even");
    read_variable("TEST_DATABASE=db");
    mr_check_problem(&check, NULL, "database", "too full");
    options_read_flag(options, "low", "5");
    read_text("[test]\nlow = 6\n"); /* loses against the flag */
    mr_check_problem(&check, NULL, "low", "too odd");
    mr_check_problem(&check, NULL, NULL, "all is lost");
    assert_problems(
        "[test] low: too odd\n"
        "t.conf:2: [test] low: too odd\n"
        "t.conf:4: [limits] high: too even\n"
        "environment: MILLRACE_LIMITS_HIGH: too even\n"
        "environment: TEST_DATABASE: too full\n"
        "command line: --low: too odd\n"
        "all is lost\n");
    assert_int_equal(check.count, 7);
}

static void test_a_check_adds_nothing_to_what_is_wrong_by_itself(void **state)
{
    struct mr_error err = {0};
    struct mr_check check = {.options = options, .first = &err};
    (void)state;
    read_text("[test]\nlow = x\n[limits]\nhigh = 3\n");
    assert_false(mr_check_is_right(&check, NULL, "low"));
    assert_true(mr_check_is_right(&check, "limits", "high"));
    mr_check_problem(&check, NULL, "low", "too odd");
    assert_int_equal(check.count, 0);
    assert_int_equal(options_problem_count(options), 1);
    mr_check_problem(&check, "limits", "high", "too even");
    mr_check_problem(&check, "limits", "high", "too even");
    assert_string_equal(err.text, "high: too even");
    assert_int_equal(err.code, MR_ECONFIG);
}

#define CONTENT "[test] database: must be the name of a file, not what stands in it\n"

/* What stands in a file may be secret: only that it was given is said. */
static void test_what_stands_in_a_file_is_no_name_of_one(void **state)
{
    static const char *const contents[] = {"[device d]\npassword = $6$hash", "a\rb", "a\n",
                                           "-----BEGIN PRIVATE KEY-----"};
    struct mr_check check = {.options = options};
    (void)state;
    assert_true(mr_check_file_name(&check, NULL, "database", NULL));
    assert_true(mr_check_file_name(&check, NULL, "database", ""));
    assert_true(mr_check_file_name(&check, NULL, "database", "/etc/a-----b \xc3\xa9.pem"));
    assert_problems("");
    for (size_t i = 0; i < MR_COUNT_OF(contents); i++) {
        assert_false(mr_check_file_name(&check, NULL, "database", contents[i]));
    }
    assert_problems(CONTENT CONTENT CONTENT CONTENT);
}

/* librdkafka's names have dots and underscores; a variable has only underscores. */
static void test_which_of_kafkas_settings_may_be_in_a_file(void **state)
{
    (void)state;
    assert_true(passthrough_takes_file("sasl.password"));
    assert_true(passthrough_takes_file("ssl.key.pem"));
    assert_true(passthrough_takes_file("sasl.oauthbearer.config"));
    assert_false(passthrough_takes_file("sasl.oauthbearer.method"));
}

static void test_variables_are_matched_with_librdkafkas_names(void **state)
{
    static const char *const keys[] = {"linger.ms", "log_level", "ssl_engine_id", "sasl.password",
                                       "ssl.key.pem"};
    static const struct options_spec kafka_spec = {.program = "p",
                                                   .section = "test",
                                                   .groups = groups,
                                                   .group_count = 1,
                                                   .passthrough_keys = keys,
                                                   .passthrough_key_count = MR_COUNT_OF(keys)};
    static const struct {
        const char *variable, *section, *key;
    } cases[] = {{"MILLRACE_KAFKA_LINGER_MS=7", "kafka", "linger.ms"},
                 {"MILLRACE_KAFKA_LOG_LEVEL=7", "kafka", "log_level"},
                 {"MILLRACE_KAFKA_PRODUCER_LOG_LEVEL=7", "kafka.producer", "log_level"},
                 {"MILLRACE_KAFKA_CONSUMER_SSL_ENGINE_ID=7", "kafka.consumer", "ssl_engine_id"}};
    static const struct {
        const char *variable, *warning;
    } unknown[] = {
        {"MILLRACE_KAFKA_LINGR_MS=7",
         "environment: MILLRACE_KAFKA_LINGR_MS: unknown, ignored; did "
         "you mean MILLRACE_KAFKA_LINGER_MS?\n"},
        {"MILLRACE_KAFKA_CONSUMER_LOG_LEVLE=7",
         "environment: MILLRACE_KAFKA_CONSUMER_LOG_LEVLE: unknown, ignored; did you mean "
         "MILLRACE_KAFKA_CONSUMER_LOG_LEVEL?\n"},
        {"MILLRACE_KAFKA_LINGER_MS_FILE=7",
         "environment: MILLRACE_KAFKA_LINGER_MS_FILE: unknown, "
         "ignored; did you mean MILLRACE_KAFKA_LINGER_MS?\n"},
        {"MILLRACE_X\x1b=7", "environment: MILLRACE_X?: unknown, ignored\n"},
        {"MILLRACE_KAFKA_=7", "environment: MILLRACE_KAFKA_: unknown, ignored\n"}};
    size_t count;
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        const struct passthrough *settings;
        options = options_new(&kafka_spec, &target);
        read_variable(cases[i].variable);
        settings = options_passthrough(options, &count);
        assert_int_equal(count, 1);
        assert_string_equal(settings[0].section, cases[i].section);
        assert_string_equal(settings[0].key, cases[i].key);
        assert_string_equal(settings[0].value, "7");
        (void)tear_down(NULL);
    }
    for (size_t i = 0; i < MR_COUNT_OF(unknown); i++) {
        struct mr_slice said;
        options = options_new(&kafka_spec, &target);
        read_variable(unknown[i].variable);
        said = buf_slice(options_warnings(options));
        assert_int_equal(said.len, strlen(unknown[i].warning));
        assert_memory_equal(said.ptr, unknown[i].warning, said.len);
        (void)options_passthrough(options, &count);
        assert_int_equal(count + options_problem_count(options), 0);
        (void)tear_down(NULL);
    }
    options = options_new(&kafka_spec, &target);
    read_variable("MILLRACE_KAFKA_SASL_PASSWORD_FILE=/nonexistent");
    assert_problems(
        "environment: MILLRACE_KAFKA_SASL_PASSWORD_FILE: can't read the file: No such file or "
        "directory\n");
    (void)tear_down(NULL);
}

static void test_what_is_required_and_empty_has_its_place(void **state)
{
    (void)state;
    read_text("[test]\n\ndatabase =\n");
    options_finish(options);
    assert_problems("t.conf:3: [test] database: required, but empty\n");
}

static void test_what_is_required_and_not_given(void **state)
{
    (void)state;
    options_finish(options);
    assert_problems("[test] database: required, but not given\n");
}

static void test_an_empty_variable_is_named(void **state)
{
    (void)state;
    read_text("[test]\ndatabase = db\n");
    read_variable("MILLRACE_TEST_DATABASE=");
    options_finish(options);
    assert_problems("environment: MILLRACE_TEST_DATABASE: required, but empty\n");
}

static void test_what_is_no_key_is_not_shown(void **state)
{
    static const char *const lines[] = {
        "password: c2VjcmV0Cg==", "password : c2VjcmV0Cg==",   "c2VjcmV0Cg==",
        "pass c2VjcmV0Cg = x",    "sasl.password:c2VjcmV0Cg=", "\"c2VjcmV0Cg\" = 1",
    };
    static const char *const sections[] = {"", "[test]\n", "[kafka]\n"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(lines) * MR_COUNT_OF(sections); i++) {
        char text[256];
        struct mr_slice said;
        (void)set_up(NULL);
        (void)snprintf(text, sizeof text, "%s%s\n", sections[i / MR_COUNT_OF(lines)],
                       lines[i % MR_COUNT_OF(lines)]);
        read_text(text);
        said = buf_slice(options_problems(options));
        assert_int_equal(options_problem_count(options), 1);
        assert_memory_equal(said.ptr, "t.conf:", 7);
        assert_non_null(memmem(said.ptr, said.len, "not a key", 9));
        assert_null(memmem(said.ptr, said.len, "c2VjcmV0Cg", 10));
        (void)tear_down(NULL);
    }
}

static void assert_shown(const char *argument, const char *expected)
{
    char shown[OPTIONS_SHOWN_BYTES];
    assert_string_equal(options_shown(options, argument, 3, shown), expected);
}

static void test_an_argument_is_shown_only_as_far_as_it_names_an_option(void **state)
{
    (void)state;
    assert_shown("-low=5", "-low");
    assert_shown("--nonsense", "--nonsense");
    assert_shown("kafka.sasl.password=hunter2", "kafka.sasl.password");
    assert_shown("test.password.file=hunter2", "test.password.file");
    assert_shown("hunter2", "argument 3");
    assert_shown("hunter2==", "argument 3");
    assert_shown("-hunter 2", "argument 3");
    assert_shown("-- x", "argument 3");
    assert_shown("", "argument 3");
}

static void assert_harmless(const char *text, const char *expected)
{
    char copy[64];
    (void)snprintf(copy, sizeof copy, "%s", text);
    options_make_harmless(copy);
    assert_string_equal(copy, expected);
}

static void test_what_is_harmless(void **state)
{
    (void)state;
    assert_harmless("", "");
    assert_harmless("a \xc2\xa0\xc3\x9b\xe2\x82\x9b\xf0\x9f\x98\x80~",
                    "a \xc2\xa0\xc3\x9b\xe2\x82\x9b\xf0\x9f\x98\x80~");
    assert_harmless(
        "\x9b"
        "31m\xc2\x9b\x1f\x7f",
        "?31m????");
    assert_harmless("\xc2\x80\xc2\x9f\x80\x9f\xff", "???????");
    assert_harmless("\xe2\x9b\xf0\x9f\x98", "?????"); /* cut short, then again at the end */
    assert_harmless("\xc2", "?");
}

static void test_nothing_commands_the_terminal(void **state)
{
    (void)state;
    options_add_problem(options,
                        "a\x1b[31mb\nc\x7f\xc2\x9b"
                        "2J \xc3\xa9");
    read_text("[te\x1b[31mst]\n");
    read_text("[test]\nlow = a\x9b\xc2\x9b\xc3\xa9\n");
    assert_problems(
        "a?[31mb?c???2J \xc3\xa9\n"
        "t.conf:1: [te?[31mst]: unknown section\n"
        "t.conf:2: [test] low: expected a whole number, at least 0; got 'a???\xc3\xa9'\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_a_check_says_where_each_value_came_from),
        T(test_a_check_adds_nothing_to_what_is_wrong_by_itself),
        T(test_what_is_required_and_empty_has_its_place),
        T(test_what_is_required_and_not_given),
        T(test_an_empty_variable_is_named),
        T(test_what_stands_in_a_file_is_no_name_of_one),
        cmocka_unit_test(test_which_of_kafkas_settings_may_be_in_a_file),
        cmocka_unit_test(test_variables_are_matched_with_librdkafkas_names),
        cmocka_unit_test(test_what_is_no_key_is_not_shown),
        T(test_an_argument_is_shown_only_as_far_as_it_names_an_option),
        cmocka_unit_test(test_what_is_harmless),
        T(test_nothing_commands_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

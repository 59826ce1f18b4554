// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/options_internal.h"
#include "kit/mem.h"
#include "lib/heap.h"
#include "lib/temporary.h"

struct log_part {
    int level;
};

struct target {
    char *topic;
    char *database;
    char *password;
    bool create;
    int64_t partitions;
    int64_t temperature;
    int64_t wait_ms;
    int64_t body_bytes;
    int mode;
    struct mr_address listen;
    struct log_part log;
};

#define FIELD(name) .offset = offsetof(struct target, name)

static const struct mr_option table[] = {
    {.key = "topic", .type = MR_OPTION_STRING, .initial = "events", .text = "Where.", FIELD(topic)},
    {.key = "database",
     .type = MR_OPTION_STRING,
     .text = "Which.",
     .flags = MR_OPTION_REQUIRED,
     .env = "INFLUXDB_DATABASE",
     FIELD(database)},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .initial = "initial-secret",
     .text = "Psst.",
     .flags = MR_OPTION_SECRET,
     .env = "INFLUXDB_PASSWORD",
     FIELD(password)},
    {.key = "topic.create",
     .type = MR_OPTION_BOOLEAN,
     .initial = "true",
     .text = "Or not.",
     FIELD(create)},
    {.key = "topic.partitions",
     .type = MR_OPTION_INTEGER,
     .initial = "6",
     .unit = "partitions",
     .text = "How many.",
     FIELD(partitions)},
    {.key = "temperature",
     .type = MR_OPTION_INTEGER,
     .initial = "20",
     .min = -40,
     .max = 120,
     .text = "How warm.",
     FIELD(temperature)},
    {.key = "wait",
     .type = MR_OPTION_DURATION,
     .initial = "3s",
     .min = 100,
     .max = 3600000,
     .text = "How long.",
     FIELD(wait_ms)},
    {.key = "body",
     .type = MR_OPTION_SIZE,
     .initial = "900KiB",
     .min = 1,
     .text = "How much.",
     FIELD(body_bytes)},
    {.key = "mode",
     .type = MR_OPTION_ENUM,
     .initial = "basic",
     .choices = "none|basic|full",
     .text = "Which | one.",
     FIELD(mode)},
    {.key = "listen",
     .type = MR_OPTION_ADDRESS,
     .initial = "127.0.0.1:8080",
     .text = "On what.",
     FIELD(listen)},
    MR_OPTION_END};

static const struct mr_option log_table[] = {{.section = "log",
                                              .key = "level",
                                              .type = MR_OPTION_ENUM,
                                              .initial = "info",
                                              .choices = "error|warn|info|debug",
                                              .text = "What to say.",
                                              .offset = offsetof(struct log_part, level)},
                                             MR_OPTION_END};

static const struct mr_option_group groups[] = {{table, 0},
                                                {log_table, offsetof(struct target, log)}};
static const struct options_spec spec = {.program = "millrace-test",
                                         .section = "test",
                                         .groups = groups,
                                         .group_count = MR_COUNT_OF(groups)};

static struct target target;
static struct options *options;

static int set_up(void **state)
{
    (void)state;
    memset(&target, 0xA5, sizeof target);
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

static const char *problems(void)
{
    static char text[OPTIONS_TEXT_BYTES_MAX + 1];
    struct mr_slice s = buf_slice(options_problems(options));
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return text;
}

static void read_environment(struct options *into, const char *const *variables)
{
    char *const *environment;
    memcpy(&environment, &variables, sizeof environment);
    options_read_environment(into, environment);
}

static void assert_problems(const char *expected)
{
    assert_string_equal(problems(), expected);
}

static void temp_file(const char *content, size_t len, char path[static TEMPORARY_BYTES])
{
    int fd;
    temporary_name(path, "options");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    assert_int_equal(close(fd), 0);
}

static void test_defaults(void **state)
{
    (void)state;
    assert_problems("");
    assert_string_equal(target.topic, "events");
    assert_null(target.database);
    assert_true(target.create);
    assert_int_equal(target.partitions, 6);
    assert_int_equal(target.wait_ms, 3000);
    assert_int_equal(target.body_bytes, 921600);
    assert_int_equal(target.mode, 1);
    assert_string_equal(target.listen.host, "127.0.0.1");
    assert_int_equal(target.listen.port, 8080);
    assert_int_equal(target.log.level, 2);
}

static void test_what_was_expected_is_said(void **state)
{
    (void)state;
    read_text(
        "[test]\nwait = 5 parsecs\nbody = 4MB\nmode = on\ntopic.create = maybe\n"
        "temperature = hot\ntopic.partitions = -1\nlisten = 8080\n");
    assert_problems(
        "t.conf:2: [test] wait: expected a duration such as 250ms, 3s or 5m, between 100ms and 1h; "
        "got '5 parsecs'\n"
        "t.conf:3: [test] body: expected a size such as 900KiB, 4MiB or 1GiB, at least 1; got "
        "'4MB'\n"
        "t.conf:4: [test] mode: expected none, basic or full; got 'on'\n"
        "t.conf:5: [test] topic.create: expected true or false; got 'maybe'\n"
        "t.conf:6: [test] temperature: expected a whole number, between -40 and 120; got 'hot'\n"
        "t.conf:7: [test] topic.partitions: expected a whole number, at least 0; got '-1'\n"
        "t.conf:8: [test] listen: expected an address such as 127.0.0.1:8080 or [::1]:8080; got "
        "'8080'\n");
    assert_int_equal(options_problem_count(options), 7);
}

static void test_precedence_in_any_order(void **state)
{
    const char *const environment[] = {"INFLUXDB_DATABASE=alias", "MILLRACE_TEST_TOPIC=environment",
                                       "MILLRACE_TEST_MODE=full", NULL};
    const char *const ours[] = {"MILLRACE_TEST_DATABASE=ours", NULL};
    (void)state;
    options_read_flag(options, "test.topic", "flag");
    read_environment(options, environment);
    read_text("[test]\ntopic = file\nmode = none\ndatabase = file\nwait = 9s\n");
    assert_string_equal(target.topic, "flag");
    assert_int_equal(target.mode, 2);
    assert_string_equal(target.database, "alias");
    assert_int_equal(target.wait_ms, 9000);
    read_environment(options, ours);
    read_environment(options, (const char *const[]){NULL});
    assert_string_equal(target.database, "ours");
    options_read_flag(options, "topic", "later flag");
    assert_string_equal(target.topic, "later flag");
    options_finish(options);
    assert_problems("");
}

static void test_file_syntax(void **state)
{
    (void)state;
    read_text(
        "\xEF\xBB\xBF# comment\r\n; comment\r\n\r\n  [test] ; the program\r\n"
        "  topic\t=  a=b#c;d ; comment\r\n"
        "wait=4s\t; comment\n"
        "database = \n"
        "[log]\nlevel = debug");
    assert_problems("");
    assert_string_equal(target.topic, "a=b#c;d");
    assert_int_equal(target.wait_ms, 4000);
    assert_string_equal(target.database, "");
    assert_int_equal(target.log.level, 3);
}

static void test_all_problems_at_once_with_their_lines(void **state)
{
    (void)state;
    read_text(
        "early = 1\n"
        "[test\n"
        "skipped = because its section could not be read\n"
        "[test] x\n"
        "[tesst]\n"
        "lost = 1\n"
        "[test]\n"
        "lisen = a:1\n"
        "level = info\n"
        "qqqqqqqq = 1\n"
        "just words\n"
        "= value\n"
        "Topic = x\n"
        "[zzzzzzzz]\n"
        "[kafka.produser]\n");
    options_finish(options);
    assert_problems(
        "t.conf:1: a key before the first [section]\n"
        "t.conf:2: expected ']' after the section's name\n"
        "t.conf:4: expected nothing after ']'\n"
        "t.conf:5: [tesst]: unknown section; did you mean [test]?\n"
        "t.conf:8: [test] lisen: unknown option; did you mean 'listen'?\n"
        "t.conf:9: [test] level: unknown option; [log] has one of this name\n"
        "t.conf:10: [test] qqqqqqqq: unknown option\n"
        "t.conf:11: expected 'key = value', '[section]' or a comment\n"
        "t.conf:12: expected a key before '='\n"
        "t.conf:13: [test] Topic: unknown option; did you mean 'topic'?\n"
        "t.conf:14: [zzzzzzzz]: unknown section\n"
        "t.conf:15: [kafka.produser]: unknown section; did you mean [kafka.producer]?\n"
        "[test] database: required, but not given\n");
}

static void test_a_key_twice_in_one_file(void **state)
{
    (void)state;
    read_text(
        "[test]\ntopic = a\n[log]\nlevel = info\n[test]\ntopic = b\npassword = x\n"
        "password.file = /nowhere\n[kafka]\nlinger.ms = 1\nlinger.ms = 1\n"
        "[kafka.producer]\nlinger.ms = 1\n");
    assert_problems(
        "t.conf:6: [test] topic: given before, in line 2\n"
        "t.conf:8: [test] password.file: given before, in line 7\n"
        "t.conf:11: [kafka] linger.ms: given before, in line 10\n");
    assert_string_equal(target.topic, "a");
    read_text("[test]\ntopic = c\n");
    assert_int_equal(options_problem_count(options), 3);
    assert_string_equal(target.topic, "c");
}

static void test_long_lines_and_nul_bytes_are_never_cut(void **state)
{
    enum { BYTES = 16 * 1024 };
    static char text[2 * BYTES];
    int head = snprintf(text, sizeof text, "[test]\ntopic=");
    (void)state;
    memset(text + head, 'x', BYTES - 6);
    read_text(text);
    assert_problems("");
    assert_int_equal(strlen(target.topic), BYTES - 6);
    memset(text + head, 'x', BYTES - 5);
    read_text(text);
    assert_problems("t.conf:2: the line is longer than 16384 bytes\n");
    options_read_bytes(options, "u.conf", mr_slice("[test]\nmode\0 = none\nwait = 1s\0\n", 31));
    assert_problems(
        "t.conf:2: the line is longer than 16384 bytes\n"
        "u.conf:2: there is a NUL byte in the line\n"
        "u.conf:3: there is a NUL byte in the line\n");
    assert_int_equal(target.mode, 1);
}

static void test_problems_are_counted_beyond_what_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < OPTIONS_PROBLEMS_MAX * 2; i++) {
        read_text("x\n");
    }
    assert_int_equal(options_problem_count(options), OPTIONS_PROBLEMS_MAX * 2);
    assert_non_null(strstr(problems(), "\nand more\n"));
    assert_string_equal(strstr(problems(), "\nand more\n"), "\nand more\n");
}

static void test_values_from_files(void **state)
{
    char path[TEMPORARY_BYTES];
    char text[512];
    char variable[256];
    const char *environment[] = {variable, NULL};
    (void)state;
    temp_file("hunter2; with # all\r\n", 21, path);
    (void)snprintf(text, sizeof text,
                   "[test]\npassword.file = %s\n[kafka]\nsasl.password.file=%s\n", path, path);
    read_text(text);
    (void)snprintf(variable, sizeof variable, "INFLUXDB_DATABASE_FILE=%s", path);
    read_environment(options, environment);
    options_read_flag(options, "topic.file", path);
    assert_problems("");
    assert_string_equal(target.password, "hunter2; with # all");
    assert_string_equal(target.database, "hunter2; with # all");
    assert_string_equal(target.topic, "hunter2; with # all");
    assert_string_equal(options->passthrough[0].key, "sasl.password");
    assert_string_equal(options->passthrough[0].value, "hunter2; with # all");
    (void)snprintf(variable, sizeof variable, "MILLRACE_TEST_DATABASE_FILE=%s", path);
    read_environment(options, environment);
    read_environment(options, (const char *const[]){"MILLRACE_TEST_DATABASE=x", NULL});
    assert_problems(
        "environment: MILLRACE_TEST_DATABASE: give it with _FILE or without, not "
        "both\n");
    assert_int_equal(unlink(path), 0);
}

static void test_only_one_line_break_is_cut(void **state)
{
    static const struct {
        const char *content, *value;
    } cases[] = {{"a\n\n", "a\n"}, {"a", "a"},     {"", ""},
                 {"\n", ""},       {"a\r\n", "a"}, {" a ", " a "}};
    char path[TEMPORARY_BYTES];
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        temp_file(cases[i].content, strlen(cases[i].content), path);
        options_read_flag(options, "topic.file", path);
        assert_string_equal(target.topic, cases[i].value);
        assert_int_equal(unlink(path), 0);
    }
    temp_file("a\0b", 3, path);
    options_read_flag(options, "topic.file", path);
    assert_non_null(strstr(problems(), "there is a NUL byte in it"));
    assert_int_equal(unlink(path), 0);
}

static void test_secrets_are_never_shown(void **state)
{
    static const struct mr_option secrets[] = {{.key = "pin",
                                                .type = MR_OPTION_INTEGER,
                                                .initial = "4711",
                                                .min = 1,
                                                .max = 9999,
                                                .text = "Psst.",
                                                .flags = MR_OPTION_SECRET},
                                               MR_OPTION_END};
    static const struct mr_option_group secret_groups[] = {{secrets, 0}};
    struct options_spec secret_spec = {
        .program = "p", .section = "s", .groups = secret_groups, .group_count = 1};
    int64_t pin;
    struct options *o = options_new(&secret_spec, &pin);
    struct mr_buf out;
    (void)state;
    assert_non_null(o);
    options_read_bytes(o, "t.conf", MR_SLICE("[s]\npin = hunter2\n"));
    options_read_flag(o, "pin", "hunter2");
    options_read_flag(o, "pin.file", "hunter2");
    options_read_flag(o, "kafka.sasl.password.file", "hunter2");
    read_environment(o,
                     (const char *const[]){"MILLRACE_S_PIN=hunter2", "MILLRACE_X=hunter2", NULL});
    assert_int_equal(options_problem_count(o), 5);
    assert_null(memmem(o->problems.ptr, o->problems.len, "hunter2", 7));
    assert_null(memmem(o->warnings.ptr, o->warnings.len, "hunter2", 7));
    buf_init(&out, 64 * 1024);
    assert_int_equal(options_write_help(&secret_spec, &out), 0);
    assert_int_equal(options_write_markdown(&secret_spec, &out), 0);
    assert_null(memmem(out.ptr, out.len, "4711", 4));
    buf_done(&out);
    options_free(o);
}

static void test_unknown_variables_only_warn(void **state)
{
    const char *const environment[] = {"MILLRACE_HTTP_PORT=tcp://10.0.0.1:80",
                                       "MILLRACE_KAFKA_SERVICE_HOST=10.0.0.2",
                                       "MILLRACE_KAFKA_SERVICE_PORT_PLAIN=9092",
                                       "MILLRACE_KAFKA_PORT_9092_TCP_ADDR=10.0.0.2",
                                       "MILLRACE_MQTT_TOPIC=x",
                                       "MILLRACE_TEST_TOPICS=x",
                                       "OTHER=x",
                                       "=x",
                                       "novalue",
                                       NULL};
    struct mr_slice warnings;
    const char *expected =
        "environment: MILLRACE_HTTP_PORT: ignored, it looks like one that Kubernetes made\n"
        "environment: MILLRACE_KAFKA_SERVICE_HOST: ignored, it looks like one that Kubernetes "
        "made\n"
        "environment: MILLRACE_KAFKA_SERVICE_PORT_PLAIN: ignored, it looks like one that "
        "Kubernetes made\n"
        "environment: MILLRACE_KAFKA_PORT_9092_TCP_ADDR: ignored, it looks like one that "
        "Kubernetes made\n"
        "environment: MILLRACE_MQTT_TOPIC: unknown, ignored\n"
        "environment: MILLRACE_TEST_TOPICS: unknown, ignored; did you mean "
        "MILLRACE_TEST_TOPIC?\n";
    (void)state;
    read_environment(options, environment);
    assert_problems("");
    warnings = buf_slice(options_warnings(options));
    assert_int_equal(warnings.len, strlen(expected));
    assert_memory_equal(warnings.ptr, expected, warnings.len);
}

static void assert_passthrough(size_t at, const char *section, const char *key, const char *value,
                               const char *origin)
{
    size_t count;
    const struct passthrough *settings = options_passthrough(options, &count);
    assert_true(at < count);
    assert_string_equal(settings[at].section, section);
    assert_string_equal(settings[at].key, key);
    assert_string_equal(settings[at].value, value);
    assert_string_equal(settings[at].origin, origin);
}

static void test_passthrough_in_order_of_precedence(void **state)
{
    const char *const environment[] = {"MILLRACE_KAFKA_PRODUCER_LINGER_MS=2",
                                       "MILLRACE_KAFKA_BOOTSTRAP_SERVERS=b:1", NULL};
    size_t count;
    (void)state;
    options_read_flag(options, "kafka.consumer.fetch.min.bytes", "3");
    read_environment(options, environment);
    read_text("[kafka]\nbootstrap.servers = a:1,b:2 ; two\nNo.Such = x=y\n");
    options_read_flag(options, "kafka.linger.ms", "4");
    assert_problems("");
    (void)options_passthrough(options, &count);
    assert_int_equal(count, 6);
    assert_passthrough(0, "kafka", "bootstrap.servers", "a:1,b:2", "t.conf:2");
    assert_passthrough(1, "kafka", "No.Such", "x=y", "t.conf:3");
    assert_passthrough(2, "kafka.producer", "linger.ms", "2",
                       "environment: MILLRACE_KAFKA_PRODUCER_LINGER_MS");
    assert_passthrough(3, "kafka", "bootstrap.servers", "b:1",
                       "environment: MILLRACE_KAFKA_BOOTSTRAP_SERVERS");
    assert_passthrough(4, "kafka.consumer", "fetch.min.bytes", "3", "command line");
    assert_passthrough(5, "kafka", "linger.ms", "4", "command line");
}

static void test_passthrough_is_bounded(void **state)
{
    char name[64];
    (void)state;
    for (int i = 0; i < OPTIONS_PASSTHROUGH_MAX + 1; i++) {
        (void)snprintf(name, sizeof name, "kafka.k%d", i);
        options_read_flag(options, name, "x");
    }
    assert_problems("command line: --kafka.k512: too many settings\n");
}

static void test_unknown_flags(void **state)
{
    (void)state;
    options_read_flag(options, "lisen", "x");
    options_read_flag(options, "log.levle", "x");
    options_read_flag(options, "kafka.", "x");
    options_read_flag(options, "", "x");
    assert_problems(
        "command line: --lisen: unknown option; did you mean --listen?\n"
        "command line: --log.levle: unknown option; did you mean --log.level?\n"
        "command line: --kafka.: unknown option\n"
        "command line: an argument that begins with \"--\" is not an option\n");
}

static void test_files_that_cannot_be_read(void **state)
{
    (void)state;
    options_read_file(options, "/nonexistent/millrace.conf");
    options_read_file(options, "/");
    assert_problems(
        "/nonexistent/millrace.conf: can't read it: No such file or directory\n"
        "/: can't read it: Is a directory\n");
}

static void test_a_file_on_disk(void **state)
{
    char path[TEMPORARY_BYTES];
    char expected[256];
    (void)state;
    temp_file("[test]\ntopic = disk\nx = 1\n", 26, path);
    options_read_file(options, path);
    (void)snprintf(expected, sizeof expected, "%s:3: [test] x: unknown option\n", path);
    assert_problems(expected);
    assert_string_equal(target.topic, "disk");
    assert_int_equal(unlink(path), 0);
}

static size_t read_everything(const char *path)
{
    char variable[256];
    const char *const environment[] = {"MILLRACE_TEST_TOPIC=environment",
                                       "MILLRACE_KAFKA_LINGER_MS=1", variable, NULL};
    size_t count;
    (void)snprintf(variable, sizeof variable, "INFLUXDB_PASSWORD_FILE=%s", path);
    options_read_file(options, path);
    read_environment(options, environment);
    options_read_flag(options, "database", "x");
    options_finish(options);
    count = options_problem_count(options);
    read_environment(options, (const char *const[]){"MILLRACE_UNKNOWN=1", NULL});
    return count;
}

/* Every allocation fails once: no crash, no leak, and never "all is well". */
static void fail_each_allocation(const char *text, size_t expected_problems)
{
    char path[TEMPORARY_BYTES];
    unsigned n;
    temp_file(text, strlen(text), path);
    for (n = 1; n < 1000; n++) {
        heap_fail_at(n);
        options = options_new(&spec, &target);
        if (options != NULL) {
            size_t count = read_everything(path);
            bool only_a_warning = options->warnings.failed != 0;
            assert_true(count > 0 || !heap_failed() || only_a_warning);
            assert_true(heap_failed() || count == expected_problems);
            options_free(options);
            options = NULL;
        }
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
    }
    assert_in_range(n, 20, 999);
    heap_restore();
    assert_int_equal(unlink(path), 0);
}

static void test_out_of_memory(void **state)
{
    (void)tear_down(state);
    fail_each_allocation("[test]\ntopic=x\nmode=none\n[kafka]\na=1\n", 0);
    fail_each_allocation("[test]\ntopic=x\nmode=bad\nbad\n[kafka]\na=1\n", 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_defaults),
        T(test_what_was_expected_is_said),
        T(test_precedence_in_any_order),
        T(test_file_syntax),
        T(test_all_problems_at_once_with_their_lines),
        T(test_a_key_twice_in_one_file),
        T(test_long_lines_and_nul_bytes_are_never_cut),
        T(test_problems_are_counted_beyond_what_is_told),
        T(test_values_from_files),
        T(test_only_one_line_break_is_cut),
        T(test_secrets_are_never_shown),
        T(test_unknown_variables_only_warn),
        T(test_passthrough_in_order_of_precedence),
        T(test_passthrough_is_bounded),
        T(test_unknown_flags),
        T(test_files_that_cannot_be_read),
        T(test_a_file_on_disk),
        T(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

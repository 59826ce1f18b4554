// SPDX-License-Identifier: Apache-2.0
/* The frame of every program, from outside: this executable runs itself as a tiny bridge
 * ("as-program") or a tiny worker ("as-worker"). The bridge does what its options and signals say:
 * SIGUSR1 lets its condition "sink" hold, SIGUSR2 not; while draining, SIGUSR1 ends the drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <millrace/event.h>
#include <millrace/log.h>
#include <millrace/program.h>
#include <millrace/worker.h>

#include "lib/child.h"
#include "lib/mock_kafka.h"
#include "lib/temporary.h"

/* ---- the bridge ---- */

struct bridge_options {
    struct mr_producer_options producer;
    bool start_fails;
    bool fails;
    bool sends;
    char *password;
    int64_t low;
    int64_t high;
};

#define FIELD(name) .offset = offsetof(struct bridge_options, name), .text = "For the test."
static const struct mr_option bridge_table[] = {
    {.key = "start.fails", .type = MR_OPTION_BOOLEAN, .initial = "false", FIELD(start_fails)},
    {.key = "fails", .type = MR_OPTION_BOOLEAN, .initial = "false", FIELD(fails)},
    {.key = "sends", .type = MR_OPTION_BOOLEAN, .initial = "false", FIELD(sends)},
    {.key = "password", .type = MR_OPTION_STRING, .flags = MR_OPTION_SECRET, FIELD(password)},
    {.key = "low", .type = MR_OPTION_INTEGER, .initial = "1", .max = 100, FIELD(low)},
    {.key = "high", .type = MR_OPTION_INTEGER, .initial = "2", .max = 100, FIELD(high)},
    MR_OPTION_END};

struct bridge {
    struct mr_send send; /* first: the send is the bridge */
    struct mr_program *program;
    uv_signal_t signals[2];
    bool draining;
};

static struct bridge bridge;

static void bridge_check(const void *options, struct mr_check *check)
{
    const struct bridge_options *o = options;
    if (o->low > o->high && mr_check_is_right(check, NULL, "high")) {
        mr_check_problem(check, NULL, "low", "must not be above high");
    }
    if (o->low == 13) {
        mr_check_problem(check, NULL, "low", "no luck");
    }
}

static void bridge_on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    if (bridge.draining) {
        mr_program_drained(bridge.program);
    } else {
        mr_program_set_ready(bridge.program, "sink", number == SIGUSR1 ? NULL : "gone");
    }
}

static void bridge_on_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    (void)send;
    mr_log(MR_LOG_INFO, "settled", MR_INT("kind", outcome->kind));
}

static int bridge_send(struct mr_program *program, struct mr_error *err)
{
    const struct bridge_options *options = mr_program_options(program);
    struct mr_event *event = mr_event_new();
    int rc = mr_program_producer(program, &options->producer, NULL, err);
    if (rc == 0) {
        (void)mr_event_set(event, MR_SLICE("id"), MR_SLICE("1"), NULL);
        (void)mr_event_set(event, MR_SLICE("source"), MR_SLICE("/a/d"), NULL);
        (void)mr_event_set(event, MR_SLICE("specversion"), MR_SLICE("1.0"), NULL);
        (void)mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL);
        bridge.send.on_settled = bridge_on_settled;
        mr_send(mr_program_port(program), &bridge.send, event);
    }
    mr_event_free(event);
    return rc;
}

static int bridge_start(struct mr_program *program, struct mr_error *err)
{
    const struct bridge_options *options = mr_program_options(program);
    bridge.program = program;
    for (int i = 0; i < 2; i++) {
        (void)uv_signal_init(mr_program_loop(program), &bridge.signals[i]);
        (void)uv_signal_start(&bridge.signals[i], bridge_on_signal, i == 0 ? SIGUSR1 : SIGUSR2);
    }
    if (options->start_fails) {
        return mr_error_set(err, MR_EIO, "no luck today");
    }
    mr_program_set_ready(program, "sink", "not looked for");
    if (options->fails) {
        (void)mr_error_set(err, MR_EIO, "broke down");
        mr_program_fail(program, err);
    }
    return options->sends ? bridge_send(program, err) : 0;
}

static void bridge_drain(struct mr_program *program)
{
    const struct bridge_options *options = mr_program_options(program);
    bridge.draining = true;
    if (options->fails || options->sends) { /* the frame waits for what was sent */
        mr_program_drained(program);
    }
}

static void bridge_reload(struct mr_program *program)
{
    (void)program;
    mr_log(MR_LOG_INFO, "reload is called");
}

static void bridge_stop(struct mr_program *program)
{
    (void)program;
    mr_log(MR_LOG_INFO, "stop is called");
    for (int i = 0; i < 2; i++) {
        if (bridge.program != NULL) {
            uv_close((uv_handle_t *)&bridge.signals[i], NULL);
        }
    }
}

static int be_program(int argc, char **argv)
{
    const struct mr_option_group groups[] = {
        {mr_producer_options, offsetof(struct bridge_options, producer)}, {bridge_table, 0}};
    const struct mr_program_spec spec = {.name = "millrace-test",
                                         .section = "test",
                                         .summary = "A program for tests.",
                                         .admin_listen = "127.0.0.1:0",
                                         .groups = groups,
                                         .group_count = 2,
                                         .options_size = sizeof(struct bridge_options),
                                         .check = bridge_check,
                                         .start = bridge_start,
                                         .reload = bridge_reload,
                                         .drain = bridge_drain,
                                         .stop = bridge_stop};
    return mr_program_main(argc, argv, &spec);
}

/* ---- the worker ---- */

struct worker_options {
    char *greeting;
};

static const struct mr_option worker_table[] = {
    {.key = "greeting",
     .type = MR_OPTION_STRING,
     .initial = "hello",
     .text = "For the test.",
     .offset = offsetof(struct worker_options, greeting)},
    MR_OPTION_END};

static void worker_batch(struct mr_worker *worker, struct mr_batch *batch)
{
    const struct worker_options *options = mr_worker_options(worker);
    mr_log(MR_LOG_INFO, "batch", MR_STR("greeting", options->greeting));
    mr_batch_done(batch);
}

static void worker_check(const void *options, struct mr_check *check)
{
    const struct worker_options *o = options;
    if (strcmp(o->greeting, "bye") == 0) {
        mr_check_problem(check, NULL, "greeting", "no greeting");
    }
}

static int be_worker(int argc, char **argv)
{
    static const struct mr_worker_ops ops = {.batch = worker_batch};
    static const struct mr_worker_spec spec = {.name = "millrace-test",
                                               .section = "test",
                                               .summary = "A worker for tests.",
                                               .admin_listen = "127.0.0.1:0",
                                               .ops = &ops,
                                               .options = worker_table,
                                               .options_size = sizeof(struct worker_options),
                                               .check = worker_check};
    return mr_worker_main(argc, argv, &spec);
}

/* ---- looking at it ---- */

static uint16_t port_of(struct child *child)
{
    unsigned long port =
        strtoul(child_await(child, "msg=\"admin listening\" host=127.0.0.1 port="), NULL, 10);
    assert_in_range(port, 1, 65535);
    return (uint16_t)port;
}

static const char *body(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void await_ready(uint16_t port, const char *status, const char *expected)
{
    int64_t until_ms = child_now_ms() + CHILD_WAIT_MS;
    const char *answer;
    do {
        answer = child_ask(port, "GET", "/readyz");
        if (strncmp(answer, status, strlen(status)) == 0 && strcmp(body(answer), expected) == 0) {
            return;
        }
        child_breathe();
    } while (child_now_ms() < until_ms);
    fail_msg("not '%s' but:\n%s", expected, answer);
}

/* ---- the tests ---- */

static void test_the_admin_listener(void **state)
{
    struct child child;
    uint16_t port;
    (void)state;
    START(&child, "millrace-test", "as-program");
    port = port_of(&child);
    await_ready(port, "HTTP/1.1 503 ", "sink: not looked for\n");
    assert_string_equal(body(child_ask(port, "GET", "/healthz")), "ok\n");
    assert_memory_equal(child_ask(port, "HEAD", "/healthz"), "HTTP/1.1 200 ", 13);
    assert_string_equal(body(child_ask(port, "HEAD", "/healthz")), "");
    assert_memory_equal(child_ask(port, "POST", "/metrics"), "HTTP/1.1 405 ", 13);
    assert_non_null(strstr(child_ask(port, "POST", "/metrics"), "\r\nAllow: GET, HEAD\r\n"));
    assert_memory_equal(child_ask(port, "GET", "/"), "HTTP/1.1 404 ", 13);
    assert_memory_equal(child_ask(port, "GET", "/metrics/"), "HTTP/1.1 404 ", 13);
    assert_int_equal(kill(child.pid, SIGUSR1), 0);
    await_ready(port, "HTTP/1.1 200 ", "ready\n");
    assert_non_null(strstr(child_ask(port, "GET", "/metrics"), "\nmillrace_ready 1\n"));
    assert_int_equal(kill(child.pid, SIGUSR2), 0);
    await_ready(port, "HTTP/1.1 503 ", "sink: gone\n");
    assert_non_null(strstr(child_ask(port, "GET", "/metrics"), "\nmillrace_ready 0\n"));
    (void)child_await(&child,
                      "level=warn program=millrace-test msg=\"not ready\" condition=sink "
                      "reason=gone");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    (void)child_await(&child, "msg=draining reason=SIGTERM");
    assert_int_equal(kill(child.pid, SIGUSR1), 0);
    ASSERT_STATUS(&child, 0);
}

static double metric(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    assert_non_null(line);
    return strtod(line + strlen(name), NULL);
}

/* Where the system counts the processor's time in ticks, it is 0 for a while. */
static const char *ask_until_time_has_passed(uint16_t port)
{
    int64_t until_ms = child_now_ms() + CHILD_WAIT_MS;
    const char *text = child_ask(port, "GET", "/metrics");
    while (!(metric(text, "\nprocess_cpu_seconds_total ") > 0) && child_now_ms() < until_ms) {
        text = child_ask(port, "GET", "/metrics");
    }
    return text;
}

static void test_the_metrics_of_the_process(void **state)
{
    struct child child;
    const char *text;
    double began;
    (void)state;
    START(&child, "millrace-test", "as-program", "--log.format=json");
    (void)child_await(&child, "\"msg\":\"admin listening\"");
    text = ask_until_time_has_passed(
        (uint16_t)strtoul(child_await(&child, "\"host\":\"127.0.0.1\",\"port\":"), NULL, 10));
    assert_non_null(strstr(text, "\r\nContent-Type: text/plain; version=0.0.4\r\n"));
    assert_non_null(strstr(text, "\nmillrace_build_info{version=\""));
    assert_non_null(strstr(text, "\n# TYPE process_cpu_seconds_total counter\n"));
    assert_true(metric(text, "\nprocess_cpu_seconds_total ") > 0);
    assert_true(metric(text, "\nprocess_resident_memory_bytes ") > 1e6);
    assert_true(metric(text, "\nprocess_open_fds ") >= 5);
    assert_true(metric(text, "\nprocess_max_fds ") >= metric(text, "\nprocess_open_fds "));
    began = metric(text, "\nprocess_start_time_seconds ");
    assert_true(began > (double)time(NULL) - 60 && began <= (double)time(NULL) + 1);
    assert_int_equal(kill(child.pid, SIGINT), 0);
    (void)child_await(&child, "\"reason\":\"SIGINT\"");
    assert_int_equal(kill(child.pid, SIGUSR1), 0);
    ASSERT_STATUS(&child, 0);
}

static void test_a_drain_ends_well(void **state)
{
    struct child child;
    uint16_t port;
    (void)state;
    START(&child, "millrace-test", "as-program");
    port = port_of(&child);
    await_ready(port, "HTTP/1.1 503 ", "sink: not looked for\n");
    assert_int_equal(kill(child.pid, SIGHUP), 0);
    (void)child_await(&child, "msg=\"reload is called\"");
    assert_int_equal(kill(child.pid, SIGUSR1), 0);
    await_ready(port, "HTTP/1.1 200 ", "ready\n");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    await_ready(port, "HTTP/1.1 503 ", "program: draining\n");
    assert_string_equal(body(child_ask(port, "GET", "/healthz")), "ok\n");
    assert_int_equal(kill(child.pid, SIGUSR1), 0);
    ASSERT_STATUS(&child, 0);
    assert_non_null(strstr(child.output, "msg=\"stop is called\""));
    assert_non_null(strstr(child.output, "msg=ended status=0\n"));
}

static void test_a_drain_misses_its_deadline(void **state)
{
    struct child child;
    (void)state;
    START(&child, "millrace-test", "as-program", "--admin.shutdown.deadline", "50ms");
    (void)child_await(&child, "condition=sink");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, "the drain took too long"));
    assert_non_null(strstr(child.output, "msg=\"stop is called\""));
}

static void test_a_second_signal_ends_at_once(void **state)
{
    struct child child;
    (void)state;
    START(&child, "millrace-test", "as-program", "--admin.shutdown.deadline=1h");
    (void)child_await(&child, "condition=sink");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    (void)child_await(&child, "msg=draining");
    assert_int_equal(kill(child.pid, SIGINT), 0);
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, "a second signal"));
    assert_non_null(strstr(child.output, "msg=\"stop is called\""));
}

static void test_a_failure_drains_and_ends_with_1(void **state)
{
    struct child child;
    (void)state;
    START(&child, "millrace-test", "as-program", "--fails=yes");
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, "msg=failed error=\"broke down\""));
    assert_non_null(strstr(child.output, "msg=draining"));
    assert_non_null(strstr(child.output, "msg=\"stop is called\""));
}

static void test_a_start_that_fails(void **state)
{
    struct child child;
    (void)state;
    START(&child, "millrace-test", "as-program", "--start.fails=yes");
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, "msg=\"can't start\" error=\"no luck today\""));
    assert_non_null(strstr(child.output, "msg=\"stop is called\""));
}

static void test_the_admin_address_is_taken(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char flag[64];
    struct child child;
    (void)state;
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(flag, sizeof flag, "--admin.listen=127.0.0.1:%u", ntohs(address.sin_port));
    START(&child, "millrace-test", "as-program", flag);
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, flag + strlen("--admin.listen=")));
    assert_non_null(strstr(child.output, "--admin.listen=ADDRESS:PORT"));
    assert_int_equal(close(fd), 0);
}

static void write_file(const char *text, char path[static TEMPORARY_BYTES])
{
    int fd;
    temporary_name(path, "program");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void test_a_bad_configuration_is_all_told_at_once(void **state)
{
    struct child child;
    char path[TEMPORARY_BYTES];
    char expected[1024];
    (void)state;
    write_file(
        "[test]\nlow = 101\nlisen = x\npassword = hunter2\n[kafka]\nno.such.key = hunter2\n"
        "acks = 1\n",
        path);
    START(&child, "millrace-test", "as-program", "--config", path, "word", "--high=x", "--sends");
    ASSERT_STATUS(&child, 2);
    (void)snprintf(
        expected, sizeof expected,
        "millrace-test: 7 problems in the configuration:\n"
        "command line: argument 3: not an option; options are given as --section.key=value\n"
        "command line: --high: expected a whole number, between 0 and 100; got 'x'\n"
        "command line: --sends: expected a value after it\n"
        "%s:2: [test] low: expected a whole number, between 0 and 100; got '101'\n"
        "%s:3: [test] lisen: unknown option\n",
        path, path);
    if (strncmp(child.output, expected, strlen(expected)) != 0) {
        fail_msg("%s", child.output);
    }
    assert_non_null(strstr(child.output, ":6: [kafka] no.such.key: "));
    assert_non_null(strstr(child.output, ":7: [kafka] acks: "));
    assert_null(strstr(child.output, "hunter2"));
    assert_int_equal(unlink(path), 0);
}

static void test_check(void **state)
{
    struct child child;
    char path[TEMPORARY_BYTES], expected[TEMPORARY_BYTES + 256];
    (void)state;
    write_file("[test]\nlow = 50\nhigh = 60\n", path);
    START(&child, "millrace-test", "as-program", "--check", "--config", path);
    assert_string_equal(child_read_all(child.out), "millrace-test: configuration is fine\n");
    ASSERT_STATUS(&child, 0);
    START(&child, "millrace-test", "as-program", "--check", "--config", path, "--test.high", "40");
    ASSERT_STATUS(&child, 2);
    (void)snprintf(expected, sizeof expected,
                   "millrace-test: 1 problem in the configuration:\n"
                   "%s:2: [test] low: must not be above high\n",
                   path);
    assert_string_equal(child.output, expected);
    assert_int_equal(unlink(path), 0);
    START(&child, "millrace-test", "as-program", "--check", "--config", path);
    ASSERT_STATUS(&child, 2);
    assert_non_null(strstr(child.output, "No such file or directory"));
}

static void test_the_environment_counts_and_strangers_only_warn(void **state)
{
    struct child child;
    (void)state;
    assert_int_equal(setenv("MILLRACE_TEST_LOW", "70", 1), 0);
    assert_int_equal(setenv("MILLRACE_HTTP_PORT", "tcp://10.0.0.1:80", 1), 0);
    START(&child, "millrace-test", "as-program", "--check", "--high=80");
    ASSERT_STATUS(&child, 0);
    assert_non_null(strstr(child.output, "environment: MILLRACE_HTTP_PORT: ignored"));
    START(&child, "millrace-test", "as-program", "--check", "--high=60");
    ASSERT_STATUS(&child, 2);
    assert_int_equal(unsetenv("MILLRACE_TEST_LOW"), 0);
    assert_int_equal(unsetenv("MILLRACE_HTTP_PORT"), 0);
}

static void test_what_is_printed(void **state)
{
    static const struct {
        const char *flag, *expected;
    } cases[] = {{"--help", "usage: millrace-test [--config FILE]"},
                 {"-h", "\n  --test.low=NUMBER  (default 1)\n"},
                 {"--help", "\n  --admin.listen=ADDRESS  (default 127.0.0.1:0)\n"},
                 {"--version", "millrace-test "},
                 {"--markdown", "## millrace-test\n"},
                 {"--markdown", "| `shutdown.deadline` | `10s` |"}};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct child child;
        START(&child, "millrace-test", "as-program", cases[i].flag);
        assert_non_null(strstr(child_read_all(child.out), cases[i].expected));
        ASSERT_STATUS(&child, 0);
        assert_string_equal(child.output, "");
    }
}

/* Kafka is away and an event in hand: the deadline gives it up, settled all the same. */
static void test_what_is_in_flight_is_settled_at_the_deadline(void **state)
{
    struct child child;
    (void)state;
    START(&child, "millrace-test", "as-program", "--sends=yes",
          "--kafka.bootstrap.servers=127.0.0.1:1", "--kafka.producer.message.timeout.ms=60000",
          "--admin.shutdown.deadline=50ms");
    (void)child_await(&child, "condition=sink");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    ASSERT_STATUS(&child, 1);
    assert_non_null(strstr(child.output, "msg=settled"));
    assert_non_null(strstr(child.output, "msg=ended status=1\n"));
}

static void test_an_event_is_stored_before_the_end(void **state)
{
    struct mock_kafka mock;
    struct mock_records records;
    struct child child;
    const char *settled;
    char flag[128];
    (void)state;
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "events", 1);
    (void)snprintf(flag, sizeof flag, "--kafka.bootstrap.servers=%s", mock.bootstrap);
    START(&child, "millrace-test", "as-program", "--sends=yes", flag);
    (void)child_await(&child, "condition=sink");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    ASSERT_STATUS(&child, 0);
    settled = strstr(child.output, "msg=settled kind=0\n");
    assert_non_null(settled);
    assert_non_null(strstr(settled, "stop is called")); /* not before */
    mock_kafka_read(&mock, "events", &records);
    assert_int_equal(records.count, 1);
    mock_records_free(&records);
    mock_kafka_stop(&mock);
}

static void test_a_worker(void **state)
{
    static const struct kafka_header headers[] = {
        {"ce_specversion", MR_SLICE_INIT("1.0")},
        {"ce_id", MR_SLICE_INIT("1")},
        {"ce_source", MR_SLICE_INIT("/a/d")},
        {"ce_type", MR_SLICE_INIT("t")},
    };
    struct kafka_record record = {.value = MR_SLICE("data")};
    struct mock_kafka mock;
    struct child child;
    char flag[128];
    (void)state;
    memcpy(&record.headers, &(const void *){headers}, sizeof record.headers);
    record.header_count = MR_COUNT_OF(headers);
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "events", 1);
    mock_kafka_create_topic(&mock, "events.dead", 1);
    assert_int_equal(mock_kafka_produce(&mock, "events", 0, &record), 0);
    (void)snprintf(flag, sizeof flag, "--kafka.bootstrap.servers=%s", mock.bootstrap);
    START(&child, "millrace-test", "as-worker", flag, "--greeting=ahoy");
    (void)child_await(&child, "msg=batch greeting=ahoy");
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    ASSERT_STATUS(&child, 0);
    assert_int_equal(mock_kafka_committed(&mock, "millrace-test", "events", 0), 1);
    mock_kafka_stop(&mock);
    START(&child, "millrace-test", "as-worker", "--greeting=bye");
    ASSERT_STATUS(&child, 2);
    assert_non_null(strstr(child.output, "\ncommand line: --greeting: no greeting\n"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_admin_listener),
        cmocka_unit_test(test_the_metrics_of_the_process),
        cmocka_unit_test(test_a_drain_ends_well),
        cmocka_unit_test(test_a_drain_misses_its_deadline),
        cmocka_unit_test(test_a_second_signal_ends_at_once),
        cmocka_unit_test(test_a_failure_drains_and_ends_with_1),
        cmocka_unit_test(test_a_start_that_fails),
        cmocka_unit_test(test_the_admin_address_is_taken),
        cmocka_unit_test(test_a_bad_configuration_is_all_told_at_once),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_the_environment_counts_and_strangers_only_warn),
        cmocka_unit_test(test_what_is_printed),
        cmocka_unit_test(test_what_is_in_flight_is_settled_at_the_deadline),
        cmocka_unit_test(test_an_event_is_stored_before_the_end),
        cmocka_unit_test(test_a_worker),
    };
    if (argc > 1 && strcmp(argv[1], "as-program") == 0) {
        return be_program(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "as-worker") == 0) {
        return be_worker(argc - 1, argv + 1);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

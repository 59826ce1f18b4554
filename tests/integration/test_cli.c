// SPDX-License-Identifier: Apache-2.0
/* The `millrace` program as a user runs it: tail against records of every encoding, dev as a
 * broker. */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "event/format_json.h"
#include "lib/cli_run.h"
#include "lib/mock_kafka.h"
#include "lib/scripted_worker.h"
#include "lib/temporary.h"

static const char program[] = TEST_BUILD_DIR "/cli/millrace";

static int run_program(char *const *arguments, char output[CLI_OUTPUT_BYTES], pid_t *ret_pid)
{
    return cli_run(program, arguments, output, ret_pid);
}

static int tail(struct mock_kafka *mock, const char *flag, char output[CLI_OUTPUT_BYTES])
{
    char servers[128];
    char name[] = "millrace", command[] = "tail", topic[] = "t", copy[64];
    char *arguments[] = {name, command, topic, servers, copy, NULL};
    (void)snprintf(servers, sizeof servers, "--kafka.bootstrap.servers=%s", mock->bootstrap);
    (void)snprintf(copy, sizeof copy, "%s", flag);
    return run_program(arguments, output, NULL);
}

static void produce_event(struct mock_kafka *mock, enum event_encoding encoding, const char *id)
{
    struct mr_event *event = mr_event_new();
    struct kafka_writer writer;
    struct kafka_record record;
    kafka_writer_init(&writer, 10000);
    assert_int_equal(mr_event_set(event, MR_SLICE("id"), mr_slice_of(id), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("source"), MR_SLICE("/a/d"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("type"), MR_SLICE("x.y"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("specversion"), MR_SLICE("1.0"), NULL), 0);
    assert_int_equal(
        mr_event_set(event, MR_SLICE("datacontenttype"), MR_SLICE("application/json"), NULL), 0);
    mr_event_set_data(event, MR_SLICE("{\"n\":\n1}"));
    assert_int_equal(kafka_binding_write(event, encoding, &writer, &record, NULL), 0);
    (void)mock_kafka_produce(mock, "t", 0, &record);
    kafka_writer_done(&writer);
    mr_event_free(event);
}

static void produce_raw(struct mock_kafka *mock, const char *content_type, struct mr_slice value)
{
    struct kafka_header header = {"content-type", mr_slice_of(content_type)};
    struct kafka_record record = {.value = value, .headers = &header, .header_count = 1};
    (void)mock_kafka_produce(mock, "t", 0, &record);
}

/* The line is the event that was produced, as jansson reads it. */
static void check_line(const char *line, size_t len, const char *id)
{
    json_error_t why;
    json_t *event = json_loadb(line, len, 0, &why);
    if (event == NULL) {
        fail_msg("%s in %.*s", why.text, (int)len, line);
    }
    assert_string_equal(json_string_value(json_object_get(event, "id")), id);
    assert_string_equal(json_string_value(json_object_get(event, "source")), "/a/d");
    assert_string_equal(json_string_value(json_object_get(event, "specversion")), "1.0");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(event, "data"), "n")), 1);
    json_decref(event);
}

static void test_tail_shows_every_encoding_and_names_what_is_no_event(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    const char *ids[] = {"avro", "binary", "json"};
    struct mock_kafka mock;
    const char *at = output;
    (void)state;

    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "t", 1);
    produce_event(&mock, EVENT_ENCODING_AVRO, "avro");
    produce_event(&mock, EVENT_ENCODING_BINARY, "binary");
    produce_raw(
        &mock, "application/cloudevents+json",
        MR_SLICE("{\"specversion\":\"1.0\",\"id\":\"json\",\"source\":\"/a/d\",\"type\":\"x.y\","
                 "\"data\":{\"n\":1}}"));
    assert_int_equal(tail(&mock, "--from-beginning", output), 0);
    for (size_t i = 0; i < MR_COUNT_OF(ids); i++) {
        size_t len = strcspn(at, "\n");
        check_line(at, len, ids[i]);
        at += len + 1;
    }
    assert_string_equal(at, "");

    produce_raw(&mock, "text/plain", MR_SLICE("junk"));
    assert_int_equal(tail(&mock, "--count=1", output), 0);
    assert_non_null(strstr(output, "t [0] at offset 3: "));
    assert_non_null(strstr(output, "1 records are no events"));
    assert_null(strchr(output, '{'));
    mock_kafka_stop(&mock);
}

/* Of data that is JSON too, which is printed as it came. */
static void test_tail_does_not_command_the_terminal(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    struct mock_kafka mock;
    (void)state;
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "t", 1);
    produce_raw(
        &mock, "application/cloudevents+json",
        MR_SLICE("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/a/d\",\"type\":\"x.y\","
                 "\"data\":{\"\x7f\":\"\xc2\x80\xc2\x9b\\\\\xc2\x9f "
                 "\xc2\xa0\xc3\x9b\xe2\x82\x80\x7f\"}}"));
    assert_int_equal(tail(&mock, "--from-beginning", output), 0);
    assert_non_null(strstr(output,
                           "\"data\":{\"\\u007f\":\"\\u0080\\u009b\\\\\\u009f "
                           "\xc2\xa0\xc3\x9b\xe2\x82\x80\\u007f\"}"));
    mock_kafka_stop(&mock);
}

/* A record may have more headers than an event: tail reads it as a worker does. */
static void test_tail_reads_all_headers(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    static struct kafka_header headers[2 * KAFKA_HEADERS_MAX];
    const size_t count = MR_COUNT_OF(headers);
    struct mock_kafka mock;
    struct kafka_record record = {
        .value = MR_SLICE("{\"specversion\":\"1.0\",\"id\":\"last\",\"source\":\"/a/d\","
                          "\"type\":\"x.y\",\"data\":{\"n\":1}}"),
        .headers = headers,
        .header_count = count};
    (void)state;
    for (size_t i = 0; i < count; i++) {
        headers[i] = (struct kafka_header){"trace", MR_SLICE("x")};
    }
    headers[count - 1] =
        (struct kafka_header){"content-type", MR_SLICE("application/cloudevents+json")};
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "t", 1);
    (void)mock_kafka_produce(&mock, "t", 0, &record);
    assert_int_equal(tail(&mock, "--from-beginning", output), 0);
    check_line(output, strcspn(output, "\n"), "last");
    mock_kafka_stop(&mock);
}

static void test_tail_begins_count_records_before_the_end(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    struct mock_kafka mock;
    (void)state;
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "t", 1);
    for (int i = 0; i < 5; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "e%d", i);
        produce_event(&mock, EVENT_ENCODING_AVRO, id);
    }
    assert_int_equal(tail(&mock, "--count=2", output), 0);
    assert_null(strstr(output, "\"e2\""));
    assert_non_null(strstr(output, "\"e3\""));
    assert_non_null(strstr(output, "\"e4\""));
    assert_int_equal(tail(&mock, "--count=0", output), 0);
    assert_string_equal(output, "");
    mock_kafka_stop(&mock);
}

/* write(2): ENOSPC from /dev/full, EPIPE when the reader has gone. */
static void test_tail_says_that_its_output_cannot_be_written(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    static const struct {
        const char *command;
        int status;
        const char *expected;
    } cases[] = {{" >/dev/full", 1, "millrace tail: standard output: No space left on device\n"},
                 {" | true; exit ${PIPESTATUS[0]}", 0, ""}};
    struct mock_kafka mock;
    (void)state;
    mock_kafka_start(&mock);
    mock_kafka_create_topic(&mock, "t", 1);
    scripted_produce(&mock, "t", 0, 0, 2000); /* more than a buffer holds */
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        char script[512], shell[] = "/bin/bash", flag[] = "-c";
        char *arguments[] = {shell, flag, script, NULL};
        (void)snprintf(script, sizeof script,
                       "%s tail t --from-beginning --kafka.bootstrap.servers=%s%s", program,
                       mock.bootstrap, cases[i].command);
        assert_int_equal(cli_run(shell, arguments, output, NULL), cases[i].status);
        assert_string_equal(output, cases[i].expected);
    }
    mock_kafka_stop(&mock);
}

static void test_tail_refuses_what_it_would_pass_over(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    static const struct {
        const char *arguments[4];
        const char *expected;
    } cases[] = {{{"-n", "5", "--from-beginning"}, "command line: --count: not together with"},
                 {{"--from-beginning", "--count=5"}, "command line: --count: not together with"},
                 {{""}, "command line: first word (topic): required, but empty"},
                 {{"a/b"}, "command line: first word (topic): expected the name of a topic"},
                 {{"--folow"}, "command line: --folow: unknown option; did you mean --follow?"},
                 {{"--count"}, "command line: --count: a value is expected after it"}};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        char name[] = "millrace", command[] = "tail", copies[4][64];
        char *arguments[8] = {name, command};
        for (size_t j = 0; j < 4 && cases[i].arguments[j] != NULL; j++) {
            (void)snprintf(copies[j], sizeof copies[j], "%s", cases[i].arguments[j]);
            arguments[2 + j] = copies[j];
        }
        assert_int_equal(run_program(arguments, output, NULL), 2);
        if (strstr(output, cases[i].expected) == NULL) {
            fail_msg("not '%s' but: %s", cases[i].expected, output);
        }
    }
    /* What stands in a file or a variable is for the other times. */
    assert_int_equal(setenv("MILLRACE_TAIL_COUNT", "5", 1), 0);
    assert_int_equal(
        tail(&(struct mock_kafka){.bootstrap = "127.0.0.1:1"}, "--from-beginning", output), 1);
    assert_int_equal(unsetenv("MILLRACE_TAIL_COUNT"), 0);
}

static void test_mistakes_are_named_and_end_with_status_2(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    char name[] = "millrace", tail_command[] = "tail", flag[] = "--tail.cuont=3",
         bad[] = "--count=many";
    char unknown[] = "tali";
    char *wrong_flags[] = {name, tail_command, flag, bad, NULL};
    char *wrong_command[] = {name, unknown, NULL};
    (void)state;
    assert_int_equal(run_program(wrong_flags, output, NULL), 2);
    assert_non_null(strstr(output, "cuont"));
    assert_non_null(strstr(output, "did you mean"));
    assert_non_null(strstr(output, "'many'"));
    assert_int_equal(run_program(wrong_command, output, NULL), 2);
    assert_non_null(strstr(output, "'tali'"));
}

static void test_help_and_markdown_name_every_option(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    char name[] = "millrace", tail_command[] = "tail", help[] = "--help", markdown[] = "--markdown";
    char *for_help[] = {name, tail_command, help, NULL};
    char *for_markdown[] = {name, tail_command, markdown, NULL};
    (void)state;
    assert_int_equal(run_program(for_help, output, NULL), 0);
    assert_non_null(strstr(output, "\n  --config FILE "));
    assert_non_null(strstr(output, "\n  --tail.from-beginning=BOOLEAN"));
    assert_int_equal(run_program(for_markdown, output, NULL), 0);
    assert_int_equal(strncmp(output, "## millrace tail\n", 17), 0);
    assert_non_null(strstr(output, "\n| `from-beginning` |"));
}

/* A command knows its own section and librdkafka's. */
static void test_a_file_is_read_if_it_is_given(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    char path[TEMPORARY_BYTES], config[TEMPORARY_BYTES + 16];
    char name[] = "millrace", tail_command[] = "tail", dev_command[] = "dev", flag[] = "--config";
    char *in_two[] = {name, tail_command, flag, path, NULL};
    char *in_one[] = {name, dev_command, config, NULL};
    static const char text[] = "[kafka]\nbootstrap.servers = x:1\n[tail]\ncount = many\n";
    int fd;
    (void)state;
    temporary_name(path, "cli");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    (void)close(fd);
    (void)snprintf(config, sizeof config, "--config=%s", path);
    assert_int_equal(run_program(in_two, output, NULL), 2);
    assert_non_null(strstr(output, ":4: [tail] count: "));
    assert_null(strstr(output, "[kafka]"));
    assert_int_equal(run_program(in_one, output, NULL), 2);
    assert_non_null(strstr(output, ":3: [tail]: unknown section"));
    (void)unlink(path);
}

static void test_the_version_is_told(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    char name[] = "millrace", flag[] = "--version";
    char *arguments[] = {name, flag, NULL};
    (void)state;
    assert_int_equal(run_program(arguments, output, NULL), 0);
    assert_int_equal(strncmp(output, "millrace ", 9), 0);
    assert_true(isdigit((unsigned char)output[9]));
}

static void test_tail_says_that_kafka_is_away(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    struct mock_kafka nobody = {.bootstrap = "127.0.0.1:1"};
    (void)state;
    assert_int_equal(tail(&nobody, "--from-beginning", output), 1);
    assert_non_null(strstr(output, "Kafka: "));
}

/* Another program's client, through the relay: produce and read back. */
static void check_broker(const char *address)
{
    char value[] = "x";
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *metadata;
    rd_kafka_t *rk;
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", address, error, sizeof error), 0);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    assert_non_null(rk);
    assert_int_equal(rd_kafka_metadata(rk, 1, NULL, &metadata, 10000), 0);
    assert_int_equal(metadata->topic_cnt, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(metadata->topics[i].partition_cnt, 3);
    }
    rd_kafka_metadata_destroy(metadata);
    assert_int_equal(
        rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("a"), RD_KAFKA_V_VALUE(value, 1), RD_KAFKA_V_END),
        0);
    assert_int_equal(rd_kafka_flush(rk, 10000), 0);
    rd_kafka_destroy(rk);
}

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(close(fd), 0);
    return ntohs(at.sin_port);
}

static void test_dev_is_a_broker_until_it_is_told_to_end(void **state)
{
    static char output[CLI_OUTPUT_BYTES];
    char name[] = "millrace", command[] = "dev", topics[] = "--topics=a,b",
         partitions[] = "--partitions=3";
    char listen_flag[64], taken_flag[64], address[32];
    char *arguments[] = {name, command, topics, partitions, listen_flag, NULL};
    char *again[] = {name, command, taken_flag, NULL};
    int port = free_port(), status;
    pid_t pid;
    (void)state;

    (void)snprintf(address, sizeof address, "127.0.0.1:%d", port);
    (void)snprintf(listen_flag, sizeof listen_flag, "--listen=%s", address);
    (void)snprintf(taken_flag, sizeof taken_flag, "--listen=%s", address);
    (void)run_program(arguments, output, &pid);
    assert_non_null(strstr(output, address));
    check_broker(address);
    assert_int_equal(run_program(again, output, NULL), 1);
    assert_non_null(strstr(output, "address already in use"));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail_shows_every_encoding_and_names_what_is_no_event),
        cmocka_unit_test(test_tail_does_not_command_the_terminal),
        cmocka_unit_test(test_tail_reads_all_headers),
        cmocka_unit_test(test_tail_begins_count_records_before_the_end),
        cmocka_unit_test(test_tail_says_that_its_output_cannot_be_written),
        cmocka_unit_test(test_tail_refuses_what_it_would_pass_over),
        cmocka_unit_test(test_mistakes_are_named_and_end_with_status_2),
        cmocka_unit_test(test_help_and_markdown_name_every_option),
        cmocka_unit_test(test_a_file_is_read_if_it_is_given),
        cmocka_unit_test(test_the_version_is_told),
        cmocka_unit_test(test_tail_says_that_kafka_is_away),
        cmocka_unit_test(test_dev_is_a_broker_until_it_is_told_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

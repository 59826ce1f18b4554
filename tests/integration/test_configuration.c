// SPDX-License-Identifier: Apache-2.0
/* What a start would be refused is found by --check too, and either ends with status 2. Nothing
 * listens at the addresses: none is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "lib/spawned.h"
#include "lib/temporary.h"

#define HTTP   TEST_BUILD_DIR "/bridge/millrace-http"
#define MQTT   TEST_BUILD_DIR "/bridge/millrace-mqtt"
#define CLI    TEST_BUILD_DIR "/cli/millrace"
#define INFLUX TEST_BUILD_DIR "/consumers/millrace-influx"

enum { ARGUMENTS_MAX = 10, TOPIC_FLAG_BYTES = 300 };

struct bad {
    const char *program;
    const char *flags[3];
    const char *expected; /* the line's beginning */
};

static struct spawned child;

/* `argument` more, or NULL. */
static int run(const struct bad *bad, const char *argument)
{
    const char *arguments[ARGUMENTS_MAX] = {bad->program};
    size_t count = 1;
    if (strcmp(bad->program, CLI) != 0) {
        arguments[count++] = "--admin.listen=127.0.0.1:0";
    }
    if (strcmp(bad->program, INFLUX) == 0) {
        arguments[count++] = "--influx.database=d";
    }
    for (size_t i = 0; i < MR_COUNT_OF(bad->flags) && bad->flags[i] != NULL; i++) {
        arguments[count++] = bad->flags[i];
    }
    arguments[count++] = argument;
    spawned_start(&child, arguments);
    return spawned_wait(&child);
}

static void are_refused(const struct bad *bad, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int checked = 0; checked < 2; checked++) {
            char line[256];
            int status = run(&bad[i], checked ? "--check" : NULL);
            (void)snprintf(line, sizeof line, "\n%s", bad[i].expected);
            if (status != 2 || strstr(child.log, line) == NULL) {
                fail_msg("status %d, not '%s' but: %s", status, bad[i].expected, child.log);
            }
        }
    }
}

static void test_what_librdkafka_refuses_only_when_it_is_started(void **state)
{
    static const struct bad bad[] = {
        {HTTP, {"--kafka.linger.ms=9000"}, "command line: [kafka] linger.ms: "},
        {HTTP, {"--kafka.security.protocol=sasl_ssl"}, "command line: [kafka] security.protocol: "},
        {HTTP,
         {"--kafka.max.in.flight.requests.per.connection=10"},
         "command line: [kafka] max.in.flight.requests.per.connection: "},
        {HTTP, {"--kafka.producer.retries=0"}, "command line: [kafka.producer] retries: "},
        {HTTP, {"--kafka.bootstrap.servers="}, "command line: [kafka] bootstrap.servers: "},
        {INFLUX,
         {"--kafka.max.poll.interval.ms=10"},
         "command line: [kafka] max.poll.interval.ms: "},
        /* Of the producer for dead letters, which is made only with the first. */
        {INFLUX, {"--kafka.producer.linger.ms=9000"}, "command line: [kafka.producer] linger.ms: "},
        {INFLUX, {"--kafka.bootstrap.servers="}, "command line: [kafka] bootstrap.servers: "},
    };
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
}

static void test_a_delay_over_its_own_limit(void **state)
{
    static const struct bad bad[] = {
        {INFLUX,
         {"--retry.delay=61s"},
         "command line: --retry.delay: 61000 ms is more than retry.delay.max, 60000 ms"},
        {INFLUX,
         {"--retry.delay.max=999ms"},
         "[influx] retry.delay: 1000 ms is more than retry.delay.max, 999 ms"},
    };
    const struct bad fine = {INFLUX, {"--retry.delay=1m"}, ""};
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
    assert_int_equal(run(&fine, "--check"), 0);
}

static void topic_flag(char flag[TOPIC_FLAG_BYTES], size_t len)
{
    int begin = snprintf(flag, TOPIC_FLAG_BYTES, "--topic=");
    memset(flag + begin, 'x', len);
    flag[(size_t)begin + len] = '\0';
}

/* Kafka's rule: [a-zA-Z0-9._-], 1 to 249 characters, not "." or "..". */
static void test_topics_that_cannot_be(void **state)
{
    static char longest[TOPIC_FLAG_BYTES], too_long[TOPIC_FLAG_BYTES];
    static const struct bad bad[] = {
        {HTTP, {"--topic=a/b"}, "command line: --topic: "},
        {HTTP, {"--topic=."}, "command line: --topic: "},
        {HTTP, {"--topic=.."}, "command line: --topic: "},
        {HTTP,
         {"--topic=gr\xc3\xbc\xc3\x9f"
          "e"},
         "command line: --topic: "},
        {HTTP, {"--topic="}, "command line: --topic: "},
        {HTTP, {too_long}, "command line: --topic: "},
        {INFLUX, {"--topic=a b"}, "command line: --topic: "},
        {INFLUX, {"--topic=a,..,b"}, "command line: --topic: "},
        {INFLUX, {"--dead.topic=a:b"}, "command line: --dead.topic: "},
        {INFLUX, {"--dead.topic="}, "command line: --dead.topic: "},
    };
    const struct bad fine = {HTTP, {longest}, ""};
    (void)state;
    topic_flag(longest, 249);
    topic_flag(too_long, 250);
    are_refused(bad, MR_COUNT_OF(bad));
    assert_int_equal(run(&fine, "--check"), 0);
}

static void test_who_may_send(void **state)
{
    static const struct bad bad[] = {
        {HTTP,
         {"--listen=0.0.0.0:0"},
         "[http] auth: must be given with an address that others can reach (listen): basic, "
         "certificate or any; or none"},
        {HTTP, {"--listen=[::]:0"}, "[http] auth: must be given"},
        {HTTP, {"--listen=127.evil.example:0"}, "[http] auth: must be given"},
        {HTTP, {"--auth=basic"}, "[http] devices: must name the file"},
        {HTTP, {"--auth=any"}, "[http] devices: must name the file"},
        {HTTP, {"--devices=x"}, "command line: --devices: has no meaning with auth = none"},
        {HTTP,
         {"--auth=basic", "--devices=" TEST_SOURCE_DIR "/LICENSE"},
         TEST_SOURCE_DIR "/LICENSE:2: expected 'key = value'"},
        {HTTP,
         {"--auth=basic", "--devices=/nonexistent"},
         "command line: --devices: /nonexistent: can't read it: No such"},
        {HTTP,
         {"--auth=basic", "--devices=/tmp"},
         "command line: --devices: /tmp: can't read it: it is not a regular file"},
        {HTTP, {"--auth=any"}, "command line: --auth: any needs tls.client = required or optional"},
        {HTTP, {"--auth=certificate", "--devices="}, "command line: --auth: certificate needs"},
        {HTTP, {"--auth=certificate"}, "command line: --auth: certificate needs tls.client"},
        {HTTP,
         {"--auth=certificate", "--certificate.device=C N"},
         "command line: --certificate.device: expected the type of an attribute"},
        {HTTP,
         {"--auth=certificate", "--certificate.application.fixed="},
         "command line: --certificate.application.fixed: expected the name"},
    };
    const struct bad fine[] = {
        {HTTP, {"--listen=0.0.0.0:0", "--auth=none"}, ""},
        {HTTP, {"--listen=127.1.2.3:0"}, ""},
        {HTTP, {"--listen=[::1]:0"}, ""},
        {HTTP, {"--listen=localhost:0"}, ""},
    };
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
    for (size_t i = 0; i < MR_COUNT_OF(fine); i++) {
        assert_int_equal(run(&fine[i], "--check"), 0);
    }
}

/* Whoever gives them means to be safe. */
static void test_options_that_nothing_asks_for(void **state)
{
    static const char *const of_passwords[] = {"password.checks.max=1", "password.cache.max=1",
                                               "attempts.max=1", "attempts.time=1s"};
    static const char *const of_certificates[] = {
        "certificate.device=CN", "certificate.application=O", "certificate.application.fixed=a"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(of_passwords); i++) {
        char flag[100], expected[200];
        const struct bad bad[] = {{HTTP, {flag}, expected},
                                  {HTTP, {flag, "--auth=certificate"}, expected}};
        (void)snprintf(flag, sizeof flag, "--%s", of_passwords[i]);
        (void)snprintf(expected, sizeof expected,
                       "command line: --%.*s: has no meaning unless auth "
                       "is basic or any",
                       (int)strcspn(of_passwords[i], "="), of_passwords[i]);
        are_refused(bad, MR_COUNT_OF(bad));
    }
    for (size_t i = 0; i < MR_COUNT_OF(of_certificates); i++) {
        char flag[100], expected[200];
        const struct bad bad[] = {{HTTP, {flag}, expected},
                                  {HTTP, {flag, "--auth=basic"}, expected}};
        (void)snprintf(flag, sizeof flag, "--%s", of_certificates[i]);
        (void)snprintf(expected, sizeof expected,
                       "command line: --%.*s: has no meaning unless auth "
                       "is certificate or any",
                       (int)strcspn(of_certificates[i], "="), of_certificates[i]);
        are_refused(bad, MR_COUNT_OF(bad));
    }
}

static void test_what_a_worker_cannot_read(void **state)
{
    static const struct bad bad[] = {
        {INFLUX,
         {"--topic=^sensors"},
         "command line: --topic: a regular expression needs dead.topic"},
        {INFLUX,
         {"--topic=^(", "--dead.topic=dead"},
         "command line: --topic: expected an extended regular expression"},
        {INFLUX, {"--topic=a,,b"}, "command line: --topic: an empty name"},
        {INFLUX, {"--topic=a,b, a"}, "command line: --topic: a is given twice"},
        {INFLUX, {"--topic=a,b", "--dead.topic=b"}, "command line: --dead.topic: b is read and is"},
        {INFLUX, {"--topic=a,a.dead"}, "command line: --topic: a.dead is read and is"},
        {INFLUX, {"--group="}, "command line: --group: must not be empty"},
        {INFLUX, {"--kafka.group.id="}, "command line: [kafka] group.id: must not be empty"},
    };
    const struct bad fine[] = {
        {INFLUX, {"--topic=^sensors/.*", "--dead.topic=dead"}, ""},
        {INFLUX, {"--topic=a, b,c", "--dead.topic=d", "--group=mine"}, ""},
        {INFLUX, {"--kafka.message.max.bytes=20000000"}, ""},
    };
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
    for (size_t i = 0; i < MR_COUNT_OF(fine); i++) {
        assert_int_equal(run(&fine[i], "--check"), 0);
    }
}

static void test_an_uri_that_is_none(void **state)
{
    static const struct bad bad[] = {
        {INFLUX, {"--influx.uri=http://h:99999"}, "command line: --influx.uri: "},
        {INFLUX, {"--influx.uri=http://user:S3/CRET@h"}, "command line: --influx.uri: "},
        {INFLUX, {"--influx.uri=http://h/?u=user&p=CRET"}, "command line: --influx.uri: "},
    };
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
    assert_null(strstr(child.log, "CRET"));
    (void)run(&bad[1], "--check");
    assert_null(strstr(child.log, "CRET"));
}

static void assert_said(const char *line)
{
    if (strstr(child.log, line) == NULL) {
        fail_msg("not '%s' but: %s", line, child.log);
    }
}

/* Of one option, across options, of Kafka, and what only warns. */
static void test_what_a_bridge_of_mqtt_cannot_do(void **state)
{
    static const struct bad bad[] = {
        {MQTT,
         {"--mqtt.connections=2"},
         "command line: --mqtt.connections: more than one needs group"},
        {MQTT, {"--mqtt.group=a/b"}, "command line: --mqtt.group: must not contain"},
        {MQTT, {"--mqtt.password=hunter2"}, "command line: --mqtt.password: needs user"},
        {MQTT,
         {"--mqtt.tls=on", "--mqtt.tls.certificate=/dev/null"},
         "[mqtt] tls.key: must be given: the key of tls.certificate"},
        {MQTT,
         {"--mqtt.tls=on", "--mqtt.tls.key=/dev/null"},
         "[mqtt] tls.certificate: must be given with tls.key"},
        {MQTT, {"--mqtt.tls.ca=/dev/null"}, "command line: --mqtt.tls.ca: is not used"},
        {MQTT, {"--mqtt.tls.alpn=mqtt"}, "command line: --mqtt.tls.alpn: is not used"},
        {MQTT,
         {"--mqtt.tls=on", "--mqtt.tls.ca=/nowhere/ca.pem"},
         "[mqtt] tls.ca: /nowhere/ca.pem"},
        {MQTT,
         {"--mqtt.message.max=1MiB", "--mqtt.in_flight.bytes.max=512KiB"},
         "command line: --mqtt.in_flight.bytes.max: must be message.max or more"},
        {MQTT,
         {"--kafka.message.max.bytes=80000000"},
         "[mqtt] queue.bytes.max: must be 80000000 bytes or more"},
        {MQTT, {"--mqtt.keep.alive=4s"}, "command line: --mqtt.keep.alive: "},
        {MQTT, {"--mqtt.routes.ready=none"}, "command line: --mqtt.routes.ready: "},
    };
    (void)state;
    are_refused(bad, MR_COUNT_OF(bad));
}

static void test_all_is_said_at_once_with_its_place(void **state)
{
    const struct bad http = {HTTP, {"--listen=x", "--queue.events.max=0", "--body.max=1GiB"}, ""};
    const struct bad influx = {INFLUX, {"--influx.uri=ftp://h", "--influx.wait.min=31s"}, ""};
    (void)state;
    assert_int_equal(setenv("MILLRACE_HTTP_LISEN", "x", 1), 0);
    assert_int_equal(setenv("MILLRACE_KAFKA_ACKS", "1", 1), 0);
    assert_int_equal(setenv("MILLRACE_KAFKA_LOG_LEVEL", "8", 1), 0); /* 0 to 7 */
    assert_int_equal(setenv("MILLRACE_KAFKA_LINGR_MS", "1", 1), 0);
    assert_int_equal(setenv("MILLRACE_HTTP_TOPIC", "a b", 1), 0);
    assert_int_equal(setenv("INFLUXDB_PASSWORD", "hunter2", 1), 0);
    for (int checked = 0; checked < 2; checked++) {
        assert_int_equal(run(&http, checked ? "--check" : NULL), 2);
        assert_said(
            "environment: MILLRACE_HTTP_LISEN: unknown, ignored; did you mean "
            "MILLRACE_HTTP_LISTEN?\n");
        assert_said(
            "environment: MILLRACE_KAFKA_LINGR_MS: unknown, ignored; did you mean "
            "MILLRACE_KAFKA_LINGER_MS?\n");
        assert_said("environment: MILLRACE_KAFKA_LOG_LEVEL: [kafka] log_level: ");
        assert_said("millrace-http: 7 problems in the configuration:\n");
        assert_said("command line: --listen: ");
        assert_said("command line: --queue.events.max: ");
        assert_said("[http] in_flight.bytes.max: must be ");
        assert_said("[http] queue.bytes.max: must be ");
        assert_said("environment: MILLRACE_HTTP_TOPIC: ");
        assert_said("environment: MILLRACE_KAFKA_ACKS: ");
        assert_int_equal(run(&influx, checked ? "--check" : NULL), 2);
        assert_said("command line: --influx.uri: ");
        assert_said("command line: --influx.wait.min: 31000 ms is more than wait.max, 30000 ms");
        assert_said("environment: INFLUXDB_PASSWORD: given without username");
        assert_said("environment: MILLRACE_KAFKA_ACKS: ");
        assert_said("millrace-influx: 5 problems in the configuration:\n");
    }
    assert_int_equal(unsetenv("MILLRACE_HTTP_LISEN"), 0);
    assert_int_equal(unsetenv("MILLRACE_KAFKA_ACKS"), 0);
    assert_int_equal(unsetenv("MILLRACE_KAFKA_LOG_LEVEL"), 0);
    assert_int_equal(unsetenv("MILLRACE_KAFKA_LINGR_MS"), 0);
    assert_int_equal(unsetenv("MILLRACE_HTTP_TOPIC"), 0);
    assert_int_equal(unsetenv("INFLUXDB_PASSWORD"), 0);
}

/* People give a secret where it doesn't belong. */
static void test_arguments_that_may_be_secrets_are_not_shown(void **state)
{
    static const struct bad bad[] = {
        {HTTP, {"-kafka.sasl.password=hunter2"}, "command line: -kafka.sasl.password: "},
        {HTTP, {"kafka.sasl.password=hunter2"}, "command line: kafka.sasl.password: "},
        {INFLUX, {"--influx.password", "-- hunter2"}, "command line: --influx.password: "},
        {INFLUX, {"--influx.password", "--hunter2"}, "command line: --influx.password: "},
        {INFLUX, {"--pasword", "hunter2"}, "command line: --pasword: unknown option; did you mean"},
        {INFLUX, {"--influx.password", "=", "hunter2=="}, "command line: argument 5: "},
        {INFLUX, {"hunter2"}, "command line: argument 3: "},
        {INFLUX, {"--kafka.sasl.password hunter2"}, "command line: an argument that begins"},
        {INFLUX, {"--kafka.sasl.password: hunter2=x"}, "command line: an argument that begins"},
        {CLI, {"dev", "--kafka.sasl.password hunter2"}, "command line: an argument that begins"},
        {CLI, {"dev", "-kafka.sasl.password=hunter2"}, "command line: -kafka.sasl.password: "},
        {CLI, {"dev", "kafka.sasl.password=hunter2"}, "command line: kafka.sasl.password: "},
        {CLI, {"dev", "hunter2"}, "command line: argument 2: "},
        {CLI, {"dev", "--topics=a,b/c"}, "command line: --topics: expected the name of a topic"},
        {CLI, {"dev", "-hunter 2"}, "command line: argument 2: "},
        {CLI, {"dev", "--lisen", "hunter2"}, "command line: --lisen: unknown option; did you mean"},
        {CLI, {"dev", "--lisen"}, "command line: --lisen: unknown option; did you mean --listen?"},
        {HTTP, {"--lisen"}, "command line: --lisen: unknown option; did you mean --listen?"},
        {HTTP, {"--listen"}, "command line: --listen: expected a value after it"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        int status = run(&bad[i], NULL);
        if (status != 2 || strstr(child.log, bad[i].expected) == NULL ||
            strstr(child.log, "hunter") != NULL) {
            fail_msg("status %d, not '%s' but: %s", status, bad[i].expected, child.log);
        }
    }
}

static void test_tls_has_an_address_of_its_own(void **state)
{
    static const char *const same[][2] = {
        {"--listen=127.0.0.1:8444", "--tls.listen=127.0.0.1:8444"},
        {"--listen=localhost:8444", "--tls.listen=127.0.0.1:8444"},
        {"--listen=0.0.0.0:8444", "--tls.listen=127.0.0.1:8444"},
        {"--listen=127.0.0.1:8444", "--tls.listen=[::]:8444"},
        {"--listen=[::1]:8444", "--tls.listen=[0::1]:8444"},
        {"--listen=a.example:8444", "--tls.listen=A.example:8444"},
    };
    static const char *const different[][2] = {
        {"--listen=127.0.0.1:0", "--tls.listen=127.0.0.1:0"},
        {"--listen=127.0.0.1:8444", "--tls.listen=127.0.0.1:8445"},
        {"--listen=127.0.0.1:8444", "--tls.listen=127.0.0.2:8444"},
        {"--listen=127.0.0.1:8444", "--tls.listen=[::1]:8444"},
        {"--plain=false", "--tls.listen=127.0.0.1:8080"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(same); i++) {
        const struct bad bad = {HTTP,
                                {same[i][0], same[i][1], "--tls.certificate=/nonexistent"},
                                "command line: --tls.listen: must differ from listen"};
        are_refused(&bad, 1);
    }
    for (size_t i = 0; i < MR_COUNT_OF(different); i++) {
        const struct bad other = {
            HTTP, {different[i][0], different[i][1], "--tls.certificate=/nonexistent"}, ""};
        assert_int_equal(run(&other, "--check"), 2);
        assert_null(strstr(child.log, "must differ"));
    }
}

static void test_all_files_of_tls_are_looked_at(void **state)
{
    const struct bad bad = {HTTP, {"--tls.certificate=/nope", "--tls.key=/nope2"}, ""};
    (void)state;
    assert_int_equal(run(&bad, "--check"), 2);
    assert_said("command line: --tls.certificate: /nope: No such file or directory\n");
    assert_said("command line: --tls.key: /nope2: No such file or directory\n");
}

/* X_FILE, where X is the name of a file already: its content would be taken for the name. */
static void test_what_stands_in_a_file_is_not_shown(void **state)
{
    static const char *const names[] = {"devices", "tls.certificate", "tls.key", "tls.client.ca",
                                        "tls.client.crl"};
    char path[TEMPORARY_BYTES];
    int fd;
    (void)state;
    temporary_name(path, "configuration");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(write(fd, "[device a]\npassword = hunter2\n", 30) == 30);
    assert_int_equal(close(fd), 0);
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        char flag[TEMPORARY_BYTES + 32], said[100];
        const struct bad bad = {HTTP, {"--auth=any", "--tls.client=optional", flag}, ""};
        (void)snprintf(flag, sizeof flag, "--%s.file=%s", names[i], path);
        (void)snprintf(said, sizeof said, "--%s.file: must be the name of a file, not", names[i]);
        assert_int_equal(run(&bad, "--check"), 2);
        assert_said(said);
        assert_null(strstr(child.log, "hunter2"));
    }
    assert_int_equal(unlink(path), 0);
}

/* Opening a pipe without a writer waits for one: it must not hang. */
static void test_the_file_is_one_regular_file(void **state)
{
    enum { PATH_BYTES = TEMPORARY_BYTES + 8, FLAG_BYTES = PATH_BYTES + 16 };
    char folder[TEMPORARY_BYTES], pipe[PATH_BYTES], file[PATH_BYTES], link[PATH_BYTES];
    char with_pipe[FLAG_BYTES], with_file[FLAG_BYTES], with_link[FLAG_BYTES];
    const struct bad bad[] = {
        {HTTP, {with_pipe}, "not a regular file"},
        {HTTP, {"--config=/"}, "/: can't read it: Is a directory"},
        {HTTP, {with_file, "--config", "/dev/null"}, "command line: --config: given before"},
        {CLI, {"dev", with_pipe}, "not a regular file"},
        {CLI, {"dev", with_file, "--config=/dev/null"}, "command line: --config: given before"},
    };
    const struct bad fine[] = {
        {HTTP, {with_file}, ""}, {HTTP, {with_link}, ""}, {HTTP, {"--config=/dev/null"}, ""}};
    FILE *made;
    (void)state;
    temporary_name(folder, "configuration");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", folder);
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(link, sizeof link, "%s/link", folder);
    (void)snprintf(with_pipe, sizeof with_pipe, "--config=%s", pipe);
    (void)snprintf(with_file, sizeof with_file, "--config=%s", file);
    (void)snprintf(with_link, sizeof with_link, "--config=%s", link);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(symlink(file, link), 0);
    made = fopen(file, "w");
    assert_non_null(made);
    assert_int_equal(fclose(made), 0);
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        assert_int_equal(run(&bad[i], NULL), 2);
        assert_said(bad[i].expected);
    }
    for (size_t i = 0; i < MR_COUNT_OF(fine); i++) {
        assert_int_equal(run(&fine[i], "--check"), 0);
    }
    assert_int_equal(unlink(pipe) | unlink(file) | unlink(link) | rmdir(folder), 0);
}

/* A secret may come from a pipe: password managers print it. */
static void test_a_secret_may_come_from_a_pipe(void **state)
{
    static const char *const arguments[] = {"/bin/bash", "-c",
                                            INFLUX
                                            " --check --influx.database=d --influx.username=u "
                                            "--influx.password.file <(printf 'hunter2\\n')",
                                            NULL};
    (void)state;
    spawned_start(&child, arguments);
    assert_int_equal(spawned_wait(&child), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_librdkafka_refuses_only_when_it_is_started),
        cmocka_unit_test(test_a_delay_over_its_own_limit),
        cmocka_unit_test(test_topics_that_cannot_be),
        cmocka_unit_test(test_who_may_send),
        cmocka_unit_test(test_options_that_nothing_asks_for),
        cmocka_unit_test(test_what_a_worker_cannot_read),
        cmocka_unit_test(test_an_uri_that_is_none),
        cmocka_unit_test(test_what_a_bridge_of_mqtt_cannot_do),
        cmocka_unit_test(test_all_is_said_at_once_with_its_place),
        cmocka_unit_test(test_the_file_is_one_regular_file),
        cmocka_unit_test(test_a_secret_may_come_from_a_pipe),
        cmocka_unit_test(test_what_stands_in_a_file_is_not_shown),
        cmocka_unit_test(test_all_files_of_tls_are_looked_at),
        cmocka_unit_test(test_tls_has_an_address_of_its_own),
        cmocka_unit_test(test_arguments_that_may_be_secrets_are_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

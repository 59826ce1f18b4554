// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kafka/kafka_conf.h"
#include "kafka/kafka_log.h"

static char *text(const char *literal)
{
    return (char *)(uintptr_t)literal;
}

static struct passthrough setting(const char *section, const char *key, const char *value)
{
    return (struct passthrough){text(section), text(key), text(value), text("a.conf:7")};
}

/* What kafka_conf_check says of one setting, in a buffer that lives until the next call. */
static const char *problems_of(const char *section, const char *key, const char *value,
                               size_t *ret_count)
{
    static char copy[2048];
    struct passthrough one = setting(section, key, value);
    struct kafka_conf conf = {.settings = &one, .count = 1};
    struct mr_buf problems;
    buf_init(&problems, sizeof copy - 1);
    *ret_count = kafka_conf_check(&conf, &problems);
    if (problems.len > 0) {
        memcpy(copy, problems.ptr, problems.len);
    }
    copy[problems.len] = '\0';
    buf_done(&problems);
    return copy;
}

static void is_fine(const char *section, const char *key, const char *value)
{
    size_t count;
    assert_string_equal(problems_of(section, key, value, &count), "");
    assert_int_equal(count, 0);
}

static void is_refused(const char *section, const char *key, const char *value, const char *part)
{
    size_t count;
    const char *said = problems_of(section, key, value, &count);
    assert_int_equal(count, 1);
    assert_ptr_equal(strstr(said, "a.conf:7: ["), said);
    assert_non_null(strstr(said, key));
    assert_non_null(strstr(said, part));
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1); /* one line */
}

static void test_what_librdkafka_takes_is_fine(void **state)
{
    (void)state;
    is_fine("kafka", "bootstrap.servers", "a:1,b:2");
    is_fine("kafka", "metadata.broker.list", "a:1");
    is_fine("kafka", "security.protocol", "sasl_ssl");
    is_fine("kafka", "sasl.password", "secret");
    is_fine("kafka", "group.id", "g");
    is_fine("kafka", "linger.ms", "3");
    is_fine("kafka.producer", "linger.ms", "3");
    is_fine("kafka.producer", "partitioner", "consistent"); /* a topic property */
    is_fine("kafka.consumer", "fetch.min.bytes", "2");
    is_fine("kafka.consumer", "client.id", "both");
}

static void test_an_unknown_key_names_the_nearest(void **state)
{
    (void)state;
    is_refused("kafka", "lingr.ms", "3", "did you mean 'linger.ms'?");
    is_refused("kafka", "bootstrap.server", "a", "did you mean 'bootstrap.servers'?");
    is_refused("kafka", "completely.different.thing.altogether", "a", "no such property");
}

static void test_a_bad_value_gets_librdkafkas_words(void **state)
{
    (void)state;
    is_refused("kafka", "compression.codec", "zip", "Invalid value \"zip\"");
    is_refused("kafka.producer", "linger.ms", "-5", "linger.ms");
    is_refused("kafka", "log_level", "8", "outside allowed range 0..7");
    is_refused("kafka", "dr_msg_cb", "x", "dr_msg_cb"); /* a pointer: only its own call sets it */
}

static void test_what_the_promises_rest_on_is_refused_with_the_reason(void **state)
{
    (void)state;
    is_refused("kafka", "acks", "1", "what all in-sync replicas have");
    is_refused("kafka.producer", "request.required.acks", "all", "what all in-sync replicas have");
    is_refused("kafka.producer", "enable.idempotence", "false", "idempotently");
    is_refused("kafka.consumer", "enable.auto.commit", "true", "settled");
    is_refused("kafka", "enable.auto.offset.store", "true", "settled");
    is_refused("kafka.producer", "delivery.report.only.error", "true", "acknowledged");
    is_refused("kafka", "plugin.library.paths", "/x.so", "plugins");
}

static void test_a_key_of_the_other_side_is_refused_where_it_can_have_no_effect(void **state)
{
    (void)state;
    is_refused("kafka.producer", "group.id", "g", "[kafka.consumer]");
    is_refused("kafka.consumer", "linger.ms", "5", "[kafka.producer]");
}

static void test_secrets_are_not_shown(void **state)
{
    size_t count;
    static const char *const keys[] = {"ssl.key.pem", "ssl.key.password", "sasl.password",
                                       "sasl.oauthbearer.client.secret", "sasl.jaas.config"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        const char *said = problems_of("kafka", keys[i], "hunter2\nhunter2", &count);
        assert_null(strstr(said, "hunter2"));
    }
}

/* What is logged of the first error that an instance with `conf` tells; takes `conf` over. */
static void log_first_error(rd_kafka_conf_t *conf, FILE *log)
{
    char errstr[512];
    int saved = dup(STDERR_FILENO);
    rd_kafka_event_t *event = NULL;
    rd_kafka_queue_t *queue;
    rd_kafka_t *rk;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_ERROR);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof errstr);
    assert_non_null(rk);
    queue = rd_kafka_queue_get_main(rk);
    for (int i = 0; i < 100 && rd_kafka_event_type(event) != RD_KAFKA_EVENT_ERROR; i++) {
        rd_kafka_event_destroy(event);
        event = rd_kafka_queue_poll(queue, 100);
    }
    assert_int_equal(rd_kafka_event_type(event), RD_KAFKA_EVENT_ERROR);
    assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
    kafka_log_event(event);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

static void test_what_librdkafka_quotes_of_a_secret_is_not_logged(void **state)
{
    struct passthrough settings[] = {
        setting("kafka", "bootstrap.servers", "127.0.0.1:1"),
        setting("kafka", "security.protocol", "sasl_plaintext"),
        setting("kafka", "sasl.mechanism", "OAUTHBEARER"),
        setting("kafka", "enable.sasl.oauthbearer.unsecure.jwt", "true"),
        setting("kafka", "sasl.oauthbearer.config", "principal=a hunter2=b")};
    struct kafka_conf conf = {.settings = settings, .count = MR_COUNT_OF(settings)};
    char said[4096];
    size_t len;
    rd_kafka_conf_t *made;
    FILE *log = tmpfile();
    (void)state;
    assert_non_null(log);
    assert_int_equal(kafka_conf_make(&conf, KAFKA_PRODUCER, "prog", &made, NULL), 0);
    log_first_error(made, log);
    rewind(log);
    len = fread(said, 1, sizeof said - 1, log);
    said[len] = '\0';
    assert_non_null(strstr(said, "Unrecognized sasl.oauthbearer.config: (hidden)"));
    assert_null(strstr(said, "hunter2"));
    assert_int_equal(fclose(log), 0);
}

static void expect_timeout(const struct kafka_conf *conf, const char *expected)
{
    char value[32];
    size_t size = sizeof value;
    rd_kafka_conf_t *made;
    assert_int_equal(kafka_conf_make(conf, KAFKA_PRODUCER, "prog", &made, NULL), 0);
    assert_int_equal(rd_kafka_conf_get(made, "message.timeout.ms", value, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(value, expected);
    rd_kafka_conf_destroy(made);
}

/* delivery.timeout.ms is the Java clients' name of it, which librdkafka takes too. */
static void test_a_program_has_defaults_of_its_own_and_the_user_wins(void **state)
{
    static const struct mr_kafka_default defaults[] = {{"message.timeout.ms", "0"}, {NULL, NULL}};
    struct passthrough one = setting("kafka", "delivery.timeout.ms", "7000");
    struct kafka_conf conf = {.producer_defaults = defaults};
    (void)state;
    expect_timeout(&conf, "0");
    conf.settings = &one;
    conf.count = 1;
    expect_timeout(&conf, "7000");
}

static void test_only_what_may_be_secret_is_cut_from_a_text(void **state)
{
    char shown[KAFKA_TEXT_BYTES];
    static const char plain[] = "OAUTHBEARER cannot log in";
    (void)state;
    assert_ptr_equal(kafka_log_text(plain, shown), plain);
    assert_string_equal(
        kafka_log_text("x: SASL/OAUTHBEARER extension values must be y: hunter2 (h)", shown),
        "x: SASL/OAUTHBEARER extension: (hidden)");
}

static void test_all_problems_are_told_at_once(void **state)
{
    struct passthrough settings[] = {setting("kafka", "acks", "0"),
                                     setting("kafka", "linger.ms", "1"),
                                     setting("kafka.producer", "nonsense", "1")};
    struct kafka_conf conf = {.settings = settings, .count = 3};
    struct mr_buf problems;
    (void)state;
    buf_init(&problems, 4096);
    assert_int_equal(kafka_conf_check(&conf, &problems), 2);
    buf_done(&problems);
}

static void value_is(rd_kafka_conf_t *conf, const char *key, const char *expected)
{
    char value[256];
    size_t size = sizeof value;
    assert_int_equal(rd_kafka_conf_get(conf, key, value, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(value, expected);
}

static void test_defaults_and_the_users_settings_above_them(void **state)
{
    struct passthrough settings[] = {setting("kafka", "socket.keepalive.enable", "false"),
                                     setting("kafka", "message.timeout.ms", "2500"),
                                     setting("kafka", "session.timeout.ms", "7000"),
                                     setting("kafka.consumer", "client.id", "mine")};
    struct kafka_conf conf = {.settings = settings, .count = 4};
    rd_kafka_conf_t *producer;
    rd_kafka_conf_t *consumer;
    (void)state;
    assert_int_equal(kafka_conf_make(&conf, KAFKA_PRODUCER, "prog", &producer, NULL), 0);
    value_is(producer, "bootstrap.servers", "127.0.0.1:9092");
    value_is(producer, "client.id", "prog");
    value_is(producer, "enable.idempotence", "true");
    value_is(producer, "reconnect.backoff.max.ms", "500");
    value_is(producer, "socket.keepalive.enable", "false");
    value_is(producer, "message.timeout.ms", "2500");
    value_is(producer, "acks", "-1");
    value_is(producer, "session.timeout.ms", "45000"); /* librdkafka's own: not ours to be told */
    assert_int_equal(
        kafka_conf_default(&conf, KAFKA_PRODUCER, producer, "message.timeout.ms", "1", NULL), 0);
    value_is(producer, "message.timeout.ms", "2500");
    assert_int_equal(
        kafka_conf_default(&conf, KAFKA_PRODUCER, producer, "batch.size", "2000", NULL), 0);
    value_is(producer, "batch.size", "2000");
    rd_kafka_conf_destroy(producer);
    assert_int_equal(kafka_conf_make(&conf, KAFKA_CONSUMER, "prog", &consumer, NULL), 0);
    value_is(consumer, "client.id", "mine");
    value_is(consumer, "enable.auto.commit", "false");
    value_is(consumer, "enable.auto.offset.store", "false");
    value_is(consumer, "session.timeout.ms", "7000");
    value_is(consumer, "partition.assignment.strategy", "cooperative-sticky");
    rd_kafka_conf_destroy(consumer);
}

static void test_the_later_setting_wins(void **state)
{
    struct passthrough settings[] = {setting("kafka.producer", "linger.ms", "9"),
                                     setting("kafka", "linger.ms", "4")};
    struct kafka_conf conf = {.settings = settings, .count = 2};
    rd_kafka_conf_t *made;
    (void)state;
    assert_int_equal(kafka_conf_make(&conf, KAFKA_PRODUCER, "prog", &made, NULL), 0);
    value_is(made, "linger.ms", "4");
    rd_kafka_conf_destroy(made);
}

/* librdkafka's CONFIGURATION.md: fetch.max.bytes is made at least message.max.bytes unless it is
 * configured. Our default of 8 MiB does the same. */
static void test_large_messages_can_be_fetched(void **state)
{
    struct passthrough settings[] = {setting("kafka", "message.max.bytes", "9000000"),
                                     setting("kafka.consumer", "fetch.max.bytes", "10000000")};
    struct passthrough small = setting("kafka", "message.max.bytes", "2000000");
    struct passthrough consumers = setting("kafka.consumer", "message.max.bytes", "9000001");
    const struct {
        struct kafka_conf conf;
        const char *expected;
    } cases[] = {{{.count = 0}, "8388608"},
                 {{.settings = settings, .count = 1}, "9000000"},
                 {{.settings = settings, .count = 2}, "10000000"},
                 {{.settings = &small, .count = 1}, "8388608"},
                 {{.settings = &consumers, .count = 1}, "9000001"}};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        rd_kafka_conf_t *made;
        struct mr_check check = {NULL, NULL, 0};
        assert_int_equal(kafka_conf_make(&cases[i].conf, KAFKA_CONSUMER, "prog", &made, NULL), 0);
        value_is(made, "fetch.max.bytes", cases[i].expected);
        kafka_conf_try(&cases[i].conf, KAFKA_CONSUMER, made, &check);
        assert_int_equal(check.count, 0);
    }
}

static void test_what_settings_say_together_is_told_with_its_place(void **state)
{
    static const struct {
        enum kafka_side side;
        const char *section, *key, *value, *expected;
    } cases[] = {
        {KAFKA_PRODUCER, "kafka.producer", "linger.ms", "9000",
         "a.conf:7: [kafka.producer] linger.ms: "},
        {KAFKA_PRODUCER, "kafka", "max.in.flight.requests.per.connection", "10",
         "a.conf:7: [kafka] max.in.flight.requests.per.connection: "},
        {KAFKA_PRODUCER, "kafka", "retries", "0", "a.conf:7: [kafka] retries: "},
        {KAFKA_CONSUMER, "kafka", "max.poll.interval.ms", "10",
         "a.conf:7: [kafka] max.poll.interval.ms: "},
        {KAFKA_CONSUMER, "kafka", "fetch.max.bytes", "1000", "a.conf:7: [kafka] fetch.max.bytes: "},
        {KAFKA_CONSUMER, "kafka", "security.protocol", "sasl_ssl",
         "a.conf:7: [kafka] security.protocol: "},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct passthrough one = setting(cases[i].section, cases[i].key, cases[i].value);
        struct kafka_conf conf = {.settings = &one, .count = 1};
        struct mr_error err = {0};
        struct mr_check check = {.first = &err};
        rd_kafka_conf_t *made;
        assert_int_equal(kafka_conf_make(&conf, cases[i].side, "prog", &made, NULL), 0);
        kafka_conf_try(&conf, cases[i].side, made, &check);
        assert_int_equal(check.count, 1);
        if (strncmp(err.text, cases[i].expected, strlen(cases[i].expected)) != 0) {
            fail_msg("%s", err.text);
        }
    }
}

static void test_what_must_not_be_empty(void **state)
{
    (void)state;
    is_refused("kafka", "bootstrap.servers", "", "empty");
    is_refused("kafka.producer", "metadata.broker.list", " , ", "empty");
    is_refused("kafka.consumer", "group.id", "", "empty");
    is_fine("kafka", "sasl.username", "");
}

static void test_nothing_bad_is_made(void **state)
{
    struct passthrough bad = setting("kafka", "acks", "1");
    struct passthrough wrong = setting("kafka", "linger.ms", "soon");
    struct kafka_conf conf = {.settings = &bad, .count = 1};
    rd_kafka_conf_t *made = NULL;
    struct mr_error err;
    (void)state;
    assert_int_equal(kafka_conf_make(&conf, KAFKA_PRODUCER, "prog", &made, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "a.conf:7: [kafka] acks: "));
    conf.settings = &wrong;
    assert_int_equal(kafka_conf_make(&conf, KAFKA_PRODUCER, "prog", &made, &err), MR_ECONFIG);
    assert_non_null(strstr(err.text, "linger.ms"));
    assert_null(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_librdkafka_takes_is_fine),
        cmocka_unit_test(test_an_unknown_key_names_the_nearest),
        cmocka_unit_test(test_a_bad_value_gets_librdkafkas_words),
        cmocka_unit_test(test_what_the_promises_rest_on_is_refused_with_the_reason),
        cmocka_unit_test(test_a_key_of_the_other_side_is_refused_where_it_can_have_no_effect),
        cmocka_unit_test(test_secrets_are_not_shown),
        cmocka_unit_test(test_what_librdkafka_quotes_of_a_secret_is_not_logged),
        cmocka_unit_test(test_a_program_has_defaults_of_its_own_and_the_user_wins),
        cmocka_unit_test(test_only_what_may_be_secret_is_cut_from_a_text),
        cmocka_unit_test(test_all_problems_are_told_at_once),
        cmocka_unit_test(test_defaults_and_the_users_settings_above_them),
        cmocka_unit_test(test_the_later_setting_wins),
        cmocka_unit_test(test_large_messages_can_be_fetched),
        cmocka_unit_test(test_what_settings_say_together_is_told_with_its_place),
        cmocka_unit_test(test_what_must_not_be_empty),
        cmocka_unit_test(test_nothing_bad_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

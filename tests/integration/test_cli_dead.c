// SPDX-License-Identifier: Apache-2.0
/* `millrace dead` as a user runs it, against a topic with letters in it. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kafka/dead_letters.h"
#include "lib/cli_run.h"
#include "lib/mock_kafka.h"

enum { ARGUMENTS_MAX = 12, LETTER_BYTES_MAX = 1000000, TIMESTAMP_MS = 1262304000 };

static const char program[] = TEST_BUILD_DIR "/cli/millrace";
static char output[CLI_OUTPUT_BYTES];

static const struct kafka_header event_headers[] = {
    {"content-type", MR_SLICE_INIT("application/cloudevents+json")},
    {"null", {NULL, 0}},
};
#define EVENT(id, more)                                                                     \
    "{\"specversion\":\"1.0\",\"id\":\"" id "\",\"source\":\"/a/d\",\"type\":\"x.y\"," more \
    "\"data\":{\"n\":1}}"
#define TIMED(id) \
    EVENT(id, "\"time\":\"2010-01-01T00:00:00Z\",\"application\":\"a\",\"device\":\"d\",")

/* `millrace dead WORDS...` */
static int dead(struct mock_kafka *mock, const char *const *words)
{
    char copies[ARGUMENTS_MAX][256];
    char *arguments[ARGUMENTS_MAX + 1];
    size_t count = 0;
    const char *const first[] = {"millrace", "dead"};
    for (size_t i = 0; i < MR_COUNT_OF(first); i++) {
        (void)snprintf(copies[count], sizeof copies[count], "%s", first[i]);
        count++;
    }
    for (; *words != NULL && count < ARGUMENTS_MAX - 1; words++) {
        (void)snprintf(copies[count], sizeof copies[count], "%s", *words);
        count++;
    }
    (void)snprintf(copies[count], sizeof copies[count], "--kafka.bootstrap.servers=%s",
                   mock->bootstrap);
    count++;
    for (size_t i = 0; i < count; i++) {
        arguments[i] = copies[i];
    }
    arguments[count] = NULL;
    return cli_run(program, arguments, output, NULL);
}
#define DEAD(mock, status, ...)                                                   \
    do {                                                                          \
        int status_here = dead((mock), (const char *const[]){__VA_ARGS__, NULL}); \
        if (status_here != (status)) {                                            \
            fail_msg("status %d, not %d:\n%s", status_here, (status), output);    \
        }                                                                         \
    } while (0)

static struct dead_letter letter_of(struct mr_slice value)
{
    struct dead_letter letter = DEAD_LETTER_INIT;
    letter.original.key = MR_SLICE("a/d");
    letter.original.value = value;
    letter.original.headers = event_headers;
    letter.original.header_count = 2;
    letter.reason = "mapping";
    letter.text = "why";
    letter.topic = "t";
    letter.timestamp_ms = TIMESTAMP_MS;
    letter.attempts = 1;
    return letter;
}

static int64_t produce(struct mock_kafka *mock, int32_t partition, const struct dead_letter *letter,
                       size_t bytes_max)
{
    struct dead_writer writer;
    struct kafka_record record;
    int64_t offset;
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(letter, bytes_max, &writer, &record, NULL), 0);
    offset = mock_kafka_produce(mock, "t.dead", partition, &record);
    dead_writer_done(&writer);
    return offset;
}

static void start(struct mock_kafka *mock)
{
    mock_kafka_start(mock);
    mock_kafka_create_topic(mock, "t", 2);
    mock_kafka_create_topic(mock, "t.dead", 2);
}

static void assert_said(const char *text)
{
    if (strstr(output, text) == NULL) {
        fail_msg("not '%s' but:\n%s", text, output);
    }
}

/* The first line of the output, as jansson reads it. */
static json_t *first_line(void)
{
    json_error_t why;
    json_t *line = json_loadb(output, strcspn(output, "\n"), 0, &why);
    if (line == NULL) {
        fail_msg("%s in %s", why.text, output);
    }
    return line;
}

static size_t count_records(struct mock_kafka *mock, const char *topic)
{
    struct mock_records records;
    size_t count;
    mock_kafka_read(mock, topic, &records);
    count = records.count;
    mock_records_free(&records);
    return count;
}

static void test_a_letter_is_replayed_as_it_was_and_once(void **state)
{
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct mock_kafka mock;
    struct mock_records records;
    const struct mock_record *record;
    (void)state;
    start(&mock);
    (void)produce(&mock, 1, &letter, LETTER_BYTES_MAX);
    DEAD(&mock, 0, "replay", "t.dead"); /* only says what it would do */
    assert_said("would be replayed  t      mapping        1  ");
    assert_said("--yes does it");
    assert_int_equal(count_records(&mock, "t"), 0);

    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    assert_said("replayed  t      mapping        1  ");
    mock_kafka_read(&mock, "t", &records);
    assert_int_equal(records.count, 1);
    record = &records.at[0];
    assert_true(mr_slice_is(record->record.key, letter.original.key));
    assert_true(mr_slice_is(record->record.value, letter.original.value));
    assert_int_equal(record->record.header_count, 3);
    assert_string_equal(record->headers[0].name, "content-type");
    assert_true(mr_slice_is(record->headers[0].value, event_headers[0].value));
    assert_string_equal(record->headers[1].name, "null");
    assert_null(record->headers[1].value.ptr);
    assert_string_equal(record->headers[2].name, "millrace_dead_replays");
    assert_true(mr_slice_is(record->headers[2].value, MR_SLICE("1")));
    assert_true(record->timestamp_ms > TIMESTAMP_MS); /* the event has a time of its own */
    mock_records_free(&records);

    DEAD(&mock, 0, "list", "t.dead");
    assert_string_equal(output, "0 letters\n");
    DEAD(&mock, 0, "show", "t.dead");
    assert_string_equal(output, "");
    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    assert_int_equal(count_records(&mock, "t"), 1);
    mock_kafka_stop(&mock);
}

/* Letters "0", "1"... in partition 0, by one client: quickly. */
static void produce_many(struct mock_kafka *mock, int count)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    char error[512];
    assert_int_equal(
        rd_kafka_conf_set(conf, "bootstrap.servers", mock->bootstrap, error, sizeof error), 0);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    assert_non_null(rk);
    for (int i = 0; i < count; i++) {
        char value[32];
        int len = snprintf(value, sizeof value, "%d", i);
        assert_int_equal(
            rd_kafka_producev(rk, RD_KAFKA_V_TOPIC("t.dead"), RD_KAFKA_V_PARTITION(0),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_VALUE(value, (size_t)len), RD_KAFKA_V_KEY("a/d", 3),
                              RD_KAFKA_V_HEADER("millrace_dead_reason", "mapping", 7),
                              RD_KAFKA_V_HEADER("millrace_dead_topic", "t", 1), RD_KAFKA_V_END),
            0);
    }
    assert_int_equal(rd_kafka_flush(rk, 20000), 0);
    rd_kafka_destroy(rk);
}

/* The order of a partition's letters is kept, and each is marked in its own partition. */
static void test_many_letters_are_replayed_in_order(void **state)
{
    enum { COUNT = 5000 }; /* more than are on their way at a time */
    struct mock_kafka mock;
    struct mock_records records;
    long last = -1;
    (void)state;
    start(&mock);
    produce_many(&mock, COUNT);
    DEAD(&mock, 0, "replay", "t.dead", "--yes", "--json");
    assert_said("\"letters\":5000");
    mock_kafka_read(&mock, "t", &records);
    assert_int_equal(records.count, COUNT);
    for (size_t i = 0; i < records.count; i++) {
        long number = strtol(records.at[i].record.value.ptr, NULL, 10);
        assert_int_equal(number, last + 1);
        last = number;
    }
    mock_records_free(&records);
    mock_kafka_read(&mock, "t.dead", &records);
    assert_int_equal(records.count, 2 * COUNT);
    for (size_t i = 0; i < records.count; i++) {
        assert_int_equal(records.at[i].partition, 0);
    }
    mock_records_free(&records);
    DEAD(&mock, 0, "list", "t.dead");
    assert_string_equal(output, "0 letters\n");
    mock_kafka_stop(&mock);
}

/* influx takes the record's time for an event that has none. */
static void test_an_event_without_a_time_keeps_its_records(void **state)
{
    struct dead_letter letter = letter_of(MR_SLICE(EVENT("1", "")));
    struct mock_kafka mock;
    struct mock_records records;
    (void)state;
    start(&mock);
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    mock_kafka_read(&mock, "t", &records);
    assert_int_equal(records.count, 1);
    assert_int_equal(records.at[0].timestamp_ms, TIMESTAMP_MS);
    mock_records_free(&records);
    mock_kafka_stop(&mock);
}

static void test_what_cannot_be_replayed_is_left_and_said(void **state)
{
    static const struct kafka_header often[] = {{"millrace_dead_replays", MR_SLICE_INIT("3")}};
    static const struct kafka_header less[] = {{"millrace_dead_replays", MR_SLICE_INIT("2")}};
    static const struct kafka_header mqtt[] = {{"mqtt_topic", MR_SLICE_INIT("a/d")}};
    char *large = calloc(1, 2 * DEAD_BYTES_MIN);
    struct dead_letter letter;
    struct mock_kafka mock;
    struct mock_records records;
    (void)state;
    assert_non_null(large);
    start(&mock);
    letter = letter_of(mr_slice(large, 2 * DEAD_BYTES_MIN));
    (void)produce(&mock, 0, &letter, DEAD_BYTES_MIN);
    letter = letter_of(MR_SLICE("v"));
    letter.topic = NULL;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.topic = "../x";
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.topic = "t.dead";
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.topic = "t";
    letter.original.headers = often;
    letter.original.header_count = 1;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.original.headers = mqtt;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.original.headers = less;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);

    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    assert_said("left: not whole          t       mapping  ");
    assert_said("left: no topic           -       mapping  ");
    assert_said("left: no topic           ../x    mapping  ");
    assert_said("left: was in this topic  t.dead  ");
    assert_said("left: replays-max        t       mapping  ");
    assert_said("left: no event (MQTT)    t       mapping  ");
    assert_said("1 of them are MQTT messages that were no events");
    assert_said("replayed                 t       mapping  ");
    mock_kafka_read(&mock, "t", &records);
    assert_int_equal(records.count, 1);
    assert_true(
        mr_slice_is(mock_record_header(&records.at[0], "millrace_dead_replays"), MR_SLICE("3")));
    mock_records_free(&records);
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("\n6 letters\n");

    /* With another topic or a higher limit it is another matter. */
    DEAD(&mock, 0, "replay", "t.dead", "--yes", "--to=t", "--replays-max=4");
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("\n1 letters\n");
    assert_int_equal(count_records(&mock, "t"), 6);
    mock_kafka_stop(&mock);
    free(large);
}

static void test_filters_choose_what_is_listed_replayed_and_dropped(void **state)
{
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct mock_kafka mock;
    (void)state;
    start(&mock);
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    letter.reason = "retries";
    letter.last_ms = 1262304000000;
    letter.original.value = MR_SLICE("no event");
    letter.original.key = MR_SLICE("b/e%20f");
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    (void)produce(&mock, 1, &letter, LETTER_BYTES_MAX);
    DEAD(&mock, 0, "list", "t.dead", "--device=e f");
    assert_said("retries  t      b            e f           2  2010-01-01T00:00:00Z  ");
    DEAD(&mock, 0, "list", "t.dead", "--application=a", "--json");
    assert_said(
        "{\"reason\":\"mapping\",\"topic\":\"t\",\"application\":\"a\",\"device\":\"d\","
        "\"letters\":1,");
    DEAD(&mock, 0, "list", "t.dead", "--until=2010-01-01T00:00:01Z");
    assert_said("\n2 letters\n");
    DEAD(&mock, 0, "list", "t.dead", "--topic=u");
    assert_string_equal(output, "0 letters\n");

    DEAD(&mock, 0, "drop", "t.dead", "--offset=1:0");
    assert_said("would be dropped  t      retries        1  ");
    DEAD(&mock, 0, "drop", "t.dead", "--offset=1:0", "--yes");
    assert_said("dropped  t      retries        1  ");
    DEAD(&mock, 0, "replay", "t.dead", "--reason=retries", "--yes");
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("mapping");
    assert_said("\n1 letters\n");
    assert_int_equal(count_records(&mock, "t"), 1);
    mock_kafka_stop(&mock);
}

static void test_a_letter_is_shown_with_its_event(void **state)
{
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct mock_kafka mock;
    json_t *line;
    (void)state;
    start(&mock);
    letter.server = "field type conflict";
    letter.partition = 1;
    letter.offset = 17;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    DEAD(&mock, 0, "show", "t.dead", "--limit=1");
    assert_said("0:0 mapping, died ");
    assert_said("was in  t, partition 1, offset 17, attempts 1, replays 0\n");
    assert_said("text    why\n");
    assert_said("server  field type conflict\n");
    assert_said("\n{\"specversion\":\"1.0\",\"id\":\"1\"");
    assert_null(strstr(output, "0:1 "));

    DEAD(&mock, 0, "show", "t.dead", "--offset=0:1", "--json");
    line = first_line();
    assert_string_equal(json_string_value(json_object_get(line, "letter")), "0:1");
    assert_string_equal(json_string_value(json_object_get(line, "reason")), "mapping");
    assert_string_equal(json_string_value(json_object_get(line, "server")), "field type conflict");
    assert_int_equal(json_integer_value(json_object_get(line, "offset")), 17);
    assert_string_equal(json_string_value(json_object_get(json_object_get(line, "event"), "id")),
                        "1");
    json_decref(line);
    mock_kafka_stop(&mock);
}

static void test_what_is_no_event_is_shown_harmlessly(void **state)
{
    static const char bytes[] = "\x1b[2J\0\xff\xc2\x9b";
    struct dead_letter letter = letter_of(mr_slice(bytes, sizeof bytes - 1));
    struct mock_kafka mock;
    json_t *line;
    (void)state;
    start(&mock);
    letter.text = "\x1b[31m";
    letter.reason = "\x1b[1m";
    letter.topic = "\x1b]0;";
    letter.original.key = mr_slice(bytes, sizeof bytes - 1);
    letter.original.header_count = 0;
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    DEAD(&mock, 0, "show", "t.dead");
    assert_said("value   \\x1b[2J\\x00\\xff\\xc2\\x9b\n");
    assert_said("text    \\x1b[31m\n");
    assert_null(strchr(output, '\x1b'));
    DEAD(&mock, 0, "list", "t.dead");
    assert_null(strchr(output, '\x1b'));
    DEAD(&mock, 0, "replay", "t.dead");
    assert_null(strchr(output, '\x1b'));
    DEAD(&mock, 0, "show", "t.dead", "--json");
    line = first_line(); /* base64 -w0 */
    assert_string_equal(json_string_value(json_object_get(line, "value_base64")), "G1sySgD/wps=");
    json_decref(line);
    mock_kafka_stop(&mock);
}

/* What Kafka refuses stays, and so does what is behind it when Kafka is away. */
static void test_a_letter_that_kafka_refuses_stays(void **state)
{
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct mock_kafka mock;
    (void)state;
    start(&mock);
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1);
    DEAD(&mock, 1, "replay", "t.dead", "--yes");
    assert_said("letter 0:0: ");
    assert_int_equal(count_records(&mock, "t"), 0);
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("\n1 letters\n");
    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    assert_int_equal(count_records(&mock, "t"), 1);
    mock_kafka_stop(&mock);
}

/* It may be in its topic: but whether it is, nobody has said. */
static void test_a_letter_that_is_not_confirmed_stays(void **state)
{
    enum { OFTEN = 10000 };
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct mock_kafka mock;
    (void)state;
    start(&mock);
    (void)produce(&mock, 0, &letter, LETTER_BYTES_MAX);
    mock_kafka_push_error(&mock, MOCK_API_PRODUCE, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, OFTEN);
    DEAD(&mock, 1, "replay", "t.dead", "--yes", "--kafka.producer.message.timeout.ms=1000");
    assert_said("letter 0:0: ");
    assert_said("not confirmed  t      mapping        1  ");
    mock_kafka_clear_errors(&mock, MOCK_API_PRODUCE);
    assert_int_equal(count_records(&mock, "t.dead"), 1); /* no mark */
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("\n1 letters\n");
    DEAD(&mock, 0, "replay", "t.dead", "--yes");
    assert_int_equal(count_records(&mock, "t"), 1);
    mock_kafka_stop(&mock);
}

static void test_others_records_are_passed_over_and_counted(void **state)
{
    static const struct kafka_header forged[] = {
        {"millrace_dead_settled", MR_SLICE_INIT("replayed")},
        {"millrace_dead_letter", MR_SLICE_INIT("1:0")}, /* of another partition */
    };
    struct dead_letter letter = letter_of(MR_SLICE(TIMED("1")));
    struct kafka_record foreign = {.value = MR_SLICE("x")};
    struct kafka_record mark = {.value = MR_SLICE("x"), .headers = forged, .header_count = 2};
    struct mock_kafka mock;
    (void)state;
    start(&mock);
    (void)produce(&mock, 1, &letter, LETTER_BYTES_MAX);
    (void)mock_kafka_produce(&mock, "t.dead", 0, &foreign);
    (void)mock_kafka_produce(&mock, "t.dead", 0, &mark);
    DEAD(&mock, 0, "list", "t.dead");
    assert_said("2 records are no dead letters");
    assert_said("\n1 letters\n");
    mock_kafka_stop(&mock);
}

static void test_mistakes_are_named(void **state)
{
    static const struct {
        const char *words[4];
        int status;
        const char *expected;
    } cases[] = {
        {{"lsit"}, 2, "command line: first word (action): expected "},
        {{"list", "a b"}, 2, "command line: second word (from): "},
        {{"--action=lsit"}, 2, "command line: --action: expected "},
        {{"list", "t.dead", "more"}, 2, "not expected here"},
        {{"list", "--yes"},
         2,
         "--yes: is an option of `millrace dead replay` and `millrace dead drop` alone"},
        {{"drop", "--to=t"}, 2, "--to: is an option of `millrace dead replay` alone"},
        {{"replay", "--limit=1"}, 2, "--limit: is an option of `millrace dead show` alone"},
        {{"replay", "t.dead", "--to=t.dead"}, 2, "--to: is the dead-letter topic itself"},
        {{"list", "--since=yesterday"}, 2, "--since: expected a moment"},
        {{"list", "--offset=7"}, 2, "--offset: expected PARTITION:OFFSET"},
    };
    struct mock_kafka mock;
    struct mock_kafka nobody = {.bootstrap = "127.0.0.1:1"};
    (void)state;
    start(&mock);
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        int status = dead(&mock, cases[i].words);
        if (status != cases[i].status || strstr(output, cases[i].expected) == NULL) {
            fail_msg("status %d, not '%s' but: %s", status, cases[i].expected, output);
        }
    }
    /* Not by a variable that was set for another time. */
    assert_int_equal(setenv("MILLRACE_DEAD_YES", "true", 1), 0);
    DEAD(&mock, 2, "drop", "t.dead");
    assert_said("MILLRACE_DEAD_YES: is taken as a flag only");
    assert_int_equal(unsetenv("MILLRACE_DEAD_YES"), 0);
    DEAD(&nobody, 1, "list");
    assert_said("Kafka: ");
    mock_kafka_stop(&mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_is_replayed_as_it_was_and_once),
        cmocka_unit_test(test_many_letters_are_replayed_in_order),
        cmocka_unit_test(test_an_event_without_a_time_keeps_its_records),
        cmocka_unit_test(test_what_cannot_be_replayed_is_left_and_said),
        cmocka_unit_test(test_filters_choose_what_is_listed_replayed_and_dropped),
        cmocka_unit_test(test_a_letter_is_shown_with_its_event),
        cmocka_unit_test(test_what_is_no_event_is_shown_harmlessly),
        cmocka_unit_test(test_a_letter_that_kafka_refuses_stays),
        cmocka_unit_test(test_a_letter_that_is_not_confirmed_stays),
        cmocka_unit_test(test_others_records_are_passed_over_and_counted),
        cmocka_unit_test(test_mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

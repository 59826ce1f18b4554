// SPDX-License-Identifier: Apache-2.0
/* `millrace send` over HTTP, as a user runs it: to the bridge, and to servers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"
#include "lib/script_server.h"
#include "lib/spawned.h"
#include "lib/temporary.h"

enum { ARGUMENTS_MAX = 20, FEW = 200 };

/* Standard output goes where spawned reads. */
static const char shell[] =
    "program=$0 input=$1; shift; "
    "printf '%b' \"$input\" | \"$program\" send \"$@\" >&2";

/* `millrace send --url=http://127.0.0.1:PORT WORDS...`, with `input` (escapes as printf's %b) as
 * its standard input; what it says is in child->log. Returns its status. */
static int send_words(struct spawned *child, uint16_t port, const char *input,
                      const char *const *words)
{
    const char *arguments[ARGUMENTS_MAX] = {"/bin/sh", "-c", shell, TEST_BUILD_DIR "/cli/millrace",
                                            input};
    char url[64];
    size_t count = 5;
    (void)snprintf(url, sizeof url, "--url=http://127.0.0.1:%u", port);
    arguments[count++] = url;
    for (; *words != NULL; words++) {
        assert_true(count < ARGUMENTS_MAX - 1);
        arguments[count++] = *words;
    }
    spawned_start(child, arguments);
    return spawned_wait(child);
}
#define SEND(child, port, input, ...) \
    send_words((child), (port), (input), (const char *const[]){__VA_ARGS__, NULL})

static void assert_said(const struct spawned *child, const char *text)
{
    if (strstr(child->log, text) == NULL) {
        fail_msg("not '%s' but:\n%s", text, child->log);
    }
}

static void assert_header(const struct mock_record *record, const char *name, const char *expected)
{
    struct mr_slice value = mock_record_header(record, name);
    if (!mr_slice_is(value, mr_slice_of(expected))) {
        fail_msg("%s is '%.*s', not '%s'", name, MR_SLICE_ARG(value), expected);
    }
}

static const char *const no_more[] = {NULL};

/* --- to the bridge --- */

static void test_what_was_asked_for_is_in_kafka(void **state)
{
    struct bridge_fixture f;
    struct spawned child;
    struct mock_records records;
    (void)state;
    bridge_start(&f, no_more);
    assert_int_equal(
        SEND(&child, f.port, "", "temperature/a b", "{\"celsius\":21.5}", "--application=farm",
             "--device=küche&1", "--id=reading 1", "--time=2010-01-01T00:00:00+01:00"),
        0);
    assert_said(&child, "1 of 1 acknowledged\n");
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_header(&records.at[0], "ce_id", "reading 1");
    assert_header(&records.at[0], "ce_time", "2010-01-01T00:00:00+01:00");
    assert_header(&records.at[0], "ce_subject", "temperature/a b");
    assert_header(&records.at[0], "ce_application", "farm");
    assert_header(&records.at[0], "ce_device", "küche&1");
    assert_header(&records.at[0], "ce_datacontenttype", "application/json");
    mock_records_free(&records);
    bridge_stop(&f);
}

static size_t count_data(const struct mock_records *records, const char *data)
{
    size_t found = 0;
    for (size_t i = 0; i < records->count; i++) {
        struct mr_slice value = records->at[i].record.value;
        found += memmem(value.ptr, value.len, data, strlen(data)) != NULL;
    }
    return found;
}

/* Blank lines are none; the last one needs no end; what isn't JSON is text, or bytes. */
static void test_each_line_is_an_event_with_an_id_of_its_own(void **state)
{
    struct bridge_fixture f;
    struct spawned child;
    struct mock_records records;
    (void)state;
    bridge_start(&f, no_more);
    assert_int_equal(SEND(&child, f.port, "{\"line\":1}\\r\\n \\n\\nline two\\n\\0377line three",
                          "t", "--lines", "--device=d"),
                     0);
    assert_said(&child, "3 of 3 acknowledged\n");
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 3);
    assert_header(&records.at[0], "ce_datacontenttype", "application/json");
    assert_int_equal(count_data(&records, "{\"line\":1}\r"), 0);
    assert_int_equal(count_data(&records, "{\"line\":1}"), 1);
    assert_header(&records.at[1], "ce_datacontenttype", "text/plain; charset=utf-8");
    assert_int_equal(count_data(&records, "line two"), 1);
    assert_header(&records.at[2], "ce_datacontenttype", "application/octet-stream");
    assert_int_equal(count_data(&records, "\377line three"), 1);
    assert_false(mr_slice_is(mock_record_header(&records.at[0], "ce_id"),
                             mock_record_header(&records.at[1], "ce_id")));
    mock_records_free(&records);
    bridge_stop(&f);
}

static void test_many_lines_go_through_a_small_window(void **state)
{
    struct bridge_fixture f;
    struct spawned child;
    struct mock_records records;
    char path[TEMPORARY_BYTES], flag[TEMPORARY_BYTES + 16], data[32];
    FILE *file;
    (void)state;
    temporary_name(path, "send");
    file = fdopen(mkstemp(path), "w");
    assert_non_null(file);
    for (int i = 0; i < FEW; i++) {
        (void)fprintf(file, "\"reading %d.\"\n", i);
    }
    (void)fclose(file);
    (void)snprintf(flag, sizeof flag, "--input=%s", path);
    bridge_start(&f, no_more);
    assert_int_equal(SEND(&child, f.port, "", "t", "-l", "--device=d", "--window=3", flag), 0);
    (void)remove(path);
    assert_said(&child, "200 of 200 acknowledged\n");
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, FEW);
    for (int i = 0; i < FEW; i++) {
        (void)snprintf(data, sizeof data, "\"reading %d.\"", i);
        assert_int_equal(count_data(&records, data), 1);
    }
    mock_records_free(&records);
    bridge_stop(&f);
}

static void test_an_input_that_is_no_lines_is_one_event(void **state)
{
    struct bridge_fixture f;
    struct spawned child;
    struct mock_records records;
    (void)state;
    bridge_start(&f, no_more);
    assert_int_equal(SEND(&child, f.port, "two\\nlines\\n", "t", "--input=-", "--device=d",
                          "--content.type=text/csv"),
                     0);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    assert_int_equal(count_data(&records, "two\nlines\n"), 1);
    assert_header(&records.at[0], "ce_datacontenttype", "text/csv");
    mock_records_free(&records);
    bridge_stop(&f);
}

static void test_events_keep_their_attributes_and_bad_ones_hold_none_up(void **state)
{
    struct bridge_fixture f;
    struct spawned child;
    struct mock_records records;
    (void)state;
    bridge_start(&f, no_more);
    assert_int_equal(
        SEND(&child, f.port,
             "{\"specversion\":\"1.0\",\"id\":\"7\",\"source\":\"/a/d\",\"type\":\"x.y\","
             "\"device\":\"d\",\"time\":\"2010-01-01T00:00:00Z\",\"data\":{\"n\":1}}\\n"
             "{\"specversion\":\"1.0\",\"id\":\"8\"}\\n"
             "{\"specversion\":\"1.0\",\"id\":\"9\",\"source\":\"/a\",\"type\":\"x.y\"}\\n",
             "--events"),
        1);
    assert_said(&child, "2 of 3 acknowledged, 1 refused\n");
    assert_said(&child, "line 2: required attributes are missing: source, type");
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 2);
    for (size_t i = 0; i < records.count; i++) {
        if (mr_slice_is(mock_record_header(&records.at[i], "ce_id"), MR_SLICE("7"))) {
            assert_header(&records.at[i], "ce_source", "/a/d");
            assert_header(&records.at[i], "ce_type", "x.y");
            assert_header(&records.at[i], "ce_device", "d");
            assert_header(&records.at[i], "ce_time", "2010-01-01T00:00:00Z");
        }
    }
    mock_records_free(&records);
    bridge_stop(&f);
}

/* --- to servers that misbehave --- */

enum { IDS_MAX = 8, ID_BYTES = 64 };

struct script {
    struct script_answer answers[IDS_MAX]; /* by the number of the request; the last one stays */
    size_t answer_count;
    char ids[IDS_MAX][ID_BYTES];
    unsigned requests;
};

static void handle(void *user, const struct script_request *request, struct script_answer *answer)
{
    struct script *script = user;
    size_t at = request->number - 1;
    const char *id = script_header(request->head, "Idempotency-Key");
    script->requests++;
    *answer = script->answers[at < script->answer_count ? at : script->answer_count - 1];
    if (at < IDS_MAX && id != NULL) {
        (void)snprintf(script->ids[at], ID_BYTES, "%s", id);
    }
}

#define ACCEPTED "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
#define BUSY     "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"

static void test_what_may_pass_is_tried_again_with_the_same_id(void **state)
{
    struct script script = {.answers = {{.bytes = BUSY},
                                        {.bytes = "HTTP/1.1 2", .then = SCRIPT_CLOSE},
                                        {.bytes = ACCEPTED}},
                            .answer_count = 3};
    struct script_server *server = script_server_start(0, handle, &script);
    struct spawned child;
    (void)state;
    assert_int_equal(SEND(&child, script_server_port(server), "", "t", "x", "--device=d"), 0);
    script_server_stop(server);
    assert_said(&child, "1 of 1 acknowledged\n");
    assert_int_equal(script.requests, 3);
    assert_true(strlen(script.ids[0]) > 8);
    assert_string_equal(script.ids[0], script.ids[1]);
    assert_string_equal(script.ids[0], script.ids[2]);
}

#define REFUSED                                                                               \
    "HTTP/1.1 422 No\r\nContent-Type: application/problem+json\r\nContent-Length: 44\r\n\r\n" \
    "{\"title\":\"No\",\"detail\":\"no \\u001b[31m good\"}"

/* And the server's words don't command the terminal. */
static void test_what_is_refused_is_told_and_the_others_go_on(void **state)
{
    struct script script = {.answers = {{.bytes = REFUSED}, {.bytes = ACCEPTED}},
                            .answer_count = 2};
    struct script_server *server = script_server_start(0, handle, &script);
    struct spawned child;
    (void)state;
    assert_int_equal(SEND(&child, script_server_port(server), "a\\nb\\nc\\n", "t", "-l",
                          "--device=d", "--window=1"),
                     1);
    script_server_stop(server);
    assert_said(&child, "line 1: 422: no \\x1b[31m good");
    assert_said(&child, "2 of 3 acknowledged, 1 refused\n");
    assert_int_equal(script.requests, 3);
}

static void test_it_gives_up_when_nothing_is_acknowledged_any_more(void **state)
{
    struct script hangs = {.answers = {{.bytes = ACCEPTED}, {.bytes = "", .then = SCRIPT_HANG}},
                           .answer_count = 2};
    struct script busy = {.answers = {{.bytes = BUSY, .pause_ms = 20}}, .answer_count = 1};
    struct script_server *server = script_server_start(0, handle, &hangs);
    struct spawned child;
    (void)state;
    assert_int_equal(SEND(&child, script_server_port(server), "a\\nb\\nc\\nd\\n", "t", "-l",
                          "--device=d", "--window=1", "--timeout=1s"),
                     1);
    script_server_stop(server);
    assert_said(&child, "given up, since nothing was acknowledged any more");
    assert_said(&child,
                "1 of 2 acknowledged, 1 not answered; what is left of the input was not "
                "sent\n");

    server = script_server_start(0, handle, &busy);
    assert_int_equal(
        SEND(&child, script_server_port(server), "", "t", "x", "--device=d", "--timeout=1s"), 1);
    script_server_stop(server);
    assert_said(&child, "given up, since nothing was acknowledged any more: 503\n");
    assert_said(&child, "0 of 1 acknowledged, 1 not answered\n");
}

static void test_a_file_that_cannot_be_read_is_named(void **state)
{
    struct spawned child;
    (void)state;
    assert_int_equal(SEND(&child, 1, "", "t", "-l", "--device=d", "--input=/dev/null/none"), 1);
    assert_said(&child, "/dev/null/none: Not a directory");
    assert_int_equal(SEND(&child, 1, "", "t", "--device=d", "--input=/dev"), 1);
    assert_said(&child, "/dev: Is a directory");
}

static void test_what_does_not_fit_together_is_refused(void **state)
{
    static const struct {
        const char *words[6];
        const char *said;
    } cases[] = {
        {{"t", "--device=d"}, "nothing to send: expected DATA"},
        {{"t", "x"}, "who sends?"},
        {{"--device=d", "-l"}, "a channel is expected"},
        {{"t", "x", "--device=d", "-l"}, "second word (data): not together with"},
        {{"t", "-l", "-e"}, "--lines: not together with --events"},
        {{"-e", "--device=d"}, "--device: not with --events"},
        {{"t", "-l", "--device=d", "--id=1"}, "--id: not with --lines"},
        {{"t", "x", "--device=d", "--time=yesterday"}, "--time: expected RFC 3339"},
        {{"t", "x", "--device=d", "--http", "--mqtt"}, "--http: not together with --mqtt"},
        {{"t", "x", "--device=d", "--properties=a=b"}, "--properties: only with --mqtt"},
        {{"t", "x", "--device=d", "--tls"}, "--tls: only with --mqtt"},
        {{"t", "x", "--device=d", "--window=0"}, "--window"},
        {{"x/#", "x", "--mqtt"}, "without '+' and '#'"},
        {{"t", "x", "--mqtt", "--protocol=3.1.1", "--device=d"}, "has no place for it"},
        {{"t", "x", "--mqtt", "--properties=a"}, "expected NAME=VALUE,NAME=VALUE"},
        {{"t", "x", "--mqtt", "--tls", "--tls.key=k"}, "expected together with tls.certificate"},
        {{"t", "x", "--mqtt", "--tls.ca=a"}, "--tls.ca: only with --tls"},
    };
    struct spawned child;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(send_words(&child, 1, "", cases[i].words), 2);
        assert_said(&child, cases[i].said);
        assert_said(&child, "usage: millrace send");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_asked_for_is_in_kafka),
        cmocka_unit_test(test_each_line_is_an_event_with_an_id_of_its_own),
        cmocka_unit_test(test_many_lines_go_through_a_small_window),
        cmocka_unit_test(test_an_input_that_is_no_lines_is_one_event),
        cmocka_unit_test(test_events_keep_their_attributes_and_bad_ones_hold_none_up),
        cmocka_unit_test(test_what_may_pass_is_tried_again_with_the_same_id),
        cmocka_unit_test(test_what_is_refused_is_told_and_the_others_go_on),
        cmocka_unit_test(test_it_gives_up_when_nothing_is_acknowledged_any_more),
        cmocka_unit_test(test_a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(test_what_does_not_fit_together_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The program millrace-http between plain sockets and the mock cluster. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <avro.h>
#include <cmocka.h>

#include "lib/bridge_fixture.h"
#include "lib/event_asserts.h"

/* More than twice what is read ahead of one connection, http.pipeline.max. */
enum { PIPELINE_MAX = 64, PIPELINED = 150 };

#define TOO_LATE "its time (answer.timeout) was up before it could be sent to Kafka"

/* avro-c's reading of a record's value. */
struct decoded {
    avro_schema_t schema;
    avro_value_iface_t *iface;
    avro_value_t event;
};

static void decode(struct mr_slice bytes, struct decoded *ret_decoded)
{
    char json[8192];
    FILE *file = fopen(TEST_SOURCE_DIR "/schemas/cloudevent.avsc", "rb");
    avro_reader_t reader = avro_reader_memory(bytes.ptr, (int64_t)bytes.len);
    size_t len;
    assert_non_null(file);
    len = fread(json, 1, sizeof json, file);
    (void)fclose(file);
    assert_int_equal(avro_schema_from_json_length(json, len, &ret_decoded->schema), 0);
    ret_decoded->iface = avro_generic_class_from_schema(ret_decoded->schema);
    assert_int_equal(avro_generic_value_new(ret_decoded->iface, &ret_decoded->event), 0);
    if (avro_value_read(reader, &ret_decoded->event) != 0) {
        fail_msg("avro-c: %s", avro_strerror());
    }
    avro_reader_free(reader);
}

static void decoded_done(struct decoded *decoded)
{
    avro_value_decref(&decoded->event);
    avro_value_iface_decref(decoded->iface);
    avro_schema_decref(decoded->schema);
}

static void assert_attribute(const struct decoded *decoded, const char *name, const char *expected)
{
    avro_value_t map;
    avro_value_t item;
    avro_value_t branch;
    const char *text;
    size_t size;
    assert_int_equal(avro_value_get_by_name(&decoded->event, "attribute", &map, NULL), 0);
    if (avro_value_get_by_name(&map, name, &item, NULL) != 0) {
        fail_msg("no attribute %s", name);
    }
    assert_int_equal(avro_value_get_current_branch(&item, &branch), 0);
    assert_int_equal(avro_value_get_string(&branch, &text, &size), 0);
    assert_string_equal(text, expected);
}

static void test_a_request_becomes_exactly_this_record(void **state)
{
    static const char *const headers[][2] = {
        {"content-type", "application/cloudevents+avro"},
        {"ce_specversion", "1.0"},
        {"ce_id", "reading 1"},
        {"ce_source", "/farm%2Fnorth/d1"},
        {"ce_type", "io.millrace.event.v1"},
        {"ce_subject", "temp/room"},
        {"ce_time", "2026-01-02T03:04:05.678Z"},
        {"ce_datacontenttype", "application/json"},
        {"ce_dataschema", "urn:s:1"},
        {"ce_application", "farm/north"},
        {"ce_device", "d1"},
    };
    const char *body = "{\"t\": 21.5,\n \"x\":\t\"\xc3\xa9\"}";
    struct bridge_fixture f;
    struct mock_records records;
    struct decoded decoded;
    avro_value_t data;
    avro_value_t branch;
    avro_value_t map;
    const void *bytes;
    size_t size;
    int64_t before_ms = (int64_t)time(NULL) * 1000;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    bridge_put_event(fd,
                     "/v1/temp/room?application=farm%2Fnorth&device=d1&data_schema=urn:s:1"
                     "&time=2026-01-02T03:04:05.678Z",
                     "Content-Type: application/json\r\nIdempotency-Key: \"reading 1\"\r\n", body);
    raw_expect(fd, 202, "");
    (void)close(fd);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 1);
    /* Key: application/device, parts percent-encoded (RFC 3986 2.1). */
    assert_slice(records.at[0].record.key, "farm%2Fnorth/d1");
    assert_in_range(records.at[0].timestamp_ms, before_ms, before_ms + 60000);
    assert_int_equal(records.at[0].record.header_count, sizeof headers / sizeof headers[0]);
    decode(records.at[0].record.value, &decoded);
    assert_slice(mock_record_header(&records.at[0], headers[0][0]), headers[0][1]);
    for (size_t i = 1; i < sizeof headers / sizeof headers[0]; i++) {
        assert_slice(mock_record_header(&records.at[0], headers[i][0]), headers[i][1]);
        assert_attribute(&decoded, headers[i][0] + 3, headers[i][1]);
    }
    assert_int_equal(avro_value_get_by_name(&decoded.event, "attribute", &map, NULL), 0);
    assert_int_equal(avro_value_get_size(&map, &size), 0);
    assert_int_equal(size, 10);
    assert_int_equal(avro_value_get_by_name(&decoded.event, "data", &data, NULL), 0);
    assert_int_equal(avro_value_get_current_branch(&data, &branch), 0);
    assert_int_equal(avro_value_get_type(&branch), AVRO_BYTES);
    assert_int_equal(avro_value_get_bytes(&branch, &bytes, &size), 0);
    assert_int_equal(size, strlen(body));
    assert_memory_equal(bytes, body, size);
    decoded_done(&decoded);
    mock_records_free(&records);
    bridge_stop(&f);
}

static void test_202_waits_for_the_acknowledgement(void **state)
{
    enum { RTT_MS = 600 };
    struct bridge_fixture f;
    double begun;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "", "warm");
    raw_expect(fd, 202, "");
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    begun = raw_now_s();
    bridge_put_event(fd, "/v1/c?device=d", "", "1");
    raw_expect(fd, 202, "");
    assert_true(raw_now_s() - begun >= RTT_MS / 1000.0);
    (void)close(fd);
    mock_kafka_set_rtt(&f.mock, 0);
    bridge_stop(&f);
}

static void test_a_frozen_kafka_is_a_504_in_time(void **state)
{
    struct bridge_fixture f;
    struct raw_reply reply;
    const char *given;
    double begun;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "", "warm");
    raw_expect(fd, 202, "");
    mock_kafka_set_rtt(&f.mock, 60000);
    begun = raw_now_s();
    /* Together, so that both go to Kafka in one request. */
    raw_put(fd,
            "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
            "Idempotency-Key: \"a %\xc3\xa9\"\r\n\r\n"
            "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    raw_get_reply(fd, &reply);
    assert_true(raw_now_s() - begun < ANSWER_S);
    raw_check_problem(&reply, 504, "a %\xc3\xa9");
    /* CloudEvents HTTP binding 3.1.3.2. */
    assert_non_null(strstr(reply.head, "\r\nce-id: a%20%25%C3%A9\r\n"));
    free(reply.body);
    raw_get_reply(fd, &reply); /* an id that was given by us is told too: 36 characters */
    raw_check_problem(&reply, 504, NULL);
    given = strstr(reply.head, "\r\nce-id: ");
    assert_non_null(given);
    assert_int_equal(strcspn(given + 9, "\r"), 36);
    free(reply.body);
    (void)close(fd);
    bridge_stop(&f);
}

static void test_an_answer_in_time_does_not_end_the_send(void **state)
{
    static const char *const extra[] = {"--http.answer.timeout=2s",
                                        "--kafka.producer.message.timeout.ms=10000", NULL};
    enum { RTT_MS = 5000 };
    struct bridge_fixture f;
    struct mock_records records;
    struct raw_reply reply;
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "", "warm");
    raw_expect(fd, 202, "");
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    bridge_put_event(fd, "/v1/c?device=d", "Idempotency-Key: late\r\n", "x");
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 504, "late");
    free(reply.body);
    (void)close(fd);
    spawned_signal(&f.child, SIGTERM); /* the drain waits for Kafka's word */
    assert_int_equal(spawned_wait(&f.child), 0);
    mock_kafka_set_rtt(&f.mock, 0);
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 2);
    mock_records_free(&records);
    mock_kafka_stop(&f.mock);
}

static void test_a_kafka_that_is_down_is_a_503_and_comes_back(void **state)
{
    struct bridge_fixture f;
    struct raw_reply reply;
    double begun;
    double end;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    mock_kafka_set_up(&f.mock, false);
    fd = raw_connect(f.port);
    (void)spawned_wait_log(&f.child, "msg=\"not ready\" condition=kafka");
    begun = raw_now_s();
    bridge_put_event(fd, "/v1/c?device=d", "", "x");
    raw_get_reply(fd, &reply);
    assert_true(raw_now_s() - begun < ANSWER_S);
    raw_check_problem(&reply, 503, NULL);
    assert_true(strtol(strstr(reply.head, "\r\nRetry-After: ") + 15, NULL, 10) >= 1);
    free(reply.body);
    mock_kafka_set_up(&f.mock, true);
    end = raw_now_s() + SPAWNED_DEADLINE_S;
    do {
        assert_true(raw_now_s() < end);
        bridge_put_event(fd, "/v1/c?device=d", "", "x");
        raw_get_reply(fd, &reply);
        free(reply.body);
    } while (reply.status != 202);
    (void)close(fd);
    bridge_stop(&f);
}

static void put_numbered(int fd, int from, int to)
{
    for (int i = from; i < to; i++) {
        char headers[60];
        (void)snprintf(headers, sizeof headers, "Idempotency-Key: p%d\r\n", i);
        bridge_put_event(fd, "/v1/c?device=d", headers, "x");
    }
}

/* Sends more than is read ahead, the last of it when reading has paused; every answer must come
 * in its request's own time all the same. ret_too_late: those whose time was up by their turn. */
static void check_pipelined(struct bridge_fixture *f, int ret_answers[PIPELINED], int *ret_too_late)
{
    double begun = raw_now_s();
    int fd = raw_connect(f->port);
    put_numbered(fd, 0, PIPELINE_MAX);
    while (bridge_metric(f, "millrace_http_in_flight") < PIPELINE_MAX) {
        assert_true(raw_now_s() - begun < ANSWER_S);
    }
    put_numbered(fd, PIPELINE_MAX, PIPELINED);
    *ret_too_late = 0;
    for (int i = 0; i < PIPELINED; i++) {
        struct raw_reply reply;
        raw_get_reply(fd, &reply);
        assert_true(raw_now_s() - begun < ANSWER_S);
        assert_true(reply.status == 503 || reply.status == 504);
        assert_true(reply.status == 504 || strstr(reply.head, "\r\nRetry-After: ") != NULL);
        ret_answers[i] = reply.status;
        *ret_too_late += reply.status == 503 && strstr(reply.body, TOO_LATE) != NULL;
        free(reply.body);
    }
    (void)close(fd);
}

/* What was answered 503 is not in Kafka, also when it is back. */
static void check_not_stored(struct bridge_fixture *f, const int answers[PIPELINED])
{
    struct mock_records records;
    mock_kafka_read(&f->mock, "events", &records);
    for (size_t i = 0; i < records.count; i++) {
        struct mr_slice id = mock_record_header(&records.at[i], "ce_id");
        char text[20];
        (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(id));
        if (text[0] == 'p') {
            long which = strtol(text + 1, NULL, 10);
            assert_in_range(which, 0, PIPELINED - 1);
            assert_int_equal(answers[which], 504);
        }
    }
    mock_records_free(&records);
}

static void test_the_time_of_pipelined_events_counts_from_their_coming(void **state)
{
    struct bridge_fixture f;
    int answers[PIPELINED];
    int too_late;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "", "warm");
    raw_expect(fd, 202, "");
    (void)close(fd);
    mock_kafka_set_rtt(&f.mock, 60000);
    check_pipelined(&f, answers, &too_late);
    /* At least those that came with the second lot, and had to wait for its end too. */
    assert_in_range(too_late, PIPELINED - 2 * PIPELINE_MAX, PIPELINED - 1);
    assert_int_equal(answers[0], 504); /* what follows it may have waited in librdkafka's queue */
    mock_kafka_set_rtt(&f.mock, 0);
    check_not_stored(&f, answers);
    bridge_stop(&f);
}

/* After a pause of reading, with nothing left unread, time begins anew with the next request. */
static void test_a_full_pipeline_long_ago_costs_no_time(void **state)
{
    static const char *const extra[] = {"--http.answer.timeout=2s", "--http.pipeline.max=2", NULL};
    enum { ROUNDS = 2, BURST = 2 };
    struct bridge_fixture f;
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "", "warm");
    raw_expect(fd, 202, "");
    for (int round = 0; round < ROUNDS; round++) {
        double end;
        put_numbered(fd, 0, BURST);
        for (int i = 0; i < BURST; i++) {
            raw_expect(fd, 202, "");
        }
        end = raw_now_s() + 2.5; /* longer than answer.timeout */
        while (raw_now_s() < end) {
            (void)poll(NULL, 0, 10);
        }
    }
    (void)close(fd);
    bridge_stop(&f);
}

static void test_pipelined_events_are_answered_in_time_while_kafka_is_down(void **state)
{
    struct bridge_fixture f;
    int answers[PIPELINED];
    int too_late;
    (void)state;
    bridge_start(&f, bridge_no_more);
    mock_kafka_set_up(&f.mock, false);
    (void)spawned_wait_log(&f.child, "msg=\"not ready\" condition=kafka");
    check_pipelined(&f, answers, &too_late);
    mock_kafka_set_up(&f.mock, true);
    spawned_signal(&f.child, SIGTERM); /* the drain waits for Kafka's word */
    assert_int_equal(spawned_wait(&f.child), 0);
    check_not_stored(&f, answers);
    mock_kafka_stop(&f.mock);
}

static void test_a_full_queue_is_a_503_at_once(void **state)
{
    static const char *const extra[] = {"--http.queue.events.max=1", NULL};
    struct bridge_fixture f;
    struct raw_reply reply;
    int fds[2];
    (void)state;
    bridge_start(&f, extra);
    fds[0] = raw_connect(f.port);
    fds[1] = raw_connect(f.port);
    mock_kafka_set_rtt(&f.mock, 1500);
    bridge_put_event(fds[0], "/v1/c?device=d", "", "1");
    do { /* until the first is on its way, this one may win */
        bridge_put_event(fds[1], "/v1/c?device=d", "", "2");
        raw_get_reply(fds[1], &reply);
        if (reply.status == 503) {
            raw_check_problem(&reply, 503, NULL);
            assert_non_null(strstr(reply.body, "queue.events.max"));
            assert_non_null(strstr(reply.head, "\r\nRetry-After: "));
        }
        free(reply.body);
    } while (reply.status == 202);
    assert_int_equal(reply.status, 503);
    raw_get_reply(fds[0], &reply);
    free(reply.body);
    (void)close(fds[0]);
    (void)close(fds[1]);
    mock_kafka_set_rtt(&f.mock, 0);
    bridge_stop(&f);
}

static void test_what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *detail;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "POST /v1/{channel}"},
        {"POST /v2/c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 404, "POST /v1/{channel}"},
        {"GET /v1/c?device=d HTTP/1.1\r\nHost: a\r\n\r\n", 405, "POST"},
        {"POST /v1/c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400, "device"},
        {"POST /v1/c?device=%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400, "device"},
    };
    struct bridge_fixture f;
    struct raw_reply reply;
    struct mock_records records;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raw_put(fd, cases[i].request); /* all on one connection, which goes on */
        raw_get_reply(fd, &reply);
        raw_check_problem(&reply, cases[i].status, NULL);
        assert_non_null(strstr(reply.body, cases[i].detail));
        assert_true((strstr(reply.head, "\r\nAllow: POST, OPTIONS\r\n") != NULL) ==
                    (cases[i].status == 405));
        free(reply.body);
    }
    raw_put(fd, "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 921601\r\n\r\n");
    raw_expect_refusal(fd, 413); /* body.max is 900 KiB */
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
    bridge_stop(&f);
}

static void test_a_client_that_leaves_has_its_event_stored(void **state)
{
    struct bridge_fixture f;
    struct mock_records records = {0};
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    mock_kafka_set_rtt(&f.mock, 300);
    fd = raw_connect(f.port);
    bridge_put_event(fd, "/v1/c?device=d", "Idempotency-Key: left\r\n", "x");
    (void)close(fd);
    for (;;) {
        mock_kafka_read(&f.mock, "events", &records);
        if (records.count == 1) {
            break;
        }
        mock_records_free(&records);
        assert_true(raw_now_s() < end);
    }
    assert_slice(mock_record_header(&records.at[0], "ce_id"), "left");
    mock_records_free(&records);
    mock_kafka_set_rtt(&f.mock, 0);
    bridge_stop(&f);
}

static void test_the_metrics_are_true(void **state)
{
    struct bridge_fixture f;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"202\"}"), 0);
    fd = raw_connect(f.port);
    for (int i = 0; i < 10; i++) {
        bridge_put_event(fd, "/v1/c?device=d", "", "12345");
        raw_expect(fd, 202, "");
    }
    bridge_put_event(fd, "/v1/c", "", "1");
    raw_expect(fd, 400, NULL);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"202\"}"), 10);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"400\"}"), 1);
    assert_int_equal(bridge_metric(&f, "millrace_http_request_seconds_count"), 10);
    assert_int_equal(bridge_metric(&f, "millrace_http_received_bytes_total"), 51);
    assert_int_equal(bridge_metric(&f, "millrace_http_connections"), 1);
    assert_int_equal(bridge_metric(&f, "millrace_http_in_flight"), 0);
    raw_put(fd, "nonsense\r\n\r\n");
    raw_expect_refusal(fd, 400);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"400\"}"), 2);
    bridge_stop(&f);
}

static void test_a_start_that_fails_says_why(void **state)
{
    struct bridge_fixture f;
    struct spawned second;
    char listen_on[60];
    const char *taken[] = {BRIDGE_PROGRAM, listen_on, "--admin.listen=127.0.0.1:0", NULL};
    const char *bad[] = {BRIDGE_PROGRAM, "--http.body.max=100MiB", NULL};
    (void)state;
    bridge_start(&f, bridge_no_more);
    (void)snprintf(listen_on, sizeof listen_on, "--http.listen=127.0.0.1:%u", (unsigned)f.port);
    spawned_start(&second, taken);
    (void)spawned_wait_log(&second, "Address already in use");
    assert_int_equal(spawned_wait(&second), 1);
    spawned_start(&second, bad);
    (void)spawned_wait_log(&second, "in_flight.bytes.max");
    assert_int_equal(spawned_wait(&second), 2);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_becomes_exactly_this_record),
        cmocka_unit_test(test_202_waits_for_the_acknowledgement),
        cmocka_unit_test(test_a_frozen_kafka_is_a_504_in_time),
        cmocka_unit_test(test_an_answer_in_time_does_not_end_the_send),
        cmocka_unit_test(test_a_kafka_that_is_down_is_a_503_and_comes_back),
        cmocka_unit_test(test_the_time_of_pipelined_events_counts_from_their_coming),
        cmocka_unit_test(test_a_full_pipeline_long_ago_costs_no_time),
        cmocka_unit_test(test_pipelined_events_are_answered_in_time_while_kafka_is_down),
        cmocka_unit_test(test_a_full_queue_is_a_503_at_once),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_a_client_that_leaves_has_its_event_stored),
        cmocka_unit_test(test_the_metrics_are_true),
        cmocka_unit_test(test_a_start_that_fails_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Batches of CloudEvents through the program millrace-http to the mock cluster: one answer for many
 * events, which is 202 only when all are stored. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "lib/bridge_fixture.h"
#include "lib/event_asserts.h"

#define BATCH  "Content-Type: application/cloudevents-batch+json\r\n"
#define STORED "millrace_producer_events_total{outcome=\"stored\"}"

enum { COUNT = 5, TEXT_BYTES = 60000, ID_BYTES = 8 };

static void write_event(char *text, size_t size, int index, const char *data)
{
    size_t len = strlen(text);
    (void)snprintf(text + len, size - len,
                   "%s{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"e%d\","
                   "\"subject\":\"%s\"}",
                   index == 0 ? "" : ",", index, data);
}

/* Events e0, e1, ...; the one at `odd` (-1: none) has `subject`. */
static void put_batch(int fd, int count, int odd, const char *subject)
{
    static char text[TEXT_BYTES];
    char head[200];
    size_t len;
    (void)snprintf(text, sizeof text, "[");
    for (int i = 0; i < count; i++) {
        write_event(text, sizeof text, i, i == odd ? subject : "x");
    }
    len = strlen(text);
    assert_true(len < sizeof text - 2);
    (void)snprintf(text + len, sizeof text - len, "]");
    (void)snprintf(head, sizeof head,
                   "POST /events HTTP/1.1\r\nHost: a\r\n" BATCH "Content-Length: %zu\r\n\r\n",
                   strlen(text));
    raw_put(fd, head);
    raw_put(fd, text);
}

static void warm_up(int fd)
{
    bridge_put_event(fd, "/v1/c?device=d", "Idempotency-Key: warm\r\n", "x");
    raw_expect(fd, 202, "");
}

/* What the answer says of each event: "stored", "busy", ... */
struct told {
    int status;
    const char *outcome[COUNT];
    char reason[COUNT][100];
    long retry_after;
};

static const char *constant(const char *outcome)
{
    static const char *const all[] = {"busy", "rejected", "unknown"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i], outcome) == 0) {
            return all[i];
        }
    }
    fail_msg("outcome %s", outcome);
    return NULL;
}

static void read_told(const struct raw_reply *reply, struct told *ret_told)
{
    json_t *root = json_loads(reply->body, 0, NULL);
    json_t *events = json_object_get(root, "events");
    const char *retry = strstr(reply->head, "\r\nRetry-After: ");
    int stored = COUNT;
    *ret_told = (struct told){.status = reply->status};
    ret_told->retry_after = retry == NULL ? 0 : strtol(retry + 15, NULL, 10);
    for (int i = 0; i < COUNT; i++) {
        ret_told->outcome[i] = "stored";
    }
    assert_non_null(events);
    for (size_t i = 0; i < json_array_size(events); i++) {
        json_t *event = json_array_get(events, i);
        int index = (int)json_integer_value(json_object_get(event, "index"));
        const char *reason = json_string_value(json_object_get(event, "reason"));
        char id[ID_BYTES];
        assert_in_range(index, 0, COUNT - 1);
        (void)snprintf(id, sizeof id, "e%d", index);
        assert_string_equal(json_string_value(json_object_get(event, "id")), id);
        ret_told->outcome[index] = constant(json_string_value(json_object_get(event, "outcome")));
        (void)snprintf(ret_told->reason[index], sizeof ret_told->reason[index], "%.99s",
                       reason == NULL ? "" : reason);
        stored--;
    }
    assert_int_equal(json_integer_value(json_object_get(root, "stored")), stored);
    json_decref(root);
}

/* The answer to a batch of COUNT events of which not all are stored. */
static void get_told(int fd, int status, struct told *ret_told)
{
    struct raw_reply reply;
    raw_get_reply(fd, &reply);
    if (reply.status == 202) {
        fail_msg("202");
    }
    raw_check_problem(&reply, status == 0 ? reply.status : status, NULL);
    read_told(&reply, ret_told);
    free(reply.body);
}

/* How often each of the events is in the topic; returns how many records there are. */
static size_t count_records(struct bridge_fixture *f, int ret_counts[COUNT])
{
    struct mock_records records;
    size_t count;
    memset(ret_counts, 0, COUNT * sizeof ret_counts[0]);
    mock_kafka_read(&f->mock, "events", &records);
    for (size_t i = 0; i < records.count; i++) {
        struct mr_slice id = mock_record_header(&records.at[i], "ce_id");
        if (id.len == 2 && id.ptr[0] == 'e') {
            assert_in_range(id.ptr[1], '0', '0' + COUNT - 1);
            ret_counts[id.ptr[1] - '0']++;
        }
    }
    count = records.count;
    mock_records_free(&records);
    return count;
}

/* What is told to be stored is, and what is told not to be isn't. */
static void check_told(struct bridge_fixture *f, const struct told *told)
{
    int counts[COUNT];
    (void)count_records(f, counts);
    for (int i = 0; i < COUNT; i++) {
        if (strcmp(told->outcome[i], "unknown") != 0) {
            assert_int_equal(counts[i], strcmp(told->outcome[i], "stored") == 0);
        }
    }
}

static void test_202_is_for_all_of_them(void **state)
{
    struct bridge_fixture f;
    struct mock_records records;
    int counts[COUNT];
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    put_batch(fd, COUNT, -1, NULL);
    raw_expect(fd, 202, "");
    assert_int_equal(count_records(&f, counts), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(counts[i], 1);
    }
    mock_kafka_read(&f.mock, "events", &records);
    for (size_t i = 0; i < records.count; i++) { /* one source, one key: in their order */
        char id[ID_BYTES];
        (void)snprintf(id, sizeof id, "e%d", (int)i);
        assert_slice(records.at[i].record.key, "/s");
        assert_slice(mock_record_header(&records.at[i], "ce_id"), id);
        assert_slice(mock_record_header(&records.at[i], "ce_subject"), "x");
        assert_int_equal(records.at[i].partition, records.at[0].partition);
    }
    mock_records_free(&records);
    bridge_put_event(fd, "/events", BATCH, "[]");
    raw_expect(fd, 202, "");
    assert_int_equal(count_records(&f, counts), COUNT);
    assert_int_equal(bridge_metric(&f, STORED), COUNT);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"202\"}"), 2);
    assert_int_equal(bridge_metric(&f, "millrace_http_in_flight"), 0);
    (void)close(fd);
    bridge_stop(&f);
}

static void test_a_bad_event_keeps_all_away(void **state)
{
    static const char *const extra[] = {"--http.batch.max=5", NULL};
    struct bridge_fixture f;
    struct raw_reply reply;
    int counts[COUNT];
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    put_batch(fd, COUNT, 3, ""); /* a subject must not be empty */
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 400, NULL);
    assert_non_null(strstr(reply.body, "event 3 of the batch"));
    assert_non_null(strstr(reply.body, "subject"));
    free(reply.body);
    put_batch(fd, COUNT + 1, -1, NULL);
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 413, NULL);
    assert_non_null(strstr(reply.body, "batch.max"));
    free(reply.body);
    bridge_put_event(fd, "/events", "Content-Type: application/cloudevents+xml\r\n", "");
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 415, NULL);
    free(reply.body);
    assert_int_equal(count_records(&f, counts), 0);
    put_batch(fd, COUNT, -1, NULL);
    raw_expect(fd, 202, "");
    (void)close(fd);
    bridge_stop(&f);
}

static void test_one_that_is_too_large_is_rejected_alone(void **state)
{
    static const char *const extra[] = {"--http.body.max=60000", "--http.header.max=1000",
                                        "--kafka.producer.message.max.bytes=90000", NULL};
    static char large[50001];
    struct bridge_fixture f;
    struct told told;
    int fd;
    (void)state;
    memset(large, 'y', sizeof large - 1); /* it is written twice: value and header */
    large[sizeof large - 1] = '\0';
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    put_batch(fd, COUNT, 2, large);
    get_told(fd, 413, &told);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(told.outcome[i], i == 2 ? "rejected" : "stored");
    }
    assert_true(strlen(told.reason[2]) > 0);
    check_told(&f, &told);
    (void)close(fd);
    bridge_stop(&f);
}

static void test_those_without_room_are_busy(void **state)
{
    static const char *const extra[] = {"--http.queue.events.max=3", NULL};
    struct bridge_fixture f;
    struct told told;
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    put_batch(fd, COUNT, -1, NULL);
    get_told(fd, 503, &told);
    assert_true(told.retry_after >= 1);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(told.outcome[i], i < 3 ? "stored" : "busy");
    }
    assert_non_null(strstr(told.reason[3], "queue.events.max"));
    check_told(&f, &told);
    assert_int_equal(bridge_metric(&f, STORED), 3);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"503\"}"), 1);
    (void)close(fd);
    bridge_stop(&f);
}

static void test_kafka_goes_away_under_a_batch(void **state)
{
    struct bridge_fixture f;
    struct told told;
    double begun;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    warm_up(fd);
    mock_kafka_set_rtt(&f.mock, 60000);
    begun = raw_now_s();
    put_batch(fd, COUNT, -1, NULL);
    while (bridge_metric(&f, "millrace_http_in_flight") < COUNT) {
        assert_true(raw_now_s() - begun < ANSWER_S); /* they are counted one by one */
    }
    mock_kafka_set_up(&f.mock, false);
    get_told(fd, 0, &told);
    assert_true(raw_now_s() - begun < ANSWER_S);
    assert_true(told.status == 503 || told.status == 504);
    for (int i = 0; i < COUNT; i++) {
        assert_string_not_equal(told.outcome[i], "stored");
        assert_string_not_equal(told.outcome[i], "rejected");
    }
    mock_kafka_set_rtt(&f.mock, 0);
    mock_kafka_set_up(&f.mock, true);
    spawned_signal(&f.child, SIGTERM); /* the drain waits for Kafka's word */
    assert_int_equal(spawned_wait(&f.child), 0);
    check_told(&f, &told);
    (void)close(fd);
    mock_kafka_stop(&f.mock);
}

static void test_the_deadline_holds_for_a_batch(void **state)
{
    static const char *const extra[] = {"--http.answer.timeout=2s",
                                        "--kafka.producer.message.timeout.ms=10000", NULL};
    enum { RTT_MS = 5000 };
    struct bridge_fixture f;
    struct told told;
    int counts[COUNT];
    double begun;
    int fd;
    (void)state;
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    warm_up(fd);
    mock_kafka_set_rtt(&f.mock, RTT_MS);
    begun = raw_now_s();
    put_batch(fd, COUNT, -1, NULL);
    get_told(fd, 504, &told);
    assert_true(raw_now_s() - begun < RTT_MS / 1000.0);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(told.outcome[i], "unknown");
        assert_string_equal(told.reason[i], "Kafka has not answered in time");
    }
    (void)close(fd);
    spawned_signal(&f.child, SIGTERM); /* the drain waits for Kafka's word */
    assert_int_equal(spawned_wait(&f.child), 0);
    mock_kafka_set_rtt(&f.mock, 0);
    assert_int_equal(count_records(&f, counts), COUNT + 1);
    mock_kafka_stop(&f.mock);
}

static void test_a_client_that_leaves_changes_nothing(void **state)
{
    struct bridge_fixture f;
    int counts[COUNT];
    double end;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    warm_up(fd);
    mock_kafka_set_rtt(&f.mock, 300);
    put_batch(fd, COUNT, -1, NULL);
    (void)close(fd);
    end = raw_now_s() + SPAWNED_DEADLINE_S;
    while (bridge_metric(&f, STORED) < COUNT + 1) {
        assert_true(raw_now_s() < end);
    }
    mock_kafka_set_rtt(&f.mock, 0);
    assert_int_equal(count_records(&f, counts), COUNT + 1);
    bridge_stop(&f);
}

/* What batches remember is bounded by in_flight.max; a larger one alone is taken. */
static void test_many_batches_have_a_bound(void **state)
{
    static const char *const extra[] = {"--http.in_flight.max=3", NULL};
    struct bridge_fixture f;
    struct raw_reply reply;
    struct told told;
    double begun;
    int fds[2];
    (void)state;
    bridge_start(&f, extra);
    fds[0] = raw_connect(f.port);
    fds[1] = raw_connect(f.port);
    warm_up(fds[0]);
    mock_kafka_set_rtt(&f.mock, 60000);
    begun = raw_now_s();
    put_batch(fds[0], COUNT, -1, NULL);
    while (bridge_metric(&f, "millrace_http_in_flight") < COUNT) {
        assert_true(raw_now_s() - begun < ANSWER_S);
    }
    put_batch(fds[1], 1, -1, NULL);
    raw_get_reply(fds[1], &reply);
    raw_check_problem(&reply, 503, NULL);
    assert_non_null(strstr(reply.body, "in_flight.max"));
    assert_non_null(strstr(reply.head, "\r\nRetry-After: "));
    free(reply.body);
    get_told(fds[0], 504, &told);
    assert_true(raw_now_s() - begun < ANSWER_S);
    mock_kafka_set_rtt(&f.mock, 0);
    do { /* there is room when the first is settled */
        assert_true(raw_now_s() - begun < SPAWNED_DEADLINE_S);
        put_batch(fds[1], 1, -1, NULL);
        raw_get_reply(fds[1], &reply);
        free(reply.body);
    } while (reply.status != 202);
    (void)close(fds[0]);
    (void)close(fds[1]);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_202_is_for_all_of_them),
        cmocka_unit_test(test_a_bad_event_keeps_all_away),
        cmocka_unit_test(test_one_that_is_too_large_is_rejected_alone),
        cmocka_unit_test(test_those_without_room_are_busy),
        cmocka_unit_test(test_kafka_goes_away_under_a_batch),
        cmocka_unit_test(test_the_deadline_holds_for_a_batch),
        cmocka_unit_test(test_a_client_that_leaves_changes_nothing),
        cmocka_unit_test(test_many_batches_have_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Who may send, and what is stored of whom. */
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
#include <unistd.h>

#include <cmocka.h>

#include "lib/hashes.h"
#include "lib/identity_fixture.h"

enum { MANY = 12 };

static void assert_unauthorized(const struct identity_fixture *f, const char *user)
{
    struct raw_reply reply;
    assert_int_equal(identity_ask(f, "/v1/c", user, &reply), 401);
    /* RFC 7617 2 and 2.1. */
    assert_non_null(strstr(
        reply.head, "\r\nWWW-Authenticate: Basic realm=\"millrace\", charset=\"UTF-8\"\r\n"));
    raw_check_problem(&reply, 401, NULL);
    if (user != NULL) {
        assert_non_null(
            strstr(reply.body, "Authorization: no device of this name with this password"));
    }
    free(reply.body);
}

static void test_wrong_ones_are_told_the_same(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=0", "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    struct mock_records records;
    int fd;
    (void)state;
    identity_start(&f, flags);
    assert_unauthorized(&f, NULL);
    assert_unauthorized(&f, "d1@farm:Sesame");
    assert_unauthorized(&f, "d1@farm:");
    assert_unauthorized(&f, "d1:sesame");
    assert_unauthorized(&f, "d1@other:sesame");
    assert_unauthorized(&f, "nobody@farm:sesame");
    assert_unauthorized(&f, "bare@farm:sesame");
    assert_unauthorized(&f, "bare@farm:");
    assert_unauthorized(&f, "off@farm:wrong");
    assert_int_equal(identity_status_of(&f, "off@farm:sesame"), 403);
    assert_int_equal(identity_status_of(&f, "@farm:sesame"), 400);
    assert_int_equal(identity_status_of(&f, "no colon"), 400);
    fd = raw_connect(f.bridge.port);
    bridge_put_event(fd, "/v1/c", "Authorization: Bearer abc\r\n", "x");
    raw_expect(fd, 401, NULL);
    bridge_put_event(fd, "/v1/c",
                     "Authorization: Basic ZDE6eA==\r\nAuthorization: Basic ZDE6eA==\r\n", "x");
    raw_expect(fd, 400, NULL);
    (void)close(fd);
    fd = raw_connect(f.bridge.port); /* RFC 9110 10.1.1: no 100 first */
    raw_put(fd,
            "POST /v1/c HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
            "Expect: 100-continue\r\n\r\n");
    raw_expect_refusal(fd, 401);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("wrong")), 8);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("missing")), 3);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("malformed")), 3);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("forbidden")), 1);
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
    identity_stop(&f);
}

static void expect(const struct identity_fixture *f, int status, const char *target,
                   const char *user)
{
    struct raw_reply reply;
    assert_int_equal(identity_ask(f, target, user, &reply), status);
    free(reply.body);
}

static void test_the_proven_device_is_stored(void **state)
{
    struct identity_fixture f;
    struct mock_records records;
    (void)state;
    identity_start(&f, bridge_no_more);
    expect(&f, 202, "/v1/own", "d1@farm:sesame");
    expect(&f, 202, "/v1/lies?application=other&device=d9", "d2@farm:sesame");
    expect(&f, 202, "/v1/default", "plain:sesame");
    expect(&f, 202, "/v1/as?as=room-7", "gateway@farm:sesame");
    expect(&f, 202, "/v1/for?device=d1", "gateway@farm:sesame");
    expect(&f, 403, "/v1/no?as=d2", "gateway@farm:sesame");
    expect(&f, 403, "/v1/no?as=d2", "d1@farm:sesame");
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 5);
    bridge_assert_sender(&records, "own", "farm", "d1", NULL);
    bridge_assert_sender(&records, "lies", "farm", "d2", NULL);
    bridge_assert_sender(&records, "default", "default", "plain", NULL);
    bridge_assert_sender(&records, "as", "farm", "room-7", "gateway");
    bridge_assert_sender(&records, "for", "farm", "d1", "gateway");
    mock_records_free(&records);
    identity_stop(&f);
}

#define EVENT(id, device)                   \
    "{\"specversion\":\"1.0\",\"id\":\"" id \
    "\",\"source\":\"/s\",\"type\":\"t\",\"device\":\"" device "\",\"subject\":\"" id "\"}"

/* base64 of gateway@farm:sesame */
#define BATCH                                               \
    "Authorization: Basic Z2F0ZXdheUBmYXJtOnNlc2FtZQ==\r\n" \
    "Content-Type: application/cloudevents-batch+json\r\n"

static void test_a_batch_of_a_gateway(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=1s", NULL};
    static const char events[] = "[" EVENT("e1", "room-1") "," EVENT("e2", "gateway") "]";
    static const char others[] = "[" EVENT("e3", "room-1") "," EVENT("e4", "d2") "]";
    struct identity_fixture f;
    struct mock_records records;
    struct raw_reply reply;
    int fd;
    (void)state;
    identity_start(&f, flags);
    fd = raw_connect(f.bridge.port);
    bridge_put_event(fd, "/events", "Content-Type: application/cloudevents-batch+json\r\n", events);
    raw_expect(fd, 401, NULL);
    bridge_put_event(fd, "/events", BATCH, others); /* for one of them it may not speak */
    raw_expect(fd, 403, NULL);
    bridge_put_event(fd, "/events", BATCH, events);
    raw_expect(fd, 202, "");
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 2);
    bridge_assert_sender(&records, "e1", "farm", "room-1", "gateway");
    bridge_assert_sender(&records, "e2", "farm", "gateway", NULL);
    mock_records_free(&records);
    mock_kafka_set_rtt(&f.bridge.mock, 60000);
    bridge_put_event(fd, "/events", BATCH, events);
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 504, NULL);
    assert_non_null(strstr(reply.body, "\"e1\""));
    assert_non_null(strstr(reply.body, "\"e2\""));
    free(reply.body);
    (void)close(fd);
    mock_kafka_set_rtt(&f.bridge.mock, 0);
    identity_stop(&f);
}

/* printf 'd1@farm:sesame' | base64, and so on */
#define D1_RIGHT  "Authorization: Basic ZDFAZmFybTpzZXNhbWU=\r\n"
#define D2_RIGHT  "Authorization: Basic ZDJAZmFybTpzZXNhbWU=\r\n"
#define OFF_RIGHT "Authorization: Basic b2ZmQGZhcm06c2VzYW1l\r\n"
#define EXPECT    "Expect: 100-continue\r\n"

/* A head, of whose content one byte of two follows. */
static int put_half(const struct identity_fixture *f, const char *target, const char *headers)
{
    char text[400];
    int fd = raw_connect(f->bridge.port);
    (void)snprintf(text, sizeof text,
                   "POST %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: 2\r\n\r\n%s", target, headers,
                   strstr(headers, EXPECT) == NULL ? "x" : "");
    raw_put(fd, text);
    return fd;
}

/* What the head says is enough: nobody without credentials has content kept for him. */
static void test_heads_are_judged_before_the_content_is_here(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=2", NULL};
    struct identity_fixture f;
    struct mock_records records;
    int fd;
    (void)state;
    identity_start(&f, flags);
    raw_expect_refusal(put_half(&f, "/v1/c", ""), 401);
    raw_expect_refusal(put_half(&f, "/v1/c", "Authorization: Basic ZDE\r\n"), 400);
    raw_expect_refusal(put_half(&f, "/elsewhere", D1_RIGHT), 404);
    raw_expect_refusal(put_half(&f, "/v1/c", D1_RIGHT "Content-Encoding: gzip\r\n"), 415);
    assert_int_equal(identity_status_of(&f, "off@farm:sesame"), 403);
    raw_expect_refusal(put_half(&f, "/v1/c", OFF_RIGHT), 403);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(identity_status_of(&f, "d1@farm:x"), 401);
    assert_int_equal(identity_status_of(&f, "d1@farm:y"), 401);
    raw_expect_refusal(put_half(&f, "/v1/c", D2_RIGHT), 429);
    raw_expect_refusal(put_half(&f, "/v1/c", D2_RIGHT EXPECT), 429);
    fd = put_half(&f, "/v1/c", D1_RIGHT);
    raw_put(fd, "y");
    raw_expect(fd, 202, "");
    (void)close(fd);
    fd = put_half(&f, "/v1/c", D1_RIGHT EXPECT);
    raw_expect(fd, 100, NULL);
    (void)close(fd);
    mock_kafka_read(&f.bridge.mock, "events", &records);
    assert_int_equal(records.count, 2);
    mock_records_free(&records);
    identity_stop(&f);
}

static void test_wrong_ones_are_limited(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=3", "--http.attempts.time=5m",
                                        "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    struct raw_reply reply;
    const char *retry;
    (void)state;
    identity_start(&f, flags);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(identity_status_of(&f, i == 1 ? "nobody:x" : "d2@farm:x"), 401);
    }
    assert_int_equal(identity_ask(&f, "/v1/c", "d2@farm:sesame", &reply), 429);
    raw_check_problem(&reply, 429, NULL);
    retry = strstr(reply.head, "\r\nRetry-After: ");
    assert_non_null(retry);
    assert_in_range(strtol(retry + 15, NULL, 10), 1, 300);
    free(reply.body);
    assert_int_equal(bridge_metric(&f.bridge, CHECKS), 4);
    assert_int_equal(bridge_metric(&f.bridge, OUTCOME("limited")), 1);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202); /* found right before */
    identity_stop(&f);
}

static void test_the_limit_is_over_in_time(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=1", "--http.attempts.time=3s",
                                        "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    double until = raw_now_s() + RAW_DEADLINE_S;
    int status;
    (void)state;
    identity_start(&f, flags);
    do { /* where a check takes as long as the limit holds, it takes some */
        assert_true(raw_now_s() < until);
        status = identity_status_of(&f, "d1@farm:x");
    } while (status == 401);
    assert_int_equal(status, 429);
    while (identity_status_of(&f, "d1@farm:sesame") != 202) {
        assert_true(raw_now_s() < until);
    }
    identity_stop(&f);
}

/* From another address of this machine. */
static int status_from(const struct identity_fixture *f, uint32_t from, const char *user)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(f->bridge.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct raw_reply reply;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    identity_put(fd, "/v1/c", user);
    raw_get_reply(fd, &reply);
    (void)close(fd);
    free(reply.body);
    return reply.status;
}

static void test_each_address_is_judged_by_itself(void **state)
{
    static const char *const flags[] = {"--http.attempts.max=2", "--http.attempts.time=1h",
                                        "--http.answer.timeout=2m", NULL};
    enum { OTHER = INADDR_LOOPBACK + 1 };
    struct identity_fixture f;
    (void)state;
    identity_start(&f, flags);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:a"), 401);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:b"), 401);
    assert_int_equal(status_from(&f, OTHER, "d1@farm:c"), 429);
    /* It learns nothing of what was found right elsewhere. */
    assert_int_equal(status_from(&f, OTHER, "d1@farm:sesame"), 429);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(identity_status_of(&f, "d2@farm:sesame"), 202);
    identity_stop(&f);
}

/* By all loops, as good as surely. */
static bool are_refused(const struct identity_fixture *f, const char *user)
{
    bool are = true;
    for (int i = 0; i < MANY; i++) {
        are = identity_status_of(f, user) == 401 && are;
    }
    return are;
}

static void test_a_changed_password_counts_at_once(void **state)
{
    static const char *const flags[] = {"--http.loops=2", "--http.attempts.max=0",
                                        "--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    double until;
    (void)state;
    identity_start(&f, flags);
    for (int i = 0; i < MANY; i++) { /* so that either loop has it in its cache */
        assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    }
    /* Of the password "slow" now, and d2 is gone. */
    identity_write_devices(&f, "[device d1@farm]\npassword = " HASH_SLOW "\n");
    spawned_signal(&f.bridge.child, SIGHUP);
    identity_wait_metric(&f, READS("taken"), 2);
    assert_int_equal(bridge_metric(&f.bridge, "millrace_http_devices"), 1);
    until = raw_now_s() + RAW_DEADLINE_S;
    while (!are_refused(&f, "d2@farm:sesame")) { /* the other loop may be a moment behind */
        assert_true(raw_now_s() < until);
    }
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 401);
    assert_int_equal(identity_status_of(&f, "d1@farm:slow"), 202);
    identity_stop(&f);
}

static void test_a_changed_file_is_read(void **state)
{
    static const char *const flags[] = {"--http.answer.timeout=2m", NULL};
    struct identity_fixture f;
    (void)state;
    identity_start(&f, flags);
    assert_int_equal(identity_status_of(&f, "new:sesame"), 401);
    identity_write_devices(&f, "[device new]\npassword = " HASH_SHA512 "\n");
    identity_wait_metric(&f, READS("taken"), 2);
    assert_int_equal(identity_status_of(&f, "new:sesame"), 202);
    identity_stop(&f);
}

static void test_a_broken_file_changes_nothing(void **state)
{
    struct identity_fixture f;
    (void)state;
    identity_start(&f, bridge_no_more);
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    identity_write_devices(&f, "[device d1@farm]\npassword = sesame\n[device x\n");
    spawned_signal(&f.bridge.child, SIGHUP);
    (void)spawned_wait_log(&f.bridge.child, "the devices read before stay in force");
    assert_non_null(strstr(f.bridge.child.log, ":2: password: expected a hash"));
    assert_non_null(strstr(f.bridge.child.log, ":3: expected ']'"));
    assert_null(strstr(f.bridge.child.log, "sesame"));
    assert_int_equal(identity_status_of(&f, "d1@farm:sesame"), 202);
    assert_int_equal(identity_status_of(&f, "d2@farm:sesame"), 202);
    assert_int_equal(unlink(f.path), 0);
    spawned_signal(&f.bridge.child, SIGHUP);
    (void)spawned_wait_log(&f.bridge.child, "No such file or directory");
    assert_int_equal(identity_status_of(&f, "plain:sesame"), 202);
    identity_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_ones_are_told_the_same),
        cmocka_unit_test(test_the_proven_device_is_stored),
        cmocka_unit_test(test_a_batch_of_a_gateway),
        cmocka_unit_test(test_heads_are_judged_before_the_content_is_here),
        cmocka_unit_test(test_wrong_ones_are_limited),
        cmocka_unit_test(test_the_limit_is_over_in_time),
        cmocka_unit_test(test_each_address_is_judged_by_itself),
        cmocka_unit_test(test_a_changed_password_counts_at_once),
        cmocka_unit_test(test_a_changed_file_is_read),
        cmocka_unit_test(test_a_broken_file_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

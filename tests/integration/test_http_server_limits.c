// SPDX-License-Identifier: Apache-2.0
/* The server's bounds on size, number and time. lib/server_fixture.h says what it answers. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/raw_client.h"
#include "lib/server_fixture.h"

static void test_a_client_that_does_not_read_is_not_read(void **state)
{
    struct server_fixture f;
    enum { COUNT = 400 };
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    for (int i = 0; i < COUNT; i++) {
        raw_put_get(fd, "/big");
    }
    server_wait_until_stuck(&f);
    assert_int_equal(server_state_of(&f, "paused"), 1);
    assert_in_range(server_state_of(&f, "out"), 1,
                    2 * (HTTP_OUT_BYTES_HIGH + PIPELINE_MAX * (BIG_BYTES + 500)));
    assert_in_range(server_state_of(&f, "seen"), 1, COUNT - 1);
    for (int i = 0; i < COUNT; i++) {
        struct raw_reply reply;
        raw_get_reply(fd, &reply);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.body_len, BIG_BYTES);
        assert_memory_equal(reply.body, f.big, BIG_BYTES);
        free(reply.body);
    }
    (void)close(fd);
    server_stop(&f);
}

static void test_a_client_that_never_reads_is_given_up(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    int fd;
    (void)state;
    with.write_ms = 200;
    server_start(&f, &with);
    fd = raw_connect(f.port);
    for (int i = 0; i < 400; i++) {
        raw_put_get(fd, "/big");
    }
    server_wait_state(&f, "connections", 1);
    (void)close(fd);
    server_stop(&f);
}

/* Progress gives no new time once the server drains; a request in hand keeps its own. */
static void test_a_slow_reader_does_not_keep_a_drain(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    char some[1024];
    int slow;
    int busy;
    (void)state;
    with.drain_ms = 300;
    server_start(&f, &with);
    busy = raw_connect(f.port);
    raw_put_get(busy, "/hold?a");
    slow = raw_connect(f.port);
    for (int i = 0; i < 400; i++) {
        raw_put_get(slow, "/big");
    }
    server_wait_until_stuck(&f);
    server_command(&f, &f.wants_drain);
    for (int i = 0; i < 100; i++) {
        assert_true(recv(slow, some, sizeof some, 0) > 0);
        (void)poll(NULL, 0, 10);
    }
    assert_false(atomic_load(&f.is_drained));
    server_command(&f, &f.wants_release);
    raw_expect(busy, 200, "a");
    raw_expect_end(busy);
    server_wait_for(&f.is_drained);
    (void)close(slow);
    server_stop(&f);
}

static void test_refusals_come_in_their_turn_and_end_the_connection(void **state)
{
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(fd,
            "GET /hold?a HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nno colon\r\n\r\n"
            "GET /hold?never HTTP/1.1\r\nHost: a\r\n\r\n");
    server_wait_state(&f, "held", 1);
    server_release_held(&f);
    raw_expect(fd, 200, "a");
    raw_expect_refusal(fd, 400);
    assert_int_equal(server_state_of(&f, "held"), 0);
    server_stop(&f);
}

static void test_a_large_body_is_refused_before_it_is_read(void **state)
{
    struct server_fixture f;
    char *part = calloc(1, 1024 * 1024);
    struct raw_reply reply;
    int fd;
    (void)state;
    assert_non_null(part);
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n");
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, 413, NULL);
    assert_non_null(strstr(reply.body, "\"the content is too large: more than 1048576 bytes\""));
    free(reply.body);
    raw_expect_end(fd);
    /* Also a client that sends it all first can read why. */
    fd = raw_connect(f.port);
    raw_put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3145728\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        raw_put_bytes(fd, part, 1024 * 1024);
    }
    raw_expect_refusal(fd, 413);
    free(part);
    server_stop(&f);
}

static void test_a_full_server_says_503_and_goes_on(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    struct raw_reply reply;
    int fds[2];
    (void)state;
    with.in_flight_max = 2;
    server_start(&f, &with);
    fds[0] = raw_connect(f.port);
    fds[1] = raw_connect(f.port);
    raw_put_get(fds[0], "/hold?a");
    server_wait_state(&f, "held", 1);
    raw_put_get(fds[0], "/hold?b");
    /* The third is one too many, whoever asks. */
    do {
        raw_put_get(fds[1], "/echo");
        raw_get_reply(fds[1], &reply);
        free(reply.body);
    } while (reply.status == 200);
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.head, "\r\nRetry-After: 1\r\n"));
    assert_null(strstr(reply.head, "Connection: close"));
    server_command(&f, &f.wants_release);
    raw_expect(fds[0], 200, "a");
    raw_expect(fds[0], 200, "b");
    raw_put_get(fds[1], "/hold?c");
    server_wait_state(&f, "held", 1);
    server_command(&f, &f.wants_release);
    raw_expect(fds[1], 200, "c");
    (void)close(fds[0]);
    (void)close(fds[1]);
    server_stop(&f);
}

static void test_the_memory_of_requests_is_bounded(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    char *part = calloc(1, 300 * 1024);
    int fd;
    (void)state;
    assert_non_null(part);
    with.in_flight_bytes_max = 256 * 1024;
    server_start(&f, &with);
    fd = raw_connect(f.port);
    raw_put(fd, "POST /hold?x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    raw_put_bytes(fd, part, 300 * 1024);
    raw_expect_refusal(fd, 503);
    server_wait_state(&f, "connections", 1);
    assert_in_range(server_state_of(&f, "bytes"), 0, 8192);
    free(part);
    server_stop(&f);
}

static void test_the_memory_of_refusals_in_line_is_bounded(void **state)
{
    enum { COUNT = 900, BYTES_MAX = 64 * 1024 };
    static const char one[] = "GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n";
    static char flood[COUNT * (sizeof one - 1)];
    struct http_server_config with = server_config();
    struct server_fixture f;
    struct raw_reply reply;
    unsigned refused = 0;
    int fd;
    (void)state;
    with.in_flight_bytes_max = BYTES_MAX;
    with.pipeline_max = 1000;
    server_start(&f, &with);
    fd = raw_connect(f.port);
    raw_put_get(fd, "/hold?first");
    server_wait_state(&f, "held", 1);
    for (size_t i = 0; i < COUNT; i++) {
        memcpy(flood + i * (sizeof one - 1), one, sizeof one - 1);
    }
    raw_put_bytes(fd, flood, sizeof flood); /* at once: it is more than there is room for */
    do {                                    /* full: others are told so */
        int other = raw_connect(f.port);
        raw_put_get(other, "/elsewhere");
        raw_get_reply(other, &reply);
        free(reply.body);
        (void)close(other);
    } while (reply.status != 503);
    server_command(&f, &f.wants_release);
    raw_expect(fd, 200, "first");
    do {
        raw_get_reply(fd, &reply);
        free(reply.body);
        refused++;
    } while (reply.status != 503 || strstr(reply.head, "Connection: close") == NULL);
    assert_in_range(refused, 1, BYTES_MAX / 1024);
    raw_expect_end(fd);
    (void)close(fd);
    server_stop(&f);
}

/* Answers that nobody reads are counted like requests, against the same bound. */
static void test_the_memory_of_answers_is_counted(void **state)
{
    enum { COUNT = 400 };
    struct server_fixture f;
    unsigned long out;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    for (int i = 0; i < COUNT; i++) {
        raw_put_get(fd, "/big");
    }
    server_wait_until_stuck(&f);
    out = server_state_of(&f, "out");
    assert_true(out > HTTP_OUT_BYTES_HIGH);
    assert_in_range(server_state_of(&f, "bytes"), out, 8 * out);
    for (int i = 0; i < COUNT; i++) {
        struct raw_reply reply;
        raw_get_reply(fd, &reply);
        free(reply.body);
    }
    (void)close(fd);
    server_wait_state(&f, "connections", 1);
    assert_in_range(server_state_of(&f, "bytes"), 0, 8192); /* those of the question itself */
    server_stop(&f);
}

static void test_connections_over_the_limit_are_told_so(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    int fds[2];
    (void)state;
    with.connections_max = 2;
    server_start(&f, &with);
    for (int i = 0; i < 2; i++) {
        fds[i] = raw_connect(f.port);
        raw_put_get(fds[i], "/echo");
        raw_expect(fds[i], 200, "");
    }
    raw_expect_refusal(raw_connect(f.port), 503);
    (void)close(fds[0]);
    (void)close(fds[1]);
    server_stop(&f);
}

static void test_idle_and_slow_clients_are_ended(void **state)
{
    struct http_server_config with = server_config();
    struct server_fixture f;
    int fd;
    (void)state;
    with.idle_ms = 2000;
    with.request_ms = 1000;
    server_start(&f, &with);
    raw_expect_end(raw_connect(f.port)); /* never said a word */
    fd = raw_connect(f.port);
    raw_put_get(fd, "/echo");
    raw_expect(fd, 200, "");
    raw_expect_end(fd);
    fd = raw_connect(f.port);
    raw_put(fd, "GET /echo HTTP/1.1\r\nHo");
    raw_expect_refusal(fd, 408);
    fd = raw_connect(f.port);
    raw_put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    raw_expect_refusal(fd, 408);
    server_stop(&f);
}

/* The whole loop stands still while a flood and one other question come in: then the other one has
 * its turn after no more of the flood than is read ahead. */
static void test_a_flood_does_not_starve_others(void **state)
{
    enum { FLOOD = 400 };
    static const char one[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    static char flood[FLOOD * (sizeof one - 1)];
    struct server_fixture f;
    struct raw_reply reply;
    unsigned long seen;
    int fds[3];
    (void)state;
    server_start_default(&f);
    for (int i = 0; i < 3; i++) {
        fds[i] = raw_connect(f.port);
        raw_put_get(fds[i], "/echo");
        raw_expect(fds[i], 200, "");
    }
    raw_put_get(fds[0], "/block");
    server_wait_for(&f.is_blocked);
    for (size_t i = 0; i < FLOOD; i++) {
        memcpy(flood + i * (sizeof one - 1), one, sizeof one - 1);
    }
    raw_put_bytes(fds[1], flood, sizeof flood);
    raw_put_get(fds[2], "/state");
    atomic_store(&f.is_blocked, false);
    raw_get_reply(fds[2], &reply);
    seen = strtoul(strstr(reply.body, "seen=") + 5, NULL, 10);
    free(reply.body);
    assert_in_range(seen, 4, 4 + 2 * PIPELINE_MAX); /* 3 echoes and the block came before */
    raw_expect(fds[0], 200, "");
    for (int i = 0; i < FLOOD; i++) {
        raw_expect(fds[1], 200, "");
    }
    for (int i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
    server_stop(&f);
}

/* While libuv gets rid of connections that can't be kept, it does so with all that come. */
static void wait_accepted(const struct server_fixture *f)
{
    static const char request[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    double end = raw_now_s() + RAW_DEADLINE_S;
    bool is_answered = false;
    while (!is_answered) {
        struct raw_reply reply;
        int fd = raw_connect(f->port);
        assert_true(raw_now_s() < end);
        is_answered = send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 &&
                      raw_get_reply_try(fd, true, &reply);
        if (is_answered) {
            free(reply.body);
        }
        (void)close(fd);
    }
}

static void test_running_out_of_descriptors_is_survived(void **state)
{
    struct server_fixture f;
    struct rlimit before;
    struct rlimit tight;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fds[4];
    char byte;
    (void)state;
    server_start_default(&f);
    server_wait_state(&f, "connections", 1);
    name.sin_port = htons(f.port);
    for (int i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)fds[3] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(connect(fds[i], (const struct sockaddr *)&name, sizeof name), 0);
    }
    /* They can't be kept, but aren't left hanging. (One may have got a descriptor freed late.) */
    for (int i = 1; i < 4; i++) {
        assert_true(recv(fds[i], &byte, 1, 0) <= 0);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 4; i++) {
        (void)close(fds[i]);
    }
    wait_accepted(&f);
    server_wait_state(&f, "connections", 1);
    server_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_client_that_does_not_read_is_not_read),
        cmocka_unit_test(test_a_client_that_never_reads_is_given_up),
        cmocka_unit_test(test_a_slow_reader_does_not_keep_a_drain),
        cmocka_unit_test(test_refusals_come_in_their_turn_and_end_the_connection),
        cmocka_unit_test(test_a_large_body_is_refused_before_it_is_read),
        cmocka_unit_test(test_a_full_server_says_503_and_goes_on),
        cmocka_unit_test(test_the_memory_of_requests_is_bounded),
        cmocka_unit_test(test_the_memory_of_refusals_in_line_is_bounded),
        cmocka_unit_test(test_the_memory_of_answers_is_counted),
        cmocka_unit_test(test_connections_over_the_limit_are_told_so),
        cmocka_unit_test(test_idle_and_slow_clients_are_ended),
        cmocka_unit_test(test_a_flood_does_not_starve_others),
        cmocka_unit_test(test_running_out_of_descriptors_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

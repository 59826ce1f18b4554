// SPDX-License-Identifier: Apache-2.0
/* The server: order, persistence, drain and end. lib/server_fixture.h says what it answers. */
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

static void test_answers_keep_the_order_of_the_requests(void **state)
{
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(fd,
            "GET /hold?a HTTP/1.1\r\nHost: a\r\n\r\nGET /hold?b HTTP/1.1\r\nHost: a\r\n\r\n"
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nnow"
            "GET /hold?c HTTP/1.1\r\nHost: a\r\n\r\n");
    server_wait_state(&f, "held", 3);
    server_release_held(&f); /* c, b, a */
    raw_expect(fd, 200, "a");
    raw_expect(fd, 200, "b");
    raw_expect(fd, 200, "now");
    raw_expect(fd, 200, "c");
    (void)close(fd);
    server_stop(&f);
}

static void test_reading_pauses_when_the_pipeline_is_full(void **state)
{
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    for (int i = 0; i < 40; i++) {
        char target[30];
        (void)snprintf(target, sizeof target, "/hold?%d", i);
        raw_put_get(fd, target);
    }
    server_wait_state(&f, "held", PIPELINE_MAX);
    server_wait_state(&f, "paused", 1);
    assert_int_equal(server_state_of(&f, "held"), PIPELINE_MAX);
    for (int i = 0; i < 40; i++) {
        char body[20];
        int other = raw_connect(f.port);
        server_wait_state(&f, "held",
                          40 - i < PIPELINE_MAX ? (unsigned long)(40 - i) : PIPELINE_MAX);
        raw_put_get(other, "/release-one");
        raw_expect(other, 200, "released");
        (void)close(other);
        (void)snprintf(body, sizeof body, "%d", i);
        raw_expect(fd, 200, body);
    }
    (void)close(fd);
    server_wait_state(&f, "connections", 1);
    assert_int_equal(server_state_of(&f, "in_flight"), 1); /* the question itself */
    server_stop(&f);
}

/* So much has come meanwhile that it fills the server's reading buffer more than once. */
static void test_a_flood_behind_a_full_pipeline_waits(void **state)
{
    enum { PADDING = 3000, FLOOD = 120 };
    static char request[PADDING + 100];
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    for (int i = 0; i < PIPELINE_MAX; i++) {
        raw_put_get(fd, "/hold?first");
    }
    server_wait_state(&f, "held", PIPELINE_MAX);
    (void)snprintf(request, sizeof request, "GET /hold?%0*d HTTP/1.1\r\nHost: a\r\n\r\n", PADDING,
                   0);
    for (int i = 0; i < FLOOD; i++) {
        raw_put(fd, request);
    }
    for (int i = 0; i < PIPELINE_MAX + FLOOD; i += PIPELINE_MAX) {
        int left = PIPELINE_MAX + FLOOD - i;
        int count = left < PIPELINE_MAX ? left : PIPELINE_MAX;
        server_wait_state(&f, "held", (unsigned long)count);
        server_release_held(&f);
        for (int k = 0; k < count; k++) {
            struct raw_reply reply;
            raw_get_reply(fd, &reply);
            assert_int_equal(reply.status, 200);
            assert_int_equal(reply.body_len, i == 0 ? 5 : PADDING);
            free(reply.body);
        }
    }
    (void)close(fd);
    server_stop(&f);
}

static void test_a_half_closed_client_gets_its_answers(void **state)
{
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(
        fd,
        "GET /hold?a HTTP/1.1\r\nHost: a\r\n\r\nGET /hold?b HTTP/1.1\r\nHost: a\r\n\r\nGET /cut");
    (void)shutdown(fd, SHUT_WR);
    server_wait_state(&f, "held", 2);
    server_release_held(&f);
    raw_expect(fd, 200, "a");
    raw_expect(fd, 200, "b");
    raw_expect_end(fd);
    server_stop(&f);
}

static void test_a_client_that_leaves_changes_nothing(void **state)
{
    struct server_fixture f;
    struct http_server_config config = server_config();
    struct linger reset = {.l_onoff = 1};
    const char *text =
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\nPOST /hold?x HTTP/1.1\r\nHost: a\r\n"
        "Content-Length: 2\r\n\r\nab";
    (void)state;
    config.connections_max = 1000; /* they come faster than they are noticed to have gone */
    server_start(&f, &config);
    for (size_t len = 0; len <= strlen(text); len++) {
        int fd = raw_connect(f.port);
        raw_put_bytes(fd, text, len);
        if (len == strlen(text)) {
            server_wait_state(&f, "held", 1);
        }
        if (len % 2 == 1) { /* as a crash would: with RST */
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        (void)close(fd);
    }
    server_wait_state(&f, "held", 1);
    server_release_held(&f);
    server_wait_state(&f, "in_flight", 1);
    server_wait_state(&f, "connections", 1);
    assert_in_range(server_state_of(&f, "bytes"), 0, 8192); /* those of the question itself */
    server_stop(&f);
}

static void test_a_body_that_is_expected_is_asked_for(void **state)
{
    struct server_fixture f;
    char head[RAW_HEAD_BYTES];
    const char *expecting =
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Content-Length: 3\r\n\r\n";
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(fd, expecting);
    assert_true(raw_get_head(fd, head));
    assert_string_equal(head, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_put(fd, "abc");
    raw_expect(fd, 200, "abc");
    /* In its turn: not before the answer to the request before it. */
    raw_put_get(fd, "/hold?a");
    raw_put(fd, expecting);
    server_wait_state(&f, "held", 1);
    server_release_held(&f);
    raw_expect(fd, 200, "a");
    assert_true(raw_get_head(fd, head));
    assert_string_equal(head, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_put(fd, "def");
    raw_expect(fd, 200, "def");
    /* A body that won't be taken isn't asked for. */
    raw_put(fd,
            "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            "Content-Length: 2000000\r\n\r\n");
    raw_expect_refusal(fd, 413);
    server_stop(&f);
}

static void test_a_large_chunked_body_comes_through(void **state)
{
    struct server_fixture f;
    enum { CHUNKS = 1000, CHUNK_BYTES = 800 };
    struct raw_reply reply;
    char chunk[CHUNK_BYTES + 20];
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < CHUNKS; i++) {
        int len = snprintf(chunk, sizeof chunk, "%x\r\n%0*d\r\n", CHUNK_BYTES, CHUNK_BYTES, i);
        raw_put_bytes(fd, chunk, (size_t)len);
    }
    raw_put(fd, "0\r\n\r\n");
    raw_get_reply(fd, &reply);
    assert_int_equal(reply.body_len, CHUNKS * CHUNK_BYTES);
    for (int i = 0; i < CHUNKS; i++) {
        char expected[CHUNK_BYTES + 1];
        (void)snprintf(expected, sizeof expected, "%0*d", CHUNK_BYTES, i);
        assert_memory_equal(reply.body + i * CHUNK_BYTES, expected, CHUNK_BYTES);
    }
    free(reply.body);
    (void)close(fd);
    server_stop(&f);
}

static void test_the_form_of_answers(void **state)
{
    struct server_fixture f;
    struct raw_reply reply;
    struct tm date = {0};
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put_get(fd, "/stored");
    raw_get_reply(fd, &reply);
    assert_int_equal(reply.status, 202);
    assert_memory_equal(reply.head, "HTTP/1.1 202 Accepted\r\n", 23);
    assert_non_null(strstr(reply.head, "\r\nContent-Length: 0\r\n"));
    assert_non_null(strstr(reply.head, "\r\nX-Id: 7\r\n"));
    assert_non_null(strstr(reply.head, "\r\nServer: test\r\n"));
    assert_non_null(
        strptime(strstr(reply.head, "\r\nDate: ") + 8, "%a, %d %b %Y %T GMT\r\n", &date));
    assert_in_range(time(NULL) - timegm(&date), 0, 5);
    free(reply.body);
    /* HEAD: the fields of the content without it (RFC 9110 9.3.2). */
    raw_put(fd, "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(raw_get_reply_try(fd, false, &reply));
    assert_int_equal(reply.body_len, BIG_BYTES);
    free(reply.body);
    raw_put(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    raw_get_reply(fd, &reply);
    assert_non_null(strstr(reply.head, "\r\nConnection: keep-alive\r\n"));
    free(reply.body);
    raw_put(fd,
            "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /hold HTTP/1.1\r\n\r\n");
    raw_get_reply(fd, &reply);
    assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
    free(reply.body);
    raw_expect_end(fd);
    fd = raw_connect(f.port);
    raw_put(fd, "GET /echo HTTP/1.0\r\n\r\n");
    raw_expect(fd, 200, "");
    raw_expect_end(fd);
    assert_int_equal(server_state_of(&f, "held"), 0);
    server_stop(&f);
}

static void test_a_drain_answers_what_is_in_hand(void **state)
{
    struct server_fixture f;
    struct raw_reply reply;
    int idle;
    int busy;
    int partial;
    (void)state;
    server_start_default(&f);
    idle = raw_connect(f.port);
    busy = raw_connect(f.port);
    partial = raw_connect(f.port);
    raw_put_get(busy, "/hold?a");
    raw_put_get(busy, "/hold?b");
    raw_put(partial, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    server_wait_state(&f, "held", 2);
    server_command(&f, &f.wants_drain);
    raw_expect_end(idle);
    assert_int_equal(raw_connect_try(f.port), -1);
    raw_put(partial, "b");
    raw_expect(partial, 200, "ab");
    raw_expect_end(partial);
    assert_false(atomic_load(&f.is_drained));
    server_command(&f, &f.wants_release);
    raw_get_reply(busy, &reply);
    assert_string_equal(reply.body, "a");
    assert_null(strstr(reply.head, "Connection: close"));
    free(reply.body);
    raw_get_reply(busy, &reply);
    assert_string_equal(reply.body, "b");
    assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
    free(reply.body);
    raw_expect_end(busy);
    server_wait_for(&f.is_drained);
    server_stop(&f);
}

static void test_a_drain_takes_the_whole_backlog(void **state)
{
    enum { COUNT = 300 }; /* more than are accepted in one turn of the loop */
    struct http_server_config with = server_config();
    struct server_fixture f;
    int blocker;
    int fds[COUNT];
    (void)state;
    with.connections_max = COUNT + 1;
    with.in_flight_max = COUNT + 1;
    server_start(&f, &with);
    blocker = raw_connect(f.port);
    raw_put_get(blocker, "/block");
    server_wait_for(&f.is_blocked);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_connect(f.port);
        raw_put_get(fds[i], "/echo");
    }
    server_command(&f, &f.wants_drain);
    atomic_store(&f.is_blocked, false);
    raw_expect(blocker, 200, "");
    (void)close(blocker);
    for (int i = 0; i < COUNT; i++) {
        raw_expect(fds[i], 200, "");
        raw_expect_end(fds[i]);
    }
    server_wait_for(&f.is_drained);
    server_stop(&f);
}

static void test_closing_waits_for_the_last_answer(void **state)
{
    struct server_fixture f;
    int fd;
    (void)state;
    server_start_default(&f);
    fd = raw_connect(f.port);
    raw_put_get(fd, "/hold?a");
    server_wait_state(&f, "held", 1);
    server_command(&f, &f.wants_close);
    raw_expect_end(fd);
    assert_false(atomic_load(&f.is_closed));
    server_command(&f, &f.wants_release);
    server_join(&f);
}

static void test_addresses(void **state)
{
    struct http_server_config with = server_config();
    struct http_server *second;
    struct server_fixture f;
    struct mr_error err;
    char expected[100];
    (void)state;
    with.reuse_port = true;
    server_start(&f, &with);
    with.listeners[0].address.port = f.port;
    with.reuse_port = false;
    assert_int_equal(http_server_open(&f.loop, &with, server_on_request, &f, &second, &err),
                     MR_ENET);
    (void)snprintf(expected, sizeof expected, "listen on 127.0.0.1:%u: Address already in use",
                   (unsigned)f.port);
    assert_string_equal(err.text, expected);
    (void)snprintf(with.listeners[0].address.host, sizeof with.listeners[0].address.host,
                   "192.0.2.1"); /* RFC 5737 */
    assert_int_equal(http_server_open(&f.loop, &with, server_on_request, &f, &second, &err),
                     MR_ENET);
    assert_non_null(strstr(err.text, "Cannot assign requested address"));
    server_stop(&f);
}

/* Clients that stay, as devices do: each loop gets a fair part of them. */
static void test_two_loops_share_an_address(void **state)
{
    enum { CLIENTS = 200 };
    struct http_server_config with = server_config();
    struct server_fixture one;
    struct server_fixture two;
    int fds[CLIENTS];
    (void)state;
    with.reuse_port = true;
    with.connections_max = CLIENTS;
    server_start(&one, &with);
    with.listeners[0].address.port = one.port;
    server_start(&two, &with);
    assert_int_equal(one.port, two.port);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = raw_connect(one.port);
        raw_put_get(fds[i], "/echo");
        raw_expect(fds[i], 200, "");
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)close(fds[i]);
    }
    server_stop(&one);
    server_stop(&two);
    assert_int_equal(one.seen + two.seen, CLIENTS);
    /* The system spreads them by chance: a quarter is seven deviations away from a half. */
    assert_in_range(one.seen, CLIENTS / 4, CLIENTS - CLIENTS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_keep_the_order_of_the_requests),
        cmocka_unit_test(test_reading_pauses_when_the_pipeline_is_full),
        cmocka_unit_test(test_a_flood_behind_a_full_pipeline_waits),
        cmocka_unit_test(test_a_half_closed_client_gets_its_answers),
        cmocka_unit_test(test_a_client_that_leaves_changes_nothing),
        cmocka_unit_test(test_a_body_that_is_expected_is_asked_for),
        cmocka_unit_test(test_a_large_chunked_body_comes_through),
        cmocka_unit_test(test_the_form_of_answers),
        cmocka_unit_test(test_a_drain_answers_what_is_in_hand),
        cmocka_unit_test(test_a_drain_takes_the_whole_backlog),
        cmocka_unit_test(test_closing_waits_for_the_last_answer),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_two_loops_share_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

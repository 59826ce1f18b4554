// SPDX-License-Identifier: Apache-2.0
/* The server with two listeners, plain and TLS, on one loop. lib/server_fixture.h says what it
 * answers. */
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
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "lib/server_fixture.h"
#include "lib/tls_client.h"
#include "net/tls_stream.h"

struct fixture {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct cert client;
    struct tls_context_config config;
    struct tls_context *context;
    struct mr_series *handshakes[TLS_OUTCOMES];
    struct server_fixture f;
};

static struct tls_client_spec anybody(const struct fixture *t)
{
    return (struct tls_client_spec){.ca = &t->ca};
}

static int set_up(void **state)
{
    static const struct mr_metric metric = {.name = "test", .type = MR_COUNTER, .labels = {"n"}};
    static struct fixture t;
    static char files[TLS_FILES][CERT_PATH_BYTES];
    struct mr_error err;
    enum tls_file file;
    (void)signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    cert_folder_make(&t.folder);
    cert_make(&t.ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&t.server, &(struct cert_spec){.common_name = "localhost", .issuer = &t.ca});
    cert_make(&t.client, &(struct cert_spec){.common_name = "d1", .issuer = &t.ca});
    for (int i = 0; i <= TLS_FILE_CLIENT_CA; i++) {
        (void)snprintf(files[i], sizeof files[i], "%.100s/%d", t.folder.path, i);
        t.config.files[i] = files[i];
    }
    t.config.client = TLS_CLIENT_OPTIONAL;
    cert_write(t.config.files[TLS_FILE_CERTIFICATE], &t.server, NULL);
    cert_write_key(t.config.files[TLS_FILE_KEY], &t.server, NULL);
    cert_write(t.config.files[TLS_FILE_CLIENT_CA], &t.ca, NULL);
    assert_int_equal(tls_context_new(&t.config, &t.context, &file, &err), 0);
    for (int i = 0; i < TLS_OUTCOMES; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        t.handshakes[i] = mr_series_get(&metric, (const char *const[]){text});
    }
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *t = *state;
    tls_context_unref(t->context);
    cert_done(&t->ca);
    cert_done(&t->server);
    cert_done(&t->client);
    cert_folder_remove(&t->folder);
    return 0;
}

static struct http_server_config with_tls(const struct fixture *t)
{
    struct http_server_config with = server_config();
    with.listeners[1] =
        (struct http_listener_config){.address = {.host = "127.0.0.1"}, .tls = t->context};
    with.listener_count = 2;
    with.handshakes = t->handshakes;
    return with;
}

static void start(struct fixture *t)
{
    struct http_server_config with = with_tls(t);
    server_start(&t->f, &with);
}

static void open_client(const struct fixture *t, struct tls_client *client)
{
    struct tls_client_spec spec = anybody(t);
    tls_client_open(client, t->f.second_port, &spec);
}

static int64_t count_of(const struct fixture *t, enum tls_outcome outcome)
{
    return mr_series_value(t->handshakes[outcome]);
}

static void wait_count(const struct fixture *t, enum tls_outcome outcome, int64_t wanted)
{
    double end = raw_now_s() + RAW_DEADLINE_S;
    while (count_of(t, outcome) != wanted) {
        assert_true(raw_now_s() < end);
        (void)poll(NULL, 0, 1);
    }
}

static void test_both_versions_and_the_plain_port(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct fixture *t = *state;
    int64_t before = count_of(t, TLS_COMPLETED);
    int fd;
    start(t);
    for (size_t i = 0; i < MR_COUNT_OF(versions); i++) {
        struct tls_client_spec spec = {.ca = &t->ca, .cert = &t->client, .version = versions[i]};
        struct tls_client client;
        tls_client_open(&client, t->f.second_port, &spec);
        tls_client_put(&client, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        tls_client_expect(&client, 200, "hello");
        tls_client_put_get(&client, "/subject");
        tls_client_expect(&client, 200, "CN=d1");
        tls_client_close(&client);
    }
    fd = raw_connect(t->f.port);
    raw_put_get(fd, "/subject");
    raw_expect(fd, 200, "");
    (void)close(fd);
    server_stop(&t->f);
    assert_int_equal(count_of(t, TLS_COMPLETED) - before, 2);
}

static void test_answers_keep_the_order_of_the_requests(void **state)
{
    struct fixture *t = *state;
    struct tls_client client;
    start(t);
    open_client(t, &client);
    tls_client_put(&client,
                   "GET /hold?a HTTP/1.1\r\nHost: a\r\n\r\nGET /hold?b HTTP/1.1\r\nHost: a\r\n\r\n"
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nnow"
                   "GET /hold?c HTTP/1.1\r\nHost: a\r\n\r\n");
    server_wait_state(&t->f, "held", 3);
    server_release_held(&t->f);
    tls_client_expect(&client, 200, "a");
    tls_client_expect(&client, 200, "b");
    tls_client_expect(&client, 200, "now");
    tls_client_expect(&client, 200, "c");
    tls_client_close(&client);
    server_stop(&t->f);
}

/* More waits behind the full pipeline than the server reads at once. */
static void test_a_flood_behind_a_full_pipeline_waits(void **state)
{
    enum { PADDING = 3000, FLOOD = 120 };
    static char target[PADDING + 100];
    struct fixture *t = *state;
    struct tls_client client;
    start(t);
    open_client(t, &client);
    (void)snprintf(target, sizeof target, "/hold?%0*d", PADDING, 0);
    for (int i = 0; i < FLOOD; i++) {
        tls_client_put_get(&client, target);
    }
    for (int i = 0; i < FLOOD; i += PIPELINE_MAX) {
        server_wait_state(&t->f, "held", PIPELINE_MAX);
        server_release_held(&t->f);
        for (int k = 0; k < PIPELINE_MAX; k++) {
            struct raw_reply reply;
            tls_client_get_reply(&client, &reply);
            assert_int_equal(reply.body_len, PADDING);
            free(reply.body);
        }
    }
    tls_client_close(&client);
    server_wait_state(&t->f, "connections", 1);
    server_stop(&t->f);
}

static void test_a_large_body_both_ways(void **state)
{
    enum { LARGE = 1024 * 1024 };
    struct fixture *t = *state;
    char *body = malloc(LARGE + 1);
    struct tls_client client;
    assert_non_null(body);
    for (size_t i = 0; i < LARGE; i++) {
        body[i] = (char)('a' + i % 23);
    }
    body[LARGE] = '\0';
    start(t);
    open_client(t, &client);
    for (int i = 0; i < 3; i++) {
        tls_client_put(&client,
                       "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
        tls_client_put_bytes(&client, body, LARGE);
        tls_client_expect(&client, 200, body);
    }
    tls_client_close(&client);
    server_stop(&t->f);
    free(body);
}

static void test_a_client_that_does_not_read(void **state)
{
    enum { ASKED = 400 };
    struct fixture *t = *state;
    struct tls_client client;
    start(t);
    open_client(t, &client);
    for (int i = 0; i < ASKED; i++) {
        tls_client_put_get(&client, "/big");
    }
    server_wait_until_stuck(&t->f);
    assert_true(server_state_of(&t->f, "seen") < ASKED);
    for (int i = 0; i < ASKED; i++) {
        struct raw_reply reply;
        tls_client_get_reply(&client, &reply);
        assert_int_equal(reply.body_len, BIG_BYTES);
        free(reply.body);
    }
    tls_client_close(&client);
    server_stop(&t->f);
}

/* RFC 8446 6.1: what was asked before close_notify is answered after it. */
static void test_a_half_closed_client_gets_its_answers(void **state)
{
    struct fixture *t = *state;
    struct tls_client client;
    start(t);
    open_client(t, &client);
    tls_client_put_get(&client, "/hold?a");
    tls_client_put_get(&client, "/hold?b");
    assert_int_equal(SSL_shutdown(client.ssl), 0);
    server_wait_state(&t->f, "held", 2);
    server_release_held(&t->f);
    tls_client_expect(&client, 200, "a");
    tls_client_expect(&client, 200, "b");
    tls_client_expect_end(&client);
    tls_client_close(&client);
    server_stop(&t->f);
}

static void test_a_client_that_says_goodbye_is_told_the_same(void **state)
{
    struct fixture *t = *state;
    struct tls_client client;
    start(t);
    open_client(t, &client);
    assert_int_equal(SSL_shutdown(client.ssl), 0);
    tls_client_expect_end(&client);
    tls_client_close(&client);
    open_client(t, &client);
    tls_client_put(&client, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    tls_client_expect(&client, 200, "");
    tls_client_expect_end(&client);
    tls_client_close(&client);
    server_stop(&t->f);
}

static void test_plain_http_on_the_tls_port(void **state)
{
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                           "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", "o"};
    struct fixture *t = *state;
    int64_t before = count_of(t, TLS_PLAINTEXT);
    start(t);
    for (size_t i = 0; i < MR_COUNT_OF(requests); i++) {
        int fd = raw_connect(t->f.second_port);
        raw_put(fd, requests[i]);
        raw_expect_refusal(fd, 400);
    }
    server_stop(&t->f);
    assert_int_equal(count_of(t, TLS_PLAINTEXT) - before, 3);
}

/* A client hello of TLS 1.2 (RFC 5246 7.4.1.2), its beginning. */
static void test_tls_on_the_plain_port(void **state)
{
    struct fixture *t = *state;
    int fd;
    start(t);
    fd = raw_connect(t->f.port);
    raw_put_bytes(fd, "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03", 11);
    raw_expect_refusal(fd, 400);
    server_stop(&t->f);
}

static void test_garbage_gets_an_alert_and_the_end(void **state)
{
    struct fixture *t = *state;
    int64_t before = count_of(t, TLS_ERROR);
    char bytes[16];
    int fd;
    start(t);
    fd = raw_connect(t->f.second_port);
    raw_put_bytes(fd, "\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9);
    assert_int_equal(recv(fd, bytes, 7, MSG_WAITALL), 7);
    assert_int_equal(bytes[0], 21); /* RFC 8446 5.1: alert */
    assert_int_equal(recv(fd, bytes, 1, 0), 0);
    (void)close(fd);
    server_stop(&t->f);
    assert_int_equal(count_of(t, TLS_ERROR) - before, 1);
}

/* What is in hand lives on without the connection. */
static void test_a_forged_record_ends_the_connection(void **state)
{
    struct fixture *t = *state;
    struct tls_client client;
    char byte;
    start(t);
    open_client(t, &client);
    tls_client_put_get(&client, "/hold?a");
    server_wait_state(&t->f, "held", 1);
    raw_put_bytes(client.fd, "\x17\x03\x03\x00\x14 forged forged forge", 25);
    assert_true(SSL_read(client.ssl, &byte, 1) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    tls_client_close(&client);
    server_wait_state(&t->f, "connections", 1);
    assert_int_equal(server_state_of(&t->f, "held"), 1);
    server_release_held(&t->f);
    server_stop(&t->f);
}

static void test_a_handshake_that_is_too_slow(void **state)
{
    struct fixture *t = *state;
    struct http_server_config with = with_tls(t);
    int64_t before = count_of(t, TLS_TIMEOUT);
    char byte;
    int silent;
    int slow;
    with.request_ms = 200;
    server_start(&t->f, &with);
    silent = raw_connect(t->f.second_port);
    slow = raw_connect(t->f.second_port);
    raw_put_bytes(slow, "\x16\x03\x01", 3);
    assert_int_equal(recv(silent, &byte, 1, 0), 0);
    assert_int_equal(recv(slow, &byte, 1, 0), 0);
    (void)close(silent);
    (void)close(slow);
    wait_count(t, TLS_TIMEOUT, before + 2);
    server_stop(&t->f);
}

/* After the handshake it is the time of an idle connection that counts. */
static void test_an_idle_connection_outlives_the_handshake(void **state)
{
    struct fixture *t = *state;
    struct http_server_config with = with_tls(t);
    struct tls_client client;
    double end;
    with.request_ms = 2000;
    with.idle_ms = 6000;
    server_start(&t->f, &with);
    open_client(t, &client);
    end = raw_now_s() + 2.5;
    while (raw_now_s() < end) {
        (void)poll(NULL, 0, 10);
    }
    tls_client_put_get(&client, "/echo");
    tls_client_expect(&client, 200, "");
    tls_client_expect_end(&client);
    tls_client_close(&client);
    server_stop(&t->f);
}

/* As much of the handshake and a request as `limit` bytes; false: all of it was sent. */
static bool leave_after(const struct fixture *t, size_t limit)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    int fd = raw_connect(t->f.second_port);
    size_t sent = 0;
    bool is_cut = false;
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    for (bool is_asked = false; !is_cut && !is_asked;) {
        char bytes[4096];
        char *ready;
        size_t len;
        if (SSL_do_handshake(ssl) == 1) {
            assert_true(SSL_write(ssl, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 31) > 0);
            is_asked = true;
        }
        len = (size_t)BIO_get_mem_data(out, &ready);
        is_cut = sent + len > limit;
        len = is_cut ? limit - sent : len;
        raw_put_bytes(fd, ready, len);
        sent += len;
        (void)BIO_reset(out);
        if (!is_cut && !is_asked) {
            ssize_t got = recv(fd, bytes, sizeof bytes, 0);
            assert_true(got > 0);
            assert_int_equal(BIO_write(in, bytes, (int)got), got);
        }
    }
    (void)close(fd);
    SSL_free(ssl);
    SSL_CTX_free(context);
    ERR_clear_error();
    return is_cut;
}

static void test_disconnects_at_every_byte(void **state)
{
    struct fixture *t = *state;
    size_t limit = 0;
    start(t);
    while (leave_after(t, limit)) {
        limit++;
    }
    assert_true(limit > 300);
    server_wait_state(&t->f, "connections", 1);
    server_wait_state(&t->f, "in_flight", 1);
    server_stop(&t->f);
}

static void test_too_many_connections_are_told_so(void **state)
{
    struct fixture *t = *state;
    struct http_server_config with = with_tls(t);
    struct tls_client first;
    struct tls_client second;
    with.connections_max = 1;
    server_start(&t->f, &with);
    open_client(t, &first);
    open_client(t, &second);
    tls_client_expect(&second, 503, NULL);
    tls_client_expect_end(&second);
    tls_client_put_get(&first, "/echo");
    tls_client_expect(&first, 200, "");
    tls_client_close(&first);
    tls_client_close(&second);
    server_stop(&t->f);
}

static void test_drain(void **state)
{
    struct fixture *t = *state;
    struct tls_client idle;
    struct tls_client busy;
    int midway;
    char byte;
    start(t);
    open_client(t, &idle);
    tls_client_put_get(&idle, "/echo");
    tls_client_expect(&idle, 200, "");
    open_client(t, &busy);
    tls_client_put_get(&busy, "/hold?a");
    midway = raw_connect(t->f.second_port);
    server_wait_state(&t->f, "held", 1);
    server_command(&t->f, &t->f.wants_drain);
    tls_client_expect_end(&idle);
    assert_int_equal(recv(midway, &byte, 1, 0), 0);
    server_command(&t->f, &t->f.wants_release);
    tls_client_expect(&busy, 200, "a");
    tls_client_expect_end(&busy);
    tls_client_close(&idle);
    tls_client_close(&busy);
    (void)close(midway);
    server_wait_for(&t->f.is_drained);
    server_stop(&t->f);
}

/* Loops share each context, and go on to the next one by one, while clients come and go. */
static void test_new_contexts_for_several_loops(void **state)
{
    enum { LOOPS = 2, ROUNDS = 20, OPEN = 4 };
    struct fixture *t = *state;
    struct http_server_config with = with_tls(t);
    struct server_fixture loops[LOOPS];
    with.reuse_port = true;
    for (int i = 0; i < LOOPS; i++) {
        server_start(&loops[i], &with);
        with.listeners[0].address.port = loops[0].port;
        with.listeners[1].address.port = loops[0].second_port;
    }
    t->f.second_port = loops[0].second_port;
    for (int round = 0; round < ROUNDS; round++) {
        struct tls_client clients[OPEN];
        struct tls_context *next;
        struct mr_error err;
        enum tls_file file;
        for (int i = 0; i < OPEN; i++) {
            open_client(t, &clients[i]);
        }
        assert_int_equal(tls_context_new(&t->config, &next, &file, &err), 0);
        for (int i = 0; i < LOOPS; i++) {
            tls_context_unref(atomic_exchange(&loops[i].next_tls, tls_context_ref(next)));
            (void)uv_async_send(&loops[i].async);
        }
        tls_context_unref(next);
        for (int i = 0; i < OPEN; i++) {
            tls_client_put_get(&clients[i], "/echo");
            tls_client_expect(&clients[i], 200, "");
            tls_client_close(&clients[i]);
        }
    }
    for (int i = 0; i < LOOPS; i++) {
        server_stop(&loops[i]);
        tls_context_unref(atomic_exchange(&loops[i].next_tls, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_versions_and_the_plain_port),
        cmocka_unit_test(test_answers_keep_the_order_of_the_requests),
        cmocka_unit_test(test_a_flood_behind_a_full_pipeline_waits),
        cmocka_unit_test(test_a_large_body_both_ways),
        cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_a_half_closed_client_gets_its_answers),
        cmocka_unit_test(test_a_client_that_says_goodbye_is_told_the_same),
        cmocka_unit_test(test_plain_http_on_the_tls_port),
        cmocka_unit_test(test_tls_on_the_plain_port),
        cmocka_unit_test(test_garbage_gets_an_alert_and_the_end),
        cmocka_unit_test(test_a_forged_record_ends_the_connection),
        cmocka_unit_test(test_a_handshake_that_is_too_slow),
        cmocka_unit_test(test_an_idle_connection_outlives_the_handshake),
        cmocka_unit_test(test_disconnects_at_every_byte),
        cmocka_unit_test(test_too_many_connections_are_told_so),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_new_contexts_for_several_loops),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: Apache-2.0
/* What clients have only half sent must not keep others from being served.
 * lib/server_fixture.h says what the server answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/certificates.h"
#include "lib/raw_client.h"
#include "lib/server_fixture.h"
#include "lib/tls_client.h"

enum { BODY_BYTES = 64 * 1024, BYTES_MAX = 512 * 1024, HALVES = 12, HANDSHAKES_MAX = 5 };

/* A record of a ClientHello, of which the rest doesn't come. */
static const char half_hello[] = {0x16, 3, 1, 1, 0, 1, 0, 0, 0x7c};

static struct http_server_config small(void)
{
    struct http_server_config with = server_config();
    with.in_flight_bytes_max = BYTES_MAX;
    with.limits.body_bytes_max = BODY_BYTES;
    return with;
}

/* All of it but the last byte. */
static int put_half(const struct server_fixture *f, const char *path)
{
    static char body[BODY_BYTES];
    char head[200];
    int fd = raw_connect(f->port);
    (void)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                   path, BODY_BYTES);
    raw_put(fd, head);
    raw_put_bytes(fd, body, BODY_BYTES - 1);
    return fd;
}

static void expect_served(const struct server_fixture *f)
{
    int fd = raw_connect(f->port);
    raw_put(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    raw_expect(fd, 200, "hi");
    (void)close(fd);
}

static void test_the_oldest_half_makes_room(void **state)
{
    struct http_server_config with = small();
    struct server_fixture f;
    int halves[HALVES];
    (void)state;
    server_start(&f, &with);
    for (int i = 0; i < HALVES; i++) {
        halves[i] = put_half(&f, "/stored");
        expect_served(&f);
    }
    assert_in_range(server_state_of(&f, "partial"), BODY_BYTES, BYTES_MAX / HTTP_PARTIAL_SHARE);
    raw_put(halves[HALVES - 1], "x");
    raw_expect(halves[HALVES - 1], 202, NULL);
    (void)close(halves[HALVES - 1]);
    raw_expect_refusal(halves[0], 503);
    for (int i = 1; i < HALVES - 1; i++) {
        (void)close(halves[i]);
    }
    server_wait_state(&f, "partial", 0);
    server_stop(&f);
}

/* Requests that are whole need more than the other half. */
static void test_halves_yield_to_whole_requests(void **state)
{
    struct http_server_config with = small();
    struct server_fixture f;
    enum { HELD = 6 };
    int halves[3];
    int held[HELD];
    (void)state;
    server_start(&f, &with);
    for (int i = 0; i < 3; i++) {
        halves[i] = put_half(&f, "/stored");
    }
    for (unsigned i = 0; i < HELD; i++) {
        held[i] = put_half(&f, "/hold?x");
        raw_put(held[i], "x");
        server_wait_state(&f, "held", i + 1);
    }
    for (int i = 0; i < 3; i++) {
        int fd = put_half(&f, "/hold?x");
        raw_put(fd, "x");
        (void)close(fd);
    }
    raw_expect_refusal(halves[0], 503);
    server_release_held(&f);
    for (unsigned i = 0; i < HELD; i++) {
        raw_expect(held[i], 200, "x");
        (void)close(held[i]);
    }
    (void)close(halves[1]);
    (void)close(halves[2]);
    server_stop(&f);
}

static bool wants_content(const struct http_request *request, void *user)
{
    (void)user;
    return !mr_slice_is(http_request_path(request), MR_SLICE("/echo"));
}

/* Not buffered, not waited for, and nothing behind it is read as a request. */
static void test_a_head_that_is_enough_is_answered(void **state)
{
    struct http_server_config with = small();
    struct server_fixture f;
    struct raw_reply reply;
    int fd;
    (void)state;
    with.wants_content = wants_content;
    server_start(&f, &with);
    fd = put_half(&f, "/echo");
    raw_get_reply(fd, &reply);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.head, "Connection: close\r\n"));
    assert_true(reply.body_len < BODY_BYTES - 1);
    free(reply.body);
    raw_put(fd, "xGET /hold?never HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_expect_end(fd);
    assert_int_equal(server_state_of(&f, "held"), 0);
    assert_int_equal(server_state_of(&f, "seen"), 1);
    expect_served(&f); /* one that is here already is the program's to see */
    fd = put_half(&f, "/stored");
    raw_put(fd, "x");
    raw_expect(fd, 202, NULL);
    (void)close(fd);
    server_stop(&f);
}

struct tls_files {
    struct cert_folder folder;
    struct cert ca;
    struct cert server;
    struct tls_context *context;
};

static void make_context(struct tls_files *t)
{
    struct tls_context_config config = {.client = TLS_CLIENT_NONE};
    enum tls_file file;
    cert_folder_make(&t->folder);
    cert_make(&t->ca, &(struct cert_spec){.common_name = "Test CA", .is_authority = 1});
    cert_make(&t->server, &(struct cert_spec){.common_name = "localhost", .issuer = &t->ca});
    cert_write(cert_path(&t->folder, "server.pem"), &t->server, NULL);
    cert_write_key(cert_path(&t->folder, "server.key"), &t->server, NULL);
    config.files[TLS_FILE_CERTIFICATE] = cert_path(&t->folder, "server.pem");
    config.files[TLS_FILE_KEY] = cert_path(&t->folder, "server.key");
    assert_int_equal(tls_context_new(&config, &t->context, &file, NULL), 0);
}

static void drop_context(struct tls_files *t)
{
    tls_context_unref(t->context);
    cert_done(&t->ca);
    cert_done(&t->server);
    cert_folder_remove(&t->folder);
}

/* The connections that the server has ended; with a reset, if it hadn't read what they sent. */
static void expect_ended(const int *fds, int count)
{
    errno = 0;
    for (int i = 0; i < count; i++) {
        char byte;
        assert_true(recv(fds[i], &byte, 1, 0) <= 0);
        assert_int_not_equal(errno, EAGAIN); /* RAW_DEADLINE_S */
        (void)close(fds[i]);
    }
}

static void test_the_oldest_handshake_makes_room(void **state)
{
    struct http_server_config with = small();
    struct server_fixture f;
    struct tls_files t;
    struct tls_client client;
    int fds[2 * HANDSHAKES_MAX];
    (void)state;
    make_context(&t);
    with.listeners[1] =
        (struct http_listener_config){.address = {.host = "127.0.0.1"}, .tls = t.context};
    with.listener_count = 2;
    with.handshakes_max = HANDSHAKES_MAX;
    server_start(&f, &with);
    for (int i = 0; i < 2 * HANDSHAKES_MAX; i++) {
        fds[i] = raw_connect(f.second_port);
        raw_put_bytes(fds[i], half_hello, sizeof half_hello);
    }
    expect_ended(fds, HANDSHAKES_MAX);
    server_wait_state(&f, "shaking", HANDSHAKES_MAX);
    tls_client_open(&client, f.second_port, &(struct tls_client_spec){.ca = &t.ca});
    tls_client_put_get(&client, "/subject");
    tls_client_expect(&client, 200, "");
    tls_client_close(&client);
    expect_ended(fds + HANDSHAKES_MAX, 1);
    for (int i = HANDSHAKES_MAX + 1; i < 2 * HANDSHAKES_MAX; i++) {
        (void)close(fds[i]);
    }
    server_stop(&f);
    drop_context(&t);
}

/* The memory of handshakes is what both ports have. */
static void test_handshakes_do_not_take_the_plain_ports_memory(void **state)
{
    enum { COUNT = 40 };
    struct http_server_config with = small();
    struct server_fixture f;
    struct tls_files t;
    int fds[COUNT];
    (void)state;
    make_context(&t);
    with.listeners[1] =
        (struct http_listener_config){.address = {.host = "127.0.0.1"}, .tls = t.context};
    with.listener_count = 2;
    server_start(&f, &with);
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_connect(f.second_port);
        raw_put_bytes(fds[i], half_hello, sizeof half_hello);
        expect_served(&f);
    }
    expect_ended(fds, 1);
    assert_in_range(server_state_of(&f, "partial"), 1, BYTES_MAX / HTTP_PARTIAL_SHARE);
    for (int i = 1; i < COUNT; i++) {
        (void)close(fds[i]);
    }
    server_wait_state(&f, "partial", 0);
    server_stop(&f);
    drop_context(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_half_makes_room),
        cmocka_unit_test(test_halves_yield_to_whole_requests),
        cmocka_unit_test(test_a_head_that_is_enough_is_answered),
        cmocka_unit_test(test_the_oldest_handshake_makes_room),
        cmocka_unit_test(test_handshakes_do_not_take_the_plain_ports_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

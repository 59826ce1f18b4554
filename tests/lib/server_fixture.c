// SPDX-License-Identifier: Apache-2.0
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

/* On the server's thread. */

static void answer_text(struct http_request *request, struct mr_slice text)
{
    http_request_answer(
        request, &(struct http_answer){.status = 200, .content_type = "text/plain", .body = text});
}

static void release(struct server_fixture *f, unsigned index)
{
    struct http_request *request = f->held[index];
    f->held_count--;
    memmove(&f->held[index], &f->held[index + 1], (f->held_count - index) * sizeof f->held[0]);
    answer_text(request, http_request_query(request));
}

static void release_all(struct server_fixture *f)
{
    while (f->held_count > 0) {
        release(f, f->held_count - 1);
    }
}

static void answer_state(struct server_fixture *f, struct http_request *request)
{
    const struct http_server *server = f->server;
    size_t out = 0;
    unsigned paused = 0;
    char text[256];
    int len;
    for (const struct http_connection *c = server->connections; c != NULL; c = c->next) {
        size_t unread = c->out.len + c->sending.len;
        out = unread > out ? unread : out;
        paused += !c->is_reading;
    }
    len =
        snprintf(text, sizeof text,
                 "connections=%zu in_flight=%zu bytes=%zu partial=%zu shaking=%zu held=%u seen=%u "
                 "out=%zu paused=%u ",
                 server->connection_count, server->in_flight, server->bytes, server->partial_bytes,
                 server->handshake_count, f->held_count, f->seen, out, paused);
    answer_text(request, mr_slice(text, (size_t)len));
}

void server_on_request(struct http_request *request, void *user)
{
    struct server_fixture *f = user;
    struct mr_slice path = http_request_path(request);
    if (mr_slice_is(path, MR_SLICE("/state"))) {
        answer_state(f, request);
        return;
    }
    f->seen++;
    if (mr_slice_is(path, MR_SLICE("/hold"))) {
        assert_true(f->held_count < HELD_MAX);
        f->held[f->held_count++] = request;
    } else if (mr_slice_is(path, MR_SLICE("/release"))) {
        release_all(f);
        answer_text(request, MR_SLICE("released"));
    } else if (mr_slice_is(path, MR_SLICE("/release-one"))) {
        release(f, 0);
        answer_text(request, MR_SLICE("released"));
    } else if (mr_slice_is(path, MR_SLICE("/big"))) {
        answer_text(request, mr_slice(f->big, BIG_BYTES));
    } else if (mr_slice_is(path, MR_SLICE("/block"))) {
        atomic_store(&f->is_blocked, true); /* the whole loop, until the test has had enough */
        while (atomic_load(&f->is_blocked)) {
            (void)poll(NULL, 0, 1);
        }
        answer_text(request, MR_SLICE(""));
    } else if (mr_slice_is(path, MR_SLICE("/subject"))) {
        answer_text(request, http_request_certificate_subject(request));
    } else if (mr_slice_is(path, MR_SLICE("/stored"))) {
        http_request_answer(request,
                            &(struct http_answer){.status = 202, .headers = "X-Id: 7\r\n"});
    } else {
        answer_text(request, http_request_body(request));
    }
}

static void on_drained(void *user)
{
    struct server_fixture *f = user;
    atomic_store(&f->is_drained, true);
}

static void on_server_closed(void *user)
{
    struct server_fixture *f = user;
    atomic_store(&f->is_closed, true);
    uv_close((uv_handle_t *)&f->async, NULL);
}

static void take_tls(struct server_fixture *f)
{
    struct tls_context *context = atomic_exchange(&f->next_tls, NULL);
    if (context != NULL) {
        http_server_set_tls(f->server, context);
    }
    tls_context_unref(context);
}

static void on_async(uv_async_t *async)
{
    struct server_fixture *f = async->data;
    take_tls(f);
    if (atomic_exchange(&f->wants_drain, false)) {
        http_server_drain(f->server, on_drained, f);
    }
    if (atomic_exchange(&f->wants_release, false)) {
        release_all(f);
    }
    if (atomic_exchange(&f->wants_close, false)) {
        http_server_close(f->server, on_server_closed, f);
    }
}

static void *run(void *data)
{
    struct server_fixture *f = data;
    (void)uv_run(&f->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* By a thread that ends at once: libuv 1.50 may give the loop an io_uring, and Linux interrupts the
 * thread that made one when it is closed, here in the midst of the next test's recv(). */
static void *make_loop(void *data)
{
    struct server_fixture *f = data;
    f->loop_rc = uv_loop_init(&f->loop);
    return NULL;
}

/* On the test's thread. */

struct http_server_config server_config(void)
{
    return (struct http_server_config){
        .listeners = {{.address = {.host = "127.0.0.1"}}},
        .listener_count = 1,
        .connections_max = 100,
        .turned_away_max = 64,
        .drain_ms = 10000,
        .pipeline_max = PIPELINE_MAX,
        .in_flight_max = 50,
        .in_flight_bytes_max = 16 * 1024 * 1024,
        .handshakes_max = 50,
        .limits = {.head_bytes_max = 4096, .body_bytes_max = 1024 * 1024},
        .idle_ms = 60000,
        .request_ms = 60000,
        .write_ms = 60000,
        .server_name = "test",
    };
}

void server_start(struct server_fixture *f, const struct http_server_config *with)
{
    struct mr_error err;
    memset(f, 0, sizeof *f);
    f->big = malloc(BIG_BYTES);
    assert_non_null(f->big);
    memset(f->big, 'b', BIG_BYTES);
    assert_int_equal(pthread_create(&f->thread, NULL, make_loop, f), 0);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_int_equal(f->loop_rc, 0);
    assert_int_equal(uv_async_init(&f->loop, &f->async, on_async), 0);
    f->async.data = f;
    assert_int_equal(http_server_open(&f->loop, with, server_on_request, f, &f->server, &err), 0);
    f->port = http_server_port(f->server, 0);
    f->second_port = with->listener_count > 1 ? http_server_port(f->server, 1) : 0;
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
}

void server_start_default(struct server_fixture *f)
{
    struct http_server_config with = server_config();
    server_start(f, &with);
}

void server_command(struct server_fixture *f, atomic_bool *wanted)
{
    atomic_store(wanted, true);
    (void)uv_async_send(&f->async);
}

void server_join(struct server_fixture *f)
{
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_true(atomic_load(&f->is_closed));
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->big);
}

void server_stop(struct server_fixture *f)
{
    atomic_store(&f->wants_release, true);
    server_command(f, &f->wants_close);
    server_join(f);
}

void server_wait_for(const atomic_bool *flag)
{
    double end = raw_now_s() + RAW_DEADLINE_S;
    while (!atomic_load(flag)) {
        assert_true(raw_now_s() < end);
        (void)poll(NULL, 0, 1);
    }
}

unsigned long server_state_of(const struct server_fixture *f, const char *name)
{
    struct raw_reply reply;
    char key[40];
    const char *at;
    unsigned long value;
    int fd = raw_connect(f->port);
    raw_put(fd, "GET /state HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    raw_get_reply(fd, &reply);
    (void)snprintf(key, sizeof key, "%s=", name);
    at = strstr(reply.body, key);
    if (at == NULL) {
        fail_msg("%s%s has no %s", reply.head, reply.body, key);
    }
    value = strtoul(at + strlen(key), NULL, 10);
    free(reply.body);
    raw_expect_end(fd);
    return value;
}

void server_wait_state(const struct server_fixture *f, const char *name, unsigned long wanted)
{
    double end = raw_now_s() + RAW_DEADLINE_S;
    unsigned long value;
    while ((value = server_state_of(f, name)) != wanted) {
        if (raw_now_s() > end) {
            fail_msg("%s is %lu, not %lu", name, value, wanted);
        }
    }
}

/* Nothing more is read although answers wait to be sent. */
void server_wait_until_stuck(const struct server_fixture *f)
{
    double end = raw_now_s() + RAW_DEADLINE_S;
    unsigned long before = 0;
    for (int same = 0; same < 50;) {
        unsigned long seen = server_state_of(f, "seen");
        same = seen == before && server_state_of(f, "out") > 0 ? same + 1 : 0;
        before = seen;
        assert_true(raw_now_s() < end);
    }
}

void server_release_held(const struct server_fixture *f)
{
    int fd = raw_connect(f->port);
    raw_put(fd, "GET /release HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    raw_expect(fd, 200, "released");
    raw_expect_end(fd);
}

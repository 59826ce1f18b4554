// SPDX-License-Identifier: Apache-2.0
/* Two loops that share the devices and the attempts, in this process, for the sanitizer of threads:
 * clients with right and wrong passwords, while new devices are offered all the time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/http/identity/authenticate.h"
#include "bridge/http/identity/device_file.h"
#include "kit/magic.h"
#include "kit/mem.h"
#include "lib/hashes.h"
#include "lib/raw_client.h"
#include "lib/server_fixture.h"

enum { SIDE_MAGIC = 0x53494445, SIDES = 2, CLIENTS = 4, REQUESTS = 30, OFFERS = 200 };

/* base64 of d1@farm:sesame, d1@farm:x, nobody:x */
static const char *const credentials[] = {"ZDFAZmFybTpzZXNhbWU=", "ZDFAZmFybTp4", "bm9ib2R5Ong="};
static const int statuses[] = {202, 401, 401};

struct side {
    unsigned magic;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t async;
    struct http_server *server;
    struct authenticator *authenticator;
    atomic_bool wants_close;
};

struct client {
    pthread_t thread;
    uint16_t port;
    unsigned first;
};

static void answer(struct http_request *request, int status)
{
    http_request_answer(request, &(struct http_answer){.status = status});
}

static void on_decided(struct http_request *request, const struct identity *identity,
                       const struct refusal *refusal, void *user)
{
    (void)user;
    answer(request, identity != NULL ? 202 : refusal->status);
}

static void on_request(struct http_request *request, void *user)
{
    struct side *side;
    struct identity identity;
    struct refusal refusal;
    enum authenticated authenticated;
    MAGIC_CAST(side, user, SIDE_MAGIC);
    authenticated = authenticate(side->authenticator, request, &identity, &refusal);
    if (authenticated != AUTHENTICATED_LATER) {
        answer(request, authenticated == AUTHENTICATED_YES ? 202 : refusal.status);
    }
}

static void on_authenticator_closed(void *user)
{
    struct side *side;
    MAGIC_CAST(side, user, SIDE_MAGIC);
    uv_close((uv_handle_t *)&side->async, NULL);
}

static void on_server_closed(void *user)
{
    struct side *side;
    MAGIC_CAST(side, user, SIDE_MAGIC);
    authenticator_close(side->authenticator, on_authenticator_closed, side);
}

static void on_async(uv_async_t *handle)
{
    struct side *side;
    MAGIC_CAST(side, handle->data, SIDE_MAGIC);
    authenticator_renew(side->authenticator);
    if (atomic_exchange(&side->wants_close, false)) {
        authenticator_stop(side->authenticator);
        http_server_close(side->server, on_server_closed, side);
    }
}

static void *run_side(void *data)
{
    struct side *side = data;
    (void)uv_run(&side->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&side->loop);
    return NULL;
}

static void open_side(struct side *side, const struct authenticator_config *common)
{
    struct http_server_config config = server_config();
    struct authenticator_config own = *common;
    *side = (struct side){.magic = SIDE_MAGIC};
    assert_int_equal(uv_loop_init(&side->loop), 0);
    assert_int_equal(uv_async_init(&side->loop, &side->async, on_async), 0);
    side->async.data = side;
    own.loop = &side->loop;
    own.on_decided = on_decided;
    own.user = side;
    assert_int_equal(authenticator_open(&own, &side->authenticator, NULL), 0);
    assert_int_equal(http_server_open(&side->loop, &config, on_request, side, &side->server, NULL),
                     0);
    assert_int_equal(pthread_create(&side->thread, NULL, run_side, side), 0);
}

static void close_side(struct side *side)
{
    atomic_store(&side->wants_close, true);
    (void)uv_async_send(&side->async);
    assert_int_equal(pthread_join(side->thread, NULL), 0);
}

static void *run_client(void *data)
{
    const struct client *client = data;
    int fd = raw_connect(client->port);
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned which = (client->first + i) % MR_COUNT_OF(credentials);
        char text[200];
        (void)snprintf(text, sizeof text,
                       "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %s\r\n"
                       "Content-Length: 0\r\n\r\n",
                       credentials[which]);
        raw_put(fd, text);
        raw_expect(fd, statuses[which], "");
    }
    (void)close(fd);
    return NULL;
}

static struct devices *read_devices(void)
{
    static const char text[] = "[device d1@farm]\npassword = " HASH_SHA512 "\n";
    struct devices *devices = NULL;
    struct device_problems problems;
    device_problems_init(&problems);
    assert_int_equal(
        device_file_parse(mem_strdup(text), strlen(text), "d.conf", &devices, &problems), 0);
    device_problems_done(&problems);
    return devices;
}

static void offer(struct side *sides)
{
    struct devices *devices = read_devices();
    for (unsigned i = 0; i < SIDES; i++) {
        authenticator_offer(sides[i].authenticator, devices_own(devices));
        (void)uv_async_send(&sides[i].async);
    }
    devices_disown(devices);
}

static void test_loops_share_what_they_share(void **state)
{
    static const struct bridge_options options = {.auth = BRIDGE_AUTH_BASIC,
                                                  .answer_ms = 60000,
                                                  .loops = SIDES,
                                                  .password_checks_max = 1000,
                                                  .password_cache_max = 10,
                                                  .attempts_max = 100000,
                                                  .attempts_ms = 50};
    struct authentication_metrics metrics;
    struct authenticator_config common = {.options = &options, .metrics = &metrics};
    static struct side sides[SIDES];
    struct client clients[CLIENTS];
    (void)state;
    authentication_metrics_init(&metrics);
    common.devices = read_devices();
    common.attempts = attempts_new(options.attempts_max, options.attempts_ms);
    common.rooms = password_rooms_new();
    assert_non_null(common.attempts);
    assert_int_equal(verified_shared_new(10, &common.verified, NULL), 0);
    assert_non_null(common.rooms);
    for (unsigned i = 0; i < SIDES; i++) {
        open_side(&sides[i], &common);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] =
            (struct client){.port = http_server_port(sides[i % SIDES].server, 0), .first = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < OFFERS; i++) {
        offer(sides);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
    }
    offer(sides); /* perhaps never taken */
    for (unsigned i = 0; i < SIDES; i++) {
        close_side(&sides[i]);
    }
    devices_disown(common.devices);
    attempts_free(common.attempts);
    password_rooms_free(common.rooms);
    verified_shared_free(common.verified);
}

static int status_of(const struct side *side, unsigned which)
{
    struct raw_reply reply;
    char text[200];
    int fd = raw_connect(http_server_port(side->server, 0));
    (void)snprintf(text, sizeof text,
                   "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %s\r\n"
                   "Content-Length: 0\r\n\r\n",
                   credentials[which]);
    raw_put(fd, text);
    raw_get_reply(fd, &reply);
    free(reply.body);
    (void)close(fd);
    return reply.status;
}

/* Found right by one loop, a device may come to any, whatever others have tried since. */
static void test_what_one_loop_found_right_all_know(void **state)
{
    static const struct bridge_options options = {.auth = BRIDGE_AUTH_BASIC,
                                                  .answer_ms = 60000,
                                                  .loops = SIDES,
                                                  .password_checks_max = 1000,
                                                  .password_cache_max = 10,
                                                  .attempts_max = 2,
                                                  .attempts_ms = 600000};
    struct authentication_metrics metrics;
    struct authenticator_config common = {.options = &options, .metrics = &metrics};
    static struct side sides[SIDES];
    int64_t checks;
    (void)state;
    authentication_metrics_init(&metrics);
    common.devices = read_devices();
    common.attempts = attempts_new(options.attempts_max, options.attempts_ms);
    common.rooms = password_rooms_new();
    assert_non_null(common.rooms);
    assert_non_null(common.attempts);
    assert_int_equal(verified_shared_new(10, &common.verified, NULL), 0);
    for (unsigned i = 0; i < SIDES; i++) {
        open_side(&sides[i], &common);
    }
    assert_int_equal(status_of(&sides[0], 0), 202);
    assert_int_equal(status_of(&sides[0], 1), 401);
    assert_int_equal(status_of(&sides[1], 2), 401);
    assert_int_equal(status_of(&sides[1], 1), 429);
    checks = mr_series_value(metrics.checks);
    for (unsigned i = 0; i < SIDES; i++) {
        assert_int_equal(status_of(&sides[i], 0), 202);
    }
    assert_int_equal(mr_series_value(metrics.checks), checks);
    for (unsigned i = 0; i < SIDES; i++) {
        close_side(&sides[i]);
    }
    devices_disown(common.devices);
    attempts_free(common.attempts);
    verified_shared_free(common.verified);
    password_rooms_free(common.rooms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops_share_what_they_share),
        cmocka_unit_test(test_what_one_loop_found_right_all_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

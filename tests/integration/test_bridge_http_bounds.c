// SPDX-License-Identifier: Apache-2.0
/* What millrace-http does at its bounds: descriptors, sizes, and the time of a shutdown. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"

enum { CLIENTS_MAX = 400 };

static void breathe(void)
{
    (void)poll(NULL, 0, 10);
}

/* Keep-alive clients, one after the other, until one is turned away; returns how many stay. */
static int fill_up(const struct bridge_fixture *f, int fds[CLIENTS_MAX])
{
    for (int count = 0; count < CLIENTS_MAX; count++) {
        struct raw_reply reply;
        fds[count] = raw_connect(f->port);
        raw_put_get(fds[count], "/");
        raw_get_reply(fds[count], &reply);
        free(reply.body);
        if (reply.status == 503) {
            assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
            raw_expect_end(fds[count]);
            return count;
        }
        assert_int_equal(reply.status, 404);
    }
    fail_msg("nobody was turned away");
    return 0;
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static int ready_status(const struct bridge_fixture *f)
{
    struct raw_reply reply;
    int fd = raw_connect(f->admin);
    raw_put_get(fd, "/readyz");
    raw_get_reply(fd, &reply);
    free(reply.body);
    (void)close(fd);
    return reply.status;
}

static void test_clients_leave_descriptors_for_kafka(void **state)
{
    static const struct rlimit tight = {.rlim_cur = 256, .rlim_max = 256};
    struct bridge_fixture f;
    int fds[CLIENTS_MAX];
    int count;
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    (void)state;
    bridge_start_limited(&f, bridge_no_more, &tight);
    count = (int)strtol(spawned_wait_log(&f.child, "connections_max=10000 connections="), NULL, 10);
    assert_in_range(count, 10, 256 - 64);
    assert_int_equal(fill_up(&f, fds), count);
    mock_kafka_set_up(&f.mock, false); /* its connections are gone: new sockets are needed */
    while (ready_status(&f) == 200) {
        assert_true(raw_now_s() < end);
        breathe();
    }
    mock_kafka_set_up(&f.mock, true);
    while (ready_status(&f) != 200) {
        assert_true(raw_now_s() < end);
        breathe();
    }
    bridge_put_event(fds[0], "/v1/c?device=d", "", "x");
    raw_expect(fds[0], 202, "");
    assert_int_equal(bridge_metric(&f, "millrace_http_connections"), count);
    close_all(fds, count);
    bridge_stop(&f);
}

/* Idle admin clients take their own share alone, however few descriptors there are. */
static void test_admin_clients_leave_descriptors_for_devices(void **state)
{
    enum { ADMINS = 60 };
    static const rlim_t limits[] = {64, 100};
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct rlimit tight = {.rlim_cur = limits[i], .rlim_max = limits[i]};
        struct bridge_fixture f;
        int admins[ADMINS];
        int fds[CLIENTS_MAX];
        int count;
        bridge_start_limited(&f, bridge_no_more, &tight);
        for (int j = 0; j < ADMINS; j++) {
            admins[j] = raw_connect(f.admin);
        }
        raw_expect(admins[limits[i] / 8], 503, NULL); /* the first one over their share */
        count = fill_up(&f, fds);
        assert_in_range(count, 2, limits[i]);
        bridge_put_event(fds[0], "/v1/c?device=d", "", "x");
        raw_expect(fds[0], 202, "");
        close_all(admins, ADMINS);
        close_all(fds, count);
        bridge_stop(&f);
    }
}

static void test_the_limit_of_open_files_is_raised(void **state)
{
    static const char *const extra[] = {"--http.connections.max=300", NULL};
    static const struct rlimit low = {.rlim_cur = 100, .rlim_max = 900};
    struct bridge_fixture f;
    int fds[CLIENTS_MAX];
    (void)state;
    bridge_start_limited(&f, extra, &low);
    assert_int_equal(fill_up(&f, fds), 300);
    assert_null(strstr(f.child.log, "fewer connections"));
    close_all(fds, 300);
    bridge_stop(&f);
}

/* Half a head and half a body; a third one is finished in time. */
static void stop_on_half_sent(const char *const *extra)
{
    struct bridge_fixture f;
    int fds[3];
    bridge_start(&f, extra);
    for (int i = 0; i < 3; i++) {
        fds[i] = raw_connect(f.port);
        raw_put_get(fds[i], "/");
        raw_expect(fds[i], 404, NULL);
    }
    raw_put(fds[0], "POST /v1/c?device=d HTTP/1.1\r\nHo");
    raw_put(fds[1], "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    raw_put(fds[2], "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
    spawned_signal(&f.child, SIGTERM);
    (void)spawned_wait_log(&f.child, "msg=draining");
    raw_put(fds[2], "b");
    raw_expect(fds[2], 202, "");
    raw_expect_end(fds[2]);
    raw_expect_refusal(fds[0], 408);
    raw_expect_refusal(fds[1], 408);
    assert_int_equal(spawned_wait(&f.child), 0);
    mock_kafka_stop(&f.mock);
}

static void test_half_sent_requests_do_not_keep_a_shutdown(void **state)
{
    (void)state;
    stop_on_half_sent(bridge_no_more);
}

static void test_half_sent_requests_do_not_keep_a_short_shutdown(void **state)
{
    static const char *const extra[] = {"--http.loops=2", "--admin.shutdown.deadline=1500ms", NULL};
    (void)state;
    stop_on_half_sent(extra);
}

/* Nothing is left that could be given up. */
static void test_an_idle_bridge_needs_no_time_to_shut_down(void **state)
{
    static const char *const extra[] = {"--http.loops=2", "--admin.shutdown.deadline=0", NULL};
    struct bridge_fixture f;
    (void)state;
    bridge_start(&f, extra);
    bridge_stop(&f);
}

/* Both set SO_REUSEPORT: the system would let them share the address. */
static void test_an_address_is_not_shared_with_another_bridge(void **state)
{
    static const char *const extra[] = {"--http.loops=2", NULL};
    struct bridge_fixture f;
    struct spawned second;
    char listen_on[60];
    const char *same[] = {BRIDGE_PROGRAM, listen_on, "--http.loops=2", "--admin.listen=127.0.0.1:0",
                          NULL};
    char expected[100];
    (void)state;
    bridge_start(&f, extra);
    (void)snprintf(listen_on, sizeof listen_on, "--http.listen=127.0.0.1:%u", (unsigned)f.port);
    (void)snprintf(expected, sizeof expected, "listen on 127.0.0.1:%u: Address already in use",
                   (unsigned)f.port);
    spawned_start(&second, same);
    (void)spawned_wait_log(&second, expected);
    assert_int_equal(spawned_wait(&second), 1);
    bridge_stop(&f);
}

static void test_bounds_below_one_event_are_refused(void **state)
{
    static const struct {
        const char *flags[2];
        const char *expected;
    } cases[] = {
        {{"--http.body.max=1MiB", "--http.in_flight.bytes.max=1MiB"},
         "--http.in_flight.bytes.max: must be 106"}, /* 1048576 + 16384 + ... */
        {{"--http.body.max=900KiB", "--http.queue.bytes.max=900KiB"},
         "--http.queue.bytes.max: must be 976896 bytes or more"}, /* 900 KiB + 2 * 16 KiB + 22 KiB
                                                                   */
        {{"--http.body.max=944705", "--kafka.message.max.bytes=1000000"}, /* one too many */
         "--http.body.max: 944705 bytes, and up to 55296 of an event's attributes"},
        {{"--http.body.max=2MiB", "--kafka.producer.message.max.bytes=1500000"},
         "message.max.bytes of [kafka.producer] is 1500000"},
        {{"--http.header.max=64KiB", "--check"},
         "[http] body.max: 921600 bytes, and up to 153600 of an event's attributes"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *arguments[] = {BRIDGE_PROGRAM, cases[i].flags[0], cases[i].flags[1], NULL};
        struct spawned spawned;
        spawned_start(&spawned, arguments);
        (void)spawned_wait_log(&spawned, cases[i].expected);
        assert_int_equal(spawned_wait(&spawned), 2);
    }
}

/* The head that makes the most of a record, HEADER_BYTES with everything: names that become three
 * times as long in the source and the key, and a long channel. */
enum { HEADER_BYTES = 16384, NAME_BYTES = 1024, BODY_BYTES = 500000 };

static void put_largest_head(int fd)
{
    static char text[HEADER_BYTES + 1];
    char names[2 * NAME_BYTES + 100];
    char name[NAME_BYTES + 1];
    int channel;
    int len;
    memset(name, ',', NAME_BYTES);
    name[NAME_BYTES] = '\0';
    len = snprintf(names, sizeof names,
                   "?application=%s&device=%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
                   name, name, BODY_BYTES);
    channel = HEADER_BYTES - len - 9;
    len = snprintf(text, sizeof text, "POST /v1/%0*d%s", channel, 0, names);
    assert_int_equal(len, HEADER_BYTES);
    raw_put_bytes(fd, text, HEADER_BYTES);
}

/* The least that is accepted is enough. */
static void test_bounds_of_one_event_take_one_event(void **state)
{
    static const char *const extra[] = {"--http.body.max=500000",
                                        "--http.header.max=16384",
                                        "--http.in_flight.bytes.max=520000",
                                        "--http.queue.bytes.max=555296",
                                        "--kafka.producer.message.max.bytes=555296",
                                        NULL};
    struct bridge_fixture f;
    char *body = calloc(1, BODY_BYTES);
    int fd;
    (void)state;
    assert_non_null(body);
    bridge_start(&f, extra);
    fd = raw_connect(f.port);
    for (int i = 0; i < 2; i++) {
        put_largest_head(fd);
        raw_put_bytes(fd, body, BODY_BYTES);
        raw_expect(fd, 202, "");
    }
    (void)close(fd);
    free(body);
    bridge_stop(&f);
}

static void test_a_refusal_for_size_names_the_limit(void **state)
{
    static const char *const extra[] = {"--http.body.max=1000", "--http.header.max=1KiB", NULL};
    static const struct {
        const char *before;
        int status;
        const char *detail;
    } cases[] = {
        {"POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413,
         "the content is too large: more than 1000 bytes (body.max)"},
        {"POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n",
         413, "the content is too large: more than 1000 bytes (body.max)"},
        {"POST /", 414, "the request line is too long: more than 1024 bytes (header.max)"},
        {"POST / HTTP/1.1\r\nHost: ", 431,
         "the head is too long: more than 1024 bytes (header.max)"},
    };
    struct bridge_fixture f;
    char many[1025];
    (void)state;
    memset(many, 'a', sizeof many);
    bridge_start(&f, extra);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_reply reply;
        int fd = raw_connect(f.port);
        raw_put(fd, cases[i].before);
        if (cases[i].status != 413) {
            raw_put_bytes(fd, many, sizeof many);
        }
        raw_get_reply(fd, &reply);
        raw_check_problem(&reply, cases[i].status, NULL);
        assert_non_null(strstr(reply.body, cases[i].detail));
        free(reply.body);
        raw_expect_end(fd);
    }
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_leave_descriptors_for_kafka),
        cmocka_unit_test(test_admin_clients_leave_descriptors_for_devices),
        cmocka_unit_test(test_the_limit_of_open_files_is_raised),
        cmocka_unit_test(test_half_sent_requests_do_not_keep_a_shutdown),
        cmocka_unit_test(test_half_sent_requests_do_not_keep_a_short_shutdown),
        cmocka_unit_test(test_an_idle_bridge_needs_no_time_to_shut_down),
        cmocka_unit_test(test_an_address_is_not_shared_with_another_bridge),
        cmocka_unit_test(test_a_refusal_for_size_names_the_limit),
        cmocka_unit_test(test_bounds_below_one_event_are_refused),
        cmocka_unit_test(test_bounds_of_one_event_take_one_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What clients do to millrace-http, by mistake or on purpose: each is told so with the right status
 * and its connection ends, nothing behind it is taken for a request, and no event is stored that
 * wasn't sent or is lost that was. */
#include <poll.h>
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

#include "lib/bridge_fixture.h"
#include "lib/event_asserts.h"
#include "lib/http_attacks.h"
#include "lib/http_bytes.h"

#define GOOD     "POST /v1/good?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
#define SMUGGLED "POST /v1/smuggled?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"

static void breathe(void)
{
    (void)poll(NULL, 0, 10);
}

static void wait_metric(const struct bridge_fixture *f, const char *sample, long wanted)
{
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    while (bridge_metric(f, sample) != wanted) {
        assert_true(raw_now_s() < end);
        breathe();
    }
}

/* Nobody is left, and nothing is on its way. */
static void wait_until_quiet(const struct bridge_fixture *f)
{
    wait_metric(f, "millrace_http_connections", 0);
    wait_metric(f, "millrace_http_in_flight", 0);
}

static void expect_records(struct bridge_fixture *f, size_t count, const char *subject)
{
    struct mock_records records;
    mock_kafka_read(&f->mock, "events", &records);
    for (size_t i = 0; i < records.count && subject != NULL; i++) {
        assert_slice(mock_record_header(&records.at[i], "ce_subject"), subject);
    }
    assert_int_equal(records.count, count);
    mock_records_free(&records);
}

/* A good event, the attack, and what it would smuggle, in one piece. */
static void attack(const struct bridge_fixture *f, const struct http_attack *with)
{
    char text[2000];
    struct raw_reply reply;
    size_t len = sizeof GOOD - 1;
    int fd = raw_connect(f->port);
    assert_true(len + with->text.len + sizeof SMUGGLED < sizeof text);
    memcpy(text, GOOD, len);
    memcpy(text + len, with->text.ptr, with->text.len);
    memcpy(text + len + with->text.len, SMUGGLED, sizeof SMUGGLED - 1);
    raw_put_bytes(fd, text, len + with->text.len + sizeof SMUGGLED - 1);
    raw_expect(fd, 202, "");
    raw_get_reply(fd, &reply);
    if (reply.status != with->status) {
        fail_msg("%.*s: %d, expected %d", MR_SLICE_ARG(with->text), reply.status, with->status);
    }
    raw_check_problem(&reply, with->status, NULL);
    assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
    free(reply.body);
    raw_expect_end(fd);
}

static void test_what_is_refused_smuggles_nothing(void **state)
{
    static const char *const extra[] = {"--http.header.max=8192", "--http.body.max=1024", NULL};
    struct bridge_fixture f;
    size_t count = 0;
    (void)state;
    assert_int_equal(HTTP_ATTACK_HEAD_MAX, 8192);
    assert_int_equal(HTTP_ATTACK_BODY_MAX, 1024);
    bridge_start(&f, extra);
    for (size_t i = 0; i < HTTP_ATTACK_SETS; i++) {
        for (size_t j = 0; j < http_attack_sets[i].count; j++) {
            attack(&f, &http_attack_sets[i].attacks[j]);
            count++;
        }
    }
    wait_until_quiet(&f);
    expect_records(&f, count, "good");
    bridge_stop(&f);
}

/* Returns the status, 0 for a request that waits for more. */
static int try_byte(const struct bridge_fixture *f, const struct http_byte_place *place,
                    unsigned char c)
{
    char text[HTTP_BYTES_TEXT];
    struct mr_slice request = http_byte_request(place, c, text);
    int expected = place->expect(c);
    struct raw_reply reply;
    int fd = raw_connect(f->port);
    raw_put_bytes(fd, request.ptr, request.len);
    if (expected == HTTP_BYTE_WAITS) {
        (void)close(fd);
        return 0;
    }
    raw_get_reply(fd, &reply);
    if (reply.status != 202) {
        raw_check_problem(&reply, reply.status, NULL); /* JSON, whatever the byte was */
    }
    free(reply.body);
    if (expected == HTTP_BYTE_COMPLETE) {
        /* It goes on, but for HTTP/1.0. */
        assert_true(strstr(reply.head, "\r\nConnection: close\r\n") == NULL || c == '0');
        assert_true(reply.status == 202 || reply.status == 400 || reply.status == 404 ||
                    reply.status == 501);
        (void)close(fd);
        return reply.status;
    }
    if (reply.status != expected) {
        fail_msg("0x%02x in %s: %d, expected %d", c, place->name, reply.status, expected);
    }
    raw_expect_end(fd);
    return reply.status;
}

static void test_every_byte_in_every_place(void **state)
{
    struct bridge_fixture f;
    size_t stored = 0;
    (void)state;
    bridge_start(&f, bridge_no_more);
    for (size_t i = 0; i < HTTP_BYTE_PLACES; i++) {
        for (unsigned c = 0; c < 256; c++) {
            stored += try_byte(&f, &http_byte_places[i], (unsigned char)c) == 202;
        }
    }
    assert_true(stored > 256); /* whatever the content is, at least */
    wait_until_quiet(&f);
    expect_records(&f, stored, NULL);
    bridge_stop(&f);
}

/* Sends the first bytes of a request and leaves. */
static void leave(const struct bridge_fixture *f, const char *text, size_t len, bool resets)
{
    const struct linger at_once = {.l_onoff = 1};
    int fd = raw_connect(f->port);
    raw_put_bytes(fd, text, len);
    if (resets) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    }
    (void)close(fd);
}

static void test_a_client_may_leave_at_every_byte(void **state)
{
    static const char one[] =
        "POST /v1/good?device=d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
        "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
    struct bridge_fixture f;
    long stored;
    (void)state;
    bridge_start(&f, bridge_no_more);
    mock_kafka_set_rtt(&f.mock, 20); /* those that left are gone before Kafka answers */
    for (size_t len = 0; len < sizeof one - 1; len++) {
        leave(&f, one, len, false);
        leave(&f, one, len, true);
    }
    wait_until_quiet(&f);
    expect_records(&f, 0, NULL);
    leave(&f, one, sizeof one - 1, false);
    wait_metric(&f, "millrace_http_requests_total{status=\"202\"}", 1);
    leave(&f, one, sizeof one - 1, true); /* a reset may come before it was read */
    wait_until_quiet(&f);
    stored = bridge_metric(&f, "millrace_http_requests_total{status=\"202\"}");
    assert_in_range(stored, 1, 2);
    expect_records(&f, (size_t)stored, "good");
    bridge_stop(&f);
}

static void test_a_megabyte_of_header_is_refused(void **state)
{
    enum { BYTES = 1024 * 1024 };
    static const struct {
        const char *before;
        const char *unit;
        int status;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", 431}, /* lines */
        {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 431},
        {"GET / HTTP/1.1\r\nHost: a\r\n", "X", 431},
        {"GET /", "x", 414},
        {"", "X", 414},
    };
    struct bridge_fixture f;
    char *flood = malloc(BYTES);
    (void)state;
    assert_non_null(flood);
    bridge_start(&f, bridge_no_more);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = raw_connect(f.port);
        for (size_t at = 0; at < BYTES; at++) {
            flood[at] = cases[i].unit[at % strlen(cases[i].unit)];
        }
        raw_put(fd, cases[i].before);
        raw_put_bytes(fd, flood, BYTES); /* all of it: the answer can be read all the same */
        raw_expect_refusal(fd, cases[i].status);
    }
    free(flood);
    wait_until_quiet(&f);
    bridge_stop(&f);
}

/* A byte whenever nothing has been answered for a while: progress is no excuse. */
static void trickle(const struct bridge_fixture *f, const char *text)
{
    struct pollfd answer = {.events = POLLIN};
    size_t at = 0;
    answer.fd = raw_connect(f->port);
    while (poll(&answer, 1, 20) == 0) {
        assert_true(at < strlen(text)); /* which would be complete in 3 s or more */
        raw_put_bytes(answer.fd, text + at, 1);
        at++;
    }
    assert_true(at > 10);
    raw_expect_refusal(answer.fd, 408);
}

static void test_slow_clients_have_their_time_and_no_more(void **state)
{
    static const char *const extra[] = {"--http.request.timeout=600ms", NULL};
    static const char header[] =
        "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nX-Very-Long-Name: and a "
        "very long value that goes on and on and on and on until it is long enough\r\n\r\nx";
    static char body[400];
    struct bridge_fixture f;
    (void)state;
    (void)snprintf(body, sizeof body, "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\n%s%0200d",
                   "Content-Length: 200\r\n\r\n", 0);
    bridge_start(&f, extra);
    trickle(&f, header);
    trickle(&f, body);
    trickle(&f,
            "POST /v1/c?device=d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "1;and=so+on\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n"
            "0\r\nX: y\r\n\r\n");
    expect_records(&f, 0, NULL);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_refused_smuggles_nothing),
        cmocka_unit_test(test_every_byte_in_every_place),
        cmocka_unit_test(test_a_client_may_leave_at_every_byte),
        cmocka_unit_test(test_a_megabyte_of_header_is_refused),
        cmocka_unit_test(test_slow_clients_have_their_time_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

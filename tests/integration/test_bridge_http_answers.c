// SPDX-License-Identifier: Apache-2.0
/* The statuses of millrace-http that a request's head decides, and what goes with them. Expected
 * values are those of RFC 9110. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/bridge_fixture.h"

#define HOST   " HTTP/1.1\r\nHost: a\r\n"
#define EMPTY  "Content-Length: 0\r\n"
#define EXPECT "Expect: 100-continue\r\n"

static const char allow[] = "\r\nAllow: POST, OPTIONS\r\n";

/* All on one connection, which goes on. */
static void test_the_head_decides(void **state)
{
    static const struct {
        const char *head; /* without the empty line */
        int status;
        const char *header; /* NULL: none of Allow and Accept-Encoding */
    } cases[] = {
        {"GET /v1/c?device=d" HOST, 405, allow},
        {"DELETE /v1/c?device=d" HOST, 405, allow},
        {"TRACE /v1/c?device=d" HOST "X-Secret: 7\r\n", 405, allow},
        {"PUT /v1/c?device=d" HOST EMPTY, 405, allow},
        {"OPTIONS /v1/c?device=d" HOST, 204, allow},
        {"OPTIONS /v1/c?device=d" HOST EMPTY, 204, allow},
        {"OPTIONS *" HOST, 204, "\r\nAllow: POST, PUT, OPTIONS\r\n"},
        {"OPTIONS /event/t/d" HOST, 204, "\r\nAllow: POST, PUT, OPTIONS\r\n"},
        {"PUT /event" HOST EMPTY, 405, allow},
        {"OPTIONS /" HOST, 404, NULL},
        {"GET /" HOST, 404, NULL},
        {"POST /" HOST EMPTY, 404, NULL},
        {"BREW /v1/c?device=d" HOST, 501, NULL},
        {"post /v1/c?device=d" HOST EMPTY, 501, NULL},
        {"POST /v1/c?device=d" HOST EMPTY "Content-Encoding: gzip\r\n", 415,
         "\r\nAccept-Encoding: identity\r\n"},
        {"POST /v1/c?device=d" HOST EMPTY "Content-Encoding: identity\r\n", 202, NULL},
        {"POST http://elsewhere:1/v1/c?device=d" HOST EMPTY, 202, NULL}, /* RFC 9112 3.2.2 */
    };
    struct bridge_fixture f;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_reply reply;
        raw_put(fd, cases[i].head);
        raw_put(fd, "\r\n");
        raw_get_reply(fd, &reply);
        if (reply.status != cases[i].status) {
            fail_msg("%s: %s", cases[i].head, reply.head);
        }
        if (reply.status >= 400) {
            raw_check_problem(&reply, cases[i].status, NULL);
        } else {
            assert_string_equal(reply.body, "");
        }
        if (cases[i].header != NULL) {
            assert_non_null(strstr(reply.head, cases[i].header));
        } else {
            assert_null(strstr(reply.head, "\r\nAllow: "));
            assert_null(strstr(reply.head, "\r\nAccept-Encoding: "));
        }
        /* 8.6: a 204 has no Content-Length. */
        assert_true((strstr(reply.head, "\r\nContent-Length: ") == NULL) == (reply.status == 204));
        assert_null(strstr(reply.body, "X-Secret")); /* nothing is reflected */
        free(reply.body);
    }
    (void)close(fd);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"204\"}"), 4);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"405\"}"), 5);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"415\"}"), 1);
    assert_int_equal(bridge_metric(&f, "millrace_http_requests_total{status=\"501\"}"), 2);
    bridge_stop(&f);
}

/* 9.3.2: the same fields as for GET, and no content; the next answer follows at once. */
static void test_answers_to_head_have_no_content(void **state)
{
    struct bridge_fixture f;
    struct raw_reply reply;
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    raw_put(fd, "HEAD /v1/c?device=d" HOST "\r\nHEAD /" HOST "\r\n");
    assert_true(raw_get_reply_try(fd, false, &reply));
    assert_int_equal(reply.status, 405);
    assert_non_null(strstr(reply.head, allow));
    assert_true(reply.body_len > 0);
    free(reply.body);
    assert_true(raw_get_reply_try(fd, false, &reply));
    assert_int_equal(reply.status, 404);
    free(reply.body);
    raw_put(fd, "HEAD /" HOST "Content-Length: x\r\n\r\n");
    assert_true(raw_get_reply_try(fd, false, &reply));
    assert_int_equal(reply.status, 400);
    free(reply.body);
    raw_expect_end(fd); /* no byte more */
    bridge_stop(&f);
}

/* 10.1.1: a client that waits with its content is refused before it has sent it, whatever refuses
 * it. The connection ends, as nobody knows whether the content comes all the same. */
static void test_content_that_is_not_wanted_is_not_asked_for(void **state)
{
    static const struct {
        const char *head;
        int status;
    } cases[] = {
        {"POST /v1/c?device=d" HOST EXPECT "Content-Length: 921601\r\n", 413},
        {"POST /v1/c?device=d" HOST EXPECT, 411},
        {"POST /v1/c?device=d" HOST EXPECT "Transfer-Encoding: gzip, chunked\r\n", 501},
        {"POST /v1/c?device=d" HOST EXPECT "Content-Length: 5\r\nContent-Encoding: gzip\r\n", 415},
        {"POST /v1/c?device=d" HOST EXPECT
         "Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n",
         415},
        {"POST /v1/c?device=d" HOST "Expect: 100-later\r\nContent-Length: 5\r\n", 417},
        {"POST /nothing" HOST EXPECT "Content-Length: 5\r\n", 404},
        {"PUT /v1/c?device=d" HOST EXPECT "Content-Length: 5\r\n", 405},
        {"BREW /v1/c?device=d" HOST EXPECT "Content-Length: 5\r\n", 501},
        {"OPTIONS *" HOST EXPECT "Content-Length: 5\r\n", 204},
    };
    struct bridge_fixture f;
    struct mock_records records;
    (void)state;
    bridge_start(&f, bridge_no_more);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct raw_reply reply;
        int fd = raw_connect(f.port);
        raw_put(fd, cases[i].head);
        raw_put(fd, "\r\n");
        raw_get_reply(fd, &reply); /* 100 would be the first */
        if (reply.status != cases[i].status) {
            fail_msg("%s: %s", cases[i].head, reply.head);
        }
        assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
        free(reply.body);
        /* What comes all the same is no request. */
        raw_put(fd, "POST /v1/c?device=d" HOST EMPTY "\r\n");
        raw_expect_end(fd);
    }
    mock_kafka_read(&f.mock, "events", &records);
    assert_int_equal(records.count, 0);
    mock_records_free(&records);
    bridge_stop(&f);
}

/* One that sends its content without waiting is read to the end, and the connection goes on. */
static void test_content_that_came_with_its_head_is_read(void **state)
{
    struct bridge_fixture f;
    char head[RAW_HEAD_BYTES];
    int fd;
    (void)state;
    bridge_start(&f, bridge_no_more);
    fd = raw_connect(f.port);
    raw_put(fd, "POST /nothing" HOST EXPECT "Content-Length: 5\r\n\r\nhello");
    raw_expect(fd, 404, NULL);
    raw_put(fd, "POST /v1/c?device=d" HOST EXPECT "Content-Length: 5\r\n\r\n");
    assert_true(raw_get_head(fd, head));
    assert_string_equal(head, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_put(fd, "hello");
    raw_expect(fd, 202, "");
    (void)close(fd);
    bridge_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_head_decides),
        cmocka_unit_test(test_answers_to_head_have_no_content),
        cmocka_unit_test(test_content_that_is_not_wanted_is_not_asked_for),
        cmocka_unit_test(test_content_that_came_with_its_head_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

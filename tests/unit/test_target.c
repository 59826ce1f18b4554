// SPDX-License-Identifier: Apache-2.0
/* What a request's head decides by itself. Expected statuses are those of RFC 9110. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridge/http/target.h"
#include "net/http_reader.h"

static bool is_both(struct mr_slice path)
{
    return mr_slice_is(path, MR_SLICE("/both"));
}

static const char *allow_both(struct mr_slice path)
{
    assert_true(is_both(path));
    return DIALECT_ALLOW_POST_PUT;
}

static const struct dialect both = {.is_mine = is_both, .allow = allow_both};
static const struct dialect *const dialects[] = {&dialect_drogue, &both};

static struct mr_slice get_header(const void *from, const char *name, unsigned *ret_count)
{
    return http_reader_header(from, name, ret_count);
}

/* `headers` are lines that end with CRLF. */
static enum target_kind find(const char *line, const char *headers, struct target *ret_target)
{
    const struct http_limits limits = {.head_bytes_max = 4096, .body_bytes_max = 10};
    enum target_kind found;
    struct http_reader reader;
    char text[500];
    int len = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n%s\r\n",
                       line, headers);
    http_reader_init(&reader, &limits);
    assert_int_equal(http_reader_feed(&reader, text, (size_t)len), len);
    assert_int_equal(reader.state, HTTP_READER_BODY); /* the content is not needed */
    struct dialect_request request = {
        .method = http_reader_method(&reader),
        .path = http_reader_path(&reader),
        .query = http_reader_query(&reader),
        .header = get_header,
        .from = &reader,
    };
    memset(ret_target, 0, sizeof *ret_target);
    found = target_find(&request, dialects, MR_COUNT_OF(dialects), ret_target);
    http_reader_done(&reader);
    return found;
}

static void assert_found(const char *line, const char *headers, const struct dialect *expected)
{
    struct target target;
    assert_int_equal(find(line, headers, &target), TARGET_FOUND);
    assert_ptr_equal(target.dialect, expected);
}

static void test_the_dialect_is_found(void **state)
{
    (void)state;
    assert_found("POST /v1/c", "", &dialect_drogue);
    assert_found("POST /both", "", &both);
    assert_found("PUT /both?x", "", &both);
    assert_found("POST http://elsewhere/both", "", &both);
}

/* 9.3.7 */
static void test_options(void **state)
{
    static const struct {
        const char *line;
        const char *allow;
    } cases[] = {
        {"OPTIONS /v1/c", "Allow: POST, OPTIONS\r\n"},
        {"OPTIONS /both", "Allow: POST, PUT, OPTIONS\r\n"},
        {"OPTIONS *", "Allow: POST, PUT, OPTIONS\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct target target;
        assert_int_equal(find(cases[i].line, "", &target), TARGET_OPTIONS);
        assert_string_equal(target.allow, cases[i].allow);
    }
}

static void test_methods(void **state)
{
    static const char drogue[] = "Allow: POST, OPTIONS\r\n";
    static const char put_too[] = "Allow: POST, PUT, OPTIONS\r\n";
    static const struct {
        const char *line;
        int status;
        const char *headers;
    } cases[] = {
        {"GET /v1/c", 405, drogue}, /* 15.5.6 */
        {"HEAD /v1/c", 405, drogue},     {"PUT /v1/c", 405, drogue},
        {"DELETE /v1/c", 405, drogue},   {"TRACE /v1/c", 405, drogue},
        {"PATCH /v1/c", 405, drogue},    {"GET /both", 405, put_too},
        {"OPTIONS /nothing", 404, NULL}, {"GET /", 404, NULL},
        {"POST /nothing", 404, NULL},    {"TRACE /nothing", 404, NULL},
        {"POS /v1/c", 501, NULL},  /* 9.1: not the start of one */
        {"post /v1/c", 501, NULL}, /* case-sensitive */
        {"PROPFIND /v1/c", 501, NULL},   {"Allow /v1/c", 501, NULL},
        {"BREW /nothing", 501, NULL},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct target target;
        assert_int_equal(find(cases[i].line, "", &target), TARGET_REFUSED);
        if (target.refusal.status != cases[i].status) {
            fail_msg("%s: %d", cases[i].line, target.refusal.status);
        }
        if (cases[i].headers == NULL) {
            assert_null(target.refusal.headers);
        } else {
            assert_string_equal(target.refusal.headers, cases[i].headers);
        }
        assert_true(target.refusal.detail[0] != '\0');
    }
}

/* RFC 9110 14.5; in a POST it means nothing (14.2, 14.4). */
static void test_a_part_is_not_put(void **state)
{
    static const char range[] = "Content-Range: bytes 0-1/5\r\n";
    struct target target;
    (void)state;
    assert_int_equal(find("PUT /both", range, &target), TARGET_REFUSED);
    assert_int_equal(target.refusal.status, 400);
    assert_non_null(strstr(target.refusal.detail, "Content-Range"));
    assert_int_equal(find("PUT /both", "", &target), TARGET_FOUND);
    assert_int_equal(find("POST /v1/c", range, &target), TARGET_FOUND);
}

static void test_codings(void **state)
{
    /* 8.4, 15.5.16, 12.5.3. */
    static const char *const refused[] = {
        "Content-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n",
        "Content-Encoding: identity, gzip\r\n",
        "content-encoding: , deflate ,\r\n",
        "Content-Encoding: identity;q=1\r\n",
        "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
    };
    static const char *const taken[] = {
        "",
        "Content-Encoding:\r\n",
        "Content-Encoding: Identity\r\n",
        "Content-Encoding: , identity\t, identity,\r\n",
        "Accept-Encoding: gzip\r\n",
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(refused); i++) {
        struct target target;
        assert_int_equal(find("POST /v1/c", refused[i], &target), TARGET_REFUSED);
        assert_int_equal(target.refusal.status, 415);
        assert_string_equal(target.refusal.headers, "Accept-Encoding: identity\r\n");
        assert_non_null(strstr(target.refusal.detail, "Content-Encoding"));
    }
    for (size_t i = 0; i < MR_COUNT_OF(taken); i++) {
        assert_found("POST /v1/c", taken[i], &dialect_drogue);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_dialect_is_found),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_a_part_is_not_put),
        cmocka_unit_test(test_codings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"

static void test_every_part_has_its_place(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    dialect_accept(&f,
                   "/v1/temp/room/2?application=barn&device=d1&data_schema=urn:s:1"
                   "&time=2026-01-02T03:04:05.678Z",
                   "Content-Type: text/plain; charset=utf-8\r\nIdempotency-Key: \"k-1\"\r\n",
                   "21.5");
    dialect_assert(&f, "specversion", "1.0");
    dialect_assert(&f, "id", "k-1");
    dialect_assert(&f, "type", "io.millrace.event.v1");
    dialect_assert(&f, "source", "/barn/d1");
    dialect_assert(&f, "subject", "temp/room/2");
    dialect_assert(&f, "time", "2026-01-02T03:04:05.678Z");
    dialect_assert(&f, "datacontenttype", "text/plain; charset=utf-8");
    dialect_assert(&f, "dataschema", "urn:s:1");
    dialect_assert(&f, "application", "barn");
    dialect_assert(&f, "device", "d1");
    assert_int_equal(mr_event_count(f.event), 10);
    assert_true(mr_slice_is(mr_event_data(f.event), MR_SLICE("21.5")));
    dialect_done(&f);
}

/* mr_event_complete adds the rest (test_device_event.c). */
static void test_what_is_missing_has_a_default(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    dialect_request(&f, "POST", "/v1/temp?device=d1", "", "{\"a\": 1}");
    assert_int_equal(f.rc, 0);
    dialect_assert(&f, "id", NULL);
    dialect_assert(&f, "time", NULL);
    dialect_assert(&f, "source", "/default/d1");
    dialect_assert(&f, "application", "default");
    dialect_assert(&f, "subject", "temp");
    dialect_assert(&f, "datacontenttype", "application/json");
    dialect_assert(&f, "dataschema", NULL);
    dialect_done(&f);
}

static void test_percent_encoding_is_undone_once(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    dialect_accept(&f,
                   "/v1/a%20b/%C3%A9+%252F?application=a%2Fb+c%2Bd&device=%F0%9F%8C%A1&unknown=%00",
                   "", "x");
    dialect_assert(&f, "subject", "a b/\xc3\xa9+%2F");
    dialect_assert(&f, "application", "a/b c+d");
    dialect_assert(&f, "device", "\xf0\x9f\x8c\xa1");
    /* RFC 3986 2.1 and 2.3: so encoded, the parts can be told apart. */
    dialect_assert(&f, "source", "/a%2Fb%20c%2Bd/%F0%9F%8C%A1");
    dialect_done(&f);
    dialect_accept(&f, "/v1/temp?%64evice=x&&=&foo&foo", "", "x"); /* names are encoded too */
    dialect_assert(&f, "device", "x");
    dialect_done(&f);
}

static void test_the_content_type_is_guessed_only_when_missing(void **state)
{
    static const char *const json[] = {"{}", " [1, \"a\"]\n", "21.5", "null", "\"x\""};
    static const char *const other[] = {"", "{", "21.5x", "nul", "{\"a\":1}{}"};
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(json); i++) {
        dialect_accept(&f, "/v1/c?device=d", "", json[i]);
        dialect_assert(&f, "datacontenttype", "application/json");
        dialect_done(&f);
        dialect_accept(&f, "/v1/c?device=d", "Content-Type: application/x\r\n", json[i]);
        dialect_assert(&f, "datacontenttype", "application/x");
        dialect_done(&f);
    }
    for (size_t i = 0; i < MR_COUNT_OF(other); i++) {
        dialect_accept(&f, "/v1/c?device=d", "", other[i]);
        dialect_assert(&f, "datacontenttype", "application/octet-stream");
        assert_non_null(mr_event_data(f.event).ptr); /* empty data is data */
        assert_true(mr_slice_is(mr_event_data(f.event), mr_slice_of(other[i])));
        dialect_done(&f);
    }
}

static void test_the_time_comes_from_either_place(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    dialect_accept(&f, "/v1/c?device=d", "ce-time: 2026-01-02T03:04:05+01:00\r\n", "");
    dialect_assert(&f, "time", "2026-01-02T03:04:05+01:00");
    dialect_done(&f);
    dialect_accept(&f, "/v1/c?device=d&time=2026-01-02T03:04:05%2B01:00", "", "");
    dialect_assert(&f, "time", "2026-01-02T03:04:05+01:00");
    dialect_done(&f);
    dialect_accept(&f, "/v1/c?device=d&time=2026-01-02T03:04:05Z",
                   "CE-Time: 2026-01-02T03:04:05Z\r\n", "");
    dialect_assert(&f, "time", "2026-01-02T03:04:05Z");
    dialect_done(&f);
}

static void test_the_idempotency_key_is_the_id(void **state)
{
    static const struct {
        const char *header;
        const char *id;
    } cases[] = {
        {"Idempotency-Key: abc\r\n", "abc"},
        {"Idempotency-Key: \"8e03978e-40d5-43dd-bc93-6894a57f9324\"\r\n",
         "8e03978e-40d5-43dd-bc93-6894a57f9324"}, /* draft-ietf-httpapi-idempotency-key-header */
        {"Idempotency-Key: \"a\\\"b\\\\c\"\r\n", "a\"b\\c"}, /* RFC 8941 3.3.3 */
        {"idempotency-key:  a b \r\n", "a b"},
        {"Idempotency-Key: a\"b\r\n", "a\"b"},
    };
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        dialect_accept(&f, "/v1/c?device=d", cases[i].header, "");
        dialect_assert(&f, "id", cases[i].id);
        dialect_done(&f);
    }
}

struct refused {
    const char *target;
    const char *headers;
    int status;
    const char *named; /* the detail says which part is wrong */
};

static void test_what_is_wrong_is_refused_by_name(void **state)
{
    static const struct refused cases[] = {
        {"/v1/?device=d", "", 404, "channel"},
        {"/v1//x?device=d", "", 404, "channel"},
        {"/v1/c", "", 400, "device"},
        {"/v1/c?application=a", "", 400, "device"},
        {"/v1/c?device=", "", 400, "device"},
        {"/v1/c?device", "", 400, "device"},
        {"/v1/c?device=a&device=a", "", 400, "device"},
        {"/v1/c?device=d&application=a&application=b", "", 400, "application"},
        {"/v1/c?device=d&application=", "", 400, "application"},
        {"/v1/c?device=%", "", 400, "device"},
        {"/v1/c?device=%4", "", 400, "device"},
        {"/v1/c?device=%zz", "", 400, "device"},
        {"/v1/c?device=%ff", "", 400, "device"},       /* not UTF-8 */
        {"/v1/c?device=%C0%AF", "", 400, "device"},    /* overlong */
        {"/v1/c?device=%ED%A0%80", "", 400, "device"}, /* a surrogate */
        {"/v1/c?device=a%00b", "", 400, "device"},
        {"/v1/c?device=a%0Ab", "", 400, "device"},
        {"/v1/c?device=a%C2%85b", "", 400, "device"}, /* U+0085, CloudEvents "Type System" */
        {"/v1/c?device=d&%zz=1", "", 400, "query parameter"},
        {"/v1/%zz?device=d", "", 400, "channel"},
        {"/v1/%00?device=d", "", 400, "channel"},
        {"/v1/c?device=d&data_schema=a%20b", "", 400, "data_schema"},
        {"/v1/c?device=d&data_schema=relative/x", "", 400, "data_schema"},
        {"/v1/c?device=d&time=yesterday", "", 400, "time"},
        {"/v1/c?device=d&time=2026-01-02", "", 400, "time"},
        {"/v1/c?device=d&time=2026-02-30T00:00:00Z", "", 400, "time"},
        {"/v1/c?device=d&time=2026-01-02T03:04:05+01:00", "", 400, "time"}, /* "+" is a space */
        {"/v1/c?device=d", "ce-time: 1700000000\r\n", 400, "time"},
        {"/v1/c?device=d&time=2026-01-02T03:04:05Z", "ce-time: 2026-01-02T03:04:06Z\r\n", 400,
         "time"},
        {"/v1/c?device=d", "ce-time: 2026-01-02T03:04:05Z\r\nce-time: 2026-01-02T03:04:05Z\r\n",
         400, "time"},
        {"/v1/c?device=d", "Content-Type: json\r\n", 400, "Content-Type"},
        {"/v1/c?device=d", "Content-Type:\r\n", 400, "Content-Type"},
        {"/v1/c?device=d", "Content-Type: a/b\r\nContent-Type: a/b\r\n", 400, "Content-Type"},
        {"/v1/c?device=d", "Idempotency-Key:\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"\"\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"a\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"a\"b\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"a\\b\"\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"a\\\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \"a\\b\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: \xff\r\n", 400, "Idempotency-Key"},
        {"/v1/c?device=d", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n", 400, "Idempotency-Key"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct dialect_fixture f = {.dialect = &dialect_drogue};
        dialect_request(&f, "POST", cases[i].target, cases[i].headers, "x");
        if (f.rc == 0 || f.refusal.status != cases[i].status ||
            strstr(f.refusal.detail, cases[i].named) == NULL) {
            fail_msg("%s %s: %d %d %s", cases[i].target, cases[i].headers, f.rc, f.refusal.status,
                     f.refusal.detail);
        }
        dialect_done(&f);
    }
}

static void test_only_post(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    dialect_allow_only(&f, "/v1/c?device=d", DIALECT_ALLOW_POST);
    assert_false(dialect_drogue.is_mine(MR_SLICE("/v1")));
    assert_false(dialect_drogue.is_mine(MR_SLICE("/v2/c")));
    assert_false(dialect_drogue.is_mine(MR_SLICE("/")));
}

static void test_long_values_are_bounded(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    char text[IDENTITY_NAME_BYTES_MAX + 100];
    (void)state;
    (void)snprintf(text, sizeof text, "/v1/c?device=%0*d", IDENTITY_NAME_BYTES_MAX, 0);
    dialect_accept(&f, text, "", "");
    dialect_done(&f);
    (void)snprintf(text, sizeof text, "/v1/c?device=%0*d", IDENTITY_NAME_BYTES_MAX + 1, 0);
    dialect_request(&f, "POST", text, "", "");
    assert_int_equal(f.refusal.status, 400);
    dialect_done(&f);
    (void)snprintf(text, sizeof text, "Idempotency-Key: %0*d\r\n", DIALECT_ID_BYTES_MAX + 1, 0);
    dialect_request(&f, "POST", "/v1/c?device=d", text, "");
    assert_int_equal(f.refusal.status, 400);
    dialect_done(&f);
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_drogue};
    (void)state;
    /* At least the decoded values and the source fail. */
    dialect_run_out_of_memory(&f,
                              "/v1/temp%20/x?application=barn&device=d1&data_schema=urn:s:1"
                              "&time=2026-01-02T03:04:05.678Z",
                              "Content-Type: text/plain\r\nIdempotency-Key: \"k-1\"\r\n", "21.5",
                              2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_has_its_place),
        cmocka_unit_test(test_what_is_missing_has_a_default),
        cmocka_unit_test(test_percent_encoding_is_undone_once),
        cmocka_unit_test(test_the_content_type_is_guessed_only_when_missing),
        cmocka_unit_test(test_the_time_comes_from_either_place),
        cmocka_unit_test(test_the_idempotency_key_is_the_id),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_only_post),
        cmocka_unit_test(test_long_values_are_bounded),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"

static void test_every_part_has_its_place(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_accept(&f,
                   "/publish/d1/temp/room/2?model_id=m1&application=barn&data_schema=urn:s:1"
                   "&time=2026-01-02T03:04:05.678Z",
                   "Content-Type: text/plain\r\nIdempotency-Key: \"k-1\"\r\n", "21.5");
    dialect_assert(&f, "id", "k-1");
    dialect_assert(&f, "type", "io.millrace.event.v1");
    dialect_assert(&f, "source", "/barn/d1");
    dialect_assert(&f, "subject", "temp/room/2");
    dialect_assert(&f, "time", "2026-01-02T03:04:05.678Z");
    dialect_assert(&f, "datacontenttype", "text/plain");
    dialect_assert(&f, "dataschema", "urn:s:1");
    dialect_assert(&f, "application", "barn");
    dialect_assert(&f, "device", "d1");
    dialect_assert(&f, "model", "m1");
    assert_int_equal(mr_event_count(f.event), 11); /* and specversion */
    assert_true(mr_slice_is(mr_event_data(f.event), MR_SLICE("21.5")));
    dialect_done(&f);
}

static void test_what_is_missing_has_a_default(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_request(&f, "POST", "/publish/d1/temp", "", "{\"a\": 1}");
    assert_int_equal(f.rc, DIALECT_EVENT);
    dialect_assert(&f, "id", NULL);
    dialect_assert(&f, "time", NULL);
    dialect_assert(&f, "source", "/default/d1");
    dialect_assert(&f, "subject", "temp");
    dialect_assert(&f, "model", NULL);
    dialect_assert(&f, "datacontenttype", "application/json");
    dialect_done(&f);
}

/* RFC 3986 2.2: an encoded slash is part of its segment; 3.3: "+" is itself in a path. */
static void test_segments_are_decoded_once(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_accept(&f, "/publish/a%2Fb%2520+%C3%A9/c%2Fd/%F0%9F%8C%A1?device=other&model_id=m+1",
                   "", "x");
    dialect_assert(&f, "device", "a/b%20+\xc3\xa9");
    dialect_assert(&f, "subject", "c/d/\xf0\x9f\x8c\xa1");
    dialect_assert(&f, "source", "/default/a%2Fb%2520%2B%C3%A9");
    dialect_assert(&f, "model", "m 1");
    dialect_done(&f);
    dialect_accept(&f, "/publish/d/c/", "", "x"); /* what follows the channel is as it came */
    dialect_assert(&f, "subject", "c/");
    dialect_done(&f);
}

static void test_a_device_may_be_spoken_for(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_accept(&f, "/publish/gw/c?as=d1", "", "x");
    dialect_assert(&f, "device", "d1");
    dialect_assert(&f, "gateway", "gw");
    dialect_done(&f);
    f.identity = (struct identity){.application = MR_SLICE("farm"), .device = MR_SLICE("d2")};
    dialect_accept(&f, "/publish/d1/c?application=x", "", "x"); /* what is proven wins */
    dialect_assert(&f, "source", "/farm/d2");
    dialect_done(&f);
    dialect_refuse(&f, 403, "as:", "/publish/d2/c?as=d1", "", "x");
    dialect_done(&f);
}

static void test_what_is_wrong_is_refused_by_name(void **state)
{
    static const struct dialect_refused cases[] = {
        {"/publish/", "", "", 404, "device"},
        {"/publish//c", "", "", 404, "device"},
        {"/publish/d", "", "", 404, "channel"},
        {"/publish/d/", "", "", 404, "channel"},
        {"/publish/d//x", "", "", 404, "channel"},
        {"/publish/%zz/c", "", "", 400, "device"},
        {"/publish/%00/c", "", "", 400, "device"},
        {"/publish/%ff/c", "", "", 400, "device"},
        {"/publish/%C0%AF/c", "", "", 400, "device"},
        {"/publish/%ED%A0%80/c", "", "", 400, "device"},
        {"/publish/d/%", "", "", 400, "channel"},
        {"/publish/d/a%0Ab", "", "", 400, "channel"},
        {"/publish/d/c?model_id=", "", "", 400, "model_id"},
        {"/publish/d/c?model_id=a&model_id=a", "", "", 400, "model_id"},
        {"/publish/d/c?model_id=%00", "", "", 400, "model_id"},
        {"/publish/d/c?application=", "", "", 400, "application"},
        {"/publish/d/c?data_schema=relative/x", "", "", 400, "data_schema"},
        {"/publish/d/c?time=yesterday", "", "", 400, "time"},
        {"/publish/d/c", "Idempotency-Key:\r\n", "", 400, "Idempotency-Key"},
        {"/publish/d/c", "Content-Type: json\r\n", "", 400, "Content-Type"},
        {0},
    };
    struct dialect_fixture f = {.dialect = &dialect_publish};
    char text[IDENTITY_NAME_BYTES_MAX + 100];
    (void)state;
    dialect_refuse_each(&f, cases);
    (void)snprintf(text, sizeof text, "/publish/%0*d/c", IDENTITY_NAME_BYTES_MAX, 0);
    dialect_accept(&f, text, "", "");
    dialect_done(&f);
    (void)snprintf(text, sizeof text, "/publish/%0*d/c", IDENTITY_NAME_BYTES_MAX + 1, 0);
    dialect_refuse(&f, 400, "device", text, "", "");
    dialect_done(&f);
}

static void test_only_post(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_allow_only(&f, "/publish/d/c", DIALECT_ALLOW_POST);
    assert_false(dialect_publish.is_mine(MR_SLICE("/publish")));
    assert_false(dialect_publish.is_mine(MR_SLICE("/published/d/c")));
    assert_false(dialect_publish.is_mine(MR_SLICE("/v1/publish/d/c")));
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_publish};
    (void)state;
    dialect_run_out_of_memory(&f,
                              "/publish/d%201/temp%20/x?application=barn&model_id=m&data_schema="
                              "urn:s:1&time=2026-01-02T03:04:05.678Z",
                              "Content-Type: text/plain\r\nIdempotency-Key: \"k-1\"\r\n", "21.5",
                              2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_has_its_place),
        cmocka_unit_test(test_what_is_missing_has_a_default),
        cmocka_unit_test(test_segments_are_decoded_once),
        cmocka_unit_test(test_a_device_may_be_spoken_for),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_only_post),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

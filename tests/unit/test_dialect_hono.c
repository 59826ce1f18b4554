// SPDX-License-Identifier: Apache-2.0
/* Expected values: Eclipse Hono, user guide, "HTTP Adapter"
 * (https://eclipse.dev/hono/docs/user-guide/http-adapter). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"

static const struct identity sensor = {.application = MR_SLICE_INIT("DEFAULT_TENANT"),
                                       .device = MR_SLICE_INIT("4711")};
static const struct identity gateway = {.application = MR_SLICE_INIT("DEFAULT_TENANT"),
                                        .device = MR_SLICE_INIT("gw-1"),
                                        .speaks_for = MR_SLICE_INIT("4712 ")};

static void accept(struct dialect_fixture *f, const char *method, const char *target,
                   const char *headers)
{
    dialect_request(f, method, target, headers, "{\"temp\": 5}");
    if (f->rc != DIALECT_EVENT) {
        fail_msg("%s %s: %d %s", method, target, f->refusal.status, f->refusal.detail);
    }
}

/* The guide's "Publish Telemetry Data (unauthenticated Device)". */
static void test_every_part_has_its_place(void **state)
{
    static const char *const methods[] = {"PUT", "POST"};
    struct dialect_fixture f = {.dialect = &dialect_hono};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(methods); i++) {
        accept(&f, methods[i], "/telemetry/DEFAULT_TENANT/4711",
               "content-type: application/json\r\nqos-level: 1\r\nhono-ttd: 10\r\n");
        dialect_assert(&f, "application", "DEFAULT_TENANT");
        dialect_assert(&f, "device", "4711");
        dialect_assert(&f, "source", "/DEFAULT_TENANT/4711");
        dialect_assert(&f, "subject", "telemetry");
        dialect_assert(&f, "datacontenttype", "application/json");
        assert_int_equal(mr_event_count(f.event), 5);
        assert_true(mr_slice_is(mr_event_data(f.event), MR_SLICE("{\"temp\": 5}")));
        dialect_done(&f);
    }
    accept(&f, "PUT", "/event/DEFAULT_TENANT/4711",
           "Idempotency-Key: k\r\nce-time: 2026-01-02T03:04:05Z\r\n");
    dialect_assert(&f, "subject", "event");
    dialect_assert(&f, "id", "k");
    dialect_assert(&f, "time", "2026-01-02T03:04:05Z");
    dialect_assert(&f, "datacontenttype", "application/json"); /* Hono would want the header */
    dialect_done(&f);
}

static void test_the_time_to_live_of_an_event_is_kept(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_hono};
    (void)state;
    accept(&f, "PUT", "/event/t/d", "hono-ttl: 2147483647\r\n");
    dialect_assert_integer(&f, "honottl", INT32_MAX);
    dialect_done(&f);
    accept(&f, "PUT", "/event/t/d", "HONO-TTL: 0\r\n");
    dialect_assert_integer(&f, "honottl", 0);
    dialect_done(&f);
    accept(&f, "PUT", "/telemetry/t/d", "hono-ttl: 7\r\n"); /* the guide has it with events only */
    dialect_assert_absent(&f, "honottl");
    dialect_done(&f);
}

/* The guide's "(authenticated Device)" and "(authenticated Gateway)". */
static void test_what_is_proven_wins(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_hono, .identity = sensor};
    (void)state;
    accept(&f, "POST", "/telemetry", "");
    dialect_assert(&f, "source", "/DEFAULT_TENANT/4711");
    dialect_done(&f);
    accept(&f, "POST", "/event", "");
    dialect_assert(&f, "source", "/DEFAULT_TENANT/4711");
    dialect_assert(&f, "subject", "event");
    dialect_done(&f);
    accept(&f, "PUT", "/event/DEFAULT_TENANT/4711", "");
    dialect_assert(&f, "gateway", NULL);
    dialect_done(&f);
    dialect_refuse(&f, 403, "device:", "/telemetry/DEFAULT_TENANT/4712", "", "");
    dialect_done(&f);
    f.identity = gateway;
    accept(&f, "PUT", "/telemetry/DEFAULT_TENANT/4712", "");
    dialect_assert(&f, "device", "4712");
    dialect_assert(&f, "gateway", "gw-1");
    dialect_done(&f);
    dialect_refuse(&f, 403, "device:", "/telemetry/DEFAULT_TENANT/4711", "", "");
    dialect_done(&f);
    dialect_refuse(&f, 403, "tenant:", "/telemetry/OTHER/4712", "", "");
    dialect_done(&f);
}

static void test_segments_are_decoded_once(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_hono};
    (void)state;
    accept(&f, "PUT", "/event/a%2Fb%2520+/%C3%A9%2F?device=x", "");
    dialect_assert(&f, "application", "a/b%20+");
    dialect_assert(&f, "device", "\xc3\xa9/");
    dialect_assert(&f, "source", "/a%2Fb%2520%2B/%C3%A9%2F");
    dialect_done(&f);
}

static void test_what_is_wrong_is_refused_by_name(void **state)
{
    static const struct dialect_refused cases[] = {
        {"/telemetry", "", "", 400, "device"}, /* nobody is authenticated */
        {"/event", "", "", 400, "device"},
        {"/telemetry/", "", "", 404, "/telemetry/{tenant}/{device}"},
        {"/event/t", "", "", 404, "/event/{tenant}/{device}"},
        {"/event/t/", "", "", 404, "/event/{tenant}/{device}"},
        {"/event//d", "", "", 404, "/event/{tenant}/{device}"},
        {"/event/t/d/", "", "", 404, "/event/{tenant}/{device}"},
        {"/event/t/d/x", "", "", 404, "/event/{tenant}/{device}"},
        {"/event/%/d", "", "", 400, "tenant"},
        {"/event/%00/d", "", "", 400, "tenant"},
        {"/event/t/%ff", "", "", 400, "device"},
        {"/event/t/%C2%85", "", "", 400, "device"},
        {"/event/t/d", "hono-ttl:\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "hono-ttl: -1\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "hono-ttl: 1.5\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "hono-ttl: 2147483648\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "hono-ttl: 99999999999999999999\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "hono-ttl: 1\r\nhono-ttl: 1\r\n", "", 400, "hono-ttl"},
        {"/event/t/d", "ce-time: yesterday\r\n", "", 400, "time"},
        {"/event/t/d", "Idempotency-Key: \"a\r\n", "", 400, "Idempotency-Key"},
        {"/event/t/d", "Content-Type: json\r\n", "", 400, "Content-Type"},
        {0},
    };
    struct dialect_fixture f = {.dialect = &dialect_hono};
    char text[IDENTITY_NAME_BYTES_MAX + 100];
    (void)state;
    dialect_refuse_each(&f, cases);
    (void)snprintf(text, sizeof text, "/event/%0*d/d", IDENTITY_NAME_BYTES_MAX + 1, 0);
    dialect_refuse(&f, 400, "application", text, "", "");
    dialect_done(&f);
}

static void test_methods_and_paths(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_hono};
    (void)state;
    dialect_allow_only(&f, "/telemetry/t/d", DIALECT_ALLOW_POST_PUT);
    dialect_allow_only(&f, "/event/t/d", DIALECT_ALLOW_POST_PUT);
    dialect_allow_only(&f, "/telemetry", DIALECT_ALLOW_POST);
    dialect_allow_only(&f, "/event", DIALECT_ALLOW_POST);
    assert_false(dialect_hono.is_mine(MR_SLICE("/events"))); /* CloudEvents' */
    assert_false(dialect_hono.is_mine(MR_SLICE("/telemetr")));
    assert_false(dialect_hono.is_mine(MR_SLICE("/v1/telemetry")));
    assert_false(dialect_hono.is_mine(MR_SLICE("/")));
    assert_false(dialect_hono.is_mine(MR_SLICE("*")));
    assert_false(dialect_hono.is_mine(MR_SLICE("x/event")));
}

static void test_out_of_memory_is_a_503(void **state)
{
    struct dialect_fixture f = {.dialect = &dialect_hono};
    (void)state;
    dialect_run_out_of_memory(&f, "/event/t%201/d",
                              "hono-ttl: 5\r\nIdempotency-Key: \"k\"\r\nContent-Type: a/b\r\n", "x",
                              2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_has_its_place),
        cmocka_unit_test(test_the_time_to_live_of_an_event_is_kept),
        cmocka_unit_test(test_what_is_proven_wins),
        cmocka_unit_test(test_segments_are_decoded_once),
        cmocka_unit_test(test_what_is_wrong_is_refused_by_name),
        cmocka_unit_test(test_methods_and_paths),
        cmocka_unit_test(test_out_of_memory_is_a_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

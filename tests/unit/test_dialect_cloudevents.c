// SPDX-License-Identifier: Apache-2.0
/* The examples are those of the specification's http-protocol-binding.md and json-format.md
 * (1.0.2), unless another source is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/format_avro.h"
#include "lib/dialect_fixture.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

#define JSON "Content-Type: application/cloudevents+json\r\n"
#define REQUIRED                                                                         \
    "ce-specversion: 1.0\r\nce-type: com.example.someevent\r\nce-id: 1234-1234-1234\r\n" \
    "ce-source: /mycontext/subcontext\r\n"

static struct dialect_fixture fixture(void)
{
    return (struct dialect_fixture){.dialect = &dialect_cloudevents};
}

/* --- binary mode --- */

/* 3.1.4, and 3.1.3.1: names of headers have no case. */
static void test_binary_mode(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    dialect_accept(&f, "/events",
                   "CE-SpecVersion: 1.0\r\nce-type: com.example.someevent\r\n"
                   "ce-time: 2018-04-05T03:56:24Z\r\nce-id: 1234-1234-1234\r\n"
                   "Ce-Source: /mycontext/subcontext\r\nCe-ComExampleOtherValue: 5\r\n"
                   "Content-Type: application/json; charset=utf-8\r\nX-ce-other: x\r\n",
                   "{\n  \"a\": 1}");
    dialect_assert(&f, "specversion", "1.0");
    dialect_assert(&f, "type", "com.example.someevent");
    dialect_assert(&f, "time", "2018-04-05T03:56:24Z");
    dialect_assert(&f, "id", "1234-1234-1234");
    dialect_assert(&f, "source", "/mycontext/subcontext");
    dialect_assert(&f, "comexampleothervalue", "5"); /* a string: a header has no other type */
    dialect_assert(&f, "datacontenttype", "application/json; charset=utf-8");
    assert_int_equal(mr_event_count(f.event), 7);
    assert_slice(mr_event_data(f.event), "{\n  \"a\": 1}");
    dialect_done(&f);
}

static void test_binary_mode_adds_nothing_but_the_time(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    dialect_accept(&f, "/events", REQUIRED, "x");
    assert_int_equal(mr_event_count(f.event), 5);
    assert_true(mr_event_string(f.event, "time").len > 0);
    dialect_assert(&f, "datacontenttype", NULL);
    dialect_assert(&f, "subject", NULL);
    dialect_assert(&f, "application", NULL);
    assert_slice(mr_event_data(f.event), "x");
    dialect_done(&f);
}

static void test_no_content_is_no_data_unless_it_has_a_type(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    dialect_accept(&f, "/events", REQUIRED, "");
    assert_null(mr_event_data(f.event).ptr);
    dialect_done(&f);
    dialect_accept(&f, "/events", REQUIRED "Content-Type: text/plain\r\n", "");
    assert_slice(mr_event_data(f.event), "");
    dialect_done(&f);
}

/* 3.1.3.2. */
static void test_header_values_are_decoded(void **state)
{
    static const struct {
        const char *header;
        const char *expected;
    } cases[] = {
        {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"%e2%82%ac", "\xe2\x82\xac"}, /* "decoding MUST accept lower-case values" */
        {"%41%62%7E", "Ab~"},          /* "unnecessarily percent-encoded" */
        {"%2541", "%41"},              /* "a single round" */
        {"a+b", "a+b"},                /* no form's encoding */
        {"\"quoted\"", "quoted"},      /* RFC 7230 3.2.6 */
        {"\"a \\\"b\\\" \\\\ \\c\"", "a \"b\" \\ c"},
        {"\"a%20%22b\\%2041\"", "a \"b 41"}, /* quotes first, then one round */
        {"\"\"", ""},
        {"%22a%22", "\"a\""},           /* not unquoted after decoding */
        {"a \"b\" c", "a \"b\" c"},     /* older senders: a space */
        {"caf\xc3\xa9", "caf\xc3\xa9"}, /* not encoded at all, but UTF-8 */
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct dialect_fixture f = fixture();
        char headers[400];
        (void)snprintf(headers, sizeof headers, REQUIRED "ce-ext: %s\r\n", cases[i].header);
        dialect_accept(&f, "/events", headers, "x");
        dialect_assert(&f, "ext", cases[i].expected);
        dialect_done(&f);
    }
}

static void test_header_values_that_are_none(void **state)
{
    static const char *const values[] = {
        "%C0%A0", /* the specification's: an overlong space */
        "%ED%A0%80", "%FF",    "\xff", "%",  "%4",     "%zz",   "%E2%82",  "%00",
        "%0A",       "%C2%85", "\"a",  "\"", "\"a\"b", "\"a\\", "\"a\\\"",
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(values); i++) {
        struct dialect_fixture f = fixture();
        char headers[400];
        (void)snprintf(headers, sizeof headers, REQUIRED "ce-ext: %s\r\n", values[i]);
        dialect_refuse(&f, 400, "ce-ext", "/events", headers, "x");
        dialect_done(&f);
    }
}

static void test_what_binary_mode_lacks_is_named(void **state)
{
    static const struct {
        const char *headers;
        const char *detail;
    } cases[] = {
        {"ce-time: 2018-04-05T03:56:24Z\r\n", "missing: id, source, specversion, type"},
        {"ce-specversion: 1.0\r\nce-id: 1\r\nce-type: t\r\n", "missing: source"},
        {"ce-specversion: 0.3\r\nce-id: 1\r\nce-type: t\r\nce-source: s\r\n", "expected \"1.0\""},
        {REQUIRED "ce-subject:\r\n", "subject"},
        {REQUIRED "ce-time: yesterday\r\n", "time"},
        {REQUIRED "ce-id: 2\r\n", "ce-id: given twice"},
        {REQUIRED "CE-ID: 1234-1234-1234\r\n", "ce-id: given twice"},
        {REQUIRED "ce-datacontenttype: a/b\r\n", "ce-datacontenttype"}, /* 3.1.1 */
        {REQUIRED "Content-Type: a\r\n", "Content-Type"},
        {REQUIRED "Content-Type: a/b\r\nContent-Type: a/b\r\n", "Content-Type: given twice"},
        {REQUIRED "ce-a_b: x\r\n", "ce-a_b"},
        {REQUIRED "ce-data: x\r\n", "ce-data"},
        {REQUIRED "ce-: x\r\n", "ce-"},
        {REQUIRED "ce-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: x\r\n",
         "64 bytes"},
        {"", "ce-specversion"},
        {"Content-Type: application/json\r\n", "application/cloudevents+json"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct dialect_fixture f = fixture();
        dialect_refuse(&f, 400, cases[i].detail, "/events", cases[i].headers, "x");
        dialect_done(&f);
    }
}

/* --- structured mode --- */

static void test_structured_json(void **state)
{
    static const char *const types[] = {
        "application/cloudevents+json",
        "application/cloudevents+json; charset=UTF-8",
        "Application/CloudEvents+JSON;charset=utf-8",
        "application/cloudevents+json ; charset=utf-8",
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        struct dialect_fixture f = fixture();
        char headers[200];
        (void)snprintf(headers, sizeof headers, "Content-Type: %s\r\nce-id: ignored\r\n", types[i]);
        dialect_accept(&f, "/events", headers,
                       "{\"specversion\":\"1.0\",\"type\":\"com.example.someevent\","
                       "\"source\":\"/mycontext\",\"subject\":null,\"id\":\"C234-1234-1234\","
                       "\"time\":\"2018-04-05T17:31:00Z\",\"comexampleextension1\":\"value\","
                       "\"comexampleothervalue\":5,\"datacontenttype\":\"application/json\","
                       "\"data\":{\"appinfoA\":\"abc\",\"appinfoB\":123,\"appinfoC\":true}}");
        dialect_assert(&f, "id", "C234-1234-1234");
        dialect_assert(&f, "source", "/mycontext");
        dialect_assert(&f, "type", "com.example.someevent");
        dialect_assert(&f, "time", "2018-04-05T17:31:00Z");
        dialect_assert(&f, "subject", NULL);
        dialect_assert(&f, "datacontenttype", "application/json");
        dialect_assert(&f, "comexampleextension1", "value");
        dialect_assert_integer(&f, "comexampleothervalue", 5);
        assert_int_equal(mr_event_count(f.event), 8);
        assert_slice(mr_event_data(f.event),
                     "{\"appinfoA\":\"abc\",\"appinfoB\":123,\"appinfoC\":true}");
        dialect_done(&f);
    }
}

static void test_structured_avro(void **state)
{
    struct dialect_fixture f = fixture();
    struct mr_event *event = mr_event_new();
    struct mr_buf bytes;
    (void)state;
    assert_non_null(event);
    set_text(event, "specversion", "1.0");
    set_text(event, "id", "1");
    set_text(event, "source", "/s");
    set_text(event, "type", "t");
    mr_event_set_data(event, mr_slice("\0\xff", 2));
    buf_init(&bytes, 1000);
    assert_int_equal(event_avro_encode(event, &bytes, NULL), 0);
    dialect_request_bytes(&f, "POST", "/events", "Content-Type: application/CloudEvents+avro\r\n",
                          buf_slice(&bytes));
    assert_int_equal(f.rc, 0);
    assert_same_event(f.event, event);
    dialect_done(&f);
    dialect_refuse(&f, 400, "application/cloudevents+avro", "/events",
                   "Content-Type: application/cloudevents+avro\r\n", "{}");
    dialect_done(&f);
    buf_done(&bytes);
    mr_event_free(event);
}

static void test_what_a_structured_event_lacks_is_named(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    dialect_refuse(&f, 400, "missing: id, source, specversion, type", "/events", JSON, "{}");
    dialect_done(&f);
    /* Headers make up for nothing (3.2.3). */
    dialect_refuse(&f, 400, "missing: id, source", "/events", JSON "ce-id: 1\r\nce-source: s\r\n",
                   "{\"specversion\":\"1.0\",\"type\":\"t\"}");
    dialect_done(&f);
    dialect_refuse(&f, 400, "line 1, column 1", "/events", JSON, "");
    dialect_done(&f);
    dialect_refuse(&f, 400, "expected \"1.0\"", "/events", JSON, "{\"specversion\":\"0.3\"}");
    dialect_done(&f);
    dialect_refuse(&f, 400, "data_base64", "/events", JSON,
                   "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"1\",\"source\":\"s\","
                   "\"data\":1,\"data_base64\":\"AA==\"}");
    dialect_done(&f);
}

static void test_other_event_formats_are_415(void **state)
{
    static const char *const types[] = {
        "application/cloudevents",
        "application/cloudevents+protobuf",
        "application/cloudevents-batch",
        "application/cloudevents-batch+avro",
        "application/cloudevents+json2",
        "application/cloudevents+jso",
        "application/cloudevents+xml; a=b+json",
        "APPLICATION/CLOUDEVENTS+XML",
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        struct dialect_fixture f = fixture();
        char headers[400];
        (void)snprintf(headers, sizeof headers, REQUIRED "Content-Type: %s\r\n", types[i]);
        dialect_refuse(&f, 415, "application/cloudevents+avro", "/events", headers, "{}");
        dialect_done(&f);
    }
}

static void test_only_post_and_only_this_path(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    dialect_allow_only(&f, "/events?x=y", DIALECT_ALLOW_POST);
    assert_false(dialect_cloudevents.is_mine(MR_SLICE("/events/")));
    assert_false(dialect_cloudevents.is_mine(MR_SLICE("/event")));
    assert_false(dialect_cloudevents.is_mine(MR_SLICE("/")));
}

/* --- who sent it --- */

static void accept_from(struct dialect_fixture *f, const char *headers, const char *application,
                        const char *device, const char *gateway)
{
    char all[600];
    (void)snprintf(all, sizeof all, REQUIRED "%s", headers);
    dialect_accept(f, "/events", all, "x");
    dialect_assert(f, "application", application);
    dialect_assert(f, "device", device);
    dialect_assert(f, "gateway", gateway);
    dialect_assert(f, "source", "/mycontext/subcontext");
    dialect_assert(f, "id", "1234-1234-1234");
    dialect_done(f);
}

static void test_the_sender(void **state)
{
    struct dialect_fixture f = fixture();
    (void)state;
    accept_from(&f, "", NULL, NULL, NULL);
    accept_from(&f, "ce-device: d\r\nce-gateway: g\r\n", NULL, "d", "g");
    f.identity = (struct identity){.application = MR_SLICE("farm"),
                                   .device = MR_SLICE("gw"),
                                   .speaks_for = MR_SLICE("room-*")};
    accept_from(&f, "", "farm", "gw", NULL);
    accept_from(&f, "ce-device: gw\r\nce-application: other\r\n", "farm", "gw", NULL);
    accept_from(&f, "ce-device: room-1\r\n", "farm", "room-1", "gw");
    dialect_refuse(&f, 403, "device:", "/events", REQUIRED "ce-device: barn\r\n", "x");
    dialect_done(&f);
    accept_from(&f, "ce-gateway: other\r\n", "farm", "gw", "gw");
    accept_from(&f, "ce-gateway: other\r\nce-device: room-1\r\n", "farm", "room-1", "gw");
    f.identity.speaks_for = MR_SLICE("");
    accept_from(&f, "ce-device: barn\r\n", "farm", "gw", NULL);
    /* Also in structured mode, where a claim may have another type. */
    dialect_accept(&f, "/events", JSON,
                   "{\"specversion\":\"1.0\",\"type\":\"t\",\"id\":\"1\",\"source\":\"s\","
                   "\"device\":5,\"application\":true,\"gateway\":7}");
    dialect_assert(&f, "application", "farm");
    dialect_assert(&f, "device", "gw");
    dialect_assert(&f, "gateway", "gw");
    dialect_done(&f);
}

/* --- memory --- */

static void check_failing_heap(const char *headers, const char *body)
{
    struct dialect_fixture f = fixture();
    heap_fail_at(0);
    dialect_request(&f, "POST", "/events", headers, body);
    assert_int_equal(f.rc, 0);
    for (unsigned n = 1;; n++) {
        mr_event_free(f.event);
        f.event = mr_event_new();
        heap_fail_at(n);
        dialect_read_again(&f);
        if (!heap_failed()) {
            break;
        }
        assert_int_equal(f.rc, -1);
        assert_int_equal(f.refusal.status, 503);
    }
    assert_int_equal(f.rc, 0);
    dialect_done(&f);
    heap_restore();
    assert_int_equal(heap_alive(), 0);
}

static void test_without_memory_it_is_503(void **state)
{
    char headers[2000];
    (void)state;
    (void)snprintf(headers, sizeof headers,
                   REQUIRED "ce-a: \"x%%20y\"\r\nce-b: %%20%%20\r\nce-c: %01000d\r\n", 1);
    check_failing_heap(headers, "x");
    (void)snprintf(headers, sizeof headers,
                   "{\"specversion\":\"1.0\",\"type\":\"\\u0041\",\"id\":\"1\",\"source\":\"s\","
                   "\"a\":\"\\u0041%01000d\",\"data_base64\":\"AAAA\"}",
                   1);
    check_failing_heap(JSON, headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary_mode),
        cmocka_unit_test(test_binary_mode_adds_nothing_but_the_time),
        cmocka_unit_test(test_no_content_is_no_data_unless_it_has_a_type),
        cmocka_unit_test(test_header_values_are_decoded),
        cmocka_unit_test(test_header_values_that_are_none),
        cmocka_unit_test(test_what_binary_mode_lacks_is_named),
        cmocka_unit_test(test_structured_json),
        cmocka_unit_test(test_structured_avro),
        cmocka_unit_test(test_what_a_structured_event_lacks_is_named),
        cmocka_unit_test(test_other_event_formats_are_415),
        cmocka_unit_test(test_only_post_and_only_this_path),
        cmocka_unit_test(test_the_sender),
        cmocka_unit_test(test_without_memory_it_is_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

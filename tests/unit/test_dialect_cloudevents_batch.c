// SPDX-License-Identifier: Apache-2.0
/* Batches of CloudEvents: json-format.md, 4., and http-protocol-binding.md, 3.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/dialect_fixture.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

#define BATCH "Content-Type: application/cloudevents-batch+json; charset=UTF-8\r\n"
#define A     "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"a\"}"
#define B     "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"b\",\"data\":[1, 2]}"

/* The request of `body`, and its cursor at the beginning. */
struct batch_fixture {
    struct dialect_fixture f;
    struct dialect_request request;
    struct dialect_cursor cursor;
};

static void begin(struct batch_fixture *b, const char *body)
{
    *b = (struct batch_fixture){.f = {.dialect = &dialect_cloudevents}};
    dialect_request(&b->f, "POST", "/events", BATCH, body);
    b->request = dialect_request_of(&b->f);
    assert_true(dialect_cloudevents.is_batch(&b->request));
}

static int next(struct batch_fixture *b)
{
    mr_event_clear(b->f.event);
    return dialect_cloudevents.read_next(&b->request, &b->cursor, b->f.event, &b->f.refusal);
}

static void test_the_example(void **state)
{
    struct batch_fixture b;
    (void)state;
    begin(&b,
          "[\n  {\n      \"specversion\" : \"1.0\",\n"
          "      \"type\" : \"com.example.someevent\",\n"
          "      \"source\" : \"/mycontext/4\",\n      \"id\" : \"B234-1234-1234\",\n"
          "      \"time\" : \"2018-04-05T17:31:00Z\",\n"
          "      \"comexampleextension1\" : \"value\",\n"
          "      \"comexampleothervalue\" : 5,\n"
          "      \"datacontenttype\" : \"application/vnd.apache.thrift.binary\",\n"
          "      \"data_base64\" : \"AP8=\"\n  },\n"
          "  {\n      \"specversion\" : \"1.0\",\n"
          "      \"type\" : \"com.example.someotherevent\",\n"
          "      \"source\" : \"/mycontext/9\",\n      \"id\" : \"C234-1234-1234\",\n"
          "      \"time\" : \"2018-04-05T17:31:05Z\",\n"
          "      \"comexampleextension1\" : \"value\",\n"
          "      \"comexampleothervalue\" : 5,\n"
          "      \"datacontenttype\" : \"application/json\",\n"
          "      \"data\" : {\n          \"appinfoA\" : \"abc\"\n      }\n  }\n]\n");
    for (int round = 0; round < 2; round++) { /* as often as it is asked for */
        b.cursor = (struct dialect_cursor){0};
        assert_int_equal(next(&b), DIALECT_EVENT);
        dialect_assert(&b.f, "id", "B234-1234-1234");
        dialect_assert(&b.f, "source", "/mycontext/4");
        assert_int_equal(mr_event_data(b.f.event).len, 2);
        assert_memory_equal(mr_event_data(b.f.event).ptr, "\0\xff", 2);
        assert_int_equal(next(&b), DIALECT_EVENT);
        dialect_assert(&b.f, "id", "C234-1234-1234");
        dialect_assert(&b.f, "time", "2018-04-05T17:31:05Z");
        assert_slice(mr_event_data(b.f.event), "{\n          \"appinfoA\" : \"abc\"\n      }");
        assert_int_equal(b.cursor.next, 2);
        assert_int_equal(next(&b), DIALECT_END);
        assert_int_equal(next(&b), DIALECT_END);
    }
    dialect_done(&b.f);
}

static void test_an_empty_batch_has_no_events(void **state)
{
    struct batch_fixture b;
    (void)state;
    begin(&b, " [ ]\n");
    assert_int_equal(next(&b), DIALECT_END);
    dialect_done(&b.f);
}

static void test_a_bad_batch_says_why(void **state)
{
    static const struct {
        const char *body;
        int good; /* events before it */
        const char *detail;
    } cases[] = {
        {"", 0, "line 1, column 1"},
        {A, 0, "expected an array of events"},
        {"5", 0, "expected an array of events"},
        {"[5]", 0, "expected an event"},
        {"[" A ",null]", 1, "expected an event"},
        {"[" A ",[" B "]]", 1, "expected an event"},
        {"[" A "," B, 2, "unexpected end"},
        {"[" A " " B "]", 1, "line 1, column 58: expected ',' or ']'"},
        {"[" A ",\n]", 1, "line 2"},
        {"[" A "]x", 1, "column"},
        {"[" A "][]", 1, "column"},
        {"[" A ",{\"id\":\"x\"}]", 1, "missing: source, specversion, type"},
        {"[" A ",{\"id\":}]", 1, "line 1, column"},
        {"[" A ",{\"specversion\":\"2.0\"}]", 1, "expected \"1.0\""}, /* 3.3.2: all the same */
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct batch_fixture b;
        begin(&b, cases[i].body);
        for (int n = 0; n < cases[i].good; n++) {
            assert_int_equal(next(&b), DIALECT_EVENT);
        }
        assert_int_equal(next(&b), DIALECT_REFUSED);
        if (b.f.refusal.status != 400 || strstr(b.f.refusal.detail, cases[i].detail) == NULL) {
            fail_msg("%s: %d %s", cases[i].body, b.f.refusal.status, b.f.refusal.detail);
        }
        dialect_done(&b.f);
    }
}

static void test_only_a_batch_is_one(void **state)
{
    static const struct {
        const char *headers;
        bool is_batch;
    } cases[] = {
        {BATCH, true},        {"content-type: APPLICATION/CLOUDEVENTS-BATCH+JSON\r\n", true},
        {BATCH BATCH, false}, {"Content-Type: application/cloudevents+json\r\n", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct dialect_fixture f = {.dialect = &dialect_cloudevents};
        struct dialect_request request;
        dialect_request(&f, "POST", "/events", cases[i].headers, "[]");
        request = dialect_request_of(&f);
        assert_int_equal(dialect_cloudevents.is_batch(&request), cases[i].is_batch);
        dialect_done(&f);
    }
}

static void test_what_is_proven_wins_for_each_event(void **state)
{
    struct batch_fixture b;
    (void)state;
    begin(&b, "[" A "," B "]");
    b.request.identity =
        (struct identity){.application = MR_SLICE("farm"), .device = MR_SLICE("d1")};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(next(&b), DIALECT_EVENT);
        dialect_assert(&b.f, "device", "d1");
        dialect_assert(&b.f, "application", "farm");
        dialect_assert(&b.f, "source", "/s");
    }
    dialect_done(&b.f);
}

static void test_without_memory_it_is_503(void **state)
{
    struct batch_fixture b;
    char body[3000];
    (void)state;
    (void)snprintf(body, sizeof body,
                   "[" A
                   ",{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"a\","
                   "\"data_base64\":\"%02000d\"}]",
                   0);
    heap_fail_at(0);
    begin(&b, body);
    assert_int_equal(next(&b), DIALECT_EVENT);
    heap_fail_at(1);
    assert_int_equal(next(&b), DIALECT_REFUSED);
    assert_true(heap_failed());
    assert_int_equal(b.f.refusal.status, 503);
    dialect_done(&b.f);
    heap_restore();
    assert_int_equal(heap_alive(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example),
        cmocka_unit_test(test_an_empty_batch_has_no_events),
        cmocka_unit_test(test_a_bad_batch_says_why),
        cmocka_unit_test(test_only_a_batch_is_one),
        cmocka_unit_test(test_what_is_proven_wins_for_each_event),
        cmocka_unit_test(test_without_memory_it_is_503),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

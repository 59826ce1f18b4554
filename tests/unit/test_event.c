// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "event/event_internal.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

static int setup(void **state)
{
    *state = mr_event_new();
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    mr_event_free(*state);
    return 0;
}

static int set(struct mr_event *event, const char *name, const char *value, struct mr_error *err)
{
    return mr_event_set(event, mr_slice_of(name), mr_slice_of(value), err);
}

static void set_required(struct mr_event *event)
{
    assert_int_equal(set(event, "specversion", "1.0", NULL), 0);
    assert_int_equal(set(event, "id", "A234-1234-1234", NULL), 0);
    assert_int_equal(set(event, "source", "/mycontext", NULL), 0);
    assert_int_equal(set(event, "type", "com.example.someevent", NULL), 0);
}

static void test_values_come_out_as_they_went_in(void **state)
{
    struct mr_event *event = *state;
    const struct mr_attribute *attribute;

    set_required(event);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("count"), INT32_MIN, NULL), 0);
    assert_int_equal(mr_event_set_boolean(event, MR_SLICE("retain"), true, NULL), 0);
    assert_int_equal(mr_event_set_binary(event, MR_SLICE("token"), MR_SLICE("\0\xff"), NULL), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("empty"), MR_SLICE(""), NULL), 0);
    assert_int_equal(mr_event_count(event), 8);
    assert_slice(mr_event_at(event, 0)->name, "specversion");
    assert_slice(mr_event_at(event, 7)->name, "empty");
    assert_slice(mr_event_string(event, "source"), "/mycontext");
    assert_slice(mr_event_string(event, "empty"), "");

    attribute = mr_event_find(event, MR_SLICE("count"));
    assert_int_equal(attribute->type, MR_VALUE_INTEGER);
    assert_int_equal(attribute->integer, INT32_MIN);
    attribute = mr_event_find(event, MR_SLICE("retain"));
    assert_int_equal(attribute->type, MR_VALUE_BOOLEAN);
    assert_true(attribute->boolean);
    attribute = mr_event_find(event, MR_SLICE("token"));
    assert_int_equal(attribute->type, MR_VALUE_BINARY);
    assert_int_equal(attribute->bytes.len, 2);
    assert_memory_equal(attribute->bytes.ptr, "\0\xff", 2);

    assert_null(mr_event_find(event, MR_SLICE("missing")));
    assert_null(mr_event_string(event, "missing").ptr);
    assert_null(mr_event_string(event, "count").ptr); /* of another type */
}

static void test_data_is_borrowed_and_absent_is_not_empty(void **state)
{
    struct mr_event *event = *state;
    static const char data[] = "{\"temp\":1}";
    assert_null(mr_event_data(event).ptr);
    mr_event_set_data(event, mr_slice_of(data));
    assert_ptr_equal(mr_event_data(event).ptr, data);
    mr_event_set_data(event, MR_SLICE(""));
    assert_non_null(mr_event_data(event).ptr);
    assert_int_equal(mr_event_data(event).len, 0);
    mr_event_clear(event);
    assert_null(mr_event_data(event).ptr);
}

static void test_what_was_given_may_change_afterwards(void **state)
{
    struct mr_event *event = *state;
    char name[] = "device";
    char value[] = "sensor-1";
    assert_int_equal(set(event, name, value, NULL), 0);
    memset(name, 'x', sizeof name - 1);
    memset(value, 'x', sizeof value - 1);
    assert_slice(mr_event_string(event, "device"), "sensor-1");
}

static void test_setting_again_replaces_in_place(void **state)
{
    struct mr_event *event = *state;
    struct mr_slice before;
    set_required(event);
    before = mr_event_string(event, "id");
    assert_int_equal(set(event, "id", "other", NULL), 0);
    assert_int_equal(mr_event_count(event), 4);
    assert_slice(mr_event_at(event, 1)->name, "id");
    assert_slice(mr_event_string(event, "id"), "other");
    assert_slice(before, "A234-1234-1234"); /* strings live as long as the event */
    /* Also by another type, and by a part of itself. */
    assert_int_equal(set(event, "ext", "twenty-one", NULL), 0);
    before = mr_event_string(event, "ext");
    assert_int_equal(
        mr_event_set(event, MR_SLICE("ext"), mr_slice(before.ptr + 7, before.len - 7), NULL), 0);
    assert_slice(mr_event_string(event, "ext"), "one");
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("ext"), 21, NULL), 0);
    assert_int_equal(mr_event_find(event, MR_SLICE("ext"))->integer, 21);
    assert_int_equal(mr_event_count(event), 5);
}

/* CloudEvents 1.0.2, "Context Attributes" and "Type System". */
static void test_what_the_specification_allows(void **state)
{
    static const struct {
        const char *name;
        const char *value;
    } rows[] = {
        {"id", "A234-1234-1234"},
        {"id", "1"},
        {"source", "https://github.com/cloudevents"},
        {"source", "mailto:cncf-wg-serverless@lists.cncf.io"},
        {"source", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"},
        {"source", "/cloudevents/spec/pull/123"},
        {"source", "/sensors/tn-1234567/alerts"},
        {"source", "1-555-123-4567"},
        {"specversion", "1.0"},
        {"type", "com.github.pull_request.opened"},
        {"datacontenttype", "text/xml"},
        {"datacontenttype", "application/json; charset=utf-8"},
        {"dataschema", "http://registry.com/schema/v1/much.json"},
        {"dataschema", "urn:x"},
        {"subject", "mynewfile.jpg"},
        {"subject", "caf\xc3\xa9 \xe2\x82\xac"},
        {"time", "2018-04-05T17:31:00Z"},
        {"time", "2018-04-05T17:31:00.123456789+02:00"},
        {"comexampleextension1", ""},
        {"a1b2", "value"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "64 characters"},
    };
    struct mr_event *event = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct mr_error err = {0};
        if (set(event, rows[i].name, rows[i].value, &err) != 0) {
            fail_msg("%s = %s: %s", rows[i].name, rows[i].value, err.text);
        }
        assert_slice(mr_event_string(event, rows[i].name), rows[i].value);
    }
}

/* Each with a word of the text that must say what is wrong. */
static void test_what_the_specification_forbids(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        const char *said;
    } rows[] = {
        {"id", "", "attribute id: it is empty"},
        {"id", "a\nb", "attribute id: it is not text"},
        {"id", "\xff", "attribute id: it is not text"},
        {"id", NULL, "attribute id: it has no value"},
        {"source", "", "attribute source: it is empty"},
        {"source", "a b", "it is \"a b\", expected a URI-reference"},
        {"source", "http://[::1", "a URI-reference"},
        {"specversion", "1.0.2", "it is \"1.0.2\", expected \"1.0\""},
        {"specversion", "0.3", "it is \"0.3\", expected \"1.0\""},
        {"specversion", "", "attribute specversion: it is empty"},
        {"type", "", "attribute type: it is empty"},
        {"datacontenttype", "json", "it is \"json\", expected a media type"},
        {"datacontenttype", "", "attribute datacontenttype: it is empty"},
        {"dataschema", "/relative", "it is \"/relative\", expected an absolute URI"},
        {"subject", "", "attribute subject: it is empty"},
        {"time", "yesterday", "it is \"yesterday\", expected a timestamp such as"},
        {"time", "2018-04-05", "(RFC 3339)"},
        {"ext", "\xed\xa0\x80", "attribute ext: it is not text"}, /* a surrogate */
        {"ext", "\xef\xbf\xbe", "attribute ext: it is not text"}, /* U+FFFE */
        {"ext", "\x7f", "attribute ext: it is not text"},
        {"", "x", "attribute name \"\": expected 1 to 64"},
        {"data", "x", "attribute name \"data\""},
        {"Upper", "x", "attribute name \"Upper\": expected 1 to 64 of a-z and 0-9"},
        {"device_id", "x", "attribute name \"device_id\""},
        {"caf\xc3\xa9", "x", "attribute name \"caf\xc3\xa9\""},
        {"\xff", "x", "attribute name (not text)"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "65",
         "expected 1 to 64"},
    };
    struct mr_event *event = *state;
    for (size_t i = 0; i < MR_COUNT_OF(rows); i++) {
        struct mr_error err = {0};
        assert_int_equal(set(event, rows[i].name, rows[i].value, &err), MR_EFORMAT);
        assert_int_equal(err.code, MR_EFORMAT);
        if (strstr(err.text, rows[i].said) == NULL) {
            fail_msg("row %zu: \"%s\" doesn't say \"%s\"", i, err.text, rows[i].said);
        }
    }
    assert_int_equal(mr_event_count(event), 0);
    assert_int_equal(set(event, "id", "", NULL), MR_EFORMAT); /* without a text */
}

static void test_known_attributes_are_strings(void **state)
{
    static const char *const names[] = {"id",      "source",          "specversion", "type",
                                        "subject", "datacontenttype", "dataschema",  "time"};
    struct mr_event *event = *state;
    struct mr_error err;
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        struct mr_slice name = mr_slice_of(names[i]);
        assert_int_equal(mr_event_set_integer(event, name, 1, &err), MR_EFORMAT);
        assert_non_null(strstr(err.text, names[i]));
        assert_non_null(strstr(err.text, "it is an integer, expected "));
        assert_int_equal(mr_event_set_boolean(event, name, true, &err), MR_EFORMAT);
        assert_non_null(strstr(err.text, "it is a boolean, expected "));
        assert_int_equal(mr_event_set_binary(event, name, MR_SLICE("1.0"), &err), MR_EFORMAT);
        assert_non_null(strstr(err.text, "it is binary, expected "));
    }
    assert_int_equal(mr_event_count(event), 0);
}

static void test_a_refusal_changes_nothing(void **state)
{
    struct mr_event *event = *state;
    set_required(event);
    assert_int_equal(set(event, "source", "a b", NULL), MR_EFORMAT);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("id"), 1, NULL), MR_EFORMAT);
    assert_slice(mr_event_string(event, "source"), "/mycontext");
    assert_slice(mr_event_string(event, "id"), "A234-1234-1234");
    assert_int_equal(mr_event_count(event), 4);
}

static void test_long_values_are_shown_in_part(void **state)
{
    struct mr_event *event = *state;
    struct mr_error err;
    char value[201];
    const char *ellipsis;
    /* 63 bytes, then characters of two bytes: the cut must not split one. */
    memset(value, 'x', 63);
    for (size_t i = 63; i < 199; i += 2) {
        memcpy(value + i, "\xc3\xa9", 2);
    }
    value[199] = '\0';
    assert_int_equal(set(event, "time", value, &err), MR_EFORMAT);
    ellipsis = strstr(err.text, "...\", expected");
    assert_non_null(ellipsis);
    assert_int_equal(ellipsis[-1], 'x');
}

static void test_missing_attributes_are_all_named(void **state)
{
    struct mr_event *event = *state;
    struct mr_error err;
    assert_int_equal(mr_event_check(event, &err), MR_ENOTEVENT);
    assert_string_equal(err.text, "required attributes are missing: id, source, specversion, type");
    assert_int_equal(set(event, "source", "/s", NULL), 0);
    assert_int_equal(set(event, "specversion", "1.0", NULL), 0);
    assert_int_equal(mr_event_check(event, &err), MR_ENOTEVENT);
    assert_string_equal(err.text, "required attributes are missing: id, type");
    set_required(event);
    assert_int_equal(mr_event_check(event, &err), 0);
    mr_event_clear(event);
    assert_int_equal(mr_event_check(event, NULL), MR_ENOTEVENT);
}

static void set_numbered(struct mr_event *event, int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "ext%d", number);
    assert_int_equal(set(event, name, name, NULL), 0);
}

static void test_the_number_of_attributes_is_bounded(void **state)
{
    struct mr_event *event = *state;
    struct mr_error err;
    struct mr_slice first;
    set_numbered(event, 0);
    first = mr_event_string(event, "ext0");
    for (int i = 1; i < MR_EVENT_ATTRIBUTES_MAX; i++) {
        set_numbered(event, i);
    }
    assert_int_equal(set(event, "onemore", "x", &err), MR_ELIMIT);
    assert_non_null(strstr(err.text, "attribute onemore: there are more than 128 attributes"));
    assert_int_equal(mr_event_count(event), MR_EVENT_ATTRIBUTES_MAX);
    assert_int_equal(set(event, "ext127", "replaced", NULL), 0);
    assert_slice(mr_event_string(event, "ext127"), "replaced");
    for (int i = 0; i < MR_EVENT_ATTRIBUTES_MAX - 1; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "ext%d", i);
        assert_slice(mr_event_string(event, name), name);
        assert_slice(mr_event_at(event, (size_t)i)->name, name);
    }
    assert_ptr_equal(mr_event_string(event, "ext0").ptr, first.ptr);
}

static void test_the_bytes_of_attributes_are_bounded(void **state)
{
    static char big[MR_EVENT_ATTRIBUTES_BYTES_MAX + 1];
    struct mr_event *event = *state;
    struct mr_error err;
    memset(big, 'x', sizeof big);
    /* Exactly: "a" and the rest. */
    assert_int_equal(mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big - 1), &err),
                     MR_ELIMIT);
    assert_non_null(strstr(err.text, "attribute a: names and values are more than 65536 bytes"));
    assert_int_equal(mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big - 2), &err), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("b"), MR_SLICE(""), &err), MR_ELIMIT);
    /* A shorter one in its place makes room. */
    assert_int_equal(mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big - 4), &err), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("b"), MR_SLICE("x"), &err), 0);
    assert_int_equal(mr_event_set(event, MR_SLICE("b"), MR_SLICE("xy"), &err), MR_ELIMIT);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("b"), 7, &err), 0);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("c"), 7, &err), 0);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("d"), 7, &err), MR_ELIMIT);
}

static void test_replacing_for_ever_is_bounded(void **state)
{
    static char big[MR_EVENT_ATTRIBUTES_BYTES_MAX - 1];
    struct mr_event *event = *state;
    struct mr_error err;
    int rc = 0;
    int rounds;
    memset(big, 'x', sizeof big);
    for (rounds = 0; rounds < 100 && rc == 0; rounds++) {
        big[0] = (char)('A' + rounds % 26);
        rc = mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big), &err);
    }
    assert_int_equal(rc, MR_ELIMIT);
    assert_true(rounds > 10 && rounds < 20);
    assert_int_equal(mr_event_count(event), 1);
    /* The same value again costs nothing. */
    for (int i = 0; i < 100; i++) {
        big[0] = mr_event_string(event, "a").ptr[0];
        assert_int_equal(mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big), &err), 0);
    }
    mr_event_clear(event);
    assert_int_equal(mr_event_set(event, MR_SLICE("a"), mr_slice(big, sizeof big), &err), 0);
}

static void test_put_borrows_and_refuses_a_second_time(void **state)
{
    static const char bytes[] = "deviceA7";
    struct mr_event *event = *state;
    struct mr_attribute attribute = {.name = mr_slice(bytes, 6), .bytes = mr_slice(bytes + 6, 2)};
    struct mr_error err;

    attribute.type = MR_VALUE_STRING;
    assert_int_equal(event_put(event, &attribute, &err), 0);
    assert_ptr_equal(mr_event_at(event, 0)->name.ptr, bytes);
    assert_ptr_equal(mr_event_string(event, "device").ptr, bytes + 6);
    assert_int_equal(event_put(event, &attribute, &err), MR_ENOTEVENT);
    assert_string_equal(err.text, "attribute device: it is there twice");
    attribute.name = MR_SLICE("id");
    assert_int_equal(event_put(event, &attribute, &err), 0);
    assert_int_equal(event_put(event, &attribute, &err), MR_ENOTEVENT);
    attribute.name = MR_SLICE("time");
    assert_int_equal(event_put(event, &attribute, &err), MR_ENOTEVENT);
    attribute.name = MR_SLICE("source");
    attribute.type = MR_VALUE_INTEGER;
    assert_int_equal(event_put(event, &attribute, &err), MR_ENOTEVENT);
    assert_int_equal(err.code, MR_ENOTEVENT);
    assert_int_equal(event_put(event, &attribute, NULL), MR_ENOTEVENT);
    assert_int_equal(mr_event_count(event), 2);
}

static void assert_canonical(struct mr_event *event, const char *name, const char *expected)
{
    struct mr_slice text = {0};
    assert_int_equal(
        mr_event_canonical(event, mr_event_find(event, mr_slice_of(name)), &text, NULL), 0);
    assert_slice(text, expected);
}

static void test_canonical_strings(void **state)
{
    struct mr_event *event = *state;
    set_required(event);
    assert_int_equal(mr_event_set_boolean(event, MR_SLICE("yes"), true, NULL), 0);
    assert_int_equal(mr_event_set_boolean(event, MR_SLICE("no"), false, NULL), 0);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("low"), INT32_MIN, NULL), 0);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("high"), INT32_MAX, NULL), 0);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("zero"), 0, NULL), 0);
    assert_int_equal(mr_event_set_binary(event, MR_SLICE("bytes"), MR_SLICE("foob"), NULL), 0);
    assert_int_equal(mr_event_set_binary(event, MR_SLICE("none"), MR_SLICE(""), NULL), 0);
    assert_canonical(event, "yes", "true");
    assert_canonical(event, "no", "false");
    assert_canonical(event, "low", "-2147483648");
    assert_canonical(event, "high", "2147483647");
    assert_canonical(event, "zero", "0");
    assert_canonical(event, "bytes", "Zm9vYg=="); /* RFC 4648 10 */
    assert_canonical(event, "none", "");
    assert_canonical(event, "source", "/mycontext");
}

static void test_memory_is_kept_but_not_hoarded(void **state)
{
    static char big[60000];
    struct mr_event *event;
    (void)state;
    memset(big, 'x', sizeof big);
    heap_fail_at(0);
    event = mr_event_new();
    assert_non_null(event);
    for (int round = 0; round < 50; round++) {
        assert_int_equal(mr_event_set(event, MR_SLICE("big"), mr_slice(big, sizeof big), NULL), 0);
        assert_non_null(event_alloc(event, 3000));
        assert_true(heap_alive() <= 1 + 3);
        mr_event_clear(event);
        assert_true(heap_alive() <= 1 + 1);
    }
    mr_event_free(event);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_a_usual_event_is_one_allocation(void **state)
{
    struct mr_event *event;
    (void)state;
    heap_fail_at(0);
    event = mr_event_new();
    assert_non_null(event);
    heap_fail_at(1);
    for (int round = 0; round < 3; round++) {
        set_required(event);
        assert_int_equal(set(event, "time", "2018-04-05T17:31:00Z", NULL), 0);
        assert_int_equal(set(event, "subject", "temperature", NULL), 0);
        assert_int_equal(set(event, "application", "greenhouse", NULL), 0);
        assert_int_equal(set(event, "device", "sensor-17", NULL), 0);
        assert_int_equal(set(event, "datacontenttype", "application/json", NULL), 0);
        mr_event_clear(event);
    }
    assert_false(heap_failed());
    mr_event_free(event);
    heap_restore();
}

/* All that allocates, once. */
static int fill(struct mr_event *event)
{
    static const char kilobyte[1024] = {0};
    struct mr_slice text;
    int rc = 0;
    for (int i = 0; rc == 0 && i < 40; i++) {
        char name[32];
        struct mr_error err;
        (void)snprintf(name, sizeof name, "ext%d", i);
        rc = mr_event_set(event, mr_slice_of(name),
                          MR_SLICE("a value that makes the event's own room too small"), &err);
        if (rc != 0) {
            assert_true(err.retriable);
            assert_int_equal(mr_event_count(event), i); /* unchanged */
        }
    }
    if (rc == 0) {
        rc = mr_event_set_integer(event, MR_SLICE("number"), -7, NULL);
    }
    for (int i = 0; rc == 0 && i < 500; i++) {
        rc = mr_event_canonical(event, mr_event_find(event, MR_SLICE("number")), &text, NULL);
    }
    if (rc == 0) {
        rc = mr_event_set_binary(event, MR_SLICE("binary"), mr_slice(kilobyte, sizeof kilobyte),
                                 NULL);
    }
    if (rc == 0) {
        rc = mr_event_canonical(event, mr_event_find(event, MR_SLICE("binary")), &text, NULL);
    }
    return rc;
}

static void test_every_allocation_may_fail(void **state)
{
    unsigned n;
    (void)state;
    for (n = 1;; n++) {
        struct mr_event *event;
        int rc;
        heap_fail_at(n);
        event = mr_event_new();
        if (event == NULL) {
            assert_true(heap_failed());
            continue;
        }
        rc = fill(event);
        mr_event_free(event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 5);
    heap_restore();
    mr_event_free(NULL);
}

int main(void)
{
#define WITH_EVENT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_EVENT(test_values_come_out_as_they_went_in),
        WITH_EVENT(test_data_is_borrowed_and_absent_is_not_empty),
        WITH_EVENT(test_what_was_given_may_change_afterwards),
        WITH_EVENT(test_setting_again_replaces_in_place),
        WITH_EVENT(test_what_the_specification_allows),
        WITH_EVENT(test_what_the_specification_forbids),
        WITH_EVENT(test_known_attributes_are_strings),
        WITH_EVENT(test_a_refusal_changes_nothing),
        WITH_EVENT(test_long_values_are_shown_in_part),
        WITH_EVENT(test_missing_attributes_are_all_named),
        WITH_EVENT(test_the_number_of_attributes_is_bounded),
        WITH_EVENT(test_the_bytes_of_attributes_are_bounded),
        WITH_EVENT(test_replacing_for_ever_is_bounded),
        WITH_EVENT(test_put_borrows_and_refuses_a_second_time),
        WITH_EVENT(test_canonical_strings),
        cmocka_unit_test(test_memory_is_kept_but_not_hoarded),
        cmocka_unit_test(test_a_usual_event_is_one_allocation),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

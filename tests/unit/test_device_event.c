// SPDX-License-Identifier: Apache-2.0
/* mr_event_from_device and mr_event_complete: what every bridge's events have in common. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <millrace/event.h>

#include "lib/heap.h"

static void assert_attribute(const struct mr_event *event, const char *name, const char *expected)
{
    struct mr_slice value = mr_event_string(event, name);
    if (value.ptr == NULL || !mr_slice_is(value, mr_slice_of(expected))) {
        fail_msg("%s is '%.*s', not '%s'", name, MR_SLICE_ARG(value), expected);
    }
}

static void test_a_device_is_named_so_that_it_can_be_taken_apart(void **state)
{
    static const struct {
        const char *application;
        const char *device;
        const char *source; /* RFC 3986 2.1, 2.3: all but the unreserved is encoded */
    } cases[] = {
        {"barn", "d1", "/barn/d1"},
        {"a/b", "c d", "/a%2Fb/c%20d"},
        {"a", "b/c d", "/a/b%2Fc%20d"},
        {"%", "~.-_", "/%25/~.-_"},
        {"caf\xc3\xa9", "\xf0\x9f\x8c\xa1", "/caf%C3%A9/%F0%9F%8C%A1"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct mr_event *event = mr_event_new();
        struct mr_error err;
        assert_int_equal(
            mr_event_from_device(event, mr_slice_of(cases[i].application),
                                 mr_slice_of(cases[i].device), MR_SLICE("temp/room"), &err),
            0);
        assert_attribute(event, "application", cases[i].application);
        assert_attribute(event, "device", cases[i].device);
        assert_attribute(event, "source", cases[i].source);
        assert_attribute(event, "subject", "temp/room");
        assert_int_equal(mr_event_count(event), 4);
        mr_event_free(event);
    }
}

static void test_each_part_must_be_a_text(void **state)
{
    static const char *const bad[] = {"", "a\nb", "\xff", "\xed\xa0\x80"};
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(bad); i++) {
        for (size_t part = 0; part < 3; part++) {
            struct mr_slice parts[3] = {MR_SLICE("a"), MR_SLICE("d"), MR_SLICE("c")};
            struct mr_event *event = mr_event_new();
            struct mr_error err;
            parts[part] = mr_slice_of(bad[i]);
            assert_int_equal(mr_event_from_device(event, parts[0], parts[1], parts[2], &err),
                             MR_EFORMAT);
            assert_non_null(
                strstr(err.text, (const char *const[]){"application", "device", "subject"}[part]));
            mr_event_free(event);
        }
    }
}

/* RFC 9562 5.7: version 7, variant 10, the time of now in its first 48 bits. */
static void check_new_id(struct mr_slice id, int64_t before_ms)
{
    unsigned long long high;
    unsigned low;
    char text[40];
    assert_int_equal(id.len, 36);
    (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(id));
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    text[8] = '\0';
    text[13] = '\0';
    high = strtoull(text, NULL, 16);
    low = (unsigned)strtoul(text + 9, NULL, 16);
    assert_in_range((int64_t)(high << 16 | low), before_ms, before_ms + 60000);
}

static void test_what_is_missing_is_added(void **state)
{
    struct mr_event *event = mr_event_new();
    struct mr_error err;
    struct mr_slice text;
    struct tm utc = {0};
    char first_id[40];
    char copy[64];
    int64_t now_s = time(NULL);
    (void)state;
    assert_int_equal(mr_event_from_device(event, MR_SLICE("a"), MR_SLICE("d"), MR_SLICE("c"), &err),
                     0);
    assert_int_equal(mr_event_complete(event, &err), 0);
    assert_attribute(event, "specversion", "1.0");
    assert_attribute(event, "type", "io.millrace.event.v1");
    check_new_id(mr_event_string(event, "id"), now_s * 1000);
    text = mr_event_string(event, "time");
    (void)snprintf(copy, sizeof copy, "%.*s", MR_SLICE_ARG(text));
    assert_non_null(strptime(copy, "%Y-%m-%dT%H:%M:%S", &utc)); /* RFC 3339 5.6 */
    assert_in_range(timegm(&utc), now_s, now_s + 60);
    assert_int_equal(copy[text.len - 1], 'Z');
    text = mr_event_string(event, "id");
    (void)snprintf(first_id, sizeof first_id, "%.*s", MR_SLICE_ARG(text));
    mr_event_clear(event);
    assert_int_equal(mr_event_from_device(event, MR_SLICE("a"), MR_SLICE("d"), MR_SLICE("c"), &err),
                     0);
    assert_int_equal(mr_event_complete(event, &err), 0);
    assert_false(mr_slice_is(mr_event_string(event, "id"), mr_slice_of(first_id)));
    mr_event_free(event);
}

static void test_what_is_there_stays(void **state)
{
    static const char *const given[][2] = {
        {"id", "mine"}, {"time", "2026-01-02T03:04:05+01:00"}, {"type", "org.example.x"}};
    struct mr_event *event = mr_event_new();
    struct mr_error err;
    (void)state;
    assert_int_equal(mr_event_from_device(event, MR_SLICE("a"), MR_SLICE("d"), MR_SLICE("c"), &err),
                     0);
    for (size_t i = 0; i < MR_COUNT_OF(given); i++) {
        assert_int_equal(
            mr_event_set(event, mr_slice_of(given[i][0]), mr_slice_of(given[i][1]), &err), 0);
    }
    assert_int_equal(mr_event_complete(event, &err), 0);
    for (size_t i = 0; i < MR_COUNT_OF(given); i++) {
        assert_attribute(event, given[i][0], given[i][1]);
    }
    assert_int_equal(mr_event_count(event), 8);
    mr_event_free(event);
}

static void test_without_a_source_it_is_no_event(void **state)
{
    struct mr_event *event = mr_event_new();
    struct mr_error err;
    (void)state;
    assert_int_equal(mr_event_complete(event, &err), MR_ENOTEVENT);
    assert_non_null(strstr(err.text, "source"));
    mr_event_free(event);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct mr_error err;
        struct mr_event *event;
        int rc;
        heap_fail_at(0);
        event = mr_event_new();
        assert_non_null(event);
        heap_fail_at(n);
        rc = mr_event_from_device(event, MR_SLICE("a"), MR_SLICE("d"), MR_SLICE("c"), &err);
        if (rc == 0) {
            rc = mr_event_complete(event, &err);
        }
        mr_event_free(event);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            assert_true(n > 1);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_device_is_named_so_that_it_can_be_taken_apart),
        cmocka_unit_test(test_each_part_must_be_a_text),
        cmocka_unit_test(test_what_is_missing_is_added),
        cmocka_unit_test(test_what_is_there_stays),
        cmocka_unit_test(test_without_a_source_it_is_no_event),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

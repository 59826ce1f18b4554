// SPDX-License-Identifier: Apache-2.0
/* What `millrace dead` makes of the records of a dead-letter topic, in which anything may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/dead_filter.h"
#include "cli/dead_mark.h"
#include "cli/dead_tally.h"
#include "cli/print.h"
#include "lib/heap.h"

#define RECORD(...)                                                                          \
    {                                                                                        \
        .headers = (const struct kafka_header[]){__VA_ARGS__},                               \
        .header_count =                                                                      \
            sizeof((const struct kafka_header[]){__VA_ARGS__}) / sizeof(struct kafka_header) \
    }
#define HEADER(name, value)        \
    {                              \
        name, MR_SLICE_INIT(value) \
    }

static void test_what_the_writer_writes_is_read(void **state)
{
    static const struct kafka_header originals[] = {{"content-type", MR_SLICE_INIT("a/b")}};
    struct dead_letter letter = {
        .original = {.value = MR_SLICE("v"), .headers = originals, .header_count = 1},
        .reason = "mapping",
        .text = "why",
        .topic = "events",
        .partition = 3,
        .offset = 9007199254740993,
        .timestamp_ms = 1262304000123,
        .group = "g",
        .attempts = 4,
        .first_ms = 1262304000000, /* date -u -d 2010-01-01 +%s */
        .last_ms = 1262304061500,
        .server = "no",
    };
    struct dead_writer writer;
    struct kafka_record record, restored_record;
    static struct dead_restored restored;
    struct dead_view view;
    (void)state;
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_int_equal(dead_view_read(&record, 5, &view), DEAD_KIND_LETTER);
    assert_true(mr_slice_is(view.reason, MR_SLICE("mapping")));
    assert_true(mr_slice_is(view.text, MR_SLICE("why")));
    assert_true(mr_slice_is(view.topic, MR_SLICE("events")));
    assert_true(mr_slice_is(view.group, MR_SLICE("g")));
    assert_true(mr_slice_is(view.server, MR_SLICE("no")));
    assert_int_equal(view.partition, 3);
    assert_int_equal(view.offset, 9007199254740993);
    assert_int_equal(view.timestamp_ms, 1262304000123);
    assert_int_equal(view.attempts, 4);
    assert_int_equal(view.replays, 0);
    assert_int_equal(view.size, -1);
    assert_int_equal(view.died_ms, 1262304061500);
    assert_true(view.is_whole);

    /* As it was, and counted; dying again it keeps the count. */
    assert_int_equal(dead_letter_restore(&record, 1, &restored, &restored_record, NULL), 0);
    assert_int_equal(restored_record.header_count, 2);
    assert_string_equal(restored_record.headers[0].name, "content-type");
    assert_string_equal(restored_record.headers[1].name, "millrace_dead_replays");
    letter.original = restored_record;
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_int_equal(dead_view_read(&record, 5, &view), DEAD_KIND_LETTER);
    assert_int_equal(view.replays, 1);
    assert_true(view.is_whole);
    dead_writer_done(&writer);
}

static void test_a_letter_that_was_cut_is_not_whole(void **state)
{
    struct dead_letter letter = DEAD_LETTER_INIT;
    struct dead_writer writer;
    struct kafka_record record;
    struct dead_view view;
    char *large = calloc(1, 2 * DEAD_BYTES_MIN);
    struct kafka_header header = {"large", {large, 2 * DEAD_BYTES_MIN}};
    (void)state;
    assert_non_null(large);
    letter.reason = "x";
    dead_writer_init(&writer);
    for (int i = 0; i < 3; i++) { /* the value, the key, a header */
        struct mr_slice bytes = {large, 2 * DEAD_BYTES_MIN};
        letter.original = (struct kafka_record){0};
        letter.original.value = i == 0 ? bytes : MR_SLICE("v");
        letter.original.key = i == 1 ? bytes : MR_SLICE("k");
        letter.original.headers = &header;
        letter.original.header_count = i == 2 ? 1 : 0;
        assert_int_equal(dead_letter_write(&letter, DEAD_BYTES_MIN, &writer, &record, NULL), 0);
        assert_int_equal(dead_view_read(&record, 5, &view), DEAD_KIND_LETTER);
        assert_false(view.is_whole);
        assert_int_equal(view.size, letter.original.value.len);
    }
    dead_writer_done(&writer);
    free(large);
}

static void test_garbled_headers_are_as_good_as_none(void **state)
{
    static const char *const numbers[] = {"",     "-1",
                                          "+1",   " 1",
                                          "1 ",   "0x10",
                                          "1e3",  "9223372036854775808",
                                          "\xff", "99999999999999999999999999"};
    struct kafka_record empty = {0};
    struct kafka_record nothing = RECORD({"millrace_dead_reason", {NULL, 0}});
    struct dead_view view;
    (void)state;
    assert_int_equal(dead_view_read(&empty, 5, &view), DEAD_KIND_OTHER);
    assert_int_equal(dead_view_read(&nothing, 5, &view), DEAD_KIND_OTHER);
    for (size_t i = 0; i < MR_COUNT_OF(numbers); i++) {
        struct mr_slice value = mr_slice_of(numbers[i]);
        struct kafka_record record = RECORD(
            HEADER("millrace_dead_reason", "\xff\x1b[2J"), {"millrace_dead_partition", value},
            {"millrace_dead_offset", value}, {"millrace_dead_size", value},
            {"millrace_dead_replays", value}, {"millrace_dead_last", value});
        assert_int_equal(dead_view_read(&record, 5, &view), DEAD_KIND_LETTER);
        assert_int_equal(view.partition, -1);
        assert_int_equal(view.offset, -1);
        assert_int_equal(view.size, -1);
        assert_false(view.is_whole);
        assert_int_equal(view.replays, INT64_MAX);
        assert_int_equal(view.died_ms, 5);
    }
}

static void test_a_mark_is_only_for_an_earlier_letter_of_its_partition(void **state)
{
    static const struct {
        const char *letter;
        bool is_one;
    } cases[] = {{"2:7", true},    {"2:0", true},   {"2:9", true},
                 {"2:10", false},  {"2:11", false}, {"3:7", false},
                 {"2:7-8", false}, {"2:", false},   {":7", false},
                 {"2", false},     {"", false},     {"2:7:7", false},
                 {"2:-7", false},  {"2:7-", false}, {"99999999999:7", false}};
    struct dead_mark mark;
    struct kafka_record record;
    struct dead_view view;
    int64_t letter = -1;
    (void)state;
    dead_mark_write("replayed", 2147483647, INT64_MAX - 1, &mark, &record);
    assert_int_equal(dead_view_read(&record, 5, &view), DEAD_KIND_MARK);
    assert_true(dead_mark_read(&record, 2147483647, INT64_MAX, &letter));
    assert_int_equal(letter, INT64_MAX - 1);
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct kafka_record one = RECORD(HEADER("millrace_dead_settled", "dropped"),
                                         {"millrace_dead_letter", mr_slice_of(cases[i].letter)});
        assert_int_equal(dead_view_read(&one, 5, &view), DEAD_KIND_MARK);
        if (dead_mark_read(&one, 2, 10, &letter) != cases[i].is_one) {
            fail_msg("%s", cases[i].letter);
        }
    }
}

static void check_who(const struct kafka_record *record, const struct mr_event *event,
                      const char *application, const char *device)
{
    struct dead_who who;
    dead_who_init(&who);
    assert_int_equal(dead_who_read(record, event, &who, NULL), 0);
    if (!mr_slice_is(who.application, mr_slice_of(application)) ||
        !mr_slice_is(who.device, mr_slice_of(device)) ||
        (who.application.ptr == NULL) != (application == NULL) ||
        (who.device.ptr == NULL) != (device == NULL)) {
        fail_msg("%.*s %.*s", MR_SLICE_ARG(who.application), MR_SLICE_ARG(who.device));
    }
    dead_who_done(&who);
}

static void test_the_sender_is_found(void **state)
{
    static const struct {
        const char *key, *application, *device;
    } cases[] = {{NULL, NULL, NULL},          {"a/d", "a", "d"},        {"a%2Fb/d%20", "a/b", "d "},
                 {"/a/d", NULL, "/a/d"},      {"a/d/e", NULL, "a/d/e"}, {"a/", NULL, "a/"},
                 {"a/%x", NULL, "a/%x"},      {"", NULL, ""},           {"urn:x", NULL, "urn:x"},
                 {"\xff/\x00", NULL, "\xff/"}};
    struct kafka_record headers = RECORD(HEADER("ce_application", "a"), HEADER("ce_device", "d"));
    struct kafka_record mqtt = RECORD(HEADER("mqtt_topic", "t/d"));
    struct kafka_record named =
        RECORD(HEADER("mqtt_topic", "t/d"), HEADER("mqtt_property_device", "e"));
    struct mr_event *event = mr_event_new();
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct kafka_record record = {.key = mr_slice_of(cases[i].key)};
        check_who(&record, NULL, cases[i].application, cases[i].device);
    }
    headers.key = MR_SLICE("x/y");
    check_who(&headers, NULL, "a", "d");
    check_who(&headers, event, "a", "d");
    assert_int_equal(mr_event_set(event, MR_SLICE("device"), MR_SLICE("e"), NULL), 0);
    check_who(&headers, event, NULL, "e");
    mqtt.key = MR_SLICE("t/d");
    check_who(&mqtt, NULL, NULL, "t/d"); /* not that application */
    check_who(&named, NULL, NULL, "e");
    mr_event_free(event);
}

static void test_out_of_memory_for_a_key_is_said(void **state)
{
    struct kafka_record record = {.key = MR_SLICE("a/d")};
    struct mr_error err;
    (void)state;
    for (unsigned n = 1;; n++) {
        struct dead_who who;
        int rc;
        heap_fail_at(n);
        dead_who_init(&who);
        rc = dead_who_read(&record, NULL, &who, &err);
        dead_who_done(&who);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    heap_restore();
}

static void test_all_filters_must_take_a_letter(void **state)
{
    struct dead_view view = {
        .reason = MR_SLICE("mapping"), .topic = MR_SLICE("events"), .died_ms = 1262304000000};
    struct dead_who who = {.application = MR_SLICE("a"), .device = MR_SLICE("d")};
    struct dead_view unknown = {.reason = MR_SLICE("mapping")};
    struct dead_who nobody = {.device = {NULL, 0}};
    struct dead_filter filter;
    struct mr_error err;
    (void)state;
    dead_filter_init(&filter);
    assert_true(dead_filter_takes(&filter, &view, &who, 0, 0));
    assert_true(dead_filter_takes(&filter, &unknown, &nobody, 0, 0));
#define ONLY(field, right, wrong)                                    \
    do {                                                             \
        dead_filter_init(&filter);                                   \
        filter.field = right;                                        \
        assert_true(dead_filter_takes(&filter, &view, &who, 0, 0));  \
        filter.field = wrong;                                        \
        assert_false(dead_filter_takes(&filter, &view, &who, 0, 0)); \
    } while (0)
    ONLY(reason, MR_SLICE("mapping"), MR_SLICE("mappin"));
    ONLY(topic, MR_SLICE("events"), MR_SLICE("EVENTS"));
    ONLY(application, MR_SLICE("a"), MR_SLICE(""));
    ONLY(device, MR_SLICE("d"), MR_SLICE("dd"));
    assert_false(dead_filter_takes(&filter, &unknown, &nobody, 0, 0));
    filter.device = MR_SLICE("");
    assert_false(dead_filter_takes(&filter, &unknown, &nobody, 0, 0));

    dead_filter_init(&filter);
    assert_int_equal(dead_filter_time("2010-01-01T00:00:00Z", &filter.since_ms, &err), 0);
    assert_true(dead_filter_takes(&filter, &view, &who, 0, 0));
    view.died_ms--;
    assert_false(dead_filter_takes(&filter, &view, &who, 0, 0));
    dead_filter_init(&filter);
    assert_int_equal(dead_filter_time("2010-01-01T01:00:00+01:00", &filter.until_ms, &err), 0);
    assert_true(dead_filter_takes(&filter, &view, &who, 0, 0));
    view.died_ms++;
    assert_false(dead_filter_takes(&filter, &view, &who, 0, 0));

    dead_filter_init(&filter);
    assert_int_equal(dead_filter_place(&filter, "1:5-7", &err), 0);
    assert_false(dead_filter_takes(&filter, &view, &who, 1, 4));
    assert_true(dead_filter_takes(&filter, &view, &who, 1, 5));
    assert_true(dead_filter_takes(&filter, &view, &who, 1, 7));
    assert_false(dead_filter_takes(&filter, &view, &who, 1, 8));
    assert_false(dead_filter_takes(&filter, &view, &who, 0, 6));
}

static void test_what_no_filter_can_mean_is_refused(void **state)
{
    static const char *const places[] = {
        "", "1", ":", "1:", "1:x", "1:7-5", "-1:5", "2147483648:1"};
    static const char *const times[] = {"", "yesterday", "2010-01-01", "1262304000"};
    struct dead_filter filter;
    struct mr_error err;
    int64_t ms;
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(places); i++) {
        assert_int_equal(dead_filter_place(&filter, places[i], &err), MR_EFORMAT);
    }
    for (size_t i = 0; i < MR_COUNT_OF(times); i++) {
        assert_int_equal(dead_filter_time(times[i], &ms, &err), MR_EFORMAT);
    }
}

static void test_nothing_commands_the_terminal(void **state)
{
    static const struct {
        struct mr_slice bytes;
        const char *expected;
    } cases[] = {{MR_SLICE_INIT("\x1b[2J"), "\\x1b[2J"},
                 {MR_SLICE_INIT("a\0b\x7f\n"), "a\\x00b\\x7f\\x0a"},
                 {MR_SLICE_INIT("\xc2\x9b\xc2\xa0"), "\\xc2\\x9b\xc2\xa0"},
                 {MR_SLICE_INIT("\xff\xc3"), "\\xff\\xc3"},
                 {MR_SLICE_INIT("\\x1b"), "\\\\x1b"},
                 {MR_SLICE_INIT("\xe2\x82\xac"), "\xe2\x82\xac"},
                 {{NULL, 0}, ""}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_int_equal(print_harmless(cases[i].bytes, text, sizeof text), cases[i].bytes.len);
        assert_string_equal(text, cases[i].expected);
    }
    /* Cut between characters and escapes. */
    assert_int_equal(print_harmless(MR_SLICE("a\xe2\x82\xac"), text, 4), 1);
    assert_string_equal(text, "a");
    assert_int_equal(print_harmless(MR_SLICE("\x01\x02"), text, 8), 1);
    assert_string_equal(text, "\\x01");
    assert_int_equal(print_harmless(MR_SLICE("a"), text, 1), 0);
}

static void test_counting_without_memory_is_said(void **state)
{
    static const char *const columns[] = {"a", "b"};
    const struct mr_slice texts[] = {MR_SLICE("x"), {NULL, 0}};
    struct mr_error err;
    (void)state;
    for (unsigned n = 1;; n++) {
        struct tally tally;
        int rc;
        heap_fail_at(n);
        tally_init(&tally, columns, 2);
        rc = tally_add(&tally, texts, 0, &err);
        assert_int_equal(tally.total, rc == 0 ? 1 : 0);
        tally_done(&tally);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    heap_restore();
}

static void test_distinct_texts_are_counted_up_to_a_bound(void **state)
{
    static const char *const columns[] = {"device"};
    struct tally tally;
    (void)state;
    tally_init(&tally, columns, 1);
    for (int i = 0; i < 2 * TALLY_ROWS_MAX; i++) {
        char device[16];
        struct mr_slice text;
        (void)snprintf(device, sizeof device, "%d", i);
        text = mr_slice_of(device);
        assert_int_equal(tally_add(&tally, &text, i, NULL), 0);
        assert_int_equal(tally_add(&tally, &text, i, NULL), 0);
    }
    assert_int_equal(tally.count, TALLY_ROWS_MAX + 1);
    assert_int_equal(tally.total, 4 * TALLY_ROWS_MAX);
    tally_done(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_writer_writes_is_read),
        cmocka_unit_test(test_a_letter_that_was_cut_is_not_whole),
        cmocka_unit_test(test_garbled_headers_are_as_good_as_none),
        cmocka_unit_test(test_a_mark_is_only_for_an_earlier_letter_of_its_partition),
        cmocka_unit_test(test_the_sender_is_found),
        cmocka_unit_test(test_out_of_memory_for_a_key_is_said),
        cmocka_unit_test(test_all_filters_must_take_a_letter),
        cmocka_unit_test(test_what_no_filter_can_mean_is_refused),
        cmocka_unit_test(test_nothing_commands_the_terminal),
        cmocka_unit_test(test_counting_without_memory_is_said),
        cmocka_unit_test(test_distinct_texts_are_counted_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

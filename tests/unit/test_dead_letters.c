// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kafka/dead_letters.h"
#include "lib/heap.h"

static const struct kafka_header originals[] = {
    {"content-type", MR_SLICE_INIT("application/json")},
    {"millrace_dead_reason", MR_SLICE_INIT("an older death")},
    {"millrace_dead_replays", MR_SLICE_INIT("2")},
    {"null", {NULL, 0}},
};

static struct dead_letter a_letter(void)
{
    return (struct dead_letter){
        .original = {.key = MR_SLICE("meadow/thermo-1"),
                     .value = MR_SLICE("{\"temp\":}"),
                     .headers = originals,
                     .header_count = 4},
        .reason = "not-an-event",
        .text = "line 1, column 9: expected a value",
        .topic = "events",
        .partition = 3,
        .offset = 9007199254740993,
        .timestamp_ms = 1262304000123,
        .group = "millrace-influx",
        .attempts = 4,
        .first_ms = 1262304000000, /* date -u -d 2010-01-01 +%s */
        .last_ms = 1262304061500,
        .server = "partial write: field type conflict",
    };
}

static size_t total_bytes(const struct kafka_record *record)
{
    size_t bytes = record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += strlen(record->headers[i].name) + record->headers[i].value.len;
    }
    return bytes;
}

static struct mr_slice header_of(const struct kafka_record *record, const char *name)
{
    struct mr_slice value = {NULL, 0};
    unsigned found = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) == 0) {
            value = record->headers[i].value;
            found++;
        }
    }
    assert_true(found <= 1);
    return value;
}

static void assert_header(const struct kafka_record *record, const char *name, const char *expected)
{
    struct mr_slice value = header_of(record, name);
    if (!mr_slice_is(value, mr_slice_of(expected)) || value.ptr == NULL) {
        fail_msg("%s: '%.*s', expected '%s'", name, MR_SLICE_ARG(value), expected);
    }
}

static void test_the_headers_say_why_and_where_from(void **state)
{
    static const struct kafka_header expected[] = {
        {"content-type", MR_SLICE_INIT("application/json")},
        {"null", {NULL, 0}},
        {"millrace_dead_reason", MR_SLICE_INIT("not-an-event")},
        {"millrace_dead_text", MR_SLICE_INIT("line 1, column 9: expected a value")},
        {"millrace_dead_topic", MR_SLICE_INIT("events")},
        {"millrace_dead_partition", MR_SLICE_INIT("3")},
        {"millrace_dead_offset", MR_SLICE_INIT("9007199254740993")},
        {"millrace_dead_timestamp", MR_SLICE_INIT("1262304000123")},
        {"millrace_dead_group", MR_SLICE_INIT("millrace-influx")},
        {"millrace_dead_attempts", MR_SLICE_INIT("4")},
        {"millrace_dead_first", MR_SLICE_INIT("2010-01-01T00:00:00Z")},
        {"millrace_dead_last", MR_SLICE_INIT("2010-01-01T00:01:01.500Z")},
        {"millrace_dead_server", MR_SLICE_INIT("partial write: field type conflict")},
        {"millrace_dead_replays", MR_SLICE_INIT("2")},
    };
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    (void)state;
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_true(mr_slice_is(record.key, letter.original.key));
    assert_true(mr_slice_is(record.value, letter.original.value));
    assert_int_equal(record.header_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < record.header_count; i++) {
        assert_string_equal(record.headers[i].name, expected[i].name);
        assert_true(mr_slice_is(record.headers[i].value, expected[i].value));
        assert_int_equal(record.headers[i].value.ptr == NULL, expected[i].value.ptr == NULL);
    }
    dead_writer_done(&writer);
}

static void test_what_is_unknown_is_left_out(void **state)
{
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    (void)state;
    letter.server = NULL;
    letter.timestamp_ms = -1;
    letter.original.header_count = 0;
    letter.original.key = mr_slice(NULL, 0);
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_null(record.key.ptr);
    assert_null(header_of(&record, "millrace_dead_server").ptr);
    assert_null(header_of(&record, "millrace_dead_timestamp").ptr);
    assert_null(header_of(&record, "millrace_dead_replays").ptr);
    assert_null(header_of(&record, "millrace_dead_size").ptr);
    dead_writer_done(&writer);
}

/* A bridge has no record yet, and so no place of one. */
static void test_a_letter_needs_no_worker(void **state)
{
    static const struct kafka_header expected[] = {
        {"content-type", MR_SLICE_INIT("application/json")},
        {"null", {NULL, 0}},
        {"millrace_dead_reason", MR_SLICE_INIT("too-large")},
        {"millrace_dead_text", MR_SLICE_INIT("")},
        {"millrace_dead_replays", MR_SLICE_INIT("2")},
    };
    struct dead_letter letter = DEAD_LETTER_INIT;
    struct dead_writer writer;
    struct kafka_record record;
    (void)state;
    letter.original = a_letter().original;
    letter.reason = "too-large";
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_true(mr_slice_is(record.value, letter.original.value));
    assert_int_equal(record.header_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < record.header_count; i++) {
        assert_string_equal(record.headers[i].name, expected[i].name);
        assert_true(mr_slice_is(record.headers[i].value, expected[i].value));
    }
    dead_writer_done(&writer);
}

/* NIST SHA2_Additional.pdf: SHA-256 of 1,000,000 zero bytes. */
static void test_a_value_over_the_limit_is_cut_and_named(void **state)
{
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    char *zeros = calloc(1, 1000000);
    (void)state;
    assert_non_null(zeros);
    letter.original.value = mr_slice(zeros, 1000000);
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 100000, &writer, &record, NULL), 0);
    assert_true(total_bytes(&record) <= 100000);
    assert_true(record.value.len > 95000); /* no more is cut than must be */
    assert_ptr_equal(record.value.ptr, zeros);
    assert_header(&record, "millrace_dead_size", "1000000");
    assert_header(&record, "millrace_dead_sha256",
                  "d29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025");
    assert_header(&record, "content-type", "application/json");
    /* One byte more than fits is cut, what fits is not. */
    letter.original.value.len = record.value.len;
    assert_int_equal(dead_letter_write(&letter, 100000, &writer, &record, NULL), 0);
    assert_null(header_of(&record, "millrace_dead_size").ptr);
    letter.original.value.len++;
    assert_int_equal(dead_letter_write(&letter, 100000, &writer, &record, NULL), 0);
    assert_int_equal(record.value.len, letter.original.value.len - 1);
    assert_non_null(header_of(&record, "millrace_dead_size").ptr);
    dead_writer_done(&writer);
    free(zeros);
}

static void test_too_many_headers_are_counted(void **state)
{
    static struct kafka_header many[300];
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    size_t theirs = 0;
    char text[100];
    (void)state;
    for (size_t i = 0; i < 300; i++) {
        many[i] = (struct kafka_header){"h", MR_SLICE("v")};
    }
    letter.original.headers = many;
    letter.original.header_count = 300;
    letter.text = "no";
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 1000000, &writer, &record, NULL), 0);
    assert_true(record.header_count <= DEAD_HEADERS_MAX);
    for (size_t i = 0; i < record.header_count; i++) {
        theirs += strcmp(record.headers[i].name, "h") == 0;
    }
    assert_true(theirs >= 200);
    (void)snprintf(text, sizeof(text), "no (%zu headers left out)", 300 - theirs);
    assert_header(&record, "millrace_dead_text", text);
    /* It isn't whole, though its value is. */
    assert_true(mr_slice_is(record.value, letter.original.value));
    assert_header(&record, "millrace_dead_size", "9");
    dead_writer_done(&writer);
}

static void test_headers_and_a_key_too_large_go_before_the_record_does(void **state)
{
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    char *large = calloc(1, 200000);
    struct kafka_header header = {"large", {large, 200000}};
    (void)state;
    assert_non_null(large);
    letter.text = "no";
    letter.original.headers = &header;
    letter.original.header_count = 1;
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, 100000, &writer, &record, NULL), 0);
    assert_true(total_bytes(&record) <= 100000);
    assert_header(&record, "millrace_dead_text", "no (1 headers left out)");
    assert_true(mr_slice_is(record.key, letter.original.key));
    assert_true(mr_slice_is(record.value, letter.original.value));
    letter.original.key = mr_slice(large, 200000);
    assert_int_equal(dead_letter_write(&letter, 100000, &writer, &record, NULL), 0);
    assert_header(&record, "millrace_dead_text",
                  "no (1 headers left out) (key of 200000 bytes left out)");
    assert_null(record.key.ptr);
    assert_true(mr_slice_is(record.value, letter.original.value));
    dead_writer_done(&writer);
    free(large);
}

static void test_long_texts_are_cut_between_characters(void **state)
{
    static char text[DEAD_TEXT_BYTES_MAX + 100];
    struct dead_letter letter = a_letter();
    struct dead_writer writer;
    struct kafka_record record;
    (void)state;
    for (size_t i = 0; i + 3 < sizeof(text); i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 3); /* the euro sign */
    }
    letter.text = text;
    letter.server = text;
    dead_writer_init(&writer);
    assert_int_equal(dead_letter_write(&letter, DEAD_BYTES_MIN, &writer, &record, NULL), 0);
    assert_int_equal(header_of(&record, "millrace_dead_text").len, DEAD_TEXT_BYTES_MAX / 3 * 3);
    assert_int_equal(header_of(&record, "millrace_dead_server").len, DEAD_TEXT_BYTES_MAX / 3 * 3);
    assert_true(total_bytes(&record) <= DEAD_BYTES_MIN);
    dead_writer_done(&writer);
}

static void test_out_of_memory_is_said(void **state)
{
    struct dead_letter letter = a_letter();
    struct kafka_record record;
    struct mr_error err;
    (void)state;
    for (unsigned n = 1;; n++) {
        struct dead_writer writer;
        int rc;
        heap_fail_at(n);
        dead_writer_init(&writer);
        rc = dead_letter_write(&letter, 1000000, &writer, &record, &err);
        dead_writer_done(&writer);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(err.code, MR_ENOMEM);
    }
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_headers_say_why_and_where_from),
        cmocka_unit_test(test_what_is_unknown_is_left_out),
        cmocka_unit_test(test_a_letter_needs_no_worker),
        cmocka_unit_test(test_a_value_over_the_limit_is_cut_and_named),
        cmocka_unit_test(test_too_many_headers_are_counted),
        cmocka_unit_test(test_headers_and_a_key_too_large_go_before_the_record_does),
        cmocka_unit_test(test_long_texts_are_cut_between_characters),
        cmocka_unit_test(test_out_of_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

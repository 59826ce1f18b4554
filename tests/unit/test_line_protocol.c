// SPDX-License-Identifier: Apache-2.0
/* Expected lines are written by hand after the InfluxDB 1.x reference, "Line protocol", sections
 * "Special characters" and "Data types". tests/integration/test_influx_real.c asks a real server.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <setjmp.h>

#include <cmocka.h>

#include "consumers/influx/field_names.h"
#include "consumers/influx/line_protocol.h"
#include "kit/mem.h"
#include "lib/heap.h"

static void expect(struct mr_buf *out, const char *expected)
{
    struct mr_slice got = buf_slice(out);
    assert_int_equal(out->failed, 0);
    assert_true(mr_slice_is(got, mr_slice_of(expected)));
    buf_clear(out);
}

struct name_case {
    enum line_name kind;
    const char *name;
    const char *clean;
    const char *written;
};

static const struct name_case name_cases[] = {
    /* "Special characters": in tag keys, tag values and field keys escape commas, equals signs and
     * spaces; in measurements commas and spaces; quotes and lone backslashes stand as they are. */
    {LINE_MEASUREMENT, "weather", "weather", "weather"},
    {LINE_MEASUREMENT, "wea,ther", "wea,ther", "wea\\,ther"},
    {LINE_MEASUREMENT, "wea ther", "wea ther", "wea\\ ther"},
    {LINE_MEASUREMENT, "wea=ther", "wea=ther", "wea=ther"},
    {LINE_MEASUREMENT, "wea\"ther", "wea\"ther", "wea\"ther"},
    {LINE_MEASUREMENT, "#weather", "_weather", "_weather"},
    {LINE_MEASUREMENT, "a#b", "a#b", "a#b"},
    {LINE_MEASUREMENT, " ", " ", "\\ "},
    {LINE_TAG_VALUE, "us,midwest", "us,midwest", "us\\,midwest"},
    {LINE_TAG_VALUE, "us=midwest", "us=midwest", "us\\=midwest"},
    {LINE_TAG_VALUE, "us midwest", "us midwest", "us\\ midwest"},
    {LINE_TAG_VALUE, "#1", "#1", "#1"},
    {LINE_TAG_VALUE, "C:\\dir", "C:\\dir", "C:\\dir"},
    {LINE_TAG_VALUE, "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80",
     "\xc3\xa9\xf0\x9f\x98\x80"},
    {LINE_FIELD, "temp,rature", "temp,rature", "temp\\,rature"},
    {LINE_FIELD, "temp=rature", "temp=rature", "temp\\=rature"},
    {LINE_FIELD, "temp rature", "temp rature", "temp\\ rature"},
    {LINE_FIELD, "temp\"rature", "temp\"rature", "temp\"rature"},
    /* What no escaping can carry. */
    {LINE_FIELD, "", "_", "_"},
    {LINE_FIELD,
     "a\nb\rc\td\x7f"
     "e",
     "a_b_c_d_e", "a_b_c_d_e"},
    {LINE_FIELD, "\\", "_", "_"},
    {LINE_FIELD, "a\\", "a_", "a_"},
    {LINE_FIELD, "a\\\\", "a\\_", "a\\_"},
    {LINE_FIELD, "a\\,b", "a_,b", "a_\\,b"},
    {LINE_FIELD, "a\\=b", "a_=b", "a_\\=b"},
    {LINE_FIELD, "a\\ b", "a_ b", "a_\\ b"},
    {LINE_FIELD, "a\\\"b", "a_\"b", "a_\"b"},
    {LINE_FIELD, "a\\\\b", "a\\\\b", "a\\\\b"},
    {LINE_FIELD, "a\\\\ b", "a\\_ b", "a\\_\\ b"},
    {LINE_MEASUREMENT, "a\\,b", "a_,b", "a_\\,b"},
};

static void names_are_cleaned_and_escaped(void **state)
{
    struct mr_buf out;
    (void)state;
    buf_init(&out, 1024);
    for (size_t i = 0; i < MR_COUNT_OF(name_cases); i++) {
        const struct name_case *c = &name_cases[i];
        print_message("case %zu: %s\n", i, c->written);
        assert_int_equal(line_clean(c->kind, mr_slice_of(c->name), &out), 0);
        expect(&out, c->clean);
        assert_int_equal(line_write_name(c->kind, mr_slice_of(c->clean), &out), 0);
        expect(&out, c->written);
    }
    assert_int_equal(line_clean(LINE_TAG_VALUE, mr_slice("a\0b", 3), &out), 0);
    expect(&out, "a_b");
    buf_done(&out);
}

static void a_clean_name_stays_as_it_is(void **state)
{
    struct mr_buf once;
    struct mr_buf twice;
    (void)state;
    buf_init(&once, 1024);
    buf_init(&twice, 1024);
    for (size_t i = 0; i < MR_COUNT_OF(name_cases); i++) {
        enum line_name kind = name_cases[i].kind;
        buf_clear(&once);
        buf_clear(&twice);
        assert_int_equal(line_clean(kind, mr_slice_of(name_cases[i].name), &once), 0);
        assert_int_equal(line_clean(kind, buf_slice(&once), &twice), 0);
        assert_true(mr_slice_is(buf_slice(&once), buf_slice(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
}

static void strings_are_quoted(void **state)
{
    /* "Data types", Strings; the last of the reference's own examples: "too hot/cold", and with
     * escapes: "\"too\" hot/cold", "too hot\cold" as "too hot\\cold". */
    static const struct {
        const char *text;
        const char *written;
    } cases[] = {
        {"", "\"\""},
        {"too warm", "\"too warm\""},
        {"\"too\" warm", "\"\\\"too\\\" warm\""},
        {"too hot\\cold", "\"too hot\\\\cold\""},
        {"\\", "\"\\\\\""},
        {"a\nb,c=d", "\"a\nb,c=d\""},
    };
    struct mr_buf out;
    (void)state;
    buf_init(&out, 1024);
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        assert_int_equal(line_write_string(mr_slice_of(cases[i].text), &out), 0);
        expect(&out, cases[i].written);
    }
    buf_done(&out);
}

static void integers_are_decimal(void **state)
{
    static const int64_t values[] = {0,         1,         -1,         9,   10,
                                     INT64_MAX, INT64_MIN, 1000000000, -99, 1465839830100400200};
    struct mr_buf out;
    (void)state;
    buf_init(&out, 1024);
    for (size_t i = 0; i < MR_COUNT_OF(values); i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
        assert_int_equal(line_write_integer(values[i], &out), 0);
        expect(&out, expected);
    }
    buf_done(&out);
}

static void check_number(const char *number, int expected)
{
    struct mr_error err;
    print_message("number %.60s\n", number);
    assert_int_equal(line_check_number(mr_slice_of(number), &err), expected);
}

static void numbers_beyond_a_double_are_refused(void **state)
{
    char digits[LINE_NUMBER_BYTES_MAX + 2];
    (void)state;
    check_number("0", 0);
    check_number("-0", 0);
    check_number("21.50", 0);
    check_number("1E+2", 0);
    check_number("1e-999", 0);
    check_number("1.7976931348623157e308", 0); /* DBL_MAX */
    check_number("1.7976931348623159e308", MR_EFORMAT);
    check_number("1e999", MR_EFORMAT);
    check_number("-1e999", MR_EFORMAT);
    memset(digits, '9', sizeof digits);
    digits[308] = '\0';
    check_number(digits, 0);
    digits[308] = '9';
    digits[309] = '\0';
    check_number(digits, MR_EFORMAT); /* 1e309 - 1 */
    digits[309] = '9';
    digits[1] = '.';
    digits[LINE_NUMBER_BYTES_MAX] = '\0';
    check_number(digits, 0);
    digits[LINE_NUMBER_BYTES_MAX] = '9';
    digits[LINE_NUMBER_BYTES_MAX + 1] = '\0';
    check_number(digits, MR_ELIMIT);
}

static void add_name(struct field_names *names, const char *name, const char *expected)
{
    struct mr_slice got;
    struct mr_error err;
    assert_int_equal(field_names_add(names, mr_slice_of(name), &got, &err), 0);
    print_message("%s -> %.*s\n", name, MR_SLICE_ARG(got));
    assert_true(mr_slice_is(got, mr_slice_of(expected)));
}

static struct field_names *names_new(void)
{
    struct field_names *names = mem_alloc(sizeof *names);
    assert_non_null(names);
    field_names_init(names);
    return names;
}

static void names_free(struct field_names *names)
{
    field_names_done(names);
    mem_free(names);
}

static void repeated_names_get_a_number(void **state)
{
    struct field_names *names = names_new();
    (void)state;
    add_name(names, "a", "a");
    add_name(names, "a", "a_2");
    add_name(names, "a_2", "a_2_2");
    add_name(names, "a", "a_3");
    add_name(names, "b_2", "b_2");
    add_name(names, "b", "b");
    add_name(names, "b", "b_3");
    add_name(names, "", "_");
    add_name(names, "\n", "__2"); /* cleaned: the same name */
    field_names_clear(names);
    add_name(names, "a", "a");
    names_free(names);
}

static void reserved_names_are_moved_aside(void **state)
{
    struct field_names *names = names_new();
    (void)state;
    add_name(names, "time", "time_");
    add_name(names, "time_", "time__2");
    add_name(names, "device", "device_");
    add_name(names, "application", "application_");
    add_name(names, "Time", "Time");
    add_name(names, "times", "times");
    names_free(names);
}

static void names_are_bounded(void **state)
{
    struct field_names *names = names_new();
    struct mr_slice got;
    struct mr_error err;
    char name[LINE_NAME_BYTES_MAX + 1];
    (void)state;
    memset(name, 'n', sizeof name);
    assert_int_equal(field_names_add(names, mr_slice(name, sizeof name), &got, &err), MR_ELIMIT);
    assert_int_equal(field_names_add(names, mr_slice(name, sizeof name - 1), &got, &err), 0);
    for (int i = 1; i < FIELDS_MAX; i++) {
        assert_int_equal(field_names_add(names, MR_SLICE("same"), &got, &err), 0);
    }
    assert_true(mr_slice_is(got, mr_slice_of("same_999")));
    assert_int_equal(field_names_add(names, MR_SLICE("x"), &got, &err), MR_ELIMIT);
    assert_string_equal(err.text, "more than 1000 fields");
    names_free(names);
}

/* What the point before had is a short way, and changes nothing: a set that has seen other points
 * gives the names that a new one gives. */
static void the_point_before_does_not_matter(void **state)
{
    static const char *const words[] = {"a", "b", "a_2", "time", "time_", "x y", "a\n", "a_", ""};
    struct field_names *kept = names_new();
    uint32_t random = 1;
    unsigned count = 0;
    (void)state;
    for (int point = 0; point < 2000; point++) {
        struct field_names *fresh = names_new();
        /* Mostly the same names as before, with another one here and there. */
        uint32_t seed = (uint32_t)(point / 4);
        random = random * 1664525u + 1013904223u;
        count = random >> 28 == 0 ? random >> 20 & 7 : count;
        for (unsigned i = 0; i < count; i++) {
            uint32_t other = random >> (i & 15) & 0x3F;
            uint32_t word = other == 0 ? other + i : seed * 2654435761u >> (3 * (i & 7));
            struct mr_slice name = mr_slice_of(words[word % MR_COUNT_OF(words)]);
            struct mr_slice expected;
            struct mr_slice got;
            assert_int_equal(field_names_add(fresh, name, &expected, NULL), 0);
            assert_int_equal(field_names_add(kept, name, &got, NULL), 0);
            assert_true(mr_slice_is(got, expected));
            assert_true(!field_names_is_plain(kept) || line_is_plain(LINE_FIELD, got));
            assert_int_equal(field_names_is_plain(kept), field_names_is_plain(fresh));
        }
        field_names_clear(kept);
        names_free(fresh);
    }
    names_free(kept);
}

static int add_two(void)
{
    struct field_names *names = mem_alloc(sizeof *names);
    struct mr_slice got;
    int rc = MR_ENOMEM;
    if (names != NULL) {
        char name[200];
        memset(name, 'x', sizeof name);
        field_names_init(names);
        rc = field_names_add(names, mr_slice(name, sizeof name), &got, NULL);
        rc = rc != 0 ? rc : field_names_add(names, mr_slice(name, sizeof name), &got, NULL);
        field_names_done(names);
    }
    mem_free(names);
    return rc;
}

static void every_allocation_may_fail(void **state)
{
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        int rc;
        heap_fail_at(n);
        rc = add_two();
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    assert_true(n > 2);
    heap_restore();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_cleaned_and_escaped),
        cmocka_unit_test(a_clean_name_stays_as_it_is),
        cmocka_unit_test(strings_are_quoted),
        cmocka_unit_test(integers_are_decimal),
        cmocka_unit_test(numbers_beyond_a_double_are_refused),
        cmocka_unit_test(repeated_names_get_a_number),
        cmocka_unit_test(reserved_names_are_moved_aside),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(the_point_before_does_not_matter),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* Named sections in configuration files, and what is said of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/options_internal.h"
#include "kit/mem.h"
#include "lib/heap.h"

struct target {
    char *topic;
    struct mr_sections routes;
};

static const struct mr_option keys[] = {
    {.key = "match", .type = MR_OPTION_STRING, .text = "What."},
    {.key = "qos", .type = MR_OPTION_INTEGER, .min = 0, .max = 2, .text = "How."},
    {.key = "field.*", .type = MR_OPTION_STRING, .env = "FIELD_*", .text = "Which | one."},
    {.key = "type.*", .type = MR_OPTION_STRING, .env = "TYPE_FIELD_*"},
    MR_OPTION_END,
};
static const struct mr_option table[] = {
    {.key = "topic",
     .type = MR_OPTION_STRING,
     .initial = "events",
     .text = "Where.",
     .offset = offsetof(struct target, topic)},
    {.key = "route",
     .type = MR_OPTION_SECTIONS,
     .keys = keys,
     .text = "Ways.",
     .offset = offsetof(struct target, routes)},
    MR_OPTION_END,
};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-test", .section = "test", .groups = groups, .group_count = 1};

static struct target target;
static struct options *options;

static int set_up(void **state)
{
    (void)state;
    options = options_new(&spec, &target);
    return options == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    options_free(options);
    options = NULL;
    assert_null(target.routes.at);
    return 0;
}

static void read_text(const char *text)
{
    options_read_bytes(options, "t.conf", mr_slice_of(text));
}

static void assert_problems(const char *expected)
{
    char text[8192];
    struct mr_slice said = buf_slice(options_problems(options));
    assert_in_range(said.len, 0, sizeof text - 1);
    memcpy(text, said.len == 0 ? "" : said.ptr, said.len);
    text[said.len] = '\0';
    assert_string_equal(text, expected);
}

static void assert_setting(const struct mr_section *section, size_t index, const char *key,
                           const char *value, const char *place)
{
    assert_in_range(index, 0, section->count - 1);
    assert_string_equal(section->settings[index].key, key);
    assert_string_equal(section->settings[index].value, value);
    assert_string_equal(section->settings[index].place, place);
}

static void sections_are_kept_in_order(void **state)
{
    (void)state;
    read_text(
        "[route b]\n"
        "match = x ; a comment\n"
        "field.Au\xc3\x9f"
        "en temp = $['=']\n"
        "[test]\ntopic = t\n"
        "[route\t a/b + c ]\nqos = 2\n"
        "[route empty]\n");
    assert_problems("");
    assert_string_equal(target.topic, "t");
    assert_int_equal(target.routes.count, 3);
    assert_string_equal(target.routes.at[0].name, "b");
    assert_string_equal(target.routes.at[0].place, "t.conf:1: [route b]");
    assert_int_equal(target.routes.at[0].count, 2);
    assert_setting(&target.routes.at[0], 0, "match", "x", "t.conf:2: [route b] match");
    assert_setting(&target.routes.at[0], 1,
                   "field.Au\xc3\x9f"
                   "en temp",
                   "$['=']",
                   "t.conf:3: [route b] field.Au\xc3\x9f"
                   "en temp");
    assert_string_equal(target.routes.at[1].name, "a/b + c");
    assert_setting(&target.routes.at[1], 0, "qos", "2", "t.conf:7: [route a/b + c] qos");
    assert_string_equal(target.routes.at[2].name, "empty");
    assert_int_equal(target.routes.at[2].count, 0);
}

static void all_that_is_wrong_is_said_at_once(void **state)
{
    (void)state;
    read_text(
        "[rout x]\nmatch = 1\n"
        "[route]\n"
        "[route a]\n"
        "mach = 1\n"
        "feild.x = 1\n"
        "field. = 1\n"
        "type.x = float\n"
        "qos = 3\n"
        "match = 1\n"
        "match = 2\n"
        "a secret = 1\n"
        "[route b]\n"
        "[route a]\nmatch = 3\nqos = 4\n"
        "[test]\nroute = 1\n");
    assert_problems(
        "t.conf:1: [rout x]: unknown section; did you mean [route x]?\n"
        "t.conf:3: expected [route NAME], the name in UTF-8\n"
        "t.conf:5: [route a] mach: unknown key; did you mean 'match'?\n"
        "t.conf:6: [route a] feild.x: unknown key; did you mean 'field.x'?\n"
        "t.conf:7: [route a] field.: unknown key\n"
        "t.conf:8: [route a] type.x: unknown key\n"
        "t.conf:9: [route a] qos: expected a whole number, between 0 and 2; got '3'\n"
        "t.conf:11: [route a] match: given before, in line 10\n"
        "t.conf:12: what stands before '=' is not a key (not shown: it may be a "
        "secret)\n"
        "t.conf:14: [route a]: given before, in line 4\n"
        "t.conf:16: [route a] qos: expected a whole number, between 0 and 2; got '4'\n"
        "t.conf:18: [test] route: unknown option\n");
    assert_int_equal(target.routes.count, 3);
    assert_int_equal(target.routes.at[0].count, 1);
}

static void sections_stand_in_a_file_only(void **state)
{
    (void)state;
    options_read_flag(options, "route.a.match", "1");
    options_read_flag(options, "route", "1");
    options_read_flag(options, "router.a", "1");
    assert_problems(
        "command line: --route.a.match: unknown option; sections stand in a file only\n"
        "command line: --route: unknown option; sections stand in a file only\n"
        "command line: --router.a: unknown option\n");
}

static void a_check_names_the_place(void **state)
{
    struct mr_error first = {0};
    struct mr_check check = {.options = options, .first = &first};
    (void)state;
    read_text("[route a]\nmatch = 1\n");
    mr_check_problem_at(&check, target.routes.at[0].settings[0].place, "bad: %d", 1);
    mr_check_problem_at(&check, target.routes.at[0].place, "worse");
    assert_problems("t.conf:2: [route a] match: bad: 1\nt.conf:1: [route a]: worse\n");
    assert_int_equal(check.count, 2);
    assert_string_equal(first.text, "t.conf:2: [route a] match: bad: 1");
}

static void variables_of_the_keys_make_a_section_without_a_name(void **state)
{
    char *variables[] = {(char[]){"FIELD_TEMP=$.t"}, (char[]){"TYPE_FIELD_TEMP=int"},
                         (char[]){"FIELD_=x"}, (char[]){"OTHER=x"}, NULL};
    (void)state;
    read_text("[route a]\n");
    options_read_environment(options, variables);
    assert_problems("");
    assert_int_equal(target.routes.count, 2);
    assert_string_equal(target.routes.at[1].name, "");
    assert_int_equal(target.routes.at[1].count, 2);
    assert_setting(&target.routes.at[1], 0, "field.TEMP", "$.t", "environment: FIELD_TEMP");
    assert_setting(&target.routes.at[1], 1, "type.TEMP", "int", "environment: TYPE_FIELD_TEMP");
}

static void numbers_and_names_are_bounded(void **state)
{
    char line[400];
    (void)state;
    for (int i = 0; i <= MR_SECTIONS_MAX; i++) {
        (void)snprintf(line, sizeof line, "[route r%d]\n", i);
        read_text(line);
    }
    assert_int_equal(target.routes.count, MR_SECTIONS_MAX);
    assert_problems("t.conf:1: [route r256]: more than 256 such sections\n");
    memset(line, 'x', sizeof line);
    memcpy(line, "[route ", 7);
    memcpy(line + 7 + MR_SECTION_NAME_BYTES_MAX + 1, "]\n", 3);
    read_text(line);
    assert_problems(
        "t.conf:1: [route r256]: more than 256 such sections\n"
        "t.conf:1: [route]: a name of more than 120 bytes\n");
}

static void lines_are_bounded(void **state)
{
    struct mr_buf text;
    (void)state;
    buf_init(&text, 1 << 20);
    (void)buf_add_str(&text, "[route a]\n");
    for (int i = 0; i <= MR_SECTION_SETTINGS_MAX; i++) {
        (void)buf_addf(&text, "field.f%d = 1\n", i);
    }
    options_read_bytes(options, "t.conf", buf_slice(&text));
    buf_done(&text);
    assert_int_equal(target.routes.at[0].count, MR_SECTION_SETTINGS_MAX);
    assert_problems("t.conf:2002: [route a] field.f2000: too many lines in this section\n");
}

static void they_are_in_the_docs(void **state)
{
    struct mr_buf out;
    static const char wanted[] =
        "\n### [route NAME]\n\nWays. Such sections stand in a file only, any number of them.\n\n"
        "| key | default | value | meaning |\n|---|---|---|---|\n"
        "| `match` | none | text | What. |\n"
        "| `qos` | none | number, 0 to 2 | How. |\n"
        "| `field.*` | none | text | Which \\| one. |\n";
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(options_write_markdown(&spec, &out), 0);
    assert_true(out.len > sizeof wanted);
    assert_memory_equal(out.ptr + out.len - (sizeof wanted - 1), wanted, sizeof wanted - 1);
    buf_clear(&out);
    assert_int_equal(options_write_help(&spec, &out), 0);
    assert_non_null(memmem(out.ptr, out.len, "\n[route NAME]", 13));
    assert_null(memmem(out.ptr, out.len, "--test.route", 12));
    buf_done(&out);
}

static void every_allocation_may_fail(void **state)
{
    unsigned n = 1;
    (void)state;
    for (;; n++) {
        struct options *set;
        struct target filled;
        char *variables[] = {(char[]){"FIELD_TEMP=$.t"}, NULL};
        heap_fail_at(n);
        set = options_new(&spec, &filled);
        if (set != NULL) {
            options_read_bytes(set, "t.conf",
                               MR_SLICE("[route a]\nmatch = x\nqos = 1\n[route b]\n"));
            options_read_environment(set, variables);
            if (heap_failed()) {
                assert_true(options_problem_count(set) > 0 || options_problems(set)->failed != 0);
            } else {
                assert_int_equal(filled.routes.count, 3);
            }
            options_free(set);
        }
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            break;
        }
    }
    heap_restore();
    assert_true(n > 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sections_are_kept_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_that_is_wrong_is_said_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sections_stand_in_a_file_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_check_names_the_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(variables_of_the_keys_make_a_section_without_a_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(numbers_and_names_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_are_bounded, set_up, tear_down),
        cmocka_unit_test(they_are_in_the_docs),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* The examples of MQTT 5.0, 4.7, and what the names add to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <millrace/macros.h>

#include "bridge/mqtt/topic_pattern.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

static struct topic_pattern *make(const char *text)
{
    struct topic_pattern *pattern = NULL;
    struct mr_error err = {0};
    if (topic_pattern_new(mr_slice_of(text), &pattern, &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return pattern;
}

static bool matches(const char *text, const char *topic)
{
    struct mr_slice values[TOPIC_PATTERN_NAMES_MAX];
    struct topic_pattern *pattern = make(text);
    bool is_match = topic_pattern_match(pattern, mr_slice_of(topic), values);
    topic_pattern_free(pattern);
    return is_match;
}

static void wildcards_are_those_of_mqtt(void **state)
{
    static const struct {
        const char *pattern;
        const char *topic;
        bool is_match;
    } cases[] = {
        /* 4.7.1.2 */
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player10", false},
        {"sport/#", "sport", true},
        {"sport/#", "sports", false},
        {"#", "sport/tennis", true},
        {"#", "/", true},
        /* 4.7.1.3 */
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player2", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+", "sport", true},
        {"+", "sport/", false},
        {"+/tennis/#", "sport/tennis", true},
        {"+/tennis/#", "sport/tennis/x/y", true},
        {"sport/+/player1", "sport/tennis/player1", true},
        {"sport/+/player1", "sport/player1", false},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        /* 4.7.2 */
        {"#", "$SYS/monitor/Clients", false},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"{all...}", "$SYS/monitor/Clients", false},
        {"{one}/monitor/Clients", "$SYS/monitor/Clients", false},
        {"$SYS/#", "$SYS/", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"$SYS/{name}/+", "$SYS/monitor/Clients", true},
        {"a/#", "a/$SYS", true},
        /* 4.7.3: case, blanks, leading and trailing slashes count */
        {"ACCOUNTS", "Accounts", false},
        {"Accounts payable", "Accounts payable", true},
        {"/finance", "finance", false},
        {"finance/", "finance", false},
        {"a//b", "a//b", true},
        {"a//b", "a/b", false},
        {"a/+/b", "a//b", true},
        {"a/+/+", "a//", true},
        {"a", "a/", false},
        {"/", "/", true},
        {"\xc3\xa9/+", "\xc3\xa9/x", true},
        {"a", "", false},
        {"#", "", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (matches(cases[i].pattern, cases[i].topic) != cases[i].is_match) {
            fail_msg("%s with %s", cases[i].pattern, cases[i].topic);
        }
    }
}

/* A topic has more levels than a pattern may have, and any bytes. */
static void any_topic_may_come(void **state)
{
    struct mr_slice values[TOPIC_PATTERN_NAMES_MAX];
    struct topic_pattern *pattern = make("a/{one}/{rest...}");
    char slashes[TOPIC_BYTES_MAX];
    (void)state;
    memset(slashes, '/', sizeof slashes);
    slashes[0] = 'a';
    assert_true(topic_pattern_match(pattern, mr_slice(slashes, sizeof slashes), values));
    assert_slice(values[0], "");
    assert_int_equal(values[1].len, sizeof slashes - 3);
    assert_true(topic_pattern_match(pattern, mr_slice("a/\0\xff/\x80", 6), values));
    assert_int_equal(values[0].len, 2);
    assert_false(topic_pattern_match(pattern, mr_slice(NULL, 0), values));
    topic_pattern_free(pattern);
}

static void names_stand_for_what_the_topic_says(void **state)
{
    static const struct {
        const char *pattern;
        const char *filter;
        const char *topic;
        const char *values[4]; /* "-": absent */
        const char *unnamed;
    } cases[] = {
        {"sensors/{device}/{channel}", "sensors/+/+", "sensors/d1/temp", {"d1", "temp"}, "sensors"},
        {"{application}/+/{suffix...}", "+/+/#", "farm/x/a/b/c", {"farm", "a/b/c"}, "x"},
        {"{application}/+/{suffix...}", "+/+/#", "farm/x", {"farm", "-"}, "x"},
        {"{application}/+/{suffix...}", "+/+/#", "farm/x/", {"farm", "-"}, "x"},
        {"{a}/{suffix...}", "+/#", "farm//", {"farm", "/"}, ""},
        {"{a}/{suffix...}", "+/#", "farm/b/", {"farm", "b/"}, ""},
        {"{all...}", "#", "a/b", {"a/b"}, ""},
        {"plant/{a}/x/#", "plant/+/x/#", "plant/1/x/y/z", {"1"}, "plant/x/y/z"},
        {"plant/{a}/x/#", "plant/+/x/#", "plant/1/x", {"1"}, "plant/x"},
        {"plant/{a}/x/#", "plant/+/x/#", "plant/1/x/", {"1"}, "plant/x"},
        {"/{a}/+", "/+/+", "/1/", {"1"}, "/"},
        {"{b}//{a}", "+//+", "1//2", {"1", "2"}, ""},
        {"{a}/{b}", "+/+", "/", {"", ""}, ""},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct mr_slice values[TOPIC_PATTERN_NAMES_MAX];
        struct topic_pattern *pattern = make(cases[i].pattern);
        struct mr_slice topic = mr_slice_of(cases[i].topic);
        struct mr_buf unnamed;
        size_t count = 0;
        assert_string_equal(topic_pattern_filter(pattern), cases[i].filter);
        assert_true(topic_pattern_match(pattern, topic, values));
        while (count < MR_COUNT_OF(cases[i].values) && cases[i].values[count] != NULL) {
            if (strcmp(cases[i].values[count], "-") == 0) {
                assert_null(values[count].ptr);
            } else {
                assert_slice(values[count], cases[i].values[count]);
            }
            count++;
        }
        assert_int_equal(topic_pattern_names(pattern), count);
        buf_init(&unnamed, 100);
        assert_int_equal(topic_pattern_write_unnamed(pattern, topic, &unnamed), 0);
        assert_slice(buf_slice(&unnamed), cases[i].unnamed);
        buf_done(&unnamed);
        topic_pattern_free(pattern);
    }
}

static void names_are_known_in_their_order(void **state)
{
    struct topic_pattern *pattern = make("{b2}/x/{a}/{c...}");
    (void)state;
    assert_int_equal(topic_pattern_names(pattern), 3);
    assert_slice(topic_pattern_name(pattern, 0), "b2");
    assert_slice(topic_pattern_name(pattern, 1), "a");
    assert_slice(topic_pattern_name(pattern, 2), "c");
    assert_true(topic_pattern_has_unnamed(pattern));
    topic_pattern_free(pattern);
    pattern = make("{b2}/{a}");
    assert_false(topic_pattern_has_unnamed(pattern));
    topic_pattern_free(pattern);
}

static void bad_patterns_are_refused_with_the_place(void **state)
{
    static const struct {
        const char *text;
        const char *said;
    } cases[] = {
        {"", "expected a pattern such as sensors/{device}"},
        {"a/\xff", "expected UTF-8 without control characters"},
        {"a/\x01", "expected UTF-8 without control characters"},
        {"$share/g/a", "$share/ is not written here: the option `group` shares all filters"},
        /* 4.7.1 */
        {"sport/tennis#",
         "character 13 of the pattern: +, #, {name} and {name...} stand for whole levels"},
        {"sport/tennis/#/ranking",
         "character 14 of the pattern: nothing can follow # and {name...}"},
        {"sport+", "character 6 of the pattern: +, #, {name} and {name...} stand for whole levels"},
        {"\xc3\xa9/++",
         "character 3 of the pattern: +, #, {name} and {name...} stand for whole levels"},
        {"{a...}/b", "character 1 of the pattern: nothing can follow # and {name...}"},
        {"{a",
         "character 1 of the pattern: expected a whole level such as {device} or "
         "{suffix...}"},
        {"{a}x",
         "character 1 of the pattern: expected a whole level such as {device} or "
         "{suffix...}"},
        {"{",
         "character 1 of the pattern: expected a whole level such as {device} or "
         "{suffix...}"},
        {"x{a}", "character 2 of the pattern: +, #, {name} and {name...} stand for whole levels"},
        {"a/}", "character 3 of the pattern: +, #, {name} and {name...} stand for whole levels"},
        {"a/{}",
         "character 4 of the pattern: expected a name of a-z and 0-9 (64 at most, not "
         "\"data\") in the braces"},
        {"{...}",
         "character 2 of the pattern: expected a name of a-z and 0-9 (64 at most, not "
         "\"data\") in the braces"},
        {"{a}/{Device}",
         "character 6 of the pattern: expected a name of a-z and 0-9 (64 at most, "
         "not \"data\") in the braces"},
        {"{data}",
         "character 2 of the pattern: expected a name of a-z and 0-9 (64 at most, not "
         "\"data\") in the braces"},
        {"{a....}",
         "character 2 of the pattern: expected a name of a-z and 0-9 (64 at most, not "
         "\"data\") in the braces"},
        {"{a}/{a}", "character 6 of the pattern: this name stands there twice"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct topic_pattern *pattern = NULL;
        struct mr_error err = {0};
        assert_int_equal(topic_pattern_new(mr_slice_of(cases[i].text), &pattern, &err), MR_EFORMAT);
        assert_string_equal(err.text, cases[i].said);
        assert_null(pattern);
    }
}

static void a_nul_is_refused(void **state)
{
    struct topic_pattern *pattern = NULL;
    (void)state;
    assert_int_equal(topic_pattern_new(mr_slice("a\0b", 3), &pattern, NULL), MR_EFORMAT);
    assert_null(pattern);
}

static void patterns_are_bounded(void **state)
{
    static char text[TOPIC_BYTES_MAX + 2];
    struct topic_pattern *pattern = NULL;
    struct mr_error err = {0};
    (void)state;
    memset(text, 'a', sizeof text);
    assert_int_equal(topic_pattern_new(mr_slice(text, TOPIC_BYTES_MAX), &pattern, &err), 0);
    topic_pattern_free(pattern);
    assert_int_equal(topic_pattern_new(mr_slice(text, TOPIC_BYTES_MAX + 1), &pattern, &err),
                     MR_ELIMIT);
    assert_string_equal(err.text, "a pattern of more than 65535 bytes");
    memset(text, '/', sizeof text);
    assert_int_equal(topic_pattern_new(mr_slice(text, TOPIC_LEVELS_MAX - 1), &pattern, &err), 0);
    topic_pattern_free(pattern);
    assert_int_equal(topic_pattern_new(mr_slice(text, TOPIC_LEVELS_MAX), &pattern, &err),
                     MR_ELIMIT);
    assert_string_equal(err.text, "a pattern of more than 128 levels");
    assert_int_equal(
        topic_pattern_new(
            MR_SLICE("{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}"), &pattern,
            &err),
        0);
    topic_pattern_free(pattern);
    assert_int_equal(
        topic_pattern_new(
            MR_SLICE("{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}"),
            &pattern, &err),
        MR_ELIMIT);
    assert_string_equal(err.text, "more than 16 names in a pattern");
}

static void a_filter_covers_another(void **state)
{
    static const struct {
        const char *outer;
        const char *inner;
        bool covers;
    } cases[] = {
        {"a/b", "a/b", true},     {"a/b", "a/c", false},      {"a/+", "a/b", true},
        {"a/b", "a/+", false},    {"a/+", "a/+", true},       {"a/+", "a", false},
        {"a/+", "a/b/c", false},  {"a/+", "a/#", false},      {"a/#", "a", true},
        {"a/#", "a/#", true},     {"a/#", "a/+", true},       {"a/#", "a/+/b/#", true},
        {"a/#", "b/#", false},    {"a/#", "ab", false},       {"a", "a/#", false},
        {"a/+/#", "a/#", false}, /* `a` itself */
        {"a/+/#", "a/b", true},   {"#", "#", true},           {"#", "a/+", true},
        {"#", "/", true},         {"+/#", "#", true}, /* each topic has a first level */
        {"+/+/#", "#", false},    {"#", "+/#", true},         {"+", "#", false},
        {"+", "", true}, /* a level may be empty */
        {"/+/#", "/#", true},     {"+/+/#", "/#", true},      {"/+/+/#", "/#", false},
        {"+/+", "/", true},       {"+/+", "+", false},        {"#", "$SYS/#", false},
        {"#", "$SYS/x", false},   {"+/#", "$SYS/x", false},   {"+/x", "$SYS/x", false},
        {"+/x", "+/x", true},     {"$SYS/#", "$SYS/x", true}, {"$SYS/+", "$SYS/x", true},
        {"$SYS/#", "+/x", false}, {"a/#", "a/$x", true},      {"a/+", "a/$x", true},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (topic_filter_covers(cases[i].outer, cases[i].inner) != cases[i].covers) {
            fail_msg("%s and %s", cases[i].outer, cases[i].inner);
        }
    }
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        struct topic_pattern *pattern = NULL;
        struct mr_error err = {0};
        int rc;
        heap_fail_at(n);
        rc = topic_pattern_new(MR_SLICE("a/{b}/{c...}"), &pattern, &err);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            topic_pattern_free(pattern);
            assert_int_equal(heap_alive(), 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
        assert_int_equal(heap_alive(), 0);
    }
    heap_restore();
    topic_pattern_free(NULL);
}

static void filters_overlap_if_a_topic_has_both(void **state)
{
    static const struct {
        const char *one;
        const char *other;
        bool overlap;
    } cases[] = {
        {"a/+", "+/b", true},      {"a/+", "+/b/c", false},  {"ce/#", "+/+", true},
        {"ce/#", "+", true},       {"ce/#", "+/+/+", true},  {"a/b", "a/b", true},
        {"a/b", "a/c", false},     {"a/+/x", "a/b/+", true}, {"a/+/x", "b/+/x", false},
        {"#", "$SYS/#", false},    {"+/x", "$SYS/x", false}, {"$SYS/#", "$SYS/+", true},
        {"a", "a/#", true},        {"a/+", "a/b/#", true},   {"a/b/c", "a/b/#", true},
        {"a/b", "a/b/c/#", false}, {"a//b", "a/+/b", true},  {"a/", "a", false},
        {"a/$b/#", "a/+/c", true},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (topic_filters_overlap(cases[i].one, cases[i].other) != cases[i].overlap ||
            topic_filters_overlap(cases[i].other, cases[i].one) != cases[i].overlap) {
            fail_msg("%s and %s", cases[i].one, cases[i].other);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wildcards_are_those_of_mqtt),
        cmocka_unit_test(any_topic_may_come),
        cmocka_unit_test(names_stand_for_what_the_topic_says),
        cmocka_unit_test(names_are_known_in_their_order),
        cmocka_unit_test(bad_patterns_are_refused_with_the_place),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(patterns_are_bounded),
        cmocka_unit_test(a_filter_covers_another),
        cmocka_unit_test(filters_overlap_if_a_topic_has_both),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

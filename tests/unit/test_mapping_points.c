// SPDX-License-Identifier: Apache-2.0
/* Events by configured rules. The expected lines are written by hand after docs/millrace-influx.md
 * and the InfluxDB 1.x reference, "Line protocol". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/options_internal.h"
#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping.h"
#include "lib/event_asserts.h"
#include "lib/heap.h"

struct target {
    struct mapping_options mapping;
};

static const struct mr_option table[] = {MAPPING_OPTIONS(struct target, mapping), MR_OPTION_END};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-test", .section = "test", .groups = groups, .group_count = 1};

/* A configuration and what came of it. */
struct fixture {
    struct target target;
    struct options *options;
    struct mapping_rules *rules;
    struct mapping *mapping;
};

static void begin(struct fixture *f, const char *conf, char *const *variables)
{
    struct mr_check check = {0};
    *f = (struct fixture){0};
    f->options = options_new(&spec, &f->target);
    assert_non_null(f->options);
    options_read_bytes(f->options, "t.conf", mr_slice_of(conf));
    if (variables != NULL) {
        options_read_environment(f->options, variables);
    }
    check.options = f->options;
    (void)mapping_rules_new(&f->target.mapping, &check, &f->rules);
    if (options_problem_count(f->options) > 0) {
        fail_msg("%.*s", MR_SLICE_ARG(buf_slice(options_problems(f->options))));
    }
    f->mapping = mapping_new(f->rules);
    assert_non_null(f->mapping);
}

static void end(struct fixture *f)
{
    mapping_free(f->mapping);
    mapping_rules_free(f->rules);
    options_free(f->options);
}

static struct mr_event *event_of(const char *data)
{
    struct mr_event *event = mr_event_new();
    assert_non_null(event);
    set_text(event, "id", "1");
    set_text(event, "source", "/a/d");
    set_text(event, "type", "io.x");
    set_text(event, "subject", "climate/1");
    set_text(event, "device", "d 1");
    if (data != NULL) {
        mr_event_set_data(event, mr_slice_of(data));
    }
    return event;
}

/* Lines, or "dead: " and the reason, or "skipped". */
static void expect_event(struct fixture *f, struct mr_event *event, const char *wanted)
{
    struct mr_slice lines = {0};
    struct mr_error err = {0};
    size_t count = 99;
    char *got = NULL;
    int rc = mapping_lines(f->mapping, event, 5, &lines, &count, &err);
    if (rc != 0) {
        assert_int_equal(rc, err.code);
        assert_true(asprintf(&got, "dead: %s", err.text) > 0);
    } else if (count == 0) {
        assert_true(asprintf(&got, "skipped") > 0);
    } else {
        got = strndup(lines.ptr, lines.len);
    }
    assert_string_equal(got, wanted);
    free(got);
    mr_event_free(event);
}

static void expect(const char *conf, const char *data, const char *wanted)
{
    struct fixture f;
    begin(&f, conf, NULL);
    expect_event(&f, event_of(data), wanted);
    end(&f);
}

/* One field `v` of the type, of `{"v":VALUE}`. */
static void type_gives(const char *type, const char *value, const char *wanted)
{
    char conf[128];
    char data[256];
    char line[256];
    (void)snprintf(conf, sizeof conf, "[measurement m]\ntag.device = -\nfield.v = $.v %s\n", type);
    (void)snprintf(data, sizeof data, "{\"v\":%s}", value);
    (void)snprintf(
        line, sizeof line,
        strncmp(wanted, "v=", 2) == 0 ? "m %s 5000000" : "dead: [measurement m]: field v: $.v: %s",
        wanted);
    expect(conf, data, line);
}

static void a_section_makes_a_point(void **state)
{
    (void)state;
    expect(
        "[measurement climate]\nmatch = subject:climate/*\nfield.temp = $.t\n"
        "field.ok = $.state['is ok']\nfield.n = $.list[-1] integer\ntag.room = $.room\n"
        "time = $.ts ms\n",
        "{\"t\":21.5,\"state\":{\"is ok\":true},\"list\":[1,2,3],\"room\":\"a,b\",\"ts\":"
        "1465839830100,\"other\":[{}]}",
        "climate,device=d\\ 1,room=a\\,b temp=21.5,ok=true,n=3i 1465839830100000000");
    expect("[measurement a b,c]\nfield.x y = $.x\ntag.z z = $.x\n", "{\"x\":\"\\n\\\"\"}",
           "a\\ b\\,c,device=d\\ 1,z\\ z=_\" x\\ y=\"\n\\\"\" 5000000");
}

static void attributes_are_sources_too(void **state)
{
    struct fixture f;
    struct mr_event *event = event_of(NULL);
    (void)state;
    begin(&f,
          "[measurement m]\nname = subject\nfield.count = count integer\nfield.rate = count\n"
          "field.flag = flag\nfield.text = type\ntag.source = source\ntag.n = count\n"
          "tag.device = -\ntime = measured\n",
          NULL);
    assert_int_equal(mr_event_set_integer(event, MR_SLICE("count"), -7, NULL), 0);
    assert_int_equal(mr_event_set_boolean(event, MR_SLICE("flag"), true, NULL), 0);
    set_text(event, "measured", "1970-01-01T00:00:01Z");
    expect_event(&f, event,
                 "climate/1,n=-7,source=/a/d count=-7i,rate=-7,flag=true,text=\"io.x\" 1000000000");
    end(&f);
}

static void the_first_match_wins(void **state)
{
    struct fixture f;
    struct mr_event *event;
    static const char conf[] =
        "[influx]\nunmatched = %s\n"
        "[measurement one]\nmatch = subject:climate/? type:io.*\n"
        "field.a = $.a\n"
        "[measurement two]\nmatch = subject:climate/*\nfield.a = $.a\n"
        "[measurement three]\nmatch = subject:o* nosuch:*\nfield.a = $.a\n";
    static const char *const unmatched[][2] = {
        {"default", "other,device=d\\ 1 a=1 5000000"},
        {"dead", "dead: no [measurement] matches the event"},
        {"skip", "skipped"},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(unmatched); i++) {
        char text[sizeof conf + 16];
        (void)snprintf(text, sizeof text, conf, unmatched[i][0]);
        begin(&f, text, NULL);
        expect_event(&f, event_of("{\"a\":1}"), "one,device=d\\ 1 a=1 5000000");
        event = event_of("{\"a\":1}");
        set_text(event, "subject", "climate/12");
        expect_event(&f, event, "two,device=d\\ 1 a=1 5000000");
        event = event_of("{\"a\":1}");
        set_text(event, "subject", "other");
        expect_event(&f, event, unmatched[i][1]);
        end(&f);
    }
}

static void globs(void **state)
{
    static const struct {
        const char *glob, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "a/b", true},
        {"a*c", "abbc", true},
        {"a*c", "abbd", false},
        {"*b*d", "abcbd", true},
        {"?", "\xc3\xa9", true},
        {"?", "", false},
        {"??", "a", false},
        {"a\\*", "a*", true},
        {"a\\*", "ab", false},
        {"a\\?", "a?", true},
        {"\\\\", "\\", true},
        {"*.x*y", "a.x.x.y", true},
        {"a", "A", false},
        {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        if (mapping_glob_matches(mr_slice_of(cases[i].glob), mr_slice_of(cases[i].text)) !=
            cases[i].matches) {
            fail_msg("%s against %s", cases[i].glob, cases[i].text);
        }
    }
}

static void types_and_values(void **state)
{
    (void)state;
    type_gives("", "21", "v=21");
    type_gives("", "-0.5e-3", "v=-0.5e-3");
    type_gives("", "\"21\"", "v=\"21\"");
    type_gives("", "false", "v=false");
    type_gives("", "{}", "an object, expected a string, a number or a boolean");
    type_gives("", "[1]", "an array, expected a string, a number or a boolean");
    type_gives("", "1e999", "the number 1e999 is beyond a 64-bit float");
    type_gives("float", "21", "v=21");
    type_gives("float", "\"2.5e1\"", "v=2.5e1");
    type_gives("float", "\"\"", "a string that holds no number, expected a number");
    type_gives("float", "\"NaN\"", "a string that holds no number, expected a number");
    type_gives("float", "\"Infinity\"", "a string that holds no number, expected a number");
    type_gives("float", "\"-inf\"", "a string that holds no number, expected a number");
    type_gives("float", "\"1e999\"", "the number 1e999 is beyond a 64-bit float");
    type_gives("float", "true", "a boolean, expected a number");
    type_gives("integer", "21", "v=21i");
    type_gives("integer", "-21.0", "v=-21i");
    type_gives("integer", "2.1e1", "v=21i");
    type_gives("integer", "\"21\"", "v=21i");
    type_gives("integer", "21.5", "a number with a fraction, expected a whole number");
    type_gives("integer", "9223372036854775807", "v=9223372036854775807i");
    type_gives("integer", "-9223372036854775808", "v=-9223372036854775808i");
    type_gives("integer", "9223372036854775808", "a number beyond a signed 64-bit integer");
    type_gives("integer", "-9223372036854775809", "a number beyond a signed 64-bit integer");
    type_gives("unsigned", "18446744073709551615", "v=18446744073709551615u");
    type_gives("unsigned", "-0", "v=0u");
    type_gives("unsigned", "-1", "a number beyond an unsigned 64-bit integer");
    type_gives("unsigned", "1e20", "a number beyond an unsigned 64-bit integer");
    type_gives("boolean", "true", "v=true");
    type_gives("boolean", "\"false\"", "v=false");
    type_gives("boolean", "\"TRUE\"", "a string, expected true or false");
    type_gives("boolean", "1", "a number, expected true or false");
    type_gives("string", "\"x\"", "v=\"x\"");
    type_gives("string", "1.50", "v=\"1.50\"");
    type_gives("string", "true", "v=\"true\"");
    type_gives("string", "{}", "an object, expected a string, a number or a boolean");
}

static void missing_and_null(void **state)
{
    static const char conf[] = "[measurement m]\nfield.a = $.a\nfield.b = $.b\ntag.t = $.t\n";
    (void)state;
    expect(conf, "{\"b\":1}", "m,device=d\\ 1 b=1 5000000");
    expect(conf, "{\"a\":null,\"b\":1,\"t\":null}", "m,device=d\\ 1 b=1 5000000");
    expect(conf, "{\"a\":1,\"t\":\"\"}", "m,device=d\\ 1 a=1 5000000");
    expect(conf, "{\"a\":1,\"t\":2.50}", "m,device=d\\ 1,t=2.50 a=1 5000000");
    expect(conf, "{\"a\":1,\"t\":true}", "m,device=d\\ 1,t=true a=1 5000000");
    expect(conf, "{\"a\":1,\"t\":[]}",
           "dead: [measurement m]: tag t: $.t: an array, expected a string, a number or a boolean");
    expect(conf, "{\"a\":1,\"t\":\"x\\ny\\\\\"}", "m,device=d\\ 1,t=x_y_ a=1 5000000");
    expect(conf, "{\"c\":1}", "dead: [measurement m]: none of the fields is there");
    expect(conf, "[]", "dead: [measurement m]: none of the fields is there");
    expect(conf, "{\"a\":1",
           "dead: [measurement m]: the data is not valid JSON: line 1, column 7: "
           "unexpected end");
    expect(conf, NULL, "dead: [measurement m]: the event has no data, expected JSON");
    expect(conf, "{\"a\":1,\"a\":2}", "dead: [measurement m]: $.a is given twice");
    expect("[measurement m]\nfield.a = $.a required\nfield.b = $.b\n", "{\"b\":1}",
           "dead: [measurement m]: field a: $.a: missing, but required");
    expect("[measurement m]\nfield.a = $.a float required\nfield.b = $.b\n", "{\"a\":null}",
           "dead: [measurement m]: field a: $.a: null, but required");
    expect("[measurement m]\nfield.a = $.a\ntag.t = $.t required\n", "{\"a\":1}",
           "dead: [measurement m]: tag t: $.t: missing, but required");
    expect("[measurement m]\nfield.a = $.a\ntag.t = $.t required\n", "{\"a\":1,\"t\":\"\"}",
           "dead: [measurement m]: tag t: $.t: empty, but required");
    expect("[measurement m]\nname = $.n\nfield.a = $.a\n", "{\"a\":1}",
           "dead: [measurement m]: name: $.n: missing, but required");
    expect("[measurement m]\nname = $.n\nfield.a = $.a\n", "{\"a\":1,\"n\":\"\"}",
           "dead: [measurement m]: name: $.n: an empty name");
    expect("[measurement m]\nname = $.n\nfield.a = $.a\n", "{\"a\":1,\"n\":\"#x y\"}",
           "_x\\ y,device=d\\ 1 a=1 5000000");
}

static void expect_time(const char *words, const char *value, const char *wanted)
{
    char conf[128];
    char data[128];
    char line[256];
    (void)snprintf(conf, sizeof conf,
                   "[measurement m]\ntag.device = -\nfield.v = $.v\n"
                   "time = $.t %s\n",
                   words);
    (void)snprintf(data, sizeof data, "{\"v\":1%s%s}", *value == '\0' ? "" : ",\"t\":", value);
    (void)snprintf(line, sizeof line,
                   (*wanted >= '0' && *wanted <= '9') || *wanted == '-'
                       ? "m v=1 %s"
                       : "dead: [measurement m]: time: $.t: %s",
                   wanted);
    expect(conf, data, line);
}

static void times(void **state)
{
    (void)state;
    expect_time("", "\"2016-06-13T17:43:50.1004002Z\"", "1465839830100400200");
    expect_time("rfc3339", "\"1970-01-01T01:00:00+01:00\"", "0");
    expect_time("rfc3339", "\"\\u0031970-01-01T00:00:00Z\"", "0");
    expect_time("rfc3339", "5", "a number, expected a time such as 2016-06-13T17:43:50Z");
    expect_time("s", "1465839830.1004002", "1465839830100400200");
    expect_time("s", "1.4658398301004002e9", "1465839830100400200");
    expect_time("ms", "1465839830100.4002", "1465839830100400200");
    expect_time("us", "1465839830100400.2", "1465839830100400200");
    expect_time("ns", "1465839830100400200", "1465839830100400200");
    expect_time("ns", "1465839830100400200.9", "1465839830100400200");
    expect_time("s", "-1.5", "-1500000000");
    expect_time("ms", "\"5\"", "5000000");
    expect_time("ms", "\"x\"", "a string that holds no number, expected a number");
    expect_time("s", "9223372036.854775806", "9223372036854775806");
    expect_time("s", "9223372036.854775807",
                "the time 9223372036854775807 ns is outside InfluxDB's range");
    expect_time("s", "1e10", "a time outside InfluxDB's range");
    expect_time("s", "1465839830100", "a time outside InfluxDB's range"); /* these were ms */
    expect_time("s", "", "missing, but required");
    expect_time("s", "null", "null, but required");
    expect_time("s optional", "", "5000000");
    expect_time("s optional", "null", "5000000");
    expect_time("s optional", "true", "a boolean, expected a number");
}

static void each_element_is_a_point(void **state)
{
    static const char conf[] =
        "[measurement m]\neach = $.r[*]\nfield.v = @.v\nfield.n = $.n\n"
        "tag.room = @.room\ntime = @.t ms optional\n";
    (void)state;
    expect(conf, "{\"r\":[{\"v\":1,\"t\":1},{\"v\":2,\"t\":2,\"room\":\"x\"}],\"n\":9}",
           "m,device=d\\ 1 v=1,n=9 1000000\nm,device=d\\ 1,room=x v=2,n=9 2000000");
    expect(conf, "{\"r\":[{\"v\":1,\"room\":\"a\"},{\"v\":2,\"room\":\"b\"}]}",
           "m,device=d\\ 1,room=a v=1 5000000\nm,device=d\\ 1,room=b v=2 5000000");
    expect(conf, "{\"r\":[{\"v\":1},{\"v\":3,\"room\":\"b\"},{\"v\":2}]}",
           "dead: [measurement m]: elements 0 and 2 are the same point: one series, "
           "one time");
    expect(conf, "{\"r\":[{\"v\":1,\"t\":1},{\"t\":2}]}",
           "dead: [measurement m]: element 1: none of the fields is there");
    expect(conf, "{\"r\":[{\"v\":1,\"t\":1},{\"v\":{},\"t\":2}]}",
           "dead: [measurement m]: element 1: field v: @.v: an object, expected a string, a "
           "number or a boolean");
    expect(conf, "{\"r\":[]}", "dead: [measurement m]: $.r[*]: an empty array, expected elements");
    expect(conf, "{\"r\":{}}", "dead: [measurement m]: $.r[*]: expected an array");
    expect(conf, "{}", "dead: [measurement m]: $.r[*]: expected an array");
    expect("[measurement m]\neach = $[*]\nfield.v = @[1]\ntime = @[0] s\ntag.device = -\n",
           "[[1,10],[2,20],[3,30]]", "m v=10 1000000000\nm v=20 2000000000\nm v=30 3000000000");
    expect("[measurement m]\neach = $.r[*]\nname = @.n\nfield.v = @.v\ntag.device = -\n",
           "{\"r\":[{\"n\":\"t\",\"v\":1},{\"n\":\"h\",\"v\":2}]}", "t v=1 5000000\nh v=2 5000000");
}

static void drogue_variables(void **state)
{
    struct fixture f;
    char *variables[] = {(char[]){"INFLUXDB_TABLE=temp data"}, (char[]){"FIELD_Temp=$.t"},
                         (char[]){"FIELD_COUNT=$.count"},      (char[]){"TYPE_FIELD_COUNT=Int"},
                         (char[]){"TAG_DEV_ID=$.device"},      (char[]){"TAG_ROOM=$.data.room"},
                         (char[]){"TAG_SUB=$['subject']"},     NULL};
    (void)state;
    begin(&f, "[measurement own]\nmatch = type:own\nfield.a = $.a\n", variables);
    expect_event(&f, event_of("{\"t\":21,\"count\":\"7\",\"room\":\"r\"}"),
                 "temp\\ data,dev_id=d\\ 1,room=r,sub=climate/1 temp=21,count=7i 5000000");
    expect_event(&f, event_of("{\"other\":21}"), "skipped");
    expect_event(&f, event_of("{\"count\":7.5}"),
                 "dead: [measurement temp data]: field COUNT: $.count: a number with a fraction, "
                 "expected a whole number");
    {
        struct mr_event *event = event_of("{\"a\":1}");
        set_text(event, "type", "own");
        expect_event(&f, event, "own,device=d\\ 1 a=1 5000000");
    }
    end(&f);
    variables[4] = (char[]){"DISABLE_TRY_PARSE=true"};
    begin(&f, "", variables);
    expect_event(&f, event_of("{\"t\":21,\"count\":\"7\"}"),
                 "dead: [measurement temp data]: field COUNT: $.count: a string, expected a whole "
                 "number");
    end(&f);
}

/* Empty is as if it weren't given: so composed environments unset what they don't want. */
static void an_empty_table_is_none(void **state)
{
    struct fixture f;
    char *variables[] = {(char[]){"INFLUXDB_TABLE="}, (char[]){"FIELD_TEMP=$..t"},
                         (char[]){"TYPE_FIELD_X=float"}, NULL};
    (void)state;
    begin(&f, "", variables);
    expect_event(&f, event_of("{\"t\":21}"), "climate/1,device=d\\ 1 t=21 5000000");
    end(&f);
}

static const char heap_conf[] =
    "[measurement a]\nmatch = subject:x\nfield.a = $.a\n"
    "[measurement m]\neach = $.r[*]\nfield.v = @['\\n'] float\n"
    "tag.t = @.t\ntime = @.ts s\n";
static const char heap_data[] =
    "{\"r\":[{\"\\n\":1,\"ts\":1,\"t\":\"\\u00e9\"},{\"\\u000a\":\"2\",\"ts\":2}]}";

static void every_allocation_may_fail(void **state)
{
    struct fixture f;
    struct mr_event *event = event_of(heap_data);
    unsigned n = 1;
    (void)state;
    begin(&f, heap_conf, NULL);
    for (;; n++) {
        struct mapping_rules *rules = NULL;
        struct mapping *mapping = NULL;
        struct mr_check check = {0};
        struct mr_slice lines;
        size_t count;
        int rc;
        heap_fail_at(n);
        rc = mapping_rules_new(&f.target.mapping, &check, &rules);
        mapping = rc == 0 ? mapping_new(rules) : NULL;
        rc = mapping == NULL ? MR_ENOMEM : mapping_lines(mapping, event, 1, &lines, &count, NULL);
        if (rc == 0) {
            assert_int_equal(count, 2);
            assert_true(mr_slice_is(lines, MR_SLICE("m,device=d\\ 1,t=\xc3\xa9 v=1 1000000000\n"
                                                    "m,device=d\\ 1 v=2 2000000000")));
        }
        mapping_free(mapping);
        mapping_rules_free(rules);
        assert_int_equal(heap_alive(), 0);
        if (!heap_failed()) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, MR_ENOMEM);
    }
    heap_restore();
    assert_true(n > 25);
    mr_event_free(event);
    end(&f);
}

/* No allocation once the memory is there; and what went wrong before leaves nothing behind. */
static void a_warm_mapping_allocates_nothing(void **state)
{
    struct fixture f;
    struct mr_event *event = event_of(heap_data);
    struct mr_event *bad = event_of("{\"r\":[{\"\\n\":1,\"ts\":1},{\"ts\":");
    struct mr_slice lines;
    size_t count;
    (void)state;
    begin(&f, heap_conf, NULL);
    assert_int_equal(mapping_lines(f.mapping, event, 1, &lines, &count, NULL), 0);
    heap_fail_at(1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mapping_lines(f.mapping, bad, 1, &lines, &count, NULL), MR_EFORMAT);
        assert_int_equal(mapping_lines(f.mapping, event, 1, &lines, &count, NULL), 0);
        assert_int_equal(count, 2);
    }
    assert_false(heap_failed());
    heap_restore();
    mr_event_free(event);
    mr_event_free(bad);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_makes_a_point),
        cmocka_unit_test(attributes_are_sources_too),
        cmocka_unit_test(the_first_match_wins),
        cmocka_unit_test(globs),
        cmocka_unit_test(types_and_values),
        cmocka_unit_test(missing_and_null),
        cmocka_unit_test(times),
        cmocka_unit_test(each_element_is_a_point),
        cmocka_unit_test(drogue_variables),
        cmocka_unit_test(an_empty_table_is_none),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_warm_mapping_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
/* What is said of rules that can't be used: each problem with its place, and all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/options_internal.h"
#include "consumers/influx/mapping_rules.h"

struct target {
    struct mapping_options mapping;
};

static const struct mr_option table[] = {MAPPING_OPTIONS(struct target, mapping), MR_OPTION_END};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-test", .section = "test", .groups = groups, .group_count = 1};

static void expect_problems(const char *conf, char *const *variables, const char *wanted)
{
    struct target target;
    struct mapping_rules *rules = NULL;
    struct options *options = options_new(&spec, &target);
    struct mr_check check = {.options = options};
    char *said;
    options_read_bytes(options, "t.conf", mr_slice_of(conf));
    if (variables != NULL) {
        options_read_environment(options, variables);
    }
    assert_int_equal(mapping_rules_new(&target.mapping, &check, &rules), MR_ECONFIG);
    assert_null(rules);
    said = strndup(options_problems(options)->ptr, options_problems(options)->len);
    assert_string_equal(said, wanted);
    free(said);
    options_free(options);
}

static void bad_rules_are_refused_with_their_place(void **state)
{
    char *variables[] = {(char[]){"INFLUXDB_TABLE=t"},     (char[]){"FIELD_A=$.a.*"},
                         (char[]){"FIELD_B=$.b"},          (char[]){"FIELD_b=$.c"},
                         (char[]){"TYPE_FIELD_B=decimal"}, (char[]){"TAG_X=$[0]"},
                         (char[]){"TAG_TIME=$.id"},        NULL};
    (void)state;
    expect_problems(
        "[measurement m]\nmatch = subject\nfield.a = $..a\nfield.b = $.b flaot\n"
        "field.c = @.c\nfield.time = $.t\nfield.x\\ = $.x\ntime = $.t h\ntag.t = $.t float\n"
        "each = $.a\nname = Upper\nfield.d = $.d float float\n",
        NULL,
        "t.conf:10: [measurement m] each: character 4 of the path: expected [*] at the end\n"
        "t.conf:2: [measurement m] match: expected attribute:pattern, such as subject:temp/*; got "
        "'subject'\n"
        "t.conf:3: [measurement m] field.a: character 3 of the path: expected a name of letters, "
        "digits and '_' (others as ['name'])\n"
        "t.conf:4: [measurement m] field.b: 'flaot' is not expected here: after the source may "
        "stand one of float, integer, unsigned, string, boolean, and 'required'\n"
        "t.conf:5: [measurement m] field.c: '@' stands for an element of `each`, which is not "
        "given\n"
        "t.conf:6: [measurement m] field.time: InfluxDB keeps the name 'time' to itself\n"
        "t.conf:7: [measurement m] field.x\\: a name that InfluxDB's line protocol can't carry (a "
        "backslash before ',', '=', a blank, '\"' or the end, or a control character)\n"
        "t.conf:8: [measurement m] time: 'h' is not expected here: after the source may stand one "
        "of rfc3339, s, ms, us, ns, and 'optional'\n"
        "t.conf:9: [measurement m] tag.t: 'float' is not expected here: after the source may stand "
        "'required' only\n"
        "t.conf:11: [measurement m] name: expected a path ($.a.b) or an attribute's name (small "
        "letters and digits); got 'Upper'\n"
        "t.conf:12: [measurement m] field.d: 'float' is not expected here: after the source may "
        "stand one of float, integer, unsigned, string, boolean, and 'required'\n");
    expect_problems(
        "[measurement a]\n[measurement b]\nfield.x = $.x\ntag.x = $.y\n"
        "[measurement c]\neach = $.r[*]\nfield.x = @.x\n"
        "[measurement #d]\nfield.x = $.x\n",
        NULL,
        "t.conf:1: [measurement a]: expected at least one field\n"
        "t.conf:2: [measurement b]: 'x' is a field and a tag, which InfluxDB can't "
        "tell apart\n"
        "t.conf:5: [measurement c]: all elements of `each` would be the same point: "
        "take time, name or a tag from '@'\n"
        "t.conf:8: [measurement #d]: a name that InfluxDB's line protocol can't "
        "carry\n");
    expect_problems(
        "", variables,
        "environment: FIELD_A: character 5 of the path: expected a name of letters, digits and "
        "'_' (others as ['name'])\n"
        "environment: TYPE_FIELD_B: expected none, float, integer, unsigned, string or boolean; "
        "got 'decimal'\n"
        "environment: TAG_X: expected an attribute ($.device) or a path into the data ($.data.x)\n"
        "environment: TAG_TIME: InfluxDB keeps the name 'time' to itself\n");
    variables[1] = (char[]){"OTHER=1"};
    variables[4] = (char[]){"OTHER=1"};
    variables[5] = NULL;
    expect_problems("", variables, "environment: FIELD_b: the name 'b' is given twice\n");
    variables[1] = NULL;
    expect_problems("", variables,
                    "environment: INFLUXDB_TABLE: given without a variable FIELD_name\n");
}

/* What is wrong with the whole is said too, unless a refused line may be the cause. */
static void a_bad_line_hides_nothing_else(void **state)
{
    (void)state;
    expect_problems(
        "[measurement a]\nmatch = x\n"
        "[measurement b]\nfield.x = $.x\nfield.y = $..y\ntag.x = $.y\n"
        "[measurement c]\neach = $.r[*]\nfield.x = @.x\nfield.y = @..y\n"
        "[measurement d]\neach = $.r[*]\nfield.x = @.x\ntime = @..t\n"
        "[measurement e\\]\nfield.x = $..x\n"
        "[measurement e]\nfield.x = $.x\n[measurement e]\ntag.x = $.x\n",
        NULL,
        "t.conf:19: [measurement e]: given before, in line 17\n"
        "t.conf:2: [measurement a] match: expected attribute:pattern, such as "
        "subject:temp/*; got 'x'\n"
        "t.conf:1: [measurement a]: expected at least one field\n"
        "t.conf:5: [measurement b] field.y: character 3 of the path: expected a name "
        "of letters, digits and '_' (others as ['name'])\n"
        "t.conf:3: [measurement b]: 'x' is a field and a tag, which InfluxDB can't "
        "tell apart\n"
        "t.conf:10: [measurement c] field.y: character 3 of the path: expected a name "
        "of letters, digits and '_' (others as ['name'])\n"
        "t.conf:7: [measurement c]: all elements of `each` would be the same point: "
        "take time, name or a tag from '@'\n"
        "t.conf:14: [measurement d] time: character 3 of the path: expected a name "
        "of letters, digits and '_' (others as ['name'])\n"
        "t.conf:16: [measurement e\\] field.x: character 3 of the path: expected a name of "
        "letters, digits and '_' (others as ['name'])\n"
        "t.conf:15: [measurement e\\]: a name that InfluxDB's line protocol can't carry\n"
        "t.conf:19: [measurement e]: expected at least one field\n");
}

static void bad_variables_are_refused_with_their_name(void **state)
{
    char *variables[] = {(char[]){"INFLUXDB_TABLE=t"},
                         (char[]){"FIELD_TEMP=$.temp"},
                         (char[]){"TYPE_FIELD_TEMPRATURE=float"},
                         (char[]){"TAG_A=$.noSuch"},
                         (char[]){"TAG_B=$.data"},
                         (char[]){"TAG_C=$['data']"},
                         (char[]){"TAG_D=$.extensions.x"},
                         (char[]){"FIELD_TIME=$.t"},
                         (char[]){"TAG_TEMP=$.data.temp"},
                         NULL};
    (void)state;
    expect_problems(
        "", variables,
        "environment: TYPE_FIELD_TEMPRATURE: there is no variable FIELD_TEMPRATURE\n"
        "environment: TAG_A: expected an attribute ($.device) or a path into the data ($.data.x); "
        "got 'noSuch', and the names of CloudEvents' attributes are small letters and digits\n"
        "environment: TAG_B: expected an attribute ($.device) or a path into the data ($.data.x); "
        "got the data as a whole\n"
        "environment: TAG_C: expected an attribute ($.device) or a path into the data ($.data.x); "
        "got the data as a whole\n"
        "environment: TAG_D: expected an attribute ($.device) or a path into the data "
        "($.data.x)\n"
        "environment: FIELD_TIME: InfluxDB keeps the name 'time' to itself\n"
        "environment: INFLUXDB_TABLE: 'temp' is a field and a tag, which InfluxDB can't tell "
        "apart\n");
    variables[0] = (char[]){"INFLUXDB_TABLE=t\\"};
    variables[2] = NULL;
    expect_problems("", variables,
                    "environment: INFLUXDB_TABLE: a name that InfluxDB can't take\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_rules_are_refused_with_their_place),
        cmocka_unit_test(a_bad_line_hides_nothing_else),
        cmocka_unit_test(bad_variables_are_refused_with_their_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

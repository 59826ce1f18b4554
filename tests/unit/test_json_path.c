// SPDX-License-Identifier: Apache-2.0
/* RFC 9535: the singular queries of 2.3.5.1, the literals of 2.3.1.1, the indexes of 2.3.3.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event/json_path.h"

/* "name|[3]|[*]" */
static void expect(const char *text, bool is_each, const char *steps)
{
    struct json_path path;
    struct mr_error err = {0};
    char said[512] = "";
    size_t len = 0;
    if (json_path_parse(mr_slice_of(text), is_each, &path, &err) != 0) {
        fail_msg("%s: %s", text, err.text);
    }
    for (unsigned i = 0; i < path.count; i++) {
        const struct json_step *step = &path.steps[i];
        struct mr_slice name = json_path_name(&path, step);
        len += (size_t)(step->kind == JSON_STEP_NAME
                            ? snprintf(said + len, sizeof said - len, "%.*s|", MR_SLICE_ARG(name))
                        : step->kind == JSON_STEP_INDEX
                            ? snprintf(said + len, sizeof said - len, "[%lld]|",
                                       (long long)step->index)
                            : snprintf(said + len, sizeof said - len, "[*]|"));
    }
    assert_string_equal(said, steps);
}

static void refuse(const char *text, bool is_each, const char *words)
{
    struct json_path path;
    struct mr_error err = {0};
    if (json_path_parse(mr_slice_of(text), is_each, &path, &err) == 0) {
        fail_msg("taken: %s", text);
    }
    if (strstr(err.text, words) == NULL) {
        fail_msg("%s: %s", text, err.text);
    }
}

static void paths_of_the_rfc(void **state)
{
    (void)state;
    expect("$", false, "");
    expect("@", false, "");
    expect("$.a.b[0]", false, "a|b|[0]|");
    expect("$['odd name']", false, "odd name|");
    expect("$[\"odd name\"].x", false, "odd name|x|");
    expect("$[ 'a' ][ 1 ]", false, "a|[1]|");
    expect("$.o['j j']['k.k'][3]", false, "o|j j|k.k|[3]|"); /* 2.3.1.3 */
    expect("$[\"'\"]['@']", false, "'|@|");
    expect("$['\\'']", false, "'|");
    expect("$['\"']", false, "\"|");
    expect("$[\"\\\"\"]", false, "\"|");
    expect("$['\\u00e9\\ud83d\\ude00\\n\\/']", false, "é😀\n/|");
    expect("$['']", false, "|");
    expect("$._a1.été", false, "_a1|été|");
    expect("$[-1]", false, "[-1]|"); /* the last */
    expect("$[9007199254740991][-9007199254740991]", false,
           "[9007199254740991]|[-9007199254740991]|");
    expect("$.readings[*]", true, "readings|[*]|");
    expect("$[*]", true, "[*]|");
}

static void what_selects_more_or_nothing_is_refused(void **state)
{
    (void)state;
    refuse("", false, "expected '$' or '@'");
    refuse("a.b", false, "expected '$' or '@'");
    refuse("$..a", false, "character 3");
    refuse("$.*", false, "character 3");
    refuse("$[*]", false, "several values");
    refuse("$.a", true, "expected [*] at the end");
    refuse("$[*].a", true, "expected nothing after [*]");
    refuse("$[0,1]", false, "expected ']'");
    refuse("$[0:1]", false, "expected ']'");
    refuse("$[?@.a]", false, "expected an index");
    refuse("$.a-b", false, "character 4");
    refuse("$.0", false, "character 3");
    refuse("$.a.", false, "character 5");
    refuse("$a", false, "character 2");
    refuse("$[", false, "expected an index");
    refuse("$[0", false, "expected ']'");
    refuse("$[01]", false, "zeros");
    refuse("$[-0]", false, "zeros");
    refuse("$[-]", false, "expected an index");
    refuse("$[9007199254740992]", false, "2^53-1");
    refuse("$['a", false, "not a well-formed name");
    refuse("$['\\\"']", false, "not a well-formed name"); /* 2.3.1.1: only the own quote */
    refuse("$[\"\\'\"]", false, "not a well-formed name");
    refuse("$['\\x']", false, "not a well-formed name");
    refuse("$['\\ud800']", false, "not a well-formed name");
    refuse("$['\t']", false, "not a well-formed name");
    refuse("$['\xff']", false, "not a well-formed name");
    refuse("$.\xff", false, "malformed UTF-8");
}

static void a_path_ends_at_a_blank(void **state)
{
    struct json_path path;
    (void)state;
    assert_int_equal(json_path_parse(MR_SLICE("$['a b'].c integer required"), false, &path, NULL),
                     0);
    assert_true(mr_slice_is(path.text, MR_SLICE("$['a b'].c")));
    assert_false(path.is_element);
    assert_int_equal(json_path_parse(MR_SLICE("@\tx"), false, &path, NULL), 0);
    assert_true(mr_slice_is(path.text, MR_SLICE("@")));
    assert_true(path.is_element);
}

static void sizes_are_bounded(void **state)
{
    char text[JSON_PATH_BYTES_MAX * 2];
    struct json_path path;
    size_t len = 1;
    (void)state;
    text[0] = '$';
    for (unsigned i = 0; i < JSON_PATH_STEPS_MAX; i++) {
        memcpy(text + len, "[0]", 3);
        len += 3;
    }
    assert_int_equal(json_path_parse(mr_slice(text, len), false, &path, NULL), 0);
    memcpy(text + len, "[0]", 3);
    assert_int_equal(json_path_parse(mr_slice(text, len + 3), false, &path, NULL), MR_ELIMIT);
    memset(text, 'a', sizeof text);
    text[0] = '$';
    text[1] = '.';
    assert_int_equal(json_path_parse(mr_slice(text, JSON_PATH_BYTES_MAX), false, &path, NULL), 0);
    assert_int_equal(path.steps[0].name_len, JSON_PATH_BYTES_MAX - 2);
    assert_int_equal(json_path_parse(mr_slice(text, JSON_PATH_BYTES_MAX + 1), false, &path, NULL),
                     MR_ELIMIT);
    memset(text, '"', sizeof text);
    memcpy(text, "$['", 3);
    memcpy(text + JSON_PATH_BYTES_MAX - 2, "']", 2);
    assert_int_equal(json_path_parse(mr_slice(text, JSON_PATH_BYTES_MAX), false, &path, NULL), 0);
    assert_int_equal(path.steps[0].name_len, JSON_PATH_BYTES_MAX - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_of_the_rfc),
        cmocka_unit_test(what_selects_more_or_nothing_is_refused),
        cmocka_unit_test(a_path_ends_at_a_blank),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

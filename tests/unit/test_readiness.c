// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/readiness.h"

static int changes;
static bool last;

static void on_change(struct readiness *readiness, void *user)
{
    assert_ptr_equal(user, &changes);
    changes++;
    last = readiness_is_ready(readiness);
}

static void begin(struct readiness *readiness)
{
    readiness_init(readiness);
    readiness->on_change = on_change;
    readiness->user = &changes;
    changes = 0;
    last = false;
}

static void assert_reasons(const struct readiness *readiness, const char *expected)
{
    struct mr_buf out;
    buf_init(&out, 16 * 1024);
    assert_int_equal(readiness_write(readiness, &out), 0);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(buf_slice(&out).ptr, expected, out.len);
    buf_done(&out);
}

static void test_ready_when_all_conditions_hold(void **state)
{
    struct readiness r;
    (void)state;
    begin(&r);
    readiness_set(&r, "kafka", false, "%s: %s", "127.0.0.1:9092", "Connection refused");
    readiness_set(&r, "topic", false, "not looked for");
    assert_false(readiness_is_ready(&r));
    assert_reasons(&r, "kafka: 127.0.0.1:9092: Connection refused\ntopic: not looked for\n");
    readiness_set(&r, "kafka", true, "ignored");
    assert_reasons(&r, "topic: not looked for\n");
    assert_int_equal(changes, 0);
    readiness_set(&r, "topic", true, "ignored");
    assert_true(readiness_is_ready(&r));
    assert_reasons(&r, "");
    assert_int_equal(changes, 1);
    assert_true(last);
}

static void test_each_change_of_the_whole_is_told_once(void **state)
{
    struct readiness r;
    (void)state;
    begin(&r);
    readiness_set(&r, "a", true, "ignored");
    readiness_set(&r, "a", true, "ignored");
    assert_int_equal(changes, 1);
    readiness_set(&r, "b", false, "one");
    readiness_set(&r, "b", false, "two");
    readiness_set(&r, "a", false, "three");
    assert_int_equal(changes, 2);
    assert_false(last);
    assert_reasons(&r, "a: three\nb: two\n");
}

static void test_a_reason_is_one_line_and_bounded(void **state)
{
    struct readiness r;
    char longer[READINESS_REASON_BYTES * 2];
    (void)state;
    begin(&r);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    readiness_set(&r, "a", false, "one\ntwo\r\n%s", longer);
    assert_int_equal(strlen(r.conditions[0].reason), READINESS_REASON_BYTES - 1);
    assert_memory_equal(r.conditions[0].reason, "one two  xxx", 12);
}

static void test_too_many_conditions_are_never_ready(void **state)
{
    static char names[READINESS_CONDITIONS_MAX + 4][8];
    struct readiness r;
    (void)state;
    begin(&r);
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        (void)snprintf(names[i], sizeof names[i], "c%zu", i);
        readiness_set(&r, names[i], true, "ignored");
    }
    assert_int_equal(r.count, READINESS_CONDITIONS_MAX);
    assert_false(readiness_is_ready(&r));
    assert_reasons(&r, "conditions: there are too many\n");
}

static void test_no_readiness_is_no_crash(void **state)
{
    (void)state;
    readiness_set(NULL, "kafka", true, "ignored");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_when_all_conditions_hold),
        cmocka_unit_test(test_each_change_of_the_whole_is_told_once),
        cmocka_unit_test(test_a_reason_is_one_line_and_bounded),
        cmocka_unit_test(test_too_many_conditions_are_never_ready),
        cmocka_unit_test(test_no_readiness_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

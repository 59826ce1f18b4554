// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <millrace/error.h>

static void test_context_climbs(void **state)
{
    struct mr_error err;
    (void)state;
    assert_int_equal(mr_error_set(&err, MR_ENET, "status %d", 401), MR_ENET);
    assert_false(err.retriable);
    assert_int_equal(mr_error_wrap(&err, "write %s", "/x"), MR_ENET);
    assert_int_equal(mr_error_wrap(&err, "influx"), MR_ENET);
    assert_string_equal(err.text, "influx: write /x: status 401");
    assert_int_equal(mr_error_retriable(&err), MR_ENET);
    assert_true(err.retriable);
}

static void test_out_of_memory_is_always_retriable(void **state)
{
    struct mr_error err;
    (void)state;
    assert_int_equal(mr_error_set(&err, MR_ENOMEM, "out of memory"), MR_ENOMEM);
    assert_true(err.retriable);
    assert_int_equal(mr_error_wrap(&err, "influx"), MR_ENOMEM);
    assert_true(err.retriable);
    assert_int_equal(mr_error_set(&err, MR_ELIMIT, "x"), MR_ELIMIT); /* the same struct again */
    assert_false(err.retriable);
}

static void test_long_texts_are_cut_and_terminated(void **state)
{
    struct mr_error err;
    char longer[2 * MR_ERROR_TEXT_BYTES];
    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)mr_error_set(&err, MR_EIO, "%s", longer);
    assert_int_equal(strlen(err.text), MR_ERROR_TEXT_BYTES - 1);
    (void)mr_error_wrap(&err, "%s", longer);
    assert_int_equal(strlen(err.text), MR_ERROR_TEXT_BYTES - 1);
    assert_int_equal(err.text[0], 'x');
}

static void test_a_null_error_only_loses_the_text(void **state)
{
    (void)state;
    assert_int_equal(mr_error_set(NULL, MR_ELIMIT, "x"), MR_ELIMIT);
    assert_int_equal(mr_error_wrap(NULL, "x"), MR_EINVAL);
    assert_string_equal(mr_code_text(MR_ELIMIT), "over a limit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_climbs),
        cmocka_unit_test(test_out_of_memory_is_always_retriable),
        cmocka_unit_test(test_long_texts_are_cut_and_terminated),
        cmocka_unit_test(test_a_null_error_only_loses_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

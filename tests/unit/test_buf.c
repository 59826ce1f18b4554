// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kit/buf.h"
#include "kit/mem.h"
#include "lib/heap.h"

static void test_bytes_come_out_as_they_went_in(void **state)
{
    struct mr_buf buf;
    (void)state;
    buf_init(&buf, 1000);
    assert_int_equal(buf_add_str(&buf, "ab"), 0);
    assert_int_equal(buf_add_char(&buf, '\0'), 0);
    assert_int_equal(buf_addf(&buf, "%d-%s", 42, "x"), 0);
    assert_true(mr_slice_is(buf_slice(&buf), MR_SLICE("ab\00042-x")));
    buf_done(&buf);
}

static void test_the_bound_is_exact_and_a_failure_stays(void **state)
{
    struct mr_buf buf;
    struct mr_error err;
    (void)state;
    buf_init(&buf, 300);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(buf_add_char(&buf, 'x'), 0);
    }
    assert_int_equal(buf_add_char(&buf, 'x'), MR_ELIMIT);
    assert_int_equal(buf_add(&buf, "", 0), MR_ELIMIT);
    assert_int_equal(buf.len, 300);
    assert_int_equal(buf_check(&buf, &err), MR_ELIMIT);
    assert_string_equal(err.text, "more than 300 bytes");
    buf_clear(&buf);
    assert_int_equal(buf_check(&buf, &err), 0);
    buf_done(&buf);
}

static void test_a_length_that_would_wrap_is_refused(void **state)
{
    struct mr_buf buf;
    (void)state;
    buf_init(&buf, 100);
    assert_int_equal(buf_add_char(&buf, 'x'), 0);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), MR_ELIMIT);
    buf_done(&buf);
}

static void test_out_of_memory_is_told_apart_and_retriable(void **state)
{
    struct mr_buf buf;
    struct mr_error err;
    (void)state;
    buf_init(&buf, 1000);
    heap_fail_at(1);
    assert_int_equal(buf_add_str(&buf, "x"), MR_ENOMEM);
    assert_int_equal(buf_check(&buf, &err), MR_ENOMEM);
    assert_true(err.retriable);
    buf_done(&buf);
    assert_int_equal(heap_alive(), 0);
    heap_restore();
}

static void test_take_hands_the_bytes_over(void **state)
{
    struct mr_buf buf;
    size_t len;
    char *bytes;
    (void)state;
    buf_init(&buf, 10);
    assert_int_equal(buf_add_str(&buf, "abc"), 0);
    bytes = buf_take(&buf, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "abc", 3);
    assert_int_equal(buf.len, 0);
    mem_free(bytes);
    assert_null(buf_take(&buf, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_out_as_they_went_in),
        cmocka_unit_test(test_the_bound_is_exact_and_a_failure_stays),
        cmocka_unit_test(test_a_length_that_would_wrap_is_refused),
        cmocka_unit_test(test_out_of_memory_is_told_apart_and_retriable),
        cmocka_unit_test(test_take_hands_the_bytes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

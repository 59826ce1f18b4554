// SPDX-License-Identifier: Apache-2.0
#include "lib/event_asserts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

void set_text(struct mr_event *event, const char *name, const char *value)
{
    struct mr_error err = {0};
    if (mr_event_set(event, mr_slice_of(name), mr_slice_of(value), &err) != 0) {
        fail_msg("%s", err.text);
    }
}

void assert_slice(struct mr_slice slice, const char *expected)
{
    if (slice.ptr == NULL || !mr_slice_is(slice, mr_slice_of(expected))) {
        fail_msg("\"%.*s\" is not \"%s\"", slice.ptr == NULL ? 0 : (int)slice.len,
                 slice.ptr == NULL ? "" : slice.ptr, expected);
    }
}

static void assert_same_attribute(const struct mr_attribute *a, const struct mr_attribute *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->boolean, b->boolean);
    assert_int_equal(a->integer, b->integer);
    assert_true(mr_slice_is(a->name, b->name));
    if (a->type == MR_VALUE_STRING || a->type == MR_VALUE_BINARY) {
        assert_true(mr_slice_is(a->bytes, b->bytes));
    }
}

void assert_same_event(const struct mr_event *a, const struct mr_event *b)
{
    assert_int_equal(mr_event_count(a), mr_event_count(b));
    for (size_t i = 0; i < mr_event_count(a); i++) {
        assert_same_attribute(mr_event_at(a, i), mr_event_at(b, i));
    }
    assert_int_equal(mr_event_data(a).ptr == NULL, mr_event_data(b).ptr == NULL);
    assert_true(mr_slice_is(mr_event_data(a), mr_event_data(b)));
}

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_FUZZ_EVENT_EQUAL_H
#define TESTS_FUZZ_EVENT_EQUAL_H

/* What the fuzz targets of the event formats share. */

#include <stdlib.h>

#include <millrace/event.h>

/* Stop here when `condition` doesn't hold, in every build. */
#define MUST(condition)     \
    do {                    \
        if (!(condition)) { \
            abort();        \
        }                   \
    } while (0)

static inline bool is_bytes(const struct mr_attribute *attribute)
{
    return attribute->type == MR_VALUE_STRING || attribute->type == MR_VALUE_BINARY;
}

/* The same attributes in the same order, and the same data. */
static inline void must_equal(const struct mr_event *a, const struct mr_event *b)
{
    MUST(mr_event_count(a) == mr_event_count(b));
    for (size_t i = 0; i < mr_event_count(a); i++) {
        const struct mr_attribute *one = mr_event_at(a, i);
        const struct mr_attribute *other = mr_event_at(b, i);
        MUST(mr_slice_is(one->name, other->name));
        MUST(one->type == other->type);
        MUST(one->type != MR_VALUE_BOOLEAN || one->boolean == other->boolean);
        MUST(one->type != MR_VALUE_INTEGER || one->integer == other->integer);
        MUST(!is_bytes(one) || mr_slice_is(one->bytes, other->bytes));
    }
    MUST((mr_event_data(a).ptr == NULL) == (mr_event_data(b).ptr == NULL));
    MUST(mr_slice_is(mr_event_data(a), mr_event_data(b)));
}

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_EVENT_ASSERTS_H
#define TESTS_LIB_EVENT_ASSERTS_H

/* What tests of events say again and again. Each fails the test with what it found. */

#include <millrace/event.h>

/* A string attribute. */
void set_text(struct mr_event *event, const char *name, const char *value);

/* Present, and these bytes. */
void assert_slice(struct mr_slice slice, const char *expected);

/* The same attributes in the same order, and the same data. */
void assert_same_event(const struct mr_event *a, const struct mr_event *b);

#endif

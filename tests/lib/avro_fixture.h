// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_AVRO_FIXTURE_H
#define TESTS_LIB_AVRO_FIXTURE_H

/* Two events and a buffer, for tests that write and read Avro. */

#include "event/format_avro.h"
#include "kit/buf.h"

struct avro_fixture {
    struct mr_event *event;
    struct mr_event *other;
    struct mr_buf out;
};

int avro_set_up(void **state);
int avro_tear_down(void **state);

/* Fails the test with what event_avro_decode() has against the bytes. */
void assert_decodes(struct mr_slice bytes, struct mr_event *event);

#endif

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/avro_fixture.h"

int avro_set_up(void **state)
{
    struct avro_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->event = mr_event_new();
    f->other = mr_event_new();
    buf_init(&f->out, 1 << 20);
    *state = f;
    return 0;
}

int avro_tear_down(void **state)
{
    struct avro_fixture *f = *state;
    mr_event_free(f->event);
    mr_event_free(f->other);
    buf_done(&f->out);
    free(f);
    return 0;
}

void assert_decodes(struct mr_slice bytes, struct mr_event *event)
{
    struct mr_error err = {0};
    if (event_avro_decode(bytes, event, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

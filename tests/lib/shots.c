// SPDX-License-Identifier: Apache-2.0
#include "lib/shots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

void shot_settled(struct mr_send *send, const struct mr_outcome *outcome)
{
    struct shot *shot = (struct shot *)(void *)send;
    shot->settled++;
    shot->kind = outcome->kind;
    shot->offset = outcome->offset;
    shot->partition = outcome->partition;
    shot->retry_after_ms = outcome->retry_after_ms;
    shot->too_large = outcome->too_large;
    (void)snprintf(shot->reason, sizeof shot->reason, "%s", outcome->reason);
    --*shot->left;
}

void shoot(struct fixture *f, struct shot *shot, size_t *left, unsigned key, struct mr_slice data)
{
    struct mr_event *event = mr_event_new();
    fill_event(event, "id-1", key, data);
    memset(shot, 0, sizeof *shot);
    shot->left = left;
    shot->send.on_settled = shot_settled;
    mr_send(f->port, &shot->send, event);
    assert_int_equal(shot->settled, 0); /* never from inside mr_send */
    mr_event_free(event);
}

struct shot shoot_one(struct fixture *f, struct mr_slice data)
{
    struct shot shot;
    size_t left = 1;
    shoot(f, &shot, &left, 1, data);
    fixture_run_until(f, is_zero, &left, SETTLE_MS);
    assert_int_equal(shot.settled, 1);
    return shot;
}

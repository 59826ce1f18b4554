// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BATCH_REPORT_H
#define BRIDGE_HTTP_BATCH_REPORT_H

/* How the answer to a batch says what became of its events. Pure. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/slice.h>

#include "bridge/http/batch_outcomes.h"
#include "kit/buf.h"

enum {
    BATCH_ID_BYTES_MAX = 1024,           /* a longer id is left out of the answer */
    BATCH_REPORT_LONG_BYTES = 64 * 1024, /* then events are told without id and reason */
};

/* The content of an answer other than 202: a problem with the members "stored" (their number) and
 * "events": {"index","id","outcome":"rejected|busy|unknown","reason"} for each that isn't, in
 * order; every event that isn't listed is stored. Append events from the first to the last. What
 * fails is left in `out`. */
struct batch_report {
    struct mr_buf *out;
    const struct batch_outcomes *outcomes;
    bool has_events;
};

/* Enough for `count` events. */
size_t batch_report_bytes_max(size_t count);

void batch_report_begin(struct batch_report *report, const struct batch_outcomes *outcomes,
                        struct mr_buf *out);
/* `id` may be absent. */
void batch_report_add(struct batch_report *report, size_t index, struct batch_mark mark,
                      struct mr_slice id);
void batch_report_end(struct batch_report *report);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_FORMAT_JSON_BATCH_H
#define EVENT_FORMAT_JSON_BATCH_H

/* The JSON batch format (CloudEvents 1.0.2 json-format.md, "4. JSON Batch Format"): an array of
 * events. It is taken apart one by one; each text is then for event_json_decode. Nothing is
 * allocated. */

#include <stdbool.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "event/json_scan.h"

#define EVENT_JSON_BATCH_MEDIA_TYPE "application/cloudevents-batch+json"

struct event_json_batch {
    struct json_scan scan;
    bool is_begun;
};

/* `bytes` must outlive the use of the batch. */
void event_json_batch_init(struct event_json_batch *batch, struct mr_slice bytes);

/* The text of the next event, which borrows the bytes; absent (ptr NULL) at the end, when nothing
 * follows the array. Errors, with line and column in the batch: MR_ENOTEVENT (no array, no JSON, an
 * element that is no object). */
int event_json_batch_next(struct event_json_batch *batch, struct mr_slice *ret_event,
                          struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "event/format_json_batch.h"

#include <stddef.h>

void event_json_batch_init(struct event_json_batch *batch, struct mr_slice bytes)
{
    json_scan_init(&batch->scan, bytes);
    batch->is_begun = false;
}

static int fail(const struct event_json_batch *batch, const char *what, struct mr_error *err)
{
    size_t line;
    size_t column;
    json_scan_position(&batch->scan, &line, &column);
    return mr_error_set(err, MR_ENOTEVENT, "json: line %zu, column %zu: %s", line, column, what);
}

/* `token` was the first of a value: go to its end. */
static enum json_token skip_rest(struct json_scan *scan, enum json_token token, unsigned depth)
{
    while (token != JSON_SCAN_ERROR && scan->depth > depth) {
        token = json_scan_next(scan);
    }
    return token;
}

int event_json_batch_next(struct event_json_batch *batch, struct mr_slice *ret_event,
                          struct mr_error *err)
{
    struct json_scan *scan = &batch->scan;
    enum json_token token = json_scan_next(scan);
    *ret_event = mr_slice(NULL, 0);
    if (!batch->is_begun && token != JSON_SCAN_ERROR) {
        if (token != JSON_SCAN_ARRAY_BEGIN) {
            return fail(batch, "expected an array of events", err);
        }
        batch->is_begun = true;
        token = json_scan_next(scan);
    }
    if (token == JSON_SCAN_ARRAY_END) {
        token = json_scan_next(scan);
    }
    if (token == JSON_SCAN_OBJECT_BEGIN) {
        const char *begin = scan->at - 1;
        token = skip_rest(scan, token, scan->depth - 1);
        *ret_event = mr_slice(begin, (size_t)(scan->at - begin));
    } else if (token != JSON_SCAN_END && token != JSON_SCAN_ERROR) {
        return fail(batch, "expected an event, which is an object", err);
    }
    if (token == JSON_SCAN_ERROR) {
        *ret_event = mr_slice(NULL, 0);
        return fail(batch, scan->error, err);
    }
    return 0;
}

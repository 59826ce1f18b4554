// SPDX-License-Identifier: Apache-2.0
#include "cli/dead_filter.h"

#include "event/timestamp.h"

enum { NS_PER_MS = 1000000 };

void dead_filter_init(struct dead_filter *filter)
{
    *filter = (struct dead_filter){.since_ms = INT64_MIN, .until_ms = INT64_MAX, .partition = -1};
}

int dead_filter_time(const char *text, int64_t *ret_ms, struct mr_error *err)
{
    int64_t ns;
    int rc;
    if (text == NULL) {
        return 0;
    }
    rc = timestamp_parse(mr_slice_of(text), &ns, err);
    if (rc != 0) {
        (void)mr_error_set(err, MR_EFORMAT,
                           "expected a moment such as 2026-01-31T12:00:00Z (RFC 3339)");
        return MR_EFORMAT;
    }
    *ret_ms = ns / NS_PER_MS;
    return 0;
}

int dead_filter_place(struct dead_filter *filter, const char *text, struct mr_error *err)
{
    if (text == NULL) {
        return 0;
    }
    if (!dead_place_parse(mr_slice_of(text), &filter->partition, &filter->first, &filter->last)) {
        return mr_error_set(
            err, MR_EFORMAT,
            "expected PARTITION:OFFSET or PARTITION:FIRST-LAST of the dead-letter topic");
    }
    return 0;
}

/* What is missing is not what was asked for, not even if that is empty. */
static bool takes(struct mr_slice wanted, struct mr_slice is)
{
    return wanted.ptr == NULL || (is.ptr != NULL && mr_slice_is(wanted, is));
}

bool dead_filter_takes(const struct dead_filter *filter, const struct dead_view *view,
                       const struct dead_who *who, int32_t partition, int64_t offset)
{
    if (filter->partition >= 0 &&
        (partition != filter->partition || offset < filter->first || offset > filter->last)) {
        return false;
    }
    return takes(filter->reason, view->reason) && takes(filter->topic, view->topic) &&
           takes(filter->application, who->application) && takes(filter->device, who->device) &&
           view->died_ms >= filter->since_ms && view->died_ms < filter->until_ms;
}

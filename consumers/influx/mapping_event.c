// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/mapping_event.h"

#include "consumers/influx/mapping_values.h"
#include "event/check.h"
#include "event/timestamp.h"

enum { NS_PER_MS = 1000000 };

int mapping_event_time(const struct mr_event *event, int64_t record_ms, int64_t *ret_ns,
                       struct mr_error *err)
{
    struct mr_slice time = mr_event_string(event, "time");
    int64_t ns;
    if (time.ptr != NULL) {
        int rc = timestamp_parse(time, &ns, err);
        if (rc != 0) {
            (void)mr_error_wrap(err, "time %.*s", MR_SLICE_ARG(time));
            return rc;
        }
    } else if (record_ms < 0 || record_ms > INT64_MAX / NS_PER_MS) {
        return mr_error_set(err, MR_EFORMAT, "neither the event nor its record has a usable time");
    } else {
        ns = record_ms * NS_PER_MS;
    }
    return mapping_check_time(ns, ret_ns, err);
}

int mapping_event_check_data(const struct mr_event *event, struct mr_error *err)
{
    struct mr_slice type = mr_event_string(event, "datacontenttype");
    if (mr_event_data(event).ptr == NULL) {
        return mr_error_set(err, MR_EFORMAT, "the event has no data, expected JSON");
    }
    if (type.ptr != NULL && !mr_slice_is(type, MR_SLICE("application/json")) &&
        !check_media_type_is_json(type)) {
        return mr_error_set(err, MR_EFORMAT, "the data is %.*s, expected a JSON type",
                            MR_SLICE_ARG(type));
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* What every bridge's events have in common. */
#include <assert.h>
#include <string.h>

#include <millrace/event.h>

#include "event/percent.h"
#include "event/timestamp.h"
#include "event/uuid7.h"
#include "kit/clock.h"

enum { SOURCE_BYTES_MAX = 8 * 1024, NS_IN_MS = 1000000 };

static int set_source(struct mr_event *event, struct mr_slice application, struct mr_slice device,
                      struct mr_error *err)
{
    struct mr_buf source;
    int rc;
    buf_init(&source, SOURCE_BYTES_MAX);
    (void)buf_add_char(&source, '/');
    (void)percent_encode(application, &source);
    (void)buf_add_char(&source, '/');
    (void)percent_encode(device, &source);
    rc = buf_check(&source, err);
    if (rc == 0) {
        rc = mr_event_set(event, MR_SLICE("source"), buf_slice(&source), err);
    }
    buf_done(&source);
    return rc;
}

/* An extension may be empty, what a device is called by may not. */
static int set_name(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                    struct mr_error *err)
{
    if (value.len == 0) {
        return mr_error_set(err, MR_EFORMAT, "attribute %.*s: must not be empty",
                            MR_SLICE_ARG(name));
    }
    return mr_event_set(event, name, value, err);
}

int mr_event_from_device(struct mr_event *event, struct mr_slice application,
                         struct mr_slice device, struct mr_slice channel, struct mr_error *err)
{
    int rc = set_name(event, MR_SLICE("application"), application, err);
    if (rc == 0) {
        rc = set_name(event, MR_SLICE("device"), device, err);
    }
    if (rc == 0) {
        rc = set_name(event, MR_SLICE("subject"), channel, err);
    }
    return rc == 0 ? set_source(event, application, device, err) : rc;
}

static int set_if_missing(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                          struct mr_error *err)
{
    return mr_event_find(event, name) != NULL ? 0 : mr_event_set(event, name, value, err);
}

static int complete_id(struct mr_event *event, int64_t ns, struct mr_error *err)
{
    static _Thread_local struct uuid7 ids;
    static _Thread_local bool ids_ready;
    char text[UUID7_BYTES];

    if (mr_event_find(event, MR_SLICE("id")) != NULL) {
        return 0;
    }
    if (!ids_ready) {
        uuid7_init(&ids);
        ids_ready = true;
    }
    uuid7_next(&ids, (uint64_t)(ns / NS_IN_MS), text);
    return mr_event_set(event, MR_SLICE("id"), mr_slice(text, UUID7_BYTES - 1), err);
}

int mr_event_complete(struct mr_event *event, struct mr_error *err)
{
    char time[TIMESTAMP_BYTES];
    int64_t ns = clock_wall_ns();
    int rc = complete_id(event, ns, err);
    if (rc == 0 && mr_event_find(event, MR_SLICE("time")) == NULL) {
        int len = timestamp_format(ns, time);
        rc = mr_event_set(event, MR_SLICE("time"), mr_slice(time, (size_t)len), err);
    }
    if (rc == 0) {
        rc = set_if_missing(event, MR_SLICE("type"), MR_SLICE(MR_EVENT_TYPE), err);
    }
    if (rc == 0) {
        rc = set_if_missing(event, MR_SLICE("specversion"), MR_SLICE("1.0"), err);
    }
    return rc == 0 ? mr_event_check(event, err) : rc;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_EVENT_H
#define INFLUX_MAPPING_EVENT_H

/* What every mapping asks of an event: its time, and data that can be read. Pure. */

#include <stdint.h>

#include <millrace/error.h>
#include <millrace/event.h>

/* The event's own time: the attribute `time`, else the record's. Errors: MR_EFORMAT, MR_ELIMIT. */
int mapping_event_time(const struct mr_event *event, int64_t record_ms, int64_t *ret_ns,
                       struct mr_error *err);

/* The data is there and of a JSON type. Errors: MR_EFORMAT. */
int mapping_event_check_data(const struct mr_event *event, struct mr_error *err);

#endif

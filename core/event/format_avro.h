// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_FORMAT_AVRO_H
#define EVENT_FORMAT_AVRO_H

/* The Avro event format (CloudEvents 1.0.2 avro-format.md), schemas/cloudevent.avsc: record
 * io.cloudevents.CloudEvent { map<union{null,boolean,int,string,bytes}> attribute, union data }.
 * Encoded by hand to the bytes that avro-c writes (one map block with its count; data always the
 * `bytes` branch, or `null` without data). */

#include <millrace/event.h>

#include "kit/buf.h"

#define EVENT_AVRO_MEDIA_TYPE "application/cloudevents+avro"

enum { EVENT_AVRO_DEPTH_MAX = 64 }; /* nesting of the data branches that are not bytes */

/* Append the event. Errors: MR_ENOTEVENT (mr_event_check fails), as buf_add (MR_ENOMEM,
 * MR_ELIMIT); `out` is as before then, but for buf_add's mark. */
int event_avro_encode(const struct mr_event *event, struct mr_buf *out, struct mr_error *err);

/* Decode one event into `event`, which is cleared first; its strings and data borrow `bytes`. A
 * Confluent frame (0x00 and a 4-byte schema id) before it is stepped over: an Avro CloudEvent can't
 * begin with 0x00. An attribute that is null is absent. Map blocks with negative counts and sizes
 * are read.
 *
 * Data of the branches boolean, map, array, double and string is a JSON value (avro-format.md 3)
 * and becomes its JSON text; datacontenttype is then set to application/json if the event has
 * none. A string that has a datacontenttype other than JSON is its own text (as in the JSON
 * format). A CloudEventData record stands for the object of its `value`. null is no data.
 *
 * Memory, time and stack are bounded by bytes.len whatever the bytes say.
 * Errors: MR_ENOTEVENT (the text says what, and at which byte; also if mr_event_check fails),
 * MR_ELIMIT, MR_ENOMEM. The event holds a part of the attributes then. */
int event_avro_decode(struct mr_slice bytes, struct mr_event *event, struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_CONTENT_MODE_H
#define EVENT_CONTENT_MODE_H

/* How a content type says that the content is an event (CloudEvents 1.0.2, HTTP binding 3, MQTT
 * binding 3): what all bridges share. Pure. */

#include <millrace/slice.h>

#define EVENT_MEDIA_TYPE_PREFIX "application/cloudevents"
#define EVENT_JSON_MEDIA_TYPE   "application/cloudevents+json"

enum content_mode {
    CONTENT_DATA, /* it is data: of an event in binary mode, or of none */
    CONTENT_JSON,
    CONTENT_AVRO,
    CONTENT_BATCH,
    CONTENT_UNKNOWN, /* another application/cloudevents... */
};

/* Parameters, such as charset=utf-8, change nothing: JSON is UTF-8 (RFC 8259 8.1). `type` may be
 * absent. */
enum content_mode content_mode_of(struct mr_slice type);

#endif

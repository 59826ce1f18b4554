// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_DEAD_MESSAGE_H
#define MQTT_DEAD_MESSAGE_H

/* A message that can't become an event, or that Kafka finds too large, as a record for the
 * dead-letter topic. Pure.
 *     key    the MQTT topic
 *     value  the payload
 *     headers, each only if it is known:
 *         content-type            the content type, as the Kafka binding has it: so a CloudEvent in
 *                                 structured mode that no route took is one when it is replayed
 *         mqtt_topic, mqtt_qos (0 to 2), mqtt_retain (true, false), mqtt_response_topic,
 *         mqtt_correlation_data (its bytes), mqtt_payload_format (0: bytes, 1: UTF-8),
 *         mqtt_message_expiry (seconds, what was left of it)
 *         mqtt_property_NAME      each user property, in their order
 *     millrace_dead_*             kafka/dead_letters.h: the reason, where a replay would send it
 *                                 (_topic), when it came (_timestamp), and what is left out
 */

#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>

#include "bridge/mqtt/message.h"
#include "kafka/dead_letters.h"

/* Codes of millrace_dead_reason, besides those of mqtt_event_reason. */
#define DEAD_MESSAGE_NO_ROUTE     "no-route"
#define DEAD_MESSAGE_NOT_AN_EVENT "not-an-event"
#define DEAD_MESSAGE_TOO_LARGE    "too-large"

enum { DEAD_MESSAGE_HEADERS_MAX = 8 + MQTT_USER_PROPERTIES_MAX };

struct dead_message {
    const struct mqtt_message *message;
    const char *reason;
    const char *text;
    const char *kafka_topic; /* of its route, or the default one */
    int64_t came_ms;         /* wall clock */
};

/* Memory of one record; reusable. */
struct dead_message_writer {
    struct dead_writer letter;
    struct mr_buf texts; /* names of headers, and numbers */
    struct kafka_header headers[DEAD_MESSAGE_HEADERS_MAX];
    size_t header_count;
};

void dead_message_writer_init(struct dead_message_writer *writer);
void dead_message_writer_done(struct dead_message_writer *writer);

/* `bytes_max`: see dead_letter_write, which cuts what is over it. `ret_record` borrows from `dead`,
 * its message and `writer`. Errors: MR_ENOMEM. */
int dead_message_write(const struct dead_message *dead, size_t bytes_max,
                       struct dead_message_writer *writer, struct kafka_record *ret_record,
                       struct mr_error *err);

#endif

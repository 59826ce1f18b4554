// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_MESSAGE_H
#define KAFKA_KAFKA_MESSAGE_H

/* From librdkafka's message to a record, with all its headers: whoever reads a topic reads the same
 * in a message. */

#include <librdkafka/rdkafka.h>

#include <millrace/error.h>

#include "event/kafka_binding.h"

/* Memory for the headers of one record at a time. All zero at first; use it again and again. */
struct kafka_message_headers {
    struct kafka_header *rows;
    size_t capacity; /* at most about twice what a message that Kafka took can hold */
};
void kafka_message_headers_done(struct kafka_message_headers *headers);

/* The record borrows from the message and, until the next call, from `headers`. Errors: MR_ENOMEM.
 */
int kafka_message_record(const rd_kafka_message_t *message, struct kafka_message_headers *headers,
                         struct kafka_record *ret_record, struct mr_error *err);

/* What the headers take in memory: as they came, and as librdkafka keeps them apart from then on.
 */
size_t kafka_message_header_bytes(const rd_kafka_message_t *message);

/* A record with bytes of its own, in one block, to be freed with mem_free: librdkafka's message
 * holds the whole answer to a fetch. Errors: NULL when out of memory. */
struct kafka_record *kafka_record_copy(const struct kafka_record *record);

#endif

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

/* Headers with bytes of their own: `to` is aligned for any type and has room for
 * kafka_headers_size(record). Key and value stay borrowed. */
size_t kafka_headers_size(const struct kafka_record *record);
void kafka_headers_move(struct kafka_record *record, void *to);

/* Give back what librdkafka keeps of the message's headers once they were asked for: a block of
 * memory each. From then on the message has none. */
void kafka_message_drop_headers(const rd_kafka_message_t *message);

/* A record with bytes of its own, in one block, to be freed with mem_free: librdkafka's message
 * holds the whole answer to a fetch. Errors: NULL when out of memory. */
struct kafka_record *kafka_record_copy(const struct kafka_record *record);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_KAFKA_BINDING_H
#define EVENT_KAFKA_BINDING_H

/* The Kafka protocol binding (CloudEvents 1.0.2 kafka-protocol-binding.md): an event to and from a
 * record's key, value and headers. Pure; knows no Kafka library. */

#include <millrace/event.h>

#include "kit/buf.h"

enum event_encoding {
    EVENT_ENCODING_AVRO, /* structured, with the attributes mirrored as ce_* headers: the default */
    EVENT_ENCODING_BINARY, /* ce_* headers and content-type; the value is the data */
};

enum { KAFKA_HEADERS_MAX = MR_EVENT_ATTRIBUTES_MAX + 1 };

struct kafka_header {
    const char *name;      /* terminated */
    struct mr_slice value; /* ptr NULL: a null header */
};

/* A record as it goes to or comes from Kafka. Everything is borrowed. */
struct kafka_record {
    struct mr_slice key;   /* ptr NULL: no key */
    struct mr_slice value; /* ptr NULL: a null value */
    const struct kafka_header *headers;
    size_t header_count;
};

/* Owns the memory of one record while it is written; use it again and again. */
struct kafka_writer {
    struct mr_buf value;
    struct mr_buf key;
    struct mr_buf texts; /* "ce_time\0ce_id\0...", and the values that are no strings, as text */
    struct kafka_header headers[KAFKA_HEADERS_MAX];
};

void kafka_writer_init(struct kafka_writer *writer, size_t value_bytes_max);
void kafka_writer_done(struct kafka_writer *writer);

/* Write `event` (which must pass mr_event_check) as a record that borrows from `writer` and
 * `event`. Key: `partitionkey`, else application/device with each part percent-encoded (if both are
 * there), else `source`, so that order is kept for whoever sends; empty ones count as missing.
 * EVENT_ENCODING_BINARY falls back to Avro for data of type application/cloudevents*, which readers
 * would take for structured mode, and for an event without data (its null value would be a
 * tombstone). Header names are ce_<name> (Kafka binding 3.2.3.1); datacontenttype is `content-type`
 * in binary mode and ce_datacontenttype beside a structured value. Errors: MR_ENOTEVENT, MR_ELIMIT,
 * MR_ENOMEM. */
int kafka_binding_write(const struct mr_event *event, enum event_encoding encoding,
                        struct kafka_writer *writer, struct kafka_record *ret_record,
                        struct mr_error *err);

/* Read a record into `event`, which is cleared first and borrows from the record. Header names are
 * matched without regard to case; a null header is as good as none. `content-type:
 * application/cloudevents...` means structured: +avro, +json (or no suffix: JSON); ce_* headers are
 * then ignored. Otherwise ce_specversion means binary; ce_datacontenttype then counts only without
 * a content-type. The same header twice: the last counts. Errors: MR_ETOMBSTONE (null value,
 * whatever the headers), MR_ENOTEVENT (the text says why: neither mode, an unknown format, a
 * missing attribute, ...), MR_ELIMIT, MR_ENOMEM. */
int kafka_binding_read(const struct kafka_record *record, struct mr_event *event,
                       struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_LETTER_H
#define CLI_DEAD_LETTER_H

/* A record of a dead-letter topic, read: the other side of kafka/dead_letters.h. Pure.
 *
 * There are two kinds. A letter has the header millrace_dead_reason. A mark (cli/dead_mark.h) has
 * none, but the header millrace_dead_settled.
 *
 * Nothing in a record is to be trusted: whoever may write to the topic may write anything. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/event.h>

#include "event/kafka_binding.h"
#include "kafka/dead_letters.h"
#include "kit/buf.h"

#define DEAD_SETTLED    DEAD_PREFIX "settled" /* the header that makes a mark */
#define DEAD_MQTT_TOPIC "mqtt_topic"          /* of what millrace-mqtt could make no event of */

enum dead_kind { DEAD_KIND_LETTER, DEAD_KIND_MARK, DEAD_KIND_OTHER };

/* Borrowed from the record. Texts may hold any bytes; ptr NULL: missing. Numbers: -1 if missing or
 * no decimal number of 63 bits. */
struct dead_view {
    struct mr_slice reason;
    struct mr_slice text;
    struct mr_slice topic;
    struct mr_slice group;
    struct mr_slice server;
    struct mr_slice first;
    struct mr_slice last;
    struct mr_slice sha256;
    int64_t partition;
    int64_t offset;
    int64_t timestamp_ms;
    int64_t attempts;
    int64_t size;    /* of the whole value */
    int64_t replays; /* 0: missing; INT64_MAX: no number, so that nothing is replayed for ever */
    int64_t died_ms; /* `last`, or the time of the record */
    bool is_whole;   /* nothing was cut or left out */
};

/* The value of the last header of this name, as for whoever reads an event. ptr NULL: null, or
 * there is none. */
struct mr_slice dead_header(const struct kafka_record *record, const char *name);

enum dead_kind dead_view_read(const struct kafka_record *record, int64_t record_ms,
                              struct dead_view *ret_view);

/* "P:O" or "P:FIRST-LAST": a partition and offsets in it. False: it is neither. */
bool dead_place_parse(struct mr_slice text, int64_t *ret_partition, int64_t *ret_first,
                      int64_t *ret_last);

/* --- who sent it --- */

enum { DEAD_WHO_BYTES_MAX = 16 * 1024 };

struct dead_who {
    struct mr_buf decoded;
    struct mr_slice application; /* ptr NULL: not known */
    struct mr_slice device;
};
void dead_who_init(struct dead_who *who);
void dead_who_done(struct dead_who *who);

/* The event's `application` and `device`; else the headers ce_application and ce_device; else the
 * key, taken apart as APPLICATION/DEVICE if it is that, as the device otherwise. Of a message that
 * millrace-mqtt gave up, the user properties, else its MQTT topic as the device. `event` NULL: the
 * value is none. Borrows from all of them. Errors: MR_ENOMEM. */
int dead_who_read(const struct kafka_record *record, const struct mr_event *event,
                  struct dead_who *who, struct mr_error *err);

/* --- what becomes of it --- */

struct dead_restored {
    char replays[24];
    struct kafka_header headers[DEAD_HEADERS_MAX + 1];
};

/* The record as it was before it died, with millrace_dead_replays = `replays`, which a worker keeps
 * if it dies again. Borrows from `record` and `restored`. Errors: MR_ELIMIT (more headers than any
 * letter has). */
int dead_letter_restore(const struct kafka_record *record, int64_t replays,
                        struct dead_restored *restored, struct kafka_record *ret_record,
                        struct mr_error *err);

#endif

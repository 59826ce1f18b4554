// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_DEAD_LETTERS_H
#define KAFKA_DEAD_LETTERS_H

/* What becomes of a record that can never succeed: the same key, value and headers in the
 * dead-letter topic, plus millrace_dead_* headers that say why and where from. Pure: it makes the
 * record; the worker loop sends it with producer_send_record and settles the original when that is
 * MR_STORED. A bridge that has to give up what a device sent does the same, beginning with
 * DEAD_LETTER_INIT: what it doesn't know (topic, partition, offset, ...) is left out. */

#include <millrace/error.h>

#include "event/kafka_binding.h"
#include "kit/buf.h"

enum {
    DEAD_HEADERS_MAX = 256, /* original and ours; what is beyond is left out, counted in _text */
    DEAD_TEXT_BYTES_MAX = 4096, /* of each text of ours; cut, never inside a UTF-8 sequence */
    DEAD_HEADER_OVERHEAD = 10,  /* bytes counted for a header besides its name and value */
    DEAD_BYTES_MIN = 32 * 1024, /* of bytes_max; so that our own headers always fit */
};

/* What is unknown is NULL or -1, and has no header then; `attempts` 0 is unknown too. */
struct dead_letter {
    struct kafka_record original;
    const char *reason; /* code: "not-an-event", "mapping", ... */
    const char *text;
    const char *topic; /* where the record was; for a bridge's, where a replay would send it */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* of the original record */
    const char *group;
    unsigned attempts;
    int64_t first_ms; /* wall clock of the first and the last attempt */
    int64_t last_ms;
    const char *server; /* the sink's own words */
};

/* Nothing is known yet. */
#define DEAD_LETTER_INIT                                                                  \
    {                                                                                     \
        .partition = -1, .offset = -1, .timestamp_ms = -1, .first_ms = -1, .last_ms = -1, \
    }

#define DEAD_PREFIX "millrace_dead_" /* of the names of all our headers */

/* Memory of one dead letter; reusable. */
struct dead_writer {
    struct mr_buf text; /* values of our headers */
    struct kafka_header headers[DEAD_HEADERS_MAX];
};

void dead_writer_init(struct dead_writer *writer);
void dead_writer_done(struct dead_writer *writer);

/* `bytes_max` (at least DEAD_BYTES_MIN) bounds key + value + headers (the producer's
 * message.max.bytes less the protocol's overhead): a value over it is cut; where even that isn't
 * enough, original headers (from the last) and the key are left out, and _text says so. A letter
 * that is not whole has millrace_dead_size (bytes) and millrace_dead_sha256 (lower-case hex) of the
 * whole value. Numbers are decimal, millrace_dead_timestamp is in ms, millrace_dead_first and _last
 * are RFC 3339. The original headers come first, in their order, but for old millrace_dead_*
 * headers, which are replaced; only _replays is kept. `ret_record` borrows from `letter` and
 * `writer`. Errors: MR_ENOMEM. */
int dead_letter_write(const struct dead_letter *letter, size_t bytes_max,
                      struct dead_writer *writer, struct kafka_record *ret_record,
                      struct mr_error *err);

#endif

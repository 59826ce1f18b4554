// SPDX-License-Identifier: Apache-2.0
#include "cli/dead_mark.h"

#include <inttypes.h>
#include <stdio.h>

#define LETTER DEAD_PREFIX "letter"

void dead_mark_write(const char *outcome, int32_t partition, int64_t offset, struct dead_mark *mark,
                     struct kafka_record *ret_record)
{
    struct mr_slice place;
    (void)snprintf(mark->key, sizeof mark->key, LETTER "/%" PRId32 ":%" PRId64, partition, offset);
    place = mr_slice_of(mark->key + sizeof LETTER); /* behind the slash */
    mark->headers[0] = (struct kafka_header){.name = DEAD_SETTLED, .value = mr_slice_of(outcome)};
    mark->headers[1] = (struct kafka_header){.name = LETTER, .value = place};
    /* A key of its own, and a value: where the topic is compacted, neither another record nor the
     * mark itself is taken for out of date. */
    *ret_record = (struct kafka_record){.key = mr_slice_of(mark->key),
                                        .value = mr_slice_of(outcome),
                                        .headers = mark->headers,
                                        .header_count = 2};
}

bool dead_mark_read(const struct kafka_record *record, int32_t partition, int64_t offset,
                    int64_t *ret_letter)
{
    int64_t of, first, last;
    if (!dead_place_parse(dead_header(record, LETTER), &of, &first, &last) || of != partition ||
        first != last || first >= offset) {
        return false;
    }
    *ret_letter = first;
    return true;
}

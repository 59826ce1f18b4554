// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_ATTEMPT_TABLE_H
#define KAFKA_ATTEMPT_TABLE_H

/* Which attempt of which record comes next or is under way, and its text: the metadata of a
 * commit, from which the next member of the group knows what was tried before it. Pure.
 *
 *     text    = "mr1" SP base 1*( SP gap [ "-" more ] ":" attempt )
 *     base    = the committed offset
 *     gap     = the record's offset, less `base` (the first) or less the one before it (1 or more)
 *     more    = 1 to 99: so many offsets that follow it have the same attempt
 *     attempt = 2 to 1000000: the one that may have begun; all before it have failed
 *             | 0: the record had failed, and is settled, behind one that is not
 *
 * Numbers are decimal, without leading zeros. "mr1 1000 0:3 17-2:2": the third attempt of 1000 and
 * the second of 1017, 1018 and 1019. A table without entries has no text. What another version or
 * program wrote there is no table; readers go on without one. 128 entries are at most 3,991 bytes,
 * and so always fit into what a broker takes (offset.metadata.max.bytes, 4,096 unless configured).
 * Offsets run from 0 to INT64_MAX - 1. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum {
    ATTEMPT_TABLE_MAX = 128,
    ATTEMPT_MORE_MAX = 99,
    ATTEMPT_TABLE_BYTES = 3991 + 1, /* the longest text and its terminator */
    ATTEMPT_NUMBER_MAX = 1000000,
    ATTEMPT_SETTLED = 0,
};

struct attempt_table {
    size_t count;
    struct attempt_entry {
        int64_t offset;
        int64_t last; /* the same, or the last of those that follow it */
        unsigned attempt;
    } entries[ATTEMPT_TABLE_MAX]; /* ascending */
};

/* Enter `offset`, or change its attempt. Returns false, and nothing has changed, if that needs an
 * entry more than there are. */
bool attempt_table_set(struct attempt_table *table, int64_t offset, unsigned attempt);

/* Enter those of `other` for which there is a place, the lowest first. */
void attempt_table_add(struct attempt_table *table, const struct attempt_table *other);

/* Returns false if `offset` has no entry. */
bool attempt_table_find(const struct attempt_table *table, int64_t offset, unsigned *ret_attempt);

/* Remove the offsets above `above` up to and with `offset`. If that cuts an entry in two for which
 * there is one place, what lies behind is removed too. */
void attempt_table_remove(struct attempt_table *table, int64_t above, int64_t offset);

/* Remove the last entry, for the sake of `offset`, which is lower. Returns false if there is
 * none. */
bool attempt_table_drop(struct attempt_table *table, int64_t offset);

/* The text of the offsets from `base` on. Returns its length, 0 if there are none. */
size_t attempt_table_write(const struct attempt_table *table, int64_t base,
                           char ret_text[ATTEMPT_TABLE_BYTES]);

/* Read what was committed with the offset `base`; no bytes are an empty table. Errors: MR_EFORMAT,
 * and the table is empty. */
int attempt_table_read(struct mr_slice text, int64_t base, struct attempt_table *ret_table,
                       struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_TALLY_H
#define CLI_DEAD_TALLY_H

/* Counts dead letters by some of their texts, and prints the counts in order. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum {
    TALLY_COLUMNS_MAX = 4,
    TALLY_ROWS_MAX = 10000,     /* what is beyond is counted in one row, "(others)" */
    TALLY_TEXT_BYTES_MAX = 256, /* what is longer is cut */
};

struct tally_row;

struct tally {
    const char *const *columns; /* their names */
    size_t column_count;        /* at most TALLY_COLUMNS_MAX */
    struct tally_row *rows;     /* in the order of their texts */
    size_t count;
    size_t capacity;
    uint64_t total;
};

void tally_init(struct tally *tally, const char *const *columns, size_t column_count);
void tally_done(struct tally *tally);

/* Count one letter; a text whose ptr is NULL is unknown. What may command a terminal is escaped.
 * Errors: MR_ENOMEM. */
int tally_add(struct tally *tally, const struct mr_slice *texts, int64_t died_ms,
              struct mr_error *err);

/* To standard output: with `json` a line a row, otherwise a table with its total. Errors:
 * MR_ENOMEM, MR_EIO (errno tells). */
int tally_print(const struct tally *tally, bool json, struct mr_error *err);

#endif

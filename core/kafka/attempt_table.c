// SPDX-License-Identifier: Apache-2.0
#include "kafka/attempt_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERSION "mr1"

enum {
    DIGITS = 19, /* of an offset */
    ENTRY_BYTES = 1 + DIGITS + 1 + 7,
};

_Static_assert(sizeof(VERSION) - 1 + 1 + DIGITS + ATTEMPT_TABLE_MAX * ENTRY_BYTES <
                   ATTEMPT_TABLE_BYTES,
               "the longest text fits");

/* The first entry at or above `offset`. */
static size_t find(const struct attempt_table *table, int64_t offset)
{
    size_t at = 0;
    while (at < table->count && table->entries[at].offset < offset) {
        at++;
    }
    return at;
}

bool attempt_table_set(struct attempt_table *table, int64_t offset, unsigned attempt)
{
    size_t at = find(table, offset);
    if (at == table->count || table->entries[at].offset != offset) {
        if (table->count == ATTEMPT_TABLE_MAX) {
            return false;
        }
        memmove(table->entries + at + 1, table->entries + at,
                (table->count - at) * sizeof(table->entries[0]));
        table->count++;
        table->entries[at].offset = offset;
    }
    table->entries[at].attempt = attempt;
    return true;
}

static void remove_entries(struct attempt_table *table, size_t from, size_t to)
{
    memmove(table->entries + from, table->entries + to,
            (table->count - to) * sizeof(table->entries[0]));
    table->count -= to - from;
}

bool attempt_table_find(const struct attempt_table *table, int64_t offset, unsigned *ret_attempt)
{
    size_t at = find(table, offset);
    if (at == table->count || table->entries[at].offset != offset) {
        return false;
    }
    *ret_attempt = table->entries[at].attempt;
    return true;
}

void attempt_table_remove(struct attempt_table *table, int64_t above, int64_t offset)
{
    remove_entries(table, find(table, above + 1), find(table, offset + 1));
}

bool attempt_table_drop(struct attempt_table *table, int64_t offset)
{
    size_t to = find(table, offset + 1);
    if (to == 0) {
        return false;
    }
    remove_entries(table, to - 1, to);
    return true;
}

size_t attempt_table_write(const struct attempt_table *table, int64_t base,
                           char ret_text[ATTEMPT_TABLE_BYTES])
{
    size_t at = find(table, base);
    int64_t before = base;
    int len;
    if (at == table->count) {
        return 0;
    }
    len = snprintf(ret_text, ATTEMPT_TABLE_BYTES, VERSION " %" PRId64, base);
    for (; at < table->count; at++) {
        const struct attempt_entry *entry = &table->entries[at];
        len += snprintf(ret_text + len, ATTEMPT_TABLE_BYTES - (size_t)len, " %" PRId64 ":%u",
                        entry->offset - before, entry->attempt);
        before = entry->offset;
    }
    return (size_t)len;
}

/* --- reading --- */

static bool skip(struct mr_slice *rest, const char *word)
{
    size_t len = strlen(word);
    if (rest->len < len || memcmp(rest->ptr, word, len) != 0) {
        return false;
    }
    *rest = mr_slice(rest->ptr + len, rest->len - len);
    return true;
}

static bool read_number(struct mr_slice *rest, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9') {
        int digit = rest->ptr[len] - '0';
        if (digit > max || number > (max - digit) / 10 || (len == 1 && number == 0)) {
            return false;
        }
        number = number * 10 + digit;
        len++;
    }
    *rest = mr_slice(rest->ptr + len, rest->len - len);
    *ret_number = number;
    return len > 0;
}

static bool read_entry(struct mr_slice *rest, int64_t before, struct attempt_table *table)
{
    struct attempt_entry *entry = &table->entries[table->count];
    int64_t gap;
    int64_t attempt;
    if (table->count == ATTEMPT_TABLE_MAX || !skip(rest, " ") ||
        !read_number(rest, INT64_MAX - 1 - before, &gap) || !skip(rest, ":") ||
        !read_number(rest, ATTEMPT_NUMBER_MAX, &attempt) || attempt == 1 ||
        (table->count > 0 && gap == 0)) {
        return false;
    }
    entry->offset = before + gap;
    entry->attempt = (unsigned)attempt;
    table->count++;
    return true;
}

int attempt_table_read(struct mr_slice text, int64_t base, struct attempt_table *ret_table,
                       struct mr_error *err)
{
    int64_t before;
    ret_table->count = 0;
    if (text.len == 0) {
        return 0;
    }
    if (!skip(&text, VERSION " ") || !read_number(&text, INT64_MAX - 1, &before)) {
        return mr_error_set(err, MR_EFORMAT, "not a table of attempts");
    }
    if (before != base) {
        return mr_error_set(err, MR_EFORMAT, "a table of attempts of another offset");
    }
    do {
        if (!read_entry(&text, before, ret_table)) {
            size_t at = ret_table->count;
            ret_table->count = 0;
            return mr_error_set(err, MR_EFORMAT, "a table of attempts, malformed in entry %zu", at);
        }
        before = ret_table->entries[ret_table->count - 1].offset;
    } while (text.len > 0);
    return 0;
}

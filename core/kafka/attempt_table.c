// SPDX-License-Identifier: Apache-2.0
#include "kafka/attempt_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VERSION "mr1"

enum {
    DIGITS = 19, /* of an offset */
    ENTRY_BYTES = 1 + DIGITS + 3 + 1 + 7,
};

_Static_assert(sizeof(VERSION) - 1 + 1 + DIGITS + ATTEMPT_TABLE_MAX * ENTRY_BYTES <
                   ATTEMPT_TABLE_BYTES,
               "the longest text fits");

/* The first entry that ends at or above `offset`. */
static size_t find(const struct attempt_table *table, int64_t offset)
{
    size_t at = table->count;
    while (at > 0 && table->entries[at - 1].last >= offset) {
        at--;
    }
    return at;
}

static bool covers(const struct attempt_table *table, size_t at, int64_t offset)
{
    return at < table->count && table->entries[at].offset <= offset &&
           offset <= table->entries[at].last;
}

static void insert(struct attempt_table *table, size_t at, int64_t offset, int64_t last,
                   unsigned attempt)
{
    struct attempt_entry *entry = &table->entries[at];
    memmove(entry + 1, entry, (table->count - at) * sizeof(table->entries[0]));
    table->count++;
    entry->offset = offset;
    entry->last = last;
    entry->attempt = attempt;
}

static void remove_entries(struct attempt_table *table, size_t from, size_t to)
{
    memmove(table->entries + from, table->entries + to,
            (table->count - to) * sizeof(table->entries[0]));
    table->count -= to - from;
}

/* Make one of the entry at `at` and the one before it, if they say the same. */
static void join(struct attempt_table *table, size_t at)
{
    struct attempt_entry *entry = &table->entries[at];
    if (at > 0 && at < table->count && entry[-1].last + 1 == entry->offset &&
        entry[-1].attempt == entry->attempt && entry->last - entry[-1].offset <= ATTEMPT_MORE_MAX) {
        entry[-1].last = entry->last;
        remove_entries(table, at, at + 1);
    }
}

/* Returns false if there is no place; `at` is where it belongs, and no entry covers it. */
static bool enter(struct attempt_table *table, size_t at, int64_t offset, unsigned attempt)
{
    struct attempt_entry *entry = &table->entries[at];
    if (at > 0 && entry[-1].last + 1 == offset && entry[-1].attempt == attempt &&
        offset - entry[-1].offset <= ATTEMPT_MORE_MAX) {
        entry[-1].last = offset;
        join(table, at);
    } else if (at < table->count && offset + 1 == entry->offset && entry->attempt == attempt &&
               entry->last - offset <= ATTEMPT_MORE_MAX) {
        entry->offset = offset;
    } else if (table->count < ATTEMPT_TABLE_MAX) {
        insert(table, at, offset, offset, attempt);
    } else {
        return false;
    }
    return true;
}

bool attempt_table_set(struct attempt_table *table, int64_t offset, unsigned attempt)
{
    size_t at = find(table, offset);
    const struct attempt_entry *entry = &table->entries[at];
    size_t parts;
    if (!covers(table, at, offset)) {
        return enter(table, at, offset, attempt);
    }
    if (entry->attempt == attempt) {
        return true;
    }
    parts = (size_t)(entry->offset < offset) + (size_t)(offset < entry->last);
    if (table->count + parts > ATTEMPT_TABLE_MAX) {
        return false;
    }
    attempt_table_remove(table, offset - 1, offset);
    return enter(table, find(table, offset), offset, attempt);
}

void attempt_table_add(struct attempt_table *table, const struct attempt_table *other)
{
    for (size_t i = 0; i < other->count && table->count < ATTEMPT_TABLE_MAX; i++) {
        const struct attempt_entry *entry = &other->entries[i];
        size_t at = find(table, entry->offset);
        if (at == table->count || entry->last < table->entries[at].offset) {
            insert(table, at, entry->offset, entry->last, entry->attempt);
        }
    }
}

bool attempt_table_find(const struct attempt_table *table, int64_t offset, unsigned *ret_attempt)
{
    size_t at = find(table, offset);
    if (!covers(table, at, offset)) {
        return false;
    }
    *ret_attempt = table->entries[at].attempt;
    return true;
}

void attempt_table_remove(struct attempt_table *table, int64_t above, int64_t offset)
{
    size_t from = find(table, above + 1);
    size_t to = find(table, offset + 1);
    struct attempt_entry *entry = &table->entries[from];
    if (offset <= above) {
        return;
    }
    if (covers(table, from, above + 1) && entry->offset <= above) {
        if (offset < entry->last && table->count < ATTEMPT_TABLE_MAX) {
            insert(table, from + 1, offset + 1, entry->last, entry->attempt);
        }
        to = to == from ? from + 1 : to;
        entry->last = above;
        from++;
    }
    if (covers(table, to, offset)) {
        table->entries[to].offset = offset + 1;
    }
    remove_entries(table, from, to);
}

bool attempt_table_drop(struct attempt_table *table, int64_t offset)
{
    if (table->count == 0 || table->entries[table->count - 1].offset <= offset) {
        return false;
    }
    table->count--;
    return true;
}

static size_t write_entry(char *text, size_t bytes, int64_t before, int64_t offset,
                          const struct attempt_entry *entry)
{
    int len = snprintf(text, bytes, " %" PRId64, offset - before);
    if (entry->last > offset) {
        len += snprintf(text + len, bytes - (size_t)len, "-%" PRId64, entry->last - offset);
    }
    len += snprintf(text + len, bytes - (size_t)len, ":%u", entry->attempt);
    return (size_t)len;
}

size_t attempt_table_write(const struct attempt_table *table, int64_t base,
                           char ret_text[ATTEMPT_TABLE_BYTES])
{
    size_t at = find(table, base);
    int64_t before = base;
    size_t len;
    if (at == table->count) {
        return 0;
    }
    len = (size_t)snprintf(ret_text, ATTEMPT_TABLE_BYTES, VERSION " %" PRId64, base);
    for (; at < table->count; at++) {
        const struct attempt_entry *entry = &table->entries[at];
        int64_t offset = entry->offset < base ? base : entry->offset;
        len += write_entry(ret_text + len, ATTEMPT_TABLE_BYTES - len, before, offset, entry);
        before = entry->last;
    }
    return len;
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

/* What may stand behind a gap, if it does. */
static bool read_more(struct mr_slice *rest, int64_t offset, int64_t *ret_more)
{
    int64_t max = INT64_MAX - 1 - offset;
    *ret_more = 0;
    return !skip(rest, "-") ||
           (read_number(rest, max < ATTEMPT_MORE_MAX ? max : ATTEMPT_MORE_MAX, ret_more) &&
            *ret_more > 0);
}

static bool read_entry(struct mr_slice *rest, int64_t before, struct attempt_table *table)
{
    struct attempt_entry *entry = &table->entries[table->count];
    int64_t gap;
    int64_t more;
    int64_t attempt;
    if (table->count == ATTEMPT_TABLE_MAX || !skip(rest, " ") ||
        !read_number(rest, INT64_MAX - 1 - before, &gap) || !read_more(rest, before + gap, &more) ||
        !skip(rest, ":") || !read_number(rest, ATTEMPT_NUMBER_MAX, &attempt) || attempt == 1 ||
        (table->count > 0 && gap == 0)) {
        return false;
    }
    entry->offset = before + gap;
    entry->last = entry->offset + more;
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
        before = ret_table->entries[ret_table->count - 1].last;
    } while (text.len > 0);
    return 0;
}

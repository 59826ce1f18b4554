// SPDX-License-Identifier: Apache-2.0
/* The first 8 bytes are the committed offset, the rest its metadata: what is taken is written back
 * as the same bytes, and holds what the header says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/attempt_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void expect(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_entries(const struct attempt_table *table, int64_t base)
{
    expect(table->count <= ATTEMPT_TABLE_MAX);
    for (size_t i = 0; i < table->count; i++) {
        expect(table->entries[i].offset >= (i == 0 ? base : table->entries[i - 1].last + 1));
        expect(table->entries[i].last >= table->entries[i].offset &&
               table->entries[i].last - table->entries[i].offset <= ATTEMPT_MORE_MAX &&
               table->entries[i].last < INT64_MAX);
        expect(table->entries[i].attempt != 1 && table->entries[i].attempt <= ATTEMPT_NUMBER_MAX);
    }
}

/* Changing one offset changes that one only, and taking it out too. */
static void check_changes(const struct attempt_table *table, uint64_t number)
{
    const struct attempt_entry *entry = &table->entries[number % table->count];
    struct attempt_table changed = *table;
    unsigned attempt = 0;
    int64_t offset;
    if (entry->offset >= INT64_MAX - 128) {
        return;
    }
    offset = entry->offset + (int64_t)(number % 128);
    if (attempt_table_set(&changed, offset, 7)) {
        expect(attempt_table_find(&changed, offset, &attempt) && attempt == 7);
    } else {
        expect(memcmp(&changed, table, sizeof(changed)) == 0);
    }
    for (int64_t other = entry->offset; other < entry->offset + 128; other++) {
        unsigned before = 1;
        unsigned after = 1;
        (void)attempt_table_find(table, other, &before);
        (void)attempt_table_find(&changed, other, &after);
        expect(other == offset || before == after);
    }
    attempt_table_remove(&changed, offset - 1, offset);
    expect(!attempt_table_find(&changed, offset, &attempt));
    check_entries(&changed, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct attempt_table table = {.count = 0};
    char text[ATTEMPT_TABLE_BYTES];
    int64_t base = 0;
    if (size < sizeof base) {
        return 0;
    }
    memcpy(&base, bytes, sizeof base);
    base &= INT64_MAX;
    bytes += sizeof base;
    size -= sizeof base;
    if (attempt_table_read(mr_slice(bytes, size), base, &table, NULL) != 0) {
        expect(table.count == 0);
    } else if (size > 0) {
        expect(table.count > 0);
        check_entries(&table, base);
        check_changes(&table, (uint64_t)base ^ size);
        expect(attempt_table_write(&table, base, text) == size && memcmp(text, bytes, size) == 0);
    }
    return 0;
}

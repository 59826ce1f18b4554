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
    expect(table->count > 0 && table->count <= ATTEMPT_TABLE_MAX);
    for (size_t i = 0; i < table->count; i++) {
        expect(table->entries[i].offset >= (i == 0 ? base : table->entries[i - 1].offset + 1));
        expect(table->entries[i].attempt != 1 && table->entries[i].attempt <= ATTEMPT_NUMBER_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct attempt_table table;
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
        check_entries(&table, base);
        expect(attempt_table_write(&table, base, text) == size && memcmp(text, bytes, size) == 0);
    }
    return 0;
}

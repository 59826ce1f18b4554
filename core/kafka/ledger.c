// SPDX-License-Identifier: Apache-2.0
#include "kafka/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kit/mem.h"

enum { CAPACITY_FIRST = 64 };

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.first = -1, .received = -1, .prefix = -1, .committed = -1};
}

void ledger_done(struct ledger *ledger)
{
    mem_free(ledger->offsets);
    ledger_init(ledger);
}

static size_t slot(const struct ledger *ledger, size_t index)
{
    return (ledger->head + index) & (ledger->capacity - 1);
}

/* The rings lie in one block, so that growing succeeds or fails as a whole. */
static int grow(struct ledger *ledger)
{
    size_t capacity = ledger->capacity == 0 ? CAPACITY_FIRST : ledger->capacity * 2;
    int64_t *offsets;
    int64_t *times;
    bool *settled;
    if (capacity > SIZE_MAX / 2 / (2 * sizeof(*offsets) + sizeof(*settled))) {
        return -1;
    }
    offsets = mem_alloc(capacity * (2 * sizeof(*offsets) + sizeof(*settled)));
    if (offsets == NULL) {
        return -1;
    }
    times = offsets + capacity;
    settled = (bool *)(times + capacity);
    for (size_t i = 0; i < ledger->count; i++) {
        offsets[i] = ledger->offsets[slot(ledger, i)];
        times[i] = ledger->times[slot(ledger, i)];
        settled[i] = ledger->settled[slot(ledger, i)];
    }
    mem_free(ledger->offsets);
    ledger->offsets = offsets;
    ledger->times = times;
    ledger->settled = settled;
    ledger->capacity = capacity;
    ledger->head = 0;
    return 0;
}

int ledger_receive(struct ledger *ledger, int64_t offset)
{
    size_t at;
    if (offset <= ledger->received) {
        return 0;
    }
    if (ledger->count == ledger->capacity && grow(ledger) != 0) {
        return -1;
    }
    at = slot(ledger, ledger->count);
    ledger->offsets[at] = offset;
    ledger->times[at] = -1;
    ledger->settled[at] = false;
    ledger->count++;
    if (ledger->first < 0) {
        ledger->first = offset;
    }
    ledger->received = offset;
    return 1;
}

void ledger_date(struct ledger *ledger, int64_t time_ms)
{
    if (ledger->count > 0) {
        ledger->times[slot(ledger, ledger->count - 1)] = time_ms;
    }
}

void ledger_pass(struct ledger *ledger, int64_t offset)
{
    if (offset <= ledger->received) {
        return;
    }
    ledger->received = offset - 1;
    if (ledger->count == 0) {
        ledger->prefix = offset;
    }
}

/* The ring's slot of `offset`; SIZE_MAX if it isn't there. */
static size_t find(const struct ledger *ledger, int64_t offset)
{
    size_t low = 0;
    size_t high = ledger->count;
    if (high > 0 && ledger->offsets[ledger->head] == offset) { /* mostly settled in order */
        return ledger->head;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ledger->offsets[slot(ledger, middle)] < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == ledger->count || ledger->offsets[slot(ledger, low)] != offset) {
        return SIZE_MAX;
    }
    return slot(ledger, low);
}

void ledger_settle(struct ledger *ledger, int64_t offset)
{
    size_t at = find(ledger, offset);
    if (at == SIZE_MAX || ledger->settled[at]) {
        (void)fprintf(stderr, "ledger: offset %lld is settled without being in flight\n",
                      (long long)offset);
        abort();
    }
    ledger->settled[at] = true;
    ledger->settled_count++;
    while (ledger->count > 0 && ledger->settled[ledger->head]) {
        ledger->prefix = ledger->offsets[ledger->head] + 1;
        ledger->head = slot(ledger, 1);
        ledger->count--;
        ledger->settled_count--;
    }
    if (ledger->count == 0) { /* behind the last there may be a gap that has been passed */
        ledger->prefix = ledger->received + 1;
    }
}

int64_t ledger_to_commit(const struct ledger *ledger)
{
    return ledger->prefix > ledger->committed ? ledger->prefix : -1;
}

int64_t ledger_position(const struct ledger *ledger)
{
    return ledger->prefix >= 0 ? ledger->prefix : ledger->first;
}

void ledger_committed(struct ledger *ledger, int64_t offset)
{
    if (offset > ledger->committed) {
        ledger->committed = offset;
    }
}

int64_t ledger_oldest(const struct ledger *ledger, int64_t *ret_time_ms)
{
    *ret_time_ms = ledger->count > 0 ? ledger->times[ledger->head] : -1;
    if (ledger->count > 0) {
        return ledger->offsets[ledger->head];
    }
    return ledger->prefix;
}

size_t ledger_in_flight(const struct ledger *ledger)
{
    return ledger->count - ledger->settled_count;
}

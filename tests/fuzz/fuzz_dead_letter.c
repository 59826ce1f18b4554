// SPDX-License-Identifier: Apache-2.0
/* A record of a dead-letter topic. The input is a line that is its key, lines of "name: value", an
 * empty line, then the value. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dead_filter.h"
#include "cli/dead_mark.h"
#include "cli/print.h"
#include "kit/mem.h"
#include "tests/fuzz/event_equal.h"
#include "tests/fuzz/record_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { HEADERS_MAX = 512, SHOWN_BYTES = 64, PARTITION = 2, OFFSET = 1000 };

static void check_shown(struct mr_slice text)
{
    char shown[SHOWN_BYTES];
    MUST(print_harmless(text, shown, sizeof shown) <= text.len);
    for (const char *at = shown; *at != '\0'; at++) {
        MUST((unsigned char)*at >= 0x20 && *at != 0x7F);
    }
}

/* It dies again: what it was is the same, and the count is what we said. */
static void replay(const struct kafka_record *record, const struct dead_view *view)
{
    static struct dead_restored restored;
    struct dead_letter letter = DEAD_LETTER_INIT;
    struct dead_writer writer;
    struct kafka_record again;
    struct dead_view second;
    if (view->replays == INT64_MAX ||
        dead_letter_restore(record, view->replays + 1, &restored, &letter.original, NULL) != 0) {
        return;
    }
    letter.reason = "again";
    dead_writer_init(&writer);
    MUST(dead_letter_write(&letter, 1 << 24, &writer, &again, NULL) == 0);
    MUST(dead_view_read(&again, 0, &second) == DEAD_KIND_LETTER);
    MUST(second.replays == view->replays + 1);
    MUST(mr_slice_is(again.value, record->value) && mr_slice_is(again.key, record->key));
    dead_writer_done(&writer);
}

static void look_at(const struct kafka_record *record)
{
    struct mr_event *event = mr_event_new();
    struct dead_view view;
    struct dead_who who;
    struct dead_filter filter;
    int64_t letter;
    enum dead_kind kind = dead_view_read(record, 1, &view);
    MUST(event != NULL);
    MUST(view.partition >= -1 && view.offset >= -1 && view.size >= -1 && view.replays >= 0);
    dead_who_init(&who);
    MUST(dead_who_read(record, NULL, &who, NULL) == 0);
    if (kafka_binding_read(record, event, NULL) == 0) {
        MUST(dead_who_read(record, event, &who, NULL) == 0);
    }
    check_shown(view.reason);
    check_shown(who.device);
    dead_filter_init(&filter);
    MUST(dead_filter_takes(&filter, &view, &who, 0, 0));
    filter.device = who.device;
    MUST(dead_filter_takes(&filter, &view, &who, 0, 0));
    if (kind == DEAD_KIND_LETTER) {
        replay(record, &view);
    }
    if (dead_mark_read(record, PARTITION, OFFSET, &letter)) {
        MUST(letter >= 0 && letter < OFFSET);
    }
    dead_who_done(&who);
    mr_event_free(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct kafka_header headers[HEADERS_MAX];
    char *copy = malloc(size + 1);
    struct mr_slice text;
    struct kafka_record record = {.headers = headers};
    char *end;
    MUST(copy != NULL);
    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    copy[size] = '\0';
    text = mr_slice(copy, size);
    end = size == 0 ? NULL : memchr(copy, '\n', size);
    if (end != NULL) {
        record.key = mr_slice(copy, (size_t)(end - copy));
        text = mr_slice(end + 1, size - (size_t)(end + 1 - copy));
    }
    while (record.header_count < HEADERS_MAX &&
           take_header(&text, copy, &headers[record.header_count])) {
        record.header_count++;
    }
    if (text.len > 0 && text.ptr[0] == '\n') {
        record.value = mr_slice(text.ptr + 1, text.len - 1);
    }
    look_at(&record);
    free(copy);
    return 0;
}

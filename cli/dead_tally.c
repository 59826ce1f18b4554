// SPDX-License-Identifier: Apache-2.0
#include "cli/dead_tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/print.h"
#include "event/json_scan.h"
#include "event/timestamp.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum {
    ROWS_FIRST = 64,
    ROW_BYTES_MAX = 16 * 1024, /* of JSON, six bytes a character at most */
    NS_PER_MS = 1000000,
};

struct tally_row {
    char *texts[TALLY_COLUMNS_MAX]; /* all in one block, which the first one begins */
    uint64_t count;
    int64_t first_ms;
    int64_t last_ms;
};

typedef char texts_of[TALLY_COLUMNS_MAX][TALLY_TEXT_BYTES_MAX];

void tally_init(struct tally *tally, const char *const *columns, size_t column_count)
{
    *tally = (struct tally){.columns = columns, .column_count = column_count};
}

void tally_done(struct tally *tally)
{
    for (size_t i = 0; i < tally->count; i++) {
        mem_free(tally->rows[i].texts[0]);
    }
    mem_free(tally->rows);
    *tally = (struct tally){0};
}

static int compare(const struct tally *tally, const struct tally_row *row, texts_of texts)
{
    int order = 0;
    for (size_t i = 0; order == 0 && i < tally->column_count; i++) {
        order = strcmp(row->texts[i], texts[i]);
    }
    return order;
}

/* Where the row is, or would have to be. */
static size_t find(const struct tally *tally, texts_of texts, bool *ret_found)
{
    size_t low = 0, high = tally->count;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(tally, &tally->rows[middle], texts);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int make_room(struct tally *tally)
{
    size_t capacity = tally->capacity == 0 ? ROWS_FIRST : tally->capacity * 2;
    struct tally_row *rows;
    if (tally->count < tally->capacity) {
        return 0;
    }
    rows = mem_realloc(tally->rows, capacity * sizeof *rows);
    if (rows == NULL) {
        return MR_ENOMEM;
    }
    tally->rows = rows;
    tally->capacity = capacity;
    return 0;
}

static int insert(struct tally *tally, size_t at, texts_of texts)
{
    struct tally_row row = {.count = 0, .first_ms = INT64_MAX, .last_ms = INT64_MIN};
    size_t bytes = 0;
    char *block;
    for (size_t i = 0; i < tally->column_count; i++) {
        bytes += strlen(texts[i]) + 1;
    }
    block = mem_alloc(bytes);
    if (block == NULL || make_room(tally) != 0) {
        mem_free(block);
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < tally->column_count; i++) {
        size_t len = strlen(texts[i]) + 1;
        row.texts[i] = memcpy(block, texts[i], len);
        block += len;
    }
    memmove(&tally->rows[at + 1], &tally->rows[at], (tally->count - at) * sizeof row);
    tally->rows[at] = row;
    tally->count++;
    return 0;
}

int tally_add(struct tally *tally, const struct mr_slice *texts, int64_t died_ms,
              struct mr_error *err)
{
    texts_of shown;
    bool found;
    size_t at;
    struct tally_row *row;
    for (size_t i = 0; i < tally->column_count; i++) {
        (void)print_harmless(texts[i], shown[i], sizeof shown[i]);
    }
    at = find(tally, shown, &found);
    if (!found && tally->count >= TALLY_ROWS_MAX) {
        for (size_t i = 0; i < tally->column_count; i++) {
            (void)snprintf(shown[i], sizeof shown[i], "(others)");
        }
        at = find(tally, shown, &found);
    }
    if (!found && insert(tally, at, shown) != 0) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    row = &tally->rows[at];
    row->count++;
    row->first_ms = died_ms < row->first_ms ? died_ms : row->first_ms;
    row->last_ms = died_ms > row->last_ms ? died_ms : row->last_ms;
    tally->total++;
    return 0;
}

/* --- output --- */

static void format_time(int64_t ms, char text[TIMESTAMP_BYTES])
{
    bool fits = ms > INT64_MIN / NS_PER_MS && ms < INT64_MAX / NS_PER_MS;
    (void)timestamp_format(fits ? ms * NS_PER_MS : 0, text);
}

static int print_json(const struct tally *tally, struct mr_error *err)
{
    struct mr_buf line;
    int rc = 0;
    buf_init(&line, ROW_BYTES_MAX);
    for (size_t i = 0; rc == 0 && i < tally->count; i++) {
        const struct tally_row *row = &tally->rows[i];
        char first[TIMESTAMP_BYTES], last[TIMESTAMP_BYTES];
        format_time(row->first_ms, first);
        format_time(row->last_ms, last);
        buf_clear(&line);
        (void)buf_add_char(&line, '{');
        for (size_t j = 0; j < tally->column_count; j++) {
            (void)buf_addf(&line, "\"%s\":", tally->columns[j]);
            (void)json_write_string(mr_slice_of(row->texts[j]), &line);
            (void)buf_add_char(&line, ',');
        }
        (void)buf_addf(&line, "\"letters\":%" PRIu64 ",\"first\":\"%s\",\"last\":\"%s\"}",
                       row->count, first, last);
        rc = buf_check(&line, err);
        if (rc == 0 && !print_json_line(buf_slice(&line))) {
            rc = mr_error_set(err, MR_EIO, "%s", strerror(errno));
        }
    }
    buf_done(&line);
    return rc;
}

static const char *or_dash(const char *text)
{
    return *text == '\0' ? "-" : text;
}

/* In characters, so that columns stand below each other. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text++) {
        width += !utf8_is_continuation((unsigned char)*text);
    }
    return width;
}

static void print_cell(const char *text, int width)
{
    printf("%s%*s", text, width - width_of(text) + 2, "");
}

int tally_print(const struct tally *tally, bool json, struct mr_error *err)
{
    int widths[TALLY_COLUMNS_MAX];
    if (json) {
        return print_json(tally, err);
    }
    for (size_t j = 0; j < tally->column_count; j++) {
        widths[j] = width_of(tally->columns[j]);
        for (size_t i = 0; i < tally->count; i++) {
            int width = width_of(or_dash(tally->rows[i].texts[j]));
            widths[j] = width > widths[j] ? width : widths[j];
        }
    }
    for (size_t j = 0; tally->count > 0 && j < tally->column_count; j++) {
        print_cell(tally->columns[j], widths[j]);
    }
    if (tally->count > 0) {
        printf("letters  first                     last\n");
    }
    for (size_t i = 0; i < tally->count; i++) {
        const struct tally_row *row = &tally->rows[i];
        char first[TIMESTAMP_BYTES], last[TIMESTAMP_BYTES];
        format_time(row->first_ms, first);
        format_time(row->last_ms, last);
        for (size_t j = 0; j < tally->column_count; j++) {
            print_cell(or_dash(row->texts[j]), widths[j]);
        }
        printf("%7" PRIu64 "  %-24s  %s\n", row->count, first, last);
    }
    printf("%" PRIu64 " letters\n", tally->total);
    return ferror(stdout) ? mr_error_set(err, MR_EIO, "%s", strerror(errno)) : 0;
}

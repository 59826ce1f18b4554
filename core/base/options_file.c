// SPDX-License-Identifier: Apache-2.0
/* Configuration files: [section], key = value, one a line. A comment is a line that begins with #
 * or ;, or what follows " ;" in a value; a value may contain = and #. Nothing is continued on the
 * next line, nothing is quoted, nothing is cut: what can't be read as it stands is a problem with
 * its line. (Own reader, because inih cuts long lines, sections and keys without a word, and its
 * limits depend on how it was built.) */
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"
#include "base/options_text.h"
#include "kit/slice.h"

enum { LINE_BYTES_MAX = 16 * 1024 };

enum section_kind {
    SECTION_NONE,
    SECTION_KNOWN,
    SECTION_PASSTHROUGH,
    SECTION_NAMED,
    SECTION_UNKNOWN
};

struct reader {
    struct options *options;
    struct place place;
    enum section_kind kind;
    struct named *named; /* SECTION_NAMED */
    char section[OPTIONS_NAME_BYTES * 2];
};

/* Keep that part of `text` alone. */
static char *keep(char *text, struct mr_slice part)
{
    text += part.ptr - text;
    text[part.len] = '\0';
    return text;
}

/* Cut blanks on both sides, in place. */
static char *trim(char *text)
{
    return keep(text, slice_trim(mr_slice_of(text)));
}

/* A comment too. It is looked for first: "key = ; comment" is an empty value. */
static char *trim_value(char *text)
{
    return keep(text, slice_trim(options_cut_comment(mr_slice_of(text))));
}

static void line_problem(struct reader *reader, const char *text)
{
    options_problemf(reader->options, "%s: %s", reader->place.origin, text);
}

static void unknown_section(struct reader *reader, const char *section)
{
    char hint[OPTIONS_HINT_BYTES];
    char best[OPTIONS_NAME_BYTES * 2] = "";
    const struct options *options = reader->options;
    for (size_t i = 0; i < options->row_count; i++) {
        options_nearer(section, options->rows[i].section, best);
    }
    for (size_t i = 0; i < PASSTHROUGH_SECTIONS; i++) {
        options_nearer(section, passthrough_sections[i], best);
    }
    for (size_t i = 0; i < options->named_count; i++) {
        char candidate[OPTIONS_NAME_BYTES];
        (void)snprintf(candidate, sizeof candidate, "%s%s", options->named[i].option->key,
                       section + strcspn(section, " \t"));
        options_nearer(section, candidate, best);
    }
    if (options->spec->passes_over_unknown && best[0] == '\0') {
        return;
    }
    options_problemf(reader->options, "%s: [%s]: unknown section%s", reader->place.origin, section,
                     options_hint("[", best, "]", hint));
}

static bool section_exists(const struct options *options, const char *section)
{
    for (size_t i = 0; i < options->row_count; i++) {
        if (strcmp(options->rows[i].section, section) == 0) {
            return true;
        }
    }
    return false;
}

/* "measurement climate". False: it is no named section. */
static bool begin_named(struct reader *reader, char *section)
{
    size_t len = strcspn(section, " \t");
    const char *name;
    reader->named = named_find(reader->options, mr_slice(section, len));
    if (reader->named == NULL) {
        return false;
    }
    name = trim(section + len);
    if (strlen(name) > MR_SECTION_NAME_BYTES_MAX) {
        options_problemf(reader->options, "%s: [%s]: a name of more than %d bytes",
                         reader->place.origin, reader->named->option->key,
                         MR_SECTION_NAME_BYTES_MAX);
        return true;
    }
    (void)snprintf(reader->section, sizeof reader->section, "%s%s%s", reader->named->option->key,
                   *name == '\0' ? "" : " ", name);
    (void)snprintf(reader->place.name, sizeof reader->place.name, "[%s]", reader->section);
    if (named_begin(reader->options, reader->named, name, &reader->place)) {
        reader->kind = SECTION_NAMED;
    }
    return true;
}

static void begin_section(struct reader *reader, char *section)
{
    if (begin_named(reader, section)) {
        return;
    }
    if (strlen(section) < sizeof reader->section) {
        (void)snprintf(reader->section, sizeof reader->section, "%s", section);
        if (section_exists(reader->options, section)) {
            reader->kind = SECTION_KNOWN;
            return;
        }
        if (passthrough_section(section)) {
            reader->kind = SECTION_PASSTHROUGH;
            return;
        }
    }
    reader->kind = SECTION_UNKNOWN;
    unknown_section(reader, section);
}

/* `line` begins with '['. */
static void read_section(struct reader *reader, char *line)
{
    char *end = strchr(line, ']');
    char *rest;
    reader->kind = SECTION_UNKNOWN;
    if (end == NULL) {
        line_problem(reader, "expected ']' after the section's name");
        return;
    }
    rest = trim(end + 1);
    if (*rest != '\0' && *rest != ';' && *rest != '#') {
        line_problem(reader, "expected nothing after ']'");
        return;
    }
    *end = '\0';
    begin_section(reader, line + 1);
}

static void unknown_key(struct reader *reader, const char *key)
{
    char hint[OPTIONS_HINT_BYTES];
    char best[OPTIONS_NAME_BYTES * 2] = "";
    const char *elsewhere = NULL;
    const struct options *options = reader->options;
    if (options->spec->passes_over_unknown) {
        return;
    }
    for (size_t i = 0; i < options->row_count; i++) {
        const struct row *row = &options->rows[i];
        if (strcmp(row->section, reader->section) == 0) {
            options_nearer(key, row->option->key, best);
        } else if (strcmp(row->option->key, key) == 0) {
            elsewhere = row->section;
        }
    }
    if (elsewhere != NULL) {
        options_problemf(reader->options, "%s: %s: unknown option; [%s] has one of this name",
                         reader->place.origin, reader->place.name, elsewhere);
    } else {
        options_problemf(reader->options, "%s: %s: unknown option%s", reader->place.origin,
                         reader->place.name, options_hint("'", best, "'", hint));
    }
}

static void take_value(struct reader *reader, const char *key, const char *value)
{
    char plain[OPTIONS_NAME_BYTES];
    struct row *row;
    (void)snprintf(reader->place.name, sizeof reader->place.name, "[%s] %s", reader->section, key);
    if (reader->kind == SECTION_PASSTHROUGH) {
        passthrough_apply(reader->options, reader->section, key, &reader->place, value);
        return;
    }
    if (reader->kind == SECTION_NAMED) {
        named_apply(reader->options, reader->named, key, &reader->place, value);
        return;
    }
    row = options_row(reader->options, reader->section, key);
    if (row != NULL) {
        options_apply(reader->options, row, &reader->place, value, false);
        return;
    }
    row = options_without_suffix(key, ".file", plain, sizeof plain)
              ? options_row(reader->options, reader->section, plain)
              : NULL;
    if (row != NULL) {
        options_apply(reader->options, row, &reader->place, value, true);
        return;
    }
    unknown_key(reader, key);
}

static void read_pair(struct reader *reader, char *line)
{
    char *equals = strchr(line, '=');
    const char *key;
    bool is_key;
    if (equals == NULL) {
        line_problem(reader, "expected 'key = value', '[section]' or a comment");
        return;
    }
    *equals = '\0';
    key = trim(line);
    if (*key == '\0') {
        line_problem(reader, "expected a key before '='");
        return;
    }
    is_key = options_is_name(mr_slice_of(key)) ||
             (reader->kind == SECTION_NAMED && named_has_key(reader->named, key));
    /* `password: c2VjcmV0Cg==`, or such a value by itself: what stands before '=' is no key. */
    if (!is_key || strcmp(equals + 1, "=") == 0) {
        line_problem(reader, "what stands before '=' is not a key (not shown: it may be a secret)");
        return;
    }
    if (reader->kind == SECTION_NONE) {
        line_problem(reader, "a key before the first [section]");
        return;
    }
    if (reader->kind != SECTION_UNKNOWN) {
        take_value(reader, key, trim_value(equals + 1));
    }
}

static void read_line(struct reader *reader, struct mr_slice raw)
{
    char line[LINE_BYTES_MAX + 1];
    char *begin;
    if (raw.len > 0 && raw.ptr[raw.len - 1] == '\r') {
        raw.len--;
    }
    if (raw.len > LINE_BYTES_MAX) {
        options_problemf(reader->options, "%s: the line is longer than %d bytes",
                         reader->place.origin, LINE_BYTES_MAX);
        return;
    }
    if (raw.len > 0 && memchr(raw.ptr, '\0', raw.len) != NULL) {
        line_problem(reader, "there is a NUL byte in the line");
        return;
    }
    memcpy(line, raw.len == 0 ? "" : raw.ptr, raw.len);
    line[raw.len] = '\0';
    begin = trim(line);
    if (*begin == '[') {
        read_section(reader, begin);
    } else if (*begin != '\0' && *begin != '#' && *begin != ';') {
        read_pair(reader, begin);
    }
    explicit_bzero(line, raw.len);
}

void options_read_bytes(struct options *options, const char *name, struct mr_slice bytes)
{
    struct reader reader = {.options = options, .kind = SECTION_NONE};
    reader.place.source = SOURCE_FILE;
    reader.place.file = ++options->file_count;
    if (bytes.len >= 3 && memcmp(bytes.ptr, "\xEF\xBB\xBF", 3) == 0) {
        bytes = mr_slice(bytes.ptr + 3, bytes.len - 3);
    }
    while (bytes.len > 0) {
        reader.place.line++;
        (void)snprintf(reader.place.origin, sizeof reader.place.origin, "%.700s:%u", name,
                       reader.place.line);
        read_line(&reader, slice_cut(&bytes, '\n'));
    }
}

void options_read_file(struct options *options, const char *path)
{
    struct mr_buf bytes;
    struct mr_error err;
    buf_init(&bytes, OPTIONS_FILE_BYTES_MAX);
    if (options_slurp(path, false, &bytes, &err) != 0) {
        options_problemf(options, "%.700s: can't read it: %s", path, err.text);
    } else {
        options_read_bytes(options, path, buf_slice(&bytes));
    }
    if (bytes.ptr != NULL) {
        explicit_bzero(bytes.ptr, bytes.len);
    }
    buf_done(&bytes);
}

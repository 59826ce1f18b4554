// SPDX-License-Identifier: Apache-2.0
/* Happy path: options_new -> defaults; each source finds its row and calls options_apply, which
 * parses, and stores unless a higher source has spoken -> options_finish. What can go wrong is
 * noted with its place and never stops the reading; out of memory is noted like all else. */
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/options_internal.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum { PROBLEM_BYTES = 2048 };

static size_t count_rows(const struct options_spec *spec)
{
    size_t count = 0;
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            count++;
        }
    }
    return count;
}

static void fill_rows(struct options *options)
{
    const struct options_spec *spec = options->spec;
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            void *field = (char *)options->target + spec->groups[i].base + o->offset;
            if (o->type == MR_OPTION_SECTIONS) {
                options->named[options->named_count++] = (struct named){o, field};
                continue;
            }
            options->rows[options->row_count++] = (struct row){
                .option = o,
                .section = o->section == NULL ? spec->section : o->section,
                .field = field,
            };
        }
    }
}

/* Where the target has the name of the file of a row's value; NULL: nowhere. */
static char **file_field(const struct row *row)
{
    const struct mr_option *option = row->option;
    return option->file_offset == 0
               ? NULL
               : (char **)((char *)row->field - option->offset + option->file_offset);
}

/* `file`: that the value was read from; NULL: none. Errors: MR_ENOMEM. */
static int keep_file(const struct row *row, const char *file)
{
    char **field = file_field(row);
    char *copy = NULL;
    if (field == NULL) {
        return 0;
    }
    if (file != NULL && (copy = mem_strdup(file)) == NULL) {
        return MR_ENOMEM;
    }
    mem_free(*field);
    *field = copy;
    return 0;
}

static void zero_fields(const struct options *options)
{
    for (size_t i = 0; i < options->row_count; i++) {
        char **file = file_field(&options->rows[i]);
        if (options->rows[i].option->type == MR_OPTION_STRING) {
            *(char **)options->rows[i].field = NULL;
        }
        if (file != NULL) {
            *file = NULL;
        }
    }
    for (size_t i = 0; i < options->named_count; i++) {
        *options->named[i].sections = (struct mr_sections){0};
    }
}

static int apply_defaults(struct options *options)
{
    for (size_t i = 0; i < options->row_count; i++) {
        struct row *row = &options->rows[i];
        struct option_value value = {0};
        struct mr_error err;
        int rc;
        if (row->option->initial == NULL) {
            option_value_store(row->option, &value, row->field);
            continue;
        }
        rc = option_value_parse(row->option, row->option->initial, &value, &err);
        if (rc == MR_ENOMEM) {
            return rc;
        }
        if (rc != 0) {
            options_problemf(options, "the default of [%s] %s: %s", row->section, row->option->key,
                             err.text);
            continue;
        }
        option_value_store(row->option, &value, row->field);
    }
    return 0;
}

struct options *options_new(const struct options_spec *spec, void *target)
{
    size_t count = count_rows(spec);
    struct options *options;
    if (spec->group_count > OPTIONS_GROUPS_MAX || count > OPTIONS_ROWS_MAX) {
        return NULL;
    }
    options = mem_zalloc(sizeof *options);
    if (options == NULL) {
        return NULL;
    }
    options->spec = spec;
    options->target = target;
    buf_init(&options->problems, OPTIONS_TEXT_BYTES_MAX);
    buf_init(&options->warnings, OPTIONS_TEXT_BYTES_MAX);
    options->rows = mem_zalloc((count + 1) * sizeof *options->rows);
    options->named = mem_zalloc((count + 1) * sizeof *options->named);
    if (options->rows == NULL || options->named == NULL) {
        options_free(options);
        return NULL;
    }
    fill_rows(options);
    zero_fields(options);
    if (apply_defaults(options) != 0) {
        options_free(options);
        return NULL;
    }
    return options;
}

void options_free(struct options *options)
{
    if (options == NULL) {
        return;
    }
    for (size_t i = 0; i < options->row_count; i++) {
        mem_free(options->rows[i].place);
        if (options->rows[i].option->type == MR_OPTION_STRING) {
            char **string = options->rows[i].field;
            mr_option_forget(*string);
            *string = NULL;
            (void)keep_file(&options->rows[i], NULL);
        }
    }
    passthrough_free(options);
    named_free(options);
    mem_free(options->rows);
    buf_done(&options->problems);
    buf_done(&options->warnings);
    mem_free(options);
}

void mr_option_forget(char *value)
{
    if (value != NULL) {
        explicit_bzero(value, strlen(value));
        mem_free(value);
    }
}

struct row *options_row(struct options *options, const char *section, const char *key)
{
    for (size_t i = 0; i < options->row_count; i++) {
        struct row *row = &options->rows[i];
        if (strcmp(row->section, section) == 0 && strcmp(row->option->key, key) == 0) {
            return row;
        }
    }
    return NULL;
}

bool options_is_name(struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum((unsigned char)text.ptr[i]) && strchr("._-", text.ptr[i]) == NULL) {
            return false;
        }
    }
    return text.len > 0;
}

bool options_without_suffix(const char *name, const char *suffix, char *ret_name, size_t size)
{
    size_t name_len = strlen(name);
    size_t suffix_len = strlen(suffix);
    if (name_len <= suffix_len || name_len - suffix_len >= size ||
        strcmp(name + name_len - suffix_len, suffix) != 0) {
        return false;
    }
    memcpy(ret_name, name, name_len - suffix_len);
    ret_name[name_len - suffix_len] = '\0';
    return true;
}

/* The controls of ASCII, those from U+0080 to U+009F, which some terminals obey as well, and what
 * is no UTF-8: a terminal may take its bytes for such controls. */
void options_make_harmless(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        const unsigned char *b = (const unsigned char *)text;
        size_t len = utf8_sequence(text, left);
        bool is_control = b[0] < 0x20 || b[0] == 0x7F || (b[0] == 0xC2 && b[1] < 0xA0);
        if (len == 0 || is_control) {
            len = len == 0 ? 1 : len;
            memset(text, '?', len);
        }
        text += len;
        left -= len;
    }
}

/* Counted always, told up to a bound. */
void options_add_problem(struct options *options, const char *text)
{
    char line[PROBLEM_BYTES];
    options->problem_count++;
    if (options->problem_count <= OPTIONS_PROBLEMS_MAX) {
        (void)snprintf(line, sizeof line, "%s", text);
        options_make_harmless(line);
        (void)buf_addf(&options->problems, "%s\n", line);
    } else if (options->problem_count == OPTIONS_PROBLEMS_MAX + 1) {
        (void)buf_add_str(&options->problems, "and more\n");
    }
}

void options_problemf(struct options *options, const char *format, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    options_add_problem(options, text);
}

void options_problem_at(struct options *options, const struct place *place, const char *text)
{
    options_problemf(options, "%s: %s: %s", place->origin, place->name, text);
}

void options_problem_of(struct options *options, const struct row *row, const char *text)
{
    if (row->place != NULL) {
        options_problemf(options, "%s: %s", row->place, text);
    } else {
        options_problemf(options, "[%s] %s: %s", row->section, row->option->key, text);
    }
}

const struct mr_buf *options_problems(const struct options *options)
{
    return &options->problems;
}

size_t options_problem_count(const struct options *options)
{
    return options->problem_count;
}

const struct mr_buf *options_warnings(const struct options *options)
{
    return &options->warnings;
}

static int read_all(int fd, struct mr_buf *out, struct mr_error *err)
{
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return mr_error_set(err, MR_EIO, "%s", strerror(errno));
        }
        (void)buf_add(out, chunk, (size_t)n);
        explicit_bzero(chunk, sizeof chunk);
        if (out->failed != 0) {
            return buf_check(out, err);
        }
    }
}

static bool is_null_device(const struct stat *stat)
{
    struct stat null;
    return S_ISCHR(stat->st_mode) && lstat("/dev/null", &null) == 0 &&
           stat->st_rdev == null.st_rdev;
}

static int check_kind(int fd, struct mr_error *err)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0) {
        return mr_error_set(err, MR_EIO, "%s", strerror(errno));
    }
    if (S_ISDIR(stat.st_mode)) {
        return mr_error_set(err, MR_EIO, "%s", strerror(EISDIR));
    }
    if (!S_ISREG(stat.st_mode) && !is_null_device(&stat)) {
        return mr_error_set(err, MR_EIO, "it is not a regular file");
    }
    return 0;
}

int options_slurp(const char *path, bool any_kind, struct mr_buf *out, struct mr_error *err)
{
    /* Without O_NONBLOCK opening a pipe waits for its writer, perhaps for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (any_kind ? 0 : O_NONBLOCK));
    int rc;
    if (fd < 0) {
        return mr_error_set(err, MR_EIO, "%s", strerror(errno));
    }
    rc = any_kind ? 0 : check_kind(fd, err);
    if (rc == 0) {
        rc = read_all(fd, out, err);
    }
    (void)close(fd);
    return rc;
}

static size_t without_line_break(const struct mr_buf *buf)
{
    size_t len = buf->len;
    if (len > 0 && buf->ptr[len - 1] == '\n') {
        len--;
        if (len > 0 && buf->ptr[len - 1] == '\r') {
            len--;
        }
    }
    return len;
}

static int read_value(const char *path, bool any_kind, char **ret_value, struct mr_error *err)
{
    struct mr_buf buf;
    char *value = NULL;
    size_t len;
    int rc;
    buf_init(&buf, OPTIONS_FILE_BYTES_MAX);
    rc = options_slurp(path, any_kind, &buf, err);
    if (rc == 0) {
        len = without_line_break(&buf);
        if (len > 0 && memchr(buf.ptr, '\0', len) != NULL) {
            rc = mr_error_set(err, MR_EFORMAT, "there is a NUL byte in it");
        } else {
            value = mem_strndup(len == 0 ? "" : buf.ptr, len);
            rc = value == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
        }
    }
    if (buf.ptr != NULL) {
        explicit_bzero(buf.ptr, buf.len);
    }
    buf_done(&buf);
    if (rc == 0) {
        *ret_value = value;
    }
    return rc;
}

int options_value_from_file(const char *path, char **ret_value, struct mr_error *err)
{
    return read_value(path, true, ret_value, err);
}

int mr_option_read_again(const char *file, char **ret_value, struct mr_error *err)
{
    return read_value(file, false, ret_value, err);
}

/* A second value from the same source, where it can only be a mistake. */
static bool is_duplicate(struct options *options, struct row *row, const struct place *place)
{
    bool *in_environment = &row->in_environment[place->source == SOURCE_ENVIRONMENT];
    switch (place->source) {
        case SOURCE_FILE:
            if (row->file == place->file) {
                options_problemf(options, "%s: %s: given before, in line %u", place->origin,
                                 place->name, row->line);
                return true;
            }
            row->file = place->file;
            row->line = place->line;
            return false;
        case SOURCE_ALIAS:
        case SOURCE_ENVIRONMENT:
            if (*in_environment) {
                options_problem_at(options, place, "give it with _FILE or without, not both");
                return true;
            }
            *in_environment = true;
            return false;
        case SOURCE_DEFAULT:
        case SOURCE_FLAG:
            break;
    }
    return false;
}

static char *place_text(const struct place *place)
{
    char text[sizeof place->origin + sizeof place->name + 2]; /* and ": " */
    (void)snprintf(text, sizeof text, "%s: %s", place->origin, place->name);
    return mem_strdup(text);
}

static void apply_text(struct options *options, struct row *row, const struct place *place,
                       const char *text, const char *file)
{
    struct option_value value;
    struct mr_error err;
    char *where;
    if (option_value_parse(row->option, text, &value, &err) != 0) {
        options_problem_at(options, place, err.text);
        row->is_bad = true;
        return;
    }
    if (place->source < row->source) {
        mr_option_forget(value.string);
        return;
    }
    where = place_text(place);
    if (where == NULL || keep_file(row, file) != 0) {
        mem_free(where);
        options_problem_at(options, place, "out of memory");
        mr_option_forget(value.string);
        return;
    }
    option_value_store(row->option, &value, row->field);
    row->source = place->source;
    mem_free(row->place);
    row->place = where;
}

void options_apply(struct options *options, struct row *row, const struct place *place,
                   const char *text, bool from_file)
{
    char *value = NULL;
    struct mr_error err;
    if (is_duplicate(options, row, place)) {
        return;
    }
    if (!from_file) {
        apply_text(options, row, place, text, NULL);
        return;
    }
    if (options_value_from_file(text, &value, &err) != 0) {
        /* People do put the secret itself where its file's name belongs. */
        options_problemf(options, "%s: %s: can't read %s: %s", place->origin, place->name,
                         row->option->flags & MR_OPTION_SECRET ? "the file" : text, err.text);
        row->is_bad = true;
        return;
    }
    apply_text(options, row, place, value, text);
    mr_option_forget(value);
}

void options_finish(struct options *options)
{
    for (size_t i = 0; i < options->row_count; i++) {
        struct row *row = &options->rows[i];
        const char *string;
        if (row->option->type != MR_OPTION_STRING ||
            (row->option->flags & MR_OPTION_REQUIRED) == 0 || row->is_bad) {
            continue;
        }
        string = *(char **)row->field;
        if (string == NULL || *string == '\0') {
            options_problem_of(options, row,
                               string == NULL ? "required, but not given" : "required, but empty");
            row->is_bad = true;
        }
    }
}

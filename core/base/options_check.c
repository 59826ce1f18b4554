// SPDX-License-Identifier: Apache-2.0
/* What a check across options adds its problems to. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"

enum { PROBLEM_BYTES = 1024 };

static const struct row *row_of(const struct mr_check *check, const char *section, const char *key)
{
    struct options *options = check->options;
    if (options == NULL || key == NULL) {
        return NULL;
    }
    return options_row(options, section == NULL ? options->spec->section : section, key);
}

void mr_check_problem(struct mr_check *check, const char *section, const char *key,
                      const char *format, ...)
{
    char text[PROBLEM_BYTES];
    const struct row *row = row_of(check, section, key);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (row != NULL && row->is_bad) {
        return;
    }
    if (check->count++ == 0 && check->first != NULL) {
        (void)mr_error_set(check->first, MR_ECONFIG, "%s%s%s", key == NULL ? "" : key,
                           key == NULL ? "" : ": ", text);
    }
    if (row != NULL) {
        options_problem_of(check->options, row, text);
    } else if (check->options != NULL && key != NULL) {
        options_problemf(check->options, "[%s] %s: %s",
                         section == NULL ? check->options->spec->section : section, key, text);
    } else if (check->options != NULL) {
        options_add_problem(check->options, text);
    }
}

void mr_check_problem_at(struct mr_check *check, const char *place, const char *format, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->count++ == 0 && check->first != NULL) {
        (void)mr_error_set(check->first, MR_ECONFIG, "%.200s: %s", place, text);
    }
    if (check->options != NULL) {
        options_problemf(check->options, "%s: %s", place, text);
    }
}

bool options_outranks(struct options *options, const char *key, const char *other)
{
    const char *section = options->spec->section;
    const struct row *row = options_row(options, section, key);
    const struct row *other_row = options_row(options, section, other);
    return row != NULL && row->source != SOURCE_DEFAULT &&
           (other_row == NULL || row->source >= other_row->source);
}

bool options_is_flag(struct options *options, const char *key)
{
    const struct row *row = options_row(options, options->spec->section, key);
    return row != NULL && row->source == SOURCE_FLAG;
}

bool mr_check_is_right(const struct mr_check *check, const char *section, const char *key)
{
    const struct row *row = row_of(check, section, key);
    return row == NULL || !row->is_bad;
}

/* More than one line, or PEM: a devices file with its hashes, a private key. */
static bool is_content(const char *name)
{
    return strpbrk(name, "\r\n") != NULL || strncmp(name, "-----", 5) == 0;
}

bool mr_check_file_name(struct mr_check *check, const char *section, const char *key,
                        const char *name)
{
    if (name != NULL && is_content(name)) {
        mr_check_problem(check, section, key, "must be the name of a file, not what stands in it");
        return false;
    }
    return true;
}

bool mr_check_is_given(const struct mr_check *check, const char *section, const char *key)
{
    const struct row *row = row_of(check, section, key);
    return row == NULL || row->is_bad || row->source != SOURCE_DEFAULT;
}

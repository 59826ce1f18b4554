// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/options_internal.h"

enum { HELP_COLUMNS = 80, HELP_INDENT = 6 };

static const char *section_of(const struct options_spec *spec, const struct mr_option *option)
{
    return option->section == NULL ? spec->section : option->section;
}

static const char *default_of(const struct mr_option *option)
{
    if (option->initial == NULL || (option->flags & MR_OPTION_SECRET)) {
        return NULL;
    }
    return option->initial;
}

/* `text` in lines of HELP_COLUMNS, indented. */
static void write_wrapped(const char *text, struct mr_buf *out)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column == 0 || column + 1 + len > HELP_COLUMNS) {
            (void)buf_addf(out, "%s%*s", column == 0 ? "" : "\n", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            (void)buf_add_char(out, ' ');
            column++;
        }
        (void)buf_add(out, text, len);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    (void)buf_add_char(out, '\n');
}

static const char *value_word(const struct mr_option *option)
{
    static const char *const words[] = {"TEXT", "BOOLEAN", "NUMBER", "DURATION",
                                        "SIZE", NULL,      "ADDRESS"};
    return option->type == MR_OPTION_ENUM ? option->choices : words[option->type];
}

static void write_help_row(const struct options_spec *spec, const struct mr_option *option,
                           struct mr_buf *out)
{
    const char *initial = default_of(option);
    (void)buf_addf(out, "  --%s.%s=%s", section_of(spec, option), option->key, value_word(option));
    if (initial != NULL) {
        (void)buf_addf(out, "  (default %s)", *initial == '\0' ? "empty" : initial);
    } else if (option->flags & MR_OPTION_REQUIRED) {
        (void)buf_add_str(out, "  (required)");
    }
    (void)buf_add_char(out, '\n');
    write_wrapped(option->text, out);
}

static void write_help_kind(const struct mr_option *kind, struct mr_buf *out)
{
    (void)buf_addf(out, "\n[%s NAME]  (in a file only, any number)\n", kind->key);
    write_wrapped(kind->text, out);
    for (const struct mr_option *o = kind->keys; o->key != NULL; o++) {
        if (o->text == NULL) {
            continue;
        }
        (void)buf_addf(out, "  %s = %s\n", o->key, value_word(o));
        write_wrapped(o->text, out);
    }
}

/* The option that begins its section: the first row of all tables with that name. */
static bool begins_section(const struct options_spec *spec, const struct mr_option *option)
{
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            if (o->type != MR_OPTION_SECTIONS &&
                strcmp(section_of(spec, o), section_of(spec, option)) == 0) {
                return o == option;
            }
        }
    }
    return false;
}

static void for_kinds(const struct options_spec *spec, struct mr_buf *out,
                      void (*write)(const struct mr_option *, struct mr_buf *))
{
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            if (o->type == MR_OPTION_SECTIONS) {
                write(o, out);
            }
        }
    }
}

static void for_section(const struct options_spec *spec, const char *section, struct mr_buf *out,
                        void (*write)(const struct options_spec *, const struct mr_option *,
                                      struct mr_buf *))
{
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            if (o->type != MR_OPTION_SECTIONS && strcmp(section_of(spec, o), section) == 0) {
                write(spec, o, out);
            }
        }
    }
}

int options_write_help(const struct options_spec *spec, struct mr_buf *out)
{
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            if (begins_section(spec, o)) {
                (void)buf_addf(out, "\n[%s]\n", section_of(spec, o));
                for_section(spec, section_of(spec, o), out, write_help_row);
            }
        }
    }
    for_kinds(spec, out, write_help_kind);
    return out->failed;
}

/* In a table's cell a bar ends the cell, and <topic> would be taken for HTML. */
static void write_cell(const char *text, struct mr_buf *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|' || *text == '<') {
            (void)buf_add_char(out, '\\');
        }
        (void)buf_add_char(out, *text);
    }
}

static void write_default_cell(const struct mr_option *option, struct mr_buf *out)
{
    const char *initial = default_of(option);
    if (initial == NULL) {
        (void)buf_add_str(out, option->flags & MR_OPTION_REQUIRED ? "required" : "none");
    } else if (*initial == '\0') {
        (void)buf_add_str(out, "empty");
    } else {
        (void)buf_add_char(out, '`');
        write_cell(initial, out);
        (void)buf_add_char(out, '`');
    }
}

static void write_markdown_row(const struct options_spec *spec, const struct mr_option *option,
                               struct mr_buf *out)
{
    (void)spec;
    (void)buf_addf(out, "| `%s` | ", option->key);
    write_default_cell(option, out);
    (void)buf_add_str(out, " | ");
    option_write_kind(option, out);
    if (option->unit != NULL) {
        (void)buf_addf(out, " (%s)", option->unit);
    }
    (void)buf_add_str(out, " | ");
    write_cell(option->text, out);
    if (option->flags & MR_OPTION_SECRET) {
        (void)buf_add_str(out, " Secret: never shown.");
    }
    if (option->env != NULL) {
        (void)buf_addf(out, " Also taken from the variable `%s`.", option->env);
    }
    (void)buf_add_str(out, " |\n");
}

static void write_markdown_kind(const struct mr_option *kind, struct mr_buf *out)
{
    (void)buf_addf(out,
                   "\n### [%s NAME]\n\n%s Such sections stand in a file only, any number of "
                   "them.\n\n",
                   kind->key, kind->text);
    (void)buf_add_str(out, "| key | default | value | meaning |\n|---|---|---|---|\n");
    for (const struct mr_option *o = kind->keys; o->key != NULL; o++) {
        struct mr_option shown = *o;
        shown.env = NULL; /* the owner's text says when such variables count */
        if (o->text != NULL) {
            write_markdown_row(NULL, &shown, out);
        }
    }
}

int options_write_markdown(const struct options_spec *spec, struct mr_buf *out)
{
    (void)buf_addf(out, "## %s\n", spec->program);
    for (size_t i = 0; i < spec->group_count; i++) {
        for (const struct mr_option *o = spec->groups[i].table; o->key != NULL; o++) {
            if (!begins_section(spec, o)) {
                continue;
            }
            (void)buf_addf(out, "\n### [%s]\n\n", section_of(spec, o));
            (void)buf_add_str(out, "| option | default | value | meaning |\n|---|---|---|---|\n");
            for_section(spec, section_of(spec, o), out, write_markdown_row);
        }
    }
    for_kinds(spec, out, write_markdown_kind);
    return out->failed;
}

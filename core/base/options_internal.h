// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_OPTIONS_INTERNAL_H
#define BASE_OPTIONS_INTERNAL_H

/* What the files options*.c share. */

#include "base/options.h"

enum {
    OPTIONS_ROWS_MAX = 512,
    OPTIONS_NAME_BYTES = 128,           /* of a section, key, flag or variable that can be known */
    OPTIONS_WHERE_BYTES = 768,          /* "millrace.conf:7: [http] listen" */
    OPTIONS_TEXT_BYTES_MAX = 64 * 1024, /* all problems or warnings together */
};

/* Where a value comes from; the higher wins. */
enum source {
    SOURCE_DEFAULT,
    SOURCE_FILE,
    SOURCE_ALIAS, /* an option's other environment variable */
    SOURCE_ENVIRONMENT,
    SOURCE_FLAG,
};

/* One value on its way in. */
struct place {
    enum source source;
    unsigned file;                     /* SOURCE_FILE: the how-manieth file, from 1 */
    unsigned line;                     /* SOURCE_FILE */
    char origin[OPTIONS_WHERE_BYTES];  /* "millrace.conf:7", "environment", "command line" */
    char name[OPTIONS_NAME_BYTES * 3]; /* "[http] listen", "MILLRACE_HTTP_LISTEN" */
};

struct row {
    const struct mr_option *option;
    const char *section;
    void *field;
    enum source source; /* of the value that it has */
    unsigned file;      /* where a file gave it last */
    unsigned line;
    bool in_environment[2]; /* given by its alias, by its own variable */
    bool is_bad;            /* a value of it was refused, and that has been said */
    char *place;            /* of the value that it has, "millrace.conf:7: [http] listen"; NULL: the
                               default */
};

/* A kind of named sections. */
struct named {
    const struct mr_option *option;
    struct mr_sections *sections; /* in the target */
};

/* Beside each struct passthrough. */
struct passthrough_state {
    enum source source;
    unsigned file;
    unsigned line;
};

struct options {
    const struct options_spec *spec;
    void *target;
    struct row *rows;
    size_t row_count;
    struct named *named; /* rows of MR_OPTION_SECTIONS are here instead */
    size_t named_count;
    struct passthrough *passthrough; /* by source, and in the order of reading */
    struct passthrough_state *passthrough_states;
    size_t passthrough_count;
    size_t passthrough_capacity;
    unsigned file_count;
    struct mr_buf problems;
    size_t problem_count;
    struct mr_buf warnings;
};

/* options.c */
struct row *options_row(struct options *options, const char *section, const char *key);
void options_problemf(struct options *options, const char *format, ...) MR_PRINTF(2, 3);
void options_problem_at(struct options *options, const struct place *place, const char *text);

/* Say what is wrong with the value that a row has, and where that came from. */
void options_problem_of(struct options *options, const struct row *row, const char *text);

/* Take a value, or (from_file) the value in the file that `text` names. */
void options_apply(struct options *options, struct row *row, const struct place *place,
                   const char *text, bool from_file);

/* Read a small file. `any_kind`: also from a pipe, whose writer is waited for, as a shell's
 * <(command) makes it; otherwise a regular file or /dev/null. Errors: MR_EIO, MR_ELIMIT, MR_ENOMEM
 * (without the path). */
int options_slurp(const char *path, bool any_kind, struct mr_buf *out, struct mr_error *err);

/* The file's value: a terminated copy, one line break at its end cut. Errors: as options_slurp,
 * MR_EFORMAT (a NUL in it). To be freed with mr_option_forget. */
int options_value_from_file(const char *path, char **ret_value, struct mr_error *err);

/* `name` without `suffix` at its end, if it has it, is more than that, and fits. */
bool options_without_suffix(const char *name, const char *suffix, char *ret_name, size_t size);

/* options_nearest.c: put `candidate` into `best` (of OPTIONS_NAME_BYTES * 2 bytes, "" at first) if
 * it is near to `name`, and nearer than `best`. */
void options_nearer(const char *name, const char *candidate, char *best);

/* options_passthrough.c. The sections' names, the longest first. */
enum { PASSTHROUGH_SECTIONS = 3 };
extern const char *const passthrough_sections[PASSTHROUGH_SECTIONS];

/* A value is taken from a file for "X.file" if X is a password, user name,
 * secret, PEM or sasl.oauthbearer.config: librdkafka has keys of its own that end with ".file". */
bool passthrough_section(const char *section);

/* Whether the value of `key` may be given in a file; not "sasl.password.file" itself. */
bool passthrough_takes_file(const char *key);
void passthrough_apply(struct options *options, const char *section, const char *key,
                       const struct place *place, const char *value);
void passthrough_free(struct options *options);

/* options_sections.c. NULL: there is no such kind. */
struct named *named_find(struct options *options, struct mr_slice kind);

/* A section begins at `place`. False: it can't be used, and that has been said. */
bool named_begin(struct options *options, struct named *named, const char *name,
                 const struct place *place);

/* Whether `key` is one of the kind's, or begins like one that has a free part. */
bool named_has_key(const struct named *named, const char *key);

/* A line of the section that began last. */
void named_apply(struct options *options, struct named *named, const char *key,
                 const struct place *place, const char *value);

/* A variable that a key's `env` names. False: it is none. */
bool named_take_variable(struct options *options, const struct place *place, const char *value);
void named_free(struct options *options);

/* options_environment.c: "MILLRACE_HTTP_TOPIC_CREATE". False if it doesn't fit. */
bool option_environment_name(const char *section, const char *key, char *ret_name, size_t size);

/* options_file.c: as options_read_file, from memory; `name` is for messages. */
void options_read_bytes(struct options *options, const char *name, struct mr_slice bytes);

/* options_value.c */
struct option_value {
    int64_t integer; /* booleans and enums too */
    char *string;
    struct mr_address address;
};

/* Errors: MR_ECONFIG (the text says what was expected, and what was given unless it is a secret),
 * MR_ENOMEM. */
int option_value_parse(const struct mr_option *option, const char *text,
                       struct option_value *ret_value, struct mr_error *err);

/* Hand the value over to the field. */
void option_value_store(const struct mr_option *option, const struct option_value *value,
                        void *field);

/* What is expected, for a table's cell: "duration, 100ms to 1h". */
void option_write_kind(const struct mr_option *option, struct mr_buf *out);

#endif

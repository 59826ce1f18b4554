// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_OPTIONS_H
#define MILLRACE_OPTIONS_H

/* One table describes every option: it reads files, environment and flags, checks the values, and
 * makes --help and docs/CONFIGURATION.md. A program fills a struct of its own from it.
 *
 * Precedence: flag, environment, file, default. `[influx] topic.create` is
 * MILLRACE_INFLUX_TOPIC_CREATE in the environment (dots become underscores) and
 * --influx.topic.create=VALUE as a flag; with _FILE after the environment's name, or `.file` after
 * the key, the value is read from that file (one trailing line break is cut). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/macros.h>

enum mr_option_type {
    MR_OPTION_STRING,   /* char * (NULL if the default is NULL), freed with the options */
    MR_OPTION_BOOLEAN,  /* bool; true|false, yes|no, on|off, 1|0 */
    MR_OPTION_INTEGER,  /* int64_t */
    MR_OPTION_DURATION, /* int64_t milliseconds; "250ms", "3s", "5m", "2h" */
    MR_OPTION_SIZE,     /* int64_t bytes; "900KiB", "4MiB", "1GiB", plain bytes */
    MR_OPTION_ENUM,     /* int: index into `choices` */
    MR_OPTION_ADDRESS,  /* struct mr_address; "127.0.0.1:8080", "[::1]:8080", "localhost:8080" */
    MR_OPTION_SECTIONS, /* struct mr_sections; any number of sections [KEY NAME] */
};

enum { MR_HOST_BYTES = 256 };

struct mr_address {
    char host[MR_HOST_BYTES]; /* a name or an address; IPv6 without brackets */
    uint16_t port;            /* 0: the system picks one (tests) */
};

/* One line of a named section. */
struct mr_setting {
    char *key;   /* "field.temp" */
    char *value; /* checked against its row in `keys`, kept as a text */
    char *place; /* "millrace.conf:7: [measurement climate] field.temp", for mr_check_problem_at */
    unsigned line;
};

/* A named section: `[measurement climate]`. */
struct mr_section {
    char *name;  /* "climate"; "": what came from the environment by the keys' `env` */
    char *place; /* "millrace.conf:6: [measurement climate]" */
    struct mr_setting *settings; /* in the order of the file */
    size_t count;
    unsigned line;
};

/* All sections of a kind, in the order of the file; freed with the options. */
struct mr_sections {
    struct mr_section *at;
    size_t count;
};

enum {
    MR_SECTIONS_MAX = 256,          /* of a kind */
    MR_SECTION_SETTINGS_MAX = 2000, /* of a section */
    MR_SECTION_NAME_BYTES_MAX = 120,
};

enum mr_option_flags {
    MR_OPTION_SECRET = 1,   /* never shown: not in logs, errors, --help or --check */
    MR_OPTION_REQUIRED = 2, /* a string that must be given and not be empty */
};

struct mr_option {
    const char *section; /* "log"; NULL: the program's own section */
    const char *key;     /* "topic.create" */
    enum mr_option_type type;
    const char *initial; /* the default as one would write it; NULL: none (strings only) */
    int64_t min;         /* integers, durations (ms), sizes (bytes); both 0: no bound beyond >= 0 */
    int64_t max;
    const char *choices; /* MR_OPTION_ENUM: "none|basic" */
    const char *unit;    /* for the docs: "events"; durations and sizes need none */
    const char *text;    /* one or two sentences */
    size_t offset;       /* of the field in the target struct */
    unsigned flags;
    const char *env; /* one more environment variable, e.g. "INFLUXDB_URI"; ours wins over it */
    /* Strings: of a char * in the same struct, the name of the file that the value was read from,
     * NULL if it wasn't; for mr_option_read_again. 0: no such field. Freed with the options. */
    size_t file_offset;
    /* MR_OPTION_SECTIONS: the keys of each such section; `key` of the row is the kind's word
     * ("measurement"). A key that ends with ".*" has a free part ("field.*"), which may hold what
     * other keys may not (blanks, any UTF-8), and may have an `env` that ends with "*" ("FIELD_*").
     * A key without a text is for such variables alone. Named sections stand in files only: a
     * name's case and its dots would be lost in a variable's.
     */
    const struct mr_option *keys;
};

/* A table and where in the program's options struct its fields begin: libraries bring tables of
 * their own (mr_producer_options, mr_worker_loop_options). Ends with a row whose key is NULL. */
struct mr_option_group {
    const struct mr_option *table;
    size_t base;
};

/* Where a check across options puts what is wrong. */
struct mr_check;

/* Add what is wrong with the value of an option; several may be added. It is shown with the place
 * that the value came from ("millrace.conf:7: [http] listen: ..."), so the text needs no name for
 * the option. Nothing more is said of an option whose value is wrong by itself. `section` NULL: the
 * program's own. `key` NULL: the text is shown as it is. */
MR_API void mr_check_problem(struct mr_check *check, const char *section, const char *key,
                             const char *format, ...) MR_PRINTF(4, 5);

/* The same of a line of a named section, or of the section: `place` as it stands there. */
MR_API void mr_check_problem_at(struct mr_check *check, const char *place, const char *format, ...)
    MR_PRINTF(3, 4);

/* False if the option was given and refused: its field has another value than the user meant. What
 * compares two options asks for the one that it doesn't name in mr_check_problem. */
MR_API bool mr_check_is_right(const struct mr_check *check, const char *section, const char *key);

/* False, and a problem that doesn't show it, if `name`, the value of an option that names a file,
 * is what stands in a file: people give `X.file` where `X` is a name already. NULL is right. */
MR_API bool mr_check_file_name(struct mr_check *check, const char *section, const char *key,
                               const char *name);

/* Whether the user gave the option, by whichever source: a default may be right for some only. */
MR_API bool mr_check_is_given(const struct mr_check *check, const char *section, const char *key);

/* What stands now in the file that an option's value was read from, as it was read at first; but
 * what is no regular file (a pipe) can't be read again. Whoever was refused with a password or
 * token may have been given another there. To be freed with mr_option_forget. Errors: MR_EIO,
 * MR_ELIMIT, MR_EFORMAT (a NUL in it), MR_ENOMEM; the text doesn't show the file's name. */
MR_API int mr_option_read_again(const char *file, char **ret_value, struct mr_error *err);

/* Wipe and free. Takes NULL. */
MR_API void mr_option_forget(char *value);

/* The last row of a table. */
#define MR_OPTION_END \
    {                 \
        .key = NULL   \
    }

#endif

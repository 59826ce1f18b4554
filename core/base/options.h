// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

/* Filling an options struct from its tables: files, environment, flags (millrace/options.h says how
 * a program describes them). Every problem is collected; nothing stops at the first one. */

#include <millrace/options.h>

#include "kit/buf.h"

enum {
    OPTIONS_GROUPS_MAX = 16,
    OPTIONS_PROBLEMS_MAX = 100,
    OPTIONS_FILE_BYTES_MAX = 1024 * 1024,
    OPTIONS_PASSTHROUGH_MAX = 512,
};

/* A key of [kafka], [kafka.producer] or [kafka.consumer], given to librdkafka word for word. In the
 * environment underscores stand for dots and underscores: MILLRACE_KAFKA_PRODUCER_LINGER_MS. */
struct passthrough {
    char *section; /* "kafka.producer" */
    char *key;     /* "linger.ms" */
    char *value;
    char *origin; /* for messages: "millrace.conf:12", "environment: MILLRACE_KAFKA_ACKS",
                     "command line" */
};

struct options_spec {
    const char *program; /* "millrace-http" */
    const char *section; /* "http": for rows without one */
    const struct mr_option_group *groups;
    size_t group_count;
    /* What the environment can set in the sections for librdkafka; borrowed. Other variables of
     * theirs only warn. NULL: anything, and each underscore stands for a dot. */
    const char *const *passthrough_keys;
    size_t passthrough_key_count;
    /* A file's sections and keys that are not ours are somebody else's, no problem; but a section
     * whose name is near to one of ours is. */
    bool passes_over_unknown;
};

struct options;

/* An empty set over `target`, the program's options struct, whose fields are set to the defaults
 * (what was in them is not freed). `spec` is borrowed. Errors: NULL when out of memory. */
struct options *options_new(const struct options_spec *spec, void *target);

/* Free the set, and every string it put into the target. Takes NULL. */
void options_free(struct options *options);

/* Read a file, the environment (`environ`'s form), the flags that are left of the command line
 * ("--section.key=value" or "--section.key value"; the program's own section may be left out). In
 * any order: precedence is kept. What is wrong is collected.  A file that can't be read is a
 * problem too. */
void options_read_file(struct options *options, const char *path);
void options_read_environment(struct options *options, char *const *environment);
void options_read_flag(struct options *options, const char *name, const char *value);

/* As a flag of the program's own section, but what is wrong with it is said of `what` and
 * the key ("first word (action)"): a word of the command line that stands for the option `key`,
 * which there must be. */
void options_read_word(struct options *options, const char *key, const char *what,
                       const char *word);

/* Whether "section.key", or the key alone of the program's own section, is an option (also with
 * ".file" behind it, or of a section that goes to librdkafka). */
bool options_has_flag(struct options *options, const char *name);

/* Whether it may be the name of an option: letters, digits, '.', '_' and '-'. Anything else may be
 * a secret that stands in the wrong place, and is not shown. */
bool options_is_name(struct mr_slice text);

/* Whether an option was given, by a source that counts as much as that of the program's own option
 * `other`, or more. */
bool options_outranks(struct options *options, const char *key, const char *other);

/* Whether the program's own option was given as a flag. */
bool options_is_flag(struct options *options, const char *key);

/* How an argument that is not understood may be shown: never what may be a value, which may be a
 * secret. "--name" of "--name=value" if it looks like an option; otherwise "argument 3". */
enum { OPTIONS_SHOWN_BYTES = 160 };
const char *options_shown(struct options *options, const char *argument, int position,
                          char ret_shown[OPTIONS_SHOWN_BYTES]);

/* After all sources: look for what is missing. */
void options_finish(struct options *options);

/* A problem found by someone else (a program's check, librdkafka's word on a setting): a line of
 * its own. */
void options_add_problem(struct options *options, const char *text);

/* What a check across options is given. */
struct mr_check {
    struct options *options; /* NULL: only `first` is kept */
    struct mr_error *first;  /* MR_ECONFIG: the first problem, with the option's key; may be NULL */
    size_t count;            /* of the problems added */
};

/* Control characters and bytes that are no UTF-8 become '?', in place: what is shown as it was
 * given must not command the terminal. */
void options_make_harmless(char *text);

/* A line each: "millrace.conf:7: [http] lisen: unknown option; did you mean 'listen'?". Empty:
 * none. */
const struct mr_buf *options_problems(const struct options *options);
size_t options_problem_count(const struct options *options);

/* A line each: unknown MILLRACE_* variables (Kubernetes injects some: they only warn). */
const struct mr_buf *options_warnings(const struct options *options);

/* The [kafka*] settings in order of precedence, the later wins. Borrowed from `options`. */
const struct passthrough *options_passthrough(const struct options *options, size_t *ret_count);

/* --help's list, and a program's part of docs/CONFIGURATION.md. Errors: as buf_add. */
int options_write_help(const struct options_spec *spec, struct mr_buf *out);
int options_write_markdown(const struct options_spec *spec, struct mr_buf *out);

/* The name in `names` (count of them) nearest to `name`, or NULL if none is near (Levenshtein
 * distance over a third of the length). */
const char *options_nearest(const char *name, const char *const *names, size_t count);

/* "; did you mean 'listen'?" with "'" before and after `nearest`; "" if that is NULL or "". */
enum { OPTIONS_HINT_BYTES = 320 };
const char *options_hint(const char *before, const char *nearest, const char *after,
                         char ret_hint[OPTIONS_HINT_BYTES]);

#endif

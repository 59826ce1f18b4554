// SPDX-License-Identifier: Apache-2.0
#ifndef PROGRAM_SETTINGS_H
#define PROGRAM_SETTINGS_H

/* Everything that a program is told: its own options and the frame's, from the command line, the
 * environment and a file, checked. */

#include <stdbool.h>

#include <millrace/program.h>

#include "base/options.h"
#include "kafka/kafka_conf.h"

/* [log] and [admin]. */
struct frame_options {
    int log_level;
    int log_format;
    struct mr_address admin_listen;
    int64_t shutdown_deadline_ms;
};

enum { FRAME_TABLE_ROWS = 5 };

struct settings {
    const struct mr_program_spec *spec;
    void *target; /* the program's struct, and behind it the frame's */
    struct frame_options *frame;
    struct mr_option frame_table[FRAME_TABLE_ROWS];
    struct mr_option_group groups[OPTIONS_GROUPS_MAX];
    struct options_spec options_spec;
    struct options *options;
    struct kafka_conf kafka;
    struct kafka_properties kafka_properties;
    const char *config; /* --config, or the usual place if there is a file; NULL: none */
    char usual_config[256];
    bool check; /* what the command line asks for instead of running */
    bool help;
    bool version;
    bool markdown;
};

/* The tables and their defaults. Errors: MR_ENOMEM, MR_EINVAL (too many tables). */
int settings_init(struct settings *settings, const struct mr_program_spec *spec,
                  struct mr_error *err);

/* Read the command line first: it may ask for something else than running. */
void settings_read_arguments(struct settings *settings, int argc, char **argv);

/* The file, the environment, and all checks. Problems are in options_problems(). */
void settings_read_rest(struct settings *settings);

void settings_done(struct settings *settings);

#endif

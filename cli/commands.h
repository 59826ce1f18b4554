// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The subcommands of `millrace`, a file each. */

#include <stdbool.h>
#include <stddef.h>

#include "base/options.h"
#include "kafka/kafka_conf.h"

struct command {
    const char *name;    /* "tail"; its options' section, too */
    const char *usage;   /* what follows the name: "[TOPIC] [-n COUNT] [-f]" */
    const char *summary; /* one sentence */
    const char *text;    /* more for `millrace NAME --help`, or NULL */
    const struct mr_option *options;
    size_t options_size;    /* of the struct they fill */
    const char *positional; /* the options that bare words set, in turn: "action,topic"; or NULL */
    const char
        *short_flags; /* "n=count,f=follow": -n COUNT is --count=COUNT; booleans need no value */
    bool passes_over_unknown; /* its file is another program's: as struct options_spec's */
    /* What is wrong across options, or NULL; as struct mr_program_spec's. */
    void (*check)(const void *options, struct mr_check *check);
    /* Returns the exit status: 0 fine, 1 failed. Both are checked already. */
    int (*run)(const void *options, const struct kafka_conf *kafka);
};

extern const struct command command_dead;
extern const struct command command_dev;
extern const struct command command_map;
extern const struct command command_send;
extern const struct command command_tail;

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_OPTIONS_H
#define INFLUX_MAPPING_OPTIONS_H

/* What millrace-influx and `millrace map` are told of the mapping. */

#include <stdbool.h>
#include <stddef.h>

#include <millrace/options.h>

enum mapping_unmatched { UNMATCHED_DEFAULT, UNMATCHED_DEAD, UNMATCHED_SKIP };

struct mapping_options {
    struct mr_sections measurements; /* and, in the one without a name, FIELD_*, TAG_* */
    int unmatched;                   /* enum mapping_unmatched */
    char *table;                     /* NULL: FIELD_* and TAG_* mean nothing */
    bool disable_try_parse;
};

/* The keys of [measurement NAME]. */
extern const struct mr_option mapping_keys[];

/* The rows of a table whose struct has a struct mapping_options `member`. */
#define MAPPING_OPTIONS(owner, member)                                                             \
    {.key = "measurement",                                                                         \
     .type = MR_OPTION_SECTIONS,                                                                   \
     .keys = mapping_keys,                                                                         \
     .text =                                                                                       \
         "How events become points; the first section, in the order of the file, whose "           \
         "`match` fits an event makes its points. See docs/millrace-influx.md.",                   \
     .offset = offsetof(owner, member.measurements)},                                              \
        {.section = "influx",                                                                      \
         .key = "unmatched",                                                                       \
         .type = MR_OPTION_ENUM,                                                                   \
         .initial = "default",                                                                     \
         .choices = "default|dead|skip",                                                           \
         .text =                                                                                   \
             "What becomes of an event that no [measurement NAME] matches: the default "           \
             "mapping, the dead-letter topic, or nothing.",                                        \
         .offset = offsetof(owner, member.unmatched)},                                             \
        {.section = "influx",                                                                      \
         .key = "table",                                                                           \
         .type = MR_OPTION_STRING,                                                                 \
         .text =                                                                                   \
             "As drogue's pusher does: every event (that no [measurement NAME] matches) "          \
             "becomes a point of this measurement, with the fields and tags of the "               \
             "variables FIELD_name, TYPE_FIELD_name and TAG_name.",                                \
         .env = "INFLUXDB_TABLE",                                                                  \
         .offset = offsetof(owner, member.table)},                                                 \
    {                                                                                              \
        .section = "influx", .key = "table.strict", .type = MR_OPTION_BOOLEAN, .initial = "false", \
        .text =                                                                                    \
            "With table: a string is never read as the number or boolean that its type "           \
            "asks for.",                                                                           \
        .env = "DISABLE_TRY_PARSE", .offset = offsetof(owner, member.disable_try_parse)            \
    }

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_RULES_INTERNAL_H
#define INFLUX_MAPPING_RULES_INTERNAL_H

/* What mapping_rules.c and mapping_drogue.c share: a rule on its way. */

#include "consumers/influx/mapping_rules.h"

struct rule_builder {
    struct rule *rule;
    const char *place;                /* of the section; NULL: the rule is that of the table */
    const struct mr_setting *setting; /* that is being read; NULL: the rule as a whole */
    struct mr_check *check;
    bool has_bad_field;    /* what was refused may be what is missing */
    bool has_bad_identity; /* the same of a time, name or tag */
    bool is_out_of_memory;
};

/* Said at the setting, or at the whole. */
void rule_problem(struct rule_builder *builder, const char *format, ...) MR_PRINTF(2, 3);

/* Take a field or tag of this name, which is checked to be one that InfluxDB can take. False: it
 * can't be, and that has been said. */
bool rule_add(struct rule_builder *builder, struct rule_values *values, struct mr_slice name,
              struct rule_value value);

/* Errors are said. */
bool rule_take_path(struct rule_builder *builder, const struct json_path *path,
                    struct rule_source *ret_source);
bool rule_take_attribute(struct rule_builder *builder, struct mr_slice name,
                         struct rule_source *ret_source);

/* A word of the configuration, for "%.*s": not more of it than a message bears. */
#define RULE_WORD_ARG(word) (int)((word).len > 60 ? 60 : (word).len), (word).ptr

/* Problems that only the whole rule has, and that what was refused before doesn't explain. */
void rule_check(struct rule_builder *builder);

/* mapping_drogue.c: the rule of INFLUXDB_TABLE. `section` holds the variables; NULL: none. */
void rule_of_table(struct rule_builder *builder, const struct mapping_options *options,
                   const struct mr_section *section);

#endif

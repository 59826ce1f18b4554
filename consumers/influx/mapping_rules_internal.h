// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_RULES_INTERNAL_H
#define INFLUX_MAPPING_RULES_INTERNAL_H

/* What mapping_rules.c and mapping_table.c share: a rule on its way. */

#include "consumers/influx/mapping_rules.h"

struct rule_builder {
    struct rule *rule;
    const struct mr_setting *setting; /* that is being read, for its place */
    struct mr_check *check;
    bool is_out_of_memory;
};

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

/* Problems that only the whole rule has. */
void rule_check(struct rule_builder *builder, const char *place);

/* mapping_table.c: the rule of INFLUXDB_TABLE. `section` holds the variables; NULL: none. */
void rule_of_table(struct rule_builder *builder, const struct mapping_options *options,
                   const struct mr_section *section);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_MAPPING_RULES_H
#define INFLUX_MAPPING_RULES_H

/* The configuration of the mapping, checked and made ready: a rule for each [measurement NAME], in
 * the order of the file, and one for INFLUXDB_TABLE at the end. docs/millrace-influx.md says what
 * the keys mean. Pure, and unchanged once made. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/event.h>

#include "base/options.h"
#include "consumers/influx/mapping_options.h"
#include "event/json_select.h"

enum {
    RULE_ATTRIBUTES_MAX = 256, /* that a section takes from the event */
    RULE_CONDITIONS_MAX = 64,
};

enum rule_from {
    RULE_FROM_NOTHING, /* not given */
    RULE_FROM_PAYLOAD,
    RULE_FROM_ELEMENT,
    RULE_FROM_ATTRIBUTE,
};

struct rule_source {
    enum rule_from from;
    unsigned slot;        /* of the selection, or of the rule's attributes */
    struct mr_slice text; /* as it was given: "$.a.b", borrowed from the options */
};

enum rule_type {
    RULE_ANY, /* as it is: a number is a float */
    RULE_FLOAT,
    RULE_INTEGER,
    RULE_UNSIGNED,
    RULE_STRING,
    RULE_BOOLEAN,
};

enum rule_unit {
    RULE_RFC3339,
    RULE_SECONDS,
    RULE_MILLISECONDS,
    RULE_MICROSECONDS,
    RULE_NANOSECONDS
};

struct rule_value {
    char *name;            /* as it is written in a line, with its escapes */
    struct mr_slice label; /* as it was given, borrowed: for messages */
    struct rule_source source;
    enum rule_type type; /* of a field */
    bool is_required;
};

struct rule_values {
    struct rule_value *at;
    size_t count;
};

/* Borrowed from the options. */
struct rule_condition {
    struct mr_slice attribute;
    struct mr_slice glob;
};

struct rule {
    const char *name;  /* of the section, or of the table: for messages */
    char *measurement; /* as it is written in a line; NULL: from the source */
    struct rule_source measurement_source;
    struct rule_condition conditions[RULE_CONDITIONS_MAX]; /* all must hold */
    size_t condition_count;
    struct rule_values tags; /* by name */
    struct rule_values fields;
    struct rule_source time;
    enum rule_unit unit;
    bool time_is_optional;
    struct mr_slice each; /* len 0: one point */
    struct json_select select;
    struct mr_slice attributes[RULE_ATTRIBUTES_MAX]; /* by slot */
    size_t attribute_count;
    bool reads_data;     /* something comes out of the payload */
    bool takes_strings;  /* a string may hold the number or boolean that a type asks for */
    bool skips_no_field; /* an event without any field is skipped, not dead */
};

struct mapping_rules {
    struct rule **at;
    size_t count;
    enum mapping_unmatched unmatched;
};

/* `options` is borrowed for the life of the rules. All that is wrong goes to `check`.
 * Errors: MR_ECONFIG, MR_ENOMEM (said in `check`, too). */
int mapping_rules_new(const struct mapping_options *options, struct mr_check *check,
                      struct mapping_rules **ret_rules);
void mapping_rules_free(struct mapping_rules *rules); /* takes NULL */

/* The first rule that matches; NULL: none does. Errors: MR_ENOMEM. */
int mapping_rules_match(const struct mapping_rules *rules, struct mr_event *event,
                        const struct rule **ret_rule, struct mr_error *err);

/* `*` any bytes, also none; `?` one character; `\` takes what follows as it stands. */
bool mapping_glob_matches(struct mr_slice glob, struct mr_slice text);

#endif

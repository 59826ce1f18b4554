// SPDX-License-Identifier: Apache-2.0
/* INFLUXDB_TABLE with FIELD_<name>, TYPE_FIELD_<name> and TAG_<name>, as drogue's influxdb-pusher
 * reads them. A field's path goes into the data; a tag's into the event as JSON, that is `$.device`
 * to an attribute and `$.data.a` into the data. */
#include <string.h>
#include <strings.h>

#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping_rules_internal.h"
#include "event/check.h"
#include "kit/ascii.h"
#include "kit/mem.h"

enum { NAME_BYTES = 256, TYPE_SHOWN = 40 };

#define EXPECTED_SOURCE "expected an attribute ($.device) or a path into the data ($.data.x)"

/* The key without the prefix, behind it; false: another key. */
static bool has_prefix(const char *key, const char *prefix, const char **ret_rest)
{
    size_t len = strlen(prefix);
    *ret_rest = key + len;
    return strncmp(key, prefix, len) == 0;
}

static bool read_type(struct rule_builder *builder, const char *text, enum rule_type *ret_type)
{
    static const struct {
        const char *word;
        enum rule_type type;
    } types[] = {
        {"", RULE_ANY},          {"none", RULE_ANY},
        {"bool", RULE_BOOLEAN},  {"boolean", RULE_BOOLEAN},
        {"float", RULE_FLOAT},   {"number", RULE_FLOAT},
        {"int", RULE_INTEGER},   {"integer", RULE_INTEGER},
        {"uint", RULE_UNSIGNED}, {"unsigned", RULE_UNSIGNED},
        {"string", RULE_STRING}, {"text", RULE_STRING},
    };
    for (size_t i = 0; i < MR_COUNT_OF(types); i++) {
        if (strcasecmp(text, types[i].word) == 0) {
            *ret_type = types[i].type;
            return true;
        }
    }
    rule_problem(builder, "expected none, float, integer, unsigned, string or boolean; got '%.*s'",
                 TYPE_SHOWN, text);
    return false;
}

/* The setting of this prefix and name; NULL: there is none. */
static const struct mr_setting *find_setting(const struct mr_section *section, const char *prefix,
                                             const char *name)
{
    for (size_t i = 0; i < section->count; i++) {
        const char *rest;
        if (has_prefix(section->settings[i].key, prefix, &rest) && strcmp(rest, name) == 0) {
            return &section->settings[i];
        }
    }
    return NULL;
}

static bool read_path(struct rule_builder *builder, struct json_path *ret_path)
{
    struct mr_slice text = mr_slice_of(builder->setting->value);
    struct mr_error err;
    int rc = json_path_parse(text, false, ret_path, &err);
    if (rc == 0 && ret_path->is_element) {
        rc = mr_error_set(&err, MR_EFORMAT, "expected a path that begins with '$'");
    }
    if (rc == 0 && ret_path->text.len != text.len) {
        rc = mr_error_set(&err, MR_EFORMAT, "expected nothing after the path");
    }
    if (rc != 0) {
        rule_problem(builder, "%s", err.text);
    }
    return rc == 0;
}

static void add_named(struct rule_builder *builder, struct rule_values *values, const char *name,
                      struct rule_value value)
{
    char lower[NAME_BYTES];
    size_t len = strlen(name);
    if (len >= sizeof lower) {
        rule_problem(builder, "a name of more than %d bytes", NAME_BYTES - 1);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        lower[i] = ascii_lower(name[i]);
    }
    value.label = mr_slice_of(name);
    (void)rule_add(builder, values, mr_slice(lower, len), value);
}

static void take_field(struct rule_builder *builder, const struct mr_section *section,
                       const char *name)
{
    const struct mr_setting *field = builder->setting;
    const struct mr_setting *type = find_setting(section, "type.", name);
    struct rule_value value = {0};
    struct json_path path;
    bool is_right = read_path(builder, &path) && rule_take_path(builder, &path, &value.source);
    if (type != NULL) {
        builder->setting = type;
        is_right = read_type(builder, type->value, &value.type) && is_right;
        builder->setting = field;
    }
    if (is_right) {
        add_named(builder, &builder->rule->fields, name, value);
    }
}

/* `$.data.a.b` -> `$.a.b`. */
static void drop_first_step(struct json_path *path)
{
    path->count--;
    memmove(path->steps, path->steps + 1, path->count * sizeof *path->steps);
}

/* The attribute that the path names, in the text that the setting holds: `$.device`, and also
 * `$['device']`. */
static bool take_attribute_path(struct rule_builder *builder, const struct json_path *path,
                                struct rule_source *ret_source)
{
    struct mr_slice name = json_path_name(path, &path->steps[0]);
    const char *own = memmem(path->text.ptr, path->text.len, name.ptr, name.len);
    if (path->count > 1 || own == NULL) {
        rule_problem(builder, EXPECTED_SOURCE);
        return false;
    }
    if (!check_name(name)) {
        rule_problem(builder,
                     EXPECTED_SOURCE
                     "; got '%.*s', and the names of CloudEvents' "
                     "attributes are small letters and digits",
                     RULE_WORD_ARG(name));
        return false;
    }
    return rule_take_attribute(builder, mr_slice(own, name.len), ret_source);
}

static void take_tag(struct rule_builder *builder, const char *name)
{
    struct rule_value value = {0};
    struct json_path path;
    bool is_right;
    if (!read_path(builder, &path)) {
        return;
    }
    if (path.count == 0 || path.steps[0].kind != JSON_STEP_NAME) {
        rule_problem(builder, EXPECTED_SOURCE);
        return;
    }
    if (path.count == 1 && mr_slice_is(json_path_name(&path, &path.steps[0]), MR_SLICE("data"))) {
        rule_problem(builder, EXPECTED_SOURCE "; got the data as a whole");
        return;
    }
    if (mr_slice_is(json_path_name(&path, &path.steps[0]), MR_SLICE("data"))) {
        drop_first_step(&path);
        is_right = rule_take_path(builder, &path, &value.source);
    } else {
        is_right = take_attribute_path(builder, &path, &value.source);
    }
    if (is_right) {
        add_named(builder, &builder->rule->tags, name, value);
    }
}

static void take_variables(struct rule_builder *builder, const struct mr_section *section)
{
    for (size_t i = 0; i < section->count; i++) {
        const char *name;
        size_t problems = builder->check->count;
        builder->setting = &section->settings[i];
        if (has_prefix(builder->setting->key, "field.", &name)) {
            take_field(builder, section, name);
            builder->has_bad_field |= builder->check->count > problems;
        } else if (has_prefix(builder->setting->key, "tag.", &name)) {
            take_tag(builder, name);
        } else if (has_prefix(builder->setting->key, "type.", &name) &&
                   find_setting(section, "field.", name) == NULL) {
            rule_problem(builder, "there is no variable FIELD_%s", name);
        }
    }
}

void rule_of_table(struct rule_builder *builder, const struct mapping_options *options,
                   const struct mr_section *section)
{
    struct rule *rule = builder->rule;
    struct mr_slice table = mr_slice_of(options->table);
    struct mr_buf clean;
    size_t len;
    rule->name = options->table;
    rule->takes_strings = !options->disable_try_parse;
    rule->skips_no_field = true;
    if (section != NULL) {
        take_variables(builder, section);
    }
    builder->setting = NULL;
    buf_init(&clean, 2 * table.len + 2);
    if (line_clean(LINE_MEASUREMENT, table, &clean) != 0 ||
        !mr_slice_is(buf_slice(&clean), table)) {
        builder->is_out_of_memory |= clean.failed == MR_ENOMEM;
        rule_problem(builder, "a name that InfluxDB can't take");
    }
    buf_clear(&clean);
    (void)line_write_name(LINE_MEASUREMENT, table, &clean);
    builder->is_out_of_memory |= buf_add_char(&clean, '\0') == MR_ENOMEM;
    rule->measurement = clean.failed != 0 ? NULL : buf_take(&clean, &len);
    buf_done(&clean);
    rule_check(builder);
}

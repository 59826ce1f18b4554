// SPDX-License-Identifier: Apache-2.0
/* Happy path: a section -> a rule: first `each`, which gives '@' its meaning, then line by line ->
 * what only the whole shows. Whatever is wrong is said with its place, and nothing stops the rest.
 */
#include "consumers/influx/mapping_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/options_text.h"
#include "consumers/influx/line_protocol.h"
#include "consumers/influx/mapping_rules_internal.h"
#include "event/check.h"
#include "kit/mem.h"

enum { PROBLEM_BYTES = 700 };

void rule_problem(struct rule_builder *builder, const char *format, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (builder->setting == NULL && builder->place == NULL) {
        mr_check_problem(builder->check, "influx", "table", "%s", text);
    } else {
        mr_check_problem_at(builder->check,
                            builder->setting == NULL ? builder->place : builder->setting->place,
                            "%s", text);
    }
}

static bool out_of_memory(struct rule_builder *builder)
{
    builder->is_out_of_memory = true;
    return false;
}

/* ---- words ---- */

/* The next word of `rest`, which goes on behind it. False: there is none. */
static bool next_word(struct mr_slice *rest, struct mr_slice *ret_word)
{
    size_t len = 0;
    *rest = slice_trim(*rest);
    while (len < rest->len && !slice_is_blank(rest->ptr[len])) {
        len++;
    }
    *ret_word = mr_slice(rest->ptr, len);
    *rest = mr_slice(rest->ptr + len, rest->len - len);
    return len > 0;
}

/* The index of `word` among "a|b|c"; -1: it is none. */
static int word_among(struct mr_slice word, const char *words)
{
    for (int i = 0;; i++) {
        size_t len = strcspn(words, "|");
        if (mr_slice_is(word, mr_slice(words, len))) {
            return i;
        }
        if (words[len] == '\0') {
            return -1;
        }
        words += len + 1;
    }
}

/* ---- sources ---- */

bool rule_take_path(struct rule_builder *builder, const struct json_path *path,
                    struct rule_source *ret_source)
{
    struct mr_error err;
    int rc = json_select_add(&builder->rule->select, path, &ret_source->slot, &err);
    if (rc == MR_ENOMEM) {
        return out_of_memory(builder);
    }
    if (rc != 0) {
        rule_problem(builder, "%s", err.text);
        return false;
    }
    ret_source->from = path->is_element ? RULE_FROM_ELEMENT : RULE_FROM_PAYLOAD;
    ret_source->text = path->text;
    builder->rule->reads_data = true;
    return true;
}

bool rule_take_attribute(struct rule_builder *builder, struct mr_slice name,
                         struct rule_source *ret_source)
{
    struct rule *rule = builder->rule;
    size_t slot = 0;
    if (!check_name(name)) {
        rule_problem(builder,
                     "expected a path ($.a.b) or an attribute's name (small letters and digits); "
                     "got '%.*s'",
                     RULE_WORD_ARG(name));
        return false;
    }
    while (slot < rule->attribute_count && !mr_slice_is(rule->attributes[slot], name)) {
        slot++;
    }
    if (slot == RULE_ATTRIBUTES_MAX) {
        rule_problem(builder, "more than %d attributes in one section", RULE_ATTRIBUTES_MAX);
        return false;
    }
    if (slot == rule->attribute_count) {
        rule->attributes[rule->attribute_count++] = name;
    }
    *ret_source = (struct rule_source){RULE_FROM_ATTRIBUTE, (unsigned)slot, name};
    return true;
}

/* The source at the beginning of `rest`, which goes on behind it. */
static bool read_source(struct rule_builder *builder, struct mr_slice *rest,
                        struct rule_source *ret_source)
{
    struct json_path path;
    struct mr_slice word;
    struct mr_error err;
    *rest = slice_trim(*rest);
    if (rest->len == 0 || (rest->ptr[0] != '$' && rest->ptr[0] != '@')) {
        (void)next_word(rest, &word);
        return rule_take_attribute(builder, word, ret_source);
    }
    if (json_path_parse(*rest, false, &path, &err) != 0) {
        rule_problem(builder, "%s", err.text);
        return false;
    }
    *rest = mr_slice(rest->ptr + path.text.len, rest->len - path.text.len);
    return rule_take_path(builder, &path, ret_source);
}

static void unexpected_word(struct rule_builder *builder, struct mr_slice word,
                            const char *expected)
{
    rule_problem(builder, "'%.*s' is not expected here: after the source may stand %s",
                 RULE_WORD_ARG(word), expected);
}

/* ---- names ---- */

/* As it is written in a line. NULL: out of memory. */
static char *escaped(enum line_name kind, struct mr_slice name)
{
    struct mr_buf buf;
    size_t len;
    buf_init(&buf, 2 * name.len + 1);
    (void)line_write_name(kind, name, &buf);
    if (buf_add_char(&buf, '\0') != 0) {
        buf_done(&buf);
        return NULL;
    }
    return buf_take(&buf, &len);
}

/* Whether InfluxDB can take it as it stands. */
static bool is_clean(struct rule_builder *builder, enum line_name kind, struct mr_slice name)
{
    struct mr_buf clean;
    bool is_same;
    buf_init(&clean, name.len + 1);
    if (line_clean(kind, name, &clean) == MR_ENOMEM) {
        builder->is_out_of_memory = true;
    }
    is_same = builder->is_out_of_memory || mr_slice_is(buf_slice(&clean), name);
    buf_done(&clean);
    return is_same;
}

static bool is_reserved(struct mr_slice name)
{
    return mr_slice_is(name, MR_SLICE("time")) || mr_slice_is(name, MR_SLICE("_time")) ||
           mr_slice_is(name, MR_SLICE("_field")) || mr_slice_is(name, MR_SLICE("_measurement"));
}

static bool has_name(const struct rule_values *values, const char *name)
{
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->at[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool rule_add(struct rule_builder *builder, struct rule_values *values, struct mr_slice name,
              struct rule_value value)
{
    struct rule_value *more;
    if (is_reserved(name)) {
        rule_problem(builder, "InfluxDB keeps the name '%.*s' to itself", MR_SLICE_ARG(name));
        return false;
    }
    if (!is_clean(builder, LINE_FIELD, name)) {
        rule_problem(builder,
                     "a name that InfluxDB's line protocol can't carry (a backslash "
                     "before ',', '=', a blank, '\"' or the end, or a control character)");
        return false;
    }
    value.label = value.label.ptr == NULL ? name : value.label;
    value.name = escaped(LINE_FIELD, name);
    more = value.name == NULL ? NULL
                              : mem_realloc(values->at, (values->count + 1) * sizeof *values->at);
    if (more == NULL) {
        mem_free(value.name);
        return out_of_memory(builder);
    }
    values->at = more;
    if (has_name(values, value.name)) {
        rule_problem(builder, "the name '%.*s' is given twice", MR_SLICE_ARG(name));
        mem_free(value.name);
        return false;
    }
    values->at[values->count++] = value;
    return true;
}

/* ---- lines ---- */

static void take_match(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct rule *rule = builder->rule;
    bool is_empty = true;
    struct mr_slice word;
    (void)name;
    while (next_word(&rest, &word)) {
        const char *colon = memchr(word.ptr, ':', word.len);
        size_t len = colon == NULL ? 0 : (size_t)(colon - word.ptr);
        is_empty = false;
        if (colon == NULL || !check_name(mr_slice(word.ptr, len))) {
            rule_problem(builder, "expected attribute:pattern, such as subject:temp/*; got '%.*s'",
                         RULE_WORD_ARG(word));
        } else if (rule->condition_count == RULE_CONDITIONS_MAX) {
            rule_problem(builder, "more than %d conditions", RULE_CONDITIONS_MAX);
            return;
        } else {
            rule->conditions[rule->condition_count++] = (struct rule_condition){
                mr_slice(word.ptr, len), mr_slice(colon + 1, word.len - len - 1)};
        }
    }
    if (is_empty) {
        rule_problem(builder, "expected attribute:pattern; without `match` every event is meant");
    }
}

static void take_name(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct mr_slice word;
    (void)name;
    if (read_source(builder, &rest, &builder->rule->measurement_source) &&
        next_word(&rest, &word)) {
        unexpected_word(builder, word, "nothing");
    }
}

static void take_field(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct rule_value value = {0};
    struct mr_slice word;
    if (!read_source(builder, &rest, &value.source)) {
        return;
    }
    while (next_word(&rest, &word)) {
        int type = word_among(word, "float|integer|unsigned|string|boolean");
        if (type >= 0 && value.type == RULE_ANY) {
            value.type = (enum rule_type)(RULE_FLOAT + type);
        } else if (mr_slice_is(word, MR_SLICE("required")) && !value.is_required) {
            value.is_required = true;
        } else {
            unexpected_word(builder, word,
                            "one of float, integer, unsigned, string, boolean, and 'required'");
            return;
        }
    }
    (void)rule_add(builder, &builder->rule->fields, name, value);
}

static void take_tag(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct rule_value value = {0};
    struct mr_slice word;
    if (mr_slice_is(rest, MR_SLICE("-")) &&
        (mr_slice_is(name, MR_SLICE("application")) || mr_slice_is(name, MR_SLICE("device")))) {
        (void)rule_add(builder, &builder->rule->tags, name, value);
        return;
    }
    if (!read_source(builder, &rest, &value.source)) {
        return;
    }
    while (next_word(&rest, &word)) {
        if (!mr_slice_is(word, MR_SLICE("required")) || value.is_required) {
            unexpected_word(builder, word, "'required' only");
            return;
        }
        value.is_required = true;
    }
    (void)rule_add(builder, &builder->rule->tags, name, value);
}

static void take_time(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct rule *rule = builder->rule;
    struct mr_slice word;
    bool has_unit = false;
    (void)name;
    if (!read_source(builder, &rest, &rule->time)) {
        return;
    }
    while (next_word(&rest, &word)) {
        int unit = word_among(word, "rfc3339|s|ms|us|ns");
        if (unit >= 0 && !has_unit) {
            rule->unit = (enum rule_unit)unit;
            has_unit = true;
        } else if (mr_slice_is(word, MR_SLICE("optional")) && !rule->time_is_optional) {
            rule->time_is_optional = true;
        } else {
            unexpected_word(builder, word, "one of rfc3339, s, ms, us, ns, and 'optional'");
            return;
        }
    }
}

static void take_each(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest)
{
    struct json_path path;
    struct mr_error err;
    int rc = json_path_parse(rest, true, &path, &err);
    (void)name;
    if (rc == 0 && path.is_element) {
        rc = mr_error_set(&err, MR_EFORMAT, "expected a path that begins with '$'");
    }
    if (rc == 0 && path.text.len != rest.len) {
        rc = mr_error_set(&err, MR_EFORMAT, "expected nothing after the path");
    }
    rc = rc == 0 ? json_select_each(&builder->rule->select, &path, &err) : rc;
    if (rc == MR_ENOMEM) {
        builder->is_out_of_memory = true;
    } else if (rc != 0) {
        rule_problem(builder, "%s", err.text);
    } else {
        builder->rule->each = path.text;
        builder->rule->reads_data = true;
    }
}

static void take_setting(struct rule_builder *builder, const struct mr_setting *setting,
                         bool is_each)
{
    static const struct {
        struct mr_slice key;
        void (*take)(struct rule_builder *builder, struct mr_slice name, struct mr_slice rest);
    } keys[] = {
        {MR_SLICE_INIT("each"), take_each},    {MR_SLICE_INIT("match"), take_match},
        {MR_SLICE_INIT("name"), take_name},    {MR_SLICE_INIT("time"), take_time},
        {MR_SLICE_INIT("field."), take_field}, {MR_SLICE_INIT("tag."), take_tag},
    };
    struct mr_slice key = mr_slice_of(setting->key);
    size_t problems = builder->check->count;
    builder->setting = setting;
    for (size_t i = is_each ? 0 : 1; i < (is_each ? 1 : MR_COUNT_OF(keys)); i++) {
        bool is_free = keys[i].key.ptr[keys[i].key.len - 1] == '.';
        if (is_free ? key.len > keys[i].key.len &&
                          memcmp(key.ptr, keys[i].key.ptr, keys[i].key.len) == 0
                    : mr_slice_is(key, keys[i].key)) {
            keys[i].take(builder, mr_slice(key.ptr + keys[i].key.len, key.len - keys[i].key.len),
                         mr_slice_of(setting->value));
            if (builder->check->count > problems) {
                builder->has_bad_field |= keys[i].take == take_field;
                builder->has_bad_identity |= keys[i].take != take_field;
            }
            return;
        }
    }
}

/* ---- the whole rule ---- */

/* The tags that the section doesn't name, and not those that it leaves out. */
static void complete_tags(struct rule_builder *builder)
{
    static const char *const names[] = {"application", "device"};
    struct rule_values *tags = &builder->rule->tags;
    for (size_t i = 0; i < MR_COUNT_OF(names); i++) {
        struct rule_value value = {0};
        if (!has_name(tags, names[i]) &&
            rule_take_attribute(builder, mr_slice_of(names[i]), &value.source)) {
            (void)rule_add(builder, tags, mr_slice_of(names[i]), value);
        }
    }
    for (size_t i = 0; i < tags->count;) {
        if (tags->at[i].source.from != RULE_FROM_NOTHING) {
            i++;
            continue;
        }
        mem_free(tags->at[i].name);
        tags->count--;
        memmove(&tags->at[i], &tags->at[i + 1], (tags->count - i) * sizeof *tags->at);
    }
}

/* By name, as InfluxDB likes them best. */
static void sort_tags(struct rule_values *tags)
{
    for (size_t i = 1; i < tags->count; i++) {
        struct rule_value value = tags->at[i];
        size_t j = i;
        for (; j > 0 && strcmp(tags->at[j - 1].name, value.name) > 0; j--) {
            tags->at[j] = tags->at[j - 1];
        }
        tags->at[j] = value;
    }
}

static bool differs_by_element(const struct rule *rule)
{
    bool differs =
        rule->time.from == RULE_FROM_ELEMENT || rule->measurement_source.from == RULE_FROM_ELEMENT;
    for (size_t i = 0; i < rule->tags.count; i++) {
        differs |= rule->tags.at[i].source.from == RULE_FROM_ELEMENT;
    }
    return differs;
}

void rule_check(struct rule_builder *builder)
{
    const struct rule *rule = builder->rule;
    builder->setting = NULL;
    if (rule->fields.count == 0 && !builder->has_bad_field) {
        rule_problem(builder, builder->place != NULL ? "expected at least one field"
                                                     : "given without a variable FIELD_name");
    }
    for (size_t i = 0; i < rule->fields.count; i++) {
        if (has_name(&rule->tags, rule->fields.at[i].name)) {
            rule_problem(builder, "'%s' is a field and a tag, which InfluxDB can't tell apart",
                         rule->fields.at[i].name);
        }
    }
    if (rule->each.len > 0 && !builder->has_bad_identity && !differs_by_element(rule)) {
        rule_problem(builder,
                     "all elements of `each` would be the same point: take time, name or "
                     "a tag from '@'");
    }
}

static void rule_of_section(struct rule_builder *builder, const struct mr_section *section)
{
    struct rule *rule = builder->rule;
    struct mr_slice name = mr_slice_of(section->name);
    rule->name = section->name;
    rule->takes_strings = true;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < section->count; i++) {
            take_setting(builder, &section->settings[i], pass == 0);
        }
    }
    builder->setting = NULL;
    complete_tags(builder);
    sort_tags(&rule->tags);
    if (rule->measurement_source.from == RULE_FROM_NOTHING &&
        !is_clean(builder, LINE_MEASUREMENT, name)) {
        rule_problem(builder, "a name that InfluxDB's line protocol can't carry");
    } else if (rule->measurement_source.from == RULE_FROM_NOTHING) {
        rule->measurement = escaped(LINE_MEASUREMENT, name);
        builder->is_out_of_memory |= rule->measurement == NULL;
    }
    rule_check(builder);
}

static void values_free(struct rule_values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        mem_free(values->at[i].name);
    }
    mem_free(values->at);
}

static void rule_free(struct rule *rule)
{
    mem_free(rule->measurement);
    values_free(&rule->tags);
    values_free(&rule->fields);
    json_select_done(&rule->select);
    mem_free(rule);
}

void mapping_rules_free(struct mapping_rules *rules)
{
    if (rules == NULL) {
        return;
    }
    for (size_t i = 0; i < rules->count; i++) {
        rule_free(rules->at[i]);
    }
    mem_free(rules->at);
    mem_free(rules);
}

/* NULL: out of memory. */
static struct rule *add_rule(struct mapping_rules *rules)
{
    struct rule *rule = mem_zalloc(sizeof *rule);
    if (rule == NULL) {
        return NULL;
    }
    if (json_select_init(&rule->select) != 0) {
        rule_free(rule);
        return NULL;
    }
    rules->at[rules->count++] = rule;
    return rule;
}

/* Of a section, or (NULL) of the table with these variables. Each finds its own problems, whatever
 * the others have. Errors: MR_ENOMEM. */
static int make_rule(struct mapping_rules *rules, const struct mapping_options *options,
                     const struct mr_section *section, const struct mr_section *variables,
                     struct mr_check *check)
{
    struct mr_check own = {.options = check->options,
                           .first = check->count == 0 ? check->first : NULL};
    struct rule_builder builder = {
        .rule = add_rule(rules), .place = section == NULL ? NULL : section->place, .check = &own};
    if (builder.rule == NULL) {
        return MR_ENOMEM;
    }
    if (section != NULL) {
        rule_of_section(&builder, section);
    } else {
        rule_of_table(&builder, options, variables);
    }
    check->count += own.count;
    return builder.is_out_of_memory ? MR_ENOMEM : 0;
}

/* Errors: MR_ENOMEM. */
static int make_rules(struct mapping_rules *rules, const struct mapping_options *options,
                      struct mr_check *check)
{
    const struct mr_sections *sections = &options->measurements;
    const struct mr_section *variables = NULL;
    bool has_table = options->table != NULL && options->table[0] != '\0';
    size_t problems = check->count;
    int rc = 0;
    rules->at = mem_alloc((sections->count + 1) * sizeof *rules->at);
    if (rules->at == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; rc == 0 && i < sections->count; i++) {
        if (sections->at[i].name[0] == '\0') {
            variables = &sections->at[i];
        } else {
            rc = make_rule(rules, options, &sections->at[i], NULL, check);
        }
    }
    if (rc == 0 && has_table) {
        rc = make_rule(rules, options, NULL, variables, check);
    }
    return rc != 0 ? rc : check->count > problems ? MR_ECONFIG : 0;
}

int mapping_rules_new(const struct mapping_options *options, struct mr_check *check,
                      struct mapping_rules **ret_rules)
{
    struct mapping_rules *rules = mem_zalloc(sizeof *rules);
    int rc = rules == NULL ? MR_ENOMEM : make_rules(rules, options, check);
    if (rc == MR_ENOMEM) {
        mr_check_problem_at(check, "[measurement]", "out of memory");
    }
    if (rc != 0) {
        mapping_rules_free(rules);
        return rc;
    }
    rules->unmatched = (enum mapping_unmatched)options->unmatched;
    *ret_rules = rules;
    return 0;
}

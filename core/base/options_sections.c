// SPDX-License-Identifier: Apache-2.0
/* Named sections: [measurement climate] and its lines are kept in a list, in the order of the file,
 * with the place of each; what the values mean is the owner's affair. */
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"
#include "kit/mem.h"
#include "kit/utf8.h"

enum { FIRST_CAPACITY = 8, NAME_BYTES = OPTIONS_NAME_BYTES * 2 };

struct named *named_find(struct options *options, struct mr_slice kind)
{
    for (size_t i = 0; i < options->named_count; i++) {
        if (mr_slice_is(kind, mr_slice_of(options->named[i].option->key))) {
            return &options->named[i];
        }
    }
    return NULL;
}

/* The capacity is the next power of two: room for one more is made when the count is one. NULL: out
 * of memory; `items` is untouched. */
static void *with_room(void *items, size_t count, size_t size)
{
    if (count == 0) {
        return mem_realloc(items, FIRST_CAPACITY * size);
    }
    if (count < FIRST_CAPACITY || (count & (count - 1)) != 0) {
        return items;
    }
    return mem_realloc(items, 2 * count * size);
}

static struct mr_section *add_section(struct options *options, struct mr_sections *sections,
                                      const char *name, const char *place_text)
{
    struct mr_section *all = with_room(sections->at, sections->count, sizeof *all);
    struct mr_section section = {0};
    if (all != NULL) {
        sections->at = all;
        section.name = mem_strdup(name);
        section.place = mem_strdup(place_text);
    }
    if (section.name == NULL || section.place == NULL) {
        mem_free(section.name);
        mem_free(section.place);
        options_problemf(options, "%s: out of memory", place_text);
        return NULL;
    }
    all[sections->count] = section;
    return &all[sections->count++];
}

static bool is_printable(const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t len = utf8_sequence(text, left);
        if (len == 0 || (unsigned char)*text < 0x20 || *text == 0x7F) {
            return false;
        }
        text += len;
        left -= len;
    }
    return true;
}

bool named_begin(struct options *options, struct named *named, const char *name,
                 const struct place *place)
{
    char text[sizeof place->origin + sizeof place->name + 2]; /* and ": " */
    struct mr_section *section;
    if (*name == '\0' || !is_printable(name)) {
        options_problemf(options, "%s: expected [%s NAME], the name in UTF-8", place->origin,
                         named->option->key);
        return false;
    }
    for (size_t i = 0; i < named->sections->count; i++) {
        section = &named->sections->at[i];
        if (section->line != 0 && strcmp(section->name, name) == 0) {
            options_problemf(options, "%s: %s: given before, in line %u", place->origin,
                             place->name, section->line);
            break; /* what else is wrong with it is said too */
        }
    }
    if (named->sections->count == MR_SECTIONS_MAX) {
        options_problemf(options, "%s: %s: more than %d such sections", place->origin, place->name,
                         MR_SECTIONS_MAX);
        return false;
    }
    (void)snprintf(text, sizeof text, "%s: %s", place->origin, place->name);
    section = add_section(options, named->sections, name, text);
    if (section != NULL) {
        section->line = place->line;
    }
    return section != NULL;
}

/* "field." of "field.*"; 0: the key has no free part. */
static size_t fixed_len(const char *pattern)
{
    size_t len = strlen(pattern);
    return len > 1 && pattern[len - 1] == '*' ? len - 1 : 0;
}

static bool begins_like(const struct mr_option *option, const char *key)
{
    size_t len = fixed_len(option->key);
    return len > 0 && strncmp(key, option->key, len) == 0;
}

bool named_has_key(const struct named *named, const char *key)
{
    for (const struct mr_option *o = named->option->keys; o->key != NULL; o++) {
        if (begins_like(o, key)) {
            return is_printable(key);
        }
    }
    return false;
}

static const struct mr_option *find_key(const struct named *named, const char *key)
{
    for (const struct mr_option *o = named->option->keys; o->key != NULL; o++) {
        size_t len = fixed_len(o->key);
        if (o->text == NULL) {
            continue;
        }
        if (len > 0 ? begins_like(o, key) && key[len] != '\0' : strcmp(o->key, key) == 0) {
            return o;
        }
    }
    return NULL;
}

/* The nearest of the keys, with the free part that was given: "feild.temp" is near "field.temp". */
static void unknown_key(struct options *options, const struct named *named, const char *key,
                        const struct place *place)
{
    char hint[OPTIONS_HINT_BYTES];
    char best[NAME_BYTES] = "";
    const char *dot = strchr(key, '.');
    for (const struct mr_option *o = named->option->keys; o->key != NULL; o++) {
        char candidate[OPTIONS_NAME_BYTES];
        size_t len = fixed_len(o->key);
        int written;
        if (o->text == NULL) {
            continue;
        }
        written = snprintf(candidate, sizeof candidate, "%.*s%s",
                           (int)(len > 0 ? len : strlen(o->key)), o->key,
                           len == 0                        ? ""
                           : dot == NULL || dot[1] == '\0' ? "NAME"
                                                           : dot + 1);
        if (written > 0 && (size_t)written < sizeof candidate) {
            options_nearer(key, candidate, best);
        }
    }
    options_problemf(options, "%s: %s: unknown key%s", place->origin, place->name,
                     options_hint("'", best, "'", hint));
}

static bool add_setting(struct mr_section *section, const char *key, const char *value,
                        const char *place_text, unsigned line)
{
    struct mr_setting setting = {.line = line};
    struct mr_setting *all = with_room(section->settings, section->count, sizeof *all);
    if (all == NULL) {
        return false;
    }
    section->settings = all;
    setting.key = mem_strdup(key);
    setting.value = mem_strdup(value);
    setting.place = mem_strdup(place_text);
    if (setting.key == NULL || setting.value == NULL || setting.place == NULL) {
        mem_free(setting.key);
        mem_free(setting.value);
        mem_free(setting.place);
        return false;
    }
    all[section->count++] = setting;
    return true;
}

static bool is_duplicate(struct options *options, const struct mr_section *section, const char *key,
                         const struct place *place)
{
    for (size_t i = 0; i < section->count; i++) {
        if (strcmp(section->settings[i].key, key) == 0) {
            options_problemf(options, "%s: %s: given before, in line %u", place->origin,
                             place->name, section->settings[i].line);
            return true;
        }
    }
    return false;
}

static void take(struct options *options, struct mr_section *section, const char *key,
                 const struct place *place, const char *value)
{
    char text[sizeof place->origin + sizeof place->name + 2]; /* and ": " */
    if (section->count == MR_SECTION_SETTINGS_MAX) {
        options_problem_at(options, place, "too many lines in this section");
        return;
    }
    (void)snprintf(text, sizeof text, "%s: %s", place->origin, place->name);
    if (!add_setting(section, key, value, text, place->line)) {
        options_problem_at(options, place, "out of memory");
    }
}

void named_apply(struct options *options, struct named *named, const char *key,
                 const struct place *place, const char *value)
{
    struct mr_section *section = &named->sections->at[named->sections->count - 1];
    const struct mr_option *option = find_key(named, key);
    struct option_value checked = {0};
    struct mr_error err;
    if (option == NULL) {
        unknown_key(options, named, key, place);
        return;
    }
    if (is_duplicate(options, section, key, place)) {
        return;
    }
    if (option_value_parse(option, value, &checked, &err) != 0) {
        options_problem_at(options, place, err.text);
        return;
    }
    mr_option_forget(checked.string);
    take(options, section, key, place, value);
}

/* The section without a name, for what the environment gives. */
static struct mr_section *environment_section(struct options *options, struct named *named)
{
    for (size_t i = 0; i < named->sections->count; i++) {
        if (named->sections->at[i].name[0] == '\0') {
            return &named->sections->at[i];
        }
    }
    return add_section(options, named->sections, "", "environment");
}

static void take_free_variable(struct options *options, struct named *named,
                               const struct mr_option *option, const struct place *place,
                               const char *value)
{
    char key[NAME_BYTES];
    struct mr_section *section = environment_section(options, named);
    int len = snprintf(key, sizeof key, "%.*s%s", (int)fixed_len(option->key), option->key,
                       place->name + fixed_len(option->env));
    if (section != NULL && len > 0 && (size_t)len < sizeof key) {
        take(options, section, key, place, value);
    }
}

bool named_take_variable(struct options *options, const struct place *place, const char *value)
{
    for (size_t i = 0; i < options->named_count; i++) {
        struct named *named = &options->named[i];
        for (const struct mr_option *o = named->option->keys; o->key != NULL; o++) {
            size_t len = o->env == NULL ? 0 : fixed_len(o->env);
            if (len > 0 && strncmp(place->name, o->env, len) == 0 && place->name[len] != '\0') {
                take_free_variable(options, named, o, place, value);
                return true;
            }
        }
    }
    return false;
}

static void section_free(struct mr_section *section)
{
    for (size_t i = 0; i < section->count; i++) {
        mem_free(section->settings[i].key);
        mr_option_forget(section->settings[i].value);
        mem_free(section->settings[i].place);
    }
    mem_free(section->settings);
    mem_free(section->name);
    mem_free(section->place);
}

void named_free(struct options *options)
{
    for (size_t i = 0; i < options->named_count; i++) {
        struct mr_sections *sections = options->named[i].sections;
        for (size_t j = 0; j < sections->count; j++) {
            section_free(&sections->at[j]);
        }
        mem_free(sections->at);
        *sections = (struct mr_sections){0};
    }
    mem_free(options->named);
}

// SPDX-License-Identifier: Apache-2.0
/* The sections that go to librdkafka word for word. Kept sorted by source, so that who applies them
 * in order lets the higher source win. */
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"
#include "kit/mem.h"

enum { FIRST_CAPACITY = 16 };

const char *const passthrough_sections[PASSTHROUGH_SECTIONS] = {"kafka.producer", "kafka.consumer",
                                                                "kafka"};

bool passthrough_section(const char *section)
{
    for (size_t i = 0; i < PASSTHROUGH_SECTIONS; i++) {
        if (strcmp(section, passthrough_sections[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void entry_free(struct passthrough *entry)
{
    mem_free(entry->section);
    mem_free(entry->key);
    mr_option_forget(entry->value);
    mem_free(entry->origin);
}

void passthrough_free(struct options *options)
{
    for (size_t i = 0; i < options->passthrough_count; i++) {
        entry_free(&options->passthrough[i]);
    }
    mem_free(options->passthrough);
    mem_free(options->passthrough_states);
}

static bool has_room(struct options *options)
{
    size_t capacity =
        options->passthrough_capacity == 0 ? FIRST_CAPACITY : options->passthrough_capacity * 2;
    struct passthrough *entries;
    struct passthrough_state *states;
    if (options->passthrough_count < options->passthrough_capacity) {
        return true;
    }
    entries = mem_realloc(options->passthrough, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    options->passthrough = entries;
    states = mem_realloc(options->passthrough_states, capacity * sizeof *states);
    if (states == NULL) {
        return false;
    }
    options->passthrough_states = states;
    options->passthrough_capacity = capacity;
    return true;
}

/* Given twice by one file or by the environment: true, and noted. */
static bool is_duplicate(struct options *options, const char *section, const char *key,
                         const struct place *place)
{
    if (place->source == SOURCE_FLAG) {
        return false;
    }
    for (size_t i = 0; i < options->passthrough_count; i++) {
        const struct passthrough *entry = &options->passthrough[i];
        const struct passthrough_state *state = &options->passthrough_states[i];
        if (state->source != place->source || state->file != place->file ||
            strcmp(entry->section, section) != 0 || strcmp(entry->key, key) != 0) {
            continue;
        }
        if (place->source == SOURCE_FILE) {
            options_problemf(options, "%s: %s: given before, in line %u", place->origin,
                             place->name, state->line);
        } else {
            options_problem_at(options, place, "give it with _FILE or without, not both");
        }
        return true;
    }
    return false;
}

static size_t position_for(const struct options *options, const struct place *place)
{
    size_t at = options->passthrough_count;
    while (at > 0 && options->passthrough_states[at - 1].source > place->source) {
        at--;
    }
    return at;
}

/* A file's line says enough; of the environment the variable must be named. */
static char *origin_of(const struct place *place)
{
    char text[sizeof place->origin + sizeof place->name + 2]; /* and ": " */
    if (place->source != SOURCE_ENVIRONMENT) {
        return mem_strdup(place->origin);
    }
    (void)snprintf(text, sizeof text, "%s: %s", place->origin, place->name);
    return mem_strdup(text);
}

static void take(struct options *options, const char *section, const char *key,
                 const struct place *place, const char *value)
{
    struct passthrough entry;
    size_t at;
    size_t after;
    if (is_duplicate(options, section, key, place)) {
        return;
    }
    if (options->passthrough_count == OPTIONS_PASSTHROUGH_MAX) {
        options_problem_at(options, place, "too many settings");
        return;
    }
    entry = (struct passthrough){.section = mem_strdup(section),
                                 .key = mem_strdup(key),
                                 .value = mem_strdup(value),
                                 .origin = origin_of(place)};
    if (entry.section == NULL || entry.key == NULL || entry.value == NULL || entry.origin == NULL ||
        !has_room(options)) {
        entry_free(&entry);
        options_problem_at(options, place, "out of memory");
        return;
    }
    at = position_for(options, place);
    after = options->passthrough_count - at;
    memmove(options->passthrough + at + 1, options->passthrough + at, after * sizeof entry);
    memmove(options->passthrough_states + at + 1, options->passthrough_states + at,
            after * sizeof(struct passthrough_state));
    options->passthrough[at] = entry;
    options->passthrough_states[at] = (struct passthrough_state){
        .source = place->source, .file = place->file, .line = place->line};
    options->passthrough_count++;
}

bool passthrough_takes_file(const char *key)
{
    static const char *const ends[] = {"password", "username", "secret", "pem",
                                       "oauthbearer.config"};
    char stem[OPTIONS_NAME_BYTES];
    for (size_t i = 0; i < MR_COUNT_OF(ends); i++) {
        if (options_without_suffix(key, ends[i], stem, sizeof stem)) {
            return true;
        }
    }
    return false;
}

/* "sasl.password.file" -> "sasl.password". */
static bool names_a_file(const char *key, char plain[static OPTIONS_NAME_BYTES])
{
    return options_without_suffix(key, ".file", plain, OPTIONS_NAME_BYTES) &&
           passthrough_takes_file(plain);
}

void passthrough_apply(struct options *options, const char *section, const char *key,
                       const struct place *place, const char *value)
{
    char plain[OPTIONS_NAME_BYTES];
    char *contents;
    struct mr_error err;
    if (!names_a_file(key, plain)) {
        take(options, section, key, place, value);
        return;
    }
    if (options_value_from_file(value, &contents, &err) != 0) {
        options_problemf(options, "%s: %s: can't read the file: %s", place->origin, place->name,
                         err.text);
        return;
    }
    take(options, section, plain, place, contents);
    mr_option_forget(contents);
}

const struct passthrough *options_passthrough(const struct options *options, size_t *ret_count)
{
    *ret_count = options->passthrough_count;
    return options->passthrough;
}

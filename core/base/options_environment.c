// SPDX-License-Identifier: Apache-2.0
/* Values from the environment and the command line. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/options_internal.h"

#define PREFIX "MILLRACE_"

enum { NAME_BYTES = OPTIONS_NAME_BYTES * 2 };

static bool append_environment(char *out, size_t size, size_t *len, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*len + 1 >= size) {
            return false;
        }
        out[(*len)++] = (char)(*text == '.' ? '_' : toupper((unsigned char)*text));
    }
    out[*len] = '\0';
    return true;
}

bool option_environment_name(const char *section, const char *key, char *ret_name, size_t size)
{
    size_t len = 0;
    return append_environment(ret_name, size, &len, PREFIX) &&
           append_environment(ret_name, size, &len, section) &&
           append_environment(ret_name, size, &len, "_") &&
           append_environment(ret_name, size, &len, key);
}

static struct row *row_of_variable(struct options *options, const char *name)
{
    char candidate[NAME_BYTES];
    for (size_t i = 0; i < options->row_count; i++) {
        struct row *row = &options->rows[i];
        if (option_environment_name(row->section, row->option->key, candidate, sizeof candidate) &&
            strcmp(candidate, name) == 0) {
            return row;
        }
    }
    return NULL;
}

static struct row *row_of_alias(struct options *options, const char *name)
{
    for (size_t i = 0; i < options->row_count; i++) {
        const char *alias = options->rows[i].option->env;
        if (alias != NULL && strcmp(alias, name) == 0) {
            return &options->rows[i];
        }
    }
    return NULL;
}

/* True if `find` knows the name, or what is before _FILE. */
static bool take_variable(struct options *options, const struct place *place, const char *value,
                          struct row *(*find)(struct options *, const char *))
{
    char plain[NAME_BYTES];
    struct row *row = find(options, place->name);
    if (row != NULL) {
        options_apply(options, row, place, value, false);
        return true;
    }
    row = options_without_suffix(place->name, "_FILE", plain, sizeof plain) ? find(options, plain)
                                                                            : NULL;
    if (row != NULL) {
        options_apply(options, row, place, value, true);
        return true;
    }
    return false;
}

/* What Kubernetes puts into every container of a namespace for each service: X_SERVICE_HOST,
 * X_SERVICE_PORT[_NAME], X_PORT, X_PORT_8080_TCP[_...]. */
static bool is_kubernetes_variable(const char *name)
{
    char plain[NAME_BYTES];
    const char *port;
    if (strstr(name, "_SERVICE_PORT") != NULL ||
        options_without_suffix(name, "_SERVICE_HOST", plain, sizeof plain) ||
        options_without_suffix(name, "_PORT", plain, sizeof plain)) {
        return true;
    }
    port = strstr(name, "_PORT_");
    return port != NULL && isdigit((unsigned char)port[6]);
}

/* Which of librdkafka's keys a variable of `section` means: dots and underscores are one in it. */
static const char *passthrough_key(const struct options *options, const char *section,
                                   const char *name)
{
    const struct options_spec *spec = options->spec;
    char candidate[NAME_BYTES];
    for (size_t i = 0; i < spec->passthrough_key_count; i++) {
        if (option_environment_name(section, spec->passthrough_keys[i], candidate,
                                    sizeof candidate) &&
            strcmp(candidate, name) == 0) {
            return spec->passthrough_keys[i];
        }
    }
    return NULL;
}

/* What is behind the section in the name, in small letters and with dots. */
static bool key_by_letters(const char *rest, char ret_key[NAME_BYTES])
{
    size_t at = 0;
    for (; *rest != '\0' && at + 1 < NAME_BYTES; rest++) {
        ret_key[at++] = (char)(*rest == '_' ? '.' : tolower((unsigned char)*rest));
    }
    ret_key[at] = '\0';
    return at > 0 && *rest == '\0';
}

/* MILLRACE_KAFKA_LOG_LEVEL -> log_level, MILLRACE_KAFKA_SASL_PASSWORD_FILE -> sasl.password.file,
 * in `section`, whose part of the name is `prefix_len` long. */
static bool find_passthrough_key(const struct options *options, const char *section,
                                 const char *name, size_t prefix_len, char ret_key[NAME_BYTES])
{
    char plain[NAME_BYTES];
    const char *key;
    if (options->spec->passthrough_keys == NULL) {
        return key_by_letters(name + prefix_len, ret_key);
    }
    key = passthrough_key(options, section, name);
    if (key != NULL) {
        (void)snprintf(ret_key, NAME_BYTES, "%s", key);
        return true;
    }
    key = options_without_suffix(name, "_FILE", plain, sizeof plain)
              ? passthrough_key(options, section, plain)
              : NULL;
    if (key == NULL || !passthrough_takes_file(key)) {
        return false;
    }
    return snprintf(ret_key, NAME_BYTES, "%s.file", key) < NAME_BYTES;
}

static bool take_passthrough_variable(struct options *options, const struct place *place,
                                      const char *value)
{
    for (size_t i = 0; i < PASSTHROUGH_SECTIONS; i++) {
        char key[NAME_BYTES];
        char prefix[NAME_BYTES];
        const char *section = passthrough_sections[i];
        if (option_environment_name(section, "", prefix, sizeof prefix) &&
            strncmp(place->name, prefix, strlen(prefix)) == 0 &&
            find_passthrough_key(options, section, place->name, strlen(prefix), key)) {
            passthrough_apply(options, section, key, place, value);
            return true;
        }
    }
    return false;
}

/* Only within a section: another's variable may well look like one of ours. */
static void nearer_within(const char *name, const char *section, const char *key, char *best)
{
    char candidate[NAME_BYTES];
    char prefix[NAME_BYTES];
    if (option_environment_name(section, "", prefix, sizeof prefix) &&
        strncmp(name, prefix, strlen(prefix)) == 0 &&
        option_environment_name(section, key, candidate, sizeof candidate)) {
        options_nearer(name, candidate, best);
    }
}

static void warn_of_unknown(struct options *options, const char *name)
{
    const struct options_spec *spec = options->spec;
    char hint[OPTIONS_HINT_BYTES];
    char best[NAME_BYTES] = "";
    char shown[OPTIONS_NAME_BYTES * 3];
    (void)snprintf(shown, sizeof shown, "%s", name);
    options_make_harmless(shown);
    if (is_kubernetes_variable(name)) {
        (void)buf_addf(&options->warnings,
                       "environment: %s: ignored, it looks like one that Kubernetes made\n", shown);
        return;
    }
    for (size_t i = 0; i < options->row_count; i++) {
        nearer_within(name, options->rows[i].section, options->rows[i].option->key, best);
    }
    for (size_t i = 0; i < PASSTHROUGH_SECTIONS; i++) {
        for (size_t j = 0; j < spec->passthrough_key_count; j++) {
            nearer_within(name, passthrough_sections[i], spec->passthrough_keys[j], best);
        }
    }
    (void)buf_addf(&options->warnings, "environment: %s: unknown, ignored%s\n", shown,
                   options_hint("", best, "", hint));
}

static void read_variable(struct options *options, struct place *place, const char *value)
{
    if (strncmp(place->name, PREFIX, strlen(PREFIX)) != 0) {
        place->source = SOURCE_ALIAS;
        if (!take_variable(options, place, value, row_of_alias)) {
            (void)named_take_variable(options, place, value);
        }
        return;
    }
    place->source = SOURCE_ENVIRONMENT;
    if (take_variable(options, place, value, row_of_variable)) {
        return;
    }
    if (!is_kubernetes_variable(place->name) && take_passthrough_variable(options, place, value)) {
        return;
    }
    warn_of_unknown(options, place->name);
}

void options_read_environment(struct options *options, char *const *environment)
{
    for (; *environment != NULL; environment++) {
        struct place place = {.origin = "environment"};
        const char *equals = strchr(*environment, '=');
        size_t len = equals == NULL ? 0 : (size_t)(equals - *environment);
        if (len == 0 || len >= NAME_BYTES) {
            continue;
        }
        memcpy(place.name, *environment, len);
        read_variable(options, &place, equals + 1);
    }
}

/* "section.key", or the key alone of the program's own section. */
static struct row *row_of_flag(struct options *options, const char *name)
{
    for (size_t i = 0; i < options->row_count; i++) {
        struct row *row = &options->rows[i];
        size_t len = strlen(row->section);
        if (strncmp(name, row->section, len) == 0 && name[len] == '.' &&
            strcmp(name + len + 1, row->option->key) == 0) {
            return row;
        }
    }
    return options_row(options, options->spec->section, name);
}

/* "kafka.producer" of "kafka.producer.linger.ms"; NULL: it is none of these sections, or holds what
 * no name does, such as a blank and a secret behind it. */
static const char *passthrough_section_of(const char *name)
{
    for (size_t i = 0; i < PASSTHROUGH_SECTIONS && options_is_name(mr_slice_of(name)); i++) {
        size_t len = strlen(passthrough_sections[i]);
        if (strncmp(name, passthrough_sections[i], len) == 0 && name[len] == '.' &&
            name[len + 1] != '\0') {
            return passthrough_sections[i];
        }
    }
    return NULL;
}

static bool take_passthrough_flag(struct options *options, const struct place *place,
                                  const char *name, const char *value)
{
    const char *section = passthrough_section_of(name);
    if (section != NULL) {
        passthrough_apply(options, section, name + strlen(section) + 1, place, value);
    }
    return section != NULL;
}

bool options_has_flag(struct options *options, const char *name)
{
    char plain[NAME_BYTES];
    return row_of_flag(options, name) != NULL || passthrough_section_of(name) != NULL ||
           (options_without_suffix(name, ".file", plain, sizeof plain) &&
            row_of_flag(options, plain) != NULL);
}

const char *options_shown(struct options *options, const char *argument, int position,
                          char ret_shown[OPTIONS_SHOWN_BYTES])
{
    size_t len = strcspn(argument, "=");
    bool is_name = len < OPTIONS_NAME_BYTES && options_is_name(mr_slice(argument, len));
    (void)snprintf(ret_shown, OPTIONS_SHOWN_BYTES, "%.*s", is_name ? (int)len : 0, argument);
    if (!is_name || (argument[0] != '-' && !options_has_flag(options, ret_shown))) {
        (void)snprintf(ret_shown, OPTIONS_SHOWN_BYTES, "argument %d", position);
    }
    return ret_shown;
}

static void unknown_flag(struct options *options, const struct place *place, const char *name)
{
    char hint[OPTIONS_HINT_BYTES];
    char best[NAME_BYTES] = "";
    for (size_t i = 0; i < options->row_count; i++) {
        const struct row *row = &options->rows[i];
        char full[NAME_BYTES];
        int len = snprintf(full, sizeof full, "%s.%s", row->section, row->option->key);
        if (len > 0 && (size_t)len < sizeof full) {
            options_nearer(name, full, best);
        }
        if (strcmp(row->section, options->spec->section) == 0) {
            options_nearer(name, row->option->key, best);
        }
    }
    if (named_find(options, mr_slice(name, strcspn(name, "."))) != NULL) {
        options_problemf(options, "%s: %s: unknown option; sections stand in a file only",
                         place->origin, place->name);
    } else if (options_is_name(mr_slice_of(name))) {
        options_problemf(options, "%s: %s: unknown option%s", place->origin, place->name,
                         options_hint("--", best, "", hint));
    } else {
        options_problemf(options, "%s: an argument that begins with \"--\" is not an option",
                         place->origin);
    }
}

void options_read_word(struct options *options, const char *key, const char *what, const char *word)
{
    struct place place = {.source = SOURCE_FLAG, .origin = "command line"};
    (void)snprintf(place.name, sizeof place.name, "%s (%s)", what, key);
    options_apply(options, options_row(options, options->spec->section, key), &place, word, false);
}

void options_read_flag(struct options *options, const char *name, const char *value)
{
    struct place place = {.source = SOURCE_FLAG, .origin = "command line"};
    char plain[NAME_BYTES];
    struct row *row = row_of_flag(options, name);
    (void)snprintf(place.name, sizeof place.name, "--%s", name);
    if (row != NULL) {
        options_apply(options, row, &place, value, false);
        return;
    }
    row = options_without_suffix(name, ".file", plain, sizeof plain) ? row_of_flag(options, plain)
                                                                     : NULL;
    if (row != NULL) {
        options_apply(options, row, &place, value, true);
    } else if (!take_passthrough_flag(options, &place, name, value)) {
        unknown_flag(options, &place, name);
    }
}

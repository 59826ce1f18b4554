// SPDX-License-Identifier: Apache-2.0
#include "program/settings.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kafka/producer.h"
#include "kafka/worker_loop.h"
#include "kit/mem.h"

extern char **environ;

enum { ALIGNMENT = 16, LINE_BYTES = 2048, NAME_BYTES = 256 };

static const struct mr_option frame_rows[FRAME_TABLE_ROWS] = {
    {.section = "log",
     .key = "level",
     .type = MR_OPTION_ENUM,
     .initial = "info",
     .choices = "error|warn|info|debug",
     .text = "What is logged to standard error: this and what is more serious.",
     .offset = offsetof(struct frame_options, log_level)},
    {.section = "log",
     .key = "format",
     .type = MR_OPTION_ENUM,
     .initial = "logfmt",
     .choices = "logfmt|json",
     .text = "One line a message: key=value pairs, or a JSON object.",
     .offset = offsetof(struct frame_options, log_format)},
    {.section = "admin",
     .key = "listen",
     .type = MR_OPTION_ADDRESS,
     .text = "Where /metrics, /healthz and /readyz are answered over HTTP. Keep it private.",
     .offset = offsetof(struct frame_options, admin_listen)},
    {.section = "admin",
     .key = "shutdown.deadline",
     .type = MR_OPTION_DURATION,
     .initial = "10s",
     .max = INT64_C(3600) * 1000,
     .text = "How long after SIGTERM or SIGINT what is in hand may take to finish (less than "
             "200 ms counts as 200 ms). After it, or at a second signal, the program ends with "
             "status 1; what it had not acknowledged or committed is sent or read again.",
     .offset = offsetof(struct frame_options, shutdown_deadline_ms)},
    MR_OPTION_END};

/* The frame's own option, in the copy of the table that may be changed. */
static struct mr_option *frame_option(struct settings *settings, const char *section,
                                      const char *key)
{
    struct mr_option *option = settings->frame_table;
    while (strcmp(option->section, section) != 0 || strcmp(option->key, key) != 0) {
        option++;
        assert(option->key != NULL);
    }
    return option;
}

int settings_init(struct settings *settings, const struct mr_program_spec *spec,
                  struct mr_error *err)
{
    size_t base = (spec->options_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    memset(settings, 0, sizeof *settings);
    settings->spec = spec;
    settings->kafka.producer_defaults = spec->producer_defaults;
    if (spec->group_count >= OPTIONS_GROUPS_MAX) {
        return mr_error_set(err, MR_EINVAL, "more than %d tables of options",
                            OPTIONS_GROUPS_MAX - 1);
    }
    memcpy(settings->frame_table, frame_rows, sizeof frame_rows);
    frame_option(settings, "admin", "listen")->initial = spec->admin_listen;
    for (size_t i = 0; i < spec->group_count; i++) {
        settings->groups[i] = spec->groups[i];
    }
    settings->groups[spec->group_count] = (struct mr_option_group){settings->frame_table, base};
    kafka_properties_load(&settings->kafka_properties);
    settings->options_spec = (struct options_spec){
        .program = spec->name,
        .section = spec->section,
        .groups = settings->groups,
        .group_count = spec->group_count + 1,
        .passthrough_keys = kafka_properties_names(&settings->kafka_properties),
        .passthrough_key_count = settings->kafka_properties.count};
    settings->target = mem_zalloc(base + sizeof(struct frame_options));
    if (settings->target == NULL) {
        settings_done(settings);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    settings->frame = (void *)((char *)settings->target + base);
    settings->options = options_new(&settings->options_spec, settings->target);
    if (settings->options == NULL) {
        settings_done(settings);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    return 0;
}

void settings_done(struct settings *settings)
{
    options_free(settings->options);
    mem_free(settings->target);
    kafka_properties_free(&settings->kafka_properties);
    settings->options = NULL;
    settings->target = NULL;
}

static void argument_problem(struct settings *settings, const char *argument, const char *text)
{
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "command line: %.200s: %s", argument, text);
    options_add_problem(settings->options, line);
}

/* "section.key" of "--section.key=value". What is too long to be known is cut, and unknown. */
static void copy_name(const char *argument, char ret_name[NAME_BYTES])
{
    (void)snprintf(ret_name, NAME_BYTES, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
}

/* --help and its like, which have no value. Returns NULL if it is none. */
static bool *mode_of(struct settings *settings, const char *argument)
{
    const struct {
        const char *name, *letter;
        bool *flag;
    } modes[] = {{"--check", NULL, &settings->check},
                 {"--help", "-h", &settings->help},
                 {"--version", "-V", &settings->version},
                 {"--markdown", NULL, &settings->markdown}};
    for (size_t i = 0; i < MR_COUNT_OF(modes); i++) {
        if (strcmp(argument, modes[i].name) == 0 ||
            (modes[i].letter != NULL && strcmp(argument, modes[i].letter) == 0)) {
            return modes[i].flag;
        }
    }
    return NULL;
}

/* The program's own, which is an option too. */
static bool is_programs_mode(const struct settings *settings, const char *argument)
{
    return settings->spec->mode != NULL && strncmp(argument, "--", 2) == 0 &&
           strcmp(argument + 2, settings->spec->mode) == 0;
}

static bool take_mode(struct settings *settings, const char *argument)
{
    bool *mode = mode_of(settings, argument);
    char name[NAME_BYTES];
    if (mode != NULL) {
        *mode = true;
    } else if (is_programs_mode(settings, argument)) {
        (void)snprintf(name, sizeof name, "%s.%s", settings->spec->section, settings->spec->mode);
        options_read_flag(settings->options, name, "true");
        return true;
    }
    return mode != NULL;
}

/* Whether it is surely meant as a flag, and no value of the one before it. */
static bool is_flag(struct settings *settings, const char *argument)
{
    char name[NAME_BYTES];
    copy_name(argument, name);
    return strcmp(name, "config") == 0 || mode_of(settings, argument) != NULL ||
           is_programs_mode(settings, argument) || options_has_flag(settings->options, name) ||
           (strchr(argument, '=') != NULL && options_is_name(mr_slice_of(name)));
}

static void take_pair(struct settings *settings, const char *name, const char *value)
{
    if (strcmp(name, "config") != 0) {
        options_read_flag(settings->options, name, value);
    } else if (settings->config != NULL) {
        argument_problem(settings, "--config", "given before; there is one file");
    } else if (*value == '\0') {
        argument_problem(settings, "--config", "expected the name of a file");
    } else {
        settings->config = value;
    }
}

/* A flag without a value. Returns how many arguments it took. */
static int take_bare_flag(struct settings *settings, const char *name, const char *next)
{
    bool has_next = next != NULL && strncmp(next, "--", 2) != 0;
    char flag[LINE_BYTES];
    if (strcmp(name, "config") != 0 && !options_has_flag(settings->options, name)) {
        options_read_flag(settings->options, name, ""); /* says that it is unknown */
        return has_next ? 2 : 1;
    }
    if (has_next) {
        take_pair(settings, name, next);
        return 2;
    }
    (void)snprintf(flag, sizeof flag, "--%s", name);
    if (next == NULL || is_flag(settings, next)) {
        argument_problem(settings, flag, "expected a value after it");
        return 1;
    }
    argument_problem(settings, flag,
                     "expected a value after it; what begins with -- is given as --name=value");
    return 2;
}

/* "--name=value", or "--name" and `next`. Returns how many arguments it took. */
static int take_flag(struct settings *settings, const char *argument, const char *next)
{
    char name[NAME_BYTES];
    const char *equals = strchr(argument, '=');
    copy_name(argument, name);
    if (equals != NULL) {
        take_pair(settings, name, equals + 1);
        return 1;
    }
    return take_bare_flag(settings, name, next);
}

void settings_read_arguments(struct settings *settings, int argc, char **argv)
{
    int i = 1;
    while (i < argc) {
        if (take_mode(settings, argv[i])) {
            i++;
        } else if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
            i += take_flag(settings, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        } else {
            char shown[OPTIONS_SHOWN_BYTES];
            argument_problem(settings, options_shown(settings->options, argv[i], i, shown),
                             "not an option; options are given as --section.key=value");
            i++;
        }
    }
}

static void read_file(struct settings *settings)
{
    if (settings->config == NULL) {
        (void)snprintf(settings->usual_config, sizeof settings->usual_config,
                       "/etc/millrace/%s.conf", settings->spec->name);
        if (access(settings->usual_config, F_OK) != 0) {
            return;
        }
        settings->config = settings->usual_config;
    }
    options_read_file(settings->options, settings->config);
}

static void check_across_options(struct settings *settings)
{
    struct mr_check check = {.options = settings->options};
    if (settings->spec->check != NULL) {
        settings->spec->check(settings->target, &check);
    }
}

/* The library's own parts of the program are known by their tables. */
static void check_kafka(struct settings *settings)
{
    struct mr_check check = {.options = settings->options};
    const struct mr_program_spec *spec = settings->spec;
    bool is_bad = kafka_conf_from_options(settings->options, &settings->kafka) > 0;
    const struct kafka_conf *conf = is_bad ? NULL : &settings->kafka;
    for (size_t i = 0; i < spec->group_count; i++) {
        const void *part = (const char *)settings->target + spec->groups[i].base;
        if (spec->groups[i].table == mr_producer_options) {
            producer_check(&(struct producer_spec){conf, part, spec->name, NULL}, &check);
        } else if (spec->groups[i].table == mr_worker_loop_options) {
            const struct worker_loop_spec worker = {
                .conf = conf, .options = part, .program = spec->name};
            worker_loop_check(&worker, &check);
        }
    }
}

void settings_read_rest(struct settings *settings)
{
    read_file(settings);
    options_read_environment(settings->options, environ);
    options_finish(settings->options);
    check_across_options(settings);
    check_kafka(settings);
}

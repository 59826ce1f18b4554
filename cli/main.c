// SPDX-License-Identifier: Apache-2.0
/* `millrace COMMAND`: finds the command, reads its options (flags, environment, --config FILE) and
 * runs it. Exit status: 0 fine, 1 failed, 2 usage or configuration. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "kit/mem.h"

extern char **environ;

enum {
    TEXT_BYTES_MAX = 256 * 1024,
    NAME_BYTES_MAX = 128,
    FIRST_POSITION = 2, /* of a command's first argument, counted as argv is */
};

static const struct command *const commands[] = {&command_dead, &command_dev, &command_map,
                                                 &command_send, &command_tail};

static void print_usage(FILE *to)
{
    fprintf(to, "usage: millrace COMMAND [OPTIONS]\n       millrace --version\n\ncommands:\n");
    for (size_t i = 0; i < MR_COUNT_OF(commands); i++) {
        fprintf(to, "  %-6s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(to, "\n`millrace COMMAND --help` says more.\n");
}

/* Print `text` and give it back. */
static int print(struct mr_buf *text)
{
    bool is_whole = text->failed == 0;
    if (is_whole) {
        fwrite(text->ptr, 1, text->len, stdout);
    } else {
        fprintf(stderr, "millrace: out of memory\n");
    }
    buf_done(text);
    return fflush(stdout) == 0 && !ferror(stdout) && is_whole ? 0 : 1;
}

static int print_help(const struct command *command, const struct options_spec *spec)
{
    struct mr_buf help;
    buf_init(&help, TEXT_BYTES_MAX);
    (void)buf_addf(&help, "usage: millrace %s %s [--config FILE]\n\n%s\n%s\n", command->name,
                   command->usage, command->summary, command->text == NULL ? "" : command->text);
    (void)buf_add_str(
        &help,
        "  --config FILE  read FILE; none is read unless given\n"
        "  --markdown     print this command's part of docs/CONFIGURATION.md and end\n"
        "  --help         print this and end\n\n"
        "Each option is a line \"key = value\" under its [section] in the file, a "
        "variable\nMILLRACE_SECTION_KEY in the environment, or a flag here; the later "
        "wins.\n");
    (void)options_write_help(spec, &help);
    return print(&help);
}

static int print_markdown(const struct options_spec *spec)
{
    struct mr_buf markdown;
    buf_init(&markdown, TEXT_BYTES_MAX);
    (void)options_write_markdown(spec, &markdown);
    return print(&markdown);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < MR_COUNT_OF(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static const struct mr_option *find_option(const struct command *command, const char *name)
{
    for (const struct mr_option *option = command->options; option->key != NULL; option++) {
        if (strcmp(option->key, name) == 0) {
            return option;
        }
    }
    return NULL;
}

/* "n=count,f=follow" and 'n' give "count". */
static bool long_name(const struct command *command, char letter, char ret_name[NAME_BYTES_MAX])
{
    const char *at = command->short_flags;
    while (at != NULL && *at != '\0') {
        size_t len = strcspn(at, ",");
        if (at[0] == letter && len > 2 && len - 2 < NAME_BYTES_MAX) {
            memcpy(ret_name, at + 2, len - 2);
            ret_name[len - 2] = '\0';
            return true;
        }
        at += len + (at[len] == ',');
    }
    return false;
}

/* What is being read: the arguments behind the command's name, and what came of them. */
struct reading {
    const struct command *command;
    struct options *set;
    int argc;
    char **argv;
    int at;
    bool have_config;
    const char *positional; /* the names that are left of command->positional */
    size_t words;           /* how many have been read */
};

/* An argument may be a secret that stands in the wrong place: it is shown only if it looks like an
 * option. */
static void add_problem(const struct reading *reading, const char *what)
{
    char shown[OPTIONS_SHOWN_BYTES], text[512];
    int position = reading->at + FIRST_POSITION;
    (void)options_shown(reading->set, reading->argv[reading->at], position, shown);
    (void)snprintf(text, sizeof text, "command line: %s: %s", shown, what);
    options_add_problem(reading->set, text);
}

/* The name and what is attached to it: "--count=3", "-n". False: it is no flag. */
static bool take_apart(const struct reading *reading, char ret_name[NAME_BYTES_MAX],
                       const char **ret_value)
{
    const char *argument = reading->argv[reading->at];
    const char *equals = strchr(argument, '=');
    if (argument[1] == '-') {
        /* What is too long to be known is cut, and unknown. */
        (void)snprintf(ret_name, NAME_BYTES_MAX, "%.*s", (int)strcspn(argument + 2, "="),
                       argument + 2);
        *ret_value = equals == NULL ? NULL : equals + 1;
        return true;
    }
    *ret_value = NULL;
    return argument[2] == '\0' && long_name(reading->command, argument[1], ret_name);
}

/* One flag, with its value attached or behind it. Returns how many arguments it took. */
static int read_flag(struct reading *reading)
{
    char name[NAME_BYTES_MAX];
    const char *value;
    const struct mr_option *option;
    const char *next = reading->at + 1 < reading->argc ? reading->argv[reading->at + 1] : NULL;
    int taken = 1;

    if (!take_apart(reading, name, &value)) {
        add_problem(reading, "unknown flag");
        return 1;
    }
    option = find_option(reading->command, name);
    if (value == NULL && option != NULL && option->type == MR_OPTION_BOOLEAN) {
        value = "true";
    } else if (value == NULL && next != NULL) {
        value = next;
        taken = 2;
    }
    if (strcmp(name, "config") != 0 && !options_has_flag(reading->set, name)) {
        options_read_flag(reading->set, name, ""); /* says that it is unknown */
        return taken == 2 && next[0] == '-' ? 1 : taken;
    }
    if (value == NULL) {
        add_problem(reading, "a value is expected after it");
    } else if (strcmp(name, "config") != 0) {
        options_read_flag(reading->set, name, value);
    } else if (reading->have_config) {
        add_problem(reading, "given before; there is one file");
    } else {
        options_read_file(reading->set, value);
        reading->have_config = true;
    }
    return taken;
}

/* One that is no flag. */
static void read_word(struct reading *reading, const char *word)
{
    static const char *const ordinals[] = {"first word", "second word"};
    char name[NAME_BYTES_MAX];
    size_t len = reading->positional == NULL ? 0 : strcspn(reading->positional, ",");
    if (len == 0 || reading->words == MR_COUNT_OF(ordinals)) {
        add_problem(reading, "not expected here");
        return;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)len, reading->positional);
    reading->positional += len + (reading->positional[len] == ',');
    options_read_word(reading->set, name, ordinals[reading->words++], word);
}

static void read_arguments(struct reading *reading)
{
    reading->positional = reading->command->positional;
    while (reading->at < reading->argc) {
        const char *argument = reading->argv[reading->at];
        if (argument[0] == '-' && argument[1] != '\0') {
            reading->at += read_flag(reading);
            continue;
        }
        read_word(reading, argument);
        reading->at++;
    }
}

static bool is_among(const char *flag, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], flag) == 0) {
            return true;
        }
    }
    return false;
}

static int run(const struct command *command, const struct options_spec *spec, int argc,
               char **argv)
{
    int status;
    struct kafka_conf kafka;
    struct kafka_properties properties;
    struct options_spec with_kafka = *spec;
    void *target = mem_zalloc(command->options_size);
    struct options *set = target == NULL ? NULL : options_new(&with_kafka, target);

    if (set == NULL) {
        fprintf(stderr, "millrace: out of memory\n");
        mem_free(target);
        return 1;
    }
    kafka_properties_load(&properties);
    with_kafka.passthrough_keys = kafka_properties_names(&properties);
    with_kafka.passthrough_key_count = properties.count;
    options_read_environment(set, environ);
    read_arguments(&(struct reading){.command = command, .set = set, .argc = argc, .argv = argv});
    options_finish(set);
    if (command->check != NULL) {
        command->check(target, &(struct mr_check){.options = set});
    }
    (void)kafka_conf_from_options(set, &kafka);
    if (options_problem_count(set) > 0) {
        const struct mr_buf *problems = options_problems(set);
        fwrite(problems->ptr, 1, problems->len, stderr);
        fprintf(stderr, "usage: millrace %s %s\n", command->name, command->usage);
        status = 2;
    } else {
        status = command->run(target, &kafka);
    }
    options_free(set);
    kafka_properties_free(&properties);
    mem_free(target);
    return status;
}

int main(int argc, char **argv)
{
    const struct command *command;
    const struct options_spec *spec;
    char program[NAME_BYTES_MAX];

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("millrace %s\n", MILLRACE_VERSION);
        return fflush(stdout) == 0 ? 0 : 1;
    }
    command = find_command(argv[1]);
    if (command == NULL) {
        options_make_harmless(argv[1]);
        fprintf(stderr, "millrace: '%s' is no command\n", argv[1]);
        print_usage(stderr);
        return 2;
    }
    (void)snprintf(program, sizeof program, "millrace %s", command->name);
    spec = &(struct options_spec){
        .program = program,
        .section = command->name,
        .groups = &(struct mr_option_group){.table = command->options, .base = 0},
        .group_count = 1,
        .passes_over_unknown = command->passes_over_unknown,
    };
    if (is_among("--help", argc - 2, argv + 2) || is_among("-h", argc - 2, argv + 2)) {
        return print_help(command, spec);
    }
    if (is_among("--markdown", argc - 2, argv + 2)) {
        return print_markdown(spec);
    }
    return run(command, spec, argc - 2, argv + 2);
}

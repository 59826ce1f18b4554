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

enum { TEXT_BYTES_MAX = 256 * 1024, NAME_BYTES_MAX = 128 };

static const struct command *const commands[] = {&command_dev, &command_tail};

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
    return fflush(stdout) == 0 && is_whole ? 0 : 1;
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

static void add_problem(struct options *set, const char *what, const char *argument)
{
    char text[512];
    (void)snprintf(text, sizeof text, "command line: %s: %s", argument, what);
    options_add_problem(set, text);
}

/* One flag, with its value attached ("--count=3") or in `next`. Returns how many arguments it took.
 */
static int read_flag(const struct command *command, struct options *set, char *argument, char *next)
{
    char name[NAME_BYTES_MAX];
    const char *value = NULL;
    const struct mr_option *option;

    if (argument[1] == '-') {
        size_t len = strcspn(argument + 2, "=");
        if (len >= sizeof name) {
            add_problem(set, "no option has such a long name", argument);
            return 1;
        }
        memcpy(name, argument + 2, len);
        name[len] = '\0';
        value = argument[2 + len] == '=' ? argument + 2 + len + 1 : NULL;
    } else if (argument[2] != '\0' || !long_name(command, argument[1], name)) {
        add_problem(set, "unknown flag", argument);
        return 1;
    }
    option = find_option(command, name);
    if (value == NULL && option != NULL && option->type == MR_OPTION_BOOLEAN) {
        options_read_flag(set, name, "true");
        return 1;
    }
    if (value != NULL) {
        options_read_flag(set, name, value);
        return 1;
    }
    if (next == NULL) {
        add_problem(set, "a value is expected after it", argument);
        return 1;
    }
    if (strcmp(name, "config") == 0) {
        options_read_file(set, next);
    } else {
        options_read_flag(set, name, next);
    }
    return 2;
}

static void read_arguments(const struct command *command, struct options *set, int argc,
                           char **argv)
{
    bool have_positional = false;
    for (int i = 0; i < argc;) {
        if (strncmp(argv[i], "--config=", 9) == 0) {
            options_read_file(set, argv[i] + 9);
            i++;
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            i += read_flag(command, set, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        } else if (command->positional != NULL && !have_positional) {
            options_read_flag(set, command->positional, argv[i]);
            have_positional = true;
            i++;
        } else {
            add_problem(set, "not expected here", argv[i]);
            i++;
        }
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
    void *target = mem_zalloc(command->options_size);
    struct options *set = target == NULL ? NULL : options_new(spec, target);

    if (set == NULL) {
        fprintf(stderr, "millrace: out of memory\n");
        mem_free(target);
        return 1;
    }
    options_read_environment(set, environ);
    read_arguments(command, set, argc, argv);
    options_finish(set);
    kafka_conf_from_options(set, &kafka);
    if (options_problem_count(set) > 0) {
        const struct mr_buf *problems = options_problems(set);
        fwrite(problems->ptr, 1, problems->len, stderr);
        fprintf(stderr, "usage: millrace %s %s\n", command->name, command->usage);
        status = 2;
    } else {
        status = command->run(target, &kafka);
    }
    options_free(set);
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
    };
    if (is_among("--help", argc - 2, argv + 2) || is_among("-h", argc - 2, argv + 2)) {
        return print_help(command, spec);
    }
    if (is_among("--markdown", argc - 2, argv + 2)) {
        return print_markdown(spec);
    }
    return run(command, spec, argc - 2, argv + 2);
}

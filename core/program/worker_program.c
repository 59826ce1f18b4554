// SPDX-License-Identifier: Apache-2.0
/* A worker's main: the program frame around one worker loop. The options struct is the loop's, and
 * behind it the author's. */
#include <assert.h>
#include <stddef.h>

#include <millrace/program.h>
#include <millrace/worker.h>

#include "kafka/worker_loop.h"
#include "program/program_internal.h"

enum {
    ALIGNMENT = 16,
    AUTHOR_AT = (sizeof(struct mr_worker_loop_options) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT,
};

#define ADMIN_LISTEN "127.0.0.1:9103"

/* A process has one main, and a worker's main has one worker. */
static const struct mr_worker_spec *the_spec;
static struct worker_loop_spec loop_spec;
static struct mr_worker *worker;

static const void *author_options(const void *options)
{
    return (const char *)options + AUTHOR_AT;
}

static void check(const void *options, struct mr_check *check)
{
    the_spec->check(author_options(options), check);
}

static int start(struct mr_program *program, struct mr_error *err)
{
    const void *options = mr_program_options(program);
    loop_spec = (struct worker_loop_spec){
        .conf = program_kafka_conf(program),
        .options = options,
        .ops = the_spec->ops,
        .program = the_spec->name,
        .author_options = author_options(options),
        .readiness = program_readiness(program),
    };
    return worker_loop_start(mr_program_loop(program), &loop_spec, &worker, err);
}

static void on_stopped(void *user)
{
    worker = NULL;
    mr_program_drained(user);
}

static void drain(struct mr_program *program)
{
    assert(worker != NULL);
    worker_loop_stop(worker, program_deadline_left_ms(program), on_stopped, program);
}

/* Also when the drain took too long, or a signal came twice. */
static void stop(struct mr_program *program)
{
    if (worker != NULL) {
        worker_loop_stop(worker, 0, on_stopped, program);
    }
}

int mr_worker_main(int argc, char **argv, const struct mr_worker_spec *spec)
{
    const struct mr_option_group groups[] = {{mr_worker_loop_options, 0},
                                             {spec->options, AUTHOR_AT}};
    const struct mr_program_spec program = {
        .name = spec->name,
        .section = spec->section,
        .summary = spec->summary,
        .admin_listen = spec->admin_listen == NULL ? ADMIN_LISTEN : spec->admin_listen,
        .groups = groups,
        .group_count = spec->options == NULL ? 1 : 2,
        .options_size = AUTHOR_AT + spec->options_size,
        .check = spec->check == NULL ? NULL : check,
        .start = start,
        .drain = drain,
        .stop = stop,
    };
    the_spec = spec;
    return mr_program_main(argc, argv, &program);
}

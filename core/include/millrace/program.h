// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_PROGRAM_H
#define MILLRACE_PROGRAM_H

/* The frame of every program: options, log, admin listener, signals, drain.
 *
 * Happy path: options are read and checked -> log -> admin listener -> start() -> the loop runs ->
 * SIGTERM or SIGINT -> not ready -> drain() -> mr_program_drained() -> the last send is settled ->
 * stop() -> the loop runs until the last handle is closed -> exit status 0. What can go wrong: a
 * bad configuration (all of it is said, status 2); the admin address is taken, or start() fails
 * (status 1); the drain is not over by `shutdown.deadline` (stop() all the same, status 1, said
 * so); a second signal (the same, at once). */

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/macros.h>
#include <millrace/options.h>
#include <millrace/producer.h>

struct mr_program;

struct mr_program_spec {
    const char *name;                     /* "millrace-http" */
    const char *section;                  /* "http": of its own options */
    const char *summary;                  /* one sentence for --help */
    const char *admin_listen;             /* default of [admin] listen: "127.0.0.1:9101" */
    const struct mr_option_group *groups; /* its tables; the frame adds [log] and [admin] */
    size_t group_count;
    size_t options_size;                              /* of the struct that the tables fill */
    const struct mr_kafka_default *producer_defaults; /* ends with a NULL key; may be NULL */
    const char *mode;      /* key of a boolean option of its own that `--KEY` alone sets, too */
    const char *mode_text; /* of it, for --help */
    /* What is wrong across options, before anything starts; may be NULL. Called even if single
     * options are wrong: those have their defaults, and a required string may be NULL. */
    void (*check)(const void *options, struct mr_check *check);
    int (*start)(struct mr_program *program, struct mr_error *err);
    /* SIGHUP while running: read again what may change. NULL: the signal has its usual effect. */
    void (*reload)(struct mr_program *program);
    /* Take nothing in, finish, then mr_program_drained(). */
    void (*drain)(struct mr_program *program);
    /* Close every handle; after a failed start() too. What isn't closed 5 s later is cut off: the
     * process ends, with status 1. */
    void (*stop)(struct mr_program *program);
};

/* Flags: --config FILE (default /etc/millrace/<name>.conf if it exists), --check, --help,
 * --version, --markdown (this program's part of docs/CONFIGURATION.md), --section.key=value.
 * Returns the exit status: 0 fine, 1 failed while running, 2 bad configuration or usage. */
MR_API int mr_program_main(int argc, char **argv, const struct mr_program_spec *spec);

MR_API uv_loop_t *mr_program_loop(struct mr_program *program);
MR_API const void *mr_program_options(const struct mr_program *program);
MR_API void mr_program_set_state(struct mr_program *program, void *state);
MR_API void *mr_program_state(const struct mr_program *program);

/* A condition of readiness (a literal name; at most 16 of them); `reason` is NULL when it holds.
 * Main loop. */
MR_API void mr_program_set_ready(struct mr_program *program, const char *condition,
                                 const char *reason);

/* The program's one producer, made at the first call from [kafka], [kafka.producer] and `options`
 * (which the program's own struct contains); closed by the frame after stop(). `ret_producer` may
 * be NULL: the main loop sends through mr_program_port. Main loop. Errors: MR_ECONFIG, MR_ENOMEM,
 * MR_EKAFKA, MR_EIO. */
MR_API int mr_program_producer(struct mr_program *program,
                               const struct mr_producer_options *options,
                               struct mr_producer **ret_producer, struct mr_error *err);

/* A bridge's access to its producer from the main loop, opened with it; NULL before
 * mr_program_producer. */
MR_API struct mr_port *mr_program_port(struct mr_program *program);

/* Of a draining program: nothing is taken in any more, and nothing is in hand but what was sent.
 * The frame waits until every send of mr_program_port is settled (called back), at most until
 * `shutdown.deadline`, and then calls stop(), never from inside this. A send that the deadline cuts
 * short is settled soon after stop(). */
MR_API void mr_program_drained(struct mr_program *program);

/* It has done what it was started for: drain and exit with status 0. */
MR_API void mr_program_finish(struct mr_program *program);

/* Something failed for good (e.g. a listener's socket): drain and exit with status 1. */
MR_API void mr_program_fail(struct mr_program *program, const struct mr_error *err);

#endif

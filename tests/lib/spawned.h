// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SPAWNED_H
#define TESTS_LIB_SPAWNED_H

/* A program of ours in a process of its own, by its path, its standard error read by us. It is
 * killed if the test process ends. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum { SPAWNED_DEADLINE_S = 60, SPAWNED_LOG_BYTES = 64 * 1024 };

struct spawned {
    pid_t pid; /* 0: ended */
    int log_fd;
    char log[SPAWNED_LOG_BYTES]; /* what it has said, terminated; the beginning is kept */
    size_t log_len;
};

/* `arguments` ends with NULL and begins with the program's path. */
void spawned_start(struct spawned *spawned, const char *const *arguments);

/* With this RLIMIT_NOFILE (NULL: ours). */
void spawned_start_limited(struct spawned *spawned, const char *const *arguments,
                           const struct rlimit *descriptors);

/* Wait until it has said `text`; returns what follows it in the log. Fails the test if it ends or
 * the deadline passes. */
const char *spawned_wait_log(struct spawned *spawned, const char *text);

/* The number after `text` in its log, e.g. of "address=127.0.0.1:". */
uint16_t spawned_wait_port(struct spawned *spawned, const char *text);

/* Take what it says, for at most so long. False: it has ended. */
bool spawned_listen(struct spawned *spawned, int ms);

void spawned_signal(const struct spawned *spawned, int signal);

/* Wait for its end; returns the exit status, or 128 + the signal that killed it. */
int spawned_wait(struct spawned *spawned);

#endif

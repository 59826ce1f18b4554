// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_CLI_RUN_H
#define TESTS_LIB_CLI_RUN_H

/* A command as a user runs it. */

#include <sys/types.h>

enum { CLI_OUTPUT_BYTES = 64 * 1024 };

/* Run `path` to its end and return its exit status, or to its first output if `ret_pid` is given.
 * Standard error goes into the same text. `arguments` begins with the name and ends with NULL. */
int cli_run(const char *path, char *const *arguments, char output[CLI_OUTPUT_BYTES],
            pid_t *ret_pid);

#endif

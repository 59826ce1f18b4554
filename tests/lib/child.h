// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_CHILD_H
#define TESTS_LIB_CHILD_H

/* A program in a process of its own, for tests: this same executable, run again with other
 * arguments. Whatever goes wrong fails the test and shows what the child said. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILD_WAIT_MS = 60000, CHILD_OUTPUT_BYTES = 64 * 1024 };

struct child {
    pid_t pid;
    int out;
    int err;
    char output[CHILD_OUTPUT_BYTES]; /* standard error, as far as it was read */
    size_t len;
};

/* `arguments` ends with NULL; the first is the name. */
void child_start(struct child *child, const char *const *arguments);
#define START(child, ...) child_start((child), (const char *const[]){__VA_ARGS__, NULL})

/* What follows `text` on the child's standard error, once a whole line with it is there. */
const char *child_await(struct child *child, const char *text);

/* Wait for its end. Returns its exit status; a death by a signal fails. */
int child_finish(struct child *child);

#define ASSERT_STATUS(child, expected)                                                  \
    do {                                                                                \
        int status_here = child_finish(child);                                          \
        if (status_here != (expected)) {                                                \
            fail_msg("status %d, not %d:\n%s", status_here, expected, (child)->output); \
        }                                                                               \
    } while (0)

/* Everything up to the end of a pipe or connection, terminated; until the next call. */
const char *child_read_all(int fd);

/* The whole answer to one HTTP request to 127.0.0.1, until the next call. */
const char *child_ask(uint16_t port, const char *method, const char *path);

int64_t child_now_ms(void);

/* Before a condition is looked at again. */
void child_breathe(void);

#endif

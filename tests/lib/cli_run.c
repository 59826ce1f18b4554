// SPDX-License-Identifier: Apache-2.0
#include "lib/cli_run.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int cli_run(const char *path, char *const *arguments, char output[CLI_OUTPUT_BYTES], pid_t *ret_pid)
{
    int pipes[2];
    size_t len = 0;
    ssize_t got;
    int status = -1;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(pipes[1], 1);
        (void)dup2(pipes[1], 2);
        (void)close(pipes[0]);
        (void)close(pipes[1]);
        execv(path, arguments);
        _exit(127);
    }
    (void)close(pipes[1]);
    while (len < CLI_OUTPUT_BYTES - 1 &&
           (got = read(pipes[0], output + len, CLI_OUTPUT_BYTES - 1 - len)) > 0) {
        len += (size_t)got;
        if (ret_pid != NULL) {
            break;
        }
    }
    output[len] = '\0';
    (void)close(pipes[0]);
    if (ret_pid != NULL) {
        *ret_pid = pid;
        return 0;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

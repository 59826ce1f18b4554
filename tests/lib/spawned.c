// SPDX-License-Identifier: Apache-2.0
#include "lib/spawned.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/raw_client.h"

void spawned_start(struct spawned *spawned, const char *const *arguments)
{
    spawned_start_limited(spawned, arguments, NULL);
}

void spawned_start_limited(struct spawned *spawned, const char *const *arguments,
                           const struct rlimit *descriptors)
{
    int fds[2];
    pid_t parent = getpid();
    memset(spawned, 0, sizeof *spawned);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    spawned->pid = fork();
    assert_true(spawned->pid >= 0);
    if (spawned->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(fds[1], STDERR_FILENO) < 0 ||
            (descriptors != NULL && setrlimit(RLIMIT_NOFILE, descriptors) != 0)) {
            _exit(126);
        }
        (void)execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    (void)close(fds[1]);
    spawned->log_fd = fds[0];
}

/* False: it has closed its end. */
static bool read_log(struct spawned *spawned, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = spawned->log_fd, .events = POLLIN};
    char dropped[4096];
    size_t room = sizeof spawned->log - 1 - spawned->log_len;
    ssize_t got;
    if (poll(&poll_fd, 1, timeout_ms) <= 0) {
        return true;
    }
    if (room == 0) {
        return read(spawned->log_fd, dropped, sizeof dropped) > 0;
    }
    got = read(spawned->log_fd, spawned->log + spawned->log_len, room);
    if (got <= 0) {
        return false;
    }
    spawned->log_len += (size_t)got;
    spawned->log[spawned->log_len] = '\0';
    return true;
}

bool spawned_listen(struct spawned *spawned, int ms)
{
    return read_log(spawned, ms);
}

const char *spawned_wait_log(struct spawned *spawned, const char *text)
{
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    for (;;) {
        const char *found = strstr(spawned->log, text);
        if (found != NULL) {
            return found + strlen(text);
        }
        if (raw_now_s() > end || !read_log(spawned, 50)) {
            fail_msg("'%s' was not said: %s", text, spawned->log);
        }
    }
}

uint16_t spawned_wait_port(struct spawned *spawned, const char *text)
{
    const char *at = spawned_wait_log(spawned, text);
    while (strchr(at, '\n') == NULL) { /* the whole line */
        at = spawned_wait_log(spawned, text);
        (void)read_log(spawned, 50);
    }
    return (uint16_t)strtoul(at, NULL, 10);
}

void spawned_signal(const struct spawned *spawned, int number)
{
    assert_true(spawned->pid > 0);
    assert_int_equal(kill(spawned->pid, number), 0);
}

int spawned_wait(struct spawned *spawned)
{
    double end = raw_now_s() + SPAWNED_DEADLINE_S;
    int status = 0;
    while (read_log(spawned, 50)) {
        if (raw_now_s() > end) {
            (void)kill(spawned->pid, SIGKILL);
            fail_msg("it did not end: %s", spawned->log);
        }
    }
    assert_int_equal(waitpid(spawned->pid, &status, 0), spawned->pid);
    (void)close(spawned->log_fd);
    spawned->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"

int64_t child_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void child_breathe(void)
{
    (void)poll(NULL, 0, 5);
}

void child_start(struct child *child, const char *const *arguments)
{
    int out[2];
    int err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    memset(child, 0, sizeof *child);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        char **argv;
        memcpy(&argv, &arguments, sizeof argv);
        (void)dup2(out[1], STDOUT_FILENO);
        (void)dup2(err[1], STDERR_FILENO);
        (void)execv("/proc/self/exe", argv);
        _exit(127);
    }
    (void)close(out[1]);
    (void)close(err[1]);
    child->out = out[0];
    child->err = err[0];
}

/* False at the end of the child's standard error, or at the deadline. */
static bool read_some(struct child *child, int64_t until_ms)
{
    struct pollfd pollfd = {.fd = child->err, .events = POLLIN};
    int64_t left = until_ms - child_now_ms();
    ssize_t n;
    if (left <= 0 || poll(&pollfd, 1, (int)left) <= 0) {
        return false;
    }
    n = read(child->err, child->output + child->len, CHILD_OUTPUT_BYTES - 1 - child->len);
    if (n <= 0) {
        return false;
    }
    child->len += (size_t)n;
    child->output[child->len] = '\0';
    return true;
}

const char *child_await(struct child *child, const char *text)
{
    int64_t until_ms = child_now_ms() + CHILD_WAIT_MS;
    const char *found;
    while ((found = strstr(child->output, text)) == NULL || strchr(found, '\n') == NULL) {
        if (!read_some(child, until_ms)) {
            fail_msg("'%s' never came; this did:\n%s", text, child->output);
        }
    }
    return found + strlen(text);
}

int child_finish(struct child *child)
{
    int64_t until_ms = child_now_ms() + CHILD_WAIT_MS;
    int status;
    while (read_some(child, until_ms)) {
    }
    while (waitpid(child->pid, &status, WNOHANG) == 0) {
        if (child_now_ms() > until_ms) {
            (void)kill(child->pid, SIGKILL);
            fail_msg("it doesn't end:\n%s", child->output);
        }
        child_breathe();
    }
    assert_int_equal(close(child->err), 0);
    assert_int_equal(close(child->out), 0);
    if (!WIFEXITED(status)) {
        fail_msg("killed by signal %d:\n%s", WTERMSIG(status), child->output);
    }
    if (strstr(child->output, "a handle was left open") != NULL) {
        fail_msg("%s", child->output);
    }
    return WEXITSTATUS(status);
}

const char *child_read_all(int fd)
{
    static char text[CHILD_OUTPUT_BYTES];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof text - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = '\0';
    return text;
}

const char *child_ask(uint16_t port, const char *method, const char *path)
{
    static char answer[CHILD_OUTPUT_BYTES];
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[256];
    int len = snprintf(request, sizeof request,
                       "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", method, path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, (size_t)len, MSG_NOSIGNAL), len);
    (void)snprintf(answer, sizeof answer, "%s", child_read_all(fd));
    (void)close(fd);
    return answer;
}

// SPDX-License-Identifier: Apache-2.0
#include "lib/raw_client.h"

/* A loop in the same process may use io_uring (libuv 1.45 and later), whose completions interrupt
 * what this thread waits in: calls with a timeout then end with EINTR, and are made again. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

double raw_now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* 0, or an errno. */
static int finish_connect(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    int error = ETIMEDOUT;
    socklen_t len = sizeof error;
    int count;
    do {
        count = poll(&ready, 1, RAW_DEADLINE_S * 1000);
    } while (count < 0 && errno == EINTR);
    if (count == 1) {
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    return error;
}

static ssize_t receive(int fd, void *ret_bytes, size_t len)
{
    ssize_t got;
    do {
        got = recv(fd, ret_bytes, len, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

int raw_connect_try(uint16_t port)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {.tv_sec = RAW_DEADLINE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&name, sizeof name) != 0 &&
        (errno != EINTR || finish_connect(fd) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int raw_connect(uint16_t port)
{
    int fd = raw_connect_try(port);
    assert_true(fd >= 0);
    return fd;
}

void raw_put_bytes(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        assert_true(sent > 0);
        at += sent;
        len -= (size_t)sent;
    }
}

void raw_put(int fd, const char *text)
{
    raw_put_bytes(fd, text, strlen(text));
}

void raw_put_get(int fd, const char *target)
{
    char text[300];
    (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    raw_put(fd, text);
}

static bool get_bytes(int fd, char *ret_bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = receive(fd, ret_bytes + at, len - at);
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    return true;
}

bool raw_get_head(int fd, char ret_head[RAW_HEAD_BYTES])
{
    size_t len = 0;
    while (len < 4 || memcmp(ret_head + len - 4, "\r\n\r\n", 4) != 0) {
        assert_true(len < RAW_HEAD_BYTES - 1);
        if (!get_bytes(fd, ret_head + len, 1)) {
            return false;
        }
        len++;
    }
    ret_head[len] = '\0';
    return true;
}

void raw_begin_body(struct raw_reply *reply)
{
    const char *length = strstr(reply->head, "Content-Length: ");
    assert_memory_equal(reply->head, "HTTP/1.1 ", 9);
    reply->status = (int)strtol(reply->head + 9, NULL, 10);
    reply->body_len = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    reply->body = calloc(1, reply->body_len + 1);
    assert_non_null(reply->body);
}

bool raw_get_reply_try(int fd, bool has_content, struct raw_reply *ret_reply)
{
    memset(ret_reply, 0, sizeof *ret_reply);
    if (!raw_get_head(fd, ret_reply->head)) {
        return false;
    }
    raw_begin_body(ret_reply);
    if (has_content && !get_bytes(fd, ret_reply->body, ret_reply->body_len)) {
        free(ret_reply->body);
        return false;
    }
    return true;
}

void raw_get_reply(int fd, struct raw_reply *ret_reply)
{
    assert_true(raw_get_reply_try(fd, true, ret_reply));
}

void raw_expect(int fd, int status, const char *body)
{
    struct raw_reply reply;
    raw_get_reply(fd, &reply);
    if (reply.status != status) {
        fail_msg("expected %d, got %s%s", status, reply.head, reply.body);
    }
    if (body != NULL) {
        assert_string_equal(reply.body, body);
    }
    free(reply.body);
}

void raw_check_problem(const struct raw_reply *reply, int status, const char *id)
{
    json_t *problem = json_loads(reply->body, 0, NULL);
    if (reply->status != status) {
        fail_msg("expected %d, got %s%s", status, reply->head, reply->body);
    }
    assert_non_null(strstr(reply->head, "\r\nContent-Type: application/problem+json\r\n"));
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    assert_true(json_string_length(json_object_get(problem, "title")) > 0);
    assert_true(json_string_length(json_object_get(problem, "detail")) > 0);
    if (id != NULL) {
        assert_string_equal(json_string_value(json_object_get(problem, "id")), id);
    }
    json_decref(problem);
}

void raw_expect_refusal(int fd, int status)
{
    struct raw_reply reply;
    raw_get_reply(fd, &reply);
    raw_check_problem(&reply, status, NULL);
    assert_non_null(strstr(reply.head, "\r\nConnection: close\r\n"));
    free(reply.body);
    raw_expect_end(fd);
}

void raw_expect_end(int fd)
{
    char byte;
    assert_int_equal(receive(fd, &byte, 1), 0);
    (void)close(fd);
}

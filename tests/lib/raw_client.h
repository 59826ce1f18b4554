// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_RAW_CLIENT_H
#define TESTS_LIB_RAW_CLIENT_H

/* An HTTP client that sends any bytes, over a plain socket of 127.0.0.1, and reads answers one by
 * one. Waits end after RAW_DEADLINE_S; what isn't as expected fails the test. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAW_DEADLINE_S = 60, RAW_HEAD_BYTES = 2048 };

struct raw_reply {
    int status;
    char head[RAW_HEAD_BYTES];
    char *body; /* terminated; freed with free */
    size_t body_len;
};

/* -1: refused. */
int raw_connect_try(uint16_t port);
int raw_connect(uint16_t port);

void raw_put_bytes(int fd, const void *bytes, size_t len);
void raw_put(int fd, const char *text);

/* A GET without content. */
void raw_put_get(int fd, const char *target);

/* A head up to its empty line. False: the connection ended before. */
bool raw_get_head(int fd, char ret_head[RAW_HEAD_BYTES]);

/* The head is there: what it says of the answer, and room for the content. */
void raw_begin_body(struct raw_reply *reply);

/* One answer; `has_content` is false for one to HEAD. False: the connection ended. */
bool raw_get_reply_try(int fd, bool has_content, struct raw_reply *ret_reply);
void raw_get_reply(int fd, struct raw_reply *ret_reply);

/* One answer with this status and content (NULL: any). */
void raw_expect(int fd, int status, const char *body);

/* The content is a problem (RFC 9457 3.1) with its members and this status; the member `id` must
 * be `id`, if that isn't NULL. */
void raw_check_problem(const struct raw_reply *reply, int status, const char *id);

/* A refusal that ends the connection: a problem, then the end, which is closed on our side too. */
void raw_expect_refusal(int fd, int status);
void raw_expect_end(int fd);

/* Seconds of a monotonic clock. */
double raw_now_s(void);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_PASSWORD_WAITERS_H
#define IDENTITY_PASSWORD_WAITERS_H

/* The requests of one loop that wait for the end of a password's check, each no longer than its
 * answer may take. Any number of them waits for the same check. */

#include <uv.h>

#include "bridge/http/identity/password_check.h"
#include "net/http_server.h"

struct password_waiters_config {
    uv_loop_t *loop;
    struct password_checks *checks; /* each check's `user` is the waiters' */
    uint64_t answer_ms;             /* how long one may wait since its request's last byte came */
    /* Its time is up; it waits no more. */
    void (*on_late)(struct http_request *request, void *user);
    void *user;
};

struct password_waiters {
    unsigned magic;
    struct password_waiters_config config;
    uv_timer_t timer;
    void (*closed)(void *user);
};

void password_waiters_init(struct password_waiters *waiters,
                           const struct password_waiters_config *config);

/* The request waits for the check from now on. Errors: MR_ENOMEM. */
int password_waiters_add(struct password_waiters *waiters, struct password_check *check,
                         struct http_request *request);

/* The one that has waited the longest for this check, which waits no more; NULL: none does. */
struct http_request *password_waiters_take(struct password_check *check);

/* The time of all of them is up. */
void password_waiters_end(struct password_waiters *waiters);

/* None waits any more. `closed` is called on the loop, with the config's user. */
void password_waiters_close(struct password_waiters *waiters, void (*closed)(void *user));

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_PASSWORD_CHECK_H
#define IDENTITY_PASSWORD_CHECK_H

/* Passwords of one loop that wait to be checked by crypt(3), which takes from milliseconds to a
 * second. It is done in libuv's thread pool, few at a time: who runs has one of the program's rooms
 * (password_rooms.h). Bounded: `waiting_max`; who would add more is told to come again. */

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/metrics.h>
#include <millrace/slice.h>

#include "bridge/http/identity/attempts.h"
#include "bridge/http/identity/password_rooms.h"
#include "bridge/http/identity/verified_cache.h"

struct password_checks;

enum password_verdict { PASSWORD_WRONG, PASSWORD_RIGHT, PASSWORD_NOT_CHECKED };

/* What is checked; copied. */
struct password_claim {
    struct verified_digest digest; /* who claims the same waits for the same check */
    struct attempts_source source;
    struct mr_slice application;
    struct mr_slice device;
    struct mr_slice hash; /* of the device; of another one if the name isn't known */
    struct mr_slice password;
    bool is_known;
};

struct password_check {
    struct password_check *next; /* in the order of coming; the first ones run */
    struct password_claim claim; /* borrows from `text` */
    void *user;                  /* NULL at first */
    enum password_verdict verdict;
    bool is_running;
    size_t text_bytes;
    char text[];
};

struct password_checks_config {
    uv_loop_t *loop;
    struct password_rooms *rooms; /* all loops'; must outlive it */
    size_t waiting_max;
    struct mr_series *checks_total;  /* crypt(3) was called */
    struct mr_series *waiting_gauge; /* they wait or run */
    /* Asked once before it is run; false: the verdict is PASSWORD_NOT_CHECKED. */
    bool (*may_start)(const struct password_check *check, void *user);
    /* The check's end, on the loop; it is freed when this returns. Its memory is wiped. */
    void (*on_done)(struct password_check *check, void *user);
    void *user;
};

/* Errors: MR_ENOMEM, MR_EIO. */
int password_checks_new(const struct password_checks_config *config,
                        struct password_checks **ret_checks, struct mr_error *err);

/* Those that don't run yet end now, with PASSWORD_NOT_CHECKED; nothing may be added any more.
 * `closed` is called on the loop when the last one has ended and the memory is gone. */
void password_checks_close(struct password_checks *checks, void (*closed)(void *user), void *user);

/* The one that runs or waits with this digest, or NULL. */
struct password_check *password_checks_find(const struct password_checks *checks,
                                            const struct verified_digest *digest);

/* All of them, the oldest first. */
struct password_check *password_checks_first(const struct password_checks *checks);

/* No more of this source now: all places are taken, or (is_shared_out) it has a quarter of them. */
bool password_checks_are_full(const struct password_checks *checks, struct attempts_source source,
                              bool is_shared_out);

/* It waits from now on, and runs once password_checks_start is called. NULL: out of memory. */
struct password_check *password_checks_add(struct password_checks *checks,
                                           const struct password_claim *claim);
void password_checks_start(struct password_checks *checks);

#endif

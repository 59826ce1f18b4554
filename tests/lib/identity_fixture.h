// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_IDENTITY_FIXTURE_H
#define TESTS_LIB_IDENTITY_FIXTURE_H

/* The program millrace-http with auth = basic and a devices file, in front of the mock cluster. All
 * passwords are "sesame" but that of slow@farm, "slow", whose check takes about a second. d1, d2,
 * off (enabled = no) and bare (without a password) are @farm too, plain is not; gateway@farm speaks
 * for room-* and d1. */

#include "lib/bridge_fixture.h"
#include "lib/temporary.h"

#define CHECKS         "millrace_http_password_checks_total"
#define WAITING        "millrace_http_password_checks_waiting"
#define OUTCOME(name)  "millrace_http_authentications_total{outcome=\"" name "\"}"
#define READS(outcome) "millrace_http_devices_reads_total{outcome=\"" outcome "\"}"

struct identity_fixture {
    struct bridge_fixture bridge;
    char path[TEMPORARY_BYTES]; /* of the devices file */
};

/* `extra` are further flags, and ends with NULL. */
void identity_start_at(struct identity_fixture *f, const char *program, const char *const *extra);
#define identity_start(f, extra) identity_start_at((f), BRIDGE_PROGRAM, (extra))
void identity_stop(struct identity_fixture *f);

/* Another devices file, at once. */
void identity_write_devices(const struct identity_fixture *f, const char *text);

/* Send an event; `user` is device:password, or NULL. */
void identity_put(int fd, const char *target, const char *user);

/* The same on a connection of its own, which is returned; ask: with the answer, whose status is
 * returned, and whose content is freed with free; status_of: without. */
int identity_open_and_put(const struct identity_fixture *f, const char *user);
int identity_ask(const struct identity_fixture *f, const char *target, const char *user,
                 struct raw_reply *ret_reply);
int identity_status_of(const struct identity_fixture *f, const char *user);

/* Until the sample is `least` or more. */
void identity_wait_metric(const struct identity_fixture *f, const char *sample, long least);

/* The records of the topic. */
size_t identity_count_stored(struct identity_fixture *f);

#endif

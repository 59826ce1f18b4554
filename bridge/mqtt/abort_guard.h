// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_ABORT_GUARD_H
#define MQTT_ABORT_GUARD_H

/* libmosquitto 2.0 aborts the whole program when a broker sends a property that MQTT doesn't have:
 * it wants to log that without a client, which an assertion forbids (property__read in
 * lib/property_mosq.c, log__printf), and Debian builds it with its assertions. What is called in
 * here comes back instead: abort() lets a handler that doesn't return do that (C11, 7.22.4.1). An
 * abort from anywhere else ends the program as ever. The first call is the main thread's. */

#include <stdbool.h>

/* False: the function has aborted, and holds whatever it held then: what it was called for is to be
 * given up. */
bool abort_guard_call(void (*function)(void *user), void *user);

/* Around what the function calls of ours, whose own aborts must end the program. Returns whether
 * the guard was up, for abort_guard_resume. */
bool abort_guard_suspend(void);
void abort_guard_resume(bool was_up);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_ATTEMPTS_H
#define BRIDGE_HTTP_ATTEMPTS_H

/* How many wrong passwords have come from where, for all loops together. The first failure of an
 * address begins a time; after `failures_max` of them within it nothing more from there is checked
 * until it is over. IPv4 by address, IPv6 by /64: who has one has all of it.
 *
 * Bounded: ATTEMPTS_ADDRESSES_MAX addresses. When more fail at a time, the one whose time is over
 * first is forgotten, so that no one is refused for another's failures; who has more addresses
 * than that is bounded by how much is checked at a time instead (password_check.h). */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/error.h>

#include "net/http_server.h"

enum { ATTEMPTS_ADDRESSES_MAX = 65536 };

struct attempts;

/* What is counted: the address as it stands (IPv4, and such in IPv6's clothes), or its /64. */
struct attempts_source {
    uint64_t bits;
    bool is_v6;
};
struct attempts_source attempts_source_of(const struct http_client_address *address);

/* `failures_max` 0: nothing is ever refused. Errors: NULL when out of memory. */
struct attempts *attempts_new(int64_t failures_max, int64_t time_ms);
void attempts_free(struct attempts *attempts); /* takes NULL */

/* Any thread. `now_ms` is uv_now's clock (CLOCK_MONOTONIC). How long nothing from there is to be
 * checked: 0, or milliseconds. */
int64_t attempts_wait_ms(struct attempts *attempts, struct attempts_source source, uint64_t now_ms);

/* A wrong password has come from there. Any thread. */
void attempts_failed(struct attempts *attempts, struct attempts_source source, uint64_t now_ms);

#endif

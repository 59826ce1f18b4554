// SPDX-License-Identifier: Apache-2.0
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

/* Listening sockets, made by hand: SO_REUSEPORT lets each loop have one of its own, and accepting
 * by hand leaves something to do when descriptors run out. */

#include <stdbool.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/options.h>

enum { LISTENER_BACKLOG = 1024, LISTENER_TEXT_BYTES = MR_HOST_BYTES + 16 };

/* A non-blocking, close-on-exec TCP socket that listens; TCP_NODELAY is handed on to what it
 * accepts. A name is resolved here and now. Errors: MR_ENET (the text names the address and the
 * reason). */
int listener_open(const struct mr_address *address, bool reuse_port, int *ret_fd,
                  uint16_t *ret_port, struct mr_error *err);

/* Whether nobody listens there yet. SO_REUSEPORT would share the address with whoever has set it
 * too, another program of ours included, so before the first socket that is opened with it the
 * address is taken for a moment without. Errors: as listener_open. */
int listener_check_free(const struct mr_address *address, struct mr_error *err);

/* Whether only this machine reaches it: 127.0.0.0/8, ::1 or the name localhost. */
bool listener_is_loopback(const struct mr_address *address);

/* Whether they are the same address, or one of them takes in the other (0.0.0.0, ::): what comes to
 * it would be spread over both with SO_REUSEPORT. Names are compared as they are, but localhost. */
bool listener_overlaps(const struct mr_address *one, const struct mr_address *other);

/* "127.0.0.1:8080", "[::1]:8080". */
void listener_format(const struct mr_address *address, char ret_text[LISTENER_TEXT_BYTES]);

/* An accepted, non-blocking descriptor. -1: none (`ret_is_short` tells whether descriptors or
 * memory have run out; then one client was turned away if `spare_fd`, an open descriptor that is
 * given up for it and opened again, made that possible). */
int listener_accept(int fd, int *spare_fd, bool *ret_is_short);

#endif

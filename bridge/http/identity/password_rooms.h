// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_PASSWORD_ROOMS_H
#define IDENTITY_PASSWORD_ROOMS_H

/* How many passwords the whole program checks at a time: whoever checks one needs a room, and there
 * are few. All loops share libuv's pool of four threads with Kafka's metadata and the reading of
 * the devices file, which must not wait behind crypt(3). Loops that find none queue for one, so
 * that each has its turn. Any thread. */

#include <stdbool.h>

#include "bridge/http/identity/password_hash.h"

enum { PASSWORD_ROOMS = 2 };

struct password_rooms;

/* Who queues: zeroed but for `wake` and `user`. */
struct password_guest {
    void (*wake)(void *user); /* a room is there; on another's thread, must only tell its own */
    void *user;
    struct password_guest *next; /* of the queue */
    struct password_room *room;  /* given, and not taken yet */
    bool is_queueing;
};

/* NULL: out of memory. */
struct password_rooms *password_rooms_new(void);
/* All rooms are back. Takes NULL. */
void password_rooms_free(struct password_rooms *rooms);

/* A room, to be given back. NULL: there is none, and the guest queues until it is woken; then this
 * gives it its room, or password_rooms_leave does without. */
struct password_room *password_rooms_take(struct password_rooms *rooms,
                                          struct password_guest *guest);
void password_rooms_give_back(struct password_rooms *rooms, struct password_room *room);

/* It doesn't queue any more, is never woken after this, and a room it was given goes to the next.
 */
void password_rooms_leave(struct password_rooms *rooms, struct password_guest *guest);

#endif

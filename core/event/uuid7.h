// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_UUID7_H
#define EVENT_UUID7_H

/* UUID version 7 (RFC 9562 5.7): 48 bits of milliseconds, then 26 bits of counter (rand_a and the
 * first 14 of rand_b, RFC 9562 6.2 method 1), then 48 random bits. */

#include <stdint.h>

enum { UUID7_BYTES = 37 }; /* the text and its terminator */

/* The state of one thread (after a fork, of one process); random bits are bought from the system in
 * blocks. */
struct uuid7 {
    uint64_t last_ms;
    uint32_t counter; /* orders ids of the same millisecond; begins anew, at random, in the next */
    unsigned char pool[512];
    unsigned used; /* bytes of `pool` that are spent */
};

/* Both end the process, saying why, if the system has no random bits: ids that can be guessed or
 * repeated would lose events. */
void uuid7_init(struct uuid7 *uuid);

/* A new id at wall-clock time `unix_ms`; sorts after all before it, also if the clock steps back.
 * Lower-case hexadecimal, as RFC 9562 4. */
void uuid7_next(struct uuid7 *uuid, uint64_t unix_ms, char ret_text[UUID7_BYTES]);

#endif

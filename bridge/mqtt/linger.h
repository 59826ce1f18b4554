// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_LINGER_H
#define MQTT_LINGER_H

/* The orderly end of a TCP connection: say that nothing more comes, read and throw away what still
 * does until the peer closes too, then close. Closing with bytes unread makes the system send a
 * reset, and the peer may then never see what was written last. */

#include <stdint.h>
#include <uv.h>

/* Takes the descriptor over; -1 is none. `done` is called on the loop, once, at the latest after
 * `ms_max`. Without memory it is just closed. */
void linger(uv_loop_t *loop, int fd, uint64_t ms_max, void (*done)(void *user), void *user);

#endif

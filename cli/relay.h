// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

/* A TCP relay on the loop: whoever connects to `listen` talks to 127.0.0.1:`target_port`. It gives
 * the embedded broker, which takes whatever port the system picks, an address that can be known
 * beforehand. */

#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/options.h>

struct relay;

/* Errors: MR_ENET (the address can't be listened on: the text says why), MR_ENOMEM. */
int relay_open(uv_loop_t *loop, const struct mr_address *listen, uint16_t target_port,
               struct relay **ret_relay, struct mr_error *err);

/* Close the listener and every connection; the memory is gone when the loop has run them down. */
void relay_close(struct relay *relay);

#endif

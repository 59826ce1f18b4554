// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MESSAGE_COPY_H
#define MQTT_MESSAGE_COPY_H

/* A message's own copy, in one block of memory that belongs to the caller. Pure. (Which one counts
 * of several that a broker sends: subscriptions.h.) */

#include <stddef.h>

#include "bridge/mqtt/message.h"

/* How large the block must be. */
size_t message_copy_bytes(const struct mqtt_message *message);

/* `memory` is aligned as mem_alloc's. `ret_message` borrows from it alone; its payload isn't
 * absent. Returns what is behind the copy. */
char *message_copy_into(const struct mqtt_message *message, void *memory,
                        struct mqtt_message *ret_message);

/* Append bytes at `*at`, which is moved on; absent stays absent. */
struct mr_slice message_copy_slice(struct mr_slice slice, char **at);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_DEVICE_FILE_H
#define BRIDGE_HTTP_DEVICE_FILE_H

/* The devices file, in the manner of the configuration files:
 *
 *     [device sensor-1@farm]
 *     password = $y$j9T$...         a hash of crypt(3); without one it can't use a password
 *     speaks_for = room-* pump-1    devices of its application, an asterisk for any characters
 *     enabled = no                  its name and rights are kept, but it may not send
 *
 * A name is split at its last @; without one the application is "default". Everything that is wrong
 * is told, up to a bound; what is wrong in a part makes the whole file useless. */

#include <millrace/error.h>

#include "bridge/http/devices.h"
#include "kit/buf.h"

enum { DEVICE_PROBLEMS_MAX = 50 };

struct device_problems {
    struct mr_buf text; /* a line each: "devices.conf:7: ...", never with a password or hash */
    size_t count;
};

void device_problems_init(struct device_problems *problems);
void device_problems_done(struct device_problems *problems);

/* Errors: MR_EIO, MR_ELIMIT, MR_EFORMAT, MR_ENOMEM; the problems tell all of it. */
int device_file_read(const char *path, struct devices **ret_devices,
                     struct device_problems *problems);

/* The same of `len` bytes, which are taken over (made with kit/mem.h, one byte longer than `len`);
 * `name` is for messages. */
int device_file_parse(char *bytes, size_t len, const char *name, struct devices **ret_devices,
                      struct device_problems *problems);

#endif

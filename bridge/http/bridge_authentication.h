// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_AUTHENTICATION_H
#define BRIDGE_HTTP_BRIDGE_AUTHENTICATION_H

/* What the bridge's loops have in common to know who may send: the devices file, the wrong
 * passwords of each address, and the rooms that passwords are checked in. Main loop. */

#include "bridge/http/bridge_options.h"
#include "bridge/http/exchange.h"
#include "bridge/http/identity/attempts.h"
#include "bridge/http/identity/authentication_metrics.h"
#include "bridge/http/identity/devices_source.h"
#include "bridge/http/identity/password_rooms.h"

struct bridge_authentication {
    unsigned magic; /* 0: not open, as with auth = none */
    const struct bridge_options *options;
    struct authentication_metrics metrics;
    struct attempts *attempts;
    struct verified_shared *verified; /* NULL: there is one loop */
    struct password_rooms *rooms;
    struct devices_source devices;
    void (*on_closed)(void *user);
    void *user;
};

/* `authentication` is zeroed. `on_new` is told of devices that were read later, and borrows them.
 * With auth = none nothing is opened. Errors: MR_ECONFIG, MR_EIO, MR_ENOMEM; close it then as well.
 */
int bridge_authentication_open(struct bridge_authentication *authentication, uv_loop_t *loop,
                               const struct bridge_options *options,
                               void (*on_new)(struct devices *devices, void *user), void *user,
                               struct mr_error *err);

/* Give a loop's exchanges an authenticator, unless auth = none. Errors: MR_EIO, MR_ENOMEM. */
int bridge_authentication_equip(struct bridge_authentication *authentication, uv_loop_t *loop,
                                struct exchanges *exchanges, struct mr_error *err);

/* Read the devices file again now. Nothing, if it isn't open. */
void bridge_authentication_reload(struct bridge_authentication *authentication);

/* `on_closed` may be called at once (if it isn't open). */
void bridge_authentication_close(struct bridge_authentication *authentication,
                                 void (*on_closed)(void *user), void *user);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_LISTENERS_H
#define BRIDGE_HTTP_BRIDGE_LISTENERS_H

/* What each of the bridge's servers listens on: the plain address, the one with TLS, or both. */

#include "bridge/http/bridge_options.h"
#include "net/http_server.h"

struct bridge_listeners {
    struct http_listener_config of[HTTP_LISTENERS_MAX];
    size_t count;
};

/* `tls` NULL: none with TLS. It is borrowed. `ports` are 0, or those that stand instead of the
 * options': what the first server has got. */
struct bridge_listeners bridge_listeners(const struct bridge_options *options,
                                         struct tls_context *tls,
                                         const uint16_t ports[HTTP_LISTENERS_MAX]);

/* Part of bridge_check. */
void bridge_listeners_check(const struct bridge_options *options, struct mr_check *check);

/* Whether nobody listens there yet. Errors: MR_ENET. */
int bridge_listeners_check_free(const struct bridge_listeners *listeners, struct mr_error *err);

/* A line for each, and a warning where whoever reaches it may write. */
void bridge_listeners_log(const struct bridge_listeners *listeners,
                          const struct bridge_options *options);

#endif

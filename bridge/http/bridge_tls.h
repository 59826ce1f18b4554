// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_TLS_H
#define BRIDGE_HTTP_BRIDGE_TLS_H

/* The bridge's TLS context: made of the files that the options name, and made anew when one of them
 * changes, or when told to. Files that can't be used change nothing, which the log says; the next
 * change is tried again. On the main thread. */

#include <uv.h>

#include "base/file_watch.h"
#include "bridge/http/bridge_metrics.h"
#include "bridge/http/bridge_options.h"
#include "net/tls_context.h"

struct bridge_tls {
    unsigned magic; /* 0: not open */
    const struct bridge_options *options;
    const struct bridge_metrics *metrics;
    struct tls_context *context; /* the latest */
    void (*on_change)(struct tls_context *context, void *user);
    void (*on_closed)(void *user);
    void *user;
    struct file_watch watch;
};

bool bridge_tls_is_wanted(const struct bridge_options *options);

/* What is wrong with the options and with the files themselves. */
void bridge_tls_check(const struct bridge_options *options, struct mr_check *check);

/* `tls` is zeroed. Read the files and watch them; `on_change` is told of each later context, and
 * borrows it. Errors: MR_ECONFIG, MR_ENOMEM, MR_EIO; close it then as well. */
int bridge_tls_open(struct bridge_tls *tls, uv_loop_t *loop, const struct bridge_options *options,
                    const struct bridge_metrics *metrics,
                    void (*on_change)(struct tls_context *context, void *user), void *user,
                    struct mr_error *err);

/* Read the files again now. Nothing, if it isn't open. */
void bridge_tls_reload(struct bridge_tls *tls);

/* `on_closed` may be called at once (if it isn't open). */
void bridge_tls_close(struct bridge_tls *tls, void (*on_closed)(void *user), void *user);

#endif

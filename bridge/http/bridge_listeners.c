// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge_listeners.h"

#include <string.h>

#include <millrace/log.h>

#include "bridge/http/bridge_tls.h"
#include "bridge/http/identity/authentication_options.h"
#include "net/listener.h"

struct bridge_listeners bridge_listeners(const struct bridge_options *options,
                                         struct tls_context *tls,
                                         const uint16_t ports[HTTP_LISTENERS_MAX])
{
    struct bridge_listeners listeners = {.count = 0};
    if (options->plain) {
        listeners.of[listeners.count++].address = options->listen;
    }
    if (tls != NULL) {
        listeners.of[listeners.count].tls = tls;
        listeners.of[listeners.count++].address = options->tls_listen;
    }
    for (size_t i = 0; i < listeners.count; i++) {
        if (ports[i] != 0) {
            listeners.of[i].address.port = ports[i];
        }
    }
    return listeners;
}

/* With several loops the system would share one address out, and every other request would be
 * spoken to in the wrong way. */
void bridge_listeners_check(const struct bridge_options *options, struct mr_check *check)
{
    if (options->plain && bridge_tls_is_wanted(options) &&
        mr_check_is_right(check, NULL, "listen") &&
        listener_overlaps(&options->listen, &options->tls_listen)) {
        mr_check_problem(check, NULL, "tls.listen",
                         "must differ from listen: the one speaks TLS, the other plain HTTP (or "
                         "set plain = false)");
    }
}

int bridge_listeners_check_free(const struct bridge_listeners *listeners, struct mr_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < listeners->count && rc == 0; i++) {
        rc = listener_check_free(&listeners->of[i].address, err);
    }
    return rc;
}

static void log_one(const struct http_listener_config *listener,
                    const struct bridge_options *options)
{
    char text[LISTENER_TEXT_BYTES];
    listener_format(&listener->address, text);
    mr_log(MR_LOG_INFO, listener->tls == NULL ? "listening" : "listening with TLS",
           MR_STR("address", text), MR_INT("loops", options->loops));
    authentication_options_warn(options, &listener->address, listener->tls != NULL);
}

void bridge_listeners_log(const struct bridge_listeners *listeners,
                          const struct bridge_options *options)
{
    for (size_t i = 0; i < listeners->count; i++) {
        log_one(&listeners->of[i], options);
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge_authentication.h"

#include "kit/magic.h"

enum { AUTHENTICATION_MAGIC = 0x42415554 };

int bridge_authentication_open(struct bridge_authentication *authentication, uv_loop_t *loop,
                               const struct bridge_options *options,
                               void (*on_new)(struct devices *devices, void *user), void *user,
                               struct mr_error *err)
{
    if (options->auth == BRIDGE_AUTH_NONE) {
        return 0;
    }
    authentication->options = options;
    authentication_metrics_init(&authentication->metrics);
    authentication->attempts = attempts_new(options->attempts_max, options->attempts_ms);
    authentication->rooms = password_rooms_new();
    if (authentication->attempts == NULL || authentication->rooms == NULL) {
        attempts_free(authentication->attempts);
        password_rooms_free(authentication->rooms);
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    if (options->loops > 1) {
        size_t count_max = (size_t)(options->password_cache_max * options->loops);
        int rc = verified_shared_new(count_max, &authentication->verified, err);
        if (rc != 0) {
            attempts_free(authentication->attempts);
            password_rooms_free(authentication->rooms);
            return rc;
        }
    }
    authentication->magic = AUTHENTICATION_MAGIC;
    return devices_source_open(&authentication->devices, loop, bridge_file(options->devices),
                               &authentication->metrics, on_new, user, err);
}

int bridge_authentication_equip(struct bridge_authentication *authentication, uv_loop_t *loop,
                                struct exchanges *exchanges, struct mr_error *err)
{
    if (authentication->magic == 0) {
        return 0;
    }
    const struct authenticator_config config = {
        .loop = loop,
        .options = authentication->options,
        .devices = authentication->devices.devices,
        .attempts = authentication->attempts,
        .verified = authentication->verified,
        .rooms = authentication->rooms,
        .metrics = &authentication->metrics,
        .on_decided = exchange_go_on,
        .user = exchanges,
    };
    return authenticator_open(&config, &exchanges->authenticator, err);
}

void bridge_authentication_reload(struct bridge_authentication *authentication)
{
    if (authentication->magic != 0) {
        devices_source_read_again(&authentication->devices);
    }
}

static void on_devices_closed(struct devices_source *devices)
{
    struct bridge_authentication *authentication =
        CONTAINER_OF(devices, struct bridge_authentication, devices);
    MAGIC_CHECK(authentication, AUTHENTICATION_MAGIC);
    attempts_free(authentication->attempts);
    verified_shared_free(authentication->verified);
    password_rooms_free(authentication->rooms);
    authentication->magic = 0;
    authentication->on_closed(authentication->user);
}

void bridge_authentication_close(struct bridge_authentication *authentication,
                                 void (*on_closed)(void *user), void *user)
{
    authentication->on_closed = on_closed;
    authentication->user = user;
    if (authentication->magic == 0) {
        on_closed(user);
        return;
    }
    devices_source_close(&authentication->devices, on_devices_closed);
}

// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_BRIDGE_OPTIONS_H
#define MQTT_BRIDGE_OPTIONS_H

#include <stddef.h>

#include <millrace/options.h>
#include <millrace/producer.h>

#include "bridge/mqtt/routes.h"

enum { BRIDGE_CONNECTIONS_MAX = 64, BRIDGE_RECEIVE_MAX = 65535 /* MQTT 5.0, 3.1.2.11.3 */ };

/* protocol */
enum { BRIDGE_PROTOCOL_5, BRIDGE_PROTOCOL_3_1_1 };

struct bridge_options {
    struct mr_address broker;
    int protocol;
    char *client_id; /* NULL: by the host's name */
    int64_t connections;
    char *group; /* NULL: subscriptions aren't shared */
    int64_t session_expiry_ms;
    int64_t keep_alive_ms;
    int64_t in_flight_max; /* of a connection */
    int64_t in_flight_bytes_max;
    int64_t packet_bytes_max;
    char *user;
    char *password;
    bool tls;
    char *tls_ca; /* file names: see bridge_file */
    char *tls_certificate;
    char *tls_key;
    bool tls_verify_name;
    char *tls_alpn;
    int64_t reconnect_ms_max;
    bool retire;
    struct routes_options routes;
    struct mr_producer_options producer;
};

/* A value that may be left out; an empty one is none: NULL. */
static inline const char *bridge_text(const char *value)
{
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* [mqtt]: our own, then mr_producer_options. */
enum { BRIDGE_OPTION_GROUPS = 2 };
extern const struct mr_option_group bridge_option_groups[BRIDGE_OPTION_GROUPS];

#endif

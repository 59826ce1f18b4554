// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/bridge_options.h"

#include <stddef.h>

#define AT(field) .offset = offsetof(struct bridge_options, field)

/* clang-format off */
static const struct mr_option table[] = {
    {.key = "broker", .type = MR_OPTION_ADDRESS, .initial = "127.0.0.1:1883",
     .text = "The MQTT broker.", AT(broker)},
    {.key = "protocol", .type = MR_OPTION_ENUM, .initial = "5", .choices = "5|3.1.1",
     .text = "The version of MQTT that is spoken to the broker. Devices may speak any that the broker does.", AT(protocol)},
    {.key = "client.id", .type = MR_OPTION_STRING,
     .text = "By which the broker knows this bridge's session, so keep it: millrace-mqtt- and the host's name if not given. With connections above 1, -1, -2, ... are put behind it. No two clients of a broker may have the same.", AT(client_id)},
    {.key = "connections", .type = MR_OPTION_INTEGER, .initial = "1", .min = 1, .max = BRIDGE_CONNECTIONS_MAX, .unit = "connections",
     .text = "Connections to the broker, each with a session of its own. They share what is published, so more than one needs group.", AT(connections)},
    {.key = "group", .type = MR_OPTION_STRING,
     .text = "Name of a shared subscription ($share): all bridges and connections with the same one share what is published. End one for good with --retire only, since the broker keeps a share for it.", AT(group)},
    {.key = "session.expiry", .type = MR_OPTION_DURATION, .initial = "168h", .min = 1000, .max = INT64_C(4294967294) * 1000,
     .text = "How long the broker keeps the session, and what is published meanwhile, while the bridge is away (MQTT 5; with 3.1.1 the broker decides).", AT(session_expiry_ms)},
    {.key = "keep.alive", .type = MR_OPTION_DURATION, .initial = "60s", .min = 5000, .max = INT64_C(65535) * 1000,
     .text = "MQTT's keep alive, in whole seconds. Nothing is sent to the broker while Kafka hasn't stored what came from it; when that takes about so long, the bridge closes the connection and stays away until Kafka has it.", AT(keep_alive_ms)},
    {.key = "in_flight.max", .type = MR_OPTION_INTEGER, .initial = "1000", .min = 1, .max = BRIDGE_RECEIVE_MAX, .unit = "messages",
     .text = "Messages of one connection that are not acknowledged yet (MQTT 5: Receive Maximum); so many may come twice after the bridge was killed. The broker has a limit of its own: mosquitto's max_inflight_messages is 20 unless raised.", AT(in_flight_max)},
    {.key = "in_flight.bytes.max", .type = MR_OPTION_SIZE, .initial = "32MiB", .min = 65536, .max = 1099511627776,
     .text = "Bytes of the messages of one connection that are not acknowledged yet, before reading pauses.", AT(in_flight_bytes_max)},
    {.key = "message.max", .type = MR_OPTION_SIZE, .initial = "16MiB", .min = 1024, .max = 268435460,
     .text = "The largest packet that the broker may send (MQTT 5: Maximum Packet Size). A broker throws away what is larger, so it should be more than devices publish. What fits here but not into one message of Kafka becomes a dead letter.", AT(packet_bytes_max)},
    {.key = "user", .type = MR_OPTION_STRING,
     .text = "Who the bridge is to the broker.", AT(user)},
    {.key = "password", .type = MR_OPTION_STRING, .flags = MR_OPTION_SECRET,
     .text = "The user's password.", AT(password)},
    {.key = "tls", .type = MR_OPTION_BOOLEAN, .initial = "false",
     .text = "Whether TLS is spoken to the broker.", AT(tls)},
    {.key = "tls.ca", .type = MR_OPTION_STRING,
     .text = "File with the certificates (PEM) of those who may have signed the broker's; the system's if not given. Read at each connect, as the other files. Give its name: .file and _FILE are not for it.", AT(tls_ca)},
    {.key = "tls.certificate", .type = MR_OPTION_STRING,
     .text = "File with the bridge's own certificate, followed by those between it and its root (PEM). Give its name: .file and _FILE are not for it.", AT(tls_certificate)},
    {.key = "tls.key", .type = MR_OPTION_STRING,
     .text = "File with the certificate's private key (PEM, without a pass phrase). Give its name: .file and _FILE are not for it.", AT(tls_key)},
    {.key = "tls.verify.name", .type = MR_OPTION_BOOLEAN, .initial = "true",
     .text = "Whether the broker's certificate must be for the name (or address) in broker. Without that anyone with a certificate of tls.ca can take what is meant for the broker.", AT(tls_verify_name)},
    {.key = "tls.alpn", .type = MR_OPTION_STRING,
     .text = "The protocol that TLS asks for (ALPN), e.g. mqtt, or x-amzn-mqtt-ca for AWS IoT at port 443.", AT(tls_alpn)},
    {.key = "reconnect.max", .type = MR_OPTION_DURATION, .initial = "30s", .min = 100, .max = 3600000,
     .text = "The longest pause between two attempts to connect. They go on for ever, each pause about twice the one before: from 100 ms on, or from 2 s on when the broker refuses the bridge.", AT(reconnect_ms_max)},
    {.key = "retire", .type = MR_OPTION_BOOLEAN, .initial = "false",
     .text = "Don't run, but end the sessions of these client ids for good, as --retire: unsubscribe, store what the broker still has for them, and let them expire.", AT(retire)},
    ROUTES_OPTIONS(struct bridge_options, routes),
    MR_OPTION_END,
};
/* clang-format on */

const struct mr_option_group bridge_option_groups[BRIDGE_OPTION_GROUPS] = {
    {table, 0},
    {mr_producer_options, offsetof(struct bridge_options, producer)},
};

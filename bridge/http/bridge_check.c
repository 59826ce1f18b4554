// SPDX-License-Identifier: Apache-2.0
/* What is wrong across the options, before anything starts. */
#include "bridge/http/bridge.h"
#include "bridge/http/bridge_listeners.h"
#include "bridge/http/bridge_tls.h"
#include "bridge/http/identity/authentication_options.h"
#include "bridge/http/identity/identity.h"
#include "kafka/producer.h"
#include "net/http_server.h"

enum {
    ENVELOPE_OWN_BYTES = 4096, /* names of attributes, id, time, type, lengths and framing */
};

struct http_limits bridge_limits(const struct bridge_options *options)
{
    return (struct http_limits){.head_bytes_max = (size_t)options->header_bytes_max,
                                .body_bytes_max = (size_t)options->body_bytes_max,
                                .head_option = "header.max",
                                .body_option = "body.max",
                                .length_required = true};
}

/* What an event's record holds besides the data, at most. The attributes come from the head, and
 * are written twice: into the value and as headers. The source is percent-encoded, which can make
 * an application and a device three times as long, and so is the key. A certificate's names are not
 * in the head: an application, a device and a gateway. */
static int64_t envelope_bytes_max(const struct bridge_options *options)
{
    bool has_certificates =
        options->auth == BRIDGE_AUTH_CERTIFICATE || options->auth == BRIDGE_AUTH_ANY;
    int64_t names_bytes = has_certificates ? 2 * 3 * IDENTITY_NAME_BYTES_MAX : 0;
    return 2 * options->header_bytes_max + 3 * (3 * 2 * IDENTITY_NAME_BYTES_MAX) + names_bytes +
           ENVELOPE_OWN_BYTES;
}

static void check_message_bytes(const struct bridge_options *options, struct mr_check *check)
{
    int64_t envelope_bytes = envelope_bytes_max(options);
    int64_t message_bytes = (int64_t)producer_check_message_bytes_max(check);
    if (message_bytes > 0 && options->body_bytes_max + envelope_bytes > message_bytes) {
        mr_check_problem(check, NULL, "body.max",
                         "%lld bytes, and up to %lld of an event's attributes (twice header.max "
                         "and %lld more), are over Kafka's limit of one message: message.max.bytes "
                         "of [kafka.producer] is %lld",
                         (long long)options->body_bytes_max, (long long)envelope_bytes,
                         (long long)(envelope_bytes - 2 * options->header_bytes_max),
                         (long long)message_bytes);
    }
}

/* What can never be taken must not be answered 503, "later", for ever. */
void bridge_check(const void *data, struct mr_check *check)
{
    const struct bridge_options *options = data;
    const struct http_limits limits = bridge_limits(options);
    int64_t request_bytes = (int64_t)http_server_request_bytes_max(&limits);
    int64_t envelope_bytes = envelope_bytes_max(options);
    int64_t record_bytes = options->body_bytes_max + envelope_bytes;
    authentication_options_check(options, check);
    bridge_tls_check(options, check);
    bridge_listeners_check(options, check);
    if (!mr_check_is_right(check, NULL, "body.max") ||
        !mr_check_is_right(check, NULL, "header.max")) {
        return;
    }
    if (options->in_flight_bytes_max < request_bytes) {
        mr_check_problem(check, NULL, "in_flight.bytes.max",
                         "must be %lld bytes or more: one request of body.max and header.max takes "
                         "so much memory",
                         (long long)request_bytes);
    }
    if (options->producer.queue_bytes_max < record_bytes) {
        mr_check_problem(check, NULL, "queue.bytes.max",
                         "must be %lld bytes or more: body.max, twice header.max and %lld more, so "
                         "that the largest event has room",
                         (long long)record_bytes,
                         (long long)(envelope_bytes - 2 * options->header_bytes_max));
    }
    check_message_bytes(options, check);
}

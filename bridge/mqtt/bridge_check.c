// SPDX-License-Identifier: Apache-2.0
/* What is wrong across the options, before anything starts. */
#include "bridge/mqtt/bridge.h"

#include <string.h>

#include "bridge/mqtt/broker_tls.h"
#include "bridge/mqtt/kafka_names.h"
#include "bridge/mqtt/routes.h"
#include "kafka/kafka_topics.h"
#include "kafka/producer.h"

static void check_sharing(const struct bridge_options *options, struct mr_check *check)
{
    const char *group = bridge_text(options->group);
    if (options->connections > 1 && group == NULL &&
        mr_check_is_right(check, NULL, "connections")) {
        mr_check_problem(check, NULL, "connections",
                         "more than one needs group: each would get all that is published");
    }
    if (group != NULL && group[strcspn(group, "/+#")] != '\0') {
        mr_check_problem(check, NULL, "group", "must not contain /, + or #");
    }
}

static void check_access(const struct bridge_options *options, struct mr_check *check)
{
    if (bridge_text(options->password) != NULL && bridge_text(options->user) == NULL) {
        mr_check_problem(check, NULL, "password", "needs user");
    }
}

static void check_sizes(const struct bridge_options *options, struct mr_check *check)
{
    int64_t record_bytes = (int64_t)producer_check_message_bytes_max(check);
    if (options->in_flight_bytes_max < options->packet_bytes_max &&
        mr_check_is_right(check, NULL, "message.max")) {
        mr_check_problem(check, NULL, "in_flight.bytes.max", "must be message.max or more");
    }
    if (record_bytes > 0 && options->producer.queue_bytes_max < record_bytes) {
        mr_check_problem(check, NULL, "queue.bytes.max",
                         "must be %lld bytes or more: message.max.bytes of [kafka.producer], so "
                         "that the largest event has room",
                         (long long)record_bytes);
    }
}

static void check_dead_letters(const struct bridge_options *options, struct mr_check *check)
{
    const char *topic = options->producer.topic;
    if (topic != NULL && strlen(topic) <= TOPICS_NAME_BYTES_MAX &&
        strlen(topic) + strlen(KAFKA_NAMES_DEAD) > TOPICS_NAME_BYTES_MAX) {
        mr_check_problem(check, NULL, "topic",
                         "too long: with " KAFKA_NAMES_DEAD
                         " behind it, it must have %d characters "
                         "or less",
                         TOPICS_NAME_BYTES_MAX);
    }
}

void bridge_check(const void *data, struct mr_check *check)
{
    const struct bridge_options *options = data;
    check_sharing(options, check);
    check_access(options, check);
    broker_tls_check(options, check);
    check_sizes(options, check);
    check_dead_letters(options, check);
    routes_check(&options->routes, options->producer.topic, check);
}

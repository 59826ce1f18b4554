// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>

#include "bridge/mqtt/bridge.h"
#include "bridge/mqtt/bridge_options.h"

/* What a broker keeps for us is never given up: it would only come again. */
static const struct mr_kafka_default producer_defaults[] = {
    {"message.timeout.ms", "0"},
    {NULL, NULL},
};

int main(int argc, char **argv)
{
    const struct mr_program_spec spec = {
        .name = "millrace-mqtt",
        .section = "mqtt",
        .summary = "Takes what devices publish over MQTT and stores it in Kafka as CloudEvents.",
        .admin_listen = "127.0.0.1:9102",
        .groups = bridge_option_groups,
        .group_count = BRIDGE_OPTION_GROUPS,
        .options_size = sizeof(struct bridge_options),
        .producer_defaults = producer_defaults,
        .mode = "retire",
        .mode_text = "end the sessions at the broker for good, and end",
        .check = bridge_check,
        .start = bridge_start,
        .drain = bridge_drain,
        .stop = bridge_stop,
    };
    return mr_program_main(argc, argv, &spec);
}

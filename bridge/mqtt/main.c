// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/bridge.h"
#include "bridge/mqtt/bridge_options.h"

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
        .check = bridge_check,
        .start = bridge_start,
        .drain = bridge_drain,
        .stop = bridge_stop,
    };
    return mr_program_main(argc, argv, &spec);
}

// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge.h"
#include "bridge/http/bridge_options.h"

int main(int argc, char **argv)
{
    const struct mr_program_spec spec = {
        .name = "millrace-http",
        .section = "http",
        .summary = "Takes events from devices over HTTP and stores them in Kafka as CloudEvents.",
        .admin_listen = "127.0.0.1:9101",
        .groups = bridge_option_groups,
        .group_count = BRIDGE_OPTION_GROUPS,
        .options_size = sizeof(struct bridge_options),
        .check = bridge_check,
        .start = bridge_start,
        .reload = bridge_reload,
        .drain = bridge_drain,
        .stop = bridge_stop,
    };
    return mr_program_main(argc, argv, &spec);
}

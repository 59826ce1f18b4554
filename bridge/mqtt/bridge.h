// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_BRIDGE_H
#define MQTT_BRIDGE_H

/* The bridge's life: start, drain and stop of mr_program_spec. Its options are
 * struct bridge_options. */

#include <millrace/program.h>

#include "bridge/mqtt/bridge_options.h"

/* bridge_check.c: what is wrong across the options. */
void bridge_check(const void *options, struct mr_check *check);

int bridge_start(struct mr_program *program, struct mr_error *err);
void bridge_drain(struct mr_program *program);
void bridge_stop(struct mr_program *program);

#endif

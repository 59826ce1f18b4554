// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_H
#define BRIDGE_HTTP_BRIDGE_H

/* The bridge's life: start, drain and stop of mr_program_spec. Its options are
 * struct bridge_options. */

#include <millrace/program.h>

void bridge_check(const void *options, struct mr_check *check);
int bridge_start(struct mr_program *program, struct mr_error *err);
void bridge_reload(struct mr_program *program);
void bridge_drain(struct mr_program *program);
void bridge_stop(struct mr_program *program);

#endif

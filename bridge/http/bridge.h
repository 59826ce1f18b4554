// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_H
#define BRIDGE_HTTP_BRIDGE_H

/* The bridge's life: start, drain and stop of mr_program_spec. Its options are
 * struct bridge_options. */

#include <millrace/program.h>

#include "bridge/http/bridge_options.h"
#include "net/http_reader.h"

/* bridge_check.c: what is wrong across the options, and what they mean for one request. */
void bridge_check(const void *options, struct mr_check *check);
struct http_limits bridge_limits(const struct bridge_options *options);

int bridge_start(struct mr_program *program, struct mr_error *err);
void bridge_reload(struct mr_program *program);
void bridge_drain(struct mr_program *program);
void bridge_stop(struct mr_program *program);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef PROGRAM_ADMIN_H
#define PROGRAM_ADMIN_H

/* The admin listener: GET /metrics (Prometheus text format), /healthz (200 while the loop runs),
 * /readyz (200, or 503 and a line for each condition that doesn't hold). */

#include <stddef.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/options.h>

#include "base/readiness.h"

struct admin;

/* Listen on `address`; `readiness` is borrowed. Errors: as http_server_open, the text says which
 * option to change. */
int admin_open(uv_loop_t *loop, const struct mr_address *address, const struct readiness *readiness,
               struct admin **ret_admin, struct mr_error *err);

/* How many descriptors its clients take at most, where the process may have `limit`. */
size_t admin_descriptors(size_t limit);

/* Close and free, on the loop, soon. Takes NULL. */
void admin_close(struct admin *admin);

#endif

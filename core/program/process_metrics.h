// SPDX-License-Identifier: Apache-2.0
#ifndef PROGRAM_PROCESS_METRICS_H
#define PROGRAM_PROCESS_METRICS_H

/* What Prometheus' client libraries say of every process (process_...), and the build. */

#include "kit/buf.h"

/* Note when the process began, and set millrace_build_info. */
void process_metrics_init(void);

/* Append the process_... metrics; what the system doesn't tell is left out. Errors: as buf_add. */
int process_metrics_write(struct mr_buf *out);

#endif

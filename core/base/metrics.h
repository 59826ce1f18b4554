// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <millrace/metrics.h>

#include "kit/buf.h"

/* Append every series in the Prometheus text format, families by name. Errors: as buf_add. */
int metrics_write(struct mr_buf *out);

/* Forget everything: between tests, and at the end for a clean valgrind. */
void metrics_reset(void);

#endif

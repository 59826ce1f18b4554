// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_METRICS_H
#define BRIDGE_HTTP_BRIDGE_METRICS_H

/* What the bridge counts, for all loops together. */

#include <millrace/metrics.h>

enum { BRIDGE_STATUSES = 16 };

struct bridge_metrics {
    struct mr_series *requests[BRIDGE_STATUSES]; /* by status */
    struct mr_series *seconds;
    struct mr_series *connections;
    struct mr_series *in_flight;
    struct mr_series *bytes;
};

void bridge_metrics_init(struct bridge_metrics *metrics);

/* One answered request. */
void bridge_metrics_count(struct bridge_metrics *metrics, int status);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_BRIDGE_METRICS_H
#define BRIDGE_HTTP_BRIDGE_METRICS_H

/* What the bridge counts, for all loops together. */

#include <millrace/metrics.h>

#include "net/tls_stream.h"

enum { BRIDGE_STATUSES = 20 };

struct bridge_metrics {
    struct mr_series *requests[BRIDGE_STATUSES]; /* by status */
    struct mr_series *seconds;
    struct mr_series *connections;
    struct mr_series *in_flight;
    struct mr_series *bytes;
    struct mr_series *handshakes[TLS_OUTCOMES];
    struct mr_series *tls_not_after; /* appears with TLS only */
};

void bridge_metrics_init(struct bridge_metrics *metrics);

/* The series of TLS. */
void bridge_metrics_init_tls(struct bridge_metrics *metrics);

/* One answered request. */
void bridge_metrics_count(struct bridge_metrics *metrics, int status);

#endif

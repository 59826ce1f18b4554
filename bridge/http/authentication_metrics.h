// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_AUTHENTICATION_METRICS_H
#define BRIDGE_HTTP_AUTHENTICATION_METRICS_H

/* What is counted about who may send, for all loops together. */

#include <millrace/metrics.h>

enum authentication_outcome {
    AUTHENTICATION_CERTIFICATE, /* known by its certificate */
    AUTHENTICATION_CACHED,      /* by a password that was found right before */
    AUTHENTICATION_CHECKED,     /* by a password that was checked now */
    AUTHENTICATION_MISSING,     /* no credentials: 401 or 403 */
    AUTHENTICATION_MALFORMED,   /* 400 */
    AUTHENTICATION_WRONG,       /* 401 */
    AUTHENTICATION_FORBIDDEN,   /* 403 */
    AUTHENTICATION_LIMITED,     /* 429 */
    AUTHENTICATION_BUSY,        /* 503 */
    AUTHENTICATION_OUTCOMES,
};

enum devices_outcome { DEVICES_TAKEN, DEVICES_REFUSED, DEVICES_OUTCOMES };

struct authentication_metrics {
    struct mr_series *outcomes[AUTHENTICATION_OUTCOMES];
    struct mr_series *reads[DEVICES_OUTCOMES];
    struct mr_series *checks;
    struct mr_series *waiting;
    struct mr_series *devices;
};

void authentication_metrics_init(struct authentication_metrics *metrics);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/authentication_metrics.h"

static const char *const outcomes[AUTHENTICATION_OUTCOMES] = {
    [AUTHENTICATION_CERTIFICATE] = "certificate",
    [AUTHENTICATION_CACHED] = "cached",
    [AUTHENTICATION_CHECKED] = "checked",
    [AUTHENTICATION_MISSING] = "missing",
    [AUTHENTICATION_MALFORMED] = "malformed",
    [AUTHENTICATION_WRONG] = "wrong",
    [AUTHENTICATION_FORBIDDEN] = "forbidden",
    [AUTHENTICATION_LIMITED] = "limited",
    [AUTHENTICATION_BUSY] = "busy",
};
static const char *const reads[DEVICES_OUTCOMES] = {"taken", "refused"};

static const struct mr_metric authentications_total = {
    .name = "millrace_http_authentications_total",
    .type = MR_COUNTER,
    .help = "Requests by what became of their credentials.",
    .labels = {"outcome"},
};
static const struct mr_metric reads_total = {
    .name = "millrace_http_devices_reads_total",
    .type = MR_COUNTER,
    .help = "Readings of the devices file; refused: it was wrong, and the one before stays.",
    .labels = {"outcome"},
};
static const struct mr_metric checks_total = {
    .name = "millrace_http_password_checks_total",
    .type = MR_COUNTER,
    .help = "Passwords that crypt(3) was run for, of known and unknown devices.",
};
static const struct mr_metric checks_waiting = {
    .name = "millrace_http_password_checks_waiting",
    .type = MR_GAUGE,
    .help = "Passwords that are being checked or wait for it.",
};
static const struct mr_metric devices = {
    .name = "millrace_http_devices",
    .type = MR_GAUGE,
    .help = "Devices in the devices file that is in force.",
};

void authentication_metrics_init(struct authentication_metrics *metrics)
{
    for (int i = 0; i < AUTHENTICATION_OUTCOMES; i++) {
        metrics->outcomes[i] =
            mr_series_get(&authentications_total, (const char *const[]){outcomes[i]});
    }
    for (int i = 0; i < DEVICES_OUTCOMES; i++) {
        metrics->reads[i] = mr_series_get(&reads_total, (const char *const[]){reads[i]});
    }
    metrics->checks = mr_series_get(&checks_total, NULL);
    metrics->waiting = mr_series_get(&checks_waiting, NULL);
    metrics->devices = mr_series_get(&devices, NULL);
}

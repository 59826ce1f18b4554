// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge_metrics.h"

#include <stdio.h>

/* Series are made at the start: a rate() needs the zero before the first. */
static const int statuses[BRIDGE_STATUSES] = {202, 204, 400, 401, 403, 404, 405, 408, 411, 413,
                                              414, 415, 417, 422, 429, 431, 501, 503, 504, 505};

static const double seconds_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                        0.1,   0.25,   0.5,   1,    2,     3};

static const struct mr_metric requests_total = {
    .name = "millrace_http_requests_total",
    .type = MR_COUNTER,
    .help =
        "Answered requests by HTTP status; 202: all of it is stored, 204: there was no event in "
        "it.",
    .labels = {"status"},
};
static const struct mr_metric request_seconds = {
    .name = "millrace_http_request_seconds",
    .type = MR_HISTOGRAM,
    .help = "From the last byte of an event's request to its answer.",
    .bounds = seconds_bounds,
    .bound_count = MR_COUNT_OF(seconds_bounds),
};
static const struct mr_metric connections = {
    .name = "millrace_http_connections",
    .type = MR_GAUGE,
    .help = "Open connections of devices.",
};
static const struct mr_metric in_flight = {
    .name = "millrace_http_in_flight",
    .type = MR_GAUGE,
    .help = "Events that wait for Kafka's word, answered already or not.",
};
static const struct mr_metric bytes_total = {
    .name = "millrace_http_received_bytes_total",
    .type = MR_COUNTER,
    .help = "Bytes of content received in complete requests.",
};
static const struct mr_metric tls_handshakes_total = {
    .name = "millrace_http_tls_handshakes_total",
    .type = MR_COUNTER,
    .help = "TLS handshakes by their outcome.",
    .labels = {"outcome"},
};
static const struct mr_metric tls_not_after_seconds = {
    .name = "millrace_http_tls_not_after_seconds",
    .type = MR_GAUGE,
    .help = "When the TLS certificate ends, in seconds since 1970.",
};

static const char *const outcomes[TLS_OUTCOMES] = {
    [TLS_COMPLETED] = "completed", [TLS_BAD_CERTIFICATE] = "bad_certificate",
    [TLS_ALERT] = "alert",         [TLS_MISMATCH] = "mismatch",
    [TLS_PLAINTEXT] = "plaintext", [TLS_TIMEOUT] = "timeout",
    [TLS_ABANDONED] = "abandoned", [TLS_CROWDED_OUT] = "crowded_out",
    [TLS_ERROR] = "error",
};

void bridge_metrics_init_tls(struct bridge_metrics *metrics)
{
    for (unsigned i = 0; i < TLS_OUTCOMES; i++) {
        metrics->handshakes[i] =
            mr_series_get(&tls_handshakes_total, (const char *const[]){outcomes[i]});
    }
    metrics->tls_not_after = mr_series_get(&tls_not_after_seconds, NULL);
}

void bridge_metrics_init(struct bridge_metrics *metrics)
{
    for (unsigned i = 0; i < BRIDGE_STATUSES; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", statuses[i]);
        metrics->requests[i] = mr_series_get(&requests_total, (const char *const[]){text});
    }
    metrics->seconds = mr_series_get(&request_seconds, NULL);
    metrics->connections = mr_series_get(&connections, NULL);
    metrics->in_flight = mr_series_get(&in_flight, NULL);
    metrics->bytes = mr_series_get(&bytes_total, NULL);
}

void bridge_metrics_count(struct bridge_metrics *metrics, int status)
{
    char text[16];
    for (unsigned i = 0; i < BRIDGE_STATUSES; i++) {
        if (statuses[i] == status) {
            mr_count(metrics->requests[i], 1);
            return;
        }
    }
    (void)snprintf(text, sizeof text, "%d", status);
    mr_count(mr_series_get(&requests_total, (const char *const[]){text}), 1);
}

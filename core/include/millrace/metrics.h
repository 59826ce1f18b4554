// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_METRICS_H
#define MILLRACE_METRICS_H

/* Metrics: a process-wide table of atomics in the Prometheus text format (exposition format 0.0.4).
 * A family is described once, by a static row; a series is one combination of label values.
 * Creating and removing a series takes a lock; counting does not. Names are millrace_..., with the
 * unit last (_bytes, _seconds), counters with _total (Prometheus naming). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/macros.h>

enum mr_metric_type { MR_COUNTER, MR_GAUGE, MR_HISTOGRAM };

enum { MR_METRIC_LABELS_MAX = 4, MR_METRIC_SERIES_MAX = 10000 /* in one process */ };

struct mr_metric {
    const char *name;
    enum mr_metric_type type;
    const char *help;
    const char *labels[MR_METRIC_LABELS_MAX]; /* label names, NULL where unused */
    const double *bounds; /* histograms: upper bounds, ascending, without +Inf */
    size_t bound_count;
};

struct mr_series;

/* Find or create the series with these label values (as many as the family has names; NULL: none).
 * A family appears at /metrics from its first series on. Never fails: when out of memory or over
 * MR_METRIC_SERIES_MAX a shared series that is not shown is returned. */
MR_API struct mr_series *mr_series_get(const struct mr_metric *metric,
                                       const char *const *label_values);

/* Take the series out of /metrics, e.g. of a partition that was revoked; the pointer stays usable
 * until the next mr_series_get with the same labels or mr_metrics_reset. */
MR_API void mr_series_hide(struct mr_series *series);

/* Any thread, relaxed atomics. */
MR_API void mr_count(struct mr_series *counter, uint64_t by);
MR_API void mr_gauge_set(struct mr_series *gauge, int64_t value);
MR_API void mr_gauge_add(struct mr_series *gauge, int64_t by);
MR_API void mr_observe(struct mr_series *histogram, double value);

/* The present value of a counter or gauge. */
MR_API int64_t mr_series_value(const struct mr_series *series);

#endif

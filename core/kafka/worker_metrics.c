// SPDX-License-Identifier: Apache-2.0
/* The books, as they are shown. For every partition and at every moment:
 *     received = done + dead + skipped + given up + in flight + pending + retries pending */
#include <stdio.h>

#include "kafka/worker_internal.h"

#define BY_PARTITION         \
    {                        \
        "topic", "partition" \
    }

static const double batch_bounds[] = {1, 10, 100, 500, 1000, 2000, 5000, 10000, 50000};

static const struct mr_metric received = {.name = "millrace_worker_received_total",
                                          .type = MR_COUNTER,
                                          .help = "Records taken from Kafka.",
                                          .labels = BY_PARTITION};
static const struct mr_metric settled = {
    .name = "millrace_worker_settled_total",
    .type = MR_COUNTER,
    .help =
        "Records by what became of them: done, dead (and confirmed so by Kafka), skipped, "
        "given_up (not settled before the partition went to another member, who reads them "
        "again, or before its topic was made anew).",
    .labels = {"topic", "partition", "outcome"}};
static const struct mr_metric in_flight = {
    .name = "millrace_worker_in_flight",
    .type = MR_GAUGE,
    .help = "Records in a batch or on their way to the dead-letter topic.",
    .labels = BY_PARTITION};
static const struct mr_metric pending = {.name = "millrace_worker_pending_records",
                                         .type = MR_GAUGE,
                                         .help = "Records that wait for a batch.",
                                         .labels = BY_PARTITION};
static const struct mr_metric retries_pending = {
    .name = "millrace_worker_retries_pending",
    .type = MR_GAUGE,
    .help = "Records that have failed and wait for their next attempt.",
    .labels = BY_PARTITION};
static const struct mr_metric retries = {
    .name = "millrace_worker_retries_total",
    .type = MR_COUNTER,
    .help = "Attempts that failed and are to be followed by another.",
    .labels = BY_PARTITION};
static const struct mr_metric paused = {
    .name = "millrace_worker_paused",
    .type = MR_GAUGE,
    .help = "1 while reading is paused because enough is in memory.",
    .labels = BY_PARTITION};
static const struct mr_metric committed = {
    .name = "millrace_worker_committed_offset",
    .type = MR_GAUGE,
    .help = "The offset that Kafka has confirmed; -1: none in this assignment.",
    .labels = BY_PARTITION};
static const struct mr_metric commit_failures = {
    .name = "millrace_worker_commit_failures_total",
    .type = MR_COUNTER,
    .help =
        "Commits that Kafka refused, in whole or for one partition. They are tried again; what "
        "moves to another member meanwhile is read again.",
    .labels = {"group"}};
static const struct mr_metric dead_letters = {
    .name = "millrace_worker_dead_letters_total",
    .type = MR_COUNTER,
    .help = "Records confirmed in the dead-letter topic, by reason.",
    .labels = {"topic", "reason"}};
static const struct mr_metric batch_records = {.name = "millrace_worker_batch_records",
                                               .type = MR_HISTOGRAM,
                                               .help = "Records a batch.",
                                               .labels = {"topic"},
                                               .bounds = batch_bounds,
                                               .bound_count = MR_COUNT_OF(batch_bounds)};

void worker_metrics_open(struct partition *partition)
{
    struct partition_metrics *metrics = &partition->metrics;
    char number[16];
    const char *labels[MR_METRIC_LABELS_MAX] = {partition->topic, number, NULL};
    (void)snprintf(number, sizeof(number), "%d", (int)partition->number);
    metrics->received = mr_series_get(&received, labels);
    metrics->in_flight = mr_series_get(&in_flight, labels);
    metrics->pending = mr_series_get(&pending, labels);
    metrics->retries_pending = mr_series_get(&retries_pending, labels);
    metrics->retries = mr_series_get(&retries, labels);
    metrics->paused = mr_series_get(&paused, labels);
    metrics->committed = mr_series_get(&committed, labels);
    labels[2] = "done";
    metrics->done = mr_series_get(&settled, labels);
    labels[2] = "dead";
    metrics->dead = mr_series_get(&settled, labels);
    labels[2] = "skipped";
    metrics->skipped = mr_series_get(&settled, labels);
    labels[2] = "given_up";
    metrics->given_up = mr_series_get(&settled, labels);
    lag_open(partition);
    mr_gauge_set(metrics->in_flight, 0);
    mr_gauge_set(metrics->pending, 0);
    mr_gauge_set(metrics->retries_pending, 0);
    mr_gauge_set(metrics->paused, 0);
    mr_gauge_set(metrics->committed, -1);
}

/* Counters stay, so that sums over partitions keep their meaning; states go. */
void worker_metrics_close(struct partition *partition)
{
    struct partition_metrics *metrics = &partition->metrics;
    lag_close(partition);
    mr_count(metrics->given_up, partition->held_count);
    mr_gauge_set(metrics->in_flight, 0);
    mr_gauge_set(metrics->pending, 0);
    mr_series_hide(metrics->in_flight);
    mr_series_hide(metrics->pending);
    mr_series_hide(metrics->retries_pending);
    mr_series_hide(metrics->paused);
    mr_series_hide(metrics->committed);
}

void worker_metrics_batch(struct partition *partition, size_t count)
{
    const char *labels[] = {partition->topic, NULL};
    mr_observe(mr_series_get(&batch_records, labels), (double)count);
}

void worker_metrics_dead(struct partition *partition, const char *code)
{
    const char *labels[] = {partition->topic, code, NULL};
    mr_count(mr_series_get(&dead_letters, labels), 1);
}

void worker_metrics_commit_failed(const struct mr_worker *worker)
{
    const char *labels[] = {worker->group, NULL};
    mr_count(mr_series_get(&commit_failures, labels), 1);
}

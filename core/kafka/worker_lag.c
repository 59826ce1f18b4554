// SPDX-License-Identifier: Apache-2.0
/* How far a partition is behind, and for how long. The lag is what lies between the first record
 * that is not settled and the end of what may be read: the end is what the last answer to a fetch
 * said, or Kafka when it was asked (worker_offsets.c); what precedes the end and is no record
 * (transaction markers, gaps of compaction) is known to be none once the end has been reached. So
 * it is 0 when all is settled, also where the last offsets are no records. Before the first record,
 * and before it is known that there is none, there is no such series. */
#include <stdio.h>

#include "event/timestamp.h"
#include "kafka/worker_internal.h"
#include "kit/clock.h"

#define BY_PARTITION         \
    {                        \
        "topic", "partition" \
    }

enum { MS_A_SECOND = 1000 };
static const double NS_A_SECOND = 1e9;

static const double freshness_bounds[] = {0.1, 0.25, 0.5, 1,    2.5,   5,     10,    30,
                                          60,  300,  900, 3600, 21600, 86400, 604800};
static const double batch_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                      0.25,  0.5,    1,     2.5,  5,     10,   30};

static const struct mr_metric lag = {
    .name = "millrace_worker_lag_records",
    .type = MR_GAUGE,
    .help = "Offsets from the first record that is not settled to the end of what may be read.",
    .labels = BY_PARTITION};
static const struct mr_metric oldest = {
    .name = "millrace_worker_oldest_unsettled_seconds",
    .type = MR_GAUGE,
    .help = "Since the timestamp of the oldest record in hand that is not settled; 0: none.",
    .labels = BY_PARTITION};
static const struct mr_metric missed = {
    .name = "millrace_worker_records_missed_total",
    .type = MR_COUNTER,
    .help =
        "Offsets that were skipped because Kafka had deleted them before they were read, or "
        "by offset.lost = latest.",
    .labels = BY_PARTITION};
static const struct mr_metric freshness = {
    .name = "millrace_worker_freshness_seconds",
    .type = MR_HISTOGRAM,
    .help = "From an event's own time to the moment it was stored.",
    .labels = {"topic"},
    .bounds = freshness_bounds,
    .bound_count = MR_COUNT_OF(freshness_bounds)};
static const struct mr_metric batch_seconds = {
    .name = "millrace_worker_batch_seconds",
    .type = MR_HISTOGRAM,
    .help = "From handing a batch over to the settlement of its last record.",
    .labels = {"topic"},
    .bounds = batch_bounds,
    .bound_count = MR_COUNT_OF(batch_bounds)};

static const char *number_text(const struct partition *partition, char text[static 16])
{
    (void)snprintf(text, 16, "%d", (int)partition->number);
    return text;
}

void lag_open(struct partition *partition)
{
    struct partition_metrics *metrics = &partition->metrics;
    char number[16];
    const char *labels[MR_METRIC_LABELS_MAX] = {partition->topic, number_text(partition, number)};
    const char *of_topic[MR_METRIC_LABELS_MAX] = {partition->topic};
    metrics->missed = mr_series_get(&missed, labels);
    metrics->oldest = mr_series_get(&oldest, labels);
    metrics->freshness = mr_series_get(&freshness, of_topic);
    metrics->batch_seconds = mr_series_get(&batch_seconds, of_topic);
    mr_gauge_set(metrics->oldest, 0);
}

void lag_close(struct partition *partition)
{
    struct partition_metrics *metrics = &partition->metrics;
    mr_gauge_set(metrics->oldest, 0);
    mr_series_hide(metrics->oldest);
    if (metrics->lag != NULL) {
        mr_gauge_set(metrics->lag, 0);
        mr_series_hide(metrics->lag);
        metrics->lag = NULL;
    }
}

/* --- the lag --- */

/* What the answers to fetches said last. It is older than our books until something has come: of
 * an earlier assignment, or even of another topic of the same name. */
static void look_at_end(struct partition *partition)
{
    int64_t low;
    int64_t high;
    if (rd_kafka_get_watermark_offsets(partition->worker->rk, partition->topic, partition->number,
                                       &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
        high > partition->end) {
        partition->end = high;
    }
}

static void tell_lag(struct partition *partition, int64_t behind)
{
    struct partition_metrics *metrics = &partition->metrics;
    if (metrics->lag == NULL) {
        char number[16];
        const char *labels[MR_METRIC_LABELS_MAX] = {partition->topic,
                                                    number_text(partition, number)};
        metrics->lag = mr_series_get(&lag, labels);
    }
    mr_gauge_set(metrics->lag, behind > 0 ? behind : 0);
}

static void look(struct partition *partition, int64_t now_ms)
{
    int64_t time_ms;
    int64_t offset = ledger_oldest(&partition->ledger, &time_ms);
    int64_t age_ms = time_ms < 0 || time_ms > now_ms ? 0 : now_ms - time_ms;
    mr_gauge_set(partition->metrics.oldest, age_ms / MS_A_SECOND);
    if (offset >= 0 && !partition->gone) {
        look_at_end(partition);
        tell_lag(partition, partition->end - offset);
    }
}

void lag_run(struct mr_worker *worker)
{
    int64_t now = worker_now_ms(worker);
    if (now >= worker->lag_due_ms) {
        int64_t wall_ms = clock_wall_ms();
        for (struct partition *p = worker->partitions; p != NULL; p = p->next) {
            look(p, wall_ms);
        }
        worker->lag_due_ms = now + WORKER_LAG_MS;
    }
    if (worker->partitions != NULL) {
        worker_at(worker, worker->lag_due_ms);
    }
}

/* --- what happens --- */

void lag_missed(struct partition *partition, uint64_t records)
{
    mr_count(partition->metrics.missed, records);
}

void lag_read(struct mr_delivery *delivery)
{
    struct mr_slice time = mr_event_string(delivery->event, "time");
    delivery->has_event_time =
        time.ptr != NULL && timestamp_parse(time, &delivery->event_ns, NULL) == 0;
}

void lag_stored(struct mr_delivery *delivery)
{
    if (delivery->has_event_time) {
        double now_ns = (double)worker_wall_ns(delivery->partition->worker);
        double seconds = (now_ns - (double)delivery->event_ns) / NS_A_SECOND;
        mr_observe(delivery->partition->metrics.freshness, seconds > 0 ? seconds : 0);
    }
}

void lag_batch_over(struct mr_batch *batch)
{
    mr_observe(batch->partition->metrics.batch_seconds,
               (double)(uv_hrtime() - batch->began_ns) / NS_A_SECOND);
}

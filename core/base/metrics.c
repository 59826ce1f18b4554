// SPDX-License-Identifier: Apache-2.0
/* Series are kept sorted by family and label values, so that finding one is a binary search and
 * /metrics always has the same order. */
#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>

#include "base/metrics.h"
#include "kit/mem.h"
#include "kit/number.h"
#include "kit/utf8.h"

enum {
    FIRST_CAPACITY = 64,
    LABELS_BYTES_MAX = 4096, /* of one series, escaped */
    DROPPED_INTERVAL_MS = 60 * 1000,
};

struct mr_series {
    const struct mr_metric *metric; /* NULL: the shared series that isn't shown */
    char *labels;                   /* topic="events",partition="3"; "" without any */
    bool hidden;                    /* under the lock */
    _Atomic(uint64_t) value;        /* counters and gauges */
    _Atomic(uint64_t) sum;          /* histograms: the bits of a double */
    _Atomic(uint64_t) buckets[];    /* histograms: a bound each, and +Inf; not cumulative */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mr_series **table; /* under the lock, as below */
static size_t table_count;
static size_t table_capacity;
static struct mr_series unshown;

static int add_escaped(struct mr_buf *out, const char *value, bool quotes)
{
    size_t left = strlen(value);
    while (left > 0) {
        size_t len = utf8_sequence(value, left);
        if (len == 0) {
            (void)buf_add_str(out, "\xEF\xBF\xBD"); /* U+FFFD */
            len = 1;
        } else if (*value == '\n') {
            (void)buf_add_str(out, "\\n");
        } else if (*value == '\\' || (quotes && *value == '"')) {
            (void)buf_add_char(out, '\\');
            (void)buf_add_char(out, *value);
        } else {
            (void)buf_add(out, value, len);
        }
        value += len;
        left -= len;
    }
    return out->failed;
}

/* The label pairs as they are shown, terminated. */
static int render_labels(const struct mr_metric *metric, const char *const *values,
                         struct mr_buf *out)
{
    for (size_t i = 0; i < MR_METRIC_LABELS_MAX && metric->labels[i] != NULL; i++) {
        (void)buf_addf(out, "%s%s=\"", i == 0 ? "" : ",", metric->labels[i]);
        (void)add_escaped(out, values == NULL || values[i] == NULL ? "" : values[i], true);
        (void)buf_add_char(out, '"');
    }
    return buf_add_char(out, '\0');
}

static int compare(const struct mr_series *series, const char *name, const char *labels)
{
    int order = strcmp(series->metric->name, name);
    return order != 0 ? order : strcmp(series->labels, labels);
}

/* Where a series is, or would be. */
static size_t position_of(const char *name, const char *labels, bool *ret_found)
{
    size_t begin = 0;
    size_t end = table_count;
    while (begin < end) {
        size_t middle = begin + (end - begin) / 2;
        int order = compare(table[middle], name, labels);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    *ret_found = false;
    return begin;
}

static bool table_has_room(void)
{
    size_t capacity = table_capacity == 0 ? FIRST_CAPACITY : table_capacity * 2;
    struct mr_series **bigger;
    if (table_count < table_capacity) {
        return true;
    }
    if (table_count >= MR_METRIC_SERIES_MAX) {
        return false;
    }
    bigger = mem_realloc(table, capacity * sizeof(struct mr_series *));
    if (bigger == NULL) {
        return false;
    }
    table = bigger;
    table_capacity = capacity;
    return true;
}

static struct mr_series *series_new(const struct mr_metric *metric, const char *labels)
{
    size_t buckets = metric->type == MR_HISTOGRAM ? metric->bound_count + 1 : 0;
    struct mr_series *series = mem_zalloc(sizeof *series + buckets * sizeof series->buckets[0]);
    if (series == NULL) {
        return NULL;
    }
    series->metric = metric;
    series->labels = mem_strdup(labels);
    if (series->labels == NULL) {
        mem_free(series);
        return NULL;
    }
    return series;
}

static struct mr_series *find_or_add(const struct mr_metric *metric, const char *labels)
{
    bool found;
    size_t at = position_of(metric->name, labels, &found);
    struct mr_series *series;
    if (found) {
        series = table[at];
        if (series->hidden && metric->type == MR_GAUGE) {
            atomic_store_explicit(&series->value, 0, memory_order_relaxed);
        }
        series->hidden = false;
        return series;
    }
    if (table_count >= MR_METRIC_SERIES_MAX || !table_has_room()) {
        return NULL;
    }
    series = series_new(metric, labels);
    if (series == NULL) {
        return NULL;
    }
    memmove(table + at + 1, table + at, (table_count - at) * sizeof(struct mr_series *));
    table[at] = series;
    table_count++;
    return series;
}

struct mr_series *mr_series_get(const struct mr_metric *metric, const char *const *label_values)
{
    struct mr_series *series = NULL;
    struct mr_buf labels;
    buf_init(&labels, LABELS_BYTES_MAX);
    if (render_labels(metric, label_values, &labels) == 0) {
        (void)pthread_mutex_lock(&lock);
        series = find_or_add(metric, labels.ptr);
        (void)pthread_mutex_unlock(&lock);
    }
    buf_done(&labels);
    if (series != NULL) {
        return series;
    }
    mr_log_limited(MR_LOG_WARN, DROPPED_INTERVAL_MS, "a metric's series is not kept",
                   MR_STR("metric", metric->name), MR_INT("series_max", MR_METRIC_SERIES_MAX));
    return &unshown;
}

void mr_series_hide(struct mr_series *series)
{
    (void)pthread_mutex_lock(&lock);
    series->hidden = true;
    (void)pthread_mutex_unlock(&lock);
}

void mr_count(struct mr_series *counter, uint64_t by)
{
    (void)atomic_fetch_add_explicit(&counter->value, by, memory_order_relaxed);
}

void mr_gauge_set(struct mr_series *gauge, int64_t value)
{
    atomic_store_explicit(&gauge->value, (uint64_t)value, memory_order_relaxed);
}

void mr_gauge_add(struct mr_series *gauge, int64_t by)
{
    (void)atomic_fetch_add_explicit(&gauge->value, (uint64_t)by, memory_order_relaxed);
}

int64_t mr_series_value(const struct mr_series *series)
{
    return (int64_t)atomic_load_explicit(&series->value, memory_order_relaxed);
}

static double bits_to_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t double_to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void mr_observe(struct mr_series *histogram, double value)
{
    const struct mr_metric *metric = histogram->metric;
    uint64_t old;
    size_t i = 0;
    if (metric == NULL || isnan(value)) {
        return;
    }
    assert(metric->type == MR_HISTOGRAM);
    while (i < metric->bound_count && value > metric->bounds[i]) {
        i++;
    }
    (void)atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    old = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&histogram->sum, &old,
                                                  double_to_bits(bits_to_double(old) + value),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* With Prometheus's words for what is no number; a sum of both infinities is none either. */
static void format_double(double value, char text[static NUMBER_BYTES])
{
    if (!number_format(value, text)) {
        (void)snprintf(text, NUMBER_BYTES, "%s",
                       isnan(value) ? "NaN"
                       : value > 0  ? "+Inf"
                                    : "-Inf");
    }
}

static void write_head(const struct mr_metric *metric, struct mr_buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    (void)buf_addf(out, "# HELP %s ", metric->name);
    (void)add_escaped(out, metric->help, false);
    (void)buf_addf(out, "\n# TYPE %s %s\n", metric->name, types[metric->type]);
}

static void write_histogram(const struct mr_series *series, struct mr_buf *out)
{
    const struct mr_metric *metric = series->metric;
    const char *comma = series->labels[0] == '\0' ? "" : ",";
    const char *open = series->labels[0] == '\0' ? "" : "{";
    const char *close = series->labels[0] == '\0' ? "" : "}";
    char number[NUMBER_BYTES];
    uint64_t count = 0;
    for (size_t i = 0; i <= metric->bound_count; i++) {
        format_double(i < metric->bound_count ? metric->bounds[i] : HUGE_VAL, number);
        count += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
        (void)buf_addf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", metric->name, series->labels, comma,
                       number, (unsigned long long)count);
    }
    format_double(bits_to_double(atomic_load_explicit(&series->sum, memory_order_relaxed)), number);
    (void)buf_addf(out, "%s_sum%s%s%s %s\n", metric->name, open, series->labels, close, number);
    (void)buf_addf(out, "%s_count%s%s%s %llu\n", metric->name, open, series->labels, close,
                   (unsigned long long)count);
}

static void write_series(const struct mr_series *series, struct mr_buf *out)
{
    uint64_t value = atomic_load_explicit(&series->value, memory_order_relaxed);
    if (series->metric->type == MR_HISTOGRAM) {
        write_histogram(series, out);
        return;
    }
    (void)buf_add_str(out, series->metric->name);
    if (series->labels[0] != '\0') {
        (void)buf_addf(out, "{%s}", series->labels);
    }
    if (series->metric->type == MR_COUNTER) {
        (void)buf_addf(out, " %llu\n", (unsigned long long)value);
    } else {
        (void)buf_addf(out, " %lld\n", (long long)(int64_t)value);
    }
}

int metrics_write(struct mr_buf *out)
{
    const char *family = "";
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < table_count; i++) {
        if (table[i]->hidden) {
            continue;
        }
        if (strcmp(table[i]->metric->name, family) != 0) {
            family = table[i]->metric->name;
            write_head(table[i]->metric, out);
        }
        write_series(table[i], out);
    }
    (void)pthread_mutex_unlock(&lock);
    return out->failed;
}

void metrics_reset(void)
{
    (void)pthread_mutex_lock(&lock);
    for (size_t i = 0; i < table_count; i++) {
        mem_free(table[i]->labels);
        mem_free(table[i]);
    }
    mem_free(table);
    table = NULL;
    table_count = 0;
    table_capacity = 0;
    (void)pthread_mutex_unlock(&lock);
}

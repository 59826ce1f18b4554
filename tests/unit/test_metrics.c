// SPDX-License-Identifier: Apache-2.0
/* What is written is read back by a small parser made from the text format's description:
 * https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "lib/heap.h"

enum { BYTES_MAX = 4 * 1024 * 1024 };

static const double bounds[] = {0.005, 0.1, 1, 2.5};

static const struct mr_metric events = {
    .name = "millrace_events_total",
    .type = MR_COUNTER,
    .help = "Events, by outcome.\nSecond line with a \\ and a \".",
    .labels = {"outcome", "topic"},
};
static const struct mr_metric lag = {
    .name = "millrace_lag",
    .type = MR_GAUGE,
    .help = "Lag.",
    .labels = {"partition"},
};
static const struct mr_metric plain = {
    .name = "millrace_plain",
    .type = MR_GAUGE,
    .help = "",
};
static const struct mr_metric latency = {
    .name = "millrace_latency_seconds",
    .type = MR_HISTOGRAM,
    .help = "How long.",
    .labels = {"to"},
    .bounds = bounds,
    .bound_count = MR_COUNT_OF(bounds),
};
static const struct mr_metric bare_latency = {
    .name = "millrace_bare_seconds",
    .type = MR_HISTOGRAM,
    .help = "How long.",
    .bounds = bounds,
    .bound_count = 1,
};

static const char *const stored[] = {"stored", "events"};

static int tear_down(void **state)
{
    (void)state;
    metrics_reset();
    return 0;
}

static const char *written(void)
{
    static char text[BYTES_MAX + 1];
    struct mr_buf out;
    buf_init(&out, BYTES_MAX);
    assert_int_equal(metrics_write(&out), 0);
    memcpy(text, buf_slice(&out).ptr, out.len);
    text[out.len] = '\0';
    buf_done(&out);
    return text;
}

static void assert_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *p = text; p != NULL && *p != '\0'; p = strchr(p, '\n') + 1) {
        if (strncmp(p, line, len) == 0 && p[len] == '\n') {
            return;
        }
    }
    fail_msg("no line '%s' in:\n%s", line, text);
}

static void test_nothing_is_nothing(void **state)
{
    (void)state;
    assert_string_equal(written(), "");
}

static void test_the_text_format(void **state)
{
    const char *const rejected[] = {"rejected", "events"};
    const char *const three[] = {"3"};
    const char *const influx[] = {"influx"};
    (void)state;
    mr_count(mr_series_get(&events, stored), 3);
    mr_count(mr_series_get(&events, rejected), 1);
    mr_gauge_set(mr_series_get(&lag, three), -7);
    mr_gauge_set(mr_series_get(&plain, NULL), 5);
    mr_gauge_add(mr_series_get(&plain, NULL), -15);
    mr_observe(mr_series_get(&latency, influx), 0.005); /* le: less or equal */
    mr_observe(mr_series_get(&latency, influx), 0.25);
    mr_observe(mr_series_get(&latency, influx), 100);
    mr_observe(mr_series_get(&bare_latency, NULL), 0.5);
    assert_string_equal(
        written(),
        "# HELP millrace_bare_seconds How long.\n"
        "# TYPE millrace_bare_seconds histogram\n"
        "millrace_bare_seconds_bucket{le=\"0.005\"} 0\n"
        "millrace_bare_seconds_bucket{le=\"+Inf\"} 1\n"
        "millrace_bare_seconds_sum 0.5\n"
        "millrace_bare_seconds_count 1\n"
        "# HELP millrace_events_total Events, by outcome.\\nSecond line with a \\\\ and a \".\n"
        "# TYPE millrace_events_total counter\n"
        "millrace_events_total{outcome=\"rejected\",topic=\"events\"} 1\n"
        "millrace_events_total{outcome=\"stored\",topic=\"events\"} 3\n"
        "# HELP millrace_lag Lag.\n"
        "# TYPE millrace_lag gauge\n"
        "millrace_lag{partition=\"3\"} -7\n"
        "# HELP millrace_latency_seconds How long.\n"
        "# TYPE millrace_latency_seconds histogram\n"
        "millrace_latency_seconds_bucket{to=\"influx\",le=\"0.005\"} 1\n"
        "millrace_latency_seconds_bucket{to=\"influx\",le=\"0.1\"} 1\n"
        "millrace_latency_seconds_bucket{to=\"influx\",le=\"1\"} 2\n"
        "millrace_latency_seconds_bucket{to=\"influx\",le=\"2.5\"} 2\n"
        "millrace_latency_seconds_bucket{to=\"influx\",le=\"+Inf\"} 3\n"
        "millrace_latency_seconds_sum{to=\"influx\"} 100.255\n"
        "millrace_latency_seconds_count{to=\"influx\"} 3\n"
        "# HELP millrace_plain \n"
        "# TYPE millrace_plain gauge\n"
        "millrace_plain -10\n");
}

static void test_label_values_are_escaped(void **state)
{
    const char *const hostile[] = {"a\\b\"c\nd", "\xC3\xBC\xFF,}"};
    (void)state;
    mr_count(mr_series_get(&events, hostile), 1);
    assert_line(written(),
                "millrace_events_total{outcome=\"a\\\\b\\\"c\\nd\","
                "topic=\"\xC3\xBC\xEF\xBF\xBD,}\"} 1");
}

static void test_values_at_their_ends(void **state)
{
    const char *const none[] = {NULL};
    (void)state;
    mr_count(mr_series_get(&events, NULL), UINT64_MAX);
    mr_gauge_set(mr_series_get(&lag, none), INT64_MIN);
    mr_observe(mr_series_get(&bare_latency, NULL), 0.1 + 0.2);
    assert_line(written(), "millrace_events_total{outcome=\"\",topic=\"\"} 18446744073709551615");
    assert_line(written(), "millrace_lag{partition=\"\"} -9223372036854775808");
    assert_line(written(), "millrace_bare_seconds_sum 0.30000000000000004");
    mr_observe(mr_series_get(&bare_latency, NULL), NAN); /* not an observation */
    assert_line(written(), "millrace_bare_seconds_count 1");
    mr_observe(mr_series_get(&bare_latency, NULL), HUGE_VAL);
    assert_line(written(), "millrace_bare_seconds_sum +Inf");
    assert_line(written(), "millrace_bare_seconds_count 2");
    mr_observe(mr_series_get(&bare_latency, NULL), -HUGE_VAL);
    assert_line(written(), "millrace_bare_seconds_sum NaN");
}

static void test_one_series_for_one_set_of_labels(void **state)
{
    const char *const other[] = {"stored", "other"};
    struct mr_series *series = mr_series_get(&events, stored);
    (void)state;
    assert_ptr_equal(mr_series_get(&events, stored), series);
    assert_ptr_not_equal(mr_series_get(&events, other), series);
    mr_count(series, 2);
    assert_int_equal(mr_series_value(mr_series_get(&events, stored)), 2);
    assert_int_equal(mr_series_value(mr_series_get(&events, other)), 0);
}

/* A revoked partition: gone from sight; when it comes back, counters go on (they may never fall),
 * a gauge starts from nothing. */
static void test_hidden_series(void **state)
{
    const char *const zero[] = {"0"};
    struct mr_series *gauge = mr_series_get(&lag, zero);
    struct mr_series *counter = mr_series_get(&events, stored);
    (void)state;
    mr_gauge_set(gauge, 9);
    mr_count(counter, 9);
    mr_series_hide(gauge);
    mr_series_hide(counter);
    mr_gauge_set(gauge, 10); /* still usable */
    mr_count(counter, 1);
    assert_string_equal(written(), "");
    assert_int_equal(mr_series_value(mr_series_get(&lag, zero)), 0);
    assert_int_equal(mr_series_value(mr_series_get(&events, stored)), 10);
    assert_line(written(), "millrace_lag{partition=\"0\"} 0");
}

/* ---- the grammar ---- */

static const char *name_end(const char *p, bool colons)
{
    if (!isalpha((unsigned char)*p) && *p != '_' && !(colons && *p == ':')) {
        fail_msg("a name was expected: %.60s", p);
    }
    while (isalnum((unsigned char)*p) || *p == '_' || (colons && *p == ':')) {
        p++;
    }
    return p;
}

static const char *label_end(const char *p)
{
    p = name_end(p, false);
    assert_int_equal(*p++, '=');
    assert_int_equal(*p++, '"');
    for (; *p != '"'; p++) {
        assert_true(*p != '\n' && *p != '\0');
        if (*p == '\\') {
            p++;
            assert_true(*p == '\\' || *p == '"' || *p == 'n');
        }
    }
    return p + 1;
}

static const char *sample_end(const char *p)
{
    char *end;
    p = name_end(p, true);
    if (*p == '{') {
        do {
            p = label_end(p + 1);
        } while (*p == ',');
        assert_int_equal(*p++, '}');
    }
    assert_int_equal(*p++, ' ');
    (void)strtod(p, &end);
    assert_true(end > p);
    assert_int_equal(*end, '\n');
    return end + 1;
}

/* "# HELP name text" or "# TYPE name type". */
static const char *comment_end(const char *p)
{
    const char *end = strchr(p, '\n');
    const char *name = p + strlen("# HELP ");
    const char *rest = name_end(name, true);
    assert_non_null(end);
    assert_int_equal(*rest++, ' ');
    if (strncmp(p, "# TYPE ", 7) == 0) {
        size_t len = (size_t)(end - rest);
        assert_true((len == 7 && memcmp(rest, "counter", 7) == 0) ||
                    (len == 5 && memcmp(rest, "gauge", 5) == 0) ||
                    (len == 9 && memcmp(rest, "histogram", 9) == 0));
    } else {
        assert_memory_equal(p, "# HELP ", 7);
    }
    return end + 1;
}

static size_t parse(const char *text)
{
    size_t samples = 0;
    while (*text != '\0') {
        if (*text == '#') {
            text = comment_end(text);
        } else {
            text = sample_end(text);
            samples++;
        }
    }
    return samples;
}

static void test_every_label_value_fits_the_grammar(void **state)
{
    size_t samples = 0;
    (void)state;
    for (int c = 1; c < 256; c++) {
        const char value[] = {'<', (char)c, '>', '\0'};
        const char *const values[] = {value, "x"};
        mr_count(mr_series_get(&events, values), 1);
        mr_observe(mr_series_get(&latency, values), c);
        /* Bytes that aren't UTF-8 all look alike. */
        samples += c <= 128 ? 1 + MR_COUNT_OF(bounds) + 3 : 0;
    }
    assert_int_equal(parse(written()), samples);
}

static void test_the_number_of_series_is_bounded(void **state)
{
    struct mr_series *last = NULL;
    (void)state;
    for (int i = 0; i < MR_METRIC_SERIES_MAX + 10; i++) {
        char value[16];
        const char *const values[] = {value};
        (void)snprintf(value, sizeof value, "%d", i);
        last = mr_series_get(&lag, values);
        mr_gauge_set(last, i);
    }
    assert_non_null(last);
    assert_int_equal(parse(written()), MR_METRIC_SERIES_MAX);
    mr_observe(mr_series_get(&latency, NULL), 1); /* the shared one: harmless */
    assert_int_equal(parse(written()), MR_METRIC_SERIES_MAX);
}

static void test_out_of_memory_is_a_series_that_is_not_shown(void **state)
{
    unsigned n;
    (void)state;
    for (n = 1; n < 100; n++) {
        struct mr_buf out;
        bool failed;
        heap_fail_at(n);
        mr_count(mr_series_get(&events, stored), 1);
        mr_observe(mr_series_get(&latency, stored), 1);
        failed = heap_failed();
        heap_fail_at(0);
        buf_init(&out, BYTES_MAX);
        assert_int_equal(metrics_write(&out), 0);
        assert_true(failed || out.len > 0);
        buf_done(&out);
        metrics_reset();
        assert_int_equal(heap_alive(), 0);
        if (!failed) {
            break;
        }
    }
    assert_in_range(n, 6, 99);
    heap_restore();
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *count_much(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        char value[16];
        const char *const values[] = {value};
        (void)snprintf(value, sizeof value, "%d", i % 50);
        mr_count(mr_series_get(&events, stored), 1);
        mr_gauge_add(mr_series_get(&lag, values), 1);
        mr_observe(mr_series_get(&latency, values), 0.5);
        if (i % 100 == 0) {
            struct mr_buf out;
            buf_init(&out, BYTES_MAX);
            (void)metrics_write(&out);
            buf_done(&out);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[THREADS];
    const char *text;
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_much, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    text = written();
    assert_line(text, "millrace_events_total{outcome=\"stored\",topic=\"events\"} 8000");
    assert_line(text, "millrace_lag{partition=\"49\"} 160");
    assert_line(text, "millrace_latency_seconds_count{to=\"0\"} 160");
    assert_line(text, "millrace_latency_seconds_sum{to=\"0\"} 80");
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_nothing_is_nothing),
        T(test_the_text_format),
        T(test_label_values_are_escaped),
        T(test_values_at_their_ends),
        T(test_one_series_for_one_set_of_labels),
        T(test_hidden_series),
        T(test_every_label_value_fits_the_grammar),
        T(test_the_number_of_series_is_bounded),
        T(test_out_of_memory_is_a_series_that_is_not_shown),
        T(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

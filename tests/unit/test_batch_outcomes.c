// SPDX-License-Identifier: Apache-2.0
/* What became of a batch's events, and how its answer says so; the JSON is read by Jansson. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "bridge/http/batch_outcomes.h"
#include "bridge/http/batch_report.h"

static void add(struct batch_outcomes *outcomes, struct batch_mark *mark, enum mr_outcome_kind kind,
                bool too_large, const char *reason, int64_t retry_after_ms)
{
    const struct mr_outcome outcome = {
        .kind = kind, .reason = reason, .too_large = too_large, .retry_after_ms = retry_after_ms};
    batch_outcomes_add(outcomes, mark, &outcome);
}

static void test_the_status_is_the_worst_outcome(void **state)
{
    static const struct {
        const char *outcomes; /* s r l(arge) b u, and p for pending */
        int status;
    } cases[] = {
        {"s", 202},   {"sss", 202}, {"sl", 413},    {"lr", 422}, {"sr", 422},
        {"lrb", 503}, {"b", 503},   {"srlbu", 504}, {"sp", 504}, {"bp", 504},
    };
    (void)state;
    for (size_t i = 0; i < MR_COUNT_OF(cases); i++) {
        struct batch_outcomes outcomes = {.counts = {strlen(cases[i].outcomes)}};
        struct batch_mark marks[8] = {{0}};
        for (size_t n = 0; cases[i].outcomes[n] != '\0'; n++) {
            char c = cases[i].outcomes[n];
            if (c != 'p') {
                add(&outcomes, &marks[n],
                    c == 's'   ? MR_STORED
                    : c == 'b' ? MR_BUSY
                    : c == 'u' ? MR_UNKNOWN
                               : MR_REJECTED,
                    c == 'l', "", 0);
            }
        }
        if (batch_outcomes_status(&outcomes) != cases[i].status) {
            fail_msg("%s: %d", cases[i].outcomes, batch_outcomes_status(&outcomes));
        }
    }
}

static json_t *report(const struct batch_outcomes *outcomes, const struct batch_mark *marks,
                      size_t count, struct mr_slice id)
{
    struct batch_report report;
    struct mr_buf text;
    json_t *root;
    buf_init(&text, batch_report_bytes_max(count));
    batch_report_begin(&report, outcomes, &text);
    for (size_t i = 0; i < count; i++) {
        batch_report_add(&report, i, marks[i], id);
    }
    batch_report_end(&report);
    assert_int_equal(text.failed, 0);
    root = json_loadb(text.ptr, text.len, 0, NULL);
    assert_non_null(root);
    buf_done(&text);
    return root;
}

static void assert_entry(json_t *events, size_t at, int index, const char *outcome,
                         const char *reason)
{
    json_t *event = json_array_get(events, at);
    assert_int_equal(json_integer_value(json_object_get(event, "index")), index);
    assert_string_equal(json_string_value(json_object_get(event, "outcome")), outcome);
    if (reason == NULL) {
        assert_null(json_object_get(event, "reason"));
    } else {
        assert_string_equal(json_string_value(json_object_get(event, "reason")), reason);
    }
}

static void test_the_report_lists_what_is_not_stored(void **state)
{
    struct batch_outcomes outcomes = {.counts = {6}};
    struct batch_mark marks[6] = {{0}};
    json_t *root;
    json_t *events;
    (void)state;
    add(&outcomes, &marks[0], MR_STORED, false, "", 0);
    add(&outcomes, &marks[1], MR_BUSY, false, "Kafka is \"away\"", 1500);
    add(&outcomes, &marks[2], MR_REJECTED, true, "too large", 0);
    add(&outcomes, &marks[3], MR_UNKNOWN, false, "", 0);
    add(&outcomes, &marks[4], MR_BUSY, false, "Kafka is \"away\"", 500);
    assert_int_equal(outcomes.reason_count, 2);
    assert_int_equal(outcomes.retry_after_ms, 1500);
    root = report(&outcomes, marks, 6, MR_SLICE("x\"1"));
    assert_int_equal(json_integer_value(json_object_get(root, "status")), 504);
    assert_int_equal(json_integer_value(json_object_get(root, "stored")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(root, "detail")), "6 events 1 are"));
    events = json_object_get(root, "events");
    assert_int_equal(json_array_size(events), 5);
    assert_entry(events, 0, 1, "busy", "Kafka is \"away\"");
    assert_entry(events, 1, 2, "rejected", "too large");
    assert_entry(events, 2, 3, "unknown", NULL);
    assert_entry(events, 3, 4, "busy", "Kafka is \"away\"");
    assert_entry(events, 4, 5, "unknown", "Kafka has not answered in time");
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 0), "id")),
                        "x\"1");
    json_decref(root);
}

/* Whatever the ids and reasons are, all events are told, within a bound. */
static void test_the_report_is_bounded(void **state)
{
    enum { COUNT = 10000 };
    static struct batch_mark marks[COUNT];
    struct batch_outcomes outcomes = {.counts = {COUNT}};
    char id[BATCH_ID_BYTES_MAX];
    json_t *root;
    json_t *events;
    (void)state;
    memset(id, '"', sizeof id);
    for (size_t i = 0; i < COUNT; i++) {
        char reason[600];
        memset(reason, '\x01', sizeof reason); /* six bytes each in JSON */
        (void)snprintf(reason, sizeof reason, "%zu", i);
        reason[strlen(reason)] = '\x01';
        reason[sizeof reason - 1] = '\0';
        add(&outcomes, &marks[i], MR_REJECTED, false, reason, 0);
    }
    assert_int_equal(outcomes.reason_count, BATCH_REASONS_MAX);
    root = report(&outcomes, marks, COUNT, mr_slice(id, sizeof id));
    events = json_object_get(root, "events");
    assert_int_equal(json_array_size(events), COUNT);
    assert_non_null(json_object_get(json_array_get(events, 0), "id"));
    assert_null(json_object_get(json_array_get(events, COUNT - 1), "id"));
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_status_is_the_worst_outcome),
        cmocka_unit_test(test_the_report_lists_what_is_not_stored),
        cmocka_unit_test(test_the_report_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

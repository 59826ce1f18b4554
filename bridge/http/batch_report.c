// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/batch_report.h"

#include <stdio.h>

#include "event/json_scan.h"
#include "net/http_status.h"

enum {
    DETAIL_BYTES = 400,
    SHORT_BYTES = 64,      /* of an event told without id and reason */
    LONG_BYTES = 8 * 1024, /* with both, all of whose bytes may have to be escaped */
    HEAD_BYTES = 2 * DETAIL_BYTES,
};

size_t batch_report_bytes_max(size_t count)
{
    return HEAD_BYTES + BATCH_REPORT_LONG_BYTES + LONG_BYTES + count * SHORT_BYTES;
}

void batch_report_begin(struct batch_report *report, const struct batch_outcomes *outcomes,
                        struct mr_buf *out)
{
    char detail[DETAIL_BYTES];
    size_t stored = outcomes->counts[BATCH_STORED];
    size_t count = 0;
    for (unsigned i = 0; i < BATCH_STATES; i++) {
        count += outcomes->counts[i];
    }
    *report = (struct batch_report){.out = out, .outcomes = outcomes};
    (void)snprintf(detail, sizeof detail,
                   "Of the batch's %zu events %zu are stored; the others are listed in the member "
                   "events. Those that are \"busy\" are surely not stored, and those that are "
                   "\"unknown\" may be: they may be sent again with the same id. What is "
                   "\"rejected\" can't be stored as it is",
                   count, stored);
    (void)http_problem_begin(out, batch_outcomes_status(outcomes), mr_slice_of(detail));
    (void)buf_addf(out, ",\"stored\":%zu,\"events\":[", stored);
}

static const char *state_text(const struct batch_mark *mark)
{
    switch ((enum batch_state)mark->state) {
        case BATCH_REJECTED:
        case BATCH_TOO_LARGE:
            return "rejected";
        case BATCH_BUSY:
            return "busy";
        default:
            return "unknown";
    }
}

static const char *reason_text(const struct batch_report *report, const struct batch_mark *mark)
{
    if (mark->state == BATCH_PENDING) {
        return "Kafka has not answered in time";
    }
    return mark->reason == 0 ? NULL : report->outcomes->reasons[mark->reason - 1];
}

void batch_report_add(struct batch_report *report, size_t index, struct batch_mark mark,
                      struct mr_slice id)
{
    struct mr_buf *out = report->out;
    const char *reason = reason_text(report, &mark);
    bool is_long = out->len < BATCH_REPORT_LONG_BYTES;
    if (mark.state == BATCH_STORED) {
        return;
    }
    (void)buf_addf(out, "%s{\"index\":%zu", report->has_events ? "," : "", index);
    report->has_events = true;
    if (is_long && id.ptr != NULL && id.len <= BATCH_ID_BYTES_MAX) {
        (void)buf_add_str(out, ",\"id\":");
        (void)json_write_string(id, out);
    }
    (void)buf_addf(out, ",\"outcome\":\"%s\"", state_text(&mark));
    if (is_long && reason != NULL) {
        (void)buf_add_str(out, ",\"reason\":");
        (void)json_write_string(mr_slice_of(reason), out);
    }
    (void)buf_add_char(out, '}');
}

void batch_report_end(struct batch_report *report)
{
    (void)buf_add_str(report->out, "]}\n");
}

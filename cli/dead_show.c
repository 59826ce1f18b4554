// SPDX-License-Identifier: Apache-2.0
/* `millrace dead show`: each letter with why it died, where it was, and its event; a value that is
 * no event as far as it may be shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/dead_topic.h"
#include "cli/print.h"
#include "event/base64.h"
#include "event/format_json.h"
#include "event/json_scan.h"
#include "event/timestamp.h"

enum {
    LINE_BYTES_MAX = 256 * 1024 * 1024,
    SHOWN_BYTES = 4 * DEAD_TEXT_BYTES_MAX + 1, /* of a text of ours, each byte of it escaped */
    NS_PER_MS = 1000000,
};

struct showing {
    const struct dead_task *task;
    struct mr_buf line;
    int64_t shown;
    const char *trouble;
};

static void format_ms(int64_t ms, char text[TIMESTAMP_BYTES])
{
    bool fits = ms >= 0 && ms < INT64_MAX / NS_PER_MS;
    (void)timestamp_format(fits ? ms * NS_PER_MS : 0, text);
}

/* --- for people --- */

static void print_text(const char *name, struct mr_slice text)
{
    char shown[SHOWN_BYTES];
    if (text.ptr != NULL && text.len > 0) {
        bool is_cut = print_harmless(text, shown, sizeof shown) < text.len;
        printf("  %-7s %s%s\n", name, shown, is_cut ? " ..." : "");
    }
}

static void print_number(const char *name, int64_t number)
{
    if (number >= 0 && number != INT64_MAX) {
        printf(", %s %" PRId64, name, number);
    }
}

static void print_head(const struct dead_found *found)
{
    const struct dead_view *view = found->view;
    char reason[TIMESTAMP_BYTES * 4], topic[SHOWN_BYTES], died[TIMESTAMP_BYTES];
    (void)print_harmless(view->reason, reason, sizeof reason);
    (void)print_harmless(view->topic, topic, sizeof topic);
    format_ms(view->died_ms, died);
    printf("%" PRId32 ":%" PRId64 " %s, died %s\n", found->partition, found->offset, reason, died);
    printf("  %-7s %s", "was in", view->topic.ptr == NULL ? "no topic" : topic);
    print_number("partition", view->partition);
    print_number("offset", view->offset);
    print_number("attempts", view->attempts);
    print_number("replays", view->replays);
    printf("\n");
    print_text("text", view->text);
    print_text("server", view->server);
    print_text("group", view->group);
    print_text("key", found->record->key);
    if (!view->is_whole) {
        printf("  %-7s not whole", "value");
        print_number("bytes of the whole value:", view->size);
        printf("\n");
    }
}

static bool show(struct showing *showing, const struct dead_found *found)
{
    print_head(found);
    if (found->event == NULL) {
        print_text("value", found->record->value);
        return !ferror(stdout);
    }
    (void)event_json_encode(found->event, &showing->line, NULL);
    return buf_check(&showing->line, NULL) != 0 || print_json_line(buf_slice(&showing->line));
}

/* --- for programs --- */

static void add_quoted(struct mr_buf *line, struct mr_slice text)
{
    char shown[SHOWN_BYTES];
    (void)print_harmless(text, shown, sizeof shown);
    (void)json_write_string(mr_slice_of(shown), line);
}

static void add_text(struct mr_buf *line, const char *name, struct mr_slice text)
{
    if (text.ptr != NULL) {
        (void)buf_addf(line, ",\"%s\":", name);
        add_quoted(line, text);
    }
}

static void add_number(struct mr_buf *line, const char *name, int64_t number)
{
    if (number >= 0) {
        (void)buf_addf(line, ",\"%s\":%" PRId64, name, number);
    }
}

static void add_base64(struct mr_buf *line, const char *name, struct mr_slice bytes)
{
    if (bytes.ptr != NULL) {
        (void)buf_addf(line, ",\"%s\":\"", name);
        (void)base64_encode(bytes, line);
        (void)buf_add_char(line, '"');
    }
}

/* What MQTT knew of a message, so that it can be published again: [name, value], in their order. */
static void add_mqtt(struct mr_buf *line, const struct kafka_record *record)
{
    bool is_first = true;
    if (dead_header(record, DEAD_MQTT_TOPIC).ptr == NULL) {
        return;
    }
    (void)buf_add_str(line, ",\"headers\":[");
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        if (strncmp(header->name, DEAD_PREFIX, sizeof DEAD_PREFIX - 1) == 0) {
            continue;
        }
        (void)buf_add_str(line, is_first ? "[" : ",[");
        add_quoted(line, mr_slice_of(header->name));
        (void)buf_add_char(line, ',');
        add_quoted(line, header->value);
        (void)buf_add_char(line, ']');
        is_first = false;
    }
    (void)buf_add_char(line, ']');
}

static bool show_json(struct showing *showing, const struct dead_found *found)
{
    const struct dead_view *view = found->view;
    struct mr_buf *line = &showing->line;
    char died[TIMESTAMP_BYTES];
    format_ms(view->died_ms, died);
    (void)buf_addf(line, "{\"letter\":\"%" PRId32 ":%" PRId64 "\",\"died\":\"%s\"",
                   found->partition, found->offset, died);
    add_text(line, "reason", view->reason);
    add_text(line, "text", view->text);
    add_text(line, "server", view->server);
    add_text(line, "topic", view->topic);
    add_number(line, "partition", view->partition);
    add_number(line, "offset", view->offset);
    add_number(line, "timestamp", view->timestamp_ms);
    add_text(line, "group", view->group);
    add_number(line, "attempts", view->attempts);
    add_text(line, "first", view->first);
    add_text(line, "last", view->last);
    add_number(line, "replays", view->replays);
    add_number(line, "size", view->size);
    add_text(line, "sha256", view->sha256);
    add_text(line, "application", found->who->application);
    add_text(line, "device", found->who->device);
    add_text(line, "key", found->record->key);
    add_mqtt(line, found->record);
    if (found->event == NULL) {
        add_base64(line, "value_base64", found->record->value);
    } else {
        (void)buf_add_str(line, ",\"event\":");
        (void)event_json_encode(found->event, line, NULL);
    }
    (void)buf_add_char(line, '}');
    return buf_check(line, NULL) != 0 || print_json_line(buf_slice(line));
}

static bool on_found(void *user, const struct dead_found *found)
{
    struct showing *showing = user;
    bool written;
    buf_clear(&showing->line);
    written = showing->task->options->json ? show_json(showing, found) : show(showing, found);
    showing->shown++;
    if (buf_check(&showing->line, NULL) != 0) {
        showing->trouble = mr_code_text((enum mr_code)showing->line.failed);
        return false;
    }
    return written && showing->shown != showing->task->options->limit;
}

int dead_show_run(const struct dead_task *task)
{
    struct dead_topic topic;
    struct showing showing = {.task = task};
    int status;
    buf_init(&showing.line, LINE_BYTES_MAX);
    status = dead_topic_open(&topic, task);
    if (status == 0) {
        status = dead_topic_each(&topic, task, on_found, &showing);
    }
    if (showing.trouble != NULL) {
        status = dead_fail(task->options->from, showing.trouble);
    }
    dead_topic_close(&topic);
    buf_done(&showing.line);
    return dead_end_of_output(status);
}

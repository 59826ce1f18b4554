// SPDX-License-Identifier: Apache-2.0
#include "cli/dead_letter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/percent.h"
#include "event/timestamp.h"

#define REPLAYS DEAD_PREFIX "replays"

enum { NS_PER_MS = 1000000, DECIMAL = 10 };

struct mr_slice dead_header(const struct kafka_record *record, const char *name)
{
    struct mr_slice value = {NULL, 0};
    for (size_t i = 0; i < record->header_count; i++) {
        if (strcmp(record->headers[i].name, name) == 0) {
            value = record->headers[i].value;
        }
    }
    return value;
}

/* Decimal digits alone; -1: it is no such number. */
static int64_t number_of(struct mr_slice text)
{
    int64_t value = 0;
    if (text.len == 0) {
        return -1;
    }
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.ptr[i] - '0';
        if (digit < 0 || digit >= DECIMAL || value > (INT64_MAX - digit) / DECIMAL) {
            return -1;
        }
        value = value * DECIMAL + digit;
    }
    return value;
}

static int64_t find_number(const struct kafka_record *record, const char *name)
{
    return number_of(dead_header(record, name));
}

static int64_t find_replays(const struct kafka_record *record)
{
    struct mr_slice text = dead_header(record, REPLAYS);
    int64_t replays = text.ptr == NULL ? 0 : number_of(text);
    return replays < 0 ? INT64_MAX : replays;
}

static int64_t time_of_death(struct mr_slice last, int64_t record_ms)
{
    int64_t ns;
    if (last.ptr == NULL || timestamp_parse(last, &ns, NULL) != 0) {
        return record_ms;
    }
    return ns / NS_PER_MS;
}

enum dead_kind dead_view_read(const struct kafka_record *record, int64_t record_ms,
                              struct dead_view *ret_view)
{
    struct dead_view view = {
        .reason = dead_header(record, DEAD_PREFIX "reason"),
        .text = dead_header(record, DEAD_PREFIX "text"),
        .topic = dead_header(record, DEAD_PREFIX "topic"),
        .group = dead_header(record, DEAD_PREFIX "group"),
        .server = dead_header(record, DEAD_PREFIX "server"),
        .first = dead_header(record, DEAD_PREFIX "first"),
        .last = dead_header(record, DEAD_PREFIX "last"),
        .sha256 = dead_header(record, DEAD_PREFIX "sha256"),
        .partition = find_number(record, DEAD_PREFIX "partition"),
        .offset = find_number(record, DEAD_PREFIX "offset"),
        .timestamp_ms = find_number(record, DEAD_PREFIX "timestamp"),
        .attempts = find_number(record, DEAD_PREFIX "attempts"),
        .size = find_number(record, DEAD_PREFIX "size"),
        .replays = find_replays(record),
    };
    view.died_ms = time_of_death(view.last, record_ms);
    view.is_whole = dead_header(record, DEAD_PREFIX "size").ptr == NULL && view.sha256.ptr == NULL;
    *ret_view = view;
    if (view.reason.ptr != NULL) {
        return DEAD_KIND_LETTER;
    }
    return dead_header(record, DEAD_SETTLED).ptr != NULL ? DEAD_KIND_MARK : DEAD_KIND_OTHER;
}

static struct mr_slice behind(struct mr_slice text, const char *at)
{
    return mr_slice(at + 1, text.len - (size_t)(at + 1 - text.ptr));
}

static const char *find_byte(struct mr_slice text, char byte)
{
    return text.len == 0 ? NULL : memchr(text.ptr, byte, text.len);
}

bool dead_place_parse(struct mr_slice text, int64_t *ret_partition, int64_t *ret_first,
                      int64_t *ret_last)
{
    const char *colon = find_byte(text, ':');
    const char *dash;
    struct mr_slice offsets;
    if (colon == NULL) {
        return false;
    }
    offsets = behind(text, colon);
    dash = find_byte(offsets, '-');
    *ret_partition = number_of(mr_slice(text.ptr, (size_t)(colon - text.ptr)));
    *ret_first =
        number_of(dash == NULL ? offsets : mr_slice(offsets.ptr, (size_t)(dash - offsets.ptr)));
    *ret_last = dash == NULL ? *ret_first : number_of(behind(offsets, dash));
    return *ret_partition >= 0 && *ret_partition <= INT32_MAX && *ret_first >= 0 &&
           *ret_last >= *ret_first;
}

/* --- who sent it --- */

void dead_who_init(struct dead_who *who)
{
    *who = (struct dead_who){0};
    buf_init(&who->decoded, DEAD_WHO_BYTES_MAX);
}

void dead_who_done(struct dead_who *who)
{
    buf_done(&who->decoded);
}

/* "meadow/thermo%201" */
static void take_apart(struct mr_slice key, struct dead_who *who)
{
    const char *slash = find_byte(key, '/');
    struct mr_slice application, device;
    size_t application_len;
    who->device = key;
    if (slash == NULL || find_byte(behind(key, slash), '/') != NULL) {
        return;
    }
    application = mr_slice(key.ptr, (size_t)(slash - key.ptr));
    device = behind(key, slash);
    if (application.len == 0 || device.len == 0 ||
        percent_decode(application, false, &who->decoded, NULL) != 0) {
        return;
    }
    application_len = who->decoded.len;
    if (percent_decode(device, false, &who->decoded, NULL) != 0) {
        return;
    }
    who->application = mr_slice(who->decoded.ptr, application_len);
    who->device = mr_slice(who->decoded.ptr + application_len, who->decoded.len - application_len);
}

/* "temperature/d1": what its levels mean is not known here. */
static void read_mqtt(const struct kafka_record *record, struct mr_slice topic,
                      struct dead_who *who)
{
    who->application = dead_header(record, "mqtt_property_application");
    who->device = dead_header(record, "mqtt_property_device");
    if (who->device.ptr == NULL) {
        who->device = topic;
    }
}

int dead_who_read(const struct kafka_record *record, const struct mr_event *event,
                  struct dead_who *who, struct mr_error *err)
{
    struct mr_slice topic = dead_header(record, DEAD_MQTT_TOPIC);
    buf_clear(&who->decoded);
    who->application = (struct mr_slice){NULL, 0};
    who->device = (struct mr_slice){NULL, 0};
    if (event != NULL) {
        who->application = mr_event_string(event, "application");
        who->device = mr_event_string(event, "device");
    }
    if (who->device.ptr == NULL) {
        who->application = dead_header(record, "ce_application");
        who->device = dead_header(record, "ce_device");
    }
    if (who->device.ptr == NULL && topic.ptr != NULL) {
        read_mqtt(record, topic, who);
    } else if (who->device.ptr == NULL) {
        who->application = (struct mr_slice){NULL, 0};
        take_apart(record->key, who);
    }
    /* A key that is too long to be taken apart is shown as it is. */
    return who->decoded.failed == MR_ENOMEM ? buf_check(&who->decoded, err) : 0;
}

/* --- what becomes of it --- */

int dead_letter_restore(const struct kafka_record *record, int64_t replays,
                        struct dead_restored *restored, struct kafka_record *ret_record,
                        struct mr_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        if (strncmp(header->name, DEAD_PREFIX, sizeof(DEAD_PREFIX) - 1) == 0) {
            continue;
        }
        if (count == DEAD_HEADERS_MAX) {
            return mr_error_set(err, MR_ELIMIT, "more than %d headers", DEAD_HEADERS_MAX);
        }
        restored->headers[count++] = *header;
    }
    (void)snprintf(restored->replays, sizeof restored->replays, "%" PRId64, replays);
    restored->headers[count++] =
        (struct kafka_header){.name = REPLAYS, .value = mr_slice_of(restored->replays)};
    *ret_record = (struct kafka_record){.key = record->key,
                                        .value = record->value,
                                        .headers = restored->headers,
                                        .header_count = count};
    return 0;
}

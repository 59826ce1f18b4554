// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/dialects/lorawan.h"

#include <stdio.h>

#include "event/timestamp.h"

#define CHANNEL "uplink"

enum { TIME_BYTES_MAX = 64, ID_BYTES = TIME_BYTES_MAX + 16 };

int lorawan_read_query(struct draft *draft, struct draft_parameter ret[LORAWAN_PARAMETERS])
{
    ret[LORAWAN_APPLICATION] = (struct draft_parameter){.name = "application"};
    ret[LORAWAN_MODEL] = (struct draft_parameter){.name = "model_id"};
    ret[LORAWAN_DATA_SCHEMA] = (struct draft_parameter){.name = "data_schema"};
    return draft_read_query(draft, ret, LORAWAN_PARAMETERS);
}

void lorawan_hear(struct lorawan_signal *best, struct mr_slice rssi, double rssi_number,
                  struct mr_slice snr)
{
    if (rssi.ptr != NULL && (best->rssi.ptr == NULL || rssi_number > best->rssi_number)) {
        *best = (struct lorawan_signal){.rssi = rssi, .snr = snr, .rssi_number = rssi_number};
    }
}

void lorawan_data_rate(int64_t spreading_factor, int64_t bandwidth_hz,
                       char ret_text[LORAWAN_DATA_RATE_BYTES])
{
    long long khz = (long long)(bandwidth_hz / 1000);
    int hz = (int)(bandwidth_hz % 1000);
    int len = snprintf(ret_text, LORAWAN_DATA_RATE_BYTES, "SF%lldBW%lld",
                       (long long)spreading_factor, khz);
    if (hz == 0 || len < 0 || len >= LORAWAN_DATA_RATE_BYTES) {
        return;
    }
    len += snprintf(ret_text + len, (size_t)(LORAWAN_DATA_RATE_BYTES - len), ".%03d", hz);
    while (len < LORAWAN_DATA_RATE_BYTES && ret_text[len - 1] == '0') {
        ret_text[--len] = '\0';
    }
}

int lorawan_check_names(struct draft *draft, const struct lorawan_uplink *uplink)
{
    return draft_check_text(draft, uplink->application_what, uplink->application) != 0
               ? -1
               : draft_check_text(draft, uplink->device_what, uplink->device);
}

/* The webhook speaks for the device: one that is authenticated must be allowed to. Devices of equal
 * names in two applications of the network stay apart: neither may come as the other. */
static int set_sender(struct draft *draft, const struct lorawan_uplink *uplink,
                      struct mr_slice application)
{
    const char *application_what =
        application.ptr != NULL ? "application" : uplink->application_what;
    const struct draft_sender sender = {
        .application = application.ptr != NULL ? application : uplink->application,
        .as = uplink->device,
        .as_what = uplink->device_what,
        .channel = MR_SLICE(CHANNEL),
        .missing = uplink->device_what,
    };
    if (draft_check_application(draft, application_what, sender.application) != 0) {
        return -1;
    }
    return draft_set_sender(draft, &sender);
}

static int set_if_known(struct draft *draft, const char *what, const char *name,
                        struct mr_slice value)
{
    if (value.len > LORAWAN_TEXT_BYTES_MAX) {
        return draft_refuse(draft, 400, "%s: expected at most %d bytes", what,
                            LORAWAN_TEXT_BYTES_MAX);
    }
    return value.len == 0 ? 0 : draft_set(draft, what, name, value);
}

static int set_radio(struct draft *draft, const struct lorawan_uplink *uplink)
{
    bool has_counter = uplink->has_counter && uplink->counter <= INT32_MAX;
    if (draft_set_integer(draft, "port", "lorawanport", uplink->port) != 0 ||
        (has_counter &&
         draft_set_integer(draft, "counter", "lorawancounter", (int32_t)uplink->counter) != 0) ||
        set_if_known(draft, uplink->device_eui_what, "lorawandeveui", uplink->device_eui) != 0 ||
        set_if_known(draft, uplink->data_rate_what, "lorawandatarate", uplink->data_rate) != 0 ||
        set_if_known(draft, "rssi", "lorawanrssi", uplink->signal.rssi) != 0 ||
        set_if_known(draft, "snr", "lorawansnr", uplink->signal.snr) != 0) {
        return -1;
    }
    if (uplink->is_confirmed &&
        draft_set_boolean(draft, "confirmed", "lorawanconfirmed", true) != 0) {
        return -1;
    }
    return uplink->is_retry ? draft_set_boolean(draft, "is_retry", "lorawanretry", true) : 0;
}

static bool is_usable(struct mr_slice time)
{
    int64_t ns;
    return time.len > 0 && time.len <= TIME_BYTES_MAX && timestamp_parse(time, &ns, NULL) == 0;
}

/* A webhook's retry has the same bytes, so the same counter and time of reception; another uplink
 * of the device has another time. */
static int set_id(struct draft *draft, const struct lorawan_uplink *uplink)
{
    char id[ID_BYTES];
    if (uplink->id.ptr != NULL) {
        return draft_set(draft, "correlation_ids", "id", uplink->id);
    }
    if (!uplink->has_counter || !is_usable(uplink->times[0])) {
        return 0; /* it gets a new one */
    }
    (void)snprintf(id, sizeof id, "%lu@%.*s", (unsigned long)uplink->counter,
                   MR_SLICE_ARG(uplink->times[0]));
    return draft_set(draft, "id", "id", mr_slice_of(id));
}

static int set_time(struct draft *draft, const struct lorawan_uplink *uplink)
{
    for (size_t i = 0; i < MR_COUNT_OF(uplink->times); i++) {
        if (is_usable(uplink->times[i])) {
            return draft_set(draft, "time", "time", uplink->times[i]);
        }
    }
    return 0; /* when it arrived */
}

int lorawan_fill(struct draft *draft, const struct lorawan_uplink *uplink,
                 const struct draft_parameter parameters[LORAWAN_PARAMETERS])
{
    struct mr_slice application = draft_slice(draft, parameters[LORAWAN_APPLICATION].value);
    struct mr_slice model = draft_slice(draft, parameters[LORAWAN_MODEL].value);
    struct mr_slice schema = draft_slice(draft, parameters[LORAWAN_DATA_SCHEMA].value);
    if (set_sender(draft, uplink, application) != 0 || set_radio(draft, uplink) != 0 ||
        set_id(draft, uplink) != 0 || set_time(draft, uplink) != 0 ||
        draft_set_model(draft, model) != 0 || draft_set_schema(draft, schema) != 0 ||
        draft_set_content(draft) != 0) {
        return -1;
    }
    return draft_set_id(draft); /* last: it decodes, which moves the slices */
}

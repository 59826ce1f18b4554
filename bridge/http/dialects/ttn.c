// SPDX-License-Identifier: Apache-2.0
/* The HTTP integration of The Things Network v2:
 *     POST /ttn?application=&model_id=&data_schema=
 * The content is stored as it came. docs/millrace-http-dialects.md has the table. */
#include "bridge/http/dialects/json_members.h"
#include "bridge/http/dialects/lorawan.h"

enum value {
    APP_ID,
    DEV_ID,
    HARDWARE_SERIAL,
    PORT,
    COUNTER,
    IS_RETRY,
    CONFIRMED,
    METADATA,
    TIME,
    DATA_RATE,
    GATEWAYS,
    RSSI,
    SNR,
    VALUES
};

static const struct json_member gateway_members[] = {
    {.name = "rssi", .path = "metadata.gateways[].rssi", .kind = JSON_NUMBER, .value = RSSI},
    {.name = "snr", .path = "metadata.gateways[].snr", .kind = JSON_NUMBER, .value = SNR},
};
static const struct json_shape gateway = {gateway_members, MR_COUNT_OF(gateway_members)};

static const struct json_member metadata_members[] = {
    {.name = "time", .path = "metadata.time", .kind = JSON_STRING, .value = TIME},
    {.name = "data_rate", .path = "metadata.data_rate", .kind = JSON_STRING, .value = DATA_RATE},
    {.name = "gateways",
     .path = "metadata.gateways",
     .kind = JSON_OBJECTS,
     .value = GATEWAYS,
     .inside = &gateway},
};
static const struct json_shape metadata = {metadata_members, MR_COUNT_OF(metadata_members)};

static const struct json_member members[] = {
    {.name = "app_id", .path = "app_id", .kind = JSON_STRING, .value = APP_ID},
    {.name = "dev_id", .path = "dev_id", .kind = JSON_STRING, .value = DEV_ID},
    {.name = "hardware_serial",
     .path = "hardware_serial",
     .kind = JSON_STRING,
     .value = HARDWARE_SERIAL},
    {.name = "port", .path = "port", .kind = JSON_INTEGER, .value = PORT, .max = LORAWAN_PORT_MAX},
    {.name = "counter",
     .path = "counter",
     .kind = JSON_INTEGER,
     .value = COUNTER,
     .max = LORAWAN_COUNTER_MAX},
    {.name = "is_retry", .path = "is_retry", .kind = JSON_BOOLEAN, .value = IS_RETRY},
    {.name = "confirmed", .path = "confirmed", .kind = JSON_BOOLEAN, .value = CONFIRMED},
    {.name = "metadata",
     .path = "metadata",
     .kind = JSON_OBJECT,
     .value = METADATA,
     .inside = &metadata},
};
static const struct json_shape uplink_shape = {members, MR_COUNT_OF(members)};

static void hear(void *user, unsigned of, const struct json_value *values)
{
    (void)of;
    lorawan_hear(user, values[RSSI].raw, values[RSSI].number, values[SNR].raw);
}

static int fill(struct draft *draft)
{
    struct draft_parameter parameters[LORAWAN_PARAMETERS];
    struct json_value values[VALUES] = {0};
    struct lorawan_uplink uplink = {.application_what = "app_id",
                                    .device_what = "dev_id",
                                    .device_eui_what = "hardware_serial",
                                    .data_rate_what = "metadata.data_rate"};
    const struct json_values ret = {.values = values, .each = hear, .user = &uplink.signal};
    if (lorawan_read_query(draft, parameters) != 0 ||
        json_read(draft, "content", draft->request->body, &uplink_shape, &ret) != 0) {
        return -1;
    }
    if (!values[PORT].is_set) {
        return draft_refuse(draft, 400, "port: missing");
    }
    uplink.application = json_string_of(draft, &values[APP_ID]);
    uplink.device = json_string_of(draft, &values[DEV_ID]);
    uplink.device_eui = json_string_of(draft, &values[HARDWARE_SERIAL]);
    uplink.data_rate = json_string_of(draft, &values[DATA_RATE]);
    uplink.times[0] = json_string_of(draft, &values[TIME]);
    uplink.has_counter = values[COUNTER].is_set;
    uplink.counter = (uint32_t)values[COUNTER].integer;
    uplink.port = (uint8_t)values[PORT].integer;
    uplink.is_confirmed = values[CONFIRMED].boolean;
    uplink.is_retry = values[IS_RETRY].boolean;
    return lorawan_fill(draft, &uplink, parameters);
}

static bool is_mine(struct mr_slice path)
{
    return mr_slice_is(path, MR_SLICE("/ttn"));
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    struct draft draft;
    int rc;
    /* Query, content and a quoted id are each decoded once, which never makes longer. */
    draft_init(&draft, request, event, ret_refusal,
               request->query.len + request->body.len + IDENTITY_NAME_BYTES_MAX + 1);
    rc = fill(&draft);
    draft_done(&draft);
    return rc;
}

const struct dialect dialect_ttn = {
    .is_mine = is_mine,
    .read = read_request,
};

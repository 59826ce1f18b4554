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
    JSON_NUMBER_AT(RSSI, "rssi", "metadata.gateways[].rssi"),
    JSON_NUMBER_AT(SNR, "snr", "metadata.gateways[].snr"),
};
static const struct json_shape gateway_shape = JSON_SHAPE(gateway_members);

static const struct json_member metadata_members[] = {
    JSON_STRING_AT(TIME, "time", "metadata.time"),
    JSON_STRING_AT(DATA_RATE, "data_rate", "metadata.data_rate"),
    JSON_NESTED_AT(GATEWAYS, JSON_OBJECTS, "gateways", "metadata.gateways", &gateway_shape),
};
static const struct json_shape metadata_shape = JSON_SHAPE(metadata_members);

static const struct json_member members[] = {
    JSON_STRING_AT(APP_ID, "app_id", "app_id"),
    JSON_STRING_AT(DEV_ID, "dev_id", "dev_id"),
    JSON_STRING_AT(HARDWARE_SERIAL, "hardware_serial", "hardware_serial"),
    JSON_INTEGER_AT(PORT, "port", "port", LORAWAN_PORT_MAX),
    JSON_INTEGER_AT(COUNTER, "counter", "counter", LORAWAN_COUNTER_MAX),
    JSON_BOOLEAN_AT(IS_RETRY, "is_retry", "is_retry"),
    JSON_BOOLEAN_AT(CONFIRMED, "confirmed", "confirmed"),
    JSON_NESTED_AT(METADATA, JSON_OBJECT, "metadata", "metadata", &metadata_shape),
};
static const struct json_shape uplink_shape = JSON_SHAPE(members);

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
    return lorawan_check_names(draft, &uplink) != 0 ? -1 : lorawan_fill(draft, &uplink, parameters);
}

static bool is_mine(struct mr_slice path)
{
    return mr_slice_is(path, MR_SLICE("/ttn"));
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    /* Query, content and a quoted id are each decoded once, which never makes longer. */
    return draft_run(request, event, ret_refusal,
                     request->query.len + request->body.len + DIALECT_ID_BYTES_MAX + 1, fill);
}

const struct dialect dialect_ttn = {
    .is_mine = is_mine,
    .read = read_request,
};

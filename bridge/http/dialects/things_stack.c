// SPDX-License-Identifier: Apache-2.0
/* The webhooks of The Things Stack (The Things Network v3):
 *     POST /ttn/v3?application=&model_id=&data_schema=
 * Uplinks are stored as they came; a message of another kind, and a simulated uplink, is not.
 * docs/millrace-http-dialects.md has the table. */
#include <string.h>

#include "bridge/http/dialects/json_members.h"
#include "bridge/http/dialects/lorawan.h"

/* What the Application Server adds to a message that goes up; the same in each retry. */
#define UP_ID "as:up:"

#define DEVICE_ID      "end_device_ids.device_id"
#define DEVICE_EUI     "end_device_ids.dev_eui"
#define APPLICATION_ID "end_device_ids.application_ids.application_id"
#define LORA_PATH      "uplink_message.settings.data_rate.lora"

enum value {
    END_DEVICE_IDS,
    DEVICE,
    APPLICATION_IDS,
    APPLICATION,
    DEV_EUI,
    CORRELATION_IDS,
    RECEIVED_AT,
    SIMULATED,
    UPLINK,
    F_PORT,
    F_CNT,
    CONFIRMED,
    UPLINK_RECEIVED_AT,
    RX_METADATA,
    RSSI,
    SNR,
    SETTINGS,
    DATA_RATE,
    LORA,
    BANDWIDTH,
    SPREADING_FACTOR,
    VALUES
};

static const struct json_member application_members[] = {
    JSON_STRING_AT(APPLICATION, "application_id", APPLICATION_ID),
};
static const struct json_shape application_shape = JSON_SHAPE(application_members);

static const struct json_member device_members[] = {
    JSON_STRING_AT(DEVICE, "device_id", DEVICE_ID),
    JSON_STRING_AT(DEV_EUI, "dev_eui", DEVICE_EUI),
    JSON_NESTED_AT(APPLICATION_IDS, JSON_OBJECT, "application_ids",
                   "end_device_ids.application_ids", &application_shape),
};
static const struct json_shape device_shape = JSON_SHAPE(device_members);

static const struct json_member gateway_members[] = {
    JSON_NUMBER_AT(RSSI, "rssi", "uplink_message.rx_metadata[].rssi"),
    JSON_NUMBER_AT(SNR, "snr", "uplink_message.rx_metadata[].snr"),
};
static const struct json_shape gateway_shape = JSON_SHAPE(gateway_members);

static const struct json_member lora_members[] = {
    JSON_INTEGER_AT(BANDWIDTH, "bandwidth", LORA_PATH ".bandwidth", UINT32_MAX),
    JSON_INTEGER_AT(SPREADING_FACTOR, "spreading_factor", LORA_PATH ".spreading_factor",
                    UINT32_MAX),
};
static const struct json_shape lora_shape = JSON_SHAPE(lora_members);

static const struct json_member data_rate_members[] = {
    JSON_NESTED_AT(LORA, JSON_OBJECT, "lora", LORA_PATH, &lora_shape),
};
static const struct json_shape data_rate_shape = JSON_SHAPE(data_rate_members);

static const struct json_member settings_members[] = {
    JSON_NESTED_AT(DATA_RATE, JSON_OBJECT, "data_rate", "uplink_message.settings.data_rate",
                   &data_rate_shape),
};
static const struct json_shape settings_shape = JSON_SHAPE(settings_members);

static const struct json_member uplink_members[] = {
    JSON_INTEGER_AT(F_PORT, "f_port", "uplink_message.f_port", LORAWAN_PORT_MAX),
    JSON_INTEGER_AT(F_CNT, "f_cnt", "uplink_message.f_cnt", LORAWAN_COUNTER_MAX),
    JSON_BOOLEAN_AT(CONFIRMED, "confirmed", "uplink_message.confirmed"),
    JSON_STRING_AT(UPLINK_RECEIVED_AT, "received_at", "uplink_message.received_at"),
    JSON_NESTED_AT(RX_METADATA, JSON_OBJECTS, "rx_metadata", "uplink_message.rx_metadata",
                   &gateway_shape),
    JSON_NESTED_AT(SETTINGS, JSON_OBJECT, "settings", "uplink_message.settings", &settings_shape),
};
static const struct json_shape uplink_shape = JSON_SHAPE(uplink_members);

static const struct json_member members[] = {
    JSON_NESTED_AT(END_DEVICE_IDS, JSON_OBJECT, "end_device_ids", "end_device_ids", &device_shape),
    JSON_NESTED_AT(CORRELATION_IDS, JSON_STRINGS, "correlation_ids", "correlation_ids", NULL),
    JSON_STRING_AT(RECEIVED_AT, "received_at", "received_at"),
    JSON_BOOLEAN_AT(SIMULATED, "simulated", "simulated"),
    JSON_NESTED_AT(UPLINK, JSON_OBJECT, "uplink_message", "uplink_message", &uplink_shape),
};
static const struct json_shape message_shape = JSON_SHAPE(members);

static bool is_up_id(struct mr_slice id)
{
    size_t len = sizeof UP_ID - 1;
    return id.len > len && id.len <= DIALECT_ID_BYTES_MAX && memcmp(id.ptr, UP_ID, len) == 0;
}

static void take_item(void *user, unsigned of, const struct json_value *values)
{
    struct lorawan_uplink *uplink = user;
    if (of == RX_METADATA) {
        lorawan_hear(&uplink->signal, values[RSSI].raw, values[RSSI].number, values[SNR].raw);
    } else if (uplink->id.ptr == NULL && !values[CORRELATION_IDS].escaped.is_set &&
               is_up_id(values[CORRELATION_IDS].raw)) {
        uplink->id = values[CORRELATION_IDS].raw;
    }
}

/* Empty fields are left out of The Things Stack's JSON: no counter is 0, no port is 0. */
static int store(struct draft *draft, struct lorawan_uplink *uplink,
                 const struct json_value *values, const struct draft_parameter *parameters)
{
    char data_rate[LORAWAN_DATA_RATE_BYTES];
    if (values[SPREADING_FACTOR].is_set && values[BANDWIDTH].is_set) {
        lorawan_data_rate(values[SPREADING_FACTOR].integer, values[BANDWIDTH].integer, data_rate);
        uplink->data_rate = mr_slice_of(data_rate);
    }
    uplink->device_eui = json_string_of(draft, &values[DEV_EUI]);
    uplink->times[0] = json_string_of(draft, &values[UPLINK_RECEIVED_AT]);
    uplink->times[1] = json_string_of(draft, &values[RECEIVED_AT]);
    uplink->has_counter = true;
    uplink->counter = (uint32_t)values[F_CNT].integer;
    uplink->port = (uint8_t)values[F_PORT].integer;
    uplink->is_confirmed = values[CONFIRMED].boolean;
    return lorawan_fill(draft, uplink, parameters);
}

static int fill(struct draft *draft)
{
    struct draft_parameter parameters[LORAWAN_PARAMETERS];
    struct json_value values[VALUES] = {0};
    struct lorawan_uplink uplink = {.application_what = APPLICATION_ID,
                                    .device_what = DEVICE_ID,
                                    .device_eui_what = DEVICE_EUI,
                                    .data_rate_what = LORA_PATH};
    const struct json_values ret = {.values = values, .each = take_item, .user = &uplink};
    if (lorawan_read_query(draft, parameters) != 0 ||
        json_read(draft, "content", draft->request->body, &message_shape, &ret) != 0) {
        return DIALECT_REFUSED;
    }
    uplink.application = json_string_of(draft, &values[APPLICATION]);
    uplink.device = json_string_of(draft, &values[DEVICE]);
    if (lorawan_check_names(draft, &uplink) != 0) {
        return DIALECT_REFUSED;
    }
    if (!values[UPLINK].is_set || values[SIMULATED].boolean) {
        return DIALECT_NOT_STORED;
    }
    return store(draft, &uplink, values, parameters);
}

static bool is_mine(struct mr_slice path)
{
    return mr_slice_is(path, MR_SLICE("/ttn/v3"));
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    /* Query, content and a quoted id are each decoded once, which never makes longer. */
    return draft_run(request, event, ret_refusal,
                     request->query.len + request->body.len + DIALECT_ID_BYTES_MAX + 1, fill);
}

const struct dialect dialect_things_stack = {
    .is_mine = is_mine,
    .read = read_request,
};

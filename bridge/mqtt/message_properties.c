// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/message_properties.h"

#include <mqtt_protocol.h>
#include <stdlib.h>
#include <string.h>

#include <millrace/macros.h>

enum {
    COPIES_MAX = 2 * MQTT_USER_PROPERTIES_MAX + 3 /* content type, response topic, correlation */
};

_Static_assert(COPIES_MAX <= MR_COUNT_OF(((struct message_properties *)0)->copies),
               "each copy has its place");

static int out_of_memory(struct mr_error *err)
{
    return mr_error_set(err, MR_ENOMEM, "out of memory");
}

/* libmosquitto's copy, freed with the others. NULL: there was no memory. */
static bool keep(struct message_properties *memory, void *copy)
{
    if (copy == NULL) {
        return false;
    }
    memory->copies[memory->copy_count++] = copy;
    return true;
}

/* The first one counts (MQTT 5.0, 3.3.2.3: a second is a protocol error). */
static int read_text(const mosquitto_property *property, int identifier,
                     struct message_properties *memory, struct mr_slice *ret_text,
                     struct mr_error *err)
{
    char *text = NULL;
    if (ret_text->ptr != NULL) {
        return 0;
    }
    (void)mosquitto_property_read_string(property, identifier, &text, false);
    if (!keep(memory, text)) {
        return out_of_memory(err);
    }
    *ret_text = mr_slice_of(text);
    return 0;
}

static int read_correlation(const mosquitto_property *property, struct message_properties *memory,
                            struct mr_slice *ret_bytes, struct mr_error *err)
{
    void *bytes = NULL;
    uint16_t len = 0;
    if (ret_bytes->ptr != NULL) {
        return 0;
    }
    if (mosquitto_property_read_binary(property, MQTT_PROP_CORRELATION_DATA, &bytes, &len, false) ==
            NULL ||
        (len > 0 && bytes == NULL)) {
        return out_of_memory(err);
    }
    if (len > 0) {
        (void)keep(memory, bytes);
    } else {
        free(bytes);
    }
    *ret_bytes = len == 0 ? MR_SLICE("") : mr_slice(bytes, len);
    return 0;
}

static int read_user(const mosquitto_property *property, struct message_properties *memory,
                     struct mqtt_message *message, struct mr_error *err)
{
    char *name = NULL;
    char *value = NULL;
    if (message->property_count == MQTT_USER_PROPERTIES_MAX) {
        message->properties_left_out++;
        return 0;
    }
    (void)mosquitto_property_read_string_pair(property, MQTT_PROP_USER_PROPERTY, &name, &value,
                                              false);
    if (!keep(memory, name) || !keep(memory, value)) {
        return out_of_memory(err);
    }
    memory->user[message->property_count++] =
        (struct mqtt_user_property){mr_slice_of(name), mr_slice_of(value)};
    return 0;
}

static void read_subscription(const mosquitto_property *property, struct mqtt_message *message)
{
    uint32_t identifier = 0;
    (void)mosquitto_property_read_varint(property, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, &identifier,
                                         false);
    if (message->subscription_count < MQTT_SUBSCRIPTIONS_MAX) {
        message->subscriptions[message->subscription_count] = identifier;
    }
    message->subscription_count++;
}

static int read_property(const mosquitto_property *property, struct message_properties *memory,
                         struct mqtt_message *message, struct mr_error *err)
{
    uint8_t format;
    uint32_t seconds;
    switch (mosquitto_property_identifier(property)) {
        case MQTT_PROP_CONTENT_TYPE:
            return read_text(property, MQTT_PROP_CONTENT_TYPE, memory, &message->content_type, err);
        case MQTT_PROP_RESPONSE_TOPIC:
            return read_text(property, MQTT_PROP_RESPONSE_TOPIC, memory, &message->response_topic,
                             err);
        case MQTT_PROP_CORRELATION_DATA:
            return read_correlation(property, memory, &message->correlation, err);
        case MQTT_PROP_USER_PROPERTY:
            return read_user(property, memory, message, err);
        case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR:
            (void)mosquitto_property_read_byte(property, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR,
                                               &format, false);
            message->payload_format = format;
            return 0;
        case MQTT_PROP_MESSAGE_EXPIRY_INTERVAL:
            (void)mosquitto_property_read_int32(property, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                                &seconds, false);
            message->expiry_seconds = seconds;
            return 0;
        case MQTT_PROP_SUBSCRIPTION_IDENTIFIER:
            read_subscription(property, message);
            return 0;
        default:
            return 0; /* topic aliases say nothing of the message */
    }
}

int message_properties_read(const struct mosquitto_message *received,
                            const mosquitto_property *properties, struct message_properties *memory,
                            struct mqtt_message *ret_message, struct mr_error *err)
{
    size_t len = received->payloadlen > 0 ? (size_t)received->payloadlen : 0;
    memory->copy_count = 0;
    *ret_message = (struct mqtt_message){
        .topic = mr_slice_of(received->topic),
        .payload = len == 0 ? MR_SLICE("") : mr_slice(received->payload, len),
        .packet_id = received->qos == 0 ? 0 : (uint16_t)received->mid,
        .qos = (uint8_t)received->qos,
        .retain = received->retain,
        .payload_format = -1,
        .expiry_seconds = -1,
        .properties = memory->user,
    };
    for (const mosquitto_property *p = properties; p != NULL; p = mosquitto_property_next(p)) {
        int rc = read_property(p, memory, ret_message, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void message_properties_clear(struct message_properties *memory)
{
    while (memory->copy_count > 0) {
        free(memory->copies[--memory->copy_count]);
    }
}

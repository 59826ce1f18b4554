// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/message_copy.h"

#include <string.h>

size_t message_copy_bytes(const struct mqtt_message *message)
{
    size_t bytes = message->topic.len + message->payload.len + message->content_type.len +
                   message->response_topic.len + message->correlation.len +
                   message->property_count * sizeof *message->properties;
    for (size_t i = 0; i < message->property_count; i++) {
        bytes += message->properties[i].name.len + message->properties[i].value.len;
    }
    return bytes;
}

struct mr_slice message_copy_slice(struct mr_slice slice, char **at)
{
    char *copy = *at;
    if (slice.ptr == NULL) {
        return slice;
    }
    if (slice.len > 0) {
        memcpy(copy, slice.ptr, slice.len);
    }
    *at += slice.len;
    return mr_slice(copy, slice.len);
}

char *message_copy_into(const struct mqtt_message *message, void *memory,
                        struct mqtt_message *ret_message)
{
    struct mqtt_user_property *properties = memory;
    char *at = (char *)(properties + message->property_count);
    *ret_message = *message;
    ret_message->properties = properties;
    for (size_t i = 0; i < message->property_count; i++) {
        properties[i].name = message_copy_slice(message->properties[i].name, &at);
        properties[i].value = message_copy_slice(message->properties[i].value, &at);
    }
    ret_message->topic = message_copy_slice(message->topic, &at);
    ret_message->payload =
        message_copy_slice(message->payload.ptr == NULL ? MR_SLICE("") : message->payload, &at);
    ret_message->content_type = message_copy_slice(message->content_type, &at);
    ret_message->response_topic = message_copy_slice(message->response_topic, &at);
    ret_message->correlation = message_copy_slice(message->correlation, &at);
    return at;
}

// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/dead_message.h"

#include <assert.h>

#define PROPERTY "mqtt_property_"

enum {
    KEPT_BYTES_MAX = 65536,   /* of memory, from one message to the next */
    NUMBERS_BYTES_MAX = 64,   /* of all numbers as text */
    NAME_BYTES_MAX = 65535,   /* MQTT's, of a user property's name */
    NOTE_TEXT_BYTES_MAX = 64, /* of what is said about properties that are left out */
    TEXTS_BYTES_MAX = NUMBERS_BYTES_MAX + MR_ERROR_TEXT_BYTES + NOTE_TEXT_BYTES_MAX +
                      MQTT_USER_PROPERTIES_MAX * (NAME_BYTES_MAX + (int)sizeof PROPERTY),
};

void dead_message_writer_init(struct dead_message_writer *writer)
{
    dead_writer_init(&writer->letter);
    buf_init(&writer->texts, TEXTS_BYTES_MAX);
}

void dead_message_writer_done(struct dead_message_writer *writer)
{
    dead_writer_done(&writer->letter);
    buf_done(&writer->texts);
}

static void add(struct dead_message_writer *writer, const char *name, struct mr_slice value)
{
    if (value.ptr != NULL) {
        assert(writer->header_count < DEAD_MESSAGE_HEADERS_MAX);
        writer->headers[writer->header_count++] = (struct kafka_header){name, value};
    }
}

static void add_number(struct dead_message_writer *writer, const char *name, int64_t value)
{
    size_t from = writer->texts.len;
    if (value >= 0) {
        (void)buf_addf(&writer->texts, "%lld", (long long)value);
        add(writer, name, mr_slice(writer->texts.ptr + from, writer->texts.len - from));
    }
}

/* The header's name is a copy, for it must be terminated. */
static void add_property(struct dead_message_writer *writer,
                         const struct mqtt_user_property *property)
{
    size_t from = writer->texts.len;
    (void)buf_add_str(&writer->texts, PROPERTY);
    (void)buf_add_slice(&writer->texts, property->name);
    (void)buf_add_char(&writer->texts, '\0');
    add(writer, writer->texts.ptr + from, property->value);
}

static size_t texts_bytes(const struct mqtt_message *message)
{
    size_t bytes = NUMBERS_BYTES_MAX + MR_ERROR_TEXT_BYTES + NOTE_TEXT_BYTES_MAX;
    for (size_t i = 0; i < message->property_count; i++) {
        bytes += sizeof PROPERTY + message->properties[i].name.len;
    }
    return bytes;
}

/* The writer's buffer was reserved whole, so that what is added doesn't move what was. */
static void add_headers(struct dead_message_writer *writer, const struct mqtt_message *message)
{
    writer->header_count = 0;
    add(writer, "content-type", message->content_type);
    add(writer, "mqtt_topic", message->topic);
    add_number(writer, "mqtt_qos", message->qos);
    add(writer, "mqtt_retain", message->retain ? MR_SLICE("true") : MR_SLICE("false"));
    add(writer, "mqtt_response_topic", message->response_topic);
    add(writer, "mqtt_correlation_data", message->correlation);
    add_number(writer, "mqtt_payload_format", message->payload_format);
    add_number(writer, "mqtt_message_expiry", message->expiry_seconds);
    for (size_t i = 0; i < message->property_count; i++) {
        add_property(writer, &message->properties[i]);
    }
}

/* Why; and how many properties were more than are kept of a message. */
static const char *text_of(struct dead_message_writer *writer, const struct dead_message *dead)
{
    size_t from = writer->texts.len;
    if (dead->message->properties_left_out == 0) {
        return dead->text;
    }
    (void)buf_addf(&writer->texts, "%.*s (%zu user properties left out)", MR_ERROR_TEXT_BYTES - 1,
                   dead->text == NULL ? "" : dead->text, dead->message->properties_left_out);
    (void)buf_add_char(&writer->texts, '\0');
    return writer->texts.ptr + from;
}

int dead_message_write(const struct dead_message *dead, size_t bytes_max,
                       struct dead_message_writer *writer, struct kafka_record *ret_record,
                       struct mr_error *err)
{
    struct dead_letter letter = DEAD_LETTER_INIT;
    if (writer->texts.capacity > KEPT_BYTES_MAX) {
        buf_done(&writer->texts);
    }
    buf_clear(&writer->texts);
    if (buf_reserve(&writer->texts, texts_bytes(dead->message)) != 0) {
        return buf_check(&writer->texts, err);
    }
    add_headers(writer, dead->message);
    letter.original = (struct kafka_record){.key = dead->message->topic,
                                            .value = dead->message->payload,
                                            .headers = writer->headers,
                                            .header_count = writer->header_count};
    letter.reason = dead->reason;
    letter.text = text_of(writer, dead);
    letter.topic = dead->kafka_topic;
    letter.timestamp_ms = dead->came_ms;
    return dead_letter_write(&letter, bytes_max, &writer->letter, ret_record, err);
}

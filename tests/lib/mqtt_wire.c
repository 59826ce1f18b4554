// SPDX-License-Identifier: Apache-2.0
#include "lib/mqtt_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_CLEAN = 0x02,    /* 3.1.2.4 */
    CONNECT_WILL = 0x04,     /* 3.1.2.5 */
    CONNECT_PASSWORD = 0x40, /* 3.1.2.9 */
    CONNECT_USER = 0x80,     /* 3.1.2.8 */
    QOS_MASK = 0x03,
    WRITTEN_BYTES_MAX = 64 * 1024 * 1024,
};

/* What is left to read of a packet; `ok` is false once it was shorter than it should be. */
struct reader {
    const uint8_t *at;
    size_t left;
    bool ok;
};

static const uint8_t *take(struct reader *reader, size_t len)
{
    const uint8_t *at = reader->at;
    if (!reader->ok || reader->left < len) {
        reader->ok = false;
        return NULL;
    }
    reader->at += len;
    reader->left -= len;
    return at;
}

static uint32_t take_number(struct reader *reader, size_t bytes)
{
    const uint8_t *at = take(reader, bytes);
    uint32_t value = 0;
    for (size_t i = 0; at != NULL && i < bytes; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* 1.5.5 */
static size_t take_length(struct reader *reader)
{
    size_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t byte = take_number(reader, 1);
        value |= (size_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    reader->ok = false;
    return 0;
}

/* Cut at WIRE_TEXT_BYTES - 1. */
static void take_text(struct reader *reader, char ret_text[WIRE_TEXT_BYTES])
{
    size_t len = take_number(reader, 2);
    const uint8_t *at = take(reader, len);
    (void)snprintf(ret_text, WIRE_TEXT_BYTES, "%.*s", at == NULL ? 0 : (int)len,
                   at == NULL ? "" : (const char *)at);
}

static void take_user_property(struct reader *reader, struct wire_packet *packet)
{
    char name[WIRE_TEXT_BYTES], value[WIRE_TEXT_BYTES];
    size_t len = strlen(packet->user_properties);
    take_text(reader, name);
    take_text(reader, value);
    (void)snprintf(packet->user_properties + len, WIRE_LIST_BYTES - len, "%s=%s;", name, value);
}

static void take_property(struct reader *reader, struct wire_packet *packet)
{
    char text[WIRE_TEXT_BYTES];
    uint32_t id = take_number(reader, 1);
    switch (id) {
        case WIRE_SESSION_EXPIRY:
            packet->session_expiry_s = take_number(reader, 4);
            return;
        case WIRE_PACKET_SIZE_MAXIMUM:
            packet->packet_bytes_max = take_number(reader, 4);
            return;
        case WIRE_RECEIVE_MAXIMUM:
            packet->receive_maximum = take_number(reader, 2);
            return;
        case WIRE_USER_PROPERTY:
            take_user_property(reader, packet);
            return;
        case WIRE_CONTENT_TYPE:
            take_text(reader, packet->content_type);
            return;
        case WIRE_REASON_STRING:
            take_text(reader, text);
            return;
        case 25: /* request response information, 3.1.2.11.6 */
        case 23: /* request problem information, 3.1.2.11.7 */
            (void)take_number(reader, 1);
            return;
        case 34: /* topic alias maximum, 3.1.2.11.5 */
            (void)take_number(reader, 2);
            return;
        default: /* a client has no reason to send it */
            reader->ok = false;
            return;
    }
}

static void take_properties(struct reader *reader, struct wire_packet *packet)
{
    size_t len = take_length(reader);
    const uint8_t *at = take(reader, len);
    struct reader list = {at, len, at != NULL};
    while (list.ok && list.left > 0) {
        take_property(&list, packet);
    }
    reader->ok = reader->ok && list.ok;
}

static void read_connect(struct reader *reader, struct wire_packet *packet)
{
    char protocol[WIRE_TEXT_BYTES];
    uint32_t flags;
    take_text(reader, protocol);
    packet->level = (uint8_t)take_number(reader, 1);
    flags = take_number(reader, 1);
    packet->clean_start = (flags & CONNECT_CLEAN) != 0;
    packet->has_user = (flags & CONNECT_USER) != 0;
    packet->has_password = (flags & CONNECT_PASSWORD) != 0;
    packet->keep_alive_s = (uint16_t)take_number(reader, 2);
    if (packet->level == WIRE_LEVEL_5) {
        take_properties(reader, packet);
    }
    take_text(reader, packet->client_id);
    if (packet->has_user) {
        take_text(reader, packet->user);
    }
    if (packet->has_password) {
        take_text(reader, packet->password);
    }
    reader->ok = reader->ok && strcmp(protocol, "MQTT") == 0 && (flags & CONNECT_WILL) == 0 &&
                 (flags & 1) == 0 &&
                 (packet->level == WIRE_LEVEL_5 || packet->level == WIRE_LEVEL_311);
}

static void read_filters(struct reader *reader, uint8_t level, struct wire_packet *packet)
{
    packet->packet_id = (uint16_t)take_number(reader, 2);
    if (level == WIRE_LEVEL_5) {
        take_properties(reader, packet);
    }
    do { /* 3.8.3: at least one */
        struct wire_filter *filter = &packet->filters[packet->filter_count++];
        take_text(reader, filter->filter);
        if (packet->type == WIRE_SUBSCRIBE) {
            filter->options = (uint8_t)take_number(reader, 1);
        }
    } while (reader->ok && reader->left > 0 && packet->filter_count < WIRE_FILTERS_MAX);
    reader->ok = reader->ok && packet->flags == 2 && packet->packet_id != 0;
}

static void read_puback(struct reader *reader, uint8_t level, struct wire_packet *packet)
{
    packet->packet_id = (uint16_t)take_number(reader, 2);
    if (level == WIRE_LEVEL_5 && reader->left > 0) { /* 3.4.2.1 */
        packet->reason = (uint8_t)take_number(reader, 1);
        if (reader->left > 0) {
            take_properties(reader, packet);
        }
    }
    reader->ok = reader->ok && packet->flags == 0;
}

static void read_publish(struct reader *reader, uint8_t level, struct wire_packet *packet)
{
    unsigned qos = (packet->flags >> 1) & 3;
    size_t len;
    take_text(reader, packet->topic);
    if (qos > 0) {
        packet->packet_id = (uint16_t)take_number(reader, 2);
    }
    if (level == WIRE_LEVEL_5) {
        take_properties(reader, packet);
    }
    len = reader->ok ? reader->left : 0;
    (void)snprintf(packet->payload, sizeof packet->payload, "%.*s", (int)len,
                   (const char *)reader->at);
    (void)take(reader, len);
    reader->ok = reader->ok && qos < 3 && (qos == 0) == (packet->packet_id == 0);
}

static void read_disconnect(struct reader *reader, uint8_t level, struct wire_packet *packet)
{
    if (level == WIRE_LEVEL_5 && reader->left > 0) { /* 3.14.2.1 */
        packet->reason = (uint8_t)take_number(reader, 1);
        if (reader->left > 0) {
            take_properties(reader, packet);
        }
    }
    reader->ok = reader->ok && packet->flags == 0;
}

long wire_length(const uint8_t *bytes, size_t len)
{
    size_t body = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i + 1 >= len) {
            return 0;
        }
        body |= (size_t)(bytes[i + 1] & 0x7F) << (7 * i);
        if ((bytes[i + 1] & 0x80) == 0) {
            size_t whole = body + i + 2;
            return whole > WIRE_PACKET_BYTES_MAX ? -1 : whole > len ? 0 : (long)whole;
        }
    }
    return -1;
}

bool wire_read(const uint8_t *bytes, size_t len, uint8_t level, struct wire_packet *ret_packet)
{
    struct reader reader = {bytes + 1, len - 1, true};
    *ret_packet = (struct wire_packet){.type = (enum wire_type)(bytes[0] >> 4),
                                       .flags = bytes[0] & 0x0F,
                                       .session_expiry_s = -1,
                                       .receive_maximum = -1,
                                       .packet_bytes_max = -1};
    (void)take_length(&reader);
    switch (ret_packet->type) {
        case WIRE_CONNECT:
            read_connect(&reader, ret_packet);
            break;
        case WIRE_SUBSCRIBE:
        case WIRE_UNSUBSCRIBE:
            read_filters(&reader, level, ret_packet);
            break;
        case WIRE_PUBACK:
            read_puback(&reader, level, ret_packet);
            break;
        case WIRE_DISCONNECT:
            read_disconnect(&reader, level, ret_packet);
            break;
        case WIRE_PUBLISH:
            read_publish(&reader, level, ret_packet);
            break;
        case WIRE_PINGREQ:
            break;
        default: /* no client of ours sends anything else */
            return false;
    }
    return reader.ok && reader.left == 0;
}

void wire_begin(struct mr_buf *buf)
{
    buf_init(buf, WRITTEN_BYTES_MAX);
}

static void add(struct mr_buf *buf, const void *bytes, size_t len)
{
    if (buf_add(buf, bytes, len) != 0) {
        (void)fprintf(stderr, "mqtt_wire: no room\n");
        abort();
    }
}

void wire_add_1(struct mr_buf *buf, unsigned value)
{
    add(buf, (const uint8_t[]){(uint8_t)value}, 1);
}

void wire_add_2(struct mr_buf *buf, unsigned value)
{
    wire_add_1(buf, value >> 8);
    wire_add_1(buf, value);
}

void wire_add_4(struct mr_buf *buf, uint32_t value)
{
    wire_add_2(buf, value >> 16);
    wire_add_2(buf, value);
}

void wire_add_length(struct mr_buf *buf, size_t value)
{
    do {
        wire_add_1(buf, (unsigned)(value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
}

void wire_add_text(struct mr_buf *buf, struct mr_slice text)
{
    wire_add_2(buf, (unsigned)text.len);
    add(buf, text.ptr, text.len);
}

void wire_add_property_1(struct mr_buf *list, enum wire_property id, unsigned value)
{
    wire_add_1(list, id);
    wire_add_1(list, value);
}

void wire_add_property_2(struct mr_buf *list, enum wire_property id, unsigned value)
{
    wire_add_1(list, id);
    wire_add_2(list, value);
}

void wire_add_property_4(struct mr_buf *list, enum wire_property id, uint32_t value)
{
    wire_add_1(list, id);
    wire_add_4(list, value);
}

void wire_add_property_text(struct mr_buf *list, enum wire_property id, const char *value)
{
    wire_add_1(list, id);
    wire_add_text(list, mr_slice_of(value));
}

void wire_add_user_property(struct mr_buf *list, const char *name, const char *value)
{
    wire_add_property_text(list, WIRE_USER_PROPERTY, name);
    wire_add_text(list, mr_slice_of(value));
}

void wire_add_packet(struct mr_buf *buf, enum wire_type type, unsigned flags, struct mr_slice body)
{
    wire_add_1(buf, (unsigned)type << 4 | flags);
    wire_add_length(buf, body.len);
    add(buf, body.ptr, body.len);
}

static void add_properties(struct mr_buf *buf, uint8_t level, struct mr_slice list)
{
    if (level == WIRE_LEVEL_5) {
        wire_add_length(buf, list.len);
        add(buf, list.ptr, list.len);
    }
}

void wire_add_publish(struct mr_buf *buf, uint8_t level, const struct wire_publish *publish)
{
    struct mr_buf body;
    wire_begin(&body);
    wire_add_text(&body, mr_slice_of(publish->topic));
    if (publish->qos > 0) {
        wire_add_2(&body, publish->packet_id);
    }
    add_properties(&body, level, publish->properties);
    add(&body, publish->payload.ptr, publish->payload.len);
    wire_add_packet(
        buf, WIRE_PUBLISH,
        (publish->dup ? 8U : 0U) | (unsigned)publish->qos << 1 | (publish->retain ? 1U : 0U),
        buf_slice(&body));
    buf_done(&body);
}

void wire_add_connack(struct mr_buf *buf, uint8_t level, bool session_present, uint8_t reason,
                      struct mr_slice properties)
{
    struct mr_buf body;
    wire_begin(&body);
    wire_add_1(&body, session_present);
    wire_add_1(&body, reason);
    add_properties(&body, level, properties);
    wire_add_packet(buf, WIRE_CONNACK, 0, buf_slice(&body));
    buf_done(&body);
}

void wire_add_suback(struct mr_buf *buf, uint8_t level, const struct wire_packet *subscribe,
                     int code)
{
    struct mr_buf body;
    wire_begin(&body);
    wire_add_2(&body, subscribe->packet_id);
    add_properties(&body, level, MR_SLICE(""));
    for (size_t i = 0; i < subscribe->filter_count; i++) {
        wire_add_1(&body, code == WIRE_AS_ASKED ? subscribe->filters[i].options & QOS_MASK
                                                : (unsigned)code);
    }
    wire_add_packet(buf, WIRE_SUBACK, 0, buf_slice(&body));
    buf_done(&body);
}

void wire_add_unsuback(struct mr_buf *buf, uint8_t level, const struct wire_packet *unsubscribe)
{
    struct mr_buf body;
    wire_begin(&body);
    wire_add_2(&body, unsubscribe->packet_id);
    add_properties(&body, level, MR_SLICE(""));
    for (size_t i = 0; level == WIRE_LEVEL_5 && i < unsubscribe->filter_count; i++) {
        wire_add_1(&body, 0);
    }
    wire_add_packet(buf, WIRE_UNSUBACK, 0, buf_slice(&body));
    buf_done(&body);
}

void wire_add_disconnect(struct mr_buf *buf, uint8_t reason, const char *text)
{
    struct mr_buf body;
    struct mr_buf list;
    wire_begin(&body);
    wire_begin(&list);
    if (text != NULL) {
        wire_add_property_text(&list, WIRE_REASON_STRING, text);
    }
    wire_add_1(&body, reason);
    add_properties(&body, WIRE_LEVEL_5, buf_slice(&list));
    wire_add_packet(buf, WIRE_DISCONNECT, 0, buf_slice(&body));
    buf_done(&list);
    buf_done(&body);
}

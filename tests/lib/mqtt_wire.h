// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_MQTT_WIRE_H
#define TESTS_LIB_MQTT_WIRE_H

/* MQTT 3.1.1 and 5.0 as a broker writes and reads it, byte by byte from the specifications ("2.1":
 * the section, of 5.0 unless said otherwise), without any library's help. Nothing is checked when
 * it is written, so that packets can be made that aren't right. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/buf.h"

/* Control packets (2.1.2). */
enum wire_type {
    WIRE_END = 0, /* no packet: the client has closed the connection */
    WIRE_CONNECT = 1,
    WIRE_CONNACK = 2,
    WIRE_PUBLISH = 3,
    WIRE_PUBACK = 4,
    WIRE_SUBSCRIBE = 8,
    WIRE_SUBACK = 9,
    WIRE_UNSUBSCRIBE = 10,
    WIRE_UNSUBACK = 11,
    WIRE_PINGREQ = 12,
    WIRE_PINGRESP = 13,
    WIRE_DISCONNECT = 14,
    WIRE_AUTH = 15,
};

/* Properties (2.2.2.2). */
enum wire_property {
    WIRE_PAYLOAD_FORMAT = 1,
    WIRE_MESSAGE_EXPIRY = 2,
    WIRE_CONTENT_TYPE = 3,
    WIRE_RESPONSE_TOPIC = 8,
    WIRE_CORRELATION = 9,
    WIRE_SUBSCRIPTION_ID = 11,
    WIRE_SESSION_EXPIRY = 17,
    WIRE_RECEIVE_MAXIMUM = 33,
    WIRE_TOPIC_ALIAS = 35,
    WIRE_REASON_STRING = 31,
    WIRE_USER_PROPERTY = 38,
    WIRE_PACKET_SIZE_MAXIMUM = 39,
};

enum {
    WIRE_LEVEL_311 = 4, /* 3.1.2.2 of 3.1.1 */
    WIRE_LEVEL_5 = 5,
    WIRE_TEXT_BYTES = 128,
    WIRE_LIST_BYTES = 1024,
    WIRE_FILTERS_MAX = 16,
    WIRE_PACKET_BYTES_MAX = 1024 * 1024,
};

struct wire_filter {
    char filter[WIRE_TEXT_BYTES];
    uint8_t options; /* 3.8.3.1; of UNSUBSCRIBE 0 */
};

/* What a client has sent. Only the fields of its type mean something. */
struct wire_packet {
    enum wire_type type;
    uint8_t flags;      /* of the fixed header */
    uint16_t packet_id; /* PUBLISH with QoS 1 or 2, PUBACK, SUBSCRIBE, UNSUBSCRIBE */
    uint8_t reason;     /* PUBACK, DISCONNECT; 0 if left out */
    uint8_t level;      /* CONNECT, as the next ones */
    bool clean_start;
    uint16_t keep_alive_s;
    bool has_user;
    bool has_password;
    char client_id[WIRE_TEXT_BYTES];
    char user[WIRE_TEXT_BYTES];
    char password[WIRE_TEXT_BYTES];
    int64_t session_expiry_s; /* CONNECT, DISCONNECT; -1: not said */
    int64_t receive_maximum;  /* CONNECT; -1 */
    int64_t packet_bytes_max; /* CONNECT; -1 */
    struct wire_filter filters[WIRE_FILTERS_MAX];
    size_t filter_count;
    char topic[WIRE_TEXT_BYTES]; /* PUBLISH, as the next ones */
    char content_type[WIRE_TEXT_BYTES];
    char user_properties[WIRE_LIST_BYTES]; /* "name=value;name=value;" */
    char payload[WIRE_TEXT_BYTES];
};

/* The length of the first packet of `bytes`, with its fixed header; 0: it isn't whole yet; -1: no
 * packet can begin so, or it is over WIRE_PACKET_BYTES_MAX. */
long wire_length(const uint8_t *bytes, size_t len);

/* One whole packet. `level` is that of the connection (a CONNECT says its own). False: it isn't as
 * the specification has it. */
bool wire_read(const uint8_t *bytes, size_t len, uint8_t level, struct wire_packet *ret_packet);

/* Room for packets that are written; buf_done it. What doesn't fit aborts the test program. */
void wire_begin(struct mr_buf *buf);

/* Numbers are big endian (1.5.2, 1.5.3), a text has its length in two bytes before it (1.5.4). */
void wire_add_1(struct mr_buf *buf, unsigned value);
void wire_add_2(struct mr_buf *buf, unsigned value);
void wire_add_4(struct mr_buf *buf, uint32_t value);
void wire_add_length(struct mr_buf *buf, size_t value); /* 1.5.5 */
void wire_add_text(struct mr_buf *buf, struct mr_slice text);

/* One property, into a list of them. */
void wire_add_property_1(struct mr_buf *list, enum wire_property id, unsigned value);
void wire_add_property_2(struct mr_buf *list, enum wire_property id, unsigned value);
void wire_add_property_4(struct mr_buf *list, enum wire_property id, uint32_t value);
void wire_add_property_text(struct mr_buf *list, enum wire_property id, const char *value);
void wire_add_user_property(struct mr_buf *list, const char *name, const char *value);

/* A packet of these flags and this variable header and payload. */
void wire_add_packet(struct mr_buf *buf, enum wire_type type, unsigned flags, struct mr_slice body);

struct wire_publish {
    const char *topic;
    struct mr_slice payload;
    uint16_t packet_id; /* with QoS over 0 */
    uint8_t qos;
    bool dup;
    bool retain;
    struct mr_slice properties; /* a list, without its length; 5.0 only */
};

void wire_add_publish(struct mr_buf *buf, uint8_t level, const struct wire_publish *publish);
void wire_add_connack(struct mr_buf *buf, uint8_t level, bool session_present, uint8_t reason,
                      struct mr_slice properties);
/* SUBACK, UNSUBACK (which in 3.1.1 has no codes). `code` for each filter; WIRE_AS_ASKED: the QoS
 * that it asks for. */
enum { WIRE_AS_ASKED = -1 };
void wire_add_suback(struct mr_buf *buf, uint8_t level, const struct wire_packet *subscribe,
                     int code);
void wire_add_unsuback(struct mr_buf *buf, uint8_t level, const struct wire_packet *unsubscribe);
/* 5.0 only; `text` is the reason string, NULL: none. */
void wire_add_disconnect(struct mr_buf *buf, uint8_t reason, const char *text);

#endif

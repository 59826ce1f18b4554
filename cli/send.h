// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_SEND_H
#define CLI_SEND_H

/* `millrace send`: one run of it. send.c has the options, send_run.c takes messages from the input
 * while there is room in the window and counts what becomes of them, and one of two ways carries
 * them: send_http.c, send_mqtt.c. All on one loop. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/event.h>
#include <millrace/options.h>

#include "cli/send_input.h"
#include "event/uuid7.h"
#include "kit/buf.h"

enum {
    SEND_WINDOW_MAX = 1000,                      /* messages on their way */
    SEND_IN_FLIGHT_BYTES_MAX = 64 * 1024 * 1024, /* or one message */
    SEND_REASONS_TOLD_MAX = 10,                  /* of messages that were refused */
    SEND_TROUBLE_BYTES = 512,
    SEND_PROPERTY_BYTES_MAX = 65535 + 1, /* MQTT's, terminated */
    SEND_AGAIN_MS = 1000, /* to wait before another try, unless the server says how long */
};

enum send_protocol { SEND_MQTT_5, SEND_MQTT_3_1_1 }; /* as the option's choices */

struct send_options {
    char *topic;
    char *data;
    char *file;
    bool lines;
    bool events;
    bool http;
    bool mqtt;
    char *url;
    struct mr_address broker;
    int protocol; /* enum send_protocol */
    char *client_id;
    char *user;
    char *password;
    bool tls;
    char *tls_ca;
    char *tls_certificate;
    char *tls_key;
    bool tls_verify_name;
    char *application;
    char *device;
    char *id;
    char *time;
    char *content_type;
    char *properties;
    int64_t window;
    int64_t timeout_ms;
};

/* Valid during give(). */
struct send_message {
    size_t number;          /* of the line, from 1 */
    struct mr_slice data;   /* with `event`: its JSON, as it came */
    struct mr_event *event; /* --events; NULL: plain data */
    const char *id;
    const char *content_type;
};

struct send;

/* How messages travel. */
struct send_way {
    /* Errors: 1, told on standard error. Closed in both cases. */
    int (*open)(struct send *send);
    /* Whether a message may be given; when that becomes true, the way calls send_pump. */
    bool (*is_ready)(const struct send *send);
    /* Takes a message on its way, copied; send_settled follows, once, or nothing after close. */
    void (*give)(struct send *send, const struct send_message *message);
    void (*close)(struct send *send);
};

extern const struct send_way send_over_http;
extern const struct send_way send_over_mqtt;

struct send_http;
struct send_mqtt;

struct send {
    unsigned magic;
    const struct send_options *options;
    const struct send_way *way;
    struct send_http *http; /* the ways' own */
    struct send_mqtt *mqtt;
    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t interrupted[2];
    struct send_input *input;
    struct mr_event *event;
    struct uuid7 ids;
    uint64_t progress_ms; /* loop time of the last acknowledgement or refusal */
    size_t given;         /* messages of the input */
    size_t acknowledged;
    size_t refused;
    size_t in_flight; /* messages and their bytes */
    size_t in_flight_bytes;
    bool input_ended;
    bool ended; /* nothing is counted any more */
    bool failed;
    char trouble[SEND_TROUBLE_BYTES]; /* why the last try brought nothing; "": none */
};

/* Returns the exit status. */
int send_run(const struct send_options *options);

/* Take from the input what there is room for. */
void send_pump(struct send *send);

/* A message of `bytes` was acknowledged (`why` NULL) or refused for good. */
void send_settled(struct send *send, size_t number, size_t bytes, const char *why);

/* A try brought nothing; there will be others. */
void send_trouble(struct send *send, const char *where, const char *why);

/* End now, whatever is on its way: trying again would bring nothing. */
void send_give_up(struct send *send, const char *where, const char *why);

/* The next "name=value" of --properties, percent-decoded, terminated: ret_name and ret_value are
 * filled, `rest` moves on. False: there is none, or `err` has what is wrong. */
bool send_property_next(const char **rest, struct mr_buf *ret_name, struct mr_buf *ret_value,
                        struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
/* usage: bare_subscriber HOST PORT ID FILTER COUNT WINDOW
 *
 * Subscribes with QoS 1 over MQTT 5, in a session that the broker keeps, takes COUNT messages and
 * throws them away: libmosquitto's usual loop, which acknowledges what it hasn't shown yet. WINDOW
 * is Receive Maximum. Then it prints "done" and the seconds from the first message to the last, and
 * waits for a signal, so that its CPU can be read. COUNT 0: "done" once it has subscribed.
 * libmosquitto alone, none of our code. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { KEEP_ALIVE_S = 60, EXPIRY_S = 3600, WAIT_MS = -1, FAILURE = 0x80 };

struct subscriber {
    const char *filter;
    unsigned long long count, wanted;
    struct timespec first;
};

static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "bare_subscriber: %s\n", what);
        exit(1);
    }
}

static void done(const struct subscriber *subscriber)
{
    struct timespec last;
    (void)clock_gettime(CLOCK_MONOTONIC, &last);
    need(printf("done %.6f\n", (double)(last.tv_sec - subscriber->first.tv_sec) +
                                   (double)(last.tv_nsec - subscriber->first.tv_nsec) / 1e9) > 0,
         "standard output");
    need(fflush(stdout) == 0, "standard output");
}

static void on_connect(struct mosquitto *mosq, void *user, int reason)
{
    struct subscriber *subscriber = user;
    need(reason == 0, mosquitto_reason_string(reason));
    need(mosquitto_subscribe(mosq, NULL, subscriber->filter, 1) == MOSQ_ERR_SUCCESS, "SUBSCRIBE");
}

static void on_subscribe(struct mosquitto *mosq, void *user, int packet_id, int count,
                         const int *granted)
{
    struct subscriber *subscriber = user;
    (void)mosq;
    (void)packet_id;
    need(count == 1 && granted[0] < FAILURE, "the subscription is refused");
    if (subscriber->wanted == 0) {
        done(subscriber);
    }
}

static void on_message(struct mosquitto *mosq, void *user, const struct mosquitto_message *message)
{
    struct subscriber *subscriber = user;
    (void)mosq;
    (void)message;
    if (subscriber->count++ == 0) {
        (void)clock_gettime(CLOCK_MONOTONIC, &subscriber->first);
    }
    if (subscriber->count == subscriber->wanted) {
        done(subscriber);
    }
}

static mosquitto_property *properties(const char *window)
{
    mosquitto_property *list = NULL;
    need(mosquitto_property_add_int32(&list, MQTT_PROP_SESSION_EXPIRY_INTERVAL, EXPIRY_S) ==
                 MOSQ_ERR_SUCCESS &&
             mosquitto_property_add_int16(&list, MQTT_PROP_RECEIVE_MAXIMUM,
                                          (uint16_t)strtoul(window, NULL, 10)) == MOSQ_ERR_SUCCESS,
         "properties");
    return list;
}

int main(int argc, char **argv)
{
    struct subscriber subscriber = {0};
    struct mosquitto *mosq;
    need(argc == 7, "usage: bare_subscriber HOST PORT ID FILTER COUNT WINDOW");
    subscriber.filter = argv[4];
    subscriber.wanted = strtoull(argv[5], NULL, 10);
    (void)mosquitto_lib_init();
    mosq = mosquitto_new(argv[3], false, &subscriber);
    need(mosq != NULL, "no memory");
    (void)mosquitto_int_option(mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    mosquitto_connect_callback_set(mosq, on_connect);
    mosquitto_subscribe_callback_set(mosq, on_subscribe);
    mosquitto_message_callback_set(mosq, on_message);
    need(mosquitto_connect_bind_v5(mosq, argv[1], (int)strtoul(argv[2], NULL, 10), KEEP_ALIVE_S,
                                   NULL, properties(argv[6])) == MOSQ_ERR_SUCCESS,
         "can't connect");
    (void)mosquitto_loop_forever(mosq, WAIT_MS, 1);
    need(false, "the connection is lost");
}

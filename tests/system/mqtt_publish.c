// SPDX-License-Identifier: Apache-2.0
/* usage: mqtt_publish HOST PORT CLIENTS FIRST COUNT TOPIC RATE
 *
 * CLIENTS devices publish the numbers FIRST .. FIRST + COUNT - 1 with QoS 1, as {"n":NUMBER,...} of
 * 60 bytes, to TOPIC/dev-0 and so on; even ones speak MQTT 3.1.1, odd ones 5. Each number is
 * printed, a line, when the broker has acknowledged it; "done" after the last. A device that loses
 * its broker comes back and sends again what isn't acknowledged, as libmosquitto does by itself.
 * RATE: messages a second of all together at most; 0 as fast as the broker takes them.
 * libmosquitto alone, none of our code. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    WINDOW = 20, /* unacknowledged messages of a device: libmosquitto's and mosquitto's own limit */
    KEEP_ALIVE_S = 10,
    PAYLOAD_BYTES = 60,
    TEXT_BYTES = 256,
    CLIENTS_MAX = 1000,
    FLUSH_LINES = 50,
    PACKET_IDS = 65536,
    FAILURE = 0x80, /* MQTT 5.0, 2.4 */
    NS_A_S = 1000000000,
};

struct device {
    struct mosquitto *mosq;
    char topic[TEXT_BYTES];
    unsigned long next;
    unsigned long numbers[PACKET_IDS]; /* by packet id */
};

static unsigned long step, end, pause_ns;
static atomic_ulong acknowledged;

static void need(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "mqtt_publish: %s\n", what);
        exit(1);
    }
}

static void publish_next(struct device *device)
{
    struct timespec pause = {(time_t)(pause_ns / NS_A_S), (long)(pause_ns % NS_A_S)};
    char payload[PAYLOAD_BYTES + 1];
    int packet_id;
    int rv;
    if (device->next >= end) {
        return;
    }
    if (pause_ns > 0) {
        (void)nanosleep(&pause, NULL);
    }
    (void)snprintf(payload, sizeof(payload), "{\"n\":%-10lu,\"text\":\"%-34s\"}", device->next,
                   "a reading of sixty bytes in all");
    rv = mosquitto_publish(device->mosq, &packet_id, device->topic, PAYLOAD_BYTES, payload, 1,
                           false);
    /* Without a connection the message is kept and sent later. */
    need(rv == MOSQ_ERR_SUCCESS || rv == MOSQ_ERR_NO_CONN, mosquitto_strerror(rv));
    device->numbers[packet_id] = device->next;
    device->next += step;
}

static void on_publish(struct mosquitto *mosq, void *user, int packet_id, int reason,
                       const mosquitto_property *properties)
{
    struct device *device = user;
    (void)mosq;
    (void)properties;
    need(reason < FAILURE, mosquitto_reason_string(reason));
    need(printf("%lu\n", device->numbers[packet_id]) > 0, "standard output");
    if (atomic_fetch_add(&acknowledged, 1) % FLUSH_LINES == 0) {
        need(fflush(stdout) == 0, "standard output");
    }
    publish_next(device);
}

/* What isn't acknowledged when a connection ends is libmosquitto's matter: begins only once. */
static void on_connect(struct mosquitto *mosq, void *user, int reason)
{
    struct device *device = user;
    (void)mosq;
    if (reason == 0 && device->numbers[0] == 0) {
        device->numbers[0] = 1; /* no packet has the id 0 */
        for (int i = 0; i < WINDOW; i++) {
            publish_next(device);
        }
    }
}

static void start(struct device *device, int index, char **argv)
{
    char id[TEXT_BYTES];
    int version = index % 2 == 0 ? MQTT_PROTOCOL_V311 : MQTT_PROTOCOL_V5;
    (void)snprintf(id, sizeof(id), "publisher-%s-%d", argv[4], index);
    (void)snprintf(device->topic, sizeof(device->topic), "%s/dev-%d", argv[6], index);
    device->mosq = mosquitto_new(id, true, device);
    need(device->mosq != NULL, "no memory");
    (void)mosquitto_int_option(device->mosq, MOSQ_OPT_PROTOCOL_VERSION, version);
    (void)mosquitto_reconnect_delay_set(device->mosq, 1, 1, false);
    mosquitto_connect_callback_set(device->mosq, on_connect);
    mosquitto_publish_v5_callback_set(device->mosq, on_publish);
    need(mosquitto_connect(device->mosq, argv[1], (int)strtoul(argv[2], NULL, 10), KEEP_ALIVE_S) ==
             MOSQ_ERR_SUCCESS,
         "can't connect");
    need(mosquitto_loop_start(device->mosq) == MOSQ_ERR_SUCCESS, "no thread");
}

static void stop(struct device *device)
{
    (void)mosquitto_disconnect(device->mosq);
    (void)mosquitto_loop_stop(device->mosq, false);
    mosquitto_destroy(device->mosq);
}

int main(int argc, char **argv)
{
    const struct timespec poll = {0, NS_A_S / 100};
    unsigned long first, count, rate;
    struct device *devices;
    need(argc == 8, "usage: mqtt_publish HOST PORT CLIENTS FIRST COUNT TOPIC RATE");
    step = strtoul(argv[3], NULL, 10);
    first = strtoul(argv[4], NULL, 10);
    count = strtoul(argv[5], NULL, 10);
    rate = strtoul(argv[7], NULL, 10);
    need(step >= 1 && step <= CLIENTS_MAX, "CLIENTS: 1 to 1000");
    end = first + count;
    pause_ns = rate > 0 ? step * NS_A_S / rate : 0;
    devices = calloc(step, sizeof(*devices));
    need(devices != NULL, "no memory");
    (void)mosquitto_lib_init();
    for (unsigned long i = 0; i < step; i++) {
        devices[i].next = first + i;
        start(&devices[i], (int)i, argv);
    }
    while (atomic_load(&acknowledged) < count) {
        (void)nanosleep(&poll, NULL);
    }
    need(puts("done") >= 0 && fflush(stdout) == 0, "standard output");
    for (unsigned long i = 0; i < step; i++) {
        stop(&devices[i]);
    }
    (void)mosquitto_lib_cleanup();
    free(devices);
    return 0;
}

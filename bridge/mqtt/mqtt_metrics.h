// SPDX-License-Identifier: Apache-2.0
#ifndef MQTT_MQTT_METRICS_H
#define MQTT_MQTT_METRICS_H

#include <millrace/metrics.h>

struct mqtt_metrics {
    struct mr_series *received;  /* millrace_mqtt_messages_received_total */
    struct mr_series *stored;    /* millrace_mqtt_messages_total{outcome="stored"} */
    struct mr_series *dead;      /* {outcome="dead"} */
    struct mr_series *dropped;   /* {outcome="dropped"}: unrouted = drop */
    struct mr_series *expired;   /* {outcome="expired"} */
    struct mr_series *repeated;  /* {outcome="repeated"}: came before, or for two subscriptions */
    struct mr_series *retries;   /* millrace_mqtt_retries_total: sent to Kafka again */
    struct mr_series *in_flight; /* millrace_mqtt_in_flight_messages */
    struct mr_series *in_flight_bytes; /* millrace_mqtt_in_flight_bytes */
    struct mr_series *held;            /* millrace_mqtt_acknowledgements_held */
    struct mr_series *connected;       /* millrace_mqtt_connections */
    struct mr_series *reconnects;      /* millrace_mqtt_reconnects_total */
};

/* Registers all. Errors: NULL fields are never there; without memory the program ends as the frame
 * does elsewhere (see bridge/http/bridge_metrics.c). */
void mqtt_metrics_init(struct mqtt_metrics *metrics);

/* millrace_mqtt_broker_dropped_messages: the broker's words, so it appears with the first. */
struct mr_series *mqtt_metrics_broker_dropped(void);

#endif

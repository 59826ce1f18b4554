// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/mqtt_metrics.h"

static const struct mr_metric received_total = {
    .name = "millrace_mqtt_messages_received_total",
    .type = MR_COUNTER,
    .help = "Messages that the broker has sent, those that came again too.",
};
static const struct mr_metric messages_total = {
    .name = "millrace_mqtt_messages_total",
    .type = MR_COUNTER,
    .help = "Messages that are done with, by what became of them.",
    .labels = {"outcome"},
};
static const struct mr_metric retries_total = {
    .name = "millrace_mqtt_retries_total",
    .type = MR_COUNTER,
    .help = "Messages that were sent to Kafka again, as it had not stored them.",
};
static const struct mr_metric in_flight_messages = {
    .name = "millrace_mqtt_in_flight_messages",
    .type = MR_GAUGE,
    .help = "Messages that wait for Kafka's word.",
};
static const struct mr_metric in_flight_bytes = {
    .name = "millrace_mqtt_in_flight_bytes",
    .type = MR_GAUGE,
    .help = "Bytes of the messages that wait for Kafka's word.",
};
static const struct mr_metric acknowledgements_held = {
    .name = "millrace_mqtt_acknowledgements_held",
    .type = MR_GAUGE,
    .help = "Acknowledgements that are held back until Kafka has what was read with them.",
};
static const struct mr_metric connections = {
    .name = "millrace_mqtt_connections",
    .type = MR_GAUGE,
    .help = "Connections to the broker that are subscribed.",
};
static const struct mr_metric reconnects_total = {
    .name = "millrace_mqtt_reconnects_total",
    .type = MR_COUNTER,
    .help = "Connections to the broker that were lost, or closed to wait for Kafka.",
};
static const struct mr_metric broker_dropped_messages = {
    .name = "millrace_mqtt_broker_dropped_messages",
    .type = MR_GAUGE,
    .help =
        "Messages that the broker says it has thrown away since its start; shown once it says "
        "so ($SYS/broker/publish/messages/dropped).",
};

static struct mr_series *outcome(const char *name)
{
    return mr_series_get(&messages_total, (const char *const[]){name});
}

struct mr_series *mqtt_metrics_broker_dropped(void)
{
    return mr_series_get(&broker_dropped_messages, NULL);
}

void mqtt_metrics_init(struct mqtt_metrics *metrics)
{
    *metrics = (struct mqtt_metrics){
        .received = mr_series_get(&received_total, NULL),
        .stored = outcome("stored"),
        .dead = outcome("dead"),
        .dropped = outcome("dropped"),
        .expired = outcome("expired"),
        .repeated = outcome("repeated"),
        .retries = mr_series_get(&retries_total, NULL),
        .in_flight = mr_series_get(&in_flight_messages, NULL),
        .in_flight_bytes = mr_series_get(&in_flight_bytes, NULL),
        .held = mr_series_get(&acknowledgements_held, NULL),
        .connected = mr_series_get(&connections, NULL),
        .reconnects = mr_series_get(&reconnects_total, NULL),
    };
}

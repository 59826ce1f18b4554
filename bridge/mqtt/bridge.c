// SPDX-License-Identifier: Apache-2.0
/* Happy path: the routes are read -> the producer and the deliveries are made -> each connection
 * begins -> drain: each reads no more, acknowledges what Kafka has, and leaves -> stop: all is
 * closed. What can go wrong: a start that fails half way, or a drain that misses its deadline
 * (bridge_stop closes what there is; what isn't settled is not acknowledged, and comes again). */
#include "bridge/mqtt/bridge.h"

#include <mosquitto.h>
#include <stdio.h>
#include <string.h>

#include "bridge/mqtt/broker_watch.h"
#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/deliveries.h"
#include "bridge/mqtt/kafka_names.h"
#include "bridge/mqtt/mqtt_metrics.h"
#include "bridge/mqtt/subscriptions.h"
#include "kafka/producer.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { BRIDGE_MAGIC = 0x4d425247, REASON_BYTES = 512 };

struct bridge {
    unsigned magic;
    struct mr_program *program;
    const struct bridge_options *options;
    struct mqtt_metrics metrics;
    struct broker_watch watch;
    struct routes *routes;
    struct deliveries *deliveries;
    struct subscriptions subscriptions;
    struct connection *connections[BRIDGE_CONNECTIONS_MAX];
    size_t count;
    size_t drained; /* of them */
    size_t retired;
    size_t open; /* of them and the deliveries */
    bool is_stopping;
};

/* ---- readiness ---- */

static void tell(void *user)
{
    struct bridge *bridge;
    const char *first = NULL;
    size_t missing = 0;
    char reason[REASON_BYTES];
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    for (size_t i = 0; i < bridge->count; i++) {
        const char *why = connection_reason(bridge->connections[i]);
        first = first == NULL ? why : first;
        missing += why == NULL ? 0 : 1;
    }
    if (missing > 0 && bridge->count > 1) {
        (void)snprintf(reason, sizeof reason, "%zu of %zu connections: %s", missing, bridge->count,
                       first);
        first = reason;
    }
    mr_program_set_ready(bridge->program, "mqtt", first);
}

/* ---- the end ---- */

static void on_part_closed(void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    if (--bridge->open > 0) {
        return;
    }
    subscriptions_done(&bridge->subscriptions);
    routes_free(bridge->routes);
    (void)mosquitto_lib_cleanup();
    mr_program_set_state(bridge->program, NULL);
    bridge->magic = 0;
    mem_free(bridge);
}

void bridge_stop(struct mr_program *program)
{
    struct bridge *bridge = mr_program_state(program);
    size_t count;
    if (bridge == NULL || bridge->is_stopping) {
        return;
    }
    MAGIC_CHECK(bridge, BRIDGE_MAGIC);
    bridge->is_stopping = true;
    count = bridge->count;
    bridge->count = 0; /* they tell nothing any more */
    bridge->open = count + 2;
    if (bridge->deliveries != NULL) {
        deliveries_close(bridge->deliveries, on_part_closed, bridge);
    } else {
        on_part_closed(bridge);
    }
    for (size_t i = 0; i < count; i++) {
        connection_close(bridge->connections[i], on_part_closed, bridge);
    }
    on_part_closed(bridge);
}

static void on_drained(void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    if (++bridge->drained == bridge->count) {
        mr_program_drained(bridge->program);
    }
}

void bridge_drain(struct mr_program *program)
{
    struct bridge *bridge;
    struct mr_error err;
    MAGIC_CAST(bridge, mr_program_state(program), BRIDGE_MAGIC);
    if (bridge->options->retire && bridge->retired < bridge->count) {
        (void)mr_error_set(&err, MR_ECLOSED, "ended before all sessions were retired");
        mr_program_fail(program, &err);
    }
    for (size_t i = 0; i < bridge->count; i++) {
        connection_drain(bridge->connections[i], on_drained, bridge);
    }
}

/* ---- the beginning ---- */

static void on_retired(void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    if (++bridge->retired == bridge->count) {
        mr_program_finish(bridge->program);
    }
}

static int open_connection(struct bridge *bridge, int64_t index, struct mr_error *err)
{
    char id[CONNECTION_ID_BYTES];
    const struct connection_spec spec = {
        .loop = mr_program_loop(bridge->program),
        .options = bridge->options,
        .client_id = id,
        .filters = bridge->subscriptions.filters,
        .filter_count = bridge->subscriptions.count,
        .identifiers = bridge->subscriptions.identifiers,
        .routes = bridge->routes,
        .deliveries = bridge->deliveries,
        .metrics = &bridge->metrics,
        .watch = index == 0 && !bridge->options->retire ? &bridge->watch : NULL,
        .on_change = tell,
        .retires = bridge->options->retire,
        .on_retired = on_retired,
        .user = bridge,
    };
    int rc;
    subscriptions_client_id(bridge_text(bridge->options->client_id), bridge->options->connections,
                            index, id);
    rc = connection_open(&spec, &bridge->connections[index], err);
    bridge->count += rc == 0 ? 1 : 0;
    return rc;
}

static int name_topics(const struct routes *routes, struct mr_producer *producer,
                       struct mr_error *err)
{
    struct kafka_names names;
    int rc = kafka_names_make(routes, &names, err);
    if (rc == 0) {
        rc = producer_also_topics(producer, (const char *const *)names.names, err);
        kafka_names_done(&names);
    }
    return rc;
}

static int make_deliveries(struct bridge *bridge, struct mr_error *err)
{
    struct mr_producer *producer;
    struct deliveries_spec spec = {
        .loop = mr_program_loop(bridge->program),
        .routes = bridge->routes,
        .drops_unrouted = bridge->options->routes.unrouted == UNROUTED_DROP,
        .metrics = &bridge->metrics,
    };
    int rc = mr_program_producer(bridge->program, &bridge->options->producer, &producer, err);
    if (rc == 0) {
        rc = name_topics(bridge->routes, producer, err);
    }
    if (rc != 0) {
        return rc;
    }
    spec.port = mr_program_port(bridge->program);
    spec.message_bytes_max = producer_message_bytes_max(producer);
    return deliveries_new(&spec, &bridge->deliveries, err);
}

static int equip(struct bridge *bridge, struct mr_error *err)
{
    const struct bridge_options *options = bridge->options;
    int rc = routes_new(&options->routes, options->producer.topic, &bridge->routes, err);
    if (rc == 0) {
        rc = subscriptions_make(bridge->routes, bridge_text(options->group), &bridge->subscriptions,
                                err);
    }
    if (rc == 0) {
        rc = make_deliveries(bridge, err);
    }
    for (int64_t i = 0; i < options->connections && rc == 0; i++) {
        rc = open_connection(bridge, i, err);
    }
    return rc;
}

int bridge_start(struct mr_program *program, struct mr_error *err)
{
    struct bridge *bridge = mem_zalloc(sizeof *bridge);
    int rc;
    if (bridge == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    bridge->magic = BRIDGE_MAGIC;
    bridge->program = program;
    bridge->options = mr_program_options(program);
    (void)mosquitto_lib_init();
    mr_program_set_state(program, bridge); /* from here on bridge_stop cleans up */
    mqtt_metrics_init(&bridge->metrics);
    rc = equip(bridge, err);
    if (rc == 0) {
        tell(bridge);
    }
    return rc;
}

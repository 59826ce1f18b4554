// SPDX-License-Identifier: Apache-2.0
/* The bridge's loops. Happy path: the producer is made -> each loop gets a port to it, a server on
 * the shared address and, but for the first, which is the program's own, a thread -> drain: each
 * server stops accepting, answers what it has, and its last send is settled -> every loop is
 * closed and its thread joined -> mr_program_drained.
 *
 * What can go wrong: a start that fails half way (what was opened is closed by bridge_stop); a
 * drain that misses its deadline (bridge_stop closes the servers; the frame has made the producer
 * give up what is in flight, so that everything is settled soon).
 *
 * A loop's things are touched by its own thread only. The main thread sends it commands, and it
 * tells the main thread what it has reached, through atomics and a wake-up. */
#include "bridge/http/bridge.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include <millrace/log.h>

#include "bridge/http/bridge_authentication.h"
#include "bridge/http/bridge_listeners.h"
#include "bridge/http/bridge_options.h"
#include "bridge/http/bridge_tls.h"
#include "bridge/http/exchange.h"
#include "kafka/producer.h"
#include "kit/magic.h"
#include "kit/mem.h"
#include "net/descriptors.h"
#include "program/admin.h"
#include "program/program_internal.h"

enum {
    BRIDGE_MAGIC = 0x42524447,
    LOOP_MAGIC = 0x424c4f4f,
    TURNED_AWAY_MAX = 64,    /* of one loop, over connections.max, that get an answer */
    KAFKA_DESCRIPTORS = 56,  /* that devices never get: the brokers' sockets come and go */
    DRAIN_REQUEST_MS = 2000, /* for what is half sent when the program is to end */
};

enum loop_state { LOOP_RUNNING, LOOP_DRAINING, LOOP_DRAINED, LOOP_CLOSING, LOOP_CLOSED };

struct bridge_loop {
    unsigned magic;
    struct bridge *bridge;
    uv_loop_t *loop; /* the program's, or &own */
    uv_loop_t own;
    uv_thread_t thread;
    bool is_threaded;
    bool has_exchanges;
    bool is_server_drained;
    bool is_server_closed;
    bool is_leaving; /* its own handles are being closed */
    uv_async_t wake; /* commands for this loop */
    struct exchanges exchanges;
    struct mr_port *port; /* its own; the first loop uses the program's */
    struct http_server *server;
    _Atomic(struct tls_context *) next_tls; /* for new connections; NULL: none is waiting */
    atomic_bool wants_drain;
    atomic_bool wants_close;
    atomic_int state; /* enum loop_state, as reached */
};

struct bridge {
    unsigned magic;
    struct mr_program *program;
    const struct bridge_options *options;
    struct bridge_metrics metrics;
    struct bridge_tls tls;
    struct bridge_authentication authentication;
    uv_async_t wake; /* a loop has reached something */
    unsigned loop_count;
    bool is_closing;
    bool is_ending; /* every loop has ended */
    struct bridge_loop *loops;
};

static void report(struct bridge_loop *loop, enum loop_state state)
{
    atomic_store(&loop->state, (int)state);
    (void)uv_async_send(&loop->bridge->wake);
}

/* On the loop's thread: the ways to its end. */

static void on_exchanges_closed(uv_handle_t *handle)
{
    struct exchanges *exchanges = handle->data;
    struct bridge_loop *loop = CONTAINER_OF(exchanges, struct bridge_loop, exchanges);
    MAGIC_CHECK(loop, LOOP_MAGIC);
    report(loop, LOOP_CLOSED);
}

static void close_exchanges(struct bridge_loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    if (loop->has_exchanges) {
        exchanges_close(&loop->exchanges, on_exchanges_closed);
    } else {
        report(loop, LOOP_CLOSED);
    }
}

static void on_authenticator_closed(void *user)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, user, LOOP_MAGIC);
    loop->exchanges.authenticator = NULL;
    close_exchanges(loop);
}

static void close_handles(struct bridge_loop *loop)
{
    if (loop->exchanges.authenticator != NULL) {
        authenticator_close(loop->exchanges.authenticator, on_authenticator_closed, loop);
    } else {
        close_exchanges(loop);
    }
}

static void on_port_closed(void *user)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, user, LOOP_MAGIC);
    close_handles(loop);
}

/* Go on to the next end that has been reached. */
static void advance(struct bridge_loop *loop)
{
    enum loop_state state = (enum loop_state)atomic_load(&loop->state);
    if (loop->exchanges.unsettled > 0) {
        return;
    }
    if (state == LOOP_DRAINING && loop->is_server_drained) {
        report(loop, LOOP_DRAINED);
    }
    if (state != LOOP_CLOSING || !loop->is_server_closed || loop->is_leaving) {
        return;
    }
    loop->is_leaving = true;
    if (loop->port != NULL) {
        producer_port_close(loop->port, on_port_closed, loop);
    } else {
        close_handles(loop);
    }
}

static void on_all_settled(void *user)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, user, LOOP_MAGIC);
    advance(loop);
}

static void on_drained(void *user)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, user, LOOP_MAGIC);
    loop->is_server_drained = true;
    advance(loop);
}

static void on_server_closed(void *user)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, user, LOOP_MAGIC);
    loop->server = NULL;
    loop->is_server_closed = true;
    advance(loop);
}

static void begin_close(struct bridge_loop *loop)
{
    atomic_store(&loop->state, (int)LOOP_CLOSING);
    if (loop->exchanges.authenticator != NULL) {
        authenticator_stop(loop->exchanges.authenticator);
    }
    if (loop->server != NULL) {
        http_server_close(loop->server, on_server_closed, loop);
    } else {
        loop->is_server_closed = true;
        advance(loop);
    }
}

static void take_tls(struct bridge_loop *loop)
{
    struct tls_context *context = atomic_exchange(&loop->next_tls, NULL);
    if (context != NULL && loop->server != NULL) {
        http_server_set_tls(loop->server, context);
    }
    tls_context_unref(context);
}

static void on_command(uv_async_t *handle)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, handle->data, LOOP_MAGIC);
    take_tls(loop);
    if (loop->exchanges.authenticator != NULL) {
        authenticator_renew(loop->exchanges.authenticator);
    }
    if (atomic_exchange(&loop->wants_drain, false)) {
        atomic_store(&loop->state, (int)LOOP_DRAINING);
        http_server_drain(loop->server, on_drained, loop);
    }
    if (atomic_exchange(&loop->wants_close, false)) {
        begin_close(loop);
    }
}

static void run_loop(void *data)
{
    struct bridge_loop *loop;
    MAGIC_CAST(loop, data, LOOP_MAGIC);
    (void)uv_run(loop->loop, UV_RUN_DEFAULT);
}

/* On the main thread. */

static bool have_all_reached(const struct bridge *bridge, enum loop_state state)
{
    for (unsigned i = 0; i < bridge->loop_count; i++) {
        if (atomic_load(&bridge->loops[i].state) < (int)state) {
            return false;
        }
    }
    return true;
}

static void close_all(struct bridge *bridge)
{
    if (bridge->is_closing) {
        return;
    }
    bridge->is_closing = true;
    for (unsigned i = 0; i < bridge->loop_count; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        atomic_store(&loop->wants_close, true);
        (void)uv_async_send(&loop->wake);
        if (loop->loop == &loop->own && !loop->is_threaded) { /* its thread could not be started */
            (void)uv_run(loop->loop, UV_RUN_DEFAULT);
        }
    }
    (void)uv_async_send(&bridge->wake); /* there may be no loop */
}

static void on_bridge_closed(uv_handle_t *handle)
{
    struct bridge *bridge;
    struct mr_program *program;
    MAGIC_CAST(bridge, handle->data, BRIDGE_MAGIC);
    program = bridge->program;
    mr_program_set_state(program, NULL);
    bridge->magic = 0;
    mem_free(bridge->loops);
    mem_free(bridge);
    mr_program_drained(program);
}

/* Their last handles are closing: the threads end by themselves. */
static void join_all(struct bridge *bridge)
{
    for (unsigned i = 0; i < bridge->loop_count; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        if (loop->is_threaded) {
            (void)uv_thread_join(&loop->thread);
        }
        if (loop->loop == &loop->own) {
            (void)uv_loop_close(&loop->own);
        }
        tls_context_unref(atomic_exchange(&loop->next_tls, NULL));
    }
}

static void on_authentication_closed(void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    uv_close((uv_handle_t *)&bridge->wake, on_bridge_closed);
}

static void on_tls_closed(void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    bridge_authentication_close(&bridge->authentication, on_authentication_closed, bridge);
}

static void on_reached(uv_async_t *handle)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, handle->data, BRIDGE_MAGIC);
    if (!bridge->is_closing && have_all_reached(bridge, LOOP_DRAINED)) {
        close_all(bridge);
    } else if (bridge->is_closing && have_all_reached(bridge, LOOP_CLOSED) && !bridge->is_ending) {
        bridge->is_ending = true;
        join_all(bridge);
        bridge_tls_close(&bridge->tls, on_tls_closed, bridge);
    }
}

/* The answers must be out before shutdown.deadline. */
static int64_t drain_ms(const struct bridge *bridge)
{
    int64_t half_ms = program_deadline_left_ms(bridge->program) / 2;
    return half_ms < DRAIN_REQUEST_MS ? half_ms : DRAIN_REQUEST_MS;
}

static struct http_server_config server_config(struct bridge *bridge)
{
    const struct bridge_options *options = bridge->options;
    return (struct http_server_config){
        .reuse_port = options->loops > 1,
        .connections_max = options->connections_max,
        .turned_away_max = TURNED_AWAY_MAX,
        .pipeline_max = options->pipeline_max,
        .in_flight_max = options->in_flight_max,
        .in_flight_bytes_max = options->in_flight_bytes_max,
        .handshakes_max = options->tls_handshakes_max,
        .limits = bridge_limits(options),
        .idle_ms = options->idle_ms,
        .request_ms = options->request_ms,
        .drain_ms = drain_ms(bridge),
        .write_ms = options->write_ms,
        .server_name = "millrace",
        .connections_gauge = bridge->metrics.connections,
        .handshakes = bridge->metrics.handshakes,
        .on_refusal = exchange_count_refusal,
        .wants_content = exchange_wants_content,
    };
}

/* The loop itself, and the way to command it: after this it must be closed. */
static int open_loop(struct bridge *bridge, struct bridge_loop *loop, struct mr_error *err)
{
    int rc = 0;
    loop->magic = LOOP_MAGIC;
    loop->bridge = bridge;
    loop->loop = mr_program_loop(bridge->program);
    if (bridge->loop_count > 0) {
        loop->loop = &loop->own;
        rc = uv_loop_init(&loop->own);
    }
    if (rc == 0) {
        rc = uv_async_init(loop->loop, &loop->wake, on_command);
        loop->wake.data = loop;
        if (rc != 0 && loop->loop == &loop->own) {
            (void)uv_loop_close(&loop->own);
        }
    }
    if (rc != 0) {
        return mr_error_set(err, MR_EIO, "event loop: %s", uv_strerror(rc));
    }
    bridge->loop_count++;
    return 0;
}

/* What the loop works with. */
static int equip_loop(struct bridge_loop *loop, struct mr_producer *producer,
                      uint16_t ports[HTTP_LISTENERS_MAX], struct mr_error *err)
{
    struct bridge *bridge = loop->bridge;
    const struct bridge_listeners listeners =
        bridge_listeners(bridge->options, bridge->tls.context, ports);
    struct http_server_config config = server_config(bridge);
    struct mr_port *port = mr_program_port(bridge->program);
    int rc = 0;
    if (loop->loop == &loop->own) {
        rc = producer_port_open(producer, loop->loop, &loop->port, err);
        port = loop->port;
    }
    if (rc == 0) {
        rc = exchanges_init(&loop->exchanges, loop->loop, port, bridge->options, &bridge->metrics,
                            err);
    }
    if (rc != 0) {
        return rc;
    }
    loop->has_exchanges = true;
    loop->exchanges.on_settled = on_all_settled;
    loop->exchanges.user = loop;
    rc = bridge_authentication_equip(&bridge->authentication, loop->loop, &loop->exchanges, err);
    if (rc != 0) {
        return rc;
    }
    config.listener_count = listeners.count;
    memcpy(config.listeners, listeners.of, sizeof config.listeners);
    rc =
        http_server_open(loop->loop, &config, exchange_begin, &loop->exchanges, &loop->server, err);
    for (size_t i = 0; rc == 0 && i < config.listener_count; i++) {
        ports[i] = http_server_port(loop->server, i);
    }
    return rc;
}

static int start_threads(struct bridge *bridge, struct mr_error *err)
{
    for (unsigned i = 1; i < bridge->loop_count; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        int rc = uv_thread_create(&loop->thread, run_loop, loop);
        if (rc != 0) {
            return mr_error_set(err, MR_EIO, "thread: %s", uv_strerror(rc));
        }
        loop->is_threaded = true;
    }
    return 0;
}

/* Before the threads start, when all is open that doesn't come and go. Kafka must stay within reach
 * whatever devices hold: those over what is left are turned away like those over connections.max.
 */
static void keep_descriptors(struct bridge *bridge, size_t limit)
{
    int64_t wanted = bridge->options->connections_max;
    size_t kafka = limit / 4 < KAFKA_DESCRIPTORS ? limit / 4 : KAFKA_DESCRIPTORS;
    size_t taken = descriptors_open() + kafka + admin_descriptors(limit);
    size_t share = limit > taken ? (limit - taken) / bridge->loop_count : 0;
    int64_t turned_away = TURNED_AWAY_MAX;
    int64_t connections;
    if (share >= (size_t)(wanted + turned_away)) {
        return;
    }
    turned_away = (int64_t)share / 4 < turned_away ? (int64_t)share / 4 : turned_away;
    turned_away = share >= 1 && turned_away < 1 ? 1 : turned_away;
    connections = (int64_t)share - turned_away;
    connections = connections < 1 ? 1 : connections;
    connections = connections < wanted ? connections : wanted;
    for (unsigned i = 0; i < bridge->loop_count; i++) {
        http_server_limit_connections(bridge->loops[i].server, connections, turned_away);
    }
    if (connections < wanted) {
        mr_log(MR_LOG_WARN, "fewer connections than connections.max: raise the limit of open files",
               MR_INT("connections_max", wanted), MR_INT("connections", connections),
               MR_INT("loops", bridge->loop_count), MR_INT("open_files_max", limit));
    }
}

static void on_new_tls(struct tls_context *context, void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    for (unsigned i = 0; i < bridge->loop_count && !bridge->is_closing; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        tls_context_unref(atomic_exchange(&loop->next_tls, tls_context_ref(context)));
        (void)uv_async_send(&loop->wake);
    }
}

static void on_new_devices(struct devices *devices, void *user)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, user, BRIDGE_MAGIC);
    for (unsigned i = 0; i < bridge->loop_count && !bridge->is_closing; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        authenticator_offer(loop->exchanges.authenticator, devices_own(devices));
        (void)uv_async_send(&loop->wake);
    }
}

static int open_tls(struct bridge *bridge, struct mr_error *err)
{
    if (!bridge_tls_is_wanted(bridge->options)) {
        return 0;
    }
    bridge_metrics_init_tls(&bridge->metrics);
    return bridge_tls_open(&bridge->tls, mr_program_loop(bridge->program), bridge->options,
                           &bridge->metrics, on_new_tls, bridge, err);
}

static struct bridge *new_bridge(struct mr_program *program, struct mr_error *err)
{
    struct bridge *bridge = mem_zalloc(sizeof *bridge);
    if (bridge != NULL) {
        bridge->magic = BRIDGE_MAGIC;
        bridge->program = program;
        bridge->options = mr_program_options(program);
        bridge->loops = mem_zalloc((size_t)bridge->options->loops * sizeof *bridge->loops);
    }
    if (bridge == NULL || bridge->loops == NULL) {
        mem_free(bridge);
        (void)mr_error_set(err, MR_ENOMEM, "out of memory");
        return NULL;
    }
    return bridge;
}

int bridge_start(struct mr_program *program, struct mr_error *err)
{
    struct bridge *bridge = new_bridge(program, err);
    struct mr_producer *producer;
    size_t descriptors = descriptors_raise();
    uint16_t ports[HTTP_LISTENERS_MAX] = {0}; /* what the first loop gets */
    struct bridge_listeners listeners;
    int rc;
    if (bridge == NULL) {
        return MR_ENOMEM;
    }
    rc = uv_async_init(mr_program_loop(program), &bridge->wake, on_reached);
    if (rc != 0) {
        mem_free(bridge->loops);
        mem_free(bridge);
        return mr_error_set(err, MR_EIO, "event loop: %s", uv_strerror(rc));
    }
    bridge->wake.data = bridge;
    mr_program_set_state(program, bridge); /* from here on bridge_stop cleans up */
    bridge_metrics_init(&bridge->metrics);
    rc = bridge_authentication_open(&bridge->authentication, mr_program_loop(program),
                                    bridge->options, on_new_devices, bridge, err);
    if (rc == 0) {
        rc = open_tls(bridge, err);
    }
    listeners = bridge_listeners(bridge->options, bridge->tls.context, ports);
    if (rc == 0 && bridge->options->loops > 1) {
        rc = bridge_listeners_check_free(&listeners, err);
    }
    if (rc == 0) {
        rc = mr_program_producer(program, &bridge->options->producer, &producer, err);
    }
    for (int64_t i = 0; i < bridge->options->loops && rc == 0; i++) {
        rc = open_loop(bridge, &bridge->loops[i], err);
        if (rc == 0) {
            rc = equip_loop(&bridge->loops[i], producer, ports, err);
        }
    }
    if (rc == 0) {
        keep_descriptors(bridge, descriptors);
        rc = start_threads(bridge, err);
    }
    if (rc == 0) {
        listeners = bridge_listeners(bridge->options, bridge->tls.context, ports);
        bridge_listeners_log(&listeners, bridge->options);
    }
    return rc;
}

void bridge_reload(struct mr_program *program)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, mr_program_state(program), BRIDGE_MAGIC);
    bridge_tls_reload(&bridge->tls);
    bridge_authentication_reload(&bridge->authentication);
}

void bridge_drain(struct mr_program *program)
{
    struct bridge *bridge;
    MAGIC_CAST(bridge, mr_program_state(program), BRIDGE_MAGIC);
    for (unsigned i = 0; i < bridge->loop_count; i++) {
        struct bridge_loop *loop = &bridge->loops[i];
        atomic_store(&loop->wants_drain, true);
        (void)uv_async_send(&loop->wake);
    }
}

void bridge_stop(struct mr_program *program)
{
    struct bridge *bridge = mr_program_state(program);
    if (bridge != NULL) {
        close_all(bridge);
    }
}

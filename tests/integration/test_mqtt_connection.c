// SPDX-License-Identifier: Apache-2.0
/* A connection of millrace-mqtt inside the test process, so that memory can be short and names can
 * have any addresses. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mosquitto.h>

#include "bridge/mqtt/connection.h"
#include "lib/deliveries_fixture.h"
#include "lib/heap.h"
#include "lib/script_broker.h"

enum {
    RECONNECT_MAX_MS = 200,
    WAIT_MS = SCRIPT_BROKER_DEADLINE_S * 1000,
    PAYLOAD_BYTES = 32,
    ADDRESSES_MAX = 3,
    ALLOCATIONS_MAX = 1000,
};

#define NAME "broker.test" /* RFC 6761: nobody has it */

/* The addresses of NAME, the last bytes of 127.0.0.x; 0 ends them. libuv asks this function instead
 * of the system's. The broker listens at 127.0.0.1 alone. */
static uint8_t name_addresses[ADDRESSES_MAX + 1];

struct made_address {
    struct addrinfo info;
    struct sockaddr_in address;
};

static struct addrinfo *make_address(in_addr_t address, const char *service, struct addrinfo *next)
{
    struct made_address *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->address.sin_family = AF_INET;
    made->address.sin_port = htons((uint16_t)(service == NULL ? 0 : strtoul(service, NULL, 10)));
    made->address.sin_addr.s_addr = address;
    made->info.ai_family = AF_INET;
    made->info.ai_socktype = SOCK_STREAM;
    made->info.ai_addr = (struct sockaddr *)&made->address;
    made->info.ai_addrlen = sizeof made->address;
    made->info.ai_next = next;
    return &made->info;
}

/* Seen by libuv, and the other libraries, which only ask for what is in numbers. */
#define SEEN __attribute__((visibility("default")))

SEEN int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                     struct addrinfo **result)
{
    (void)hints;
    *result = NULL;
    if (name == NULL || strcmp(name, NAME) != 0) {
        *result = make_address(name == NULL ? INADDR_ANY : inet_addr(name), service, NULL);
        return 0;
    }
    for (size_t i = strlen((const char *)name_addresses); i-- > 0;) {
        *result = make_address(htonl(0x7F000000 | name_addresses[i]), service, *result);
    }
    return 0;
}

SEEN void freeaddrinfo(struct addrinfo *addresses)
{
    while (addresses != NULL) {
        struct addrinfo *next = addresses->ai_next;
        free(addresses);
        addresses = next;
    }
}

struct connected {
    struct deliveries_fixture to;
    struct script_broker *broker;
    struct mqtt_metrics metrics;
    struct bridge_options options;
    struct connection *connection;
    enum wire_type awaited; /* of wait_packet */
    unsigned after;
    const char *reason; /* of wait_reason; NULL: ready */
};

static char *filters[] = {(char[]){"plant/+/+"}};

static void on_change(void *user)
{
    (void)user;
}

static void set_up(struct connected *f, const char *host)
{
    memset(f, 0, sizeof *f);
    (void)mosquitto_lib_init();
    deliveries_set_up(&f->to);
    deliveries_start(&f->to);
    f->broker = script_broker_start(NULL, NULL);
    mqtt_metrics_init(&f->metrics);
    f->options = (struct bridge_options){
        .broker = {.port = script_broker_port(f->broker)},
        .keep_alive_ms = 60000,
        .session_expiry_ms = 60000,
        .in_flight_max = 100,
        .in_flight_bytes_max = 1 << 20,
        .packet_bytes_max = 1 << 20,
        .reconnect_ms_max = RECONNECT_MAX_MS,
    };
    (void)snprintf(f->options.broker.host, sizeof f->options.broker.host, "%s", host);
}

static void open_connection(struct connected *f)
{
    struct mr_error err;
    const struct connection_spec spec = {
        .loop = &f->to.kafka.loop,
        .options = &f->options,
        .client_id = "c",
        .filters = filters,
        .filter_count = MR_COUNT_OF(filters),
        .routes = f->to.routes,
        .deliveries = f->to.deliveries,
        .metrics = &f->metrics,
        .on_change = on_change,
    };
    assert_int_equal(connection_open(&spec, &f->connection, &err), 0);
}

static void tear_down(struct connected *f)
{
    bool closed = false;
    deliveries_stop(&f->to);
    connection_close(f->connection, set_true, &closed);
    fixture_run_until(&f->to.kafka, is_true, &closed, WAIT_MS);
    script_broker_stop(f->broker);
    deliveries_tear_down_rest(&f->to);
    (void)mosquitto_lib_cleanup();
}

static bool has_come(void *user)
{
    struct connected *f = user;
    return script_broker_look(f->broker, f->awaited, f->after) != NULL;
}

/* The loop is ours, so that it must run meanwhile. */
static const struct script_broker_packet *wait_packet(struct connected *f, enum wire_type type,
                                                      unsigned after)
{
    f->awaited = type;
    f->after = after;
    fixture_run_until(&f->to.kafka, has_come, f, WAIT_MS);
    return script_broker_look(f->broker, type, after);
}

static bool has_reason(void *user)
{
    struct connected *f = user;
    const char *reason = connection_reason(f->connection);
    return f->reason == NULL ? reason == NULL : reason != NULL && strstr(reason, f->reason) != NULL;
}

static void wait_reason(struct connected *f, const char *text)
{
    f->reason = text;
    fixture_run_until(&f->to.kafka, has_reason, f, WAIT_MS);
}

/* ---- memory ---- */

static void publish(struct connected *f, unsigned connection, unsigned n, bool dup)
{
    char payload[PAYLOAD_BYTES];
    (void)snprintf(payload, sizeof payload, "m%u", n);
    script_broker_publish(f->broker, connection,
                          &(struct wire_publish){.topic = "plant/d1/c",
                                                 .payload = mr_slice_of(payload),
                                                 .packet_id = (uint16_t)n,
                                                 .qos = 1,
                                                 .dup = dup});
}

/* PUBACK or the end of the connection, whichever comes first after packet number `after`. */
static bool is_answered(void *user)
{
    struct connected *f = user;
    return script_broker_look(f->broker, WIRE_PUBACK, f->after) != NULL ||
           script_broker_look(f->broker, WIRE_END, f->after) != NULL;
}

static unsigned last_packet(struct connected *f)
{
    unsigned number = f->after;
    while (script_broker_packet_at(f->broker, number + 1) != NULL) {
        number++;
    }
    return number;
}

/* One message, the n-th allocation of which fails; what the broker has no acknowledgement of it
 * sends again. Returns whether one has failed. */
static bool take_with_failure(struct connected *f, unsigned n, unsigned *connection)
{
    bool has_failed;
    f->after = last_packet(f);
    publish(f, *connection, n, false);
    heap_fail_at(n);
    fixture_run_until(&f->to.kafka, is_answered, f, WAIT_MS);
    has_failed = heap_failed();
    heap_fail_at(0);
    if (script_broker_look(f->broker, WIRE_PUBACK, f->after) == NULL) {
        unsigned end = script_broker_look(f->broker, WIRE_END, f->after)->number;
        *connection = wait_packet(f, WIRE_SUBSCRIBE, end)->connection;
        publish(f, *connection, n, true);
        assert_int_equal(wait_packet(f, WIRE_PUBACK, end)->packet.packet_id, n);
    }
    return has_failed;
}

static void assert_stored(struct connected *f, unsigned count)
{
    struct mock_records records;
    bool *is_stored = calloc(count + 1, sizeof *is_stored);
    mock_kafka_read(&f->to.kafka.mock, "events", &records);
    assert_non_null(is_stored);
    for (size_t i = 0; i < records.count; i++) {
        struct mr_event *event = mr_event_new();
        struct mr_error err;
        assert_int_equal(kafka_binding_read(&records.at[i].record, event, &err), 0);
        is_stored[strtoul(mr_event_data(event).ptr + 1, NULL, 10)] = true;
        mr_event_free(event);
    }
    for (unsigned n = 1; n <= count; n++) {
        if (!is_stored[n]) {
            fail_msg("m%u is acknowledged and not stored", n);
        }
    }
    free(is_stored);
    mock_records_free(&records);
}

/* A message that couldn't be taken for want of memory isn't one that Kafka has when it comes
 * again. */
static void test_without_memory_what_is_acknowledged_is_stored(void **state)
{
    struct connected f;
    unsigned connection = 1;
    unsigned n = 1;
    (void)state;
    heap_fail_at(0);
    set_up(&f, "127.0.0.1");
    script_broker_set(f.broker, &(struct script_broker_script){.session_present = true});
    open_connection(&f);
    wait_reason(&f, NULL);
    while (take_with_failure(&f, n, &connection)) {
        assert_true(n < ALLOCATIONS_MAX);
        n++;
    }
    assert_true(connection > 1); /* some of them end it */
    assert_stored(&f, n);
    tear_down(&f);
    heap_restore();
}

/* ---- names ---- */

/* What is told once all `addresses` have been tried. */
static void expect_reason(const char *addresses, bool listens, const char *text)
{
    struct connected f;
    (void)snprintf((char *)name_addresses, sizeof name_addresses, "%s", addresses);
    set_up(&f, NAME);
    script_broker_set(f.broker, &(struct script_broker_script){.drops = true});
    if (!listens) {
        script_broker_set_up(f.broker, false);
    }
    open_connection(&f);
    wait_reason(&f, text);
    tear_down(&f);
}

static void test_the_reason_of_an_address_at_which_somebody_listens_is_told(void **state)
{
    (void)state;
    expect_reason("\1\2", true, "the broker closed the connection");
    expect_reason("\2\1", true, "the broker closed the connection");
    expect_reason("\2\1\3", true, "the broker closed the connection");
}

static void test_the_reason_is_told_if_nobody_listens(void **state)
{
    (void)state;
    expect_reason("\2\3", false, "Connection refused");
}

static void test_the_address_that_works_is_found(void **state)
{
    struct connected f;
    (void)state;
    (void)snprintf((char *)name_addresses, sizeof name_addresses, "%s", "\2\3\1");
    set_up(&f, NAME);
    open_connection(&f);
    wait_reason(&f, NULL);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_memory_what_is_acknowledged_is_stored),
        cmocka_unit_test(test_the_reason_of_an_address_at_which_somebody_listens_is_told),
        cmocka_unit_test(test_the_reason_is_told_if_nobody_listens),
        cmocka_unit_test(test_the_address_that_works_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

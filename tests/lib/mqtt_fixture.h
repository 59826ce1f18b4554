// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_MQTT_FIXTURE_H
#define TESTS_LIB_MQTT_FIXTURE_H

/* The program millrace-mqtt between the scripted broker and the mock cluster with the topic
 * "events". Waits end after SCRIPT_BROKER_DEADLINE_S; what isn't as expected fails the test. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/mock_kafka.h"
#include "lib/script_broker.h"
#include "lib/spawned.h"

#define MQTT_PROGRAM TEST_BUILD_DIR "/bridge/millrace-mqtt"
#define MQTT_CLIENT  "bridge" /* its client.id here */

enum { MQTT_ID_BYTES = 64 };

struct mqtt_fixture {
    struct mock_kafka mock;
    struct script_broker *broker;
    struct spawned child;
    uint16_t admin;
};

extern const char *const mqtt_no_more[];

/* Kafka and the broker, without the program. */
void mqtt_prepare(struct mqtt_fixture *f);
/* With TLS, see script_broker_start. */
void mqtt_prepare_tls(struct mqtt_fixture *f, const struct cert *server, const struct cert *ca);

/* Start the program; it has an admin listener then. `extra` are further flags, and ends with NULL.
 */
void mqtt_launch_at(struct mqtt_fixture *f, const char *program, const char *const *extra);
#define mqtt_launch(f, extra) mqtt_launch_at((f), MQTT_PROGRAM, (extra))

/* All three; it is ready, and on connection 1. */
void mqtt_start_at(struct mqtt_fixture *f, const char *program, const char *const *extra);
#define mqtt_start(f, extra) mqtt_start_at((f), MQTT_PROGRAM, (extra))

/* SIGTERM; the program must end with status 0. */
void mqtt_stop(struct mqtt_fixture *f);
/* When it has ended already. */
void mqtt_done(struct mqtt_fixture *f);

/* cmocka's setup and teardown of a test that needs no further flags: its state is a started struct
 * mqtt_fixture, which is stopped after it. Only a test knows where the program lies. */
#ifdef TEST_BUILD_DIR
static inline int mqtt_setup(void **state)
{
    static struct mqtt_fixture f;
    mqtt_start(&f, mqtt_no_more);
    *state = &f;
    return 0;
}

static inline int mqtt_teardown(void **state)
{
    mqtt_stop(*state);
    return 0;
}
#endif

/* A client has connected after packet number `after` and has subscribed, to the broker's own
 * figures too: it has nothing more to say. Returns its connection. */
unsigned mqtt_wait_subscribed(struct mqtt_fixture *f, unsigned after);

/* With QoS 1 and nothing else. */
void mqtt_publish(struct mqtt_fixture *f, unsigned connection, uint16_t packet_id,
                  const char *topic, const char *payload);
/* Packet ids from `first` on, topics s1/d0 to s1/d9, payloads "m<packet id>"; all in one piece, as
 * far as the socket takes it. */
void mqtt_publish_many(struct mqtt_fixture *f, unsigned connection, uint16_t first, size_t count);
/* The same with DUP: they were sent before, on another connection. */
void mqtt_publish_again(struct mqtt_fixture *f, unsigned connection, uint16_t first, size_t count);

/* PUBACKs of the packet ids from `first` on come in this order after packet number `after`, and
 * nothing else before the last of them. Returns the first of them. */
const struct script_broker_packet *mqtt_expect_pubacks(struct mqtt_fixture *f, unsigned after,
                                                       uint16_t first, size_t count);

/* A message of packet id 65535 is published now, and acknowledged next: nothing has come since
 * packet number `after`, nor was anything on its way. Returns the number of its PUBACK. */
unsigned mqtt_expect_quiet(struct mqtt_fixture *f, unsigned connection, unsigned after);

/* The number of the last packet so far. */
unsigned mqtt_last(struct mqtt_fixture *f);

/* The sample of a metric at /metrics; -1: not there. */
long mqtt_metric(const struct mqtt_fixture *f, const char *sample);
/* Until it is (or is over) `value`. */
void mqtt_wait_metric(const struct mqtt_fixture *f, const char *sample, long value);
#define MQTT_RECEIVED  "millrace_mqtt_messages_received_total"
#define MQTT_IN_FLIGHT "millrace_mqtt_in_flight_messages"

/* Until /readyz says 503, with this text. */
void mqtt_wait_not_ready(const struct mqtt_fixture *f, const char *text);
void mqtt_wait_ready(const struct mqtt_fixture *f);

/* How many events of the topic have these data; the id of the last goes to `ret_id` (may be NULL).
 */
size_t mqtt_stored(struct mqtt_fixture *f, const char *topic, const char *data,
                   char ret_id[MQTT_ID_BYTES]);
/* Each of "m<first>", ... is in "events" `times` times. */
void mqtt_expect_stored(struct mqtt_fixture *f, uint16_t first, size_t count, size_t times);

#endif

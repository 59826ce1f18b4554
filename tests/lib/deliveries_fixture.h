// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_DELIVERIES_FIXTURE_H
#define TESTS_LIB_DELIVERIES_FIXTURE_H

/* millrace-mqtt's deliveries over a producer fixture, without a broker: messages are given to them
 * by hand. Routes: plant/{device}/{channel} (application `works`) to events, others/{device} to
 * others, structured/{device} whose payloads are CloudEvents in JSON. */

#include "bridge/mqtt/deliveries.h"
#include "bridge/mqtt/mqtt_metrics.h"
#include "lib/producer_fixture.h"

struct deliveries_fixture {
    struct fixture kafka;
    struct routes *routes;
    struct mqtt_metrics metrics;
    struct deliveries_spec spec;
    struct deliveries *deliveries;
    size_t left; /* of what was given, not settled */
};

/* A message that was given, and what became of it. */
struct given {
    struct deliveries_fixture *f;
    int settled;
    unsigned rank;      /* of its settlement, from 1 */
    char id[64];        /* what deliveries_take said; "": none */
    char stored[64];    /* what the settlement said; "": none */
    bool closes;        /* at its settlement: deliveries_close */
    struct given *more; /* at its settlement: given, as plant/d1/c */
};

/* Between the two the kafka fixture's options and settings may be changed. `_start` waits until
 * Kafka is there. */
void deliveries_set_up(struct deliveries_fixture *f);
void deliveries_start(struct deliveries_fixture *f);

/* Close, wait for its end, and close the rest too. */
void deliveries_tear_down(struct deliveries_fixture *f);
void deliveries_stop(struct deliveries_fixture *f); /* the first half */
void deliveries_tear_down_rest(struct deliveries_fixture *f);

/* cmocka's setup and teardown of a test that changes nothing in between: its state is a started
 * struct deliveries_fixture. */
int deliveries_setup(void **state);
int deliveries_teardown(void **state);

/* A message over MQTT 5 without properties. */
struct mqtt_message mqtt_message_of(const char *topic, const char *payload);

/* Returns the code of deliveries_take. */
int give_message(struct deliveries_fixture *f, struct given *given,
                 const struct mqtt_message *message, struct mr_slice id);
void give(struct deliveries_fixture *f, struct given *given, const char *topic,
          const char *payload);

/* Until all that was given is settled, each once. */
void deliveries_run(struct deliveries_fixture *f);

/* Nothing is counted as in flight, and these have been settled. */
void assert_counted(const struct deliveries_fixture *f, int stored, int dead, int dropped,
                    int expired);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_PRODUCER_FIXTURE_H
#define TESTS_LIB_PRODUCER_FIXTURE_H

/* A producer against the mock cluster, on the test's own loop. */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "kafka/producer.h"
#include "lib/mock_kafka.h"

enum { READY_MS = 60000, SETTLE_MS = 60000, ANSWER_MS = 3000, PARTITIONS = 6 };

struct fixture {
    struct mock_kafka mock;
    uv_loop_t loop;
    uv_timer_t pulse; /* so that a uv_run returns now and then */
    struct passthrough settings[4];
    struct kafka_conf conf;
    struct mr_producer_options options;
    struct readiness readiness;
    struct mr_producer *producer;
    struct mr_port *port; /* the home loop's */
    bool closed;
};

/* A mock cluster with the topic "events" of PARTITIONS partitions; the defaults as options. */
void fixture_set_up(struct fixture *f);

/* Settings beyond bootstrap.servers. */
void fixture_set(struct fixture *f, const char *section, const char *key, const char *value);

/* Make the producer and its port; fixture_start_and_wait: until it is ready too. */
void fixture_start(struct fixture *f);
void fixture_start_and_wait(struct fixture *f);

/* Close the port, the producer, the loop and the cluster. */
void fixture_tear_down(struct fixture *f);

/* Run the loop until `holds`; fails the test after `deadline_ms`. */
void fixture_run_until(struct fixture *f, bool (*holds)(void *arg), void *arg,
                       uint64_t deadline_ms);

/* Conditions for it, and a callback that sets one. */
bool fixture_is_ready(void *fixture);
bool fixture_is_not_ready(void *fixture);
bool is_true(void *flag);
bool is_zero(void *size);
void set_true(void *flag);

/* A whole event of device d<key>; `data` is borrowed. */
void fill_event(struct mr_event *event, const char *id, unsigned key, struct mr_slice data);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_SCRIPTED_WORKER_H
#define TESTS_LIB_SCRIPTED_WORKER_H

/* A worker whose author is the test: it settles each batch at once, or holds it for the test to
 * settle. Several may run on one loop. */

#include <uv.h>

#include "kafka/worker_loop.h"
#include "lib/mock_kafka.h"

enum { SCRIPTED_HELD_MAX = 1000, SCRIPTED_SETTINGS_MAX = 8, SCRIPTED_WAIT_MS = 60000 };

struct scripted_worker {
    /* Set by scripted_init, to be changed before scripted_start. */
    struct mr_worker_loop_options options;
    struct passthrough settings[SCRIPTED_SETTINGS_MAX];
    struct kafka_conf conf;
    void (*on_batch)(struct scripted_worker *scripted, struct mr_batch *batch); /* NULL: hold it */

    /* What happened. */
    struct readiness readiness;
    struct mr_worker *worker;
    struct mr_batch *held[SCRIPTED_HELD_MAX]; /* in the order in which they came */
    size_t held_count;
    size_t batches;
    size_t records;
    bool closed;
    bool stopped;

    uv_loop_t *loop;
    uv_timer_t tick; /* so that a wait sees its deadline */
    struct worker_loop_spec spec;
};

/* A test's set-up: a loop, a mock cluster with "events" and "events.dead" of so many partitions,
 * and a worker, to be started; and its tear-down, when that is stopped. */
void scripted_set_up(struct scripted_worker *scripted, struct mock_kafka *mock, uv_loop_t *loop,
                     int partitions, int dead_partitions);
void scripted_tear_down(struct mock_kafka *mock, uv_loop_t *loop);

/* Short intervals, topic "events", group "workers", nothing created. */
void scripted_init(struct scripted_worker *scripted, struct mock_kafka *mock, uv_loop_t *loop);
void scripted_set(struct scripted_worker *scripted, const char *key, const char *value);
void scripted_start(struct scripted_worker *scripted);

/* Stop, and run the loop until nothing is left of the worker. */
void scripted_stop(struct scripted_worker *scripted, int64_t deadline_ms);

/* Run the loop until `condition` holds; false after SCRIPTED_WAIT_MS. */
bool scripted_until(struct scripted_worker *scripted, bool (*condition)(void *user), void *user);

/* Run the loop for a while in which something must not happen. */
void scripted_for(struct scripted_worker *scripted, int64_t ms);

/* The oldest held batch, which is held no more. */
struct mr_batch *scripted_take(struct scripted_worker *scripted);

/* The condition's reason; NULL if it holds. */
const char *scripted_reason(const struct scripted_worker *scripted, const char *condition);

/* The value of a line "name{...labels...} value" at /metrics; -1: there is none. */
int64_t scripted_metric(const char *name, const char *labels);

/* The same in a text of it (terminated, freed with free), for who wants many. */
char *scripted_metrics_text(void);
int64_t scripted_metric_in(const char *text, const char *name, const char *labels);

/* Records "<first>", "<first + 1>"... as events in binary mode, in one partition. */
void scripted_produce(struct mock_kafka *mock, const char *topic, int32_t partition, int first,
                      int count);

/* The same with a key; NULL: none. */
void scripted_produce_keyed(struct mock_kafka *mock, const char *topic, int32_t partition,
                            const char *key, int first, int count);

/* The same, record i with the key i modulo `key_count`. */
void scripted_produce_keys(struct mock_kafka *mock, const char *topic, int32_t partition,
                           const char *const *keys, int key_count, int first, int count);

/* Events in partition 0, each with one header more, of so many bytes. */
void scripted_produce_with_header(struct mock_kafka *mock, const char *topic, size_t header_bytes,
                                  int count);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef CLI_DEAD_SEND_H
#define CLI_DEAD_SEND_H

/* Settles dead letters: a replayed one is sent to its topic, and when Kafka has confirmed that, the
 * mark is written into the letter's own partition; a dropped one is only marked. So a letter is
 * never marked before its record is stored: whatever ends the program in between, the letter is
 * still there, at worst replayed twice. Many letters are on their way at a time; those of a
 * partition are sent in order.
 *
 * What becomes of each is counted in the tally (what, topic, reason). */

#include <stdbool.h>
#include <uv.h>

#include <millrace/producer.h>

#include "cli/dead_tally.h"
#include "cli/dead_topic.h"
#include "kafka/producer.h"

enum { DEAD_REASON_BYTES = 256 };

struct dead_sender {
    unsigned magic;
    uv_loop_t loop;
    uv_timer_t tick; /* so that a closing that takes too long is seen */
    struct mr_producer_options options;
    struct passthrough *settings;
    struct kafka_conf conf;
    struct producer_spec spec;
    struct mr_producer *producer;
    struct mr_port *port;
    struct tally *tally;
    size_t in_flight; /* letters and their bytes */
    size_t bytes;
    bool failed;  /* not all that was wanted has been done; told */
    bool stopped; /* Kafka is away: no more should be given */
};

/* Errors are told on standard error. Returns 0 or 1; to be closed in both cases. */
int dead_sender_open(struct dead_sender *sender, const struct dead_task *task, struct tally *tally);

/* Both wait while too much is on its way. `topic` is where the letter was, for the tally. */
void dead_sender_replay(struct dead_sender *sender, const struct dead_found *found,
                        const struct producer_place *to, const struct kafka_record *record);
void dead_sender_drop(struct dead_sender *sender, const struct dead_found *found);

/* Wait for all that is on its way, then give everything back. Returns 0, or 1 if not all has been
 * done. */
int dead_sender_close(struct dead_sender *sender);

#endif

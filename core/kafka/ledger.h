// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_LEDGER_H
#define KAFKA_LEDGER_H

/* The books of one partition: which offsets were received, which of them are settled, and up to
 * where all are: the only offset that may be committed. Pure. Offsets come in increasing order with
 * gaps (compaction, transactions); they are settled in any order. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger {
    int64_t *offsets; /* ring of received, not yet passed offsets, ascending */
    int64_t *times;   /* same ring: what ledger_date said */
    bool *settled;    /* same ring */
    size_t capacity;  /* a power of two */
    size_t head;      /* index of the oldest */
    size_t count;
    size_t settled_count; /* of the ring's offsets, settled behind one that is not */
    int64_t first;        /* the first offset received; -1: none */
    int64_t received;     /* the highest offset received, or passed over; -1: none */
    int64_t prefix;    /* the next offset to be committed: one past the contiguous settled records,
                          and past the gap behind them once it is known; -1: nothing settled */
    int64_t committed; /* what Kafka has confirmed; -1: nothing by us */
};

void ledger_init(struct ledger *ledger);
void ledger_done(struct ledger *ledger);

/* A record has come. Returns 1 if it is new, 0 if its offset is not above all before it (a repeat:
 * to be dropped), -1 when out of memory (nothing has changed). */
int ledger_receive(struct ledger *ledger, int64_t offset);

/* The time of the record that has just been received as new, for ledger_oldest. */
void ledger_date(struct ledger *ledger, int64_t time_ms);

/* There is nothing to be received before `offset`, which is above all that was received: what lies
 * between are gaps. With nothing in flight the prefix moves to it; else when all is settled. */
void ledger_pass(struct ledger *ledger, int64_t offset);

/* `offset` (received, not settled yet: anything else aborts, for the books would be false) is
 * settled. Moves the prefix as far as it goes. */
void ledger_settle(struct ledger *ledger, int64_t offset);

/* The offset to commit now, or -1 if nothing is beyond what is committed. */
int64_t ledger_to_commit(const struct ledger *ledger);

/* What a commit may say that tells something else than progress: the prefix, or the first offset
 * received if nothing is settled; -1: nothing was received. */
int64_t ledger_position(const struct ledger *ledger);

/* Kafka has confirmed a commit of `offset`. Never goes backwards. */
void ledger_committed(struct ledger *ledger, int64_t offset);

/* The first offset that is not settled, -1 if it isn't known because nothing was received or passed
 * over. `ret_time_ms`: of the record that lies there, -1 if none has come yet. */
int64_t ledger_oldest(const struct ledger *ledger, int64_t *ret_time_ms);

/* Received and not settled. */
size_t ledger_in_flight(const struct ledger *ledger);

#endif

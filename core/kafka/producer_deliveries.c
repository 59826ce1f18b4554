// SPDX-License-Identifier: Apache-2.0
/* From delivery reports to outcomes. While the queue is drained each port's sends are chained
 * (newest first); at the end each chain is pushed to its port at once and the port is woken once,
 * if what it had was already taken. The mutex guards only against a port's closing between the push
 * and the wake-up; no mr_send ever takes it. */
#include <assert.h>

#include <millrace/log.h>

#include "kafka/producer_internal.h"
#include "kit/magic.h"

enum { LOG_INTERVAL_MS = 10000 };

/* The broker refuses whole batches: which of its messages it was that was too large, or that it
 * found invalid, isn't told. So the refusal of a batch never becomes MR_REJECTED (that would reject
 * good events for a bad neighbour's sake); the operator is told instead. */
static void warn_if_permanent(rd_kafka_resp_err_t error)
{
    switch (error) {
        case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
        case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
            mr_log_limited(MR_LOG_WARN, LOG_INTERVAL_MS, "Kafka refuses what is sent to it",
                           MR_STR("reason", rd_kafka_err2str(error)));
            break;
        default:
            break;
    }
}

/* Too large for the topic by itself. librdkafka reports what it sent in one batch in one event
 * (rd_kafka_dr_msgq), so a message that is alone in its report was alone in its batch, and the
 * refusal is its own. Sent again and again, as 503 asks for, the guilty one is alone soon. */
static bool is_over_topic(const rd_kafka_message_t *message, bool is_alone)
{
    return is_alone && rd_kafka_message_status(message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED &&
           (message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
            message->err == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE);
}

/* A success without an offset is librdkafka's inference from that of a later batch ("implicitly
 * acked"), which holds only if the broker knows this producer: of a producer that is new to a
 * partition it takes any batch first. A broker that was not the leader yet for the first batch, and
 * then was for the second, has the second alone; seen in one of thirty new topics of Kafka 4.3. */
static bool is_inferred(const rd_kafka_message_t *message)
{
    return message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < 0;
}

static enum mr_outcome_kind kind_of(const rd_kafka_message_t *message, bool is_alone)
{
    if (is_over_topic(message, is_alone)) {
        return MR_REJECTED;
    }
    if (is_inferred(message)) {
        return MR_UNKNOWN;
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return MR_STORED;
    }
    switch (rd_kafka_message_status(message)) {
        case RD_KAFKA_MSG_STATUS_PERSISTED:
            return MR_STORED;
        case RD_KAFKA_MSG_STATUS_NOT_PERSISTED:
            warn_if_permanent(message->err);
            return MR_BUSY;
        case RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED:
        default:
            return MR_UNKNOWN;
    }
}

static void chain(struct mr_producer *producer, struct mr_send *send)
{
    struct mr_port *port;
    MAGIC_CAST(port, send->port, PORT_MAGIC);
    if (port->chain_newest == NULL) {
        port->chain_oldest = send;
        port->next_touched = producer->touched;
        producer->touched = port;
    }
    send->next = port->chain_newest;
    port->chain_newest = send;
}

static int error_of(const rd_kafka_message_t *message, bool is_alone)
{
    if (is_over_topic(message, is_alone)) {
        return SEND_OVER_TOPIC;
    }
    return is_inferred(message) ? SEND_INFERRED : (int)message->err;
}

void deliveries_add(struct mr_producer *producer, const rd_kafka_message_t *message, bool is_alone,
                    uint64_t counts[OUTCOMES])
{
    struct mr_send *send;
    int64_t latency_us;
    MAGIC_CAST(send, message->_private, SEND_MAGIC);
    send->kind = (int)kind_of(message, is_alone);
    send->error = error_of(message, is_alone);
    send->partition = message->partition;
    send->offset = message->offset;
    if (send->kind == MR_STORED) {
        latency_us = rd_kafka_message_latency(message);
        if (latency_us >= 0) {
            mr_observe(producer->delivery_seconds, (double)latency_us / 1e6);
        }
    }
    counts[send->kind]++;
    watch_settled(producer, send);
    (void)atomic_fetch_sub_explicit(&producer->events, 1, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&producer->bytes, send->bytes, memory_order_relaxed);
    chain(producer, send);
}

/* Returns true if the port had taken all before: it must be woken. */
static bool push(struct mr_port *port)
{
    struct mr_send *before = atomic_load_explicit(&port->delivered, memory_order_relaxed);
    struct mr_send *newest = port->chain_newest;
    struct mr_send *oldest = port->chain_oldest;
    port->chain_newest = NULL;
    port->chain_oldest = NULL;
    do {
        oldest->next = before;
    } while (!atomic_compare_exchange_weak_explicit(&port->delivered, &before, newest,
                                                    memory_order_release, memory_order_relaxed));
    return before == NULL;
}

void deliveries_hand_over(struct mr_producer *producer)
{
    struct mr_port *port = producer->touched;
    struct mr_port *at_home = NULL;
    if (port == NULL) {
        return;
    }
    producer->touched = NULL;
    uv_mutex_lock(&producer->ports_mutex);
    while (port != NULL) {
        struct mr_port *next = port->next_touched;
        bool wake = push(port);
        if (port->is_home) {
            port->next_touched = at_home;
            at_home = port;
        } else if (wake) {
            (void)uv_async_send(&port->wake);
        }
        port = next;
    }
    uv_mutex_unlock(&producer->ports_mutex);
    while (at_home != NULL) { /* its callbacks may close it: its memory stays until a later turn */
        struct mr_port *next = at_home->next_touched;
        port_settle_all(at_home);
        at_home = next;
    }
}

// SPDX-License-Identifier: Apache-2.0
/* Happy path: mr_send writes the record, counts it against the bounds and gives it to librdkafka,
 * all on the port's thread and without waiting; its outcome comes in a chain from the home loop
 * (producer_deliveries.c). What can go wrong at once (over a bound, not an event, too large,
 * closing) is settled too, but on a later turn of the loop: nobody is called back from inside his
 * own call. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "kafka/producer_internal.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { TEXT_BYTES = 200 };

static const struct producer_place own_topic = {
    .topic = NULL, .partition = RD_KAFKA_PARTITION_UA, .timestamp_ms = -1};

/* Out of memory for a text must not change an outcome: the code's own words are left. */
static void settle_later(struct mr_port *port, struct mr_send *send, enum mr_outcome_kind kind,
                         int error, const char *text)
{
    send->kind = (int)kind;
    send->error = error;
    send->text = text == NULL ? NULL : mem_strdup(text);
    send->next = NULL;
    mr_count(port->producer->outcomes[kind], 1);
    if (port->local == NULL) {
        port->local = send;
        (void)uv_async_send(&port->wake);
    } else {
        port->local_last->next = send;
    }
    port->local_last = send;
}

static const char *reason_of(const struct mr_send *send)
{
    if (send->kind == MR_STORED) {
        return "";
    }
    if (send->text != NULL) {
        return send->text;
    }
    switch (send->error) {
        case SEND_QUEUE_EVENTS:
            return "the queue is full (queue.events.max)";
        case SEND_QUEUE_BYTES:
            return "the queue is full (queue.bytes.max)";
        case SEND_CLOSING:
            return "shutting down";
        case SEND_NO_INSTANCE:
            return "the connection to Kafka is being made anew";
        case SEND_NO_MEMORY:
            return "out of memory";
        case SEND_INFERRED:
            return "Kafka has acknowledged only what was sent after it";
        case SEND_OVER_TOPIC:
            return "the event is larger than the topic takes (max.message.bytes)";
        default:
            return rd_kafka_err2str((rd_kafka_resp_err_t)send->error);
    }
}

static bool is_too_large(const struct mr_send *send)
{
    return send->kind != MR_STORED && (send->error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                                       send->error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
                                       send->error == SEND_OVER_TOPIC);
}

static void settle(struct mr_port *port, struct mr_send *send)
{
    char *text;
    struct mr_outcome outcome;
    MAGIC_CHECK(send, SEND_MAGIC);
    text = send->text;
    outcome = (struct mr_outcome){
        .kind = (enum mr_outcome_kind)send->kind,
        .reason = reason_of(send),
        .too_large = is_too_large(send),
        .retry_after_ms = send->kind == MR_BUSY ? BUSY_RETRY_MS : 0,
        .partition = send->kind == MR_STORED ? send->partition : -1,
        .offset = send->kind == MR_STORED ? send->offset : -1,
    };
    send->magic = 0;
    send->text = NULL;
    assert(port->pending > 0);
    port->pending--;
    send->on_settled(send, &outcome); /* `send` is the caller's again, and may be gone */
    mem_free(text);
}

static struct mr_send *take_delivered(struct mr_port *port)
{
    struct mr_send *newest = atomic_exchange_explicit(&port->delivered, NULL, memory_order_acquire);
    struct mr_send *oldest = NULL;
    while (newest != NULL) {
        struct mr_send *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void settle_list(struct mr_port *port, struct mr_send *send)
{
    while (send != NULL) {
        struct mr_send *next = send->next;
        settle(port, send);
        send = next;
    }
}

void port_settle_all(struct mr_port *port)
{
    struct mr_send *local = port->local;
    port->local = NULL; /* what callbacks refuse anew waits for the next turn */
    port->local_last = NULL;
    settle_list(port, take_delivered(port));
    settle_list(port, local);
}

static void on_wake(uv_async_t *handle)
{
    struct mr_port *port;
    MAGIC_CAST(port, handle->data, PORT_MAGIC);
    port_settle_all(port);
}

/* Count the record in, or say which bound it is over (0: none). */
static int reserve(struct mr_producer *producer, size_t bytes)
{
    const struct mr_producer_options *options = producer->spec.options;
    size_t before = atomic_fetch_add_explicit(&producer->events, 1, memory_order_relaxed);
    if (before >= (size_t)options->queue_events_max) {
        (void)atomic_fetch_sub_explicit(&producer->events, 1, memory_order_relaxed);
        return SEND_QUEUE_EVENTS;
    }
    before = atomic_fetch_add_explicit(&producer->bytes, bytes, memory_order_relaxed);
    if (before + bytes > (size_t)options->queue_bytes_max) {
        (void)atomic_fetch_sub_explicit(&producer->bytes, bytes, memory_order_relaxed);
        (void)atomic_fetch_sub_explicit(&producer->events, 1, memory_order_relaxed);
        return SEND_QUEUE_BYTES;
    }
    return 0;
}

static void unreserve(struct mr_producer *producer, size_t bytes)
{
    (void)atomic_fetch_sub_explicit(&producer->events, 1, memory_order_relaxed);
    (void)atomic_fetch_sub_explicit(&producer->bytes, bytes, memory_order_relaxed);
}

/* Sequentially consistent on both sides: either we see the new `current`, or the home loop, which
 * changes `current` before it looks at `using`, sees us. */
static struct instance *acquire(struct mr_port *port)
{
    struct instance *instance = atomic_load(&port->producer->current);
    for (;;) {
        struct instance *again;
        atomic_store(&port->using, instance);
        again = atomic_load(&port->producer->current);
        if (again == instance) {
            return instance;
        }
        instance = again;
    }
}

static void release(struct mr_port *port)
{
    atomic_store_explicit(&port->using, NULL, memory_order_release);
}

static size_t record_bytes(const struct kafka_record *record)
{
    size_t bytes = record->key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++) {
        bytes += strlen(record->headers[i].name) + record->headers[i].value.len;
    }
    return bytes;
}

static rd_kafka_headers_t *copy_headers(const struct kafka_record *record)
{
    rd_kafka_headers_t *headers;
    if (record->header_count == 0) {
        return NULL;
    }
    headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        (void)rd_kafka_header_add(headers, header->name, -1, header->value.ptr,
                                  (ssize_t)header->value.len);
    }
    return headers;
}

/* Hand the record to librdkafka, which copies it. `place->topic` NULL: the instance's own. After
 * success the send belongs to the home loop. */
static rd_kafka_resp_err_t produce(const struct instance *instance,
                                   const struct producer_place *place,
                                   const struct kafka_record *record, struct mr_send *send)
{
    rd_kafka_resp_err_t code;
    rd_kafka_headers_t *headers = copy_headers(record);
    const rd_kafka_vu_t fields[] = {
        {.vtype = place->topic == NULL ? RD_KAFKA_VTYPE_RKT : RD_KAFKA_VTYPE_TOPIC},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = place->partition},
        /* 0: librdkafka takes the moment */
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP,
         .u.i64 = place->timestamp_ms < 0 ? 0 : place->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)record->value.ptr, record->value.len}},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)record->key.ptr, record->key.len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = send},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_vu_t all[MR_COUNT_OF(fields)];
    rd_kafka_error_t *error;
    memcpy(all, fields, sizeof fields);
    if (place->topic == NULL) {
        all[0].u.rkt = instance->rkt;
    } else {
        all[0].u.cstr = place->topic;
    }
    error = rd_kafka_produceva(instance->rk, all, MR_COUNT_OF(fields) - (headers == NULL));
    if (error == NULL) {
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

/* Over a limit by itself: it would be no better later. */
static void reject_too_large(struct mr_port *port, struct mr_send *send, const char *limit,
                             size_t limit_bytes)
{
    char text[TEXT_BYTES];
    (void)snprintf(text, sizeof text,
                   "the event is too large for Kafka: %zu bytes with key and headers, %s is %zu",
                   send->bytes, limit, limit_bytes);
    settle_later(port, send, MR_REJECTED, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, text);
}

static void send_now(struct mr_port *port, struct mr_send *send, const struct producer_place *place,
                     const struct kafka_record *record)
{
    struct mr_producer *producer = port->producer;
    size_t queue_bytes_max = (size_t)producer->spec.options->queue_bytes_max;
    struct instance *instance;
    int error;
    send->bytes = record_bytes(record);
    if (send->bytes > queue_bytes_max) {
        reject_too_large(port, send, "queue.bytes.max", queue_bytes_max);
        return;
    }
    error = atomic_load_explicit(&producer->refusing, memory_order_relaxed)
                ? SEND_CLOSING
                : reserve(producer, send->bytes);
    if (error != 0) {
        settle_later(port, send, MR_BUSY, error, NULL);
        return;
    }
    instance = acquire(port);
    error = instance == NULL ? SEND_NO_INSTANCE : (int)produce(instance, place, record, send);
    release(port);
    if (error == 0) {
        return;
    }
    unreserve(producer, send->bytes);
    if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        reject_too_large(port, send, "message.max.bytes", producer->message_bytes_max);
    } else {
        settle_later(port, send, MR_BUSY, error, NULL);
    }
}

static void begin(struct mr_port *port, struct mr_send *send)
{
    MAGIC_CHECK(port, PORT_MAGIC);
    assert(send->on_settled != NULL);
    send->magic = SEND_MAGIC;
    send->port = port;
    send->next = NULL;
    send->text = NULL;
    send->partition = -1;
    send->offset = -1;
    port->pending++;
}

static void send_event(struct mr_port *port, struct mr_send *send,
                       const struct producer_place *place, const struct mr_event *event)
{
    struct kafka_record record;
    struct mr_error err = {0};
    int rc;
    begin(port, send);
    rc = kafka_binding_write(event, (enum event_encoding)port->producer->spec.options->encoding,
                             &port->writer, &record, &err);
    if (rc == 0) {
        send_now(port, send, place, &record);
    } else if (rc == MR_ENOMEM) {
        settle_later(port, send, MR_BUSY, SEND_NO_MEMORY, NULL);
    } else if (rc == MR_ELIMIT) {
        (void)mr_error_wrap(&err, "the event is too large for Kafka (message.max.bytes)");
        settle_later(port, send, MR_REJECTED, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, err.text);
    } else {
        settle_later(port, send, MR_REJECTED, RD_KAFKA_RESP_ERR__INVALID_ARG, err.text);
    }
}

void mr_send(struct mr_port *port, struct mr_send *send, const struct mr_event *event)
{
    send_event(port, send, &own_topic, event);
}

void producer_send_event(struct mr_port *port, struct mr_send *send, const char *topic,
                         const struct mr_event *event)
{
    const struct producer_place place = {
        .topic = topic, .partition = RD_KAFKA_PARTITION_UA, .timestamp_ms = -1};
    assert(topic != NULL);
    send_event(port, send,
               strcmp(topic, port->producer->spec.options->topic) == 0 ? &own_topic : &place,
               event);
}

void producer_send_record(struct mr_port *port, struct mr_send *send, const char *topic,
                          const struct kafka_record *record)
{
    const struct producer_place place = {
        .topic = topic, .partition = RD_KAFKA_PARTITION_UA, .timestamp_ms = -1};
    producer_send_to(port, send, &place, record);
}

void producer_send_to(struct mr_port *port, struct mr_send *send,
                      const struct producer_place *place, const struct kafka_record *record)
{
    assert(place->topic != NULL);
    begin(port, send);
    send_now(port, send, place, record);
}

int producer_port_open(struct mr_producer *producer, uv_loop_t *loop, struct mr_port **ret_port,
                       struct mr_error *err)
{
    int rc;
    struct mr_port *port = mem_zalloc(sizeof *port);
    MAGIC_CHECK(producer, PRODUCER_MAGIC);
    if (port == NULL) {
        return mr_error_set(err, MR_ENOMEM, "producer port");
    }
    rc = uv_async_init(loop, &port->wake, on_wake);
    if (rc != 0) {
        mem_free(port);
        return mr_error_set(err, MR_EIO, "producer port: %s", uv_strerror(rc));
    }
    port->magic = PORT_MAGIC;
    port->producer = producer;
    port->is_home = loop == producer->home;
    port->wake.data = port;
    kafka_writer_init(&port->writer, producer->message_bytes_max);
    uv_mutex_lock(&producer->ports_mutex);
    port->next = producer->ports;
    port->link = &producer->ports;
    if (port->next != NULL) {
        port->next->link = &port->next;
    }
    producer->ports = port;
    uv_mutex_unlock(&producer->ports_mutex);
    *ret_port = port;
    return 0;
}

size_t producer_port_pending(const struct mr_port *port)
{
    return port->pending;
}

size_t producer_port_count(struct mr_producer *producer)
{
    size_t count = 0;
    uv_mutex_lock(&producer->ports_mutex);
    for (const struct mr_port *port = producer->ports; port != NULL; port = port->next) {
        count++;
    }
    uv_mutex_unlock(&producer->ports_mutex);
    return count;
}

static void on_port_closed(uv_handle_t *handle)
{
    struct mr_port *port;
    void (*closed)(void *user);
    void *user;
    MAGIC_CAST(port, handle->data, PORT_MAGIC);
    closed = port->closed;
    user = port->closed_user;
    kafka_writer_done(&port->writer);
    port->magic = 0;
    mem_free(port);
    if (closed != NULL) {
        closed(user);
    }
}

void producer_port_close(struct mr_port *port, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(port, PORT_MAGIC);
    assert(port->pending == 0);
    port->closed = closed;
    port->closed_user = user;
    /* Waits for a wake-up that is just being sent to us. */
    uv_mutex_lock(&port->producer->ports_mutex);
    *port->link = port->next;
    if (port->next != NULL) {
        port->next->link = port->link;
    }
    uv_mutex_unlock(&port->producer->ports_mutex);
    uv_close((uv_handle_t *)&port->wake, on_port_closed);
}

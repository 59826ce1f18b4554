// SPDX-License-Identifier: Apache-2.0
/* Happy path: librdkafka's main queue goes from empty to not empty -> it writes the eventfd -> the
 * home loop reads events until the queue is empty again (or so many, and goes on next turn). The
 * write comes once until the queue is read again, so stopping before it is empty must be followed
 * by another drain; producer.c's tick is the net beneath. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <millrace/log.h>

#include "kafka/kafka_log.h"
#include "kafka/producer_internal.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum { ERRSTR_BYTES = 512 };

/* Our bounds are counted in mr_send; librdkafka's own are set no lower, unless the user did. */
static int set_bounds(const struct producer_spec *spec, rd_kafka_conf_t *conf, struct mr_error *err)
{
    const struct mr_producer_options *options = spec->options;
    char text[32];
    int rc;
    (void)snprintf(text, sizeof text, "%lld", (long long)options->queue_events_max);
    rc = kafka_conf_default(spec->conf, KAFKA_PRODUCER, conf, "queue.buffering.max.messages", text,
                            err);
    (void)snprintf(text, sizeof text, "%lld", (long long)(options->queue_bytes_max / 1024 + 1));
    return rc != 0 ? rc
                   : kafka_conf_default(spec->conf, KAFKA_PRODUCER, conf,
                                        "queue.buffering.max.kbytes", text, err);
}

static int make_conf(const struct producer_spec *spec, rd_kafka_conf_t **ret_conf,
                     struct mr_error *err)
{
    rd_kafka_conf_t *conf;
    int rc = kafka_conf_make(spec->conf, KAFKA_PRODUCER, spec->program, &conf, err);
    if (rc != 0) {
        return rc;
    }
    rc = set_bounds(spec, conf, err);
    if (rc != 0) {
        rd_kafka_conf_destroy(conf);
        return rc;
    }
    *ret_conf = conf;
    return 0;
}

void producer_check(const struct producer_spec *spec, struct mr_check *check)
{
    struct mr_error err;
    rd_kafka_conf_t *conf;
    if (spec->options->topic != NULL &&
        topics_check_name(mr_slice_of(spec->options->topic), &err) != 0) {
        mr_check_problem(check, NULL, "topic", "%s", err.text);
    }
    if (spec->conf == NULL) {
        return;
    }
    if (make_conf(spec, &conf, &err) != 0) {
        mr_check_problem(check, NULL, NULL, "%s", err.text);
        return;
    }
    kafka_conf_try(spec->conf, KAFKA_PRODUCER, conf, check);
}

size_t producer_check_message_bytes_max(const struct mr_check *check)
{
    struct kafka_conf settings = {0};
    struct mr_error err;
    rd_kafka_conf_t *conf;
    char text[32] = "";
    size_t size = sizeof text;
    if (check->options == NULL) {
        return 0;
    }
    settings.settings = options_passthrough(check->options, &settings.count);
    if (kafka_conf_make(&settings, KAFKA_PRODUCER, "check", &conf, &err) != 0) {
        return 0;
    }
    (void)rd_kafka_conf_get(conf, "message.max.bytes", text, &size);
    rd_kafka_conf_destroy(conf);
    return strtoul(text, NULL, 10); /* librdkafka printed it */
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct instance *instance;
    uint64_t wakes;
    (void)status;
    (void)events;
    MAGIC_CAST(instance, handle->data, INSTANCE_MAGIC);
    if (read(instance->wake_fd, &wakes, sizeof wakes) == sizeof wakes) {
        producer_drain(instance->producer);
    }
}

static int watch(struct instance *instance, struct mr_error *err)
{
    static const uint64_t one = 1;
    int rc;
    instance->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (instance->wake_fd < 0) {
        return mr_error_set(err, MR_EIO, "no file descriptor left");
    }
    rc = uv_poll_init(instance->producer->home, &instance->wake, instance->wake_fd);
    if (rc != 0) {
        (void)close(instance->wake_fd);
        return mr_error_set(err, MR_EIO, "eventfd: %s", uv_strerror(rc));
    }
    instance->wake.data = instance;
    (void)uv_poll_start(&instance->wake, UV_READABLE, on_readable);
    rd_kafka_queue_io_event_enable(instance->queue, instance->wake_fd, &one, sizeof one);
    return 0;
}

static int create_rk(struct mr_producer *producer, rd_kafka_t **ret_rk, struct mr_error *err)
{
    char errstr[ERRSTR_BYTES];
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk;
    int rc = make_conf(&producer->spec, &conf, err);
    if (rc != 0) {
        return rc;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof errstr);
    if (rk == NULL) {
        bool is_conf = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__INVALID_ARG;
        rd_kafka_conf_destroy(conf);
        return mr_error_set(err, is_conf ? MR_ECONFIG : MR_EKAFKA, "kafka producer: %s", errstr);
    }
    *ret_rk = rk;
    return 0;
}

int instance_new(struct mr_producer *producer, struct instance **ret_instance, struct mr_error *err)
{
    int rc;
    struct instance *instance = mem_zalloc(sizeof *instance);
    if (instance == NULL) {
        return mr_error_set(err, MR_ENOMEM, "kafka producer");
    }
    instance->magic = INSTANCE_MAGIC;
    instance->producer = producer;
    rc = create_rk(producer, &instance->rk, err);
    if (rc != 0) {
        mem_free(instance);
        return rc;
    }
    (void)rd_kafka_set_log_queue(instance->rk, NULL); /* NULL: the main queue */
    instance->rkt = rd_kafka_topic_new(instance->rk, producer->spec.options->topic, NULL);
    instance->queue = rd_kafka_queue_get_main(instance->rk);
    rc = instance->rkt == NULL
             ? mr_error_set(err, MR_ECONFIG, "topic '%s': %s", producer->spec.options->topic,
                            rd_kafka_err2str(rd_kafka_last_error()))
             : watch(instance, err);
    if (rc != 0) {
        rd_kafka_queue_destroy(instance->queue);
        if (instance->rkt != NULL) {
            rd_kafka_topic_destroy(instance->rkt);
        }
        rd_kafka_destroy(instance->rk);
        mem_free(instance);
        return rc;
    }
    *ret_instance = instance;
    return 0;
}

void instance_purge(struct instance *instance)
{
    (void)rd_kafka_purge(instance->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                           RD_KAFKA_PURGE_F_NON_BLOCKING);
}

static void read_reports(struct instance *instance, rd_kafka_event_t *event, size_t *left)
{
    const rd_kafka_message_t *message;
    uint64_t counts[OUTCOMES] = {0};
    bool is_alone = rd_kafka_event_message_count(event) == 1;
    while ((message = rd_kafka_event_message_next(event)) != NULL) {
        deliveries_add(instance->producer, message, is_alone, counts);
        *left -= *left > 0;
    }
    for (unsigned i = 0; i < OUTCOMES; i++) {
        if (counts[i] > 0) {
            mr_count(instance->producer->outcomes[i], counts[i]);
        }
    }
}

bool instance_drain(struct instance *instance, size_t *left)
{
    while (*left > 0) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(instance->queue, 0);
        if (event == NULL) {
            return true;
        }
        switch (rd_kafka_event_type(event)) {
            case RD_KAFKA_EVENT_DR:
                read_reports(instance, event, left);
                break;
            case RD_KAFKA_EVENT_ERROR:
                if (rd_kafka_event_error_is_fatal(event)) {
                    instance->fatal = true; /* told by the replacement */
                } else {
                    kafka_log_event(event);
                }
                break;
            case RD_KAFKA_EVENT_LOG:
                kafka_log_event(event);
                break;
            default:
                break;
        }
        rd_kafka_event_destroy(event);
    }
    return false;
}

static bool is_used_by_a_port(struct instance *instance)
{
    bool used = false;
    uv_mutex_lock(&instance->producer->ports_mutex);
    for (struct mr_port *port = instance->producer->ports; port != NULL; port = port->next) {
        used = used || atomic_load(&port->using) == instance;
    }
    uv_mutex_unlock(&instance->producer->ports_mutex);
    return used;
}

bool instance_is_spent(struct instance *instance)
{
    /* In this order: once no port uses it, nothing more goes in. */
    return instance->users == 0 && !is_used_by_a_port(instance) &&
           rd_kafka_outq_len(instance->rk) == 0;
}

static void destroy(uv_work_t *work)
{
    struct instance *instance;
    MAGIC_CAST(instance, work->data, INSTANCE_MAGIC);
    rd_kafka_destroy(instance->rk);
}

static void after_destroy(uv_work_t *work, int status)
{
    struct instance *instance;
    struct mr_producer *producer;
    (void)status; /* never cancelled */
    MAGIC_CAST(instance, work->data, INSTANCE_MAGIC);
    producer = instance->producer;
    (void)close(instance->wake_fd);
    instance->magic = 0;
    mem_free(instance);
    producer_instance_gone(producer);
}

static void on_wake_closed(uv_handle_t *handle)
{
    struct instance *instance;
    MAGIC_CAST(instance, handle->data, INSTANCE_MAGIC);
    instance->destroy.data = instance;
    (void)uv_queue_work(handle->loop, &instance->destroy, destroy, after_destroy);
}

void instance_destroy(struct instance *instance)
{
    MAGIC_CHECK(instance, INSTANCE_MAGIC);
    rd_kafka_queue_io_event_enable(instance->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(instance->queue);
    rd_kafka_topic_destroy(instance->rkt);
    uv_close((uv_handle_t *)&instance->wake, on_wake_closed);
}

// SPDX-License-Identifier: Apache-2.0
/* usage: events BROKERS TOPIC PARTITIONS COUNT BAD-PERCENT
 *
 * Fills a topic with COUNT events as millrace-http writes them: Avro, with the attributes as
 * headers. Device n % DEVICES sends event n, a millisecond after the event before, to a partition
 * of its own choice. BAD-PERCENT of them, in random places, have a temperature that is a string.
 * Prints how many those are. bench/influx.py makes the same points as lines. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <millrace/event.h>

#include "event/kafka_binding.h"
#include "event/timestamp.h"

enum {
    DEVICES = 600,
    NAME_BYTES = 32,
    DATA_BYTES = 128,
    VALUE_BYTES_MAX = 4096,
    HUNDRED = 100,
    POLL_MS = 10,
    FLUSH_MS = 60000,
    STEP_NS = 1000000,
};
static const int64_t begin_ns = INT64_C(1767225600000000000); /* 2026-01-01T00:00:00Z */

static void need(int holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "events: %s\n", what);
        exit(1);
    }
}

static uint64_t failed;

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *user)
{
    (void)rk;
    (void)user;
    failed += message->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *producer(const char *brokers)
{
    const char *settings[][2] = {{"bootstrap.servers", brokers},
                                 {"enable.idempotence", "true"},
                                 {"compression.codec", "lz4"},
                                 {"linger.ms", "20"}};
    char errstr[512] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        need(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], errstr, sizeof(errstr)) == 0,
             errstr);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
    need(rk != NULL, errstr);
    return rk;
}

/* The same in each run, and without a pattern (splitmix64's last steps). */
static uint64_t scatter(uint64_t n)
{
    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static void make(struct mr_event *event, uint64_t n, bool is_bad, char data[static DATA_BYTES])
{
    char device[NAME_BYTES];
    char time[TIMESTAMP_BYTES];
    int len = snprintf(data, DATA_BYTES,
                       "{\"n\":%" PRIu64 ",\"temperature\":%s%" PRIu64 ".5%s,\"humidity\":%" PRIu64
                       ".25,\"ok\":true}",
                       n, is_bad ? "\"" : "", n % HUNDRED, is_bad ? "\"" : "", n % HUNDRED);
    mr_event_clear(event);
    (void)snprintf(device, sizeof(device), "device-%" PRIu64, n % DEVICES);
    need(timestamp_format(begin_ns + (int64_t)n * STEP_NS, time) > 0, "time");
    need(mr_event_from_device(event, MR_SLICE("bench"), mr_slice_of(device), MR_SLICE("climate"),
                              NULL) == 0 &&
             mr_event_set(event, MR_SLICE("time"), mr_slice_of(time), NULL) == 0 &&
             mr_event_set(event, MR_SLICE("datacontenttype"), MR_SLICE("application/json"), NULL) ==
                 0 &&
             mr_event_complete(event, NULL) == 0,
         "event");
    mr_event_set_data(event, mr_slice(data, (size_t)len));
}

static rd_kafka_headers_t *headers_of(const struct kafka_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        const struct kafka_header *header = &record->headers[i];
        need(rd_kafka_header_add(headers, header->name, -1, header->value.ptr,
                                 (ssize_t)header->value.len) == RD_KAFKA_RESP_ERR_NO_ERROR,
             "header");
    }
    return headers;
}

static void produce(rd_kafka_t *rk, const char *topic, int32_t partition,
                    const struct kafka_record *record)
{
    rd_kafka_headers_t *headers = headers_of(record);
    for (;;) {
        rd_kafka_resp_err_t error =
            rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(record->key.ptr, record->key.len),
                              RD_KAFKA_V_VALUE((void *)record->value.ptr, record->value.len),
                              RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            need(error == RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_err2str(error));
            (void)rd_kafka_poll(rk, 0);
            return;
        }
        (void)rd_kafka_poll(rk, POLL_MS);
    }
}

int main(int argc, char **argv)
{
    struct kafka_writer writer;
    struct kafka_record record;
    struct mr_event *event = mr_event_new();
    char data[DATA_BYTES];
    uint64_t partitions;
    uint64_t count;
    uint64_t percent;
    uint64_t bad = 0;
    rd_kafka_t *rk;
    need(argc == 6, "usage: events BROKERS TOPIC PARTITIONS COUNT BAD-PERCENT");
    partitions = strtoull(argv[3], NULL, 10);
    count = strtoull(argv[4], NULL, 10);
    percent = strtoull(argv[5], NULL, 10);
    need(partitions > 0 && event != NULL, "PARTITIONS is 0, or out of memory");
    rk = producer(argv[1]);
    kafka_writer_init(&writer, VALUE_BYTES_MAX);
    for (uint64_t n = 0; n < count; n++) {
        bool is_bad = scatter(n) % HUNDRED < percent;
        make(event, n, is_bad, data);
        need(kafka_binding_write(event, EVENT_ENCODING_AVRO, &writer, &record, NULL) == 0,
             "record");
        produce(rk, argv[2], (int32_t)(n % DEVICES % partitions), &record);
        bad += is_bad;
    }
    need(rd_kafka_flush(rk, FLUSH_MS) == RD_KAFKA_RESP_ERR_NO_ERROR && failed == 0,
         "not all is stored");
    (void)printf("%" PRIu64 "\n", bad);
    kafka_writer_done(&writer);
    mr_event_free(event);
    rd_kafka_destroy(rk);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
/* usage: bare_consumer BROKERS TOPIC GROUP COUNT [headers]
 *
 * Reads COUNT records as a member of a group, looks at none of them (or asks for their headers,
 * which librdkafka parses only then), and commits as librdkafka does by itself. Then it prints
 * "done" and waits for a signal, so that its CPU can be read. librdkafka alone, none of our code;
 * its settings are librdkafka's own but for where a new group begins. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { POLL_MS = 1000, TEXT_BYTES = 512 };

static void need(int holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "bare_consumer: %s\n", what);
        exit(1);
    }
}

static rd_kafka_t *consumer(const char *brokers, const char *group)
{
    const char *settings[][2] = {
        {"bootstrap.servers", brokers}, {"group.id", group}, {"auto.offset.reset", "earliest"}};
    char errstr[TEXT_BYTES] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        need(rd_kafka_conf_set(conf, settings[i][0], settings[i][1], errstr, sizeof(errstr)) == 0,
             errstr);
    }
    rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, errstr, sizeof(errstr));
    need(rk != NULL, errstr);
    (void)rd_kafka_poll_set_consumer(rk);
    return rk;
}

static void subscribe(rd_kafka_t *rk, const char *topic)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    need(rd_kafka_subscribe(rk, topics) == RD_KAFKA_RESP_ERR_NO_ERROR, "can't subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
}

int main(int argc, char **argv)
{
    unsigned long long left;
    rd_kafka_headers_t *headers;
    rd_kafka_t *rk;
    need(argc == 5 || argc == 6, "usage: bare_consumer BROKERS TOPIC GROUP COUNT [headers]");
    left = strtoull(argv[4], NULL, 10);
    rk = consumer(argv[1], argv[3]);
    subscribe(rk, argv[2]);
    while (left > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, POLL_MS);
        if (message != NULL) {
            need(message->err == RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_message_errstr(message));
            left--;
            if (argc == 6) {
                (void)rd_kafka_message_headers(message, &headers);
            }
            rd_kafka_message_destroy(message);
        }
    }
    need(puts("done") >= 0 && fflush(stdout) == 0, "standard output");
    (void)pause();
    return 0;
}

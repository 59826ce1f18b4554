// SPDX-License-Identifier: Apache-2.0
/* usage: transact BROKERS TOPIC TRANSACTIONAL-ID commit|abort|open < lines
 *
 * Each line of the input becomes a record of partition 0, with a header that says it is a
 * CloudEvent in JSON, all of them in one transaction. `open` prints "open" once they are stored and
 * then waits for a signal: the transaction stays open until its time is out, or until the next
 * producer with the same id begins. librdkafka alone, none of our code. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, WAIT_MS = 30000 };

static void need(int holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "transact: %s\n", what);
        exit(1);
    }
}

static void check(rd_kafka_error_t *error)
{
    need(error == NULL, error == NULL ? "" : rd_kafka_error_string(error));
}

static rd_kafka_t *producer(const char *brokers, const char *id)
{
    char errstr[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;
    need(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, errstr, sizeof(errstr)) == 0,
         errstr);
    need(rd_kafka_conf_set(conf, "transactional.id", id, errstr, sizeof(errstr)) == 0, errstr);
    /* An open one outlasts a slow test; the usual minute didn't. */
    need(rd_kafka_conf_set(conf, "transaction.timeout.ms", "600000", errstr, sizeof(errstr)) == 0,
         errstr);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
    need(rk != NULL, errstr);
    return rk;
}

static void produce_lines(rd_kafka_t *rk, const char *topic)
{
    char line[LINE_BYTES];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(line, strcspn(line, "\n")),
            RD_KAFKA_V_HEADER("content-type", "application/cloudevents+json", -1), RD_KAFKA_V_END);
        need(error == RD_KAFKA_RESP_ERR_NO_ERROR, rd_kafka_err2str(error));
    }
    need(rd_kafka_flush(rk, WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR, "not stored in time");
}

int main(int argc, char **argv)
{
    rd_kafka_t *rk;
    need(argc == 5, "usage: transact BROKERS TOPIC TRANSACTIONAL-ID commit|abort|open");
    rk = producer(argv[1], argv[3]);
    check(rd_kafka_init_transactions(rk, WAIT_MS));
    check(rd_kafka_begin_transaction(rk));
    produce_lines(rk, argv[2]);
    if (strcmp(argv[4], "commit") == 0) {
        check(rd_kafka_commit_transaction(rk, WAIT_MS));
    } else if (strcmp(argv[4], "abort") == 0) {
        check(rd_kafka_abort_transaction(rk, WAIT_MS));
    } else {
        need(puts("open") >= 0 && fflush(stdout) == 0, "standard output");
        (void)pause();
    }
    rd_kafka_destroy(rk);
    return 0;
}

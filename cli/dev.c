// SPDX-License-Identifier: Apache-2.0
/* `millrace dev`: librdkafka's mock cluster behind a known address. Enough of Kafka for
 * development, the quickstart and tests (groups, committed offsets, headers, idempotent producers),
 * and plainly nothing more: it keeps everything in memory and drops the oldest. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli/commands.h"
#include "cli/relay.h"
#include "kafka/kafka_topics.h"
#include "kit/magic.h"

enum { DEV_MAGIC = 0x64657663, TOPICS_MAX = 64, TOPIC_BYTES_MAX = 249, ERROR_BYTES = 512 };

struct dev_options {
    struct mr_address listen;
    char *topics;
    int64_t partitions;
};

struct dev {
    unsigned magic;
    uv_loop_t loop;
    uv_signal_t on_term;
    uv_signal_t on_int;
    struct relay *relay;
    rd_kafka_t *rk;
    rd_kafka_mock_cluster_t *cluster;
};

static const struct mr_option options[] = {
    {.key = "listen",
     .type = MR_OPTION_ADDRESS,
     .initial = "127.0.0.1:9092",
     .text =
         "Where Kafka clients connect first. They are then sent to another port of 127.0.0.1, so "
         "only clients on this machine can use it.",
     .offset = offsetof(struct dev_options, listen)},
    {.key = "topics",
     .type = MR_OPTION_STRING,
     .initial = "events,events.dead",
     .text = "Topics to make at the start, separated by commas. Others are made when they are "
             "first used.",
     .offset = offsetof(struct dev_options, topics)},
    {.key = "partitions",
     .type = MR_OPTION_INTEGER,
     .initial = "6",
     .min = 1,
     .max = 100,
     .text = "Partitions of each topic.",
     .offset = offsetof(struct dev_options, partitions)},
    MR_OPTION_END,
};

/* Also so that no name commands the terminal when it is shown. */
static void check_options(const void *data, struct mr_check *check)
{
    const struct dev_options *wanted = data;
    const char *at = wanted->topics == NULL ? "" : wanted->topics;
    while (*at != '\0') {
        struct mr_error err;
        size_t len = strcspn(at, ", ");
        if (len > 0 && topics_check_name(mr_slice(at, len), &err) != 0) {
            mr_check_problem(check, NULL, "topics", "%s", err.text);
        }
        at += len;
        at += strspn(at, ", ");
    }
}

static int make_topic(const struct dev *dev, const char *name, int partitions)
{
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(dev->cluster, name, partitions, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "millrace dev: topic '%s': %s\n", name, rd_kafka_err2str(code));
        return 1;
    }
    return 0;
}

static int make_topics(const struct dev *dev, const struct dev_options *wanted)
{
    unsigned count = 0;
    for (const char *at = wanted->topics; *at != '\0';) {
        char name[TOPIC_BYTES_MAX + 1];
        size_t len = strcspn(at, ", ");
        if (len > TOPIC_BYTES_MAX || ++count > TOPICS_MAX) {
            fprintf(stderr, "millrace dev: topics: at most %d names of at most %d characters\n",
                    TOPICS_MAX, TOPIC_BYTES_MAX);
            return 1;
        }
        memcpy(name, at, len);
        name[len] = '\0';
        if (len > 0 && make_topic(dev, name, (int)wanted->partitions) != 0) {
            return 1;
        }
        at += len;
        at += strspn(at, ", ");
    }
    return 0;
}

/* The port in "127.0.0.1:43521". */
static int bootstrap_port(const struct dev *dev, uint16_t *ret_port)
{
    const char *colon = strrchr(rd_kafka_mock_cluster_bootstraps(dev->cluster), ':');
    char *end;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (port == 0 || port > UINT16_MAX) {
        fprintf(stderr, "millrace dev: the mock cluster has no address\n");
        return 1;
    }
    *ret_port = (uint16_t)port;
    return 0;
}

/* Its thread inherits a mask that leaves signals to the loop: it gives up at an interrupted poll,
 * and destroying the cluster would then wait for it for ever. */
static rd_kafka_mock_cluster_t *new_cluster(rd_kafka_t *rk)
{
    sigset_t all, before;
    rd_kafka_mock_cluster_t *cluster;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    cluster = rd_kafka_mock_cluster_new(rk, 1);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cluster;
}

static int start_cluster(struct dev *dev, const struct dev_options *wanted)
{
    char error[ERROR_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    /* The instance only carries the mock cluster; its own warnings about itself are noise. */
    (void)rd_kafka_conf_set(conf, "client.id", "millrace-dev", NULL, 0);
    (void)rd_kafka_conf_set(conf, "log_level", "2", NULL, 0);
    dev->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
    if (dev->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        fprintf(stderr, "millrace dev: %s\n", error);
        return 1;
    }
    dev->cluster = new_cluster(dev->rk);
    if (dev->cluster == NULL) {
        fprintf(stderr, "millrace dev: the mock cluster can't start\n");
        return 1;
    }
    return make_topics(dev, wanted);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct dev *dev;
    (void)signum;
    MAGIC_CAST(dev, handle->data, DEV_MAGIC);
    relay_close(dev->relay);
    uv_close((uv_handle_t *)&dev->on_term, NULL);
    uv_close((uv_handle_t *)&dev->on_int, NULL);
}

static void announce(const struct dev_options *wanted)
{
    printf(
        "millrace dev: Kafka's protocol on %s:%u; topics %s with %lld partitions\n"
        "millrace dev: FOR DEVELOPMENT ONLY. It keeps nothing: all is in memory, the oldest beyond "
        "about\n"
        "              5 MiB a partition is dropped, and everything is gone when it ends "
        "(Ctrl-C).\n",
        wanted->listen.host, (unsigned)wanted->listen.port, wanted->topics,
        (long long)wanted->partitions);
    (void)fflush(stdout);
}

static int serve(struct dev *dev, const struct dev_options *wanted)
{
    struct mr_error err;
    uint16_t port;
    if (bootstrap_port(dev, &port) != 0) {
        return 1;
    }
    if (relay_open(&dev->loop, &wanted->listen, port, &dev->relay, &err) != 0) {
        fprintf(stderr, "millrace dev: %s; choose another address with --listen=ADDRESS:PORT\n",
                err.text);
        (void)uv_run(&dev->loop, UV_RUN_DEFAULT);
        return 1;
    }
    dev->on_term.data = dev->on_int.data = dev;
    (void)uv_signal_init(&dev->loop, &dev->on_term);
    (void)uv_signal_init(&dev->loop, &dev->on_int);
    (void)uv_signal_start(&dev->on_term, on_signal, SIGTERM);
    (void)uv_signal_start(&dev->on_int, on_signal, SIGINT);
    announce(wanted);
    (void)uv_run(&dev->loop, UV_RUN_DEFAULT);
    return 0;
}

static int run(const void *opts, const struct kafka_conf *kafka)
{
    const struct dev_options *wanted = opts;
    struct dev dev = {.magic = DEV_MAGIC};
    int status = 1;
    (void)kafka;

    if (uv_loop_init(&dev.loop) == 0) {
        if (start_cluster(&dev, wanted) == 0) {
            status = serve(&dev, wanted);
        }
        (void)uv_loop_close(&dev.loop);
    }
    if (dev.cluster != NULL) {
        rd_kafka_mock_cluster_destroy(dev.cluster);
    }
    if (dev.rk != NULL) {
        rd_kafka_destroy(dev.rk);
    }
    dev.magic = 0;
    return status;
}

const struct command command_dev = {
    .name = "dev",
    .usage = "[--listen=ADDRESS:PORT] [--topics=NAMES] [--partitions=COUNT]",
    .summary = "run the embedded broker: for development, it keeps nothing",
    .options = options,
    .options_size = sizeof(struct dev_options),
    .check = check_options,
    .run = run,
};

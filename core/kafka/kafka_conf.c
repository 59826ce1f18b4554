// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_conf.h"

#include "kit/slice.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ERRSTR_BYTES = 512,
    PROBLEM_BYTES = 2048,
    PROBLEMS_BYTES_MAX = 64 * 1024,
    FETCH_BYTES = 8 * 1024 * 1024,
};

#define FETCH_BYTES_TEXT "8388608"

struct setting {
    const char *key;
    const char *value;
};

/* clang-format off */
static const struct setting common_defaults[] = {
    {"bootstrap.servers", "127.0.0.1:9092"},
    /* librdkafka's log lines come as events, so that they leave through our log, not stderr. */
    {"log.queue", "true"},
    /* A broker closes idle connections: no news. */
    {"log.connection.close", "false"},
    /* How soon a returning Kafka is noticed. With the default of 10 s, a 2 s message.timeout.ms is
     * reported only after 10 s (measured); with this after 2.5 s. */
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "500"},
    /* Find dead peers behind firewalls that drop idle connections silently. */
    {"socket.keepalive.enable", "true"},
    /* Requests are whole when they are written: waiting for more only adds the peer's delayed ACK. */
    {"socket.nagle.disable", "true"},
    /* A broker's own creation has its default partition count: topics are made by
     * kafka_topics.c with the configured one, or not at all. */
    {"allow.auto.create.topics", "false"},
    {NULL, NULL},
};

static const struct setting producer_defaults[] = {
    {"enable.idempotence", "true"}, /* order and no duplicates across librdkafka's own retries */
    {"acks", "all"},                /* stored = on all in-sync replicas */
    /* A bridge answers within 3 s. librdkafka looks for what has timed out once a second: with
     * 2000 a report came after up to 2.94 s (measured, frozen broker), which left nothing. */
    {"message.timeout.ms", "1800"},
    /* CPU of ours an event at 64 in flight, real broker: 0 ms costs a third more than 1 ms, 2 ms a
     * quarter, 5 ms two thirds (waiting costs wake-ups too, and latency). At 256 it matters less. */
    {"linger.ms", "1"},
    /* Less CPU than none, too: fewer bytes to copy (by a quarter at 64 in flight). */
    {"compression.codec", "lz4"},
    /* The idempotent producer's own limit is 5. When it is reached librdkafka (2.0) doesn't sleep, but
     * polls its socket in a loop until an answer comes, while a partition has events that waited
     * long enough: a poll for each event more at 64 in flight (measured). Below it, it sleeps. */
    {"max.in.flight.requests.per.connection", "4"},
    /* The Java clients' choice: their producers and ours agree on the partition of a key. */
    {"partitioner", "murmur2_random"},
    {NULL, NULL},
};

static const struct setting consumer_defaults[] = {
    {"enable.auto.commit", "false"},       /* the ledger decides what is committed */
    {"enable.auto.offset.store", "false"}, /* and nothing is stored behind its back */
    /* One member's coming or going doesn't stop the partitions that stay where they are. */
    {"partition.assignment.strategy", "cooperative-sticky"},
    /* A killed member's partitions are taken over after 10 s instead of 45 s. Heartbeats come from a
     * thread of librdkafka's own, whatever a worker does; brokers accept 6 s and more. */
    {"session.timeout.ms", "10000"},
    /* Fetched ahead, per partition: so many records, or so much of their values, and at most one
     * answer more, which has so many bytes as they lie in Kafka (packed to a tenth of what they take
     * here, often). The rate is that of ten times as much (measured), since worker_offsets.c has
     * librdkafka look soon whether there is room again. */
    {"queued.min.messages", "1000"},
    {"queued.max.messages.kbytes", "1024"},
    {"fetch.message.max.bytes", "65536"},
    /* A broker answers one fetch at a time: while it waits for news of partitions that are read to
     * their end, those whose queues were full stand still. */
    {"fetch.wait.max.ms", "100"},
    /* Partitions that are added to a topic are read so soon, not after librdkafka's 5 minutes. */
    {"topic.metadata.refresh.interval.ms", "10000"},
    {"fetch.max.bytes", FETCH_BYTES_TEXT}, /* or message.max.bytes: set_fetch_bytes */
    {NULL, NULL},
};

/* As those, where librdkafka knows them. */
static const struct setting consumer_defaults_if_known[] = {
    /* Since 2.2.0. A partition whose queue was full is fetched again this long after there is room;
     * with the default of 1 s, as before 2.2.0, a worker that is quicker than that stands still. */
    {"fetch.queue.backoff.ms", "20"},
    {NULL, NULL},
};

/* What a promise rests on, or what our event loop can't do: key, reason. */
static const struct setting refused[] = {
    {"acks", "millrace acknowledges only what all in-sync replicas have; it can't be changed"},
    {"request.required.acks", "millrace acknowledges only what all in-sync replicas have; it can't be changed"},
    {"enable.idempotence", "millrace always produces idempotently (order, no duplicates); it can't be changed"},
    {"delivery.report.only.error", "without reports of success nothing could ever be acknowledged"},
    {"queuing.strategy", "lifo would break the order of a device's events"},
    {"transactional.id", "millrace does not produce in transactions"},
    {"enable.auto.commit", "offsets are committed only when every record before them is settled; it can't be changed"},
    {"auto.commit.enable", "offsets are committed only when every record before them is settled; it can't be changed"},
    {"auto.commit.interval.ms", "librdkafka's automatic commit is not used; see commit.interval"},
    {"enable.auto.offset.store", "offsets are committed only when every record before them is settled; it can't be changed"},
    {"auto.offset.reset", "start and offset.lost in the program's own section decide"},
    {"enable.partition.eof", "the lag rests on it; it can't be changed"},
    {"allow.auto.create.topics", "topics are created with topic.create, topic.partitions and topic.replication"},
    {"log.queue", "logs go through [log]"},
    {"plugin.library.paths", "plugins are not loaded"},
    {"test.mock.num.brokers", "use `millrace dev` for an embedded broker"},
    {NULL, NULL},
};
/* clang-format on */

/* rd_kafka_conf_properties_show prints "name | C/P | ...". */
static void properties_parse(struct kafka_properties *properties)
{
    char *line = properties->text;
    while (line != NULL && properties->count < KAFKA_PROPERTIES_MAX) {
        char *end = strchr(line, '\n');
        char *bar = strchr(line, '|');
        if (bar != NULL && (end == NULL || bar < end) && strspn(bar + 1, " ") < 8) {
            const char *scope = bar + 1 + strspn(bar + 1, " ");
            if (strchr("*CP", *scope) != NULL && scope[1] == ' ') {
                line[strcspn(line, " |")] = '\0';
                properties->names[properties->count] = line;
                properties->scopes[properties->count++] = *scope;
            }
        }
        line = end == NULL ? NULL : end + 1;
    }
}

void kafka_properties_load(struct kafka_properties *properties)
{
    size_t bytes;
    FILE *stream;
    memset(properties, 0, sizeof *properties);
    stream = open_memstream(&properties->text, &bytes);
    if (stream == NULL) {
        return;
    }
    rd_kafka_conf_properties_show(stream);
    if (fclose(stream) != 0) {
        free(properties->text);
        properties->text = NULL;
    }
    properties_parse(properties);
}

void kafka_properties_free(struct kafka_properties *properties)
{
    free(properties->text);
    memset(properties, 0, sizeof *properties);
}

static char properties_scope(const struct kafka_properties *properties, const char *name)
{
    char scope = '\0';
    for (size_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->names[i], name) == 0) {
            /* Topic properties repeat some names; one that both sides know wins. */
            scope = scope != '\0' && scope != properties->scopes[i] ? '*' : properties->scopes[i];
        }
    }
    return scope;
}

static bool is_for(const struct passthrough *setting, enum kafka_side side)
{
    return strcmp(setting->section, "kafka") == 0 ||
           strcmp(setting->section, side == KAFKA_PRODUCER ? "kafka.producer" : "kafka.consumer") ==
               0;
}

/* A property that this side's instance would only warn about. */
static bool is_other_side(char scope, enum kafka_side side)
{
    return scope == (side == KAFKA_PRODUCER ? 'C' : 'P');
}

static bool is_secret(const char *key)
{
    static const char *const parts[] = {"password", "secret", "key.pem",
                                        "ssl_key",  "jaas",   "oauthbearer.config"};
    for (size_t i = 0; i < MR_COUNT_OF(parts); i++) {
        if (strstr(key, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static const char *refusal(const char *key)
{
    for (const struct setting *row = refused; row->key != NULL; row++) {
        if (strcmp(row->key, key) == 0) {
            return row->value;
        }
    }
    return NULL;
}

/* Some of librdkafka's sentences end with a line break. */
static const char *sentence_of(char *errstr)
{
    errstr[strcspn(errstr, "\n")] = '\0';
    return errstr;
}

/* librdkafka takes these empty, and then never does what they are for. */
static bool must_not_be_empty(const char *key)
{
    static const char *const keys[] = {"bootstrap.servers", "metadata.broker.list", "group.id"};
    for (size_t i = 0; i < MR_COUNT_OF(keys); i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What is wrong with one setting, written to `text`; false: nothing. `scratch` takes the value. */
static bool setting_problem(const struct passthrough *setting,
                            const struct kafka_properties *properties, rd_kafka_conf_t *scratch,
                            struct mr_buf *text)
{
    char errstr[ERRSTR_BYTES] = "";
    const char *reason = refusal(setting->key);
    char hint[OPTIONS_HINT_BYTES];
    const char *nearest;
    rd_kafka_conf_res_t result;
    char scope = properties_scope(properties, setting->key);
    if (reason != NULL) {
        (void)buf_add_str(text, reason);
        return true;
    }
    if (must_not_be_empty(setting->key) && strspn(setting->value, " ,") == strlen(setting->value)) {
        (void)buf_add_str(text, "must not be empty");
        return true;
    }
    if (strcmp(setting->section, "kafka") != 0 &&
        is_other_side(scope, strcmp(setting->section, "kafka.producer") == 0 ? KAFKA_PRODUCER
                                                                             : KAFKA_CONSUMER)) {
        (void)buf_addf(text, "a property of the %s: it belongs into [kafka.%s]",
                       scope == 'C' ? "consumer" : "producer",
                       scope == 'C' ? "consumer" : "producer");
        return true;
    }
    result = rd_kafka_conf_set(scratch, setting->key, setting->value, errstr, sizeof errstr);
    if (result == RD_KAFKA_CONF_OK) {
        return false;
    }
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        nearest = options_nearest(setting->key, properties->names, properties->count);
        (void)buf_addf(text, "librdkafka has no such property%s",
                       options_hint("'", nearest, "'", hint));
    } else if (is_secret(setting->key)) {
        (void)buf_add_str(text, "librdkafka refuses the value (a secret, not shown)");
    } else {
        (void)buf_add_str(text, sentence_of(errstr));
    }
    return true;
}

size_t kafka_conf_check(const struct kafka_conf *conf, struct mr_buf *problems)
{
    struct kafka_properties properties;
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    size_t count = 0;
    kafka_properties_load(&properties);
    for (size_t i = 0; i < conf->count; i++) {
        const struct passthrough *setting = &conf->settings[i];
        struct mr_buf text;
        buf_init(&text, MR_ERROR_TEXT_BYTES);
        if (setting_problem(setting, &properties, scratch, &text)) {
            count++;
            (void)buf_addf(problems, "%s: [%s] %s: %.*s\n", setting->origin, setting->section,
                           setting->key, MR_SLICE_ARG(buf_slice(&text)));
        }
        buf_done(&text);
    }
    rd_kafka_conf_destroy(scratch);
    kafka_properties_free(&properties);
    return count;
}

static void add_lines(struct options *options, struct mr_slice text)
{
    while (text.len > 0) {
        char line[PROBLEM_BYTES];
        struct mr_slice problem = slice_cut(&text, '\n');
        (void)snprintf(line, sizeof line, "%.*s", MR_SLICE_ARG(problem));
        options_add_problem(options, line);
    }
}

size_t kafka_conf_from_options(struct options *options, struct kafka_conf *ret_conf)
{
    struct mr_buf problems;
    struct mr_error err;
    size_t count;
    ret_conf->settings = options_passthrough(options, &ret_conf->count);
    buf_init(&problems, PROBLEMS_BYTES_MAX);
    count = kafka_conf_check(ret_conf, &problems);
    if (buf_check(&problems, &err) != 0) {
        options_add_problem(options, err.text);
    }
    add_lines(options, buf_slice(&problems));
    buf_done(&problems);
    return count;
}

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct mr_error *err)
{
    char errstr[ERRSTR_BYTES] = "";
    if (rd_kafka_conf_set(conf, key, value, errstr, sizeof errstr) == RD_KAFKA_CONF_OK) {
        return 0;
    }
    return mr_error_set(err, MR_ECONFIG, "%s: %s", key,
                        is_secret(key) ? "librdkafka refuses the value" : sentence_of(errstr));
}

static int set_all(rd_kafka_conf_t *conf, const struct setting *settings, struct mr_error *err)
{
    int rc = 0;
    for (const struct setting *row = settings; row->key != NULL && rc == 0; row++) {
        rc = set(conf, row->key, row->value, err);
    }
    return rc;
}

static int set_programs(rd_kafka_conf_t *conf, const struct mr_kafka_default *defaults,
                        struct mr_error *err)
{
    int rc = 0;
    for (; defaults != NULL && defaults->key != NULL && rc == 0; defaults++) {
        rc = set(conf, defaults->key, defaults->value, err);
    }
    return rc;
}

static void set_known(rd_kafka_conf_t *conf, const struct setting *settings)
{
    for (const struct setting *row = settings; row->key != NULL; row++) {
        (void)rd_kafka_conf_set(conf, row->key, row->value, NULL, 0);
    }
}

static int set_users(rd_kafka_conf_t *rk_conf, const struct kafka_conf *conf, enum kafka_side side,
                     struct mr_error *err)
{
    struct kafka_properties properties;
    int rc = 0;
    kafka_properties_load(&properties);
    for (size_t i = 0; i < conf->count && rc == 0; i++) {
        const struct passthrough *setting = &conf->settings[i];
        const char *reason = refusal(setting->key);
        if (!is_for(setting, side)) {
            continue;
        }
        if (reason != NULL) {
            rc = mr_error_set(err, MR_ECONFIG, "%s: [%s] %s: %s", setting->origin, setting->section,
                              setting->key, reason);
        } else if (!is_other_side(properties_scope(&properties, setting->key), side)) {
            rc = set(rk_conf, setting->key, setting->value, err);
            if (rc != 0) {
                (void)mr_error_wrap(err, "%s: [%s]", setting->origin, setting->section);
            }
        }
    }
    kafka_properties_free(&properties);
    return rc;
}

/* The setting that counts, of those that were given; NULL: none. */
static const struct passthrough *given(const struct kafka_conf *conf, enum kafka_side side,
                                       const char *key)
{
    for (size_t i = conf->count; i > 0; i--) {
        const struct passthrough *setting = &conf->settings[i - 1];
        if (is_for(setting, side) && strcmp(setting->key, key) == 0) {
            return setting;
        }
    }
    return NULL;
}

/* librdkafka refuses a message.max.bytes above fetch.max.bytes: our own default for that must not
 * stand in the way of the user's value. */
static int set_fetch_bytes(rd_kafka_conf_t *rk_conf, const struct kafka_conf *conf,
                           struct mr_error *err)
{
    const struct passthrough *message_max = given(conf, KAFKA_CONSUMER, "message.max.bytes");
    if (message_max == NULL || given(conf, KAFKA_CONSUMER, "fetch.max.bytes") != NULL ||
        strtoll(message_max->value, NULL, 0) <= FETCH_BYTES) {
        return 0;
    }
    return set(rk_conf, "fetch.max.bytes", message_max->value, err);
}

int kafka_conf_make(const struct kafka_conf *conf, enum kafka_side side, const char *program,
                    rd_kafka_conf_t **ret_conf, struct mr_error *err)
{
    rd_kafka_conf_t *rk_conf = rd_kafka_conf_new();
    int rc = set_all(rk_conf, common_defaults, err);
    if (rc == 0) {
        rc = set_all(rk_conf, side == KAFKA_PRODUCER ? producer_defaults : consumer_defaults, err);
    }
    if (side == KAFKA_CONSUMER) {
        set_known(rk_conf, consumer_defaults_if_known);
    }
    if (rc == 0) {
        rc = set(rk_conf, "client.id", program, err);
    }
    if (rc == 0 && side == KAFKA_PRODUCER) {
        rc = set_programs(rk_conf, conf->producer_defaults, err);
    }
    if (rc == 0) {
        rc = set_users(rk_conf, conf, side, err);
    }
    if (rc == 0 && side == KAFKA_CONSUMER) {
        rc = set_fetch_bytes(rk_conf, conf, err);
    }
    if (rc != 0) {
        rd_kafka_conf_destroy(rk_conf);
        return rc;
    }
    *ret_conf = rk_conf;
    return 0;
}

int kafka_conf_default(const struct kafka_conf *conf, enum kafka_side side,
                       rd_kafka_conf_t *rk_conf, const char *key, const char *value,
                       struct mr_error *err)
{
    return given(conf, side, key) != NULL ? 0 : set(rk_conf, key, value, err);
}

static bool is_of_a_name(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_';
}

/* Whether a sentence of librdkafka names a property, as it is or by its beginning: it calls
 * max.in.flight.requests.per.connection `max.in.flight`. */
static bool names(const char *sentence, const char *key)
{
    const char *at = sentence;
    while (*at != '\0') {
        size_t len = 0;
        while (is_of_a_name(at[len])) {
            len++;
        }
        /* A full stop ends a sentence too. */
        while (len > 0 && at[len - 1] == '.') {
            len--;
        }
        if (len > 0 && strncmp(at, key, len) == 0 &&
            (key[len] == '\0' || (key[len] == '.' && memchr(at, '.', len) != NULL))) {
            return true;
        }
        at += len > 0 ? len : 1;
    }
    return false;
}

/* Where the user set what librdkafka's sentence is about. What it says of defaults of SASL and TLS
 * begins with security.protocol. */
static void tell(const struct kafka_conf *conf, enum kafka_side side, const char *sentence,
                 struct mr_check *check)
{
    const struct passthrough *security;
    for (size_t i = conf->count; i > 0; i--) {
        const struct passthrough *setting = &conf->settings[i - 1];
        if (is_for(setting, side) && names(sentence, setting->key)) {
            mr_check_problem(check, NULL, NULL, "%s: [%s] %s: %s", setting->origin,
                             setting->section, setting->key, sentence);
            return;
        }
    }
    security = given(conf, side, "security.protocol");
    if (security != NULL && (strstr(sentence, "sasl") != NULL || strstr(sentence, "ssl") != NULL ||
                             strstr(sentence, "SASL") != NULL || strstr(sentence, "SSL") != NULL)) {
        mr_check_problem(check, NULL, NULL, "%s: [%s] security.protocol: %s", security->origin,
                         security->section, sentence);
        return;
    }
    mr_check_problem(check, NULL, NULL, "[kafka]: librdkafka makes no %s of this: %s",
                     side == KAFKA_PRODUCER ? "producer" : "consumer", sentence);
}

void kafka_conf_try(const struct kafka_conf *conf, enum kafka_side side, rd_kafka_conf_t *rk_conf,
                    struct mr_check *check)
{
    char errstr[ERRSTR_BYTES] = "";
    rd_kafka_t *rk;
    /* With no address it has nothing to connect to. */
    (void)rd_kafka_conf_set(rk_conf, "bootstrap.servers", "", NULL, 0);
    rk = rd_kafka_new(side == KAFKA_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, rk_conf,
                      errstr, sizeof errstr);
    if (rk != NULL) {
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        return;
    }
    rd_kafka_conf_destroy(rk_conf);
    tell(conf, side, sentence_of(errstr), check);
}

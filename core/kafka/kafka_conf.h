// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_CONF_H
#define KAFKA_KAFKA_CONF_H

/* From [kafka], [kafka.producer] and [kafka.consumer] to an rd_kafka_conf_t. [kafka] holds for
 * both; a key that only the other side knows is not an error in it. Ours come first (safe and quick
 * defaults), the user's win, except what a promise of millrace rests on (acks, enable.idempotence,
 * enable.auto.commit, enable.auto.offset.store, ...), which is refused with the reason. */

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#include <millrace/error.h>
#include <millrace/producer.h>

#include "base/options.h"

enum kafka_side { KAFKA_PRODUCER, KAFKA_CONSUMER };

/* The user's settings, borrowed from the options, and what the program wants unless the user says
 * otherwise. */
struct kafka_conf {
    const struct passthrough *settings;
    size_t count;
    const struct mr_kafka_default *producer_defaults; /* ends with a NULL key; may be NULL */
};

/* librdkafka's own table of what can be set, as it says it: of this version and this build. */
enum { KAFKA_PROPERTIES_MAX = 512 };
struct kafka_properties {
    char *text;
    size_t count;
    const char *names[KAFKA_PROPERTIES_MAX];
    char scopes[KAFKA_PROPERTIES_MAX]; /* '*', 'C' (consumer) or 'P' (producer) */
};

/* Without memory the table is empty: nothing is known to be of one side only. */
void kafka_properties_load(struct kafka_properties *properties);

/* For struct options_spec: NULL if the table is empty, so that no variable is passed over. */
static inline const char *const *kafka_properties_names(const struct kafka_properties *properties)
{
    return properties->count == 0 ? NULL : properties->names;
}

void kafka_properties_free(struct kafka_properties *properties);

/* Check every setting of both sides against librdkafka, and add a line for each bad one to
 * `problems` (origin, section, key, librdkafka's words; the nearest known key for an unknown one).
 * Values of secrets (*.password, ssl.key.pem, sasl.oauthbearer.*secret*...) don't appear. Returns
 * the number of problems. */
size_t kafka_conf_check(const struct kafka_conf *conf, struct mr_buf *problems);

/* The settings that `options` was given, checked: what is wrong is added to its problems. Returns
 * the number of problems. */
size_t kafka_conf_from_options(struct options *options, struct kafka_conf *ret_conf);

/* A configuration for one instance: defaults, the program's, then the user's. bootstrap.servers is
 * 127.0.0.1:9092 unless given, client.id is `program`. Logs are queued (log.queue), for
 * rd_kafka_set_log_queue. Errors: MR_ECONFIG (the first bad setting), MR_ENOMEM. The caller owns
 * ret_conf (rd_kafka_new takes it). */
int kafka_conf_make(const struct kafka_conf *conf, enum kafka_side side, const char *program,
                    rd_kafka_conf_t **ret_conf, struct mr_error *err);

/* Make an instance of `rk_conf`, which is taken over, and destroy it: librdkafka finds only then
 * what settings say together (linger.ms above message.timeout.ms). Nothing is connected to. The
 * problem names the place of the setting that librdkafka's words name. */
void kafka_conf_try(const struct kafka_conf *conf, enum kafka_side side, rd_kafka_conf_t *rk_conf,
                    struct mr_check *check);

/* Set `key` unless the user has set it for this side (a program's own option that stands for a
 * librdkafka property). Errors: MR_ECONFIG with librdkafka's words. */
int kafka_conf_default(const struct kafka_conf *conf, enum kafka_side side,
                       rd_kafka_conf_t *rk_conf, const char *key, const char *value,
                       struct mr_error *err);

#endif

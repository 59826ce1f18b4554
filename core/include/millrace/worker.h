// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_WORKER_H
#define MILLRACE_WORKER_H

/* The way out of Kafka: a worker is a member of a consumer group. The library reads records, makes
 * CloudEvents of them, and hands them over in batches; the author settles each delivery exactly
 * once:
 *
 *   mr_done    it is stored where it belongs
 *   mr_retry   it failed and may succeed later: counted; dead after `retry.max` attempts. It comes
 *              again after a delay; until it is settled later records of its key wait behind it, in
 *              order, while other keys and records without one go on
 *   mr_wait    the sink is away: not counted; the partition pauses, the program is not ready
 *   mr_dead    it can never succeed: it goes to <topic>.dead, with the reason
 *   mr_skip    a rule says that it is not for us
 *
 * An offset is committed only when every record before it is done, dead-lettered (confirmed by
 * Kafka) or skipped. An attempt after the first begins only when Kafka has confirmed a commit that
 * tells it, so a record is tried at most `retry.max` times, and once more for each kill -9, whoever
 * of the group tries it. What can't be decoded is dead-lettered, a null value skipped, before the
 * author sees it. docs/WORKERS.md has more.
 *
 * An author writes open, batch, close, and a main of one line:
 *     int main(int argc, char **argv) { return mr_worker_main(argc, argv, &spec); } */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/event.h>
#include <millrace/macros.h>
#include <millrace/options.h>

struct mr_worker;
struct mr_batch;    /* records of one partition, in the order of their offsets */
struct mr_delivery; /* one record and its settlement */

struct mr_worker_ops {
    /* Before the first batch. Anything kept is given to mr_worker_set_state. An error ends the
     * program with its text, without close(). May be NULL. */
    int (*open)(struct mr_worker *worker, struct mr_error *err);

    /* A batch; settle its deliveries now or later, in any order, on the worker's loop. Another
     * batch of the same partition comes only after all of them are settled. Its records of one key
     * are handed out together: to fail one and store a later one is to change their order. */
    void (*batch)(struct mr_worker *worker, struct mr_batch *batch);

    /* After the last batch: all deliveries are settled, or the drain's deadline has passed and
     * those that are not settled will be delivered again to another member. None may be settled
     * after it. uv handles may be closed here; the loop runs until they are, at most 5 s: then the
     * process is ended. May be NULL. */
    void (*close)(struct mr_worker *worker);
};

struct mr_worker_spec {
    const char *name;         /* "millrace-influx": program, consumer group and client.id */
    const char *section;      /* "influx": of the program's own options */
    const char *summary;      /* one sentence for --help */
    const char *admin_listen; /* the admin listener's default address; NULL: "127.0.0.1:9103" */
    const struct mr_worker_ops *ops;
    const struct mr_option *options; /* the author's own; NULL: none */
    size_t options_size;             /* of the struct they fill */
    /* What is wrong across options, before anything starts; may be NULL. Called even if single
     * options are wrong: those have their defaults, and a required string may be NULL. */
    void (*check)(const void *options, struct mr_check *check);
};

/* Run to the end: options, group, drain on SIGTERM and SIGINT. Returns the exit status. */
MR_API int mr_worker_main(int argc, char **argv, const struct mr_worker_spec *spec);

/* The author's filled options struct, loop, and state. */
MR_API const void *mr_worker_options(const struct mr_worker *worker);
MR_API uv_loop_t *mr_worker_loop(const struct mr_worker *worker);
MR_API void mr_worker_set_state(struct mr_worker *worker, void *state);
MR_API void *mr_worker_state(const struct mr_worker *worker);

/* A condition of the program's readiness, e.g. "influxdb" (a literal); `reason` is NULL when it
 * holds. */
MR_API void mr_worker_set_ready(struct mr_worker *worker, const char *condition,
                                const char *reason);

/* A batch has at least one delivery and lives until the last of them is settled. */
MR_API size_t mr_batch_count(const struct mr_batch *batch);
MR_API struct mr_delivery *mr_batch_at(struct mr_batch *batch, size_t index); /* NULL: no more */
MR_API const char *mr_batch_topic(const struct mr_batch *batch);
MR_API int32_t mr_batch_partition(const struct mr_batch *batch);

/* A delivery lives until it is settled. Its event is complete (mr_event_check). */
MR_API struct mr_event *mr_delivery_event(struct mr_delivery *delivery);
MR_API int64_t mr_delivery_offset(const struct mr_delivery *delivery);
MR_API int64_t
mr_delivery_timestamp_ms(const struct mr_delivery *delivery); /* of the record; -1: none */
MR_API unsigned mr_delivery_attempt(const struct mr_delivery *delivery); /* 1 at first */
MR_API bool mr_delivery_is_settled(const struct mr_delivery *delivery);

/* Settle; each delivery once, on the worker's loop. Texts are copied.
 * `code` is a short fixed word for metrics and the millrace_dead_reason header ("mapping"); `text`
 * is for people. */
MR_API void mr_done(struct mr_delivery *delivery);
MR_API void mr_retry(struct mr_delivery *delivery, const char *reason);
MR_API void mr_wait(struct mr_delivery *delivery, const char *reason, int64_t after_ms);
MR_API void mr_dead(struct mr_delivery *delivery, const char *code, const char *text);
/* With the sink's own words, for the millrace_dead_server header. */
MR_API void mr_dead_server(struct mr_delivery *delivery, const char *code, const char *text,
                           const char *server);
MR_API void mr_skip(struct mr_delivery *delivery, const char *rule);

/* The same for all deliveries of a batch that aren't settled yet. */
MR_API void mr_batch_done(struct mr_batch *batch);
MR_API void mr_batch_wait(struct mr_batch *batch, const char *reason, int64_t after_ms);

/* The worker loop's own options, in the program's section; table mr_worker_loop_options. */
struct mr_worker_loop_options {
    char *topic; /* topic = events[,more]: names, or a regular expression that begins with ^ */
    char *group; /* group */
    bool topic_create;         /* topic.create */
    int64_t topic_partitions;  /* topic.partitions */
    int64_t topic_replication; /* topic.replication */
    int start;                 /* start = earliest|latest: where a new group begins */
    int offset_lost;           /* offset.lost = earliest|latest: if what is next was deleted */
    int64_t batch_count_max;   /* batch.count */
    int64_t batch_bytes_max;   /* batch.bytes */
    int64_t batch_age_ms;      /* batch.age */
    int64_t pending_count_max; /* pending.count: records held a partition before it pauses */
    int64_t pending_bytes_max; /* pending.bytes */
    int64_t retry_max;         /* retry.max: attempts before a record is dead */
    int64_t retry_delay_ms; /* retry.delay: of the second attempt; doubles up to retry.delay.max */
    int64_t retry_delay_max_ms;
    int64_t retry_pending_max;  /* retry.pending: records that wait for a retry, a partition */
    int64_t commit_interval_ms; /* commit.interval */
    char *dead_topic;           /* dead.topic; NULL: <topic>.dead */
};
MR_API extern const struct mr_option mr_worker_loop_options[];

#endif

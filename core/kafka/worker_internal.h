// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_WORKER_INTERNAL_H
#define KAFKA_WORKER_INTERNAL_H

/* What the files of the worker loop share. Everything runs on the worker's loop.
 *
 *   worker_loop.c       start, stop, and worker_run(): the one place where things are decided
 *   worker_check.c      what a start would be refused, found before
 *   worker_consumer.c   the librdkafka consumer: configuration, queues, errors, the probe
 *   worker_topics.c     which topics, their dead-letter topics, subscribing
 *   worker_partition.c  one partition: records that wait, pausing, making batches
 *   worker_settle.c     what the author calls, and what follows when a batch is over
 *   worker_retry.c      records that are to be tried again, and those of their keys behind them
 *   worker_recall.c     what was tried before this assignment, asked of Kafka
 *   worker_dead.c       dead letters on their way
 *   worker_commit.c     committing the ledgers' prefixes
 *   worker_offsets.c    where the log ends, and positions that Kafka does not have
 *   worker_lag.c        how far behind, and for how long
 *   worker_rebalance.c  partitions come and go
 *
 * Callbacks only note what happened and ask for a run (worker_soon); the run acts on the whole
 * state. So nothing depends on the order in which callbacks come, and an author may settle from
 * anywhere. */

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/log.h>
#include <millrace/metrics.h>

#include "event/kafka_binding.h"
#include "kafka/attempt_table.h"
#include "kafka/dead_letters.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_topics.h"
#include "kafka/ledger.h"
#include "kafka/producer.h"
#include "kafka/worker_loop.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    WORKER_TOPICS_MAX = 16,            /* names in `topic` */
    WORKER_NAME_BYTES_MAX = 1024,      /* of a topic's name with its suffix */
    WORKER_EVENTS_A_RUN_MAX = 2000,    /* records or events taken from one queue in one run */
    WORKER_DEAD_A_PARTITION_MAX = 100, /* dead letters on their way; no more batches meanwhile */
    WORKER_UNCOMMITTED_MAX = 100000,   /* offsets behind one that is not settled, of a partition */
    WORKER_WAIT_MIN_MS = 10,           /* of mr_wait: no spinning */
    WORKER_WAIT_MAX_MS = 24 * 60 * 60 * 1000,
    WORKER_RETRY_BUCKETS = 64, /* a hash table of the keys that have a record to be tried again */
    WORKER_RECALL_TIMEOUT_MS = 3000,
    WORKER_RECALL_AGAIN_MS = 500,    /* before it is asked again */
    WORKER_EVENTS_SPARE_MAX = 10000, /* struct mr_event kept for the next batch */
    WORKER_NET_MS = 1000,            /* a run at least so often, whatever else happens */
    WORKER_MEMORY_RETRY_MS = 100,
    WORKER_COMMIT_WAIT_MS = 5000,  /* for the last commit of a partition */
    WORKER_COMMIT_GRACE_MS = 2000, /* for it, after the deadline of the stop */
    WORKER_COMMIT_AGAIN_MS = 100,  /* before a failed one that is waited for is tried again */
    WORKER_CLOSE_WAIT_MS = 5000,   /* for leaving the group */
    WORKER_CLOSE_GRACE_MS = 1000,  /* for it, after the deadline; the frame gives 5 s for all */
    WORKER_CLOSE_POLL_MS = 10,
    WORKER_REVOKE_WAIT_MAX_MS = 30000, /* or half of max.poll.interval.ms, if that is less */
    WORKER_PROBE_INTERVAL_MS = 5000,
    WORKER_PROBE_TIMEOUT_MS = 3000,
    WORKER_LOST_AGAIN_MS = 1000,  /* before a position is looked for once more */
    WORKER_LOST_WATCH_MS = 100,   /* between two looks at a log that ends before a position */
    WORKER_LOST_PROOF_MS = 10000, /* so long it must stay so to be believed */
    WORKER_LAG_MS = 500,          /* between two looks at the lag */
    WORKER_WAKE_MS = 20,          /* between two wakings of librdkafka */
    WORKER_DEAD_DELAY_MS = 500,   /* before a dead letter is sent again; doubles */
    WORKER_DEAD_DELAY_MAX_MS = 30000,
    WORKER_DEAD_LINES = 8,          /* those with as many tries have the same, the longest, delay */
    WORKER_LOG_INTERVAL_MS = 10000, /* of a line that may repeat */
    WORKER_RECORD_OVERHEAD = 768,   /* bytes held for a record besides what it brings */
    WORKER_REASON_BYTES = 256,
};

/* Held by the partition (waiting or in a batch), or on its way to the dead-letter topic. */
enum delivery_state {
    DELIVERY_PENDING,
    DELIVERY_WAITING, /* to be tried again: for its time, its commit, an earlier one of its key */
    DELIVERY_BEHIND,  /* one of its key that came before it is to be tried again */
    DELIVERY_IN_BATCH,
    DELIVERY_DYING, /* to be sent, or to be sent again at `dead.again_ms` */
    DELIVERY_SENDING,
    DELIVERY_OVER, /* kept only because its batch is not over */
};

/* What the author said, acted upon when the batch is over where it can wait until then. */
enum settlement { SETTLED_NOT, SETTLED_OVER, SETTLED_WAIT, SETTLED_RETRY };

/* One record and its settlement, from its receipt until it is settled. Made in worker_partition.c
 * (partition_receive), ended in worker_settle.c (delivery_free). */
struct mr_delivery {
    unsigned magic;
    enum delivery_state state;
    enum settlement settlement; /* within the present batch */
    unsigned attempt;
    struct partition *partition;
    struct mr_batch *batch;   /* that points to it; NULL while pending and after the batch */
    struct mr_delivery *next; /* of the partition's or the worker's list that it is in */
    rd_kafka_event_t *record; /* owns `message`; NULL: it is over, or dead.copy has it */
    const rd_kafka_message_t *message;
    struct kafka_record original; /* key and value are the message's, the headers our own */
    int64_t offset;
    int64_t timestamp_ms;   /* of the record; -1: none */
    struct mr_event *event; /* while in a batch */
    int64_t event_ns;       /* the event's own time, if it has one */
    bool has_event_time;
    size_t bytes;       /* key and value */
    size_t held_bytes;  /* what memory counts: with headers and overhead */
    int64_t arrived_ms; /* loop time */
    int64_t first_ms;   /* wall clock of the first attempt here; 0: none yet */
    struct {
        struct mr_delivery *previous; /* of the partition's `retries.first` */
        struct mr_delivery *next;
        struct mr_delivery *previous_of_hash; /* of the partition's `retries.by_key` */
        struct mr_delivery *next_of_hash;
        uint32_t hash;      /* of its key; 0: not computed yet */
        bool listed;        /* it has failed, and is not settled */
        bool is_open;       /* and will be tried again: later ones of its key wait */
        bool was_settled;   /* before this assignment */
        unsigned sent;      /* the attempt that the last commit told; 0: none */
        unsigned confirmed; /* the one that Kafka has confirmed */
        int64_t again_ms;   /* loop time */
    } retry;
    struct {
        struct mr_send send;
        char *code;
        char *text;
        char *server;     /* the sink's own words; NULL: none */
        int64_t last_ms;  /* wall clock of the last attempt */
        int64_t again_ms; /* loop time */
        unsigned tries;
        struct kafka_record *copy; /* NULL: there was no memory for one */
        bool alone; /* Kafka refused it, or another with it, as too large: to be sent by itself */
        bool rejected; /* Kafka did not take it whole: cut to the least */
    } dead;
    struct kafka_header headers[]; /* of `original`, with their bytes */
};

struct mr_batch {
    unsigned magic;
    struct partition *partition;
    struct mr_batch *next; /* in worker->over */
    size_t count;
    size_t unsettled;
    uint64_t began_ns; /* uv_hrtime when it was handed over */
    bool has_done;
    bool has_wait;
    int64_t hold_ms; /* how long the partition waits afterwards */
    char reason[WORKER_REASON_BYTES];
    struct mr_delivery *deliveries[];
};

enum partition_state {
    PARTITION_ACTIVE,
    PARTITION_DRAINING, /* to be given up: nothing new, what is in hand may be settled */
    PARTITION_ORPHAN,   /* given up: settlements are heard and change nothing */
};

struct partition_metrics {
    struct mr_series *received;
    struct mr_series *done;
    struct mr_series *dead;
    struct mr_series *skipped;
    struct mr_series *given_up;
    struct mr_series *in_flight;
    struct mr_series *pending;
    struct mr_series *retries_pending;
    struct mr_series *retries;
    struct mr_series *paused;
    struct mr_series *committed;
    struct mr_series *missed;
    struct mr_series *oldest;
    struct mr_series *lag; /* NULL: not known yet, not shown */
    struct mr_series *freshness;
    struct mr_series *batch_seconds;
};

/* What was tried before this assignment: no record is taken before it is known. */
enum recall_state { RECALL_NEEDED, RECALL_ASKED, RECALL_DONE };

/* Records of a partition that have failed, and what waits because of them. */
struct retries {
    struct mr_delivery *first; /* failed and not settled, by offset */
    struct mr_delivery *last;
    struct retry_bucket {
        struct mr_delivery *first; /* by offset */
        struct mr_delivery *last;
    } by_key[WORKER_RETRY_BUCKETS]; /* the open ones that have a key */
    size_t open;                    /* those that will be tried again */
    size_t waiting;                 /* of them DELIVERY_WAITING */
    struct mr_delivery *behind;     /* DELIVERY_BEHIND, by offset */
    struct mr_delivery *behind_last;
    size_t behind_count;
    bool behind_may_go_on; /* some of them: a record of their key is open no more */
    /* Records that are not here: to be received yet, given up, or settled behind one that is not
     * (if that is read again, so are they). */
    struct attempt_table kept;
    uint64_t version; /* of what a commit tells */
    uint64_t sent;
    uint64_t confirmed;
};

/* A partition of one assignment; if it comes back, or its topic begins anew, it comes as another
 * one. */
struct partition {
    unsigned magic;
    enum partition_state state;
    struct mr_worker *worker;
    struct partition *next;
    char *topic;
    int32_t number;
    rd_kafka_queue_t *queue;   /* its records; NULL: given up */
    rd_kafka_event_t *stalled; /* a record there was no memory for */
    const rd_kafka_message_t *stalled_message;
    struct {
        size_t count; /* taken from the queue since it was empty */
        size_t bytes;
        bool was_full; /* and read from since: librdkafka is to look at it again */
    } fetched;
    struct ledger ledger;
    struct retries retries;
    enum recall_state recall;
    bool is_added;             /* after the group had begun to read its topic; or with it anew */
    struct mr_delivery *first; /* pending, by offset */
    struct mr_delivery *last;
    size_t pending_count;
    size_t pending_bytes; /* keys and values */
    size_t held_count;    /* all but settled ones: what memory is bounded by */
    size_t held_bytes;    /* with headers and overhead */
    bool refused;         /* reading it is not allowed; nothing has been read since */
    bool gone;            /* Kafka had no such partition at gone_ms: perhaps it comes back anew */
    int64_t gone_ms;
    bool waiting; /* the sink is away */
    char wait_reason[WORKER_REASON_BYTES];
    int64_t hold_until_ms;
    struct mr_batch *batch; /* in flight */
    size_t dying;           /* dead letters not confirmed */
    size_t sending;         /* of them with the producer */
    uint64_t commit_serial; /* of the last commit that it was part of */
    int64_t start;          /* where it was told to begin; RD_KAFKA_OFFSET_INVALID: as committed */
    int64_t end;            /* of what may be read now; -1: not known */
    int64_t newest_ms;      /* the latest time of a record that has come; -1: none */
    struct {
        bool is;        /* nothing comes until we have said where to go on */
        int64_t offset; /* that Kafka doesn't have; RD_KAFKA_OFFSET_INVALID: none is committed;
                           RD_KAFKA_OFFSET_STORED: what is committed isn't known */
        int64_t due_ms;
        int64_t since_ms; /* of the first refusal since something was read; 0: none */
        int64_t end;      /* of the log when it was first looked at since then; -1: not yet */
        bool untold;      /* Kafka did not say what is committed; nothing has come since */
    } lost;
    struct partition_metrics metrics;
};

enum worker_phase {
    WORKER_RUNNING,
    WORKER_DRAINING,   /* batches in hand are being settled */
    WORKER_COMMITTING, /* the last commit is awaited */
    WORKER_CLOSING,    /* the consumer leaves the group */
    WORKER_ENDING,     /* handles and threads are being given back */
};

enum rebalance_step { REBALANCE_NONE, REBALANCE_DRAIN, REBALANCE_COMMIT };

struct mr_worker {
    unsigned magic;
    enum worker_phase phase;
    uv_loop_t *loop;
    struct worker_loop_spec spec;
    void *author_state;
    char *group;

    rd_kafka_t *rk;
    rd_kafka_queue_t *events;  /* the consumer's queue: rebalances, errors */
    rd_kafka_queue_t *answers; /* commits, logs; rebalances while closing */
    int64_t max_poll_interval_ms;
    size_t fetched_count_max; /* a partition's queue is full with so many records */
    size_t fetched_bytes_max; /* or with such values */
    int event_fd;
    uv_poll_t poll;
    uv_timer_t timer;
    bool is_running; /* inside worker_run */
    int64_t next_ms; /* loop time of the next run */
    struct {
        int64_t ns;    /* wall clock, read at ... */
        int64_t at_ms; /* loop time */
    } wall;
    unsigned handles;

    struct {
        char *names[WORKER_TOPICS_MAX];
        size_t count;
        bool is_regex;
        bool subscribed;
        bool trouble;          /* an error has said so since */
        bool some_went;        /* one was deleted, of ours or not */
        struct topics *ensure; /* looking for the names and their dead-letter topics */
        bool ensured;          /* they are there */
        bool stopping;         /* `ensure` is */
        rd_kafka_topic_partition_list_t *gone; /* topics that were, while we read them; or NULL */
    } topics;

    struct partition *partitions;
    struct partition *orphans;
    struct mr_batch *over; /* batches whose last delivery is settled */
    struct mr_event *spare[WORKER_EVENTS_SPARE_MAX];
    size_t spare_count;
    struct kafka_message_headers headers; /* of the record at hand */

    struct {
        bool in_flight;
        bool urgent;     /* somebody waits for it: before due_ms, but not before again_ms */
        bool was_urgent; /* the one in flight */
        bool refused;    /* since commit_now, in a way that trying again won't mend */
        uint64_t serial;
        int64_t due_ms;
        int64_t again_ms;
    } commit;

    struct {
        uv_work_t work;
        bool under_way;
        bool as_member;                        /* the other way has failed just now */
        rd_kafka_topic_partition_list_t *list; /* the pool's thread's; NULL: it has none */
        rd_kafka_resp_err_t error;             /* the same */
        int64_t due_ms;
    } recall;

    struct {
        rd_kafka_event_t *events[8]; /* the first is being dealt with */
        size_t count;
        enum rebalance_step step;
        int64_t deadline_ms;
        bool joins_again;         /* after the assignment that follows */
        int64_t joining_until_ms; /* the group hasn't answered; so long it waits for others */
    } rebalance;

    struct {
        struct mr_producer *producer;
        struct mr_port *port;
        struct mr_producer_options options;
        char *topic;
        size_t bytes_max;
        struct dead_writer writer;
        struct dead_line { /* to be sent, in the order of their time */
            struct mr_delivery *first;
            struct mr_delivery *last;
        } lines[WORKER_DEAD_LINES]; /* by the tries before; the last is of all with more */
        size_t waiting;             /* in all of them */
        size_t sending;
        size_t sending_bytes; /* as memory counts them */
        bool is_alone;        /* the one that is being sent */
        bool refused;         /* the readiness condition is false */
        bool abandoned;
    } dead;

    struct {
        uv_work_t work;
        bool under_way;
        rd_kafka_resp_err_t error;                /* the pool's thread's, while under way */
        const struct rd_kafka_metadata *metadata; /* the same */
        int64_t began_ms;
        int64_t due_ms;
    } probe;
    struct {
        uv_work_t work;
        bool under_way;
        rd_kafka_resp_err_t error; /* the pool's thread's, while under way, as the lists */
        rd_kafka_topic_partition_list_t *ends;
        rd_kafka_topic_partition_list_t *begins;  /* of those that are lost */
        rd_kafka_topic_partition_list_t *younger; /* theirs: the first record after newest_ms */
        int64_t proof_ms;                         /* WORKER_LOST_PROOF_MS */
        int64_t due_ms;                           /* for partitions that aren't being read */
        int64_t wake_ms;                          /* for those whose queue was full */
    } offsets;
    int64_t lag_due_ms;
    bool kafka_is_well;
    bool fatal;
    bool was_assigned; /* ever */

    struct {
        int64_t deadline_ms;
        int64_t step_began_ms;
        bool close_failed;
        uv_work_t destroy;
        bool destroying;
        bool keeps_consumer; /* it can't be destroyed */
        bool port_closing;
        bool producer_closing;
        bool handles_closing;
        void (*stopped)(void *user);
        void *user;
    } stop;
};

enum {
    WORKER_MAGIC = 0x6d72776b,
    PARTITION_MAGIC = 0x6d727074,
    BATCH_MAGIC = 0x6d726261,
    DELIVERY_MAGIC = 0x6d72646c,
};

/* worker_loop.c */
int64_t worker_now_ms(const struct mr_worker *worker);
/* The wall clock as it was when the loop began its turn, or a little later: for what is noted of
 * each record. */
int64_t worker_wall_ns(struct mr_worker *worker);
int64_t worker_wall_ms(struct mr_worker *worker);
void worker_soon(struct mr_worker *worker);
void worker_at(struct mr_worker *worker, int64_t at_ms); /* within a run */

/* worker_consumer.c */
int consumer_open(struct mr_worker *worker, struct mr_error *err);
/* As worker_loop_check, the librdkafka consumer's part. */
void consumer_check(const struct worker_loop_spec *spec, struct mr_check *check);
void consumer_drain(struct mr_worker *worker); /* all queues but the partitions' */
/* Watch a partition's own queue, and stop it. Without memory for the handle librdkafka ends. */
void consumer_open_queue(struct partition *partition);
void consumer_close_queue(struct partition *partition);
/* Take records of the partition while there is room for them. Returns the partition, or the one
 * that has taken its place. */
struct partition *consumer_read(struct partition *partition);
void consumer_probe(struct mr_worker *worker);
void consumer_destroy(struct mr_worker *worker); /* blocking; any thread */

/* worker_topics.c */
int worker_topics_parse(struct mr_worker *worker, struct mr_error *err);
bool worker_topics_are_regex(const struct mr_worker_loop_options *options);
/* As worker_loop_check, what stands in `topic` and `dead.topic`. */
void worker_topics_check(const struct mr_worker_loop_options *options, struct mr_check *check);
void worker_topics_free(struct mr_worker *worker);
void worker_topics_run(struct mr_worker *worker);
/* A topic that we read has been deleted; what comes under its name is read from its beginning. */
void worker_topics_note_gone(struct mr_worker *worker, const char *topic);
bool worker_topics_was_gone(const struct mr_worker *worker, const char *topic);
bool worker_topics_stop(struct mr_worker *worker); /* true: nothing is under way */
/* "<topic>.dead" or dead.topic, in `buf` (cleared first). Errors: MR_ENOMEM. */
int worker_dead_topic(const struct mr_worker *worker, const char *topic, struct mr_buf *buf);

/* worker_partition.c */
/* The one that is there already, or a new one. NULL: out of memory. */
struct partition *partition_open(struct mr_worker *worker, const char *topic, int32_t number);
struct partition *partition_find(struct mr_worker *worker, const char *topic, int32_t number);
/* No more may be in memory: reading pauses, what comes waits in librdkafka's queue. */
bool partition_is_full(const struct partition *partition);
/* Takes `record` over. Another partition may take the place of this one (its offsets begin anew),
 * and be returned in it, also when it fails. Errors: MR_ENOMEM: the record stays the caller's, to
 * be offered again. */
int partition_receive(struct partition **partition, rd_kafka_event_t *record,
                      const rd_kafka_message_t *message);
/* Pending again, in the order of the offsets, at `at` (&partition->first, or what this returned for
 * a lower offset) or behind it. */
struct mr_delivery **partition_put_back(struct partition *partition, struct mr_delivery **at,
                                        struct mr_delivery *delivery);
void partition_run(struct partition *partition);
void partition_drain(struct partition *partition); /* no more batches; drop what waits */
bool partition_is_drained(const struct partition *partition);
void partition_give_up(struct partition *partition);
/* As partition_renew, because `offset` comes next, which is not above all that came before. */
struct partition *partition_begin_anew(struct partition *partition, int64_t offset);
/* The same partition with new books; the old ones are given up. NULL: out of memory, no change. */
struct partition *partition_renew(struct partition *partition);
void partition_reap(struct partition *partition); /* free it if it is an orphan in no use */
void partition_tell(struct partition *partition); /* its gauges */
/* In a batch or dying. */
size_t partition_in_flight(const struct partition *partition);
/* It no longer counts for the partition's memory. */
void partition_release(struct partition *partition, struct mr_delivery *delivery);

/* worker_offsets.c */
/* What comes on a partition's queue besides records: that its end is reached, or that there is no
 * such offset. Takes `event` over and returns true if it is one of these. As partition_receive,
 * another partition may take the place of this one. */
bool offsets_take(struct partition **partition, rd_kafka_event_t *event);
/* Kafka did not say what is committed of the partitions that are new: they ask again. */
void offsets_untold(struct mr_worker *worker);
/* A record has come, or its end: it has a position. */
void offsets_heard(struct partition *partition);
struct offsets_log {
    int64_t begin, end; /* it has `begin` to `end` - 1 */
    int64_t younger;    /* its first record later than any that was read; -1: none, or not known */
};
/* Kafka has refused the offset `lost`. A broker that was cut off and comes back refuses what other
 * brokers took in meanwhile, until it learns that it is not the leader any more: so the end of a
 * log that lies before `lost` is believed only once it `is_proven`, by time or because that log
 * grows; and a log that has
 * `lost` after all is the one that was read, unless a younger record lies before that. Returns
 * false if it isn't known yet, otherwise where to go on (`lost`: as if nothing had happened).
 * `ret_missed`: how many offsets are never read because of it. Pure. */
bool offsets_go_on(enum worker_from from, int64_t lost, const struct offsets_log *log,
                   bool is_proven, int64_t *ret_next, int64_t *ret_missed);
/* Part of a run: says where partitions go on that have no position, and asks Kafka (in the pool,
 * one question at a time) where the logs of those begin and end, and of those that are full. The
 * answer asks for another run. Does nothing while a rebalance is under way, or the end. */
void offsets_run(struct mr_worker *worker);

/* worker_lag.c */
/* The partition's series begin, and end with it; only worker_metrics.c calls these two. */
void lag_open(struct partition *partition);
void lag_close(struct partition *partition);
void lag_run(struct mr_worker *worker); /* the gauges, every WORKER_LAG_MS; part of a run */
/* So many offsets are passed over unread. */
void lag_missed(struct partition *partition, uint64_t records);
/* Its event has just been read: when was that? Asked now, since when it is done, as many records
 * later as a batch has, the event's memory is cold. */
void lag_read(struct mr_delivery *delivery);
/* It is done: how old its event is; one without a time isn't counted. */
void lag_stored(struct mr_delivery *delivery);
void lag_batch_over(struct mr_batch *batch); /* its last delivery is settled: how long it took */

/* worker_metrics.c */
void worker_metrics_open(struct partition *partition);
void worker_metrics_close(struct partition *partition);
void worker_metrics_batch(struct partition *partition, size_t count);
void worker_metrics_dead(struct partition *partition, const char *code);
void worker_metrics_commit_failed(const struct mr_worker *worker);

/* worker_settle.c */
void delivery_free(struct mr_delivery *delivery);
void delivery_release_event(struct mr_delivery *delivery);
void delivery_release_record(struct mr_delivery *delivery);
/* The record is settled for good: books, metrics, memory. */
void delivery_settle(struct mr_delivery *delivery, struct mr_series *outcome);
void worker_end_batches(struct mr_worker *worker);
void worker_tell_sink(struct mr_worker *worker);
void batch_free(struct mr_batch *batch);
void batch_drop(struct mr_batch *batch); /* of an orphan, settled or not */

/* worker_retry.c */
/* The author wants another attempt; the record still is in its batch. */
void retry_note(struct mr_delivery *delivery);
void retry_wait(struct mr_delivery *delivery); /* and now its batch is over */
/* Received, and nothing since the offset `received`: it may have been tried before. */
void retry_recall(struct mr_delivery *delivery, int64_t received);
/* It won't be tried again; until it is settled commits go on telling its attempt. */
void retry_close(struct mr_delivery *delivery);
void retry_settle(struct mr_delivery *delivery);  /* its ledger knows already */
void retry_forget(struct mr_delivery *delivery);  /* it is freed */
void retry_give_up(struct mr_delivery *delivery); /* for another member to go on with */
/* One of its key that came before it is open. */
bool retry_is_behind(struct mr_delivery *delivery);
void retry_put_behind(struct mr_delivery *delivery); /* that is in no list of the partition's */
/* So many are open that this one, which is not tried yet, must stay pending. */
bool retry_refuses(const struct partition *partition, const struct mr_delivery *delivery);
void retry_run(struct partition *partition);
void retry_drop(struct partition *partition); /* what is waiting or behind */
/* What the commit that is being made is to tell; Kafka has it. */
void retry_tell(struct partition *partition, struct attempt_table *ret_table);
void retry_confirmed(struct partition *partition);
bool retry_is_untold(const struct partition *partition); /* there is something to tell */

/* worker_recall.c */
/* Part of a run: asks Kafka for what is committed of the partitions that are RECALL_NEEDED, one
 * question at a time; they are RECALL_ASKED then. The answer comes to worker->answers. */
void recall_run(struct mr_worker *worker);
/* That answer, which stays the caller's. A partition it tells of is RECALL_DONE, with its attempts
 * in `retries.kept`; one it doesn't is asked for again after WORKER_RECALL_AGAIN_MS; one that came
 * after the question is left alone. */
void recall_answered(struct mr_worker *worker, rd_kafka_event_t *answer);

/* worker_dead.c */
/* Not in a batch, or just settled there. */
void dead_begin(struct mr_delivery *delivery, const char *code, const char *text,
                const char *server);
void dead_run(struct mr_worker *worker);
void dead_drop(struct partition *partition); /* what waits to be sent again */
bool dead_stop(struct mr_worker *worker);    /* true: nothing is left of the producer */

/* worker_commit.c */
void commit_run(struct mr_worker *worker);
void commit_answered(struct mr_worker *worker, rd_kafka_event_t *answer);
void commit_now(struct mr_worker *worker);
void commit_soon(struct mr_worker *worker); /* not in vain again and again */
bool commit_is_owed(const struct partition *partition);
void commit_calmly(struct mr_worker *worker); /* nobody waits for it any more */

/* worker_rebalance.c */
void rebalance_add(struct mr_worker *worker, rd_kafka_event_t *event); /* takes it over */
void rebalance_run(struct mr_worker *worker);
/* Partitions that were gone are back: read them from what is committed now. */
void rebalance_reopen(struct mr_worker *worker, const struct rd_kafka_metadata *metadata);
void rebalance_finish(struct mr_worker *worker);               /* whatever is under way, at once */
bool rebalance_is_cooperative(const struct mr_worker *worker); /* known once the group answers */

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_JOB_H
#define INFLUX_JOB_H

/* A batch on its way: its events become the lines of a request, and its deliveries are settled by
 * the answer. Which job is at work when is the writer's business. */

#include <millrace/metrics.h>
#include <millrace/worker.h>

#include "consumers/influx/gzip.h"
#include "consumers/influx/influx_options.h"
#include "consumers/influx/mapping.h"
#include "consumers/influx/salvage.h"
#include "consumers/influx/series_guard.h"
#include "kit/buf.h"

enum { JOB_MAGIC = 0x574a4f42 };

/* What all jobs of a writer share. */
struct job_tools {
    const struct influx_options *options;
    struct mapping_rules *rules;
    struct mapping *mapping;
    bool is_gzip;     /* as the options say */
    struct gzip gzip; /* if it is */
    struct series_guard guard;
    struct salvage_hints hints;
    struct mr_buf lines;   /* of the request that is being made */
    struct mr_buf guarded; /* an event's lines that the guard has changed */
    size_t bytes_max;      /* of a request: request.bytes, less after a 413, then growing again */
    struct mr_series *points;
    struct mr_series *late;
    struct mr_series *over_tags;
    struct mr_series *over_names;
    struct mr_series *over_memory; /* the guard's */
    struct mr_series *salvage_requests;
};

/* Errors: MR_ENOMEM, MR_ECONFIG (the rules of the mapping). */
int job_tools_init(struct job_tools *tools, const struct influx_options *options,
                   struct mr_error *err);
void job_tools_done(struct job_tools *tools);

struct job {
    unsigned magic;
    void *owner;
    struct job_tools *tools;
    struct job *next;            /* in line */
    struct job *next_of_request; /* whose lines follow in the same request; NULL: none */
    bool is_alone;               /* shares no request: one that it shared was refused */
    struct mr_batch *batch;
    size_t begin;        /* of the batch: the first in the present request */
    size_t at;           /* the next to become lines */
    size_t count;        /* of the batch */
    size_t counted_cuts; /* of the batch: those before it, whose lines may be made several times */
    /* Of the present request, or of what is being salvaged. */
    struct mr_delivery **deliveries;
    struct salvage_unit *units; /* the lines of each delivery */
    size_t unit_count;
    size_t unit_capacity;
    size_t made_bytes; /* of lines, by the last job_make */
    bool has_suspects;
    bool wants_salvage; /* was refused, or has suspects: begins when there is room for its lines */
    size_t salvage_bytes; /* how many they are */
    bool is_salvaging;    /* `text` and `salvage` are alive */
    struct mr_buf body;   /* as it is sent: lines, or compressed ones */
    struct mr_buf text;
    struct salvage salvage;
};

/* Errors: NULL when out of memory. */
struct job *job_new(struct job_tools *tools, void *owner);
void job_free(struct job *job);
void job_take(struct job *job, struct mr_batch *batch);

/* The lines of the next request, in tools->lines; what can't become one is dead or skipped. With
 * unit_count 0 there is none: the batch is over, and may be gone. Errors: MR_ENOMEM. */
int job_make(struct job *job);

/* The same, behind the lines that are there: several jobs share a request. With unit_count 0 there
 * was no room, unless `at` is `count`: then the batch is over. After an error the lines are as they
 * were. Errors: MR_ENOMEM. */
int job_make_more(struct job *job);

/* Forget the lines; the same events come again with job_make. */
void job_unmake(struct job *job);

/* `body` is made of tools->lines, which are spent by that. Errors: MR_ENOMEM, MR_ELIMIT. */
int job_make_body(struct job *job);

/* After job_make. Errors: MR_ENOMEM. */
int job_begin_salvage(struct job *job);

/* tools->lines are those of the salvage's present part. Errors: MR_ENOMEM. */
int job_make_part(struct job *job);

void job_end_salvage(struct job *job);

/* The request, or the salvage's present part, was stored. */
void job_stored(struct job *job);

/* The units of the salvage's present part are all bad. */
void job_dead(struct job *job, const struct influx_refusal *refusal, const char *reason);

/* 413 to the job's request: make smaller ones. */
void job_tools_too_large(struct job_tools *tools, const struct job *job);

#endif

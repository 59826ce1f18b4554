// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_RETRY_FIXTURE_H
#define TESTS_LIB_RETRY_FIXTURE_H

/* One scripted worker and one partition, for what becomes of records that are to be tried again. */
#include "lib/scripted_worker.h"

enum { OFFSETS = 1000, TIMES_MAX = 16, HOUR_MS = 60 * 60 * 1000, SHORT_MS = 10 };

/* fails: how many of a record's first attempts the author fails, by offset; handed: what was
 * handed out, in order. */
extern struct mock_kafka retry_mock;
extern struct scripted_worker retry_one;
extern uv_loop_t retry_loop;
extern unsigned retry_fails[OFFSETS];
extern int64_t retry_handed[OFFSETS * TIMES_MAX];
extern size_t retry_handed_count;
extern size_t retry_settled_count;

/* The fixture of each case; and what the author does, what is produced and awaited. Awaiting
 * looks at the books all the time. */
int64_t retry_gauge(const char *name);
void retry_assert_balance(void);
void retry_fail_or_settle(struct scripted_worker *scripted, struct mr_batch *batch);
void retry_produce(const char *key, int first);
void retry_produce_keys(const char *keys);
void retry_await_handed(size_t count);
void retry_await_commit(int64_t offset);
void retry_assert_handed(size_t count, const int64_t *expected);
void retry_set_delay(int64_t ms);
void retry_start_slowly(void);
void retry_let_go(void);
int retry_set_up(void **state);
int retry_tear_down(void **state);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_BRIDGE_FIXTURE_H
#define TESTS_LIB_BRIDGE_FIXTURE_H

/* The program millrace-http, ready, in front of the mock cluster with the topic "events". */

#include <stdint.h>

#include "lib/mock_kafka.h"
#include "lib/raw_client.h"
#include "lib/spawned.h"

#define BRIDGE_PROGRAM TEST_BUILD_DIR "/bridge/millrace-http"

/* An answer comes within answer.timeout, 2.75 s; a loaded machine has some more. One that waits for
 * it twice, or for Kafka, is later. */
enum { ANSWER_S = 5 };

struct bridge_fixture {
    struct mock_kafka mock;
    struct spawned child;
    uint16_t port; /* bridge_start_tls: with TLS, and there is no other */
    uint16_t admin;
};

/* `extra` are further flags, and ends with NULL. */
void bridge_start_at(struct bridge_fixture *f, const char *program, const char *const *extra);
#define bridge_start(f, extra) bridge_start_at((f), BRIDGE_PROGRAM, (extra))
extern const char *const bridge_no_more[];

/* With TLS alone; `extra` name the files. */
void bridge_start_tls_at(struct bridge_fixture *f, const char *program, const char *const *extra);
#define bridge_start_tls(f, extra) bridge_start_tls_at((f), BRIDGE_PROGRAM, (extra))

/* With this RLIMIT_NOFILE. */
void bridge_start_limited_at(struct bridge_fixture *f, const char *program,
                             const char *const *extra, const struct rlimit *descriptors);
#define bridge_start_limited(f, extra, descriptors) \
    bridge_start_limited_at((f), BRIDGE_PROGRAM, (extra), (descriptors))

/* SIGTERM; it must end with status 0. */
void bridge_stop(struct bridge_fixture *f);

/* A POST; `headers` are lines that end with CRLF. */
void bridge_put_event(int fd, const char *target, const char *headers, const char *body);

/* The sample of a metric at /metrics; -1: not there. */
long bridge_metric(const struct bridge_fixture *f, const char *sample);

/* One of the records is about `subject`, and it comes from these (`gateway` NULL: from none). */
void bridge_assert_sender(const struct mock_records *records, const char *subject,
                          const char *application, const char *device, const char *gateway);

#endif

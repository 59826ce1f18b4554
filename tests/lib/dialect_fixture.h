// SPDX-License-Identifier: Apache-2.0
#ifndef TESTS_LIB_DIALECT_FIXTURE_H
#define TESTS_LIB_DIALECT_FIXTURE_H

/* Requests as text in, events out. */
#include "bridge/http/dialects/dialect.h"
#include "net/http_reader.h"

struct dialect_fixture {
    const struct dialect *dialect;
    struct identity identity; /* as whom the next requests come */
    struct http_reader reader;
    struct mr_event *event;
    struct refusal refusal;
    int rc;
};

/* Read one request, whose path must be the dialect's. `headers` is further header lines; `body` may
 * be NULL. Each call is ended by dialect_done. */
void dialect_request(struct dialect_fixture *f, const char *method, const char *target,
                     const char *headers, const char *body);
void dialect_request_bytes(struct dialect_fixture *f, const char *method, const char *target,
                           const char *headers, struct mr_slice body);
void dialect_read_again(struct dialect_fixture *f);
struct dialect_request dialect_request_of(const struct dialect_fixture *f);
void dialect_done(struct dialect_fixture *f);

/* POST; it must become an event, which is completed. */
void dialect_accept(struct dialect_fixture *f, const char *target, const char *headers,
                    const char *body);

/* POST; it must be refused with this status, and a detail that has `detail` in it. */
void dialect_refuse(struct dialect_fixture *f, int status, const char *detail, const char *target,
                    const char *headers, const char *body);

/* POST; it must be understood and not become an event. */
void dialect_not_stored(struct dialect_fixture *f, const char *target, const char *body);

/* These end with dialect_done. A list ends with a target NULL. */
struct dialect_refused {
    const char *target;
    const char *headers;
    const char *body;
    int status;
    const char *named; /* the detail says which part is wrong */
};
void dialect_refuse_each(struct dialect_fixture *f, const struct dialect_refused *cases);

/* Each other method is refused with this Allow, which OPTIONS is answered with. */
void dialect_allow_only(struct dialect_fixture *f, const char *target, const char *allow);

/* POST, which must become an event, as often as it allocates memory: each time another allocation
 * fails, which must be a 503. At least `least` must. */
void dialect_run_out_of_memory(struct dialect_fixture *f, const char *target, const char *headers,
                               const char *body, unsigned least);

/* A file of at most 64 KiB, terminated; free() it. */
char *dialect_read_file(const char *path);

/* `expected` NULL: it must be absent. */
void dialect_assert(const struct dialect_fixture *f, const char *name, const char *expected);
void dialect_assert_integer(const struct dialect_fixture *f, const char *name, int32_t expected);
void dialect_assert_true(const struct dialect_fixture *f, const char *name);
void dialect_assert_absent(const struct dialect_fixture *f, const char *name);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_READINESS_H
#define BASE_READINESS_H

/* Ready = can do its job now. A program is ready when all its conditions hold; /readyz shows the
 * reasons of those that don't. Main loop only. */

#include <stdbool.h>

#include <millrace/macros.h>

#include "kit/buf.h"

enum { READINESS_CONDITIONS_MAX = 16, READINESS_REASON_BYTES = 256 };

struct readiness_condition {
    const char *name; /* "kafka", "topic", "influxdb": a literal */
    bool holds;
    char reason[READINESS_REASON_BYTES];
};

struct readiness {
    struct readiness_condition conditions[READINESS_CONDITIONS_MAX];
    unsigned count;
    bool was_ready; /* for on_change */
    bool is_ending; /* set by the owner: what is lost from now on is nothing to warn of */
    void (*on_change)(struct readiness *readiness, void *user); /* may be NULL: logging, metric */
    void *user;
};

void readiness_init(struct readiness *readiness);

/* State whether `name` holds; the first mention makes the condition. `reason_format` says why it
 * does not (ignored when it holds). Logs a change of state once. `readiness` may be NULL: nothing
 * happens. */
void readiness_set(struct readiness *readiness, const char *name, bool holds,
                   const char *reason_format, ...) MR_PRINTF(4, 5);

bool readiness_is_ready(const struct readiness *readiness);

/* "kafka: 127.0.0.1:9092: Connection refused\n" for each that doesn't hold. Errors: as buf_add. */
int readiness_write(const struct readiness *readiness, struct mr_buf *out);

#endif

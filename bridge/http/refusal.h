// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_REFUSAL_H
#define BRIDGE_HTTP_REFUSAL_H

/* Why a request is not taken: what answer_refusal tells its sender. */

#include <stdint.h>

enum { REFUSAL_DETAIL_BYTES = 512 };

struct refusal {
    int status;             /* 4xx or 5xx */
    int64_t retry_after_ms; /* of 429 and 503; Retry-After counts whole seconds, at least one */
    const char *headers;    /* of others: further lines, each ended by CRLF, or NULL */
    char detail[REFUSAL_DETAIL_BYTES];
};

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_ANSWER_H
#define INFLUX_ANSWER_H

/* What InfluxDB's answers mean. docs/millrace-influx.md has the table. */

#include <millrace/http_client.h>

#include "kit/buf.h"

enum influx_verdict {
    INFLUX_STORED,  /* 204 */
    INFLUX_REFUSED, /* 400, 413: it is there, but will not have this */
    INFLUX_AWAY,    /* everything else, and no answer at all (NULL) */
};

enum influx_verdict influx_verdict(const struct mr_http_answer *answer);

enum { INFLUX_WORDS_BYTES_MAX = 300, INFLUX_REASON_BYTES = 512, INFLUX_URL_BYTES_SHOWN = 150 };

/* What InfluxDB says in the body of an answer: the member "error" of a JSON object, or else the
 * body as it stands; one line, at most INFLUX_WORDS_BYTES_MAX bytes, control characters as spaces
 * and what isn't UTF-8 as question marks. Appended to `out`, whose failures are left to be asked of
 * it. */
void influx_words(struct mr_slice body, struct mr_buf *out);

/* For people: "POST http://127.0.0.1:8086/write: 404 database not found: ..."; without an answer
 * the error's own text. `url` is without the query. */
void influx_reason(struct mr_slice url, const struct mr_http_answer *answer,
                   const struct mr_error *error, char ret_reason[INFLUX_REASON_BYTES]);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_ANSWER_H
#define INFLUX_ANSWER_H

/* What InfluxDB's answers mean. docs/millrace-influx.md has the table. */

#include <millrace/http_client.h>

#include "consumers/influx/line_scan.h"
#include "kit/buf.h"

enum { INFLUX_ANSWER_BYTES_MAX = 64 * 1024 }; /* of an answer's body that are kept */

enum influx_verdict {
    INFLUX_STORED,  /* 204 */
    INFLUX_REFUSED, /* 400 and 422 in words that InfluxDB has for points, 413: it refuses points */
    INFLUX_AWAY,    /* everything else, and no answer at all (NULL) */
};

/* `words` becomes all that InfluxDB says of a refusal; it is to hold INFLUX_ANSWER_BYTES_MAX. Of an
 * answer that was cut it is what came up to the last line break in them. Without memory for them:
 * INFLUX_AWAY. */
enum influx_verdict influx_verdict(const struct mr_http_answer *answer, struct mr_buf *words);

enum influx_refusal_kind {
    INFLUX_OTHER,
    INFLUX_CONFLICT,   /* a field's type; the rest was stored */
    INFLUX_LATE,       /* beyond the retention; the rest was stored */
    INFLUX_UNPARSABLE, /* 1.x stores the rest, 2.x nothing */
    INFLUX_TOO_LARGE,  /* 413 */
};

struct influx_refusal {
    enum influx_refusal_kind kind;
    int status;
    uint64_t dropped;       /* points refused, at least; 0: it isn't said where no name can stand */
    struct mr_slice words;  /* borrowed */
    struct mr_slice quotes; /* of INFLUX_UNPARSABLE: from the first quoted line on; borrowed */
    /* Of a conflict, one of maybe many: without escapes, borrowed of `words`; absent if they could
     * not be made out. Devices choose names: believe them only if a line of the request has both.
     */
    struct mr_slice measurement;
    struct mr_slice field;
    enum line_type sent;
    enum line_type has; /* on the server */
};

void influx_refusal_read(int status, struct mr_slice words, struct influx_refusal *ret_refusal);

enum { INFLUX_SERVER_BYTES = 1024 };

/* "400 partial write: ...", one line, for the dead-letter header. */
void influx_server_text(const struct influx_refusal *refusal, char ret_text[INFLUX_SERVER_BYTES]);

enum { INFLUX_WORDS_BYTES_MAX = 300, INFLUX_REASON_BYTES = 512, INFLUX_URL_BYTES_SHOWN = 150 };

/* What InfluxDB says in the body of an answer: the member "error" or "message" of a JSON object, or
 * else the body as it stands; one line, at most INFLUX_WORDS_BYTES_MAX bytes, control characters as
 * spaces and what isn't UTF-8 as question marks. Appended to `out`, whose failures are left to be
 * asked of it. */
void influx_words(struct mr_slice body, struct mr_buf *out);

/* For people: "POST http://127.0.0.1:8086/write: 404 database not found: ..."; without an answer
 * the error's own text. `url` is without the query. */
void influx_reason(struct mr_slice url, const struct mr_http_answer *answer,
                   const struct mr_error *error, char ret_reason[INFLUX_REASON_BYTES]);

#endif

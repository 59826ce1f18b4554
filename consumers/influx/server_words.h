// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_SERVER_WORDS_H
#define INFLUX_SERVER_WORDS_H

#include "kit/buf.h"

enum { SERVER_WORDS_BYTES_MAX = 300 };

/* What InfluxDB says in the body of an answer: the member "error" of a JSON object, or else the
 * body as it stands; one line, at most SERVER_WORDS_BYTES_MAX bytes, control characters as spaces
 * and what isn't UTF-8 as question marks. Appended to `out`, whose failures are left to be asked of
 * it. */
void server_words(struct mr_slice body, struct mr_buf *out);

#endif

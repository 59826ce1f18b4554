// SPDX-License-Identifier: Apache-2.0
#ifndef BRIDGE_HTTP_ANSWER_H
#define BRIDGE_HTTP_ANSWER_H

/* What a device is told. 202: Kafka has it. 204: there was nothing to store in it. 4xx: it will
 * never be taken as it is. 503: surely not stored, send it again after Retry-After. 504: it may be
 * stored; sending it again with the same id, which the answer names, is harmless to whoever keeps
 * to ids. */

#include <millrace/producer.h>

#include "bridge/http/batch_outcomes.h"
#include "bridge/http/refusal.h"
#include "kit/buf.h"
#include "net/http_server.h"

/* Each answers the request and returns the status. */
int answer_outcome(struct http_request *request, const struct mr_outcome *outcome,
                   struct mr_slice id);
int answer_stored(struct http_request *request);
int answer_not_stored(struct http_request *request);
int answer_options(struct http_request *request, const char *allow); /* "Allow: ...\r\n" */
int answer_refusal(struct http_request *request, const struct refusal *refusal);
int answer_too_late(struct http_request *request, struct mr_slice id);

/* `report`: of batch_report.h; not looked at if all are stored. */
int answer_batch(struct http_request *request, const struct batch_outcomes *outcomes,
                 const struct mr_buf *report);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_LOG_H
#define KAFKA_KAFKA_LOG_H

/* What librdkafka says, into our log. */

#include <librdkafka/rdkafka.h>

/* Log an RD_KAFKA_EVENT_LOG or RD_KAFKA_EVENT_ERROR event, at most one line in 10 s for each
 * facility: an outage repeats itself several times a second. The event stays the caller's.
 * Any thread. */
void kafka_log_event(rd_kafka_event_t *event);

enum { KAFKA_TEXT_BYTES = 512 };

/* The text of such an event as it may be told: without what it quotes of sasl.oauthbearer.config,
 * which may be a secret. Either `text` itself or what was written to `shown`. */
const char *kafka_log_text(const char *text, char shown[static KAFKA_TEXT_BYTES]);

#endif

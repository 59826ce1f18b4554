// SPDX-License-Identifier: Apache-2.0
#ifndef KAFKA_KAFKA_LOG_H
#define KAFKA_KAFKA_LOG_H

/* What librdkafka says, into our log. */

#include <librdkafka/rdkafka.h>

/* Log an RD_KAFKA_EVENT_LOG or RD_KAFKA_EVENT_ERROR event, at most one line in 10 s for each
 * facility: an outage repeats itself several times a second. The event stays the caller's.
 * Any thread. */
void kafka_log_event(rd_kafka_event_t *event);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "bridge/mqtt/broker_watch.h"

#include <millrace/log.h>
#include <millrace/metrics.h>

#include "bridge/mqtt/mqtt_metrics.h"

enum { DIGITS_MAX = 18 };

/* Errors: false if it is no number. */
static bool parse(struct mr_slice text, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret_number = number;
    return true;
}

/* Its counter begins anew when it is restarted; what it says first may be long ago. */
bool broker_watch_take(struct broker_watch *watch, struct mr_slice topic, struct mr_slice payload)
{
    uint64_t dropped;
    if (!mr_slice_is(topic, MR_SLICE(BROKER_WATCH_TOPIC))) {
        return false;
    }
    if (!parse(payload, &dropped)) {
        return true;
    }
    mr_gauge_set(mqtt_metrics_broker_dropped(), (int64_t)dropped);
    if (watch->is_known && dropped > watch->dropped) {
        mr_log(MR_LOG_WARN, "the broker has thrown messages away: see its queue limits",
               MR_INT("messages", dropped - watch->dropped), MR_INT("since_its_start", dropped));
    }
    watch->is_known = true;
    watch->dropped = dropped;
    return true;
}

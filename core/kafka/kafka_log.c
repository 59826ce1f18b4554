// SPDX-License-Identifier: Apache-2.0
#include "kafka/kafka_log.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>
#include <millrace/macros.h>

enum {
    INTERVAL_MS = 10000,
    LIMITS = 64, /* facilities share a limit when their hashes meet: a line less, never a flood */
    SYSLOG_WARNING = 4,
    SYSLOG_INFO = 6,
};

/* librdkafka calls a broker that is away an error; for us it is an outage that is waited out, and
 * readiness tells about it. So nothing of it is above a warning. */
static enum mr_log_level level_of(int syslog_level)
{
    if (syslog_level <= SYSLOG_WARNING) {
        return MR_LOG_WARN;
    }
    return syslog_level <= SYSLOG_INFO ? MR_LOG_INFO : MR_LOG_DEBUG;
}

/* A connection that failed comes thrice: as a log line (facility FAIL) that says which and why, as
 * an error with the same words, and, if it was the last one, as an error without any. */
static bool is_logged_too(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__RESOLVE ||
           error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
}

static struct mr_log_limit *limit_of(const char *facility)
{
    static struct mr_log_limit limits[LIMITS];
    uint32_t hash = 2166136261U;
    for (const char *c = facility; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619U;
    }
    return &limits[hash % LIMITS];
}

const char *kafka_log_text(const char *text, char shown[static KAFKA_TEXT_BYTES])
{
    /* Extensions are a part of that setting. What is quoted stands behind. */
    static const char *const marks[] = {"sasl.oauthbearer.config", "SASL/OAUTHBEARER extension"};
    for (size_t i = 0; i < MR_COUNT_OF(marks); i++) {
        const char *mark = strstr(text, marks[i]);
        if (mark != NULL) {
            (void)snprintf(shown, KAFKA_TEXT_BYTES, "%.*s%s: (hidden)", (int)(mark - text), text,
                           marks[i]);
            return shown;
        }
    }
    return text;
}

static void write_line(enum mr_log_level level, const char *facility, const char *text)
{
    char shown[KAFKA_TEXT_BYTES];
    int64_t suppressed = 0;
    if (!mr_log_wants(level)) {
        return;
    }
    if (level != MR_LOG_DEBUG && !mr_log_limit_pass(limit_of(facility), INTERVAL_MS, &suppressed)) {
        return;
    }
    mr_log(level, "librdkafka", MR_STR("facility", facility),
           MR_STR("text", kafka_log_text(text, shown)), MR_SUPPRESSED(suppressed));
}

void kafka_log_event(rd_kafka_event_t *event)
{
    const char *facility;
    const char *text;
    int level;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG) {
        if (rd_kafka_event_log(event, &facility, &text, &level) == 0) {
            write_line(level_of(level), facility, text);
        }
        return;
    }
    assert(rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR);
    write_line(is_logged_too(rd_kafka_event_error(event)) ? MR_LOG_DEBUG : MR_LOG_WARN,
               rd_kafka_err2name(rd_kafka_event_error(event)), rd_kafka_event_error_string(event));
}

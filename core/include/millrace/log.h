// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_LOG_H
#define MILLRACE_LOG_H

/* Structured logging to standard error: logfmt or JSON lines, one write(2) a line, from any thread.
 *     mr_log(MR_LOG_INFO, "listening", MR_STR("address", text), MR_INT("loops", 2));
 * gives
 *     time=2026-01-01T00:00:00.123Z level=info program=mine msg=listening address=[::]:80 loops=2
 *
 * Libraries return errors; programs log them, once. What runs on its own (the producer, the worker
 * loop) logs its changes of state here. Never log a secret or an event's data. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/macros.h>
#include <millrace/slice.h>

enum mr_log_level { MR_LOG_ERROR, MR_LOG_WARN, MR_LOG_INFO, MR_LOG_DEBUG };

enum mr_log_format { MR_LOG_LOGFMT, MR_LOG_JSON };

enum mr_field_type { MR_FIELD_END, MR_FIELD_STRING, MR_FIELD_INTEGER };

struct mr_field {
    enum mr_field_type type;
    const char *name;
    struct mr_slice string;
    int64_t integer;
};

#define MR_STR(name_, value_) \
    ((struct mr_field){.type = MR_FIELD_STRING, .name = (name_), .string = mr_slice_of(value_)})
#define MR_SLICE_FIELD(name_, value_) \
    ((struct mr_field){.type = MR_FIELD_STRING, .name = (name_), .string = (value_)})
#define MR_INT(name_, value_) \
    ((struct mr_field){.type = MR_FIELD_INTEGER, .name = (name_), .integer = (int64_t)(value_)})

/* Process-wide; call before threads start. Until then: info, logfmt, program "millrace". */
MR_API void mr_log_init(const char *program, enum mr_log_level level, enum mr_log_format format);

MR_API bool mr_log_wants(enum mr_log_level level);

/* `fields` ends with a row of MR_FIELD_END. Bytes that aren't text are escaped; a line is cut at 8
 * KiB. */
MR_API void mr_log_fields(enum mr_log_level level, const char *message,
                          const struct mr_field *fields);

#define mr_log(level, message, ...)                                                  \
    do {                                                                             \
        if (mr_log_wants(level)) {                                                   \
            mr_log_fields((level), (message),                                        \
                          (const struct mr_field[]){__VA_ARGS__ __VA_OPT__(, ){0}}); \
        }                                                                            \
    } while (0)

/* At most one line each `interval_ms` for each place; the next line that is let through says how
 * many were held back, if any were (field `suppressed`). `limit` is a static variable of the place.
 * Thread-safe. */
struct mr_log_limit {
    int64_t next_ms; /* atomically used */
    int64_t suppressed;
};
MR_API bool mr_log_limit_pass(struct mr_log_limit *limit, int64_t interval_ms,
                              int64_t *ret_suppressed);

/* The last field of such a line. */
#define MR_SUPPRESSED(count_) \
    ((count_) > 0 ? MR_INT("suppressed", (count_)) : (struct mr_field){.type = MR_FIELD_END})

#define mr_log_limited(level, interval_ms, message, ...)                                        \
    do {                                                                                        \
        static struct mr_log_limit limit_here;                                                  \
        int64_t suppressed_here;                                                                \
        if (mr_log_wants(level) &&                                                              \
            mr_log_limit_pass(&limit_here, (interval_ms), &suppressed_here)) {                  \
            mr_log_fields((level), (message),                                                   \
                          (const struct mr_field[]){                                            \
                              __VA_ARGS__ __VA_OPT__(, ) MR_SUPPRESSED(suppressed_here), {0}}); \
        }                                                                                       \
    } while (0)

#endif

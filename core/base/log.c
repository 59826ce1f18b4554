// SPDX-License-Identifier: Apache-2.0
/* A line is made on the stack and written at once, so logging needs no memory and can't fail its
 * caller. What can go wrong: standard error is closed or its reader is gone (the line is lost), or
 * it is a full pipe whose reader has stopped (after a moment the line, or its end, is lost; the
 * next line then begins with a line break of its own). */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <millrace/log.h>

#include "kit/clock.h"
#include "kit/utf8.h"

enum {
    LINE_BYTES_MAX = 8 * 1024,
    LINE_END_BYTES = 16, /* kept for: closing quote, `,"cut":true}`, two line breaks */
    PROGRAM_BYTES = 64,
    UNIT_BYTES_MAX = 16, /* one character, escaped */
    READER_WAIT_MS = 500,
};

static char log_program[PROGRAM_BYTES] = "millrace";
static _Atomic(int) log_level = MR_LOG_INFO;
static _Atomic(int) log_format = MR_LOG_LOGFMT;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static bool torn;    /* under write_lock: the last line lost its end */
static bool stalled; /* under write_lock: the reader was waited for in vain */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct line {
    size_t len;
    bool cut;
    char bytes[LINE_BYTES_MAX];
};

void mr_log_init(const char *program, enum mr_log_level level, enum mr_log_format format)
{
    (void)snprintf(log_program, sizeof log_program, "%s", program);
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&log_format, (int)format, memory_order_relaxed);
}

bool mr_log_wants(enum mr_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* All of it or nothing; after the first thing that doesn't fit nothing is added any more. */
static bool add(struct line *line, const char *bytes, size_t len)
{
    if (line->cut || line->len + len > LINE_BYTES_MAX - LINE_END_BYTES) {
        line->cut = true;
        return false;
    }
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
    return true;
}

/* Within the room that add() leaves. */
static void add_end(struct line *line, const char *string)
{
    size_t len = strlen(string);
    assert(len <= LINE_BYTES_MAX - line->len);
    memcpy(line->bytes + line->len, string, len);
    line->len += len;
}

static bool is_control(const char *bytes, size_t len)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (len == 1 && (b[0] < 0x20 || b[0] == 0x7F)) || (len == 2 && b[0] == 0xC2 && b[1] < 0xA0);
}

/* The short escapes that logfmt and JSON share, or 0. */
static char short_escape(char c)
{
    switch (c) {
        case '"':
        case '\\':
            return c;
        case '\n':
            return 'n';
        case '\r':
            return 'r';
        case '\t':
            return 't';
        default:
            return '\0';
    }
}

static bool logfmt_needs_quotes(struct mr_slice value)
{
    if (value.len == 0) {
        return true;
    }
    for (size_t i = 0; i < value.len;) {
        size_t len = utf8_sequence(value.ptr + i, value.len - i);
        if (len == 0 || is_control(value.ptr + i, len) || value.ptr[i] == ' ' ||
            value.ptr[i] == '=' || value.ptr[i] == '"') {
            return true;
        }
        i += len;
    }
    return false;
}

/* `len` 0: a byte that isn't UTF-8. */
static bool logfmt_add_unit(struct line *line, const char *bytes, size_t len)
{
    char unit[UNIT_BYTES_MAX];
    char escape = short_escape(bytes[0]);
    if (escape != '\0') {
        return add(line, (char[]){'\\', escape}, 2);
    }
    if (len == 0) {
        (void)snprintf(unit, sizeof unit, "\\x%02x", (unsigned)(unsigned char)bytes[0]);
        return add(line, unit, 4);
    }
    if (!is_control(bytes, len)) {
        return add(line, bytes, len);
    }
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(unit + 4 * i, 5, "\\x%02x", (unsigned)(unsigned char)bytes[i]);
    }
    return add(line, unit, 4 * len);
}

static bool json_add_unit(struct line *line, const char *bytes, size_t len)
{
    char unit[UNIT_BYTES_MAX];
    char escape = short_escape(bytes[0]);
    if (escape != '\0') {
        return add(line, (char[]){'\\', escape}, 2);
    }
    if (len == 0) {
        return add(line, "\xEF\xBF\xBD", 3); /* U+FFFD */
    }
    if ((unsigned char)bytes[0] < 0x20) {
        (void)snprintf(unit, sizeof unit, "\\u%04x", (unsigned)(unsigned char)bytes[0]);
        return add(line, unit, 6);
    }
    return add(line, bytes, len);
}

static void add_units(struct line *line, struct mr_slice value,
                      bool (*add_unit)(struct line *, const char *, size_t))
{
    for (size_t i = 0; i < value.len;) {
        size_t len = utf8_sequence(value.ptr + i, value.len - i);
        if (!add_unit(line, value.ptr + i, len)) {
            return;
        }
        i += len == 0 ? 1 : len;
    }
}

/* What a program says as a name is a literal; a slip must not break the line for its reader. */
static void logfmt_add_name(struct line *line, const char *name)
{
    if (line->len > 0) {
        (void)add(line, " ", 1);
    }
    for (; *name != '\0'; name++) {
        char c = *name > ' ' && *name < 0x7F && *name != '=' && *name != '"' ? *name : '_';
        (void)add(line, &c, 1);
    }
    (void)add(line, "=", 1);
}

static void logfmt_add_string(struct line *line, const char *name, struct mr_slice value)
{
    size_t begin = line->len;
    bool quotes = logfmt_needs_quotes(value);
    logfmt_add_name(line, name);
    if (quotes) {
        (void)add(line, "\"", 1);
    }
    if (line->cut) {
        line->len = begin;
        return;
    }
    add_units(line, value, quotes ? logfmt_add_unit : add);
    if (quotes) {
        add_end(line, "\"");
    }
}

static void json_add_name(struct line *line, const char *name)
{
    (void)add(line, line->len == 0 ? "{\"" : ",\"", 2);
    add_units(line, mr_slice_of(name), json_add_unit);
    (void)add(line, "\":", 2);
}

static void json_add_string(struct line *line, const char *name, struct mr_slice value)
{
    size_t begin = line->len;
    json_add_name(line, name);
    if (value.ptr == NULL) {
        (void)add(line, "null", 4);
    } else if (add(line, "\"", 1)) {
        add_units(line, value, json_add_unit);
        add_end(line, "\"");
        return;
    }
    if (line->cut) {
        line->len = begin;
    }
}

static void add_string(struct line *line, bool json, const char *name, struct mr_slice value)
{
    if (line->cut) {
        return;
    }
    if (json) {
        json_add_string(line, name, value);
    } else {
        logfmt_add_string(line, name, value);
    }
}

static void add_integer(struct line *line, bool json, const char *name, int64_t value)
{
    size_t begin = line->len;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
    if (line->cut) {
        return;
    }
    if (json) {
        json_add_name(line, name);
    } else {
        logfmt_add_name(line, name);
    }
    if (!add(line, digits, (size_t)len)) {
        line->len = begin;
    }
}

static void add_time(struct line *line, bool json)
{
    int64_t now_ms = clock_wall_ms();
    time_t now = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[64];
    size_t len;
    (void)gmtime_r(&now, &utc);
    len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + len, sizeof text - len, ".%03uZ", (unsigned)(now_ms % 1000));
    add_string(line, json, "time", mr_slice_of(text));
}

/* A reader that has stopped is waited for once, not at every line: what serves devices logs too. */
static bool may_write(void)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int rc;
    do {
        rc = poll(&fd, 1, stalled ? 0 : READER_WAIT_MS);
    } while (rc < 0 && errno == EINTR);
    stalled = rc == 0;
    return rc > 0;
}

/* A pipe that is ready takes PIPE_BUF bytes without blocking; to others a line is one write. */
static size_t piece_of(size_t len)
{
    struct stat status;
    if (len <= PIPE_BUF || fstat(STDERR_FILENO, &status) != 0 || !S_ISFIFO(status.st_mode)) {
        return len;
    }
    return PIPE_BUF;
}

static ssize_t write_piece(const char *bytes, size_t len)
{
    ssize_t n;
    do {
        n = may_write() ? write(STDERR_FILENO, bytes, piece_of(len)) : 0;
    } while (n < 0 && errno == EINTR);
    return n;
}

/* After a torn line the next one begins with a line break, for which LINE_END_BYTES has room. */
static void write_line(struct line *line)
{
    size_t done = 0;
    int saved_errno = errno;
    (void)pthread_mutex_lock(&write_lock);
    if (torn) {
        memmove(line->bytes + 1, line->bytes, line->len);
        line->bytes[0] = '\n';
        line->len++;
    }
    while (done < line->len) {
        ssize_t n = write_piece(line->bytes + done, line->len - done);
        if (n <= 0) {
            break;
        }
        done += (size_t)n;
    }
    if (done > 0) {
        torn = done < line->len;
    }
    (void)pthread_mutex_unlock(&write_lock);
    errno = saved_errno;
}

void mr_log_fields(enum mr_log_level level, const char *message, const struct mr_field *fields)
{
    bool json = atomic_load_explicit(&log_format, memory_order_relaxed) == MR_LOG_JSON;
    struct line line;
    if (!mr_log_wants(level)) {
        return;
    }
    line.len = 0;
    line.cut = false;
    add_time(&line, json);
    add_string(&line, json, "level", mr_slice_of(level_names[level]));
    add_string(&line, json, "program", mr_slice_of(log_program));
    add_string(&line, json, "msg", mr_slice_of(message));
    for (; fields->type != MR_FIELD_END; fields++) {
        if (fields->type == MR_FIELD_STRING) {
            add_string(&line, json, fields->name, fields->string);
        } else {
            add_integer(&line, json, fields->name, fields->integer);
        }
    }
    if (line.cut) {
        add_end(&line, json ? ",\"cut\":true" : " cut=true");
    }
    add_end(&line, json ? "}\n" : "\n");
    write_line(&line);
}

static int64_t monotonic_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool mr_log_limit_pass(struct mr_log_limit *limit, int64_t interval_ms, int64_t *ret_suppressed)
{
    int64_t now = monotonic_ms();
    int64_t next = __atomic_load_n(&limit->next_ms, __ATOMIC_RELAXED);
    if (now < next || !__atomic_compare_exchange_n(&limit->next_ms, &next, now + interval_ms, false,
                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        (void)__atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
        return false;
    }
    *ret_suppressed = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
    return true;
}

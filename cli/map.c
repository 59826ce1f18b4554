// SPDX-License-Identifier: Apache-2.0
/* `millrace map`: the lines that millrace-influx would write for events, or why it wouldn't. Pure
 * but for reading and printing: neither Kafka nor InfluxDB is asked.
 *
 * Happy path: read all of the input -> one event as JSON, or one a line -> its lines. What can go
 * wrong: the input can't be read or is too long; something in it is no event, or can't become a
 * point: that is said on standard error with its line, the rest goes on, and the status is 1. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "consumers/influx/mapping.h"
#include "event/format_json.h"
#include "event/json_scan.h"
#include "kit/clock.h"
#include "kit/mem.h"

enum { INPUT_BYTES_MAX = 64 * 1024 * 1024, CHUNK_BYTES = 64 * 1024 };

struct map_options {
    char *input;
    struct mapping_options mapping;
};

struct map {
    struct mapping_rules *rules;
    struct mapping *mapping;
    struct mr_event *event;
    size_t line; /* of the input, from 1 */
    bool failed;
};

static const struct mr_option options[] = {
    {.key = "input",
     .type = MR_OPTION_STRING,
     .initial = "-",
     .text =
         "A file with events as CloudEvents JSON: one, or one a line, as `millrace tail` prints "
         "them. `-` is standard input.",
     .offset = offsetof(struct map_options, input)},
    MAPPING_OPTIONS(struct map_options, mapping),
    MR_OPTION_END,
};

static void check_options(const void *data, struct mr_check *check)
{
    const struct map_options *wanted = data;
    struct mapping_rules *rules = NULL;
    (void)mapping_rules_new(&wanted->mapping, check, &rules);
    mapping_rules_free(rules);
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "millrace map: %s: %s\n", what, why);
    return 1;
}

static int read_input(const char *name, struct mr_buf *out)
{
    bool is_standard = strcmp(name, "-") == 0;
    int fd = is_standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : 1;
    int status = 0;
    while (n > 0 && buf_reserve(out, CHUNK_BYTES) == 0) {
        n = read(fd, out->ptr + out->len, CHUNK_BYTES);
        out->len += n > 0 ? (size_t)n : 0;
        n = n < 0 && errno == EINTR ? 1 : n;
    }
    if (n < 0) {
        status = fail(name, strerror(errno));
    } else if (out->failed != 0) {
        status = fail(name, out->failed == MR_ELIMIT ? "longer than 64 MiB" : "out of memory");
    }
    if (fd >= 0 && !is_standard) {
        (void)close(fd);
    }
    return status;
}

static void refuse(struct map *map, const char *what, struct mr_error *err)
{
    options_make_harmless(err->text);
    fprintf(stderr, "millrace map: line %zu: %s: %s\n", map->line, what, err->text);
    map->failed = true;
}

static void map_event(struct map *map, struct mr_slice text)
{
    struct mr_slice lines;
    size_t count;
    struct mr_error err;
    if (event_json_decode(text, map->event, &err) != 0) {
        refuse(map, "no event", &err);
    } else if (mapping_lines(map->mapping, map->event, clock_wall_ms(), &lines, &count, &err) !=
               0) {
        refuse(map, "no point", &err);
    } else if (count == 0) {
        fprintf(stderr, "millrace map: line %zu: skipped\n", map->line);
    } else {
        fwrite(lines.ptr, 1, lines.len, stdout);
        putchar('\n');
    }
}

static bool is_blank(struct mr_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r", text.ptr[i]) == NULL || text.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* A whole file may be one event over many lines; otherwise each line is one. */
static void map_all(struct map *map, struct mr_slice text)
{
    map->line = 1;
    if (json_is_valid(text)) {
        map_event(map, text);
        return;
    }
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.ptr);
        if (!is_blank(mr_slice(text.ptr, len))) {
            map_event(map, mr_slice(text.ptr, len));
        }
        len += end != NULL;
        text = mr_slice(text.ptr + len, text.len - len);
        map->line++;
    }
}

static int run(const void *data, const struct kafka_conf *kafka)
{
    const struct map_options *wanted = data;
    struct map map = {0};
    struct mr_buf input;
    struct mr_check check = {0};
    int status;
    (void)kafka;
    buf_init(&input, INPUT_BYTES_MAX);
    status = read_input(wanted->input, &input);
    if (status == 0 && mapping_rules_new(&wanted->mapping, &check, &map.rules) == 0) {
        map.mapping = mapping_new(map.rules);
        map.event = mr_event_new();
    }
    if (status == 0 && (map.mapping == NULL || map.event == NULL)) {
        status = fail(wanted->input, "out of memory");
    }
    if (status == 0) {
        map_all(&map, buf_slice(&input));
        status = map.failed ? 1 : 0;
        if (fflush(stdout) != 0 || ferror(stdout)) {
            status = fail("standard output", strerror(errno));
        }
    }
    mr_event_free(map.event);
    mapping_free(map.mapping);
    mapping_rules_free(map.rules);
    buf_done(&input);
    return status;
}

const struct command command_map = {
    .name = "map",
    .usage = "[FILE] [--config FILE]",
    .summary = "print the lines that millrace-influx would write for events, or why not",
    .text =
        "The events are CloudEvents JSON, one in the file or one a line. The configuration is "
        "millrace-influx's own:\nits [measurement NAME] sections and, in [influx], unmatched "
        "and table; the rest of it is passed over.\n",
    .options = options,
    .options_size = sizeof(struct map_options),
    .positional = "input",
    .passes_over_unknown = true,
    .check = check_options,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
/* A configuration file of any bytes is read or refused, and what is refused has a line each. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/options_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct target {
    char *topic;
    char *password;
    bool create;
    int64_t count;
    int64_t wait_ms;
    int64_t body_bytes;
    int mode;
    struct mr_address listen;
    struct mr_sections routes;
};

#define FIELD(name) .offset = offsetof(struct target, name), .text = ""

static const struct mr_option keys[] = {
    {.key = "match", .type = MR_OPTION_STRING, .text = ""},
    {.key = "qos", .type = MR_OPTION_INTEGER, .max = 2, .text = ""},
    {.key = "field.*", .type = MR_OPTION_STRING, .text = ""},
    MR_OPTION_END};
static const struct mr_option table[] = {
    {.key = "route", .type = MR_OPTION_SECTIONS, .keys = keys, FIELD(routes)},
    {.key = "topic", .type = MR_OPTION_STRING, .initial = "events", FIELD(topic)},
    {.key = "password",
     .type = MR_OPTION_STRING,
     .flags = MR_OPTION_SECRET | MR_OPTION_REQUIRED,
     FIELD(password)},
    {.key = "topic.create", .type = MR_OPTION_BOOLEAN, .initial = "true", FIELD(create)},
    {.key = "count", .type = MR_OPTION_INTEGER, .min = -5, .max = 500, FIELD(count)},
    {.section = "log", .key = "wait", .type = MR_OPTION_DURATION, FIELD(wait_ms)},
    {.key = "body", .type = MR_OPTION_SIZE, .min = 1, .initial = "1KiB", FIELD(body_bytes)},
    {.key = "mode", .type = MR_OPTION_ENUM, .choices = "none|basic", FIELD(mode)},
    {.key = "listen", .type = MR_OPTION_ADDRESS, .initial = "[::1]:1", FIELD(listen)},
    MR_OPTION_END};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-fuzz", .section = "fuzz", .groups = groups, .group_count = 1};

/* What the input names is never opened. */
static bool opens_a_file(const uint8_t *bytes, size_t size)
{
    return size > 0 && memmem(bytes, size, ".file", 5) != NULL;
}

static void check(const struct options *options, const struct target *target)
{
    const struct mr_buf *problems = options_problems(options);
    size_t lines = 0;
    for (size_t i = 0; i < problems->len; i++) {
        lines += problems->ptr[i] == '\n' ? 1 : 0;
    }
    if (problems->failed == 0 && options_problem_count(options) <= OPTIONS_PROBLEMS_MAX &&
        lines != options_problem_count(options)) {
        abort();
    }
    if (target->topic == NULL || target->count < -5 || target->count > 500 || target->wait_ms < 0 ||
        target->body_bytes < 1 || target->mode < 0 || target->mode > 1 ||
        memchr(target->listen.host, '\0', sizeof target->listen.host) == NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct target target;
    struct options *options;
    if (opens_a_file(bytes, size)) {
        return 0;
    }
    options = options_new(&spec, &target);
    if (options == NULL) {
        return 0;
    }
    options_read_bytes(options, "fuzz.conf", mr_slice(bytes, size));
    options_finish(options);
    check(options, &target);
    options_free(options);
    return 0;
}

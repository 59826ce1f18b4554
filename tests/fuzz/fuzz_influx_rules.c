// SPDX-License-Identifier: Apache-2.0
/* A configuration of any bytes makes rules or is refused, with a line for each problem; and by the
 * rules any payload makes lines or an error. The input is configuration NUL payload. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options_internal.h"
#include "consumers/influx/mapping.h"
#include "tests/fuzz/influx_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct target {
    struct mapping_options mapping;
};

static const struct mr_option table[] = {MAPPING_OPTIONS(struct target, mapping), MR_OPTION_END};
static const struct mr_option_group groups[] = {{table, 0}};
static const struct options_spec spec = {
    .program = "millrace-fuzz", .section = "influx", .groups = groups, .group_count = 1};

static bool read_time(struct cursor *cursor)
{
    size_t digits = 0;
    (void)next_is(cursor, '-');
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        cursor->at++;
        digits++;
    }
    return digits > 0 && digits <= 19;
}

static void check_lines(struct mr_slice lines, size_t count)
{
    struct cursor cursor = {lines.ptr, lines.ptr + lines.len};
    for (size_t i = 0; i < count; i++) {
        require(i == 0 || next_is(&cursor, '\n'), "no line feed", lines);
        check_point(&cursor, lines);
        require(read_time(&cursor), "a bad time", lines);
    }
    require(cursor.at == cursor.end, "more than its lines", lines);
}

static void map(const struct mapping_rules *rules, struct mr_slice data)
{
    struct mr_event *event = mr_event_new();
    struct mapping *mapping = mapping_new(rules);
    struct mr_slice lines;
    struct mr_error err = {0};
    size_t count;
    if (event == NULL || mapping == NULL) {
        abort();
    }
    (void)mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL);
    (void)mr_event_set(event, MR_SLICE("subject"), MR_SLICE("climate/1"), NULL);
    (void)mr_event_set(event, MR_SLICE("device"), MR_SLICE("d 1"), NULL);
    (void)mr_event_set_integer(event, MR_SLICE("count"), -5, NULL);
    mr_event_set_data(event, data);
    /* Twice: nothing of the first time may be left. */
    for (int i = 0; i < 2; i++) {
        if (mapping_lines(mapping, event, 1465839830000, &lines, &count, &err) == 0) {
            check_lines(lines, count);
        } else if (err.code == MR_OK || err.text[0] == '\0') {
            abort();
        }
    }
    mapping_free(mapping);
    mr_event_free(event);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(bytes, 0, size);
    struct target target;
    struct mapping_rules *rules = NULL;
    struct options *options;
    struct mr_check check = {0};
    size_t len = end == NULL ? 0 : (size_t)(end - bytes);
    if (end == NULL || memmem(bytes, len, ".file", 5) != NULL) { /* nothing is opened */
        return 0;
    }
    options = options_new(&spec, &target);
    if (options == NULL) {
        abort();
    }
    check.options = options;
    options_read_bytes(options, "fuzz.conf", mr_slice(bytes, len));
    if (mapping_rules_new(&target.mapping, &check, &rules) == 0) {
        map(rules, mr_slice(end + 1, size - len - 1));
    } else if (options_problem_count(options) == 0) {
        abort();
    }
    mapping_rules_free(rules);
    options_free(options);
    return 0;
}

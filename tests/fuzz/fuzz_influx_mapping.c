// SPDX-License-Identifier: Apache-2.0
/* Any event becomes one line of the line protocol that means what the event says, or none. The
 * input is subject NUL application NUL device NUL data. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/influx/mapping.h"
#include "tests/fuzz/influx_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_line(struct mr_slice line)
{
    struct cursor cursor = {line.ptr, line.ptr + line.len};
    check_point(&cursor, line);
    require(read_word(&cursor, "1465839830000000000"), "a bad time", line);
    require(cursor.at == cursor.end, "more than a line", line);
}

static struct mr_slice part(const uint8_t **bytes, size_t *size)
{
    const uint8_t *begin = *bytes;
    const uint8_t *end = memchr(begin, 0, *size);
    size_t len = end == NULL ? *size : (size_t)(end - begin);
    *bytes += end == NULL ? len : len + 1;
    *size -= end == NULL ? len : len + 1;
    return mr_slice(begin, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct mr_event *event = mr_event_new();
    struct mapping *mapping = mapping_new(NULL);
    struct mr_slice line;
    size_t count;
    struct mr_error err = {0};
    if (event == NULL || mapping == NULL) {
        abort();
    }
    if (size > 0) { /* memchr wants a pointer that is one */
        (void)mr_event_set(event, MR_SLICE("type"), MR_SLICE("t"), NULL);
        (void)mr_event_set(event, MR_SLICE("subject"), part(&bytes, &size), NULL);
        (void)mr_event_set(event, MR_SLICE("application"), part(&bytes, &size), NULL);
        (void)mr_event_set(event, MR_SLICE("device"), part(&bytes, &size), NULL);
        mr_event_set_data(event, mr_slice(bytes, size));
        if (mapping_lines(mapping, event, 1465839830000, &line, &count, &err) == 0) {
            check_line(line);
        } else if (err.code == MR_OK || err.text[0] == '\0') {
            abort();
        }
    }
    mapping_free(mapping);
    mr_event_free(event);
    return 0;
}

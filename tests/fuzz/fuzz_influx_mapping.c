// SPDX-License-Identifier: Apache-2.0
/* Any event becomes one line of the line protocol that means what the event says, or none. The
 * input is subject NUL application NUL device NUL data. The line is read back by a parser of our
 * own, written after the reference and stricter than InfluxDB's. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/influx/mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { NAMES_MAX = FIELDS_MAX };

struct cursor {
    const char *at;
    const char *end;
};

static void require(bool condition, const char *what, struct mr_slice line)
{
    if (!condition) {
        fprintf(stderr, "%s in: %.*s\n", what, (int)line.len, line.ptr);
        abort();
    }
}

static bool next_is(struct cursor *cursor, char c)
{
    if (cursor->at < cursor->end && *cursor->at == c) {
        cursor->at++;
        return true;
    }
    return false;
}

/* Up to an unescaped delimiter; a backslash may stand only before a delimiter (its escape) or
 * before what is none (itself). Not empty, no control characters. */
static bool read_name(struct cursor *cursor, const char *delimiters, struct mr_slice *ret_name)
{
    const char *begin = cursor->at;
    while (cursor->at < cursor->end && strchr(delimiters, *cursor->at) == NULL) {
        if ((unsigned char)*cursor->at < 0x20 || *cursor->at == 0x7f) {
            return false;
        }
        if (*cursor->at == '\\') {
            cursor->at++;
            if (cursor->at == cursor->end || *cursor->at == '"') {
                return false; /* InfluxDB takes \" in a field's name for " */
            }
            if (strchr(",= ", *cursor->at) == NULL) {
                continue;
            }
        }
        cursor->at++;
    }
    *ret_name = mr_slice(begin, (size_t)(cursor->at - begin));
    return cursor->at > begin;
}

static bool read_string(struct cursor *cursor)
{
    while (cursor->at < cursor->end && *cursor->at != '"') {
        cursor->at += *cursor->at == '\\' ? 2 : 1;
    }
    return cursor->at < cursor->end && next_is(cursor, '"');
}

static bool read_word(struct cursor *cursor, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < len || memcmp(cursor->at, word, len) != 0) {
        return false;
    }
    cursor->at += len;
    return true;
}

static bool read_number(struct cursor *cursor)
{
    char text[2048];
    char *end;
    size_t len = 0;
    while (cursor->at < cursor->end && len < sizeof text - 1 &&
           strchr("+-.0123456789eE", *cursor->at) != NULL && *cursor->at != '\0') {
        text[len++] = *cursor->at++;
    }
    text[len] = '\0';
    {
        double value = strtod(text, &end);
        return len > 0 && *end == '\0' && value - value == 0;
    }
}

static bool read_value(struct cursor *cursor)
{
    if (next_is(cursor, '"')) {
        return read_string(cursor);
    }
    return read_word(cursor, "true") || read_word(cursor, "false") || read_number(cursor);
}

static bool is_new(const struct mr_slice *names, size_t count, struct mr_slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (mr_slice_is(names[i], name)) {
            return false;
        }
    }
    return true;
}

static void check_line(struct mr_slice line)
{
    static struct mr_slice names[NAMES_MAX];
    struct cursor cursor = {line.ptr, line.ptr + line.len};
    struct mr_slice name;
    size_t count = 0;
    require(read_name(&cursor, ", ", &name) && name.ptr[0] != '#', "a bad measurement", line);
    while (next_is(&cursor, ',')) {
        require(read_name(&cursor, "=, ", &name) && next_is(&cursor, '='), "a bad tag", line);
        require(read_name(&cursor, "=, ", &name), "a bad tag value", line);
    }
    require(next_is(&cursor, ' '), "no fields", line);
    do {
        require(count < NAMES_MAX, "too many fields", line);
        require(read_name(&cursor, "=, ", &name) && next_is(&cursor, '='), "a bad field", line);
        require(is_new(names, count, name), "a name twice", line);
        require(!mr_slice_is(name, MR_SLICE("time")), "a field named time", line);
        names[count++] = name;
        require(read_value(&cursor), "a bad value", line);
    } while (next_is(&cursor, ','));
    require(next_is(&cursor, ' ') && read_word(&cursor, "1465839830000000000"), "a bad time", line);
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
    struct mapping *mapping = mapping_new();
    struct mr_slice line;
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
        if (mapping_line(mapping, event, 1465839830000, &line, &err) == 0) {
            check_line(line);
        } else if (err.code == MR_OK || err.text[0] == '\0') {
            abort();
        }
    }
    mapping_free(mapping);
    mr_event_free(event);
    return 0;
}

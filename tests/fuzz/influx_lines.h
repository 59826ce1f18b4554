// SPDX-License-Identifier: Apache-2.0
#ifndef FUZZ_INFLUX_LINES_H
#define FUZZ_INFLUX_LINES_H

/* Lines of the line protocol are read back by a parser of our own, written after the reference and
 * stricter than InfluxDB's. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <millrace/slice.h>

enum { NAMES_MAX = 2000 };

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
        if (len == 0 || *end != '\0' || value - value != 0) {
            return false;
        }
        /* Integers: digits alone before the suffix. */
        if (cursor->at < cursor->end && (*cursor->at == 'i' || *cursor->at == 'u')) {
            return strspn(text, "-0123456789") == len && !(*cursor->at++ == 'u' && text[0] == '-');
        }
        return true;
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

/* One line up to its time, which is left. */
static void check_point(struct cursor *cursor, struct mr_slice line)
{
    static struct mr_slice names[NAMES_MAX];
    struct mr_slice name;
    size_t count = 0;
    require(read_name(cursor, ", ", &name) && name.ptr[0] != '#', "a bad measurement", line);
    while (next_is(cursor, ',')) {
        require(read_name(cursor, "=, ", &name) && next_is(cursor, '='), "a bad tag", line);
        require(read_name(cursor, "=, ", &name), "a bad tag value", line);
    }
    require(next_is(cursor, ' '), "no fields", line);
    do {
        require(count < NAMES_MAX, "too many fields", line);
        require(read_name(cursor, "=, ", &name) && next_is(cursor, '='), "a bad field", line);
        require(is_new(names, count, name), "a name twice", line);
        require(!mr_slice_is(name, MR_SLICE("time")), "a field named time", line);
        names[count++] = name;
        require(read_value(cursor), "a bad value", line);
    } while (next_is(cursor, ','));
    require(next_is(cursor, ' '), "no time", line);
}

#endif

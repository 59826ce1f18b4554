// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/point_groups.h"

#include <millrace/error.h>

#include "consumers/influx/line_scan.h"
#include "kit/mem.h"

enum { PLACES_LEAST = 16 };

struct place {
    uint64_t point; /* 0: free */
    uint32_t text;
};

static bool next_point(struct siphash_key key, struct line_scan *scan, uint64_t *ret_point)
{
    struct mr_slice name;
    struct mr_slice value;
    enum line_type type;
    uint64_t series;
    if (scan->at == scan->end) {
        return false;
    }
    line_scan_begin(scan, mr_slice(scan->at, (size_t)(scan->end - scan->at)), &name);
    series = line_hash(key, 0, name);
    while (line_scan_tag(scan, &name, &value)) { /* in any order it is the same series */
        series += line_hash(key, line_hash(key, 1, name), value);
    }
    while (line_scan_field(scan, &name, &type)) {
    }
    series = line_hash(key, series ^ (uint64_t)line_scan_end(scan), mr_slice("", 0));
    *ret_point = series == 0 ? 1 : series;
    return true;
}

static size_t count_points(struct siphash_key key, struct mr_slice lines)
{
    struct line_scan scan = {lines.ptr, lines.ptr + lines.len, false};
    size_t count = 0;
    uint64_t point;
    while (next_point(key, &scan, &point)) {
        count++;
    }
    return count;
}

static uint32_t first_of(uint32_t *groups, uint32_t text)
{
    while (groups[text] != text) {
        groups[text] = groups[groups[text]];
        text = groups[text];
    }
    return text;
}

static void join(uint32_t *groups, uint32_t one, uint32_t other)
{
    one = first_of(groups, one);
    other = first_of(groups, other);
    groups[one > other ? one : other] = one > other ? other : one;
}

/* `size` places, a power of two and more than there are points. */
static void take_point(struct place *places, size_t size, uint64_t point, uint32_t text,
                       uint32_t *groups)
{
    size_t at = (size_t)point & (size - 1);
    while (places[at].point != 0 && places[at].point != point) {
        at = (at + 1) & (size - 1);
    }
    if (places[at].point == point) {
        join(groups, places[at].text, text);
    } else {
        places[at] = (struct place){point, text};
    }
}

int point_groups_make(struct siphash_key key, struct mr_slice (*lines_of)(void *user, uint32_t i),
                      void *user, uint32_t count, uint32_t *ret_groups)
{
    struct place *places;
    size_t points = 0;
    size_t size = PLACES_LEAST;
    for (uint32_t i = 0; i < count; i++) {
        points += count_points(key, lines_of(user, i));
    }
    while (size < 2 * points) {
        size *= 2;
    }
    places = mem_zalloc(size * sizeof *places);
    if (places == NULL) {
        return MR_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct mr_slice lines = lines_of(user, i);
        struct line_scan scan = {lines.ptr, lines.ptr + lines.len, false};
        uint64_t point;
        ret_groups[i] = i;
        while (next_point(key, &scan, &point)) {
            take_point(places, size, point, i, ret_groups);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        ret_groups[i] = first_of(ret_groups, i);
    }
    mem_free(places);
    return 0;
}

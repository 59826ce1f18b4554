// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/salvage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kit/mem.h"

static struct mr_slice unit_lines(const struct salvage *salvage, uint32_t unit)
{
    const struct salvage_unit *one = &salvage->units[unit];
    return mr_slice(salvage->text.ptr + one->offset, one->len);
}

static struct salvage_part *present(const struct salvage *salvage)
{
    assert(salvage->part_count > 0);
    return &salvage->parts[salvage->part_count - 1];
}

static void push(struct salvage *salvage, uint32_t begin, uint32_t count)
{
    if (count > 0) {
        salvage->parts[salvage->part_count++] = (struct salvage_part){begin, count};
    }
}

/* --- what lines look like --- */

typedef void (*field_fn)(struct field_types *types, uint64_t field, enum line_type type);

static void each_field(struct field_types *types, struct mr_slice lines, field_fn function)
{
    struct line_scan scan;
    struct mr_slice measurement;
    line_scan_lines(&scan, lines);
    while (line_scan_next(&scan, &measurement)) {
        struct mr_slice name;
        enum line_type type;
        while (line_scan_field(&scan, &name, &type)) {
            if (type != LINE_TYPE_NONE) {
                function(types, field_types_key(measurement, name), type);
            }
        }
        (void)line_scan_end(&scan);
    }
}

/* Of the oldest line. `ret_conflict` (may be NULL): a field has another type than it should. */
static int64_t look_at(const struct field_types *types, struct mr_slice lines, bool *ret_conflict)
{
    struct line_scan scan;
    struct mr_slice measurement;
    int64_t oldest_ns = INT64_MAX;
    bool conflict = false;
    line_scan_lines(&scan, lines);
    while (line_scan_next(&scan, &measurement)) {
        struct mr_slice name;
        enum line_type type;
        int64_t ns;
        while (line_scan_field(&scan, &name, &type)) {
            enum line_type known = LINE_TYPE_NONE;
            if (ret_conflict != NULL && !conflict && type != LINE_TYPE_NONE) {
                known = field_types_find(types, field_types_key(measurement, name));
            }
            conflict = conflict || (known != LINE_TYPE_NONE && known != type);
        }
        ns = line_scan_end(&scan);
        oldest_ns = ns < oldest_ns ? ns : oldest_ns;
    }
    if (ret_conflict != NULL) {
        *ret_conflict = conflict;
    }
    return oldest_ns;
}

void salvage_learn(struct salvage_hints *hints, const struct influx_refusal *refusal)
{
    hints->watch = SALVAGE_WATCH;
    if (refusal->kind == INFLUX_CONFLICT && refusal->has != LINE_TYPE_NONE) {
        field_types_told(&hints->types, field_types_key(refusal->measurement, refusal->field),
                         refusal->has);
    }
}

static bool is_late(const struct salvage_hints *hints, int64_t oldest_ns)
{
    return hints->late_age_ns > 0 && oldest_ns <= hints->now_ns - hints->late_age_ns;
}

enum salvage_suspicion salvage_suspect(const struct salvage_hints *hints, struct mr_slice lines)
{
    bool conflict;
    int64_t oldest_ns = look_at(&hints->types, lines, &conflict);
    return is_late(hints, oldest_ns) ? SALVAGE_LATE : conflict ? SALVAGE_CONFLICT : SALVAGE_GOOD;
}

/* --- parts --- */

/* The units of the part with this mark come behind the others, all in their order. Returns how
 * many they are. */
static uint32_t move_behind(struct salvage *salvage, struct salvage_part part, unsigned char mark)
{
    uint32_t *order = salvage->order + part.begin;
    uint32_t kept = 0;
    uint32_t moved = 0;
    for (uint32_t i = 0; i < part.count; i++) {
        if (salvage->marks[order[i]] == mark) {
            salvage->scratch[moved++] = order[i];
        } else {
            order[kept++] = order[i];
        }
    }
    memcpy(order + kept, salvage->scratch, moved * sizeof *order);
    return moved;
}

static int take_memory(struct salvage *salvage, size_t count)
{
    char *memory = mem_alloc(count * (sizeof *salvage->parts + 2 * sizeof *salvage->order + 1));
    if (memory == NULL) {
        return MR_ENOMEM;
    }
    salvage->parts = (void *)memory;
    salvage->order = (void *)(memory + count * sizeof *salvage->parts);
    salvage->scratch = salvage->order + count;
    salvage->marks = (unsigned char *)(salvage->scratch + count);
    return 0;
}

int salvage_begin(struct salvage *salvage, struct salvage_hints *hints, struct mr_slice text,
                  const struct salvage_unit *units, size_t count)
{
    struct salvage_part all = {0, (uint32_t)count};
    uint32_t late;
    uint32_t conflict;
    *salvage = (struct salvage){.hints = hints, .text = text, .units = units, .count = count};
    assert(count > 0 && count <= UINT32_MAX);
    if (take_memory(salvage, count) != 0) {
        return MR_ENOMEM;
    }
    for (uint32_t i = 0; i < all.count; i++) {
        salvage->order[i] = i;
        salvage->marks[i] = (unsigned char)(units[i].suspicion != SALVAGE_UNKNOWN
                                                ? units[i].suspicion
                                                : salvage_suspect(hints, unit_lines(salvage, i)));
    }
    late = move_behind(salvage, all, SALVAGE_LATE);
    all.count -= late;
    push(salvage, all.count, late);
    conflict = move_behind(salvage, all, SALVAGE_CONFLICT);
    all.count -= conflict;
    push(salvage, all.count, conflict);
    push(salvage, 0, all.count);
    return 0;
}

void salvage_done(struct salvage *salvage)
{
    mem_free(salvage->parts);
    *salvage = (struct salvage){0};
}

const uint32_t *salvage_part(const struct salvage *salvage, size_t *ret_count)
{
    if (salvage->part_count == 0) {
        *ret_count = 0;
        return NULL;
    }
    *ret_count = present(salvage)->count;
    return salvage->order + present(salvage)->begin;
}

void salvage_stored(struct salvage *salvage)
{
    struct salvage_hints *hints = salvage->hints;
    const struct salvage_part *part = present(salvage);
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t unit = salvage->order[part->begin + i];
        struct mr_slice lines = unit_lines(salvage, unit);
        enum salvage_suspicion suspicion = salvage->units[unit].suspicion;
        /* What is as foreseen teaches nothing. */
        if (salvage->has_types || suspicion == SALVAGE_CONFLICT || suspicion == SALVAGE_UNKNOWN) {
            each_field(&hints->types, lines, field_types_stored);
        }
        if (hints->late_age_ns > 0 && suspicion != SALVAGE_GOOD) {
            int64_t oldest_ns = look_at(&hints->types, lines, NULL);
            hints->late_age_ns =
                is_late(hints, oldest_ns) ? hints->now_ns - oldest_ns + 1 : hints->late_age_ns;
        }
    }
    salvage->part_count--;
}

void salvage_over(struct salvage *salvage)
{
    (void)present(salvage);
    salvage->part_count--;
}

/* --- proofs --- */

static uint64_t lines_of(const struct salvage *salvage, const struct salvage_part *part)
{
    uint64_t lines = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        lines += salvage->units[salvage->order[part->begin + i]].lines;
    }
    return lines;
}

static void learn_late(struct salvage *salvage, const struct salvage_part *part)
{
    struct salvage_hints *hints = salvage->hints;
    for (uint32_t i = 0; i < part->count; i++) {
        struct mr_slice lines = unit_lines(salvage, salvage->order[part->begin + i]);
        int64_t oldest_ns = look_at(&hints->types, lines, NULL);
        /* Far from what an int64_t may overflow with, and never in the future. */
        int64_t age_ns =
            oldest_ns < 0 || oldest_ns >= hints->now_ns ? 0 : hints->now_ns - oldest_ns;
        if (age_ns > 0 && (hints->late_age_ns == 0 || age_ns < hints->late_age_ns)) {
            hints->late_age_ns = age_ns;
        }
    }
}

/* --- suspects --- */

static uint32_t mark_conflicts(struct salvage *salvage, const struct salvage_part *part)
{
    struct field_types *types = &salvage->hints->types;
    uint32_t marked = 0;
    for (uint32_t i = 0; i < part->count && !salvage->has_voted; i++) {
        each_field(types, unit_lines(salvage, salvage->order[part->begin + i]), field_types_vote);
    }
    /* Once: what is sent again is no other line. */
    salvage->has_voted = true;
    salvage->has_types = true;
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t unit = salvage->order[part->begin + i];
        bool conflict;
        (void)look_at(types, unit_lines(salvage, unit), &conflict);
        salvage->marks[unit] = conflict;
        marked += conflict;
    }
    return marked;
}

struct timed {
    int64_t ns; /* of the unit's oldest line */
    uint32_t unit;
};

static int compare_timed(const void *a, const void *b)
{
    const struct timed *one = a;
    const struct timed *other = b;
    return one->ns != other->ns ? (one->ns > other->ns) - (one->ns < other->ns)
                                : (one->unit > other->unit) - (one->unit < other->unit);
}

/* The part's units from the oldest on, to be freed with mem_free; NULL: no memory. */
static struct timed *by_time(const struct salvage *salvage, const struct salvage_part *part)
{
    struct timed *sorted = mem_alloc(part->count * sizeof *sorted);
    for (uint32_t i = 0; sorted != NULL && i < part->count; i++) {
        uint32_t unit = salvage->order[part->begin + i];
        sorted[i].ns = look_at(&salvage->hints->types, unit_lines(salvage, unit), NULL);
        sorted[i].unit = unit;
    }
    if (sorted != NULL) {
        qsort(sorted, part->count, sizeof *sorted, compare_timed);
    }
    return sorted;
}

/* The `dropped` units with the oldest lines: the server counts lines, so with several lines a unit
 * this may suspect too many. All of the same time are late together. Without memory nothing is
 * marked. */
static uint32_t mark_late(struct salvage *salvage, const struct salvage_part *part,
                          uint64_t dropped)
{
    struct timed *sorted = dropped == 0 ? NULL : by_time(salvage, part);
    uint32_t marked = 0;
    for (uint32_t i = 0; sorted != NULL && i < part->count; i++) {
        bool is_suspect = marked == i && (i < dropped || sorted[i].ns == sorted[i - 1].ns);
        salvage->marks[sorted[i].unit] = is_suspect;
        marked += is_suspect;
    }
    mem_free(sorted);
    return marked;
}

/* A server counts the conflicts of one shard: those of one time belong together. */
static void sort_by_time(struct salvage *salvage, const struct salvage_part *part)
{
    struct timed *sorted = by_time(salvage, part);
    for (uint32_t i = 0; sorted != NULL && i < part->count; i++) {
        salvage->order[part->begin + i] = sorted[i].unit;
    }
    mem_free(sorted);
}

/* "unable to parse 'LINE': why", a line each, in the order in which they were sent. */
static const char unparsable_quote[] = "unable to parse '";

/* Where the next quote begins in the words up to `end`, after what is quoted up to `at`; NULL:
 * there is none. Only the beginning of a line is one, so that nothing in a line is taken for it. */
static const char *next_quote(const char *at, const char *end)
{
    const char *line = memchr(at, '\n', (size_t)(end - at));
    return line != NULL && (size_t)(end - line) >= sizeof unparsable_quote &&
                   memcmp(line + 1, unparsable_quote, sizeof unparsable_quote - 1) == 0
               ? line + 1
               : NULL;
}

/* The units of which a line is quoted. `ret_lines`: how many lines are. */
static uint32_t mark_unparsable(struct salvage *salvage, const struct salvage_part *part,
                                struct mr_slice words, uint64_t *ret_lines)
{
    const char *end = words.ptr + words.len;
    const char *at = memmem(words.ptr, words.len, unparsable_quote, sizeof unparsable_quote - 1);
    uint32_t marked = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t unit = salvage->order[part->begin + i];
        struct mr_slice lines = unit_lines(salvage, unit);
        struct line_scan scan = {lines.ptr, lines.ptr + lines.len, false};
        salvage->marks[unit] = 0;
        while (at != NULL && scan.at < scan.end) {
            const char *begin = scan.at;
            const char *line_end = memchr(begin, '\n', (size_t)(scan.end - begin));
            size_t len = (size_t)((line_end == NULL ? scan.end : line_end) - begin);
            const char *quoted = at + sizeof unparsable_quote - 1;
            scan.at = begin + len + 1;
            if ((size_t)(end - quoted) > len + 1 && memcmp(quoted, begin, len) == 0 &&
                memcmp(quoted + len, "':", 2) == 0) {
                salvage->marks[unit] = 1;
                (*ret_lines)++;
                at = next_quote(quoted + len, end);
            }
        }
        marked += salvage->marks[unit];
    }
    return marked;
}

/* --- cuts --- */

static void halve(struct salvage *salvage, uint32_t begin, uint32_t count)
{
    uint32_t first = (count + 1) / 2;
    push(salvage, begin + first, count - first);
    push(salvage, begin, first);
}

static void halve_by_bytes(struct salvage *salvage, struct salvage_part part)
{
    uint64_t bytes = 0;
    uint64_t first_bytes = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < part.count; i++) {
        bytes += salvage->units[salvage->order[part.begin + i]].len;
    }
    while (first < part.count - 1 && (first == 0 || first_bytes < bytes / 2)) {
        first_bytes += salvage->units[salvage->order[part.begin + first]].len;
        first++;
    }
    push(salvage, part.begin + first, part.count - first);
    push(salvage, part.begin, first);
}

/* The rest is halved too if the suspects can't be all. */
static void cut(struct salvage *salvage, struct salvage_part part, uint32_t suspects,
                const struct influx_refusal *refusal)
{
    uint32_t rest = part.count - suspects;
    (void)move_behind(salvage, part, 1);
    push(salvage, part.begin + rest, suspects);
    if (refusal->dropped > suspects && rest > 1) {
        halve(salvage, part.begin, rest);
    } else {
        push(salvage, part.begin, rest);
    }
}

bool salvage_refused(struct salvage *salvage, const struct influx_refusal *refusal)
{
    struct salvage_part part = *present(salvage);
    uint64_t lines = lines_of(salvage, &part);
    uint64_t quoted = 0;
    uint32_t suspects = 0;
    bool is_proven = part.count == 1 || refusal->dropped == lines;
    salvage_learn(salvage->hints, refusal);
    if (refusal->kind == INFLUX_UNPARSABLE) {
        suspects = mark_unparsable(salvage, &part, refusal->words, &quoted);
        is_proven = is_proven || quoted == lines;
    } else if (refusal->kind == INFLUX_CONFLICT) {
        suspects = mark_conflicts(salvage, &part);
    } else if (refusal->kind == INFLUX_LATE && is_proven) {
        learn_late(salvage, &part);
    } else if (refusal->kind == INFLUX_LATE) {
        suspects = mark_late(salvage, &part, refusal->dropped);
    }
    if (is_proven) {
        return true;
    }
    salvage->part_count--;
    if (refusal->kind == INFLUX_TOO_LARGE) {
        halve_by_bytes(salvage, part);
    } else if (suspects > 0 && suspects < part.count) {
        cut(salvage, part, suspects, refusal);
    } else {
        if (refusal->kind == INFLUX_CONFLICT) {
            sort_by_time(salvage, &part);
        }
        halve(salvage, part.begin, part.count);
    }
    return false;
}

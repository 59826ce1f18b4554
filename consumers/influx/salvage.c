// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/salvage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/influx/point_groups.h"
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
                function(types, field_types_key(types, measurement, name), type);
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
                known = field_types_find(types, field_types_key(types, measurement, name));
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

/* Whether one of the lines has the field with the type that the server says. */
static bool has_field(const struct field_types *types, struct mr_slice lines, uint64_t field,
                      enum line_type sent)
{
    struct line_scan scan = {lines.ptr, lines.ptr + lines.len, false};
    while (scan.at < scan.end) {
        struct mr_slice measurement;
        struct mr_slice name;
        enum line_type type;
        line_scan_begin(&scan, mr_slice(scan.at, (size_t)(scan.end - scan.at)), &measurement);
        while (line_scan_field(&scan, &name, &type)) {
            if (type == sent && field_types_key(types, measurement, name) == field) {
                return true;
            }
        }
        (void)line_scan_end(&scan);
    }
    return false;
}

bool salvage_learn(struct salvage_hints *hints, const struct influx_refusal *refusal,
                   struct mr_slice lines)
{
    uint64_t field;
    hints->watch = SALVAGE_WATCH;
    if (refusal->kind != INFLUX_CONFLICT || refusal->has == LINE_TYPE_NONE ||
        refusal->sent == LINE_TYPE_NONE || refusal->sent == refusal->has) {
        return false;
    }
    field = field_types_key(&hints->types, refusal->measurement, refusal->field);
    if (!has_field(&hints->types, lines, field, refusal->sent)) {
        return false;
    }
    field_types_told(&hints->types, field, refusal->has);
    return true;
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

/* The units of the part with this mark come behind the others, all in their order, and with each of
 * them those that follow it in its group: of one point, what came later is stored later. Returns
 * how many they are. */
static uint32_t move_behind(struct salvage *salvage, struct salvage_part part, unsigned char mark)
{
    uint32_t *order = salvage->order + part.begin;
    uint32_t kept = 0;
    uint32_t moved = 0;
    for (uint32_t i = 0; i < part.count; i++) {
        unsigned char *has_moved = &salvage->has_moved[salvage->groups[order[i]]];
        if (salvage->marks[order[i]] == mark || *has_moved) {
            salvage->scratch[moved++] = order[i];
            *has_moved = 1;
        } else {
            order[kept++] = order[i];
        }
    }
    for (uint32_t i = 0; i < moved; i++) {
        salvage->has_moved[salvage->groups[salvage->scratch[i]]] = 0;
    }
    memcpy(order + kept, salvage->scratch, moved * sizeof *order);
    return moved;
}

static int take_memory(struct salvage *salvage, size_t count)
{
    char *memory = mem_alloc(count * (sizeof *salvage->parts + 3 * sizeof *salvage->order + 2));
    if (memory == NULL) {
        return MR_ENOMEM;
    }
    salvage->parts = (void *)memory;
    salvage->order = (void *)(memory + count * sizeof *salvage->parts);
    salvage->scratch = salvage->order + count;
    salvage->groups = salvage->scratch + count;
    salvage->marks = (unsigned char *)(salvage->groups + count);
    salvage->has_moved = salvage->marks + count;
    memset(salvage->has_moved, 0, count);
    return 0;
}

static struct mr_slice lines_of_unit(void *user, uint32_t unit)
{
    return unit_lines(user, unit);
}

/* Errors: MR_ENOMEM. */
static int make_groups(struct salvage *salvage)
{
    uint32_t count = (uint32_t)salvage->count;
    int rc = point_groups_make(salvage->hints->types.key, lines_of_unit, salvage, count,
                               salvage->groups);
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        salvage->has_groups = salvage->has_groups || salvage->groups[i] != i;
    }
    return rc;
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
    if (make_groups(salvage) != 0) {
        salvage_done(salvage);
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

/* A server counts the conflicts of one shard: those of one time belong together. But what writes
 * one point stays in its order. */
static void sort_by_time(struct salvage *salvage, const struct salvage_part *part)
{
    struct timed *sorted = salvage->has_groups ? NULL : by_time(salvage, part);
    for (uint32_t i = 0; sorted != NULL && i < part->count; i++) {
        salvage->order[part->begin + i] = sorted[i].unit;
    }
    mem_free(sorted);
}

/* --- quoted lines --- */

/* `unable to parse 'LINE': why`, a line each, in the order in which they were sent. A line may hold
 * all of these words, in its strings even with line breaks. So a quote is one only where the server
 * must have begun it: at the beginning, and behind the `why` of a quote that is, byte for byte, a
 * whole line of the request. */
struct quotes {
    struct mr_slice left; /* begins with a line; empty: there are no more */
    uint64_t found;
    bool has_other_words; /* behind them */
};

/* The line is the next that is quoted. */
static bool take_quote(struct quotes *quotes, struct mr_slice line)
{
    static const char again[] = "\nunable to parse '";
    struct mr_slice left = quotes->left;
    const char *end = left.ptr + left.len;
    const char *why;
    if (left.len < line.len + 2 || memcmp(left.ptr, line.ptr, line.len) != 0 ||
        memcmp(left.ptr + line.len, "':", 2) != 0) {
        return false;
    }
    quotes->found++;
    why = memchr(left.ptr + line.len, '\n', left.len - line.len);
    if (why == NULL) {
        quotes->left = mr_slice(end, 0);
        return true;
    }
    left = mr_slice(why, (size_t)(end - why));
    if (left.len < sizeof again - 1 || memcmp(left.ptr, again, sizeof again - 1) != 0) {
        quotes->has_other_words = true;
        quotes->left = mr_slice(end, 0);
        return true;
    }
    quotes->left = mr_slice(left.ptr + sizeof again - 1, left.len - (sizeof again - 1));
    return true;
}

static struct mr_slice next_line(struct line_scan *scan)
{
    const char *begin = scan->at;
    struct mr_slice name;
    enum line_type type;
    line_scan_begin(scan, mr_slice(begin, (size_t)(scan->end - begin)), &name);
    while (line_scan_field(scan, &name, &type)) {
    }
    (void)line_scan_end(scan);
    return mr_slice(begin, (size_t)(scan->at - begin) - (scan->at[-1] == '\n'));
}

/* `ret_all`: each line of the part is quoted, and nothing else is said. */
static uint32_t mark_unparsable(struct salvage *salvage, const struct salvage_part *part,
                                struct mr_slice words, bool *ret_all)
{
    struct quotes quotes = {.left = words};
    uint64_t lines = 0;
    uint32_t marked = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t unit = salvage->order[part->begin + i];
        struct mr_slice text = unit_lines(salvage, unit);
        struct line_scan scan = {text.ptr, text.ptr + text.len, false};
        salvage->marks[unit] = 0;
        for (; scan.at < scan.end; lines++) {
            salvage->marks[unit] |= take_quote(&quotes, next_line(&scan));
        }
        marked += salvage->marks[unit];
    }
    *ret_all = quotes.left.len == 0 && !quotes.has_other_words && quotes.found == lines &&
               lines == lines_of(salvage, part);
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

/* The suspects are those with the mark 1. The rest is halved too if they can't be all. False: there
 * is nothing to tell apart. */
static bool cut(struct salvage *salvage, struct salvage_part part,
                const struct influx_refusal *refusal)
{
    uint32_t suspects = move_behind(salvage, part, 1);
    uint32_t rest = part.count - suspects;
    if (suspects == 0 || rest == 0) {
        return false;
    }
    push(salvage, part.begin + rest, suspects);
    if (refusal->dropped > suspects && rest > 1) {
        halve(salvage, part.begin, rest);
    } else {
        push(salvage, part.begin, rest);
    }
    return true;
}

static bool learn(struct salvage *salvage, const struct salvage_part *part,
                  const struct influx_refusal *refusal)
{
    for (uint32_t i = 0; i < part->count; i++) {
        struct mr_slice lines = unit_lines(salvage, salvage->order[part->begin + i]);
        if (salvage_learn(salvage->hints, refusal, lines)) {
            return true;
        }
    }
    return false;
}

bool salvage_refused(struct salvage *salvage, const struct influx_refusal *refusal)
{
    struct salvage_part part = *present(salvage);
    bool is_counted = refusal->dropped == lines_of(salvage, &part);
    bool is_proven = part.count == 1 || is_counted;
    uint32_t suspects = 0;
    bool is_named = learn(salvage, &part, refusal);
    if (refusal->kind == INFLUX_UNPARSABLE) {
        bool all;
        suspects = mark_unparsable(salvage, &part, refusal->quotes, &all);
        is_proven = is_proven || all;
    } else if (refusal->kind == INFLUX_CONFLICT && is_named) {
        suspects = mark_conflicts(salvage, &part);
    } else if (refusal->kind == INFLUX_CONFLICT) {
        is_proven = part.count == 1; /* names that no line has: who knows whose words these are */
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
    } else if (suspects == 0 || !cut(salvage, part, refusal)) {
        if (refusal->kind == INFLUX_CONFLICT) {
            sort_by_time(salvage, &part);
        }
        halve(salvage, part.begin, part.count);
    }
    return false;
}

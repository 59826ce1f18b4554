// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/series_guard.h"

#include "consumers/influx/line_scan.h"
#include "kit/mem.h"

enum { SIZE_FIRST = 256, SHOWN_BYTES = 100 };

/* What a hash stands for, so that a tag and a field of one name are two. */
enum kind { KIND_MEASUREMENT = 1, KIND_TAG, KIND_TAG_VALUE, KIND_FIELD };

static size_t place(const struct guard_set *set, uint64_t member)
{
    size_t at = (size_t)(member >> 7) & (set->size - 1);
    while (set->members[at] != 0 && set->members[at] != member) {
        at = (at + 1) & (set->size - 1);
    }
    return at;
}

static void set_done(struct guard_set *set)
{
    mem_free(set->members);
    mem_free(set->counts);
    set->members = NULL;
    set->counts = NULL;
    set->size = 0;
    set->count = 0;
}

/* Twice the room. Errors: MR_ENOMEM, the set is as it was. */
static int grow(struct guard_set *set, bool has_counts)
{
    struct guard_set larger = {.size = set->size == 0 ? SIZE_FIRST : 2 * set->size,
                               .count = set->count,
                               .count_max = set->count_max};
    larger.members = mem_zalloc(larger.size * sizeof *larger.members);
    larger.counts = has_counts ? mem_zalloc(larger.size * sizeof *larger.counts) : NULL;
    if (larger.members == NULL || (has_counts && larger.counts == NULL)) {
        set_done(&larger);
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < set->size; i++) {
        if (set->members[i] != 0) {
            size_t at = place(&larger, set->members[i]);
            larger.members[at] = set->members[i];
            if (has_counts) {
                larger.counts[at] = set->counts[i];
            }
        }
    }
    mem_free(set->members);
    mem_free(set->counts);
    *set = larger;
    return 0;
}

static bool has(const struct guard_set *set, uint64_t member)
{
    return set->size > 0 && set->members[place(set, member)] == member;
}

/* Errors: MR_ENOMEM, MR_ELIMIT. */
static int add(struct guard_set *set, uint64_t member, bool has_counts, uint32_t **ret_count)
{
    size_t at;
    if (set->size == 0 || (!has(set, member) && 2 * (set->count + 1) > set->size)) {
        if (set->count >= set->count_max) {
            return MR_ELIMIT;
        }
        if (grow(set, has_counts) != 0) {
            return MR_ENOMEM;
        }
    }
    at = place(set, member);
    if (set->members[at] == 0) {
        if (set->count >= set->count_max) {
            return MR_ELIMIT;
        }
        set->members[at] = member;
        set->count++;
    }
    if (ret_count != NULL) {
        *ret_count = &set->counts[at];
    }
    return 0;
}

void series_guard_init(struct series_guard *guard, size_t tag_values_max, size_t names_max,
                       bool drop_tag, struct siphash_key key)
{
    *guard = (struct series_guard){.tag_values_max = tag_values_max,
                                   .names_max = names_max,
                                   .drop_tag = drop_tag,
                                   .key = key,
                                   .groups = {.count_max = GUARD_GROUPS_MAX},
                                   .names = {.count_max = GUARD_NAMES_MAX}};
}

void series_guard_done(struct series_guard *guard)
{
    set_done(&guard->groups);
    set_done(&guard->names);
}

static uint64_t hash(const struct series_guard *guard, uint64_t seed, enum kind kind,
                     struct mr_slice name)
{
    uint64_t value = line_hash(guard->key, seed + (uint64_t)kind, name);
    return value == 0 ? 1 : value;
}

/* One more member of a group, unless it is known. Errors: MR_ELIMIT, MR_ENOMEM. */
static int admit(struct series_guard *guard, uint64_t group, uint64_t member, size_t members_max)
{
    uint32_t *count;
    int rc;
    if (has(&guard->names, member)) {
        return 0;
    }
    rc = add(&guard->groups, group, true, &count);
    if (rc == 0 && *count >= members_max) {
        rc = MR_ELIMIT;
    }
    if (rc == 0) {
        rc = add(&guard->names, member, false, NULL);
    }
    if (rc == 0) {
        (*count)++;
    }
    return rc;
}

static int over(struct mr_error *err, int rc, const char *what, struct mr_slice name,
                const char *option, size_t limit)
{
    if (rc == MR_ENOMEM) {
        return mr_error_set(err, rc, "out of memory");
    }
    name.len = name.len > SHOWN_BYTES ? SHOWN_BYTES : name.len;
    return mr_error_set(err, rc, "%s %.*s is new, over %s (%zu)", what, MR_SLICE_ARG(name), option,
                        limit);
}

/* A line that is being checked. */
struct check {
    struct series_guard *guard;
    struct mr_buf *out;
    struct mr_error *err;
    bool changed;
};

static void keep(struct check *check, const char *begin, const char *end)
{
    if (check->guard->drop_tag) {
        (void)buf_add(check->out, begin, (size_t)(end - begin));
    }
}

/* Errors: as admit; with drop_tag the tag is left out of `out` instead. */
static int check_tags(struct check *check, struct line_scan *scan, uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    struct mr_slice key;
    struct mr_slice value;
    const char *begin = scan->at;
    for (; line_scan_tag(scan, &key, &value); begin = scan->at) {
        uint64_t tag = hash(guard, measurement, KIND_TAG, key);
        int rc =
            guard->tag_values_max == 0
                ? 0
                : admit(guard, tag, hash(guard, tag, KIND_TAG_VALUE, value), guard->tag_values_max);
        if (rc == MR_ELIMIT && guard->drop_tag) {
            check->changed = true;
            continue;
        }
        if (rc != 0) {
            return over(check->err, rc, "the tag value", value, "tag.limit", guard->tag_values_max);
        }
        keep(check, begin, scan->at);
    }
    return 0;
}

static int check_fields(struct check *check, struct line_scan *scan, uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    struct mr_slice name;
    enum line_type type;
    while (line_scan_field(scan, &name, &type)) {
        int rc = guard->names_max == 0
                     ? 0
                     : admit(guard, measurement, hash(guard, measurement, KIND_FIELD, name),
                             guard->names_max);
        if (rc != 0) {
            return over(check->err, rc, "the field", name, "name.limit", guard->names_max);
        }
    }
    return 0;
}

/* All measurements are one group, of the key 0. */
static int check_measurement(struct check *check, struct mr_slice name, uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    int rc = guard->names_max == 0 ? 0
                                   : admit(guard, hash(guard, 0, KIND_MEASUREMENT, mr_slice("", 0)),
                                           measurement, guard->names_max);
    return rc == 0 ? 0
                   : over(check->err, rc, "the measurement", name, "name.limit", guard->names_max);
}

/* A series or a set of fields that has passed as a whole; what is over a limit never gets in. */
static bool has_passed(const struct series_guard *guard, uint64_t whole)
{
    return guard->passed[(whole >> 20) % GUARD_PASSED] == whole;
}

static void note_passed(struct series_guard *guard, uint64_t whole)
{
    guard->passed[(whole >> 20) % GUARD_PASSED] = whole;
}

/* The measurement and the tags. */
static int check_series(struct check *check, struct line_scan *scan, struct mr_slice name,
                        uint64_t measurement)
{
    struct line_scan ahead = *scan;
    struct mr_slice key;
    struct mr_slice value;
    uint64_t whole;
    bool changed = check->changed;
    int rc;
    while (line_scan_tag(&ahead, &key, &value)) {
    }
    whole = hash(check->guard, measurement, KIND_TAG,
                 mr_slice(scan->at, (size_t)(ahead.at - scan->at)));
    if (has_passed(check->guard, whole)) {
        keep(check, name.ptr, ahead.at);
        *scan = ahead;
        return 0;
    }
    rc = check_measurement(check, name, measurement);
    if (rc != 0) {
        return rc;
    }
    check->changed = false;
    keep(check, name.ptr, name.ptr + name.len);
    rc = check_tags(check, scan, measurement);
    if (rc == 0 && !check->changed) {
        note_passed(check->guard, whole);
    }
    check->changed = check->changed || changed;
    return rc;
}

static int check_field_set(struct check *check, struct line_scan *scan, uint64_t measurement)
{
    struct line_scan ahead = *scan;
    struct mr_slice name;
    enum line_type type;
    uint64_t whole = measurement;
    int rc;
    while (line_scan_field(&ahead, &name, &type)) {
        whole = hash(check->guard, whole, KIND_FIELD, name);
    }
    if (has_passed(check->guard, whole)) {
        *scan = ahead;
        return 0;
    }
    rc = check_fields(check, scan, measurement);
    if (rc == 0) {
        note_passed(check->guard, whole);
    }
    return rc;
}

static int check_line(struct check *check, struct line_scan *scan)
{
    struct mr_slice name;
    const char *fields;
    uint64_t measurement;
    int rc;
    line_scan_begin(scan, mr_slice(scan->at, (size_t)(scan->end - scan->at)), &name);
    measurement = hash(check->guard, 0, KIND_MEASUREMENT, name);
    rc = check_series(check, scan, name, measurement);
    if (rc != 0) {
        return rc;
    }
    fields = scan->at;
    rc = check_field_set(check, scan, measurement);
    (void)line_scan_end(scan);
    keep(check, fields, scan->at);
    return rc;
}

enum guard_verdict series_guard_check(struct series_guard *guard, struct mr_slice lines,
                                      struct mr_buf *out, struct mr_error *err)
{
    struct check check = {guard, out, err, false};
    struct line_scan scan = {lines.ptr, lines.ptr + lines.len, false};
    buf_clear(out);
    if (guard->tag_values_max == 0 && guard->names_max == 0) {
        return GUARD_PASSES;
    }
    while (scan.at < scan.end) {
        int rc = check_line(&check, &scan);
        if (rc != 0) {
            return rc == MR_ENOMEM ? GUARD_NO_MEMORY : GUARD_OVER;
        }
    }
    if (!check.changed) {
        return GUARD_PASSES;
    }
    return buf_check(out, err) == 0 ? GUARD_CHANGED : GUARD_NO_MEMORY;
}

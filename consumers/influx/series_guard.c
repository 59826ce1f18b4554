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

/* Whether a name may pass. */
enum admission { ADMITTED, OVER_LIMIT, OVER_FULL, OVER_MEMORY };

static enum admission admission_of(int rc)
{
    return rc == 0 ? ADMITTED : rc == MR_ELIMIT ? OVER_FULL : OVER_MEMORY;
}

/* One more member of a group, unless it is known. */
static enum admission admit(struct series_guard *guard, uint64_t group, uint64_t member,
                            size_t members_max)
{
    uint32_t *count;
    int rc;
    if (members_max == 0 || has(&guard->names, member)) {
        return ADMITTED;
    }
    rc = add(&guard->groups, group, true, &count);
    if (rc != 0) {
        return admission_of(rc);
    }
    if (*count >= members_max) {
        return OVER_LIMIT;
    }
    rc = add(&guard->names, member, false, NULL);
    *count += rc == 0;
    return admission_of(rc);
}

/* A line that is being checked. */
struct check {
    struct series_guard *guard;
    struct mr_buf *out;
    struct mr_error *err;
    bool changed;
    bool is_full; /* what was changed was so because the guard is full */
};

/* `verdict` is that of OVER_LIMIT. */
static enum guard_verdict over(const struct check *check, enum admission admission,
                               enum guard_verdict verdict, const char *what, struct mr_slice name)
{
    bool is_tag = verdict == GUARD_OVER_TAG;
    name.len = name.len > SHOWN_BYTES ? SHOWN_BYTES : name.len;
    switch (admission) {
        case ADMITTED:
            return GUARD_PASSES;
        case OVER_LIMIT:
            (void)mr_error_set(check->err, MR_ELIMIT, "%s %.*s is new, over %s (%zu)", what,
                               MR_SLICE_ARG(name), is_tag ? "tag.limit" : "name.limit",
                               is_tag ? check->guard->tag_values_max : check->guard->names_max);
            return verdict;
        case OVER_FULL:
            (void)mr_error_set(check->err, MR_ELIMIT,
                               "%s %.*s is new, and the memory for names is full (%zu names of "
                               "%d, %zu tags and measurements of %d)",
                               what, MR_SLICE_ARG(name), check->guard->names.count, GUARD_NAMES_MAX,
                               check->guard->groups.count, GUARD_GROUPS_MAX);
            return GUARD_OVER_FULL;
        default:
            (void)mr_error_set(check->err, MR_ENOMEM, "out of memory");
            return GUARD_NO_MEMORY;
    }
}

static void keep(struct check *check, const char *begin, const char *end)
{
    if (check->guard->drop_tag) {
        (void)buf_add(check->out, begin, (size_t)(end - begin));
    }
}

/* With drop_tag a tag that isn't admitted is left out of `out` instead. */
static enum guard_verdict check_tags(struct check *check, struct line_scan *scan,
                                     uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    struct mr_slice key;
    struct mr_slice value;
    const char *begin = scan->at;
    for (; line_scan_tag(scan, &key, &value); begin = scan->at) {
        uint64_t tag = hash(guard, measurement, KIND_TAG, key);
        enum admission admission =
            admit(guard, tag, hash(guard, tag, KIND_TAG_VALUE, value), guard->tag_values_max);
        if (guard->drop_tag && (admission == OVER_LIMIT || admission == OVER_FULL)) {
            check->changed = true;
            check->is_full = check->is_full || admission == OVER_FULL;
            continue;
        }
        if (admission != ADMITTED) {
            return over(check, admission, GUARD_OVER_TAG, "the tag value", value);
        }
        keep(check, begin, scan->at);
    }
    return GUARD_PASSES;
}

static enum guard_verdict check_fields(struct check *check, struct line_scan *scan,
                                       uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    struct mr_slice name;
    enum line_type type;
    while (line_scan_field(scan, &name, &type)) {
        enum admission admission =
            admit(guard, measurement, hash(guard, measurement, KIND_FIELD, name), guard->names_max);
        if (admission != ADMITTED) {
            return over(check, admission, GUARD_OVER_NAME, "the field", name);
        }
    }
    return GUARD_PASSES;
}

/* All measurements are one group, of the key 0. */
static enum guard_verdict check_measurement(struct check *check, struct mr_slice name,
                                            uint64_t measurement)
{
    struct series_guard *guard = check->guard;
    uint64_t all = hash(guard, 0, KIND_MEASUREMENT, mr_slice("", 0));
    return over(check, admit(guard, all, measurement, guard->names_max), GUARD_OVER_NAME,
                "the measurement", name);
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
static enum guard_verdict check_series(struct check *check, struct line_scan *scan,
                                       struct mr_slice name, uint64_t measurement)
{
    struct line_scan ahead = *scan;
    uint64_t whole = hash(check->guard, measurement, KIND_TAG, line_scan_tags(&ahead));
    bool changed = check->changed;
    enum guard_verdict verdict;
    if (has_passed(check->guard, whole)) {
        keep(check, name.ptr, ahead.at);
        *scan = ahead;
        return GUARD_PASSES;
    }
    verdict = check_measurement(check, name, measurement);
    if (verdict != GUARD_PASSES) {
        return verdict;
    }
    check->changed = false;
    keep(check, name.ptr, name.ptr + name.len);
    verdict = check_tags(check, scan, measurement);
    if (verdict == GUARD_PASSES && !check->changed) {
        note_passed(check->guard, whole);
    }
    check->changed = check->changed || changed;
    return verdict;
}

static enum guard_verdict check_field_set(struct check *check, struct line_scan *scan,
                                          uint64_t measurement)
{
    struct line_scan ahead = *scan;
    struct mr_slice name;
    enum line_type type;
    uint64_t whole;
    struct siphash hash;
    enum guard_verdict verdict;
    siphash_begin(&hash, check->guard->key);
    siphash_word(&hash, measurement + (uint64_t)KIND_FIELD);
    while (line_scan_field(&ahead, &name, &type)) {
        siphash_text(&hash, name.ptr, name.len);
    }
    whole = siphash_end(&hash, 0, 0);
    if (has_passed(check->guard, whole)) {
        *scan = ahead;
        return GUARD_PASSES;
    }
    verdict = check_fields(check, scan, measurement);
    if (verdict == GUARD_PASSES) {
        note_passed(check->guard, whole);
    }
    return verdict;
}

/* The line of this measurement, behind which `scan` stands. */
static enum guard_verdict check_line(struct check *check, struct line_scan *scan,
                                     struct mr_slice name)
{
    uint64_t measurement = hash(check->guard, 0, KIND_MEASUREMENT, name);
    enum guard_verdict verdict = check_series(check, scan, name, measurement);
    const char *fields = scan->at;
    if (verdict != GUARD_PASSES) {
        return verdict;
    }
    verdict = check_field_set(check, scan, measurement);
    line_scan_skip(scan);
    keep(check, fields, scan->at);
    return verdict;
}

enum guard_verdict series_guard_check(struct series_guard *guard, struct mr_slice lines,
                                      struct mr_buf *out, struct mr_error *err)
{
    struct check check = {.guard = guard, .out = out, .err = err};
    struct line_scan scan;
    struct mr_slice name;
    buf_clear(out);
    if (guard->tag_values_max == 0 && guard->names_max == 0) {
        return GUARD_PASSES;
    }
    line_scan_lines(&scan, lines);
    while (line_scan_next(&scan, &name)) {
        enum guard_verdict verdict = check_line(&check, &scan, name);
        if (verdict != GUARD_PASSES) {
            return verdict;
        }
    }
    if (!check.changed) {
        return GUARD_PASSES;
    }
    if (buf_check(out, err) != 0) {
        return GUARD_NO_MEMORY;
    }
    return check.is_full ? GUARD_CUT_FULL : GUARD_CUT_TAG;
}

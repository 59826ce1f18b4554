// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/field_names.h"

#include <assert.h>
#include <string.h>

#include "consumers/influx/line_protocol.h"
#include "kit/hash.h"

enum { SUFFIX_BYTES_MAX = 16, NO_NAME = UINT16_MAX, KEPT_BYTES_MAX = 64 * 1024 };

static const struct mr_slice reserved[] = {MR_SLICE_INIT("time"), MR_SLICE_INIT("application"),
                                           MR_SLICE_INIT("device")};

void field_names_init(struct field_names *names)
{
    memset(names, 0, sizeof *names);
    buf_init(&names->text, (size_t)FIELDS_MAX * (LINE_NAME_BYTES_MAX + SUFFIX_BYTES_MAX));
    names->generation = 1;
}

void field_names_done(struct field_names *names)
{
    buf_done(&names->text);
}

/* The set is empty, and its slots are free. */
static void forget(struct field_names *names)
{
    names->generation++;
    if (names->generation == 0) {
        memset(names->generations, 0, sizeof names->generations);
        names->generation = 1;
    }
    buf_clear(&names->text);
}

void field_names_clear(struct field_names *names)
{
    names->last_count = names->count;
    names->count = 0;
    if (names->text.failed != 0 || names->text.capacity > KEPT_BYTES_MAX) {
        buf_done(&names->text);
        names->last_count = 0;
    }
    if (names->last_count == 0) {
        forget(names);
    }
}

/* A payload made for collisions costs at most FIELDS_MAX comparisons a field. */
static uint32_t hash_of(struct mr_slice name)
{
    return hash_fnv1a(HASH_FNV1A_BASIS, name);
}

static struct mr_slice name_at(const struct field_names *names, unsigned index)
{
    const struct field_name *name = &names->names[index];
    return mr_slice(names->text.ptr + name->begin, name->len);
}

/* The slot of `name`, or the free slot where it belongs. */
static unsigned find_slot(const struct field_names *names, struct mr_slice name, uint32_t hash)
{
    unsigned slot = hash % FIELD_SLOTS;
    while (names->generations[slot] == names->generation) {
        unsigned index = names->slots[slot];
        if (names->names[index].hash == hash && mr_slice_is(name_at(names, index), name)) {
            break;
        }
        slot = (slot + 1) % FIELD_SLOTS;
    }
    return slot;
}

/* The name that ends the text from `begin` on becomes part of the set, unless it is in it: then
 * its index is returned. */
static unsigned insert(struct field_names *names, uint32_t begin)
{
    struct mr_slice name = mr_slice(names->text.ptr + begin, names->text.len - begin);
    uint32_t hash = hash_of(name);
    unsigned slot = find_slot(names, name, hash);
    assert(names->count < FIELDS_MAX);
    if (names->generations[slot] == names->generation) {
        return names->slots[slot];
    }
    names->names[names->count] = (struct field_name){hash, begin, (uint32_t)name.len, 0, false};
    names->generations[slot] = names->generation;
    names->slots[slot] = (uint16_t)names->count;
    names->count++;
    return NO_NAME;
}

/* Try name_2, name_3, ... Every number is tried once for a name, since names never leave the set:
 * a thousand repetitions cost a thousand steps, not their square. */
static int insert_repetition(struct field_names *names, unsigned index, uint32_t begin)
{
    struct field_name *name = &names->names[index];
    size_t len = names->text.len;
    if (name->suffix == 0) {
        name->suffix = 1;
    }
    do {
        names->text.len = len;
        name->suffix++;
        if (buf_addf(&names->text, "_%u", name->suffix) != 0) {
            return names->text.failed;
        }
    } while (insert(names, begin) != NO_NAME);
    return 0;
}

/* The next name is that of the point before, and needs nothing done: it is in the set. */
static bool is_as_before(const struct field_names *names, struct mr_slice name)
{
    return names->count < names->last_count && names->names[names->count].is_plain &&
           mr_slice_is(name_at(names, names->count), name);
}

/* From here on the names are others: the set is made of those that the point has had. */
static void leave_before(struct field_names *names)
{
    uint32_t count = names->count;
    names->last_count = 0;
    names->count = 0;
    forget(names);
    for (uint32_t i = 0; i < count; i++) {
        names->text.len += names->names[i].len;
        (void)insert(names, names->names[i].begin);
        names->names[i].is_plain = true;
    }
}

static int clean(struct field_names *names, struct mr_slice name)
{
    int rc = line_clean(LINE_FIELD, name, &names->text);
    for (size_t i = 0; i < MR_COUNT_OF(reserved); i++) {
        if (mr_slice_is(name, reserved[i])) {
            rc = buf_add_char(&names->text, '_');
        }
    }
    return rc;
}

int field_names_add(struct field_names *names, struct mr_slice name, struct mr_slice *ret_name,
                    struct mr_error *err)
{
    uint32_t begin;
    unsigned index;
    if (is_as_before(names, name)) {
        *ret_name = name_at(names, names->count++);
        return 0;
    }
    if (names->last_count > 0) {
        leave_before(names);
    }
    if (names->count == FIELDS_MAX) {
        return mr_error_set(err, MR_ELIMIT, "more than %d fields", FIELDS_MAX);
    }
    if (name.len > LINE_NAME_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a field name of %zu bytes, over %d", name.len,
                            LINE_NAME_BYTES_MAX);
    }
    begin = (uint32_t)names->text.len;
    if (clean(names, name) != 0) {
        return buf_check(&names->text, err);
    }
    index = insert(names, begin);
    if (index != NO_NAME && insert_repetition(names, index, begin) != 0) {
        return buf_check(&names->text, err);
    }
    *ret_name = name_at(names, names->count - 1);
    names->names[names->count - 1].is_plain =
        index == NO_NAME && ret_name->len == name.len && line_is_plain(LINE_FIELD, name);
    return 0;
}

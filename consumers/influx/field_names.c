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

void field_names_clear(struct field_names *names)
{
    buf_clear(&names->text);
    if (names->text.capacity > KEPT_BYTES_MAX) {
        buf_done(&names->text);
    }
    names->count = 0;
    names->generation++;
    if (names->generation == 0) {
        memset(names->generations, 0, sizeof names->generations);
        names->generation = 1;
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
    names->names[names->count] = (struct field_name){hash, begin, (uint32_t)name.len, 0};
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
    uint32_t begin = (uint32_t)names->text.len;
    unsigned index;
    if (names->count == FIELDS_MAX) {
        return mr_error_set(err, MR_ELIMIT, "more than %d fields", FIELDS_MAX);
    }
    if (name.len > LINE_NAME_BYTES_MAX) {
        return mr_error_set(err, MR_ELIMIT, "a field name of %zu bytes, over %d", name.len,
                            LINE_NAME_BYTES_MAX);
    }
    if (clean(names, name) != 0) {
        return buf_check(&names->text, err);
    }
    index = insert(names, begin);
    if (index != NO_NAME && insert_repetition(names, index, begin) != 0) {
        return buf_check(&names->text, err);
    }
    *ret_name = mr_slice(names->text.ptr + begin, names->text.len - begin);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "consumers/influx/field_types.h"

#include <stddef.h>

enum { VOTES_MAX = 1000, VOTES_STORED = 10 /* what was stored counts more than what was not */ };

uint64_t field_types_key(const struct field_types *types, struct mr_slice measurement,
                         struct mr_slice field)
{
    uint64_t key = line_hash(types->key, line_hash(types->key, 0, measurement), field);
    return key == 0 ? 1 : key;
}

static const struct field_type *find(const struct field_types *types, uint64_t field)
{
    const struct field_type *set = types->entries[(field >> 20) % FIELD_TYPES_SETS];
    for (size_t i = 0; i < FIELD_TYPES_WAYS; i++) {
        if (set[i].field == field) {
            return &set[i];
        }
    }
    return NULL;
}

/* Its entry, or one that is made free for it. */
static struct field_type *entry(struct field_types *types, uint64_t field)
{
    struct field_type *set = types->entries[(field >> 20) % FIELD_TYPES_SETS];
    struct field_type *least = &set[0];
    for (size_t i = 0; i < FIELD_TYPES_WAYS; i++) {
        if (set[i].field == field) {
            return &set[i];
        }
        if (set[i].votes < least->votes) {
            least = &set[i];
        }
    }
    *least = (struct field_type){.field = field};
    return least;
}

enum line_type field_types_find(const struct field_types *types, uint64_t field)
{
    const struct field_type *found = find(types, field);
    return found == NULL ? LINE_TYPE_NONE : (enum line_type)found->type;
}

/* The majority, in one pass and without memory of the others (Boyer and Moore). */
static void vote(struct field_type *one, enum line_type type, uint32_t votes)
{
    if (one->type == (uint8_t)type) {
        one->votes = one->votes + votes > VOTES_MAX ? VOTES_MAX : one->votes + votes;
    } else if (one->votes > votes) {
        one->votes -= votes;
    } else {
        one->type = (uint8_t)type;
        one->votes = votes;
        one->is_told = false;
    }
}

void field_types_vote(struct field_types *types, uint64_t field, enum line_type type)
{
    struct field_type *one = entry(types, field);
    if (!one->is_told) {
        vote(one, type, 1);
    }
}

void field_types_stored(struct field_types *types, uint64_t field, enum line_type type)
{
    vote(entry(types, field), type, VOTES_STORED);
}

void field_types_told(struct field_types *types, uint64_t field, enum line_type type)
{
    struct field_type *one = entry(types, field);
    one->type = (uint8_t)type;
    one->votes = VOTES_MAX;
    one->is_told = true;
}

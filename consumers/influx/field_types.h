// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_FIELD_TYPES_H
#define INFLUX_FIELD_TYPES_H

/* Which type a field of a measurement has on the server, as far as is known: what the server said,
 * what it has stored, else what most lines have. A table of fixed size: a new field takes the place
 * of the one that is believed least. What it says is a hint, never a proof: names are kept as
 * hashes, and a server may hold a type for each of its shards. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "consumers/influx/line_scan.h"

enum { FIELD_TYPES_SETS = 1024, FIELD_TYPES_WAYS = 4 };

struct field_type {
    uint64_t field; /* 0: free */
    uint32_t votes;
    uint8_t type; /* enum line_type */
    bool is_told; /* by the server: votes of lines don't change it */
};

struct field_types {
    struct siphash_key key; /* the owner's to set, before anything else */
    struct field_type entries[FIELD_TYPES_SETS][FIELD_TYPES_WAYS];
};

/* The field's key. Names with or without escapes. */
uint64_t field_types_key(const struct field_types *types, struct mr_slice measurement,
                         struct mr_slice field);

/* LINE_TYPE_NONE: nothing is known. */
enum line_type field_types_find(const struct field_types *types, uint64_t field);

/* A line that may be good or bad has it so. */
void field_types_vote(struct field_types *types, uint64_t field, enum line_type type);

/* The server has stored it so. */
void field_types_stored(struct field_types *types, uint64_t field, enum line_type type);

/* The server said that it has it so. */
void field_types_told(struct field_types *types, uint64_t field, enum line_type type);

#endif

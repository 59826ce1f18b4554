// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_FIELD_NAMES_H
#define INFLUX_FIELD_NAMES_H

/* The field names of one point, each once. InfluxDB accepts a name that is given twice and loses
 * one of the values, so a repeated name is written as name_2, name_3, ...: the first that is free,
 * in the order of the payload. Memory is kept from point to point, and so are the names: as long as
 * a point has those of the one before, in the same order, they are only compared. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/slice.h>

#include "kit/buf.h"

enum {
    FIELDS_MAX = 1000, /* of one point */
    FIELD_SLOTS = 2048,
};

struct field_name {
    uint32_t hash;
    uint32_t begin, len; /* in `text` */
    uint32_t suffix;     /* the last one given to a repetition of this name; 0: none */
    bool is_plain;       /* is what it was made of, and stands so in a line */
};

struct field_names {
    struct mr_buf text; /* the names one after another, clean, without escapes */
    struct field_name names[FIELDS_MAX];
    uint32_t count;
    uint32_t last_count;               /* of the point before; 0: this one has other names */
    uint32_t generation;               /* of the point: a slot of an older one is free */
    uint32_t generations[FIELD_SLOTS]; /* open addressing, linear */
    uint16_t slots[FIELD_SLOTS];       /* index into `names` */
};

void field_names_init(struct field_names *names);
void field_names_done(struct field_names *names);

/* Forget the names: a new point begins. */
void field_names_clear(struct field_names *names);

/* Take `name` (a path in the payload, any bytes) into the set: cleaned, with '_' appended if it is
 * reserved (`time`, which InfluxDB drops without a word, and the tags' own `application` and
 * `device`), with a suffix if it is taken. `ret_name` lives until the next call.
 * Errors: MR_ELIMIT (FIELDS_MAX, LINE_NAME_BYTES_MAX), MR_ENOMEM. */
int field_names_add(struct field_names *names, struct mr_slice name, struct mr_slice *ret_name,
                    struct mr_error *err);

/* Whether the name that was added last needs no escapes in a line. */
static inline bool field_names_is_plain(const struct field_names *names)
{
    return names->names[names->count - 1].is_plain;
}

#endif

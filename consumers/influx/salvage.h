// SPDX-License-Identifier: Apache-2.0
#ifndef INFLUX_SALVAGE_H
#define INFLUX_SALVAGE_H

/* A refused request, sent again in parts until every good point is stored and every bad one stands
 * alone, or among others that are proven to be as bad. Pure: lines and answers in, what to send
 * next out.
 *
 * A unit is what stands or falls together: the lines of one delivery. It is dead if one of them is
 * refused; the others of it may be stored then, which is harmless: a replay writes them again.
 *
 * A part is proven
 *   good  by 204
 *   bad   if it is one unit, or if the answer says dropped= all of its lines where no text of a
 *         device can stand, or quotes each of them, byte for byte and in order, as unparsable
 * Otherwise it is cut in two: the suspects and the rest; without a suspect into halves. Suspects
 * are picked by what the server said (field and type, unparsable lines, how many are late: those
 * with the oldest times) and by the types that fields are known to have. A wrong suspicion costs
 * requests, never a point. Of two events that are the same point to InfluxDB the later wins: what
 * shares a point with an earlier suspect stays behind it.
 *
 * Bound: n units with b bad ones make less than 2b log2(n/b) + 4b + 1 requests, and never more than
 * 2n - 1; with suspicions that hit, one for the rest and one for each kind of bad ones. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumers/influx/field_types.h"
#include "consumers/influx/influx_answer.h"

enum { SALVAGE_WATCH = 1000 }; /* requests after a refusal that are looked through for suspects */

/* Whether to keep a unit out of a request with others. */
enum salvage_suspicion { SALVAGE_UNKNOWN, SALVAGE_GOOD, SALVAGE_CONFLICT, SALVAGE_LATE };

struct salvage_unit {
    uint32_t offset; /* of its lines in the text, each with its line break */
    uint32_t len;
    uint32_t lines;
    enum salvage_suspicion suspicion; /* SALVAGE_UNKNOWN: to be looked at */
};

/* What salvages have taught; shared by all of them. All zero at first. */
struct salvage_hints {
    struct field_types types;
    int64_t late_age_ns; /* what is older was refused as late; 0: nothing was */
    int64_t now_ns;      /* wall clock; the caller's to set */
    unsigned watch;      /* requests to be looked through */
};

/* Remember what a refusal says of a field's type, and look through the next requests. False: it
 * says nothing of a field of these lines. */
bool salvage_learn(struct salvage_hints *hints, const struct influx_refusal *refusal,
                   struct mr_slice lines);

/* Never SALVAGE_UNKNOWN. */
enum salvage_suspicion salvage_suspect(const struct salvage_hints *hints, struct mr_slice lines);

struct salvage_part {
    uint32_t begin;
    uint32_t count;
};

struct salvage {
    struct salvage_hints *hints;
    struct mr_slice text;
    const struct salvage_unit *units;
    size_t count;
    /* One piece of memory for the six; `count` members each. */
    struct salvage_part *parts; /* a stack: the last is sent next */
    uint32_t *order;            /* of units; each part is a run of it */
    uint32_t *scratch;
    uint32_t *groups;         /* the first unit with which a unit shares points */
    unsigned char *marks;     /* of the present part's units */
    unsigned char *has_moved; /* of groups, while units move */
    bool has_groups;          /* units share points */
    size_t part_count;
    bool has_voted;
    bool has_types; /* a conflict was answered: what is stored teaches types */
};

/* All units are one part, less what salvage_suspect says of them, in parts of their own. Borrows
 * the first three to salvage_done. At least one unit. Errors: MR_ENOMEM. */
int salvage_begin(struct salvage *salvage, struct salvage_hints *hints, struct mr_slice text,
                  const struct salvage_unit *units, size_t count);
void salvage_done(struct salvage *salvage);

/* The units to send now; NULL: all is proven. They stay the same until one of the next two. */
const uint32_t *salvage_part(const struct salvage *salvage, size_t *ret_count);

/* The part was stored, or was taken away by its owner; it is over. */
void salvage_stored(struct salvage *salvage);

/* The part was refused. True: all of its units are proven bad; call salvage_over when they are
 * settled. False: it was cut, go on with salvage_part. */
bool salvage_refused(struct salvage *salvage, const struct influx_refusal *refusal);
void salvage_over(struct salvage *salvage);

#endif

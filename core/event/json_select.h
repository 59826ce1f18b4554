// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_JSON_SELECT_H
#define EVENT_JSON_SELECT_H

/* Many paths, one pass: the paths of a section are a tree; the payload is scanned once, and what a
 * path selects is noted as a slice of the payload. The whole payload is checked to be strict JSON.
 * Pure; nothing is allocated once the memory has grown to what payloads need.
 *
 * A value on one of the paths, or on the way to it, that is given twice (two members of one name)
 * is an error: which one would count depends on the reader. Members that no path goes through may
 * repeat. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

#include "event/json_path.h"
#include "event/json_scan.h"
#include "kit/buf.h"

enum {
    JSON_SELECT_NODES_MAX = 8192,
    JSON_SELECT_ELEMENTS_MAX = 10000, /* of `each` in one payload */
};

/* What a path selects. `token` is JSON_SCAN_END if there is no such value; of an object or array
 * only that. */
struct json_value {
    struct mr_slice raw; /* as struct json_scan's */
    uint8_t token;       /* enum json_token */
    bool has_escapes;
};

struct json_node {
    uint8_t kind;         /* enum json_step_kind; of the root: none */
    bool is_element;      /* under [*] */
    bool has_negative;    /* a child counts from the end */
    uint16_t first, next; /* children and siblings; 0: none */
    uint16_t parent;
    uint16_t names; /* of the children, how many have one */
    int32_t slot;   /* -1: no path ends here */
    int64_t index;
    uint32_t name_at, name_len; /* in the tree's text */
    uint32_t path_at, path_len; /* as it was written, for messages */
};

struct json_select {
    struct json_node *nodes; /* the first is the root, `$` */
    unsigned count;
    unsigned capacity;
    uint16_t *table; /* nodes by parent and name: open addressing, linear; 0: free */
    unsigned table_size;
    struct mr_buf text;
    unsigned slots;         /* of the payload */
    unsigned element_slots; /* of each element */
    uint16_t each;          /* the node of [*]; 0: none */
    uint16_t each_array;    /* the array that it is of */
};

/* Errors: MR_ENOMEM. */
int json_select_init(struct json_select *select);
void json_select_done(struct json_select *select);

/* The array whose elements `@` stands for; once, before any path with `@`. Errors: MR_ENOMEM,
 * MR_ELIMIT. */
int json_select_each(struct json_select *select, const struct json_path *path,
                     struct mr_error *err);

/* Add a path; one that is there already keeps its slot. Slots of `@` paths count by themselves.
 * Errors: MR_EINVAL (`@` without an array), MR_ENOMEM, MR_ELIMIT. */
int json_select_add(struct json_select *select, const struct json_path *path, unsigned *ret_slot,
                    struct mr_error *err);

struct json_level {
    uint32_t first, count; /* of the nodes that this object or array is, in `active` */
    bool is_array;
    int64_t index;  /* of the next element */
    int64_t length; /* -1: not counted */
};

/* What one payload held; used again for the next, with any tree. */
struct json_selection {
    struct json_value *values; /* by slot */
    size_t value_capacity;
    struct json_value *element_values; /* element by element, by slot */
    size_t element_capacity;
    size_t elements;
    bool each_is_array; /* the array of [*] was there, and was one */
    uint64_t *seen;     /* by node: when it was last met */
    uint16_t *active;
    size_t node_capacity;
    uint64_t now, begin, element_begin;
    struct json_level levels[JSON_DEPTH_MAX + 1];
    struct mr_buf name;
};

void json_selection_init(struct json_selection *selection);
void json_selection_done(struct json_selection *selection);

/* Errors: MR_EFORMAT (not JSON: line and column; or given twice: which path), MR_ELIMIT
 * (JSON_SELECT_ELEMENTS_MAX), MR_ENOMEM. What was found is undefined then. */
int json_select_run(const struct json_select *select, struct mr_slice json,
                    struct json_selection *selection, struct mr_error *err);

#endif

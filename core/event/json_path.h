// SPDX-License-Identifier: Apache-2.0
#ifndef EVENT_JSON_PATH_H
#define EVENT_JSON_PATH_H

/* JSONPath, as far as it selects one value at most: RFC 9535 "singular-query" (2.3.5.1), `$.a.b[0]`
 * and `$['odd name'][-1]`. Blanks stand only inside brackets, since one between two steps ends our
 * source. Two things are added: `@` in front for a path that begins at an element, and, if allowed,
 * `[*]` as the last step. Pure, no allocation. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/slice.h>

enum {
    JSON_PATH_STEPS_MAX = 32,
    JSON_PATH_BYTES_MAX = 2048, /* of the path as it is written */
};

enum json_step_kind {
    JSON_STEP_NAME,
    JSON_STEP_INDEX, /* negative: from the end, -1 is the last */
    JSON_STEP_EACH,  /* [*] */
};

struct json_step {
    enum json_step_kind kind;
    uint32_t name_at, name_len; /* in the path's names */
    int64_t index;
    uint32_t end; /* of the path's text: up to here with this step */
};

struct json_path {
    bool is_element;      /* begins with '@' */
    struct mr_slice text; /* as it is written, borrowed */
    struct json_step steps[JSON_PATH_STEPS_MAX];
    unsigned count;
    char names[JSON_PATH_BYTES_MAX]; /* with their escapes resolved */
    uint32_t names_len;
};

/* Read the path at the beginning of `text`, up to a blank outside of brackets or the end.
 * `is_each`: it must end with `[*]`, which is refused otherwise. `ret_path`'s `text` tells how long
 * it is. Errors: MR_EFORMAT, MR_ELIMIT; the text says at which character, counted from 1. */
int json_path_parse(struct mr_slice text, bool is_each, struct json_path *ret_path,
                    struct mr_error *err);

static inline struct mr_slice json_path_name(const struct json_path *path,
                                             const struct json_step *step)
{
    return mr_slice(path->names + step->name_at, step->name_len);
}

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef DIALECTS_JSON_MEMBERS_H
#define DIALECTS_JSON_MEMBERS_H

/* The members of a JSON object that a dialect knows, read by a table; what it doesn't know is
 * stepped over, so only its own members are refused when they are given twice or are of a wrong
 * type. A null counts as absent. */

#include "bridge/http/dialects/draft.h"

enum json_kind {
    JSON_STRING,
    JSON_INTEGER, /* 0 to `max`, written without fraction and exponent */
    JSON_NUMBER,  /* at most JSON_NUMBER_BYTES_MAX, within a double */
    JSON_BOOLEAN,
    JSON_OBJECT,  /* of the shape `inside` */
    JSON_OBJECTS, /* an array of them */
    JSON_STRINGS, /* an array of strings */
};

enum { JSON_NUMBER_BYTES_MAX = 32 };

struct json_member {
    const char *name;
    const char *path; /* names it in a refusal */
    enum json_kind kind;
    unsigned value; /* its place among the values */
    int64_t max;
    const struct json_shape *inside;
};

enum { JSON_MEMBERS_MAX = 32 }; /* of one shape */

struct json_shape {
    const struct json_member *members;
    unsigned count;
};

/* Initialisers of a member and a shape. */
#define JSON_STRING_AT(at, name_, path_)                                     \
    {                                                                        \
        .name = (name_), .path = (path_), .kind = JSON_STRING, .value = (at) \
    }
#define JSON_INTEGER_AT(at, name_, path_, max_)                                              \
    {                                                                                        \
        .name = (name_), .path = (path_), .kind = JSON_INTEGER, .value = (at), .max = (max_) \
    }
#define JSON_NUMBER_AT(at, name_, path_)                                     \
    {                                                                        \
        .name = (name_), .path = (path_), .kind = JSON_NUMBER, .value = (at) \
    }
#define JSON_BOOLEAN_AT(at, name_, path_)                                     \
    {                                                                         \
        .name = (name_), .path = (path_), .kind = JSON_BOOLEAN, .value = (at) \
    }
#define JSON_NESTED_AT(at, kind_, name_, path_, inside_)                                      \
    {                                                                                         \
        .name = (name_), .path = (path_), .kind = (kind_), .value = (at), .inside = (inside_) \
    }
#define JSON_SHAPE(members_)              \
    {                                     \
        (members_), MR_COUNT_OF(members_) \
    }

struct json_value {
    bool is_set;
    bool boolean;
    int64_t integer;
    double number;
    struct mr_slice raw;       /* of strings and numbers, as written */
    struct draft_span escaped; /* set if the string had escapes: what it says */
};

/* What came. `each` is called after each item of an array (`of` is the array's place) with the
 * item's members (the array's own place, for strings) in `values`; these are absent again then. */
struct json_values {
    struct json_value *values;
    void (*each)(void *user, unsigned of, const struct json_value *values);
    void *user;
};

/* `text` must be one JSON object. `what` names it. Values must be absent (zero) before. Returns 0,
 * or -1 once the refusal is written. Strings with escapes are decoded into draft->text. */
int json_read(struct draft *draft, const char *what, struct mr_slice text,
              const struct json_shape *shape, const struct json_values *ret_values);

/* A string; absent if it didn't come. Valid until something is decoded. */
struct mr_slice json_string_of(const struct draft *draft, const struct json_value *value);

#endif

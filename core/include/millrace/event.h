// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_EVENT_H
#define MILLRACE_EVENT_H

/* A CloudEvents 1.0.2 event: attributes, checked as the specification says, and data as the bytes
 * that came. An event belongs to one thread at a time. Its strings live as long as the event (or
 * until mr_event_clear); the data is borrowed and must outlive the event's use of it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <millrace/error.h>
#include <millrace/macros.h>
#include <millrace/slice.h>

enum {
    MR_EVENT_ATTRIBUTES_MAX = 128,             /* context attributes of one event, extensions too */
    MR_EVENT_NAME_BYTES_MAX = 64,              /* of one attribute's name */
    MR_EVENT_ATTRIBUTES_BYTES_MAX = 64 * 1024, /* of all names and values together */
};

/* CloudEvents 1.0.2, "Type System". URI, URI-reference and Timestamp attributes are strings whose
 * form is checked by the attribute's name. */
enum mr_value_type {
    MR_VALUE_BOOLEAN,
    MR_VALUE_INTEGER, /* -2147483648 to 2147483647 */
    MR_VALUE_STRING,  /* UTF-8 without control characters, noncharacters and surrogates */
    MR_VALUE_BINARY,
};

struct mr_attribute {
    struct mr_slice name; /* lower-case ASCII letters and digits */
    enum mr_value_type type;
    bool boolean;          /* MR_VALUE_BOOLEAN */
    int32_t integer;       /* MR_VALUE_INTEGER */
    struct mr_slice bytes; /* MR_VALUE_STRING, MR_VALUE_BINARY */
};

struct mr_event;

/* Errors: NULL when out of memory. mr_event_free takes NULL. */
MR_API struct mr_event *mr_event_new(void);
MR_API void mr_event_free(struct mr_event *event);

/* Forget all attributes and the data; a few KiB of memory are kept for the next use. */
MR_API void mr_event_clear(struct mr_event *event);

/* Set an attribute, replacing one of the same name. `name` and `value` are copied; what was
 * replaced is given back by mr_event_clear only, so the copies of one life are bounded too (1 MiB).
 * `id`, `source`, `specversion` (only "1.0"), `type`, `datacontenttype`, `dataschema` (absolute
 * URI), `subject` and `time` (RFC 3339) must be strings, non-empty, and are checked for their form.
 * Errors: MR_EFORMAT (name or value breaks the specification: the text says how), MR_ELIMIT,
 * MR_ENOMEM. The event is unchanged then. */
MR_API int mr_event_set(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                        struct mr_error *err);
MR_API int mr_event_set_integer(struct mr_event *event, struct mr_slice name, int32_t value,
                                struct mr_error *err);
MR_API int mr_event_set_boolean(struct mr_event *event, struct mr_slice name, bool value,
                                struct mr_error *err);
MR_API int mr_event_set_binary(struct mr_event *event, struct mr_slice name, struct mr_slice value,
                               struct mr_error *err);

/* The data, borrowed. An absent slice (ptr NULL) means no data; a length of 0 means empty data. */
MR_API void mr_event_set_data(struct mr_event *event, struct mr_slice data);
MR_API struct mr_slice mr_event_data(const struct mr_event *event);

/* The attributes in the order in which they were first set. A struct mr_attribute, from here or
 * from mr_event_find, may move when another is set; the bytes it points to stay. */
MR_API size_t mr_event_count(const struct mr_event *event);
MR_API const struct mr_attribute *mr_event_at(const struct mr_event *event, size_t index);

/* NULL if the event has no such attribute. */
MR_API const struct mr_attribute *mr_event_find(const struct mr_event *event, struct mr_slice name);

/* The value of a string attribute; absent (ptr NULL) if missing or of another type. */
MR_API struct mr_slice mr_event_string(const struct mr_event *event, const char *name);

/* The canonical string of a value (CloudEvents 1.0.2, "Type System"): true|false, decimal digits,
 * the string itself, base64. It points into the attribute or into the event's memory: each call for
 * an integer or binary takes some until mr_event_clear. Errors: MR_ENOMEM. */
MR_API int mr_event_canonical(struct mr_event *event, const struct mr_attribute *attribute,
                              struct mr_slice *ret_text, struct mr_error *err);

/* All required attributes are there: id, source, specversion, type.
 * Errors: MR_ENOTEVENT, the text names every missing one. */
MR_API int mr_event_check(const struct mr_event *event, struct mr_error *err);

/* What a bridge knows of a device: extensions `application` and `device`, `source` =
 * /application/device (each part percent-encoded), `subject` = the channel. All three must be
 * non-empty CloudEvents strings. Errors: MR_EFORMAT, MR_ELIMIT, MR_ENOMEM. The event may have some
 * of these attributes then. */
MR_API int mr_event_from_device(struct mr_event *event, struct mr_slice application,
                                struct mr_slice device, struct mr_slice channel,
                                struct mr_error *err);

/* Set what is required or usual and still missing: `id` a new UUIDv7, `time` now (UTC,
 * nanoseconds), `type` MR_EVENT_TYPE, `specversion` 1.0; then mr_event_check. Errors: MR_ELIMIT,
 * MR_ENOMEM, MR_ENOTEVENT (only `source` can be missing). The event may have some or all of what
 * was to be set then; calling again goes on with the rest. */
#define MR_EVENT_TYPE "io.millrace.event.v1"
MR_API int mr_event_complete(struct mr_event *event, struct mr_error *err);

#endif

// SPDX-License-Identifier: Apache-2.0
#ifndef DIALECTS_DRAFT_H
#define DIALECTS_DRAFT_H

/* One request on its way to an event: what the dialects share. Functions return 0, or -1 once the
 * refusal is written. `what` names the part of the request in it. */

#include <millrace/error.h>
#include <millrace/macros.h>

#include "bridge/http/dialects/dialect.h"
#include "kit/buf.h"

struct draft {
    const struct dialect_request *request;
    struct mr_event *event;
    struct refusal *refusal;
    struct mr_buf text; /* decoded and composed values, each at its place */
};

/* A value in draft->text, which moves while it grows. */
struct draft_span {
    size_t begin;
    size_t len;
    bool is_set;
};

struct draft_parameter {
    const char *name;
    struct draft_span value;
};

/* Who sent an event, as the request says. */
struct draft_sender {
    struct mr_slice application; /* absent: the authenticated one, else "default" */
    struct mr_slice device;      /* absent: the authenticated one, else refused with `missing` */
    struct mr_slice as;          /* the device that `device` speaks for; absent: itself */
    struct mr_slice channel;
    const char *missing;
    const char *as_what; /* names the part that says `as`; NULL: "as" */
};

/* `text_bytes_max` bounds what is decoded and composed. */
void draft_init(struct draft *draft, const struct dialect_request *request, struct mr_event *event,
                struct refusal *refusal, size_t text_bytes_max);
void draft_done(struct draft *draft);

/* dialect->read by `fill`, which returns what `read` does: 0 is DIALECT_EVENT. */
int draft_run(const struct dialect_request *request, struct mr_event *event,
              struct refusal *refusal, size_t text_bytes_max, int (*fill)(struct draft *draft));

/* Always -1. */
int draft_refuse(struct draft *draft, int status, const char *format, ...) MR_PRINTF(3, 4);
int draft_refuse_error(struct draft *draft, const char *what, const struct mr_error *err);

/* Percent-decode `raw` onto the end of draft->text; "+" is a space with `plus_is_space`. */
int draft_decode(struct draft *draft, const char *what, struct mr_slice raw, bool plus_is_space,
                 struct draft_span *ret_span);

/* Append what a quoted string says; `quoted` begins with a quote. A backslash stands before any
 * character (RFC 7230 3.2.6) or, without `any_escape`, only before a quote and a backslash (RFC
 * 8941 3.3.3). */
int draft_unquote(struct draft *draft, const char *what, struct mr_slice quoted, bool any_escape,
                  struct draft_span *ret_span);

/* Absent if the span isn't set. Valid until something is decoded. */
struct mr_slice draft_slice(const struct draft *draft, struct draft_span span);

/* `path` up to its first slash, and what is behind it: absent if there is no slash. */
void draft_split(struct mr_slice *path, struct mr_slice *ret_rest);

/* Not empty, and a CloudEvents string (UTF-8 without control characters). */
int draft_check_text(struct draft *draft, const char *what, struct mr_slice text);

/* The known parameters of the query; others are ignored, one given twice or empty is refused. */
int draft_read_query(struct draft *draft, struct draft_parameter *parameters, size_t count);

/* At most one header of the name; `ret_value` is absent if there is none. */
int draft_get_header(struct draft *draft, const char *name, struct mr_slice *ret_value);

/* An attribute of the event. */
int draft_set(struct draft *draft, const char *what, const char *name, struct mr_slice value);
int draft_set_integer(struct draft *draft, const char *what, const char *name, int32_t value);
int draft_set_boolean(struct draft *draft, const char *what, const char *name, bool value);

/* Of a 403, with the name of what names the device. */
#define DRAFT_MAY_NOT_SPEAK "%s: this device may not speak for that one"

/* Nobody speaks for another application than its own: if one is authenticated, `application` must
 * be that one's, else 403. */
int draft_check_application(struct draft *draft, const char *what, struct mr_slice application);

/* application, device, gateway, source and subject. What is authenticated wins: a device's own name
 * counts, whatever the request says; one that may speak for others (identity.h) is `gateway` of the
 * device that the request names. 403: a device asks for another with `as`, or one that may speak
 * for others names one that isn't among them, by whatever way. */
int draft_set_sender(struct draft *draft, const struct draft_sender *sender);

/* `id` from the header Idempotency-Key, a string of RFC 8941 or plain; without it nothing is set.
 */
int draft_set_id(struct draft *draft);

/* `time` from the header ce-time or, if it isn't absent, `from_query`. Two that differ are refused.
 */
int draft_set_time(struct draft *draft, struct mr_slice from_query);

/* The extension `model` from ?model_id=; nothing if absent. */
int draft_set_model(struct draft *draft, struct mr_slice model);

/* `dataschema` from ?data_schema=, an absolute URI; nothing if absent. */
int draft_set_schema(struct draft *draft, struct mr_slice schema);

/* The content is the data, byte for byte. datacontenttype: Content-Type; without it
 * application/json if it is JSON, else application/octet-stream. */
int draft_set_content(struct draft *draft);

/* The query of a dialect whose content is anything; DRAFT_OWN is the parameter that it alone has.
 */
enum draft_plain {
    DRAFT_APPLICATION,
    DRAFT_AS,
    DRAFT_DATA_SCHEMA,
    DRAFT_TIME,
    DRAFT_OWN,
    DRAFT_PARAMETERS
};

/* An event of such a dialect; `set_sender` sets what its path says. */
int draft_fill_plain(struct draft *draft, const char *own,
                     int (*set_sender)(struct draft *draft,
                                       const struct draft_parameter *parameters));

#endif

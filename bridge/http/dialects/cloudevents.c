// SPDX-License-Identifier: Apache-2.0
/* The CloudEvents 1.0.2 HTTP protocol binding: POST /events. Content-Type says the mode ["3. HTTP
 * Message Mapping"]: structured (application/cloudevents+json, +avro), batched
 * (application/cloudevents-batch+json), else binary (headers ce-*). The event says itself what it
 * is and where it comes from; only `time` may be added. docs/millrace-http-dialects.md. */
#include <string.h>

#include "bridge/http/dialects/draft.h"
#include "bridge/http/identity/speaks_for.h"
#include "event/content_mode.h"
#include "event/format_avro.h"
#include "event/format_json.h"
#include "kit/ascii.h"

#define PATH  "/events"
#define TAKEN EVENT_JSON_MEDIA_TYPE ", " EVENT_AVRO_MEDIA_TYPE " or " EVENT_JSON_BATCH_MEDIA_TYPE

enum {
    /* A value, unquoted and then decoded, neither of which makes it longer. */
    TEXT_BYTES_MAX = 2 * MR_EVENT_ATTRIBUTES_BYTES_MAX,
    HEADER_NAME_BYTES_MAX = 3 + MR_EVENT_NAME_BYTES_MAX, /* "ce-" and the name */
};

/* --- who sent it --- */

/* Unless somebody is authenticated, `application` and `device` are what the event says, if it says
 * them. What is proven wins, also over a `gateway` that the event claims. */
static int set_sender(struct draft *draft)
{
    const struct identity *identity = &draft->request->identity;
    struct identity_sender sender;
    bool has_gateway = mr_event_find(draft->event, MR_SLICE("gateway")) != NULL;
    if (!identity_is_known(identity)) {
        return 0;
    }
    if (!speaks_for_sender(identity, mr_event_string(draft->event, "device"), false, &sender)) {
        return draft_refuse(draft, 403, DRAFT_MAY_NOT_SPEAK, "device");
    }
    if (sender.gateway.ptr == NULL && has_gateway) {
        sender.gateway = identity->device; /* it has spoken for itself */
    }
    if (draft_set(draft, "application", "application", sender.application) != 0 ||
        draft_set(draft, "device", "device", sender.device) != 0) {
        return -1;
    }
    return sender.gateway.ptr == NULL ? 0 : draft_set(draft, "gateway", "gateway", sender.gateway);
}

/* --- binary mode --- */

/* ["3.1.3.2. HTTP Header Values"] First quotes, then percent-encoding, each undone once. The result
 * lives until the next value. */
static int decode_value(struct draft *draft, const char *what, struct mr_slice raw,
                        struct mr_slice *ret_value)
{
    struct draft_span span;
    struct mr_slice value = raw;
    if (raw.len > MR_EVENT_ATTRIBUTES_BYTES_MAX) {
        return draft_refuse(draft, 400, "%s: more than %d bytes", what,
                            MR_EVENT_ATTRIBUTES_BYTES_MAX);
    }
    buf_clear(&draft->text);
    if (raw.len > 0 && raw.ptr[0] == '"') {
        /* Room for both forms, so that the first stays where it is. */
        if (buf_reserve(&draft->text, 2 * raw.len) != 0) {
            return draft_refuse(draft, 503, "out of memory");
        }
        if (draft_unquote(draft, what, raw, true, &span) != 0) {
            return -1;
        }
        value = draft_slice(draft, span);
    }
    if (value.len > 0 && memchr(value.ptr, '%', value.len) != NULL) {
        if (draft_decode(draft, what, value, false, &span) != 0) {
            return -1;
        }
        value = draft_slice(draft, span);
    }
    *ret_value = value;
    return 0;
}

/* One header ce-*. */
static int set_attribute(struct draft *draft, struct mr_slice header, struct mr_slice raw)
{
    char what[HEADER_NAME_BYTES_MAX + 1];
    struct mr_slice value;
    if (header.len > HEADER_NAME_BYTES_MAX) {
        return draft_refuse(draft, 400,
                            "header ce-...: the attribute's name has more than %d bytes",
                            MR_EVENT_NAME_BYTES_MAX);
    }
    for (size_t i = 0; i < header.len; i++) {
        what[i] = ascii_lower(header.ptr[i]);
    }
    what[header.len] = '\0';
    if (strcmp(what, "ce-datacontenttype") == 0) {
        return draft_refuse(draft, 400, "%s: must not be there; Content-Type says it", what);
    }
    if (mr_event_find(draft->event, mr_slice_of(what + 3)) != NULL) {
        return draft_refuse(draft, 400, "%s: given twice", what);
    }
    if (decode_value(draft, what, raw, &value) != 0) {
        return -1;
    }
    return draft_set(draft, what, what + 3, value);
}

static int set_attributes(struct draft *draft)
{
    const struct dialect_request *request = draft->request;
    struct mr_slice name;
    struct mr_slice value;
    for (unsigned i = 0; request->header_at(request->from, i, &name, &value); i++) {
        if (ascii_begins_with(name, MR_SLICE("ce-")) && set_attribute(draft, name, value) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ["3.1. Binary Content Mode"] HTTP can't tell no data from empty data: without a Content-Type no
 * content is no data. */
static int read_binary(struct draft *draft, struct mr_slice type)
{
    struct mr_slice body = draft->request->body;
    struct mr_error err;
    if (set_attributes(draft) != 0) {
        return -1;
    }
    if (mr_event_count(draft->event) == 0) {
        return draft_refuse(draft, 400,
                            "no event: expected the headers ce-id, ce-source, ce-specversion and "
                            "ce-type, or a Content-Type of " TAKEN);
    }
    if (type.ptr != NULL && draft_set(draft, "Content-Type", "datacontenttype", type) != 0) {
        return -1;
    }
    if (mr_event_check(draft->event, &err) != 0) {
        return draft_refuse_error(draft, "headers ce-...", &err);
    }
    mr_event_set_data(draft->event, type.ptr == NULL && body.len == 0 ? mr_slice(NULL, 0) : body);
    return set_sender(draft);
}

/* --- structured and batched mode --- */

static int read_json(struct draft *draft, struct mr_slice text)
{
    struct mr_error err;
    if (event_json_decode(text, draft->event, &err) != 0) {
        return draft_refuse_error(draft, EVENT_JSON_MEDIA_TYPE, &err);
    }
    return set_sender(draft);
}

static int read_avro(struct draft *draft)
{
    struct mr_error err;
    if (event_avro_decode(draft->request->body, draft->event, &err) != 0) {
        return draft_refuse_error(draft, EVENT_AVRO_MEDIA_TYPE, &err);
    }
    return set_sender(draft);
}

/* Of enum dialect_result. */
static int read_element(struct draft *draft, struct dialect_cursor *cursor)
{
    struct mr_slice text;
    struct mr_error err;
    if (!cursor->is_begun) {
        event_json_batch_init(&cursor->batch, draft->request->body);
        cursor->is_begun = true;
    }
    if (event_json_batch_next(&cursor->batch, &text, &err) != 0) {
        return draft_refuse_error(draft, EVENT_JSON_BATCH_MEDIA_TYPE, &err);
    }
    if (text.ptr == NULL) {
        return DIALECT_END;
    }
    cursor->next++;
    return read_json(draft, text);
}

/* --- the whole --- */

static int fill(struct draft *draft)
{
    struct mr_slice type;
    if (draft_get_header(draft, "Content-Type", &type) != 0) {
        return -1;
    }
    switch (content_mode_of(type)) {
        case CONTENT_DATA:
            return read_binary(draft, type);
        case CONTENT_JSON:
            return read_json(draft, draft->request->body);
        case CONTENT_AVRO:
            return read_avro(draft);
        default:
            return draft_refuse(draft, 415,
                                "Content-Type: expected " TAKEN
                                ", or another type of data with the headers ce-...");
    }
}

static bool is_mine(struct mr_slice path)
{
    return mr_slice_is(path, MR_SLICE(PATH));
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    return draft_run(request, event, ret_refusal, TEXT_BYTES_MAX, fill);
}

static bool is_batch(const struct dialect_request *request)
{
    unsigned count;
    struct mr_slice type = request->header(request->from, "Content-Type", &count);
    return count == 1 && content_mode_of(type) == CONTENT_BATCH;
}

static int read_next(const struct dialect_request *request, struct dialect_cursor *cursor,
                     struct mr_event *event, struct refusal *ret_refusal)
{
    struct draft draft;
    int rc;
    draft_init(&draft, request, event, ret_refusal, TEXT_BYTES_MAX);
    rc = read_element(&draft, cursor);
    draft_done(&draft);
    return rc;
}

const struct dialect dialect_cloudevents = {
    .is_mine = is_mine,
    .read = read_request,
    .is_batch = is_batch,
    .read_next = read_next,
};

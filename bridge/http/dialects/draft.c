// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/dialects/draft.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bridge/http/identity/speaks_for.h"
#include "event/check.h"
#include "event/json_scan.h"
#include "event/percent.h"
#include "event/timestamp.h"
#include "kit/slice.h"

void draft_init(struct draft *draft, const struct dialect_request *request, struct mr_event *event,
                struct refusal *refusal, size_t text_bytes_max)
{
    *draft = (struct draft){.request = request, .event = event, .refusal = refusal};
    refusal->headers = NULL;
    refusal->retry_after_ms = 0;
    buf_init(&draft->text, text_bytes_max);
}

void draft_done(struct draft *draft)
{
    buf_done(&draft->text);
}

int draft_run(const struct dialect_request *request, struct mr_event *event,
              struct refusal *refusal, size_t text_bytes_max, int (*fill)(struct draft *draft))
{
    struct draft draft;
    int rc;
    draft_init(&draft, request, event, refusal, text_bytes_max);
    rc = fill(&draft);
    draft_done(&draft);
    return rc;
}

int draft_refuse(struct draft *draft, int status, const char *format, ...)
{
    va_list args;
    draft->refusal->status = status;
    va_start(args, format);
    (void)vsnprintf(draft->refusal->detail, sizeof draft->refusal->detail, format, args);
    va_end(args);
    return -1;
}

int draft_refuse_error(struct draft *draft, const char *what, const struct mr_error *err)
{
    if (err->code == MR_ENOMEM) {
        return draft_refuse(draft, 503, "out of memory");
    }
    return draft_refuse(draft, 400, "%s: %.400s", what, err->text);
}

int draft_set(struct draft *draft, const char *what, const char *name, struct mr_slice value)
{
    struct mr_error err;
    if (mr_event_set(draft->event, mr_slice_of(name), value, &err) != 0) {
        return draft_refuse_error(draft, what, &err);
    }
    return 0;
}

int draft_set_integer(struct draft *draft, const char *what, const char *name, int32_t value)
{
    struct mr_error err;
    if (mr_event_set_integer(draft->event, mr_slice_of(name), value, &err) != 0) {
        return draft_refuse_error(draft, what, &err);
    }
    return 0;
}

int draft_set_boolean(struct draft *draft, const char *what, const char *name, bool value)
{
    struct mr_error err;
    if (mr_event_set_boolean(draft->event, mr_slice_of(name), value, &err) != 0) {
        return draft_refuse_error(draft, what, &err);
    }
    return 0;
}

int draft_decode(struct draft *draft, const char *what, struct mr_slice raw, bool plus_is_space,
                 struct draft_span *ret_span)
{
    struct mr_error err;
    size_t begin = draft->text.len;
    if (percent_decode(raw, plus_is_space, &draft->text, &err) != 0) {
        return draft_refuse_error(draft, what, &err);
    }
    *ret_span = (struct draft_span){.begin = begin, .len = draft->text.len - begin, .is_set = true};
    return 0;
}

int draft_unquote(struct draft *draft, const char *what, struct mr_slice quoted, bool any_escape,
                  struct draft_span *ret_span)
{
    struct mr_buf *text = &draft->text;
    size_t begin = text->len;
    size_t i = 1;
    while (i < quoted.len && quoted.ptr[i] != '"') {
        if (quoted.ptr[i] == '\\') {
            i++;
            if (i == quoted.len || (!any_escape && quoted.ptr[i] != '"' && quoted.ptr[i] != '\\')) {
                return draft_refuse(draft, 400, "%s: a malformed quoted string", what);
            }
        }
        (void)buf_add_char(text, quoted.ptr[i]);
        i++;
    }
    if (text->failed != 0) {
        return draft_refuse(draft, 503, "out of memory");
    }
    if (i + 1 != quoted.len) {
        return draft_refuse(draft, 400, "%s: a malformed quoted string", what);
    }
    *ret_span = (struct draft_span){.begin = begin, .len = text->len - begin, .is_set = true};
    return 0;
}

struct mr_slice draft_slice(const struct draft *draft, struct draft_span span)
{
    if (!span.is_set) {
        return mr_slice(NULL, 0);
    }
    return span.len == 0 ? MR_SLICE("") : mr_slice(draft->text.ptr + span.begin, span.len);
}

void draft_split(struct mr_slice *path, struct mr_slice *ret_rest)
{
    const char *slash = path->len == 0 ? NULL : memchr(path->ptr, '/', path->len);
    *ret_rest = mr_slice(NULL, 0);
    if (slash != NULL) {
        size_t len = (size_t)(slash - path->ptr);
        *ret_rest = mr_slice(slash + 1, path->len - len - 1);
        path->len = len;
    }
}

int draft_check_text(struct draft *draft, const char *what, struct mr_slice text)
{
    if (text.len == 0) {
        return draft_refuse(draft, 400, "%s: must not be empty", what);
    }
    if (!check_string(text)) {
        return draft_refuse(draft, 400, "%s: must be UTF-8 without control characters", what);
    }
    return 0;
}

/* --- the query --- */

static struct draft_parameter *find_parameter(struct draft_parameter *parameters, size_t count,
                                              struct mr_slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (mr_slice_is(name, mr_slice_of(parameters[i].name))) {
            return &parameters[i];
        }
    }
    return NULL;
}

static int read_parameter(struct draft *draft, struct draft_parameter *parameters, size_t count,
                          struct mr_slice name, struct mr_slice value)
{
    struct draft_span decoded;
    struct draft_parameter *parameter;
    if (draft_decode(draft, "the name of a query parameter", name, true, &decoded) != 0) {
        return -1;
    }
    parameter = find_parameter(parameters, count, draft_slice(draft, decoded));
    if (parameter == NULL) {
        return 0; /* not ours */
    }
    if (parameter->value.is_set) {
        return draft_refuse(draft, 400, "%s: given twice", parameter->name);
    }
    if (draft_decode(draft, parameter->name, value, true, &parameter->value) != 0) {
        return -1;
    }
    return draft_check_text(draft, parameter->name, draft_slice(draft, parameter->value));
}

int draft_read_query(struct draft *draft, struct draft_parameter *parameters, size_t count)
{
    struct mr_slice left = draft->request->query;
    while (left.len > 0) {
        struct mr_slice value = slice_cut(&left, '&');
        struct mr_slice name = slice_cut(&value, '=');
        if (read_parameter(draft, parameters, count, name, value) != 0) {
            return -1;
        }
    }
    return 0;
}

int draft_get_header(struct draft *draft, const char *name, struct mr_slice *ret_value)
{
    unsigned count;
    *ret_value = draft->request->header(draft->request->from, name, &count);
    return count > 1 ? draft_refuse(draft, 400, "%s: given twice", name) : 0;
}

/* --- the sender --- */

static int resolve_open(struct draft *draft, const struct draft_sender *sender,
                        struct identity_sender *ret_names)
{
    bool is_for_another = sender->as.ptr != NULL && !mr_slice_is(sender->as, sender->device);
    if (sender->device.ptr == NULL && sender->as.ptr == NULL) {
        return draft_refuse(draft, 400, "%s", sender->missing);
    }
    ret_names->application =
        sender->application.ptr != NULL ? sender->application : MR_SLICE("default");
    ret_names->device = sender->as.ptr != NULL ? sender->as : sender->device;
    ret_names->gateway = is_for_another ? sender->device : mr_slice(NULL, 0);
    return 0;
}

static int resolve_known(struct draft *draft, const struct draft_sender *sender,
                         struct identity_sender *ret_names)
{
    bool is_asked = sender->as.ptr != NULL;
    struct mr_slice device = is_asked ? sender->as : sender->device;
    const char *what = !is_asked ? "device" : sender->as_what != NULL ? sender->as_what : "as";
    if (!speaks_for_sender(&draft->request->identity, device, is_asked, ret_names)) {
        return draft_refuse(draft, 403, DRAFT_MAY_NOT_SPEAK, what);
    }
    return 0;
}

int draft_check_application(struct draft *draft, const char *what, struct mr_slice application)
{
    const struct identity *identity = &draft->request->identity;
    if (identity_is_known(identity) && !mr_slice_is(application, identity->application)) {
        return draft_refuse(draft, 403, "%s: not the one that is authenticated", what);
    }
    return 0;
}

static int check_names(struct draft *draft, const struct identity_sender *names)
{
    if (names->application.len > IDENTITY_NAME_BYTES_MAX ||
        names->device.len > IDENTITY_NAME_BYTES_MAX ||
        names->gateway.len > IDENTITY_NAME_BYTES_MAX) {
        return draft_refuse(draft, 400, "application and device: at most %d bytes each",
                            IDENTITY_NAME_BYTES_MAX);
    }
    return 0;
}

int draft_set_sender(struct draft *draft, const struct draft_sender *sender)
{
    struct mr_error err;
    struct identity_sender names;
    int rc = identity_is_known(&draft->request->identity) ? resolve_known(draft, sender, &names)
                                                          : resolve_open(draft, sender, &names);
    if (rc != 0 || check_names(draft, &names) != 0) {
        return -1;
    }
    if (mr_event_from_device(draft->event, names.application, names.device, sender->channel,
                             &err) != 0) {
        return draft_refuse_error(draft, "application, device and channel", &err);
    }
    return names.gateway.ptr == NULL ? 0 : draft_set(draft, "gateway", "gateway", names.gateway);
}

/* --- id, time and content --- */

int draft_set_id(struct draft *draft)
{
    struct mr_slice id;
    struct draft_span plain = {0};
    if (draft_get_header(draft, "Idempotency-Key", &id) != 0) {
        return -1;
    }
    if (id.ptr == NULL) {
        return 0; /* it gets a new one */
    }
    if (id.len > DIALECT_ID_BYTES_MAX) {
        return draft_refuse(draft, 400, "Idempotency-Key: more than %d bytes",
                            DIALECT_ID_BYTES_MAX);
    }
    if (id.len > 0 && id.ptr[0] == '"') {
        if (draft_unquote(draft, "Idempotency-Key", id, false, &plain) != 0) {
            return -1;
        }
        id = draft_slice(draft, plain);
    }
    if (draft_check_text(draft, "Idempotency-Key", id) != 0) {
        return -1;
    }
    return draft_set(draft, "Idempotency-Key", "id", id);
}

int draft_set_time(struct draft *draft, struct mr_slice from_query)
{
    struct mr_slice time;
    if (draft_get_header(draft, "ce-time", &time) != 0) {
        return -1;
    }
    if (time.ptr != NULL && from_query.ptr != NULL && !mr_slice_is(time, from_query)) {
        return draft_refuse(draft, 400, "time: ?time= and the header ce-time differ");
    }
    if (time.ptr == NULL) {
        time = from_query;
    }
    if (time.ptr == NULL) {
        return 0; /* it gets the time of now */
    }
    if (!timestamp_is_valid(time)) {
        return draft_refuse(
            draft, 400,
            "time: expected RFC 3339, for example 2026-01-31T08:00:00.5Z (in ?time= a + is "
            "written %%2B)");
    }
    return draft_set(draft, "time", "time", time);
}

int draft_set_model(struct draft *draft, struct mr_slice model)
{
    return model.ptr == NULL ? 0 : draft_set(draft, "model_id", "model", model);
}

int draft_set_schema(struct draft *draft, struct mr_slice schema)
{
    if (schema.ptr == NULL) {
        return 0;
    }
    if (!check_absolute_uri(schema)) {
        return draft_refuse(draft, 400, "data_schema: expected an absolute URI");
    }
    return draft_set(draft, "data_schema", "dataschema", schema);
}

int draft_set_content(struct draft *draft)
{
    struct mr_slice body = draft->request->body;
    struct mr_slice type;
    if (draft_get_header(draft, "Content-Type", &type) != 0) {
        return -1;
    }
    if (type.ptr == NULL) {
        type = json_is_valid(body) ? MR_SLICE("application/json")
                                   : MR_SLICE("application/octet-stream");
    } else if (!check_media_type(type)) {
        return draft_refuse(draft, 400,
                            "Content-Type: expected a media type such as application/json");
    }
    mr_event_set_data(draft->event, body);
    return draft_set(draft, "Content-Type", "datacontenttype", type);
}

int draft_fill_plain(struct draft *draft, const char *own,
                     int (*set_sender)(struct draft *draft,
                                       const struct draft_parameter *parameters))
{
    struct draft_parameter parameters[DRAFT_PARAMETERS] = {
        [DRAFT_APPLICATION] = {.name = "application"},
        [DRAFT_AS] = {.name = "as"},
        [DRAFT_DATA_SCHEMA] = {.name = "data_schema"},
        [DRAFT_TIME] = {.name = "time"},
        [DRAFT_OWN] = {.name = own},
    };
    if (draft_read_query(draft, parameters, DRAFT_PARAMETERS) != 0 ||
        set_sender(draft, parameters) != 0 || draft_set_id(draft) != 0 ||
        draft_set_time(draft, draft_slice(draft, parameters[DRAFT_TIME].value)) != 0 ||
        draft_set_content(draft) != 0) {
        return -1;
    }
    return draft_set_schema(draft, draft_slice(draft, parameters[DRAFT_DATA_SCHEMA].value));
}

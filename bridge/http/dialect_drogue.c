// SPDX-License-Identifier: Apache-2.0
/* The dialect of drogue-cloud's HTTP endpoint:
 *     POST /v1/{channel}[/{suffix...}]?application=&device=&data_schema=&time=
 * Payload-agnostic: the content is stored as it came. docs/millrace-http.md has the table. */
#include <stdarg.h>
#include <stdio.h>

#include "bridge/http/dialect.h"
#include "event/check.h"
#include "event/json_scan.h"
#include "event/percent.h"
#include "event/timestamp.h"
#include "kit/buf.h"

#define PREFIX "/v1/"

enum parameter { APPLICATION, DEVICE, DATA_SCHEMA, TIME, PARAMETERS };

static const char *const parameter_names[PARAMETERS] = {
    [APPLICATION] = "application",
    [DEVICE] = "device",
    [DATA_SCHEMA] = "data_schema",
    [TIME] = "time",
};

/* One request on its way to an event. */
struct draft {
    const struct dialect_request *request;
    struct mr_event *event;
    struct dialect_refusal *refusal;
    struct mr_buf text; /* decoded and composed values, each at its place */
    struct span {
        size_t begin;
        size_t len;
        bool is_set;
    } parameters[PARAMETERS];
    struct span channel;
};

static int refuse(struct draft *draft, int status, const char *format, ...) MR_PRINTF(3, 4);

static int refuse(struct draft *draft, int status, const char *format, ...)
{
    va_list args;
    draft->refusal->status = status;
    va_start(args, format);
    (void)vsnprintf(draft->refusal->detail, sizeof draft->refusal->detail, format, args);
    va_end(args);
    return -1;
}

static int refuse_error(struct draft *draft, const char *what, const struct mr_error *err)
{
    if (err->code == MR_ENOMEM) {
        return refuse(draft, 503, "out of memory");
    }
    return refuse(draft, 400, "%s: %.400s", what, err->text);
}

static int set(struct draft *draft, const char *what, const char *name, struct mr_slice value)
{
    struct mr_error err;
    if (mr_event_set(draft->event, mr_slice_of(name), value, &err) != 0) {
        return refuse_error(draft, what, &err);
    }
    return 0;
}

/* Percent-decode `raw` onto the end of draft->text. */
static int decode(struct draft *draft, const char *what, struct mr_slice raw, bool plus_is_space,
                  struct span *ret_span)
{
    struct mr_error err;
    size_t begin = draft->text.len;
    if (percent_decode(raw, plus_is_space, &draft->text, &err) != 0) {
        return refuse_error(draft, what, &err);
    }
    *ret_span = (struct span){.begin = begin, .len = draft->text.len - begin, .is_set = true};
    return 0;
}

static struct mr_slice slice_at(const struct draft *draft, struct span span)
{
    return span.len == 0 ? MR_SLICE("") : mr_slice(draft->text.ptr + span.begin, span.len);
}

/* The value of a parameter; absent if it wasn't given. */
static struct mr_slice parameter(const struct draft *draft, enum parameter which)
{
    struct span span = draft->parameters[which];
    return span.is_set ? slice_at(draft, span) : mr_slice(NULL, 0);
}

static int check_text(struct draft *draft, const char *what, struct mr_slice text)
{
    if (text.len == 0) {
        return refuse(draft, 400, "%s: must not be empty", what);
    }
    if (!check_string(text)) {
        return refuse(draft, 400, "%s: must be UTF-8 without control characters", what);
    }
    return 0;
}

static int read_parameter(struct draft *draft, struct mr_slice name, struct mr_slice value)
{
    struct span decoded;
    struct mr_slice plain;
    int which = 0;
    if (decode(draft, "the name of a query parameter", name, true, &decoded) != 0) {
        return -1;
    }
    plain = slice_at(draft, decoded);
    while (which < PARAMETERS && !mr_slice_is(plain, mr_slice_of(parameter_names[which]))) {
        which++;
    }
    if (which == PARAMETERS) {
        return 0; /* not ours */
    }
    if (draft->parameters[which].is_set) {
        return refuse(draft, 400, "%s: given twice", parameter_names[which]);
    }
    if (decode(draft, parameter_names[which], value, true, &draft->parameters[which]) != 0) {
        return -1;
    }
    return check_text(draft, parameter_names[which], parameter(draft, (enum parameter)which));
}

static int read_query(struct draft *draft)
{
    struct mr_slice left = draft->request->query;
    while (left.len > 0) {
        const char *end = memchr(left.ptr, '&', left.len);
        size_t len = end == NULL ? left.len : (size_t)(end - left.ptr);
        const char *sign = len > 0 ? memchr(left.ptr, '=', len) : NULL;
        size_t name_len = sign == NULL ? len : (size_t)(sign - left.ptr);
        size_t value_begin = sign == NULL ? len : name_len + 1;
        if (read_parameter(draft, mr_slice(left.ptr, name_len),
                           mr_slice(left.ptr + value_begin, len - value_begin)) != 0) {
            return -1;
        }
        len += end != NULL;
        left = mr_slice(left.ptr + len, left.len - len);
    }
    return 0;
}

static int read_channel(struct draft *draft)
{
    struct mr_slice path = draft->request->path;
    struct mr_slice raw = mr_slice(path.ptr + sizeof PREFIX - 1, path.len - (sizeof PREFIX - 1));
    if (raw.len == 0 || raw.ptr[0] == '/') {
        return refuse(draft, 404, "a channel is missing: POST /v1/{channel}?device={device}");
    }
    if (decode(draft, "channel", raw, false, &draft->channel) != 0) {
        return -1;
    }
    return check_text(draft, "channel", slice_at(draft, draft->channel));
}

static int set_sender(struct draft *draft)
{
    struct mr_slice application = parameter(draft, APPLICATION);
    struct mr_slice device = parameter(draft, DEVICE);
    struct mr_error err;
    if (application.ptr == NULL) {
        application = MR_SLICE("default");
    }
    if (device.ptr == NULL) {
        return refuse(draft, 400,
                      "device: missing; expected ?device={device}, which says who sent it");
    }
    if (application.len > DIALECT_NAME_BYTES_MAX || device.len > DIALECT_NAME_BYTES_MAX) {
        return refuse(draft, 400, "application and device: at most %d bytes each",
                      DIALECT_NAME_BYTES_MAX);
    }
    if (mr_event_from_device(draft->event, application, device, slice_at(draft, draft->channel),
                             &err) != 0) {
        return refuse_error(draft, "application, device and channel", &err);
    }
    return 0;
}

/* At most one header of the name; `ret_value` is absent if there is none. */
static int get_header(struct draft *draft, const char *name, struct mr_slice *ret_value)
{
    unsigned count;
    *ret_value = draft->request->header(draft->request->from, name, &count);
    return count > 1 ? refuse(draft, 400, "%s: given twice", name) : 0;
}

/* A structured-field string (RFC 8941 3.3.3) if it begins with a quote: appends what it says. */
static int unquote(struct draft *draft, struct mr_slice quoted, struct span *ret_span)
{
    struct mr_buf *text = &draft->text;
    size_t begin = text->len;
    size_t i = 1;
    while (i < quoted.len && quoted.ptr[i] != '"') {
        if (quoted.ptr[i] == '\\') {
            i++;
            if (i == quoted.len || (quoted.ptr[i] != '"' && quoted.ptr[i] != '\\')) {
                break;
            }
        }
        (void)buf_add_char(text, quoted.ptr[i]);
        i++;
    }
    if (text->failed != 0) {
        return refuse(draft, 503, "out of memory");
    }
    if (i + 1 != quoted.len) {
        return refuse(draft, 400, "Idempotency-Key: a malformed quoted string");
    }
    *ret_span = (struct span){.begin = begin, .len = text->len - begin, .is_set = true};
    return 0;
}

static int set_id(struct draft *draft)
{
    struct mr_slice id;
    struct span plain = {0};
    if (get_header(draft, "Idempotency-Key", &id) != 0) {
        return -1;
    }
    if (id.ptr == NULL) {
        return 0; /* it gets a new one */
    }
    if (id.len > DIALECT_NAME_BYTES_MAX) {
        return refuse(draft, 400, "Idempotency-Key: more than %d bytes", DIALECT_NAME_BYTES_MAX);
    }
    if (id.len > 0 && id.ptr[0] == '"') {
        if (unquote(draft, id, &plain) != 0) {
            return -1;
        }
        id = slice_at(draft, plain);
    }
    if (check_text(draft, "Idempotency-Key", id) != 0) {
        return -1;
    }
    return set(draft, "Idempotency-Key", "id", id);
}

static int set_time(struct draft *draft)
{
    struct mr_slice from_query = parameter(draft, TIME);
    struct mr_slice time;
    if (get_header(draft, "ce-time", &time) != 0) {
        return -1;
    }
    if (time.ptr != NULL && from_query.ptr != NULL && !mr_slice_is(time, from_query)) {
        return refuse(draft, 400, "time: ?time= and the header ce-time differ");
    }
    if (time.ptr == NULL) {
        time = from_query;
    }
    if (time.ptr == NULL) {
        return 0; /* it gets the time of now */
    }
    if (!timestamp_is_valid(time)) {
        return refuse(
            draft, 400,
            "time: expected RFC 3339, for example 2026-01-31T08:00:00.5Z (in ?time= a + is "
            "written %%2B)");
    }
    return set(draft, "time", "time", time);
}

static int set_content(struct draft *draft)
{
    struct mr_slice body = draft->request->body;
    struct mr_slice type;
    if (get_header(draft, "Content-Type", &type) != 0) {
        return -1;
    }
    if (type.ptr == NULL) {
        type = json_is_valid(body) ? MR_SLICE("application/json")
                                   : MR_SLICE("application/octet-stream");
    } else if (!check_media_type(type)) {
        return refuse(draft, 400, "Content-Type: expected a media type such as application/json");
    }
    mr_event_set_data(draft->event, body);
    return set(draft, "Content-Type", "datacontenttype", type);
}

static int set_schema(struct draft *draft)
{
    struct mr_slice schema = parameter(draft, DATA_SCHEMA);
    if (schema.ptr == NULL) {
        return 0;
    }
    if (!check_absolute_uri(schema)) {
        return refuse(draft, 400, "data_schema: expected an absolute URI");
    }
    return set(draft, "data_schema", "dataschema", schema);
}

static bool is_mine(struct mr_slice path)
{
    return path.len >= sizeof PREFIX - 1 && memcmp(path.ptr, PREFIX, sizeof PREFIX - 1) == 0;
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct dialect_refusal *ret_refusal)
{
    static int (*const steps[])(struct draft *) = {read_query, read_channel, set_sender, set_id,
                                                   set_time,   set_content,  set_schema};
    struct draft draft = {.request = request, .event = event, .refusal = ret_refusal};
    int rc = 0;
    ret_refusal->headers = NULL;
    if (!mr_slice_is(request->method, MR_SLICE("POST"))) {
        ret_refusal->headers = "Allow: POST\r\n";
        return refuse(&draft, 405, "events are sent with POST");
    }
    /* Decoding never makes longer; names, values, path and a quoted id are each decoded once. */
    buf_init(&draft.text, request->path.len + request->query.len + DIALECT_NAME_BYTES_MAX + 1);
    for (size_t i = 0; i < MR_COUNT_OF(steps) && rc == 0; i++) {
        rc = steps[i](&draft);
    }
    buf_done(&draft.text);
    return rc;
}

const struct dialect dialect_drogue = {
    .is_mine = is_mine,
    .read = read_request,
};

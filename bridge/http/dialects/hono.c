// SPDX-License-Identifier: Apache-2.0
/* The dialect of Eclipse Hono's HTTP adapter:
 *     POST|PUT /telemetry/{tenant}/{device}    POST /telemetry (of the authenticated device)
 *     POST|PUT /event/{tenant}/{device}        POST /event
 * The content is stored as it came. docs/millrace-http-dialects.md has the table. */
#include <string.h>

#include "bridge/http/dialects/draft.h"

#define TTL_HEADER   "hono-ttl"
#define TTL_EXPECTED TTL_HEADER ": expected whole seconds, at most 2147483647"

enum { TTL_DIGITS_MAX = 10 };

/* One of the two endpoints, without the slash. */
static struct mr_slice endpoint_of(struct mr_slice path, struct mr_slice *ret_rest)
{
    static const struct mr_slice endpoints[] = {MR_SLICE_INIT("telemetry"), MR_SLICE_INIT("event")};
    struct mr_slice root = path;
    struct mr_slice first;
    draft_split(&root, &first);
    draft_split(&first, ret_rest);
    for (size_t i = 0; i < MR_COUNT_OF(endpoints); i++) {
        if (root.len == 0 && mr_slice_is(first, endpoints[i])) {
            return endpoints[i];
        }
    }
    return mr_slice(NULL, 0);
}

static int refuse_path(struct draft *draft, struct mr_slice endpoint)
{
    return draft_refuse(draft, 404, "expected /%.*s/{tenant}/{device}", MR_SLICE_ARG(endpoint));
}

/* The path names another than the authenticated device only if that is allowed. */
static int read_names(struct draft *draft, struct mr_slice tenant, struct draft_sender *sender)
{
    struct mr_slice device, more;
    struct draft_span spans[2];
    draft_split(&tenant, &device);
    draft_split(&device, &more);
    if (tenant.len == 0 || device.len == 0 || more.ptr != NULL) {
        return refuse_path(draft, sender->channel);
    }
    if (draft_decode(draft, "tenant", tenant, false, &spans[0]) != 0 ||
        draft_decode(draft, "device", device, false, &spans[1]) != 0) {
        return -1;
    }
    sender->application = draft_slice(draft, spans[0]);
    sender->as = draft_slice(draft, spans[1]);
    sender->as_what = "device";
    if (draft_check_text(draft, "tenant", sender->application) != 0 ||
        draft_check_text(draft, "device", sender->as) != 0) {
        return -1;
    }
    /* Hono answers 403 as well if the device belongs to another tenant than who speaks for it. */
    return draft_check_application(draft, "tenant", sender->application);
}

static int set_sender(struct draft *draft, struct mr_slice endpoint, struct mr_slice rest)
{
    struct draft_sender sender = {
        .channel = endpoint,
        .missing = "device: nobody is authenticated; expected {tenant}/{device} in the path"};
    if (rest.ptr != NULL && read_names(draft, rest, &sender) != 0) {
        return -1;
    }
    return draft_set_sender(draft, &sender);
}

/* How long an event is of use is for its reader to know. */
static int set_ttl(struct draft *draft)
{
    struct mr_slice ttl;
    int64_t seconds = 0;
    if (draft_get_header(draft, TTL_HEADER, &ttl) != 0) {
        return -1;
    }
    if (ttl.ptr == NULL) {
        return 0;
    }
    if (ttl.len == 0 || ttl.len > TTL_DIGITS_MAX) {
        return draft_refuse(draft, 400, TTL_EXPECTED);
    }
    for (size_t i = 0; i < ttl.len; i++) {
        if (ttl.ptr[i] < '0' || ttl.ptr[i] > '9') {
            return draft_refuse(draft, 400, TTL_EXPECTED);
        }
        seconds = seconds * 10 + (ttl.ptr[i] - '0');
    }
    if (seconds > INT32_MAX) {
        return draft_refuse(draft, 400, TTL_EXPECTED);
    }
    return draft_set_integer(draft, TTL_HEADER, "honottl", (int32_t)seconds);
}

static int fill(struct draft *draft)
{
    struct mr_slice rest;
    struct mr_slice endpoint = endpoint_of(draft->request->path, &rest);
    if (set_sender(draft, endpoint, rest) != 0 ||
        (mr_slice_is(endpoint, MR_SLICE("event")) && set_ttl(draft) != 0) ||
        draft_set_id(draft) != 0 || draft_set_time(draft, mr_slice(NULL, 0)) != 0) {
        return -1;
    }
    return draft_set_content(draft);
}

static bool is_mine(struct mr_slice path)
{
    struct mr_slice rest;
    return endpoint_of(path, &rest).ptr != NULL;
}

/* Without tenant and device only POST. */
static const char *allow(struct mr_slice path)
{
    struct mr_slice rest;
    (void)endpoint_of(path, &rest);
    return rest.ptr != NULL ? DIALECT_ALLOW_POST_PUT : DIALECT_ALLOW_POST;
}

static int read_request(const struct dialect_request *request, struct mr_event *event,
                        struct refusal *ret_refusal)
{
    /* Decoding never makes longer; the path and a quoted id are each decoded once. */
    return draft_run(request, event, ret_refusal, request->path.len + DIALECT_ID_BYTES_MAX + 1,
                     fill);
}

const struct dialect dialect_hono = {
    .is_mine = is_mine,
    .allow = allow,
    .read = read_request,
};

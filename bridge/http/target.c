// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/target.h"

#include <stdio.h>
#include <string.h>

#include <millrace/macros.h>

#include "kit/ascii.h"
#include "kit/slice.h"

#define ALLOW_NAME "Allow: "

/* RFC 9110 9.3 and RFC 5789. Not CONNECT, which the reader refuses. */
static const char *const known_methods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                            "DELETE", "OPTIONS", "TRACE", "PATCH"};

static enum target_kind refuse(struct target *target, int status, const char *headers,
                               const char *detail)
{
    target->refusal.status = status;
    target->refusal.headers = headers;
    (void)snprintf(target->refusal.detail, sizeof target->refusal.detail, "%s", detail);
    return TARGET_REFUSED;
}

static enum target_kind show_methods(struct target *target, const char *allow)
{
    target->allow = allow;
    return TARGET_OPTIONS;
}

static bool is_known(struct mr_slice method)
{
    for (size_t i = 0; i < MR_COUNT_OF(known_methods); i++) {
        if (mr_slice_is(method, mr_slice_of(known_methods[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_allowed(const char *allow, struct mr_slice method)
{
    const char *methods = allow + sizeof ALLOW_NAME - 1;
    struct mr_slice list = mr_slice(methods, strcspn(methods, "\r"));
    while (list.len > 0) {
        if (mr_slice_is(slice_trim(slice_cut(&list, ',')), method)) {
            return true;
        }
    }
    return false;
}

/* RFC 9110 8.4: "identity" should not be sent, but says that there is none. */
static bool is_encoded(const struct dialect_request *request)
{
    unsigned count;
    struct mr_slice list = request->header(request->from, "Content-Encoding", &count);
    while (list.len > 0) {
        struct mr_slice coding = slice_trim(slice_cut(&list, ','));
        if (coding.len > 0 && !ascii_same(coding, MR_SLICE("identity"))) {
            return true;
        }
    }
    return count > 1;
}

/* RFC 9110 14.5: a PUT of a part, which would be taken for the whole. */
static bool is_partial_put(const struct dialect_request *request)
{
    unsigned count;
    (void)request->header(request->from, "Content-Range", &count);
    return count > 0 && mr_slice_is(request->method, MR_SLICE("PUT"));
}

static const struct dialect *find(struct mr_slice path, const struct dialect *const *dialects,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dialects[i]->is_mine(path)) {
            return dialects[i];
        }
    }
    return NULL;
}

enum target_kind target_find(const struct dialect_request *request,
                             const struct dialect *const *dialects, size_t count,
                             struct target *ret_target)
{
    const struct dialect *dialect = find(request->path, dialects, count);
    bool is_options = mr_slice_is(request->method, MR_SLICE("OPTIONS"));
    const char *allow = dialect == NULL || dialect->allow == NULL ? DIALECT_ALLOW_POST
                                                                  : dialect->allow(request->path);
    ret_target->dialect = dialect;
    if (!is_known(request->method)) {
        return refuse(ret_target, 501, NULL, "the method is unknown here");
    }
    if (is_options && mr_slice_is(request->path, MR_SLICE("*"))) {
        return show_methods(ret_target, DIALECT_ALLOW_POST_PUT); /* of all together */
    }
    if (dialect == NULL) {
        return refuse(ret_target, 404, NULL,
                      "events are sent with POST /v1/{channel}?device={device} or, as CloudEvents, "
                      "with POST /events");
    }
    if (is_options) {
        return show_methods(ret_target, allow);
    }
    if (!is_allowed(allow, request->method)) {
        (void)refuse(ret_target, 405, allow, "");
        (void)snprintf(ret_target->refusal.detail, sizeof ret_target->refusal.detail,
                       "the method is not for this target; expected one of: %.*s",
                       (int)strcspn(allow + sizeof ALLOW_NAME - 1, "\r"),
                       allow + sizeof ALLOW_NAME - 1);
        return TARGET_REFUSED;
    }
    if (is_partial_put(request)) {
        return refuse(ret_target, 400, NULL,
                      "Content-Range: an event is sent whole; expected none");
    }
    if (is_encoded(request)) {
        return refuse(ret_target, 415, "Accept-Encoding: identity\r\n",
                      "Content-Encoding: events are stored as they come and could not say that "
                      "they are compressed; send them without");
    }
    return TARGET_FOUND;
}

// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/target.h"

#include <stdio.h>
#include <string.h>

#include <millrace/macros.h>

#include "kit/ascii.h"

#define ALLOW_NAME "Allow: "

/* RFC 9110 9.3 and RFC 5789. Not CONNECT, which the reader refuses. */
static const char *const known_methods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                            "DELETE", "OPTIONS", "TRACE", "PATCH"};

static const struct dialect *refuse(struct dialect_refusal *refusal, int status,
                                    const char *headers, const char *detail)
{
    refusal->status = status;
    refusal->headers = headers;
    (void)snprintf(refusal->detail, sizeof refusal->detail, "%s", detail);
    return NULL;
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

static struct mr_slice trim(struct mr_slice text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = mr_slice(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* The next element of a comma-separated list, which is cut off. */
static struct mr_slice next_element(struct mr_slice *list)
{
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    size_t cut = comma == NULL ? len : len + 1;
    struct mr_slice element = trim(mr_slice(list->ptr, len));
    *list = mr_slice(list->ptr + cut, list->len - cut);
    return element;
}

static bool is_allowed(const char *allow, struct mr_slice method)
{
    const char *methods = allow + sizeof ALLOW_NAME - 1;
    struct mr_slice list = mr_slice(methods, strcspn(methods, "\r"));
    while (list.len > 0) {
        if (mr_slice_is(next_element(&list), method)) {
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
        struct mr_slice coding = next_element(&list);
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

const struct dialect *target_find(const struct dialect_request *request,
                                  const struct dialect *const *dialects, size_t count,
                                  struct dialect_refusal *ret_refusal)
{
    const struct dialect *dialect = find(request->path, dialects, count);
    bool is_options = mr_slice_is(request->method, MR_SLICE("OPTIONS"));
    const char *allow = dialect == NULL || dialect->allow == NULL ? DIALECT_ALLOW_POST
                                                                  : dialect->allow(request->path);
    if (!is_known(request->method)) {
        return refuse(ret_refusal, 501, NULL, "the method is unknown here");
    }
    if (is_options && mr_slice_is(request->path, MR_SLICE("*"))) {
        return refuse(ret_refusal, 204, DIALECT_ALLOW_POST_PUT, ""); /* of all together */
    }
    if (dialect == NULL) {
        return refuse(ret_refusal, 404, NULL,
                      "events are sent with POST /v1/{channel}?device={device} or, as CloudEvents, "
                      "with POST /events");
    }
    if (is_options) {
        return refuse(ret_refusal, 204, allow, "");
    }
    if (!is_allowed(allow, request->method)) {
        (void)refuse(ret_refusal, 405, allow, "");
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "the method is not for this target; expected one of: %.*s",
                       (int)strcspn(allow + sizeof ALLOW_NAME - 1, "\r"),
                       allow + sizeof ALLOW_NAME - 1);
        return NULL;
    }
    if (is_partial_put(request)) {
        return refuse(ret_refusal, 400, NULL,
                      "Content-Range: an event is sent whole; expected none");
    }
    if (is_encoded(request)) {
        return refuse(ret_refusal, 415, "Accept-Encoding: identity\r\n",
                      "Content-Encoding: events are stored as they come and could not say that "
                      "they are compressed; send them without");
    }
    return dialect;
}

// SPDX-License-Identifier: Apache-2.0
#ifndef MILLRACE_HTTP_CLIENT_H
#define MILLRACE_HTTP_CLIENT_H

/* An HTTP client on a loop: for workers whose sink speaks HTTP. Connections are kept and reused;
 * the number of requests at work and of those in line is bounded. One client belongs to one loop,
 * and everything here is called on that loop.
 *
 * Only http and https; redirects are answers like any other; certificates are verified against the
 * system's authorities (or `ca_file`); proxies are used only if `environment_proxy` says so. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <millrace/error.h>
#include <millrace/macros.h>
#include <millrace/slice.h>

struct mr_http_client;
struct mr_http_call; /* a request at work or in line */

/* Zero means the value in brackets. */
struct mr_http_client_config {
    size_t connections_max;  /* requests at work at once, a connection each [4] */
    size_t queued_max;       /* requests in line behind them [1024] */
    size_t answer_bytes_max; /* of an answer's body that are kept; the rest is discarded [4096] */
    int64_t connect_timeout_ms; /* name, connection and TLS [3000] */
    const char *user_agent;     /* copied [NULL: "millrace"] */
    const char *ca_file;        /* copied; PEM [NULL: the system's] */
    bool environment_proxy;     /* obey http_proxy, https_proxy, all_proxy and no_proxy [false] */
};

struct mr_http_request {
    const char *method;         /* "GET", "POST", ... */
    const char *url;            /* http or https, without user information; copied */
    const char *const *headers; /* "Name: value" each, copied; NULL: none */
    size_t header_count;
    struct mr_slice body; /* borrowed until the callback; absent: no body */
    const char *user;     /* basic authentication, copied; NULL: none */
    const char *password;
    int64_t timeout_ms; /* of the whole, from the moment it leaves the line; 0: 30000 */
};

struct mr_http_answer {
    int status;
    int64_t retry_after_ms; /* Retry-After (seconds or a date), at most MR_HTTP_RETRY_AFTER_MS_MAX;
                               -1: none */
    struct mr_slice body;   /* the first answer_bytes_max bytes */
    bool body_is_cut;
};

enum { MR_HTTP_RETRY_AFTER_MS_MAX = 60 * 60 * 1000 };

/* Called exactly once for each request that mr_http_client_send accepted, on the loop, never from
 * inside mr_http_client_send, mr_http_call_cancel or mr_http_client_close. Either an answer came,
 * of whatever status (`error` is NULL), or none (`answer` is NULL): MR_ENET (retriable: refused,
 * reset, timed out, cut short, TLS), MR_ENOMEM, MR_EINVAL (the URL), MR_ECLOSED (cancelled). Both
 * live until the callback returns. New requests may be sent from it. */
typedef void (*mr_http_cb)(void *user, const struct mr_http_answer *answer,
                           const struct mr_error *error);

/* Whether `url` is one that requests can be made with by putting a path and a query behind it, for
 * options such as "http://127.0.0.1:8086": http or https, a host, a port that is one or none, and
 * neither user information, query nor fragment. Errors: MR_EINVAL (the text shows nothing that may
 * be a secret), MR_ENOMEM. */
MR_API int mr_http_base_url_check(const char *url, struct mr_error *err);

/* Whether the host of such a URL is, by its text alone, this machine's own loopback: "localhost",
 * 127.0.0.0/8 or ::1. False also when out of memory. */
MR_API bool mr_http_base_url_is_loopback(const char *url);

/* Errors: MR_ENOMEM, MR_ENET (libcurl can't be set up). */
MR_API int mr_http_client_open(uv_loop_t *loop, const struct mr_http_client_config *config,
                               struct mr_http_client **ret_client, struct mr_error *err);

/* Begin a request, or put it in line. `ret_call` (may be NULL) is valid until the callback.
 * Errors, without a callback: MR_EBUSY (the line is full; retriable), MR_EINVAL (method, header or
 * URL; a URL with user information), MR_ECLOSED, MR_ENOMEM. Texts show the URL without its query.
 */
MR_API int mr_http_client_send(struct mr_http_client *client, const struct mr_http_request *request,
                               mr_http_cb callback, void *user, struct mr_http_call **ret_call,
                               struct mr_error *err);

/* Give a request up: its body is no longer read when this returns, the callback follows with
 * MR_ECLOSED. Whether the server acted on it is unknown. */
MR_API void mr_http_call_cancel(struct mr_http_call *call);

/* Requests at work and in line, and those whose callback is still to come. */
MR_API size_t mr_http_client_in_flight(const struct mr_http_client *client);

/* Cancel everything, close all connections. `closed` (may be NULL) is called on the loop after the
 * last callback, when nothing of the client is left. NULL client: nothing happens. */
MR_API void mr_http_client_close(struct mr_http_client *client, void (*closed)(void *user),
                                 void *user);

#endif

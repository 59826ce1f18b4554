// SPDX-License-Identifier: Apache-2.0
#ifndef IDENTITY_AUTHENTICATE_H
#define IDENTITY_AUTHENTICATE_H

/* Who a request comes from, of one loop: by HTTP Basic against the devices file, by the subject of
 * its client certificate, or both (then the header is looked at first). Most requests are decided
 * at once; a password that hasn't been found right before waits for a thread (password_check.h).
 *
 * 401: no credentials, or wrong ones, whatever is wrong about them. 403: who it is, is known, and
 * it may not. 429: too many wrong ones from its address. 503: too many checks wait. */

#include <stdatomic.h>

#include "bridge/http/bridge_options.h"
#include "bridge/http/identity/attempts.h"
#include "bridge/http/identity/authentication_metrics.h"
#include "bridge/http/identity/devices.h"
#include "bridge/http/identity/password_rooms.h"
#include "bridge/http/identity/verified_shared.h"
#include "bridge/http/refusal.h"
#include "net/http_server.h"

struct authenticator;

enum authenticated { AUTHENTICATED_YES, AUTHENTICATED_NO, AUTHENTICATED_LATER };

/* What AUTHENTICATED_LATER has come to, on the loop: `identity`, which lives during the call, or
 * NULL and the refusal. The request's answer must be given. */
typedef void (*authenticated_cb)(struct http_request *request, const struct identity *identity,
                                 const struct refusal *refusal, void *user);

struct authenticator_config {
    uv_loop_t *loop;
    const struct bridge_options *options;
    struct devices *devices;   /* one more owner */
    struct attempts *attempts; /* all loops', like the two below; must outlive it */
    struct password_rooms *rooms;
    struct verified_shared *verified; /* NULL: there is one loop */
    const struct authentication_metrics *metrics;
    authenticated_cb on_decided;
    void *user;
};

/* Errors: MR_ENOMEM, MR_EIO. */
int authenticator_open(const struct authenticator_config *config,
                       struct authenticator **ret_authenticator, struct mr_error *err);

/* Refuse what waits (503), and everything from now on. */
void authenticator_stop(struct authenticator *authenticator);

/* After authenticator_stop. `closed` is called on the loop when no thread works for it any more. */
void authenticator_close(struct authenticator *authenticator, void (*closed)(void *user),
                         void *user);

/* The devices from now on: one owner goes over to it. Any thread; the loop then takes them with
 * authenticator_renew. */
void authenticator_offer(struct authenticator *authenticator, struct devices *devices);
void authenticator_renew(struct authenticator *authenticator);

/* What the head says before the rest is here, without a check or a trace. False: as things stand
 * `authenticate` will say NO. */
bool authenticator_may_let_in(struct authenticator *authenticator,
                              const struct http_request *request);

/* YES: `ret_identity`, which lives until the loop goes on. NO: `ret_refusal`, as long. */
enum authenticated authenticate(struct authenticator *authenticator, struct http_request *request,
                                struct identity *ret_identity, struct refusal *ret_refusal);

#endif

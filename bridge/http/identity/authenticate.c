// SPDX-License-Identifier: Apache-2.0
/* Happy path: Authorization is read -> the device's hash is found -> its digest with the password
 * is in the cache: YES. A device's first request: the pair is not in the cache -> a check is made,
 * or the same one waited for -> the thread says right -> the pair is remembered -> on_decided.
 *
 * What can go wrong: the name isn't known (the same check is made, against another's hash, and
 * nothing differs but its end), the devices change meanwhile (503: the next try is judged by the
 * new ones), the check isn't over by answer.timeout (503; it goes on, so that the next try finds
 * the pair in the cache), too many wait (503), too many were wrong (429). */
#include "bridge/http/identity/authenticate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <millrace/log.h>

#include "bridge/http/identity/basic_credentials.h"
#include "bridge/http/identity/certificate_names.h"
#include "bridge/http/identity/password_check.h"
#include "bridge/http/identity/password_waiters.h"
#include "bridge/http/identity/verified_cache.h"
#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    AUTHENTICATOR_MAGIC = 0x41555448,
    NAMES_BYTES_MAX = 2 * 1024 * 1024, /* a subject comes from a certificate of TLS's size */
    LIMITED_LOG_MS = 10000,
};

#define CHALLENGE "WWW-Authenticate: Basic realm=\"millrace\", charset=\"UTF-8\"\r\n"

struct authenticator {
    unsigned magic;
    struct authenticator_config config;
    struct devices *devices;
    _Atomic(struct devices *) offered; /* to be taken by the loop; NULL: none */
    struct verified_cache *cache;
    struct password_checks *checks; /* NULL: passwords aren't taken */
    struct mr_buf names;            /* of a certificate */
    struct password_waiters waiters;
    bool is_stopped;
    bool is_trial; /* nothing is counted */
    void (*closed)(void *user);
    void *closed_user;
};

static void count(const struct authenticator *authenticator, enum authentication_outcome outcome)
{
    if (!authenticator->is_trial) {
        mr_count(authenticator->config.metrics->outcomes[outcome], 1);
    }
}

static enum authenticated refuse(const struct authenticator *authenticator,
                                 enum authentication_outcome outcome, int status,
                                 const char *detail, struct refusal *ret_refusal)
{
    count(authenticator, outcome);
    *ret_refusal = (struct refusal){.status = status, .headers = status == 401 ? CHALLENGE : NULL};
    (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail, "%s", detail);
    return AUTHENTICATED_NO;
}

static enum authenticated refuse_busy(const struct authenticator *authenticator, const char *why,
                                      struct refusal *ret_refusal)
{
    (void)refuse(authenticator, AUTHENTICATION_BUSY, 503, "", ret_refusal);
    (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                   "The event is not stored; send it again later: %s", why);
    return AUTHENTICATED_NO;
}

/* One text for all that can be wrong: who guesses learns nothing. */
static enum authenticated refuse_wrong(const struct authenticator *authenticator,
                                       struct refusal *ret_refusal)
{
    return refuse(authenticator, AUTHENTICATION_WRONG, 401,
                  "Authorization: no device of this name with this password", ret_refusal);
}

static enum authenticated let_in(const struct authenticator *authenticator,
                                 enum authentication_outcome outcome, const struct device *device,
                                 struct identity *ret_identity, struct refusal *ret_refusal)
{
    if (!device->is_enabled) {
        return refuse(authenticator, AUTHENTICATION_FORBIDDEN, 403,
                      "this device may not send (enabled = no)", ret_refusal);
    }
    count(authenticator, outcome);
    *ret_identity = device->identity;
    return AUTHENTICATED_YES;
}

/* --- certificates --- */

/* 0, or -1 with the refusal; `ret_value` is absent if the subject doesn't have it. */
static int name_of(struct authenticator *authenticator, struct mr_slice subject, const char *type,
                   struct mr_slice *ret_value, struct refusal *ret_refusal)
{
    struct mr_error err;
    char *to = authenticator->names.ptr + authenticator->names.len;
    if (certificate_name(subject, mr_slice_of(type), to, ret_value, &err) != 0) {
        (void)refuse(authenticator, AUTHENTICATION_FORBIDDEN, 403, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "the subject of the client certificate: %.300s", err.text);
        return -1;
    }
    if (ret_value->ptr == NULL) {
        (void)refuse(authenticator, AUTHENTICATION_FORBIDDEN, 403, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "the subject of the client certificate has no %.100s", type);
        return -1;
    }
    authenticator->names.len += ret_value->len;
    return 0;
}

static enum authenticated by_certificate(struct authenticator *authenticator,
                                         struct mr_slice subject, struct identity *ret_identity,
                                         struct refusal *ret_refusal)
{
    const struct bridge_options *options = authenticator->config.options;
    struct device device = {.is_enabled = true};
    struct device known;
    struct mr_slice *application = &device.identity.application;
    buf_clear(&authenticator->names);
    if (buf_reserve(&authenticator->names, 2 * subject.len + 1) != 0) {
        return refuse_busy(authenticator, "out of memory", ret_refusal);
    }
    *application = mr_slice_of(options->certificate_application_fixed);
    if (name_of(authenticator, subject, options->certificate_device, &device.identity.device,
                ret_refusal) != 0) {
        return AUTHENTICATED_NO;
    }
    if (application->ptr == NULL &&
        name_of(authenticator, subject, options->certificate_application, application,
                ret_refusal) != 0) {
        return AUTHENTICATED_NO;
    }
    if (devices_find(authenticator->devices, *application, device.identity.device, &known)) {
        device = known;
    }
    return let_in(authenticator, AUTHENTICATION_CERTIFICATE, &device, ret_identity, ret_refusal);
}

/* --- passwords that wait --- */

static enum authenticated refuse_limited(struct authenticator *authenticator, int64_t wait_ms,
                                         struct refusal *ret_refusal)
{
    (void)refuse(authenticator, AUTHENTICATION_LIMITED, 429,
                 "too many wrong passwords have come from this address; the event is not stored",
                 ret_refusal);
    ret_refusal->retry_after_ms = wait_ms;
    return AUTHENTICATED_NO;
}

static bool may_start(const struct password_check *check, void *user)
{
    struct authenticator *authenticator;
    MAGIC_CAST(authenticator, user, AUTHENTICATOR_MAGIC);
    return !authenticator->is_stopped &&
           attempts_wait_ms(authenticator->config.attempts, check->claim.source,
                            uv_now(authenticator->config.loop)) == 0;
}

/* What a check's end means for those that wait for it, by the devices as they are now. */
static enum authenticated judge(struct authenticator *authenticator,
                                const struct password_check *check, struct identity *ret_identity,
                                struct refusal *ret_refusal)
{
    const struct password_claim *claim = &check->claim;
    struct device device;
    bool is_there;
    int64_t wait_ms = attempts_wait_ms(authenticator->config.attempts, claim->source,
                                       uv_now(authenticator->config.loop));
    if (check->verdict == PASSWORD_NOT_CHECKED) {
        return wait_ms > 0 ? refuse_limited(authenticator, wait_ms, ret_refusal)
                           : refuse_busy(authenticator, "the program is ending", ret_refusal);
    }
    is_there = devices_find(authenticator->devices, claim->application, claim->device, &device) &&
               device.hash.ptr != NULL;
    if (is_there != claim->is_known || (is_there && !mr_slice_is(device.hash, claim->hash))) {
        return refuse_busy(authenticator, "the devices have just changed", ret_refusal);
    }
    if (!is_there || check->verdict == PASSWORD_WRONG) {
        return refuse_wrong(authenticator, ret_refusal);
    }
    return let_in(authenticator, AUTHENTICATION_CHECKED, &device, ret_identity, ret_refusal);
}

static bool is_verified(struct authenticator *authenticator, const struct verified_digest *digest)
{
    if (verified_cache_has(authenticator->cache, digest)) {
        return true;
    }
    if (authenticator->config.verified == NULL ||
        !verified_shared_has(authenticator->config.verified, digest)) {
        return false;
    }
    verified_cache_add(authenticator->cache, digest);
    return true;
}

static void remember(struct authenticator *authenticator, const struct verified_digest *digest)
{
    if (!verified_cache_has(authenticator->cache, digest)) {
        verified_cache_add(authenticator->cache, digest);
    }
    if (authenticator->config.verified != NULL) {
        verified_shared_add(authenticator->config.verified, digest);
    }
}

static void on_checked(struct password_check *check, void *user)
{
    const struct password_claim *claim = &check->claim;
    struct http_request *request;
    struct authenticator *authenticator;
    bool is_right = check->verdict == PASSWORD_RIGHT && claim->is_known;
    MAGIC_CAST(authenticator, user, AUTHENTICATOR_MAGIC);
    if (is_right) {
        remember(authenticator, &claim->digest);
    } else if (check->verdict != PASSWORD_NOT_CHECKED) {
        attempts_failed(authenticator->config.attempts, claim->source,
                        uv_now(authenticator->config.loop));
    }
    while ((request = password_waiters_take(check)) != NULL) {
        struct identity identity;
        struct refusal refusal;
        bool is_known = judge(authenticator, check, &identity, &refusal) == AUTHENTICATED_YES;
        authenticator->config.on_decided(request, is_known ? &identity : NULL, &refusal,
                                         authenticator->config.user);
    }
}

static void on_late(struct http_request *request, void *user)
{
    struct authenticator *authenticator;
    struct refusal refusal;
    MAGIC_CAST(authenticator, user, AUTHENTICATOR_MAGIC);
    (void)refuse_busy(authenticator,
                      authenticator->is_stopped
                          ? "the program is ending"
                          : "its password could not be checked in time (answer.timeout)",
                      &refusal);
    authenticator->config.on_decided(request, NULL, &refusal, authenticator->config.user);
}

static enum authenticated wait_for(struct authenticator *authenticator,
                                   struct password_check *check, struct http_request *request,
                                   struct refusal *ret_refusal)
{
    return password_waiters_add(&authenticator->waiters, check, request) == 0
               ? AUTHENTICATED_LATER
               : refuse_busy(authenticator, "out of memory", ret_refusal);
}

static void log_limited(const struct http_client_address *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    mr_log_limited(MR_LOG_WARN, LIMITED_LOG_MS,
                   "too many wrong passwords: those from this address are not checked for a while",
                   MR_STR("address", text));
}

static enum authenticated begin_check(struct authenticator *authenticator,
                                      struct http_request *request,
                                      const struct http_client_address *address,
                                      const struct password_claim *claim,
                                      struct refusal *ret_refusal)
{
    struct password_check *check = password_checks_find(authenticator->checks, &claim->digest);
    enum authenticated result;
    int64_t wait_ms;
    if (check != NULL) {
        return wait_for(authenticator, check, request, ret_refusal);
    }
    wait_ms = attempts_wait_ms(authenticator->config.attempts, claim->source,
                               uv_now(authenticator->config.loop));
    if (wait_ms > 0) {
        log_limited(address);
        return refuse_limited(authenticator, wait_ms, ret_refusal);
    }
    if (password_checks_are_full(authenticator->checks, claim->source,
                                 authenticator->config.options->attempts_max > 0)) {
        return refuse_busy(authenticator, "too many passwords wait to be checked", ret_refusal);
    }
    check = password_checks_add(authenticator->checks, claim);
    if (check == NULL) {
        return refuse_busy(authenticator, "out of memory", ret_refusal);
    }
    result = wait_for(authenticator, check, request, ret_refusal);
    password_checks_start(authenticator->checks);
    return result;
}

/* --- passwords --- */

/* The address is in it so that who is refused by attempts.max can't go on guessing by what the
 * cache, which costs nothing, says of another address's devices. */
static bool make_digest(struct authenticator *authenticator, struct password_claim *claim)
{
    unsigned char is_known = claim->is_known;
    unsigned char is_v6 = claim->source.is_v6;
    const struct mr_slice parts[] = {
        mr_slice(&is_known, sizeof is_known),
        mr_slice(&is_v6, sizeof is_v6),
        mr_slice(&claim->source.bits, sizeof claim->source.bits),
        claim->application,
        claim->device,
        claim->hash,
        claim->password,
    };
    return verified_cache_digest(authenticator->cache, parts, MR_COUNT_OF(parts), &claim->digest);
}

/* What the credentials claim; `ret_device` if that is known. False: out of memory. */
static bool make_claim(struct authenticator *authenticator,
                       const struct basic_credentials *credentials,
                       const struct http_client_address *address, struct password_claim *ret_claim,
                       struct device *ret_device)
{
    struct password_claim claim = {.source = attempts_source_of(address),
                                   .application = credentials->application,
                                   .device = credentials->device,
                                   .password = credentials->password};
    claim.is_known =
        devices_find(authenticator->devices, claim.application, claim.device, ret_device) &&
        ret_device->hash.ptr != NULL;
    claim.hash = claim.is_known ? ret_device->hash
                                : devices_hash_for_unknown(authenticator->devices,
                                                           claim.application, claim.device);
    *ret_claim = claim;
    return make_digest(authenticator, ret_claim);
}

static enum authenticated by_password(struct authenticator *authenticator,
                                      struct http_request *request,
                                      const struct basic_credentials *credentials,
                                      struct identity *ret_identity, struct refusal *ret_refusal)
{
    struct http_client_address address = http_request_client_address(request);
    struct password_claim claim;
    struct device device;
    if (!make_claim(authenticator, credentials, &address, &claim, &device)) {
        return refuse_busy(authenticator, "out of memory", ret_refusal);
    }
    if (claim.is_known && is_verified(authenticator, &claim.digest)) {
        return let_in(authenticator, AUTHENTICATION_CACHED, &device, ret_identity, ret_refusal);
    }
    return begin_check(authenticator, request, &address, &claim, ret_refusal);
}

static enum authenticated by_header(struct authenticator *authenticator,
                                    struct http_request *request, struct mr_slice header,
                                    struct identity *ret_identity, struct refusal *ret_refusal)
{
    struct basic_credentials credentials;
    struct mr_error err;
    enum authenticated result;
    if (!basic_is_mine(header)) {
        return refuse(authenticator, AUTHENTICATION_MISSING, 401,
                      "Authorization: expected the scheme Basic", ret_refusal);
    }
    if (basic_parse(header, &credentials, &err) != 0) {
        (void)refuse(authenticator, AUTHENTICATION_MALFORMED, 400, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail, "Authorization: %.300s",
                       err.text);
        return AUTHENTICATED_NO;
    }
    result = by_password(authenticator, request, &credentials, ret_identity, ret_refusal);
    basic_forget(&credentials);
    return result;
}

enum authenticated authenticate(struct authenticator *authenticator, struct http_request *request,
                                struct identity *ret_identity, struct refusal *ret_refusal)
{
    unsigned headers;
    struct mr_slice subject;
    struct mr_slice header = http_request_header(request, "Authorization", &headers);
    int auth = authenticator->config.options->auth;
    MAGIC_CHECK(authenticator, AUTHENTICATOR_MAGIC);
    if (authenticator->is_stopped) {
        return refuse_busy(authenticator, "the program is ending", ret_refusal);
    }
    if (auth != BRIDGE_AUTH_CERTIFICATE && headers > 1) {
        return refuse(authenticator, AUTHENTICATION_MALFORMED, 400, "Authorization: given twice",
                      ret_refusal);
    }
    if (auth != BRIDGE_AUTH_CERTIFICATE && headers == 1) {
        return by_header(authenticator, request, header, ret_identity, ret_refusal);
    }
    if (auth == BRIDGE_AUTH_BASIC) {
        return refuse(authenticator, AUTHENTICATION_MISSING, 401,
                      "Authorization: expected Basic with device@application and its password",
                      ret_refusal);
    }
    subject = http_request_certificate_subject(request);
    if (subject.ptr != NULL) {
        return by_certificate(authenticator, subject, ret_identity, ret_refusal);
    }
    /* RFC 9110 11.6.1: a 401 would have to name a scheme. */
    return auth == BRIDGE_AUTH_CERTIFICATE
               ? refuse(authenticator, AUTHENTICATION_MISSING, 403,
                        "expected a client certificate, over TLS", ret_refusal)
               : refuse(authenticator, AUTHENTICATION_MISSING, 401,
                        "expected a client certificate, over TLS, or Authorization: Basic with "
                        "device@application and its password",
                        ret_refusal);
}

static bool may_password(struct authenticator *authenticator, const struct http_request *request,
                         const struct basic_credentials *credentials)
{
    struct http_client_address address = http_request_client_address(request);
    struct password_claim claim;
    struct device device;
    if (!make_claim(authenticator, credentials, &address, &claim, &device)) {
        return false;
    }
    if (claim.is_known && is_verified(authenticator, &claim.digest)) {
        return device.is_enabled;
    }
    return password_checks_find(authenticator->checks, &claim.digest) != NULL ||
           attempts_wait_ms(authenticator->config.attempts, claim.source,
                            uv_now(authenticator->config.loop)) == 0;
}

static bool may_certificate(struct authenticator *authenticator, const struct http_request *request)
{
    struct mr_slice subject = http_request_certificate_subject(request);
    struct identity identity;
    struct refusal refusal;
    bool may;
    authenticator->is_trial = true;
    may = subject.ptr != NULL &&
          by_certificate(authenticator, subject, &identity, &refusal) == AUTHENTICATED_YES;
    authenticator->is_trial = false;
    return may;
}

bool authenticator_may_let_in(struct authenticator *authenticator,
                              const struct http_request *request)
{
    unsigned headers;
    struct mr_slice header = http_request_header(request, "Authorization", &headers);
    int auth = authenticator->config.options->auth;
    struct basic_credentials credentials;
    struct mr_error err;
    bool may;
    MAGIC_CHECK(authenticator, AUTHENTICATOR_MAGIC);
    if (authenticator->is_stopped) {
        return false;
    }
    if (auth == BRIDGE_AUTH_CERTIFICATE || headers == 0) {
        return auth != BRIDGE_AUTH_BASIC && may_certificate(authenticator, request);
    }
    if (headers > 1 || !basic_is_mine(header) || basic_parse(header, &credentials, &err) != 0) {
        return false;
    }
    may = may_password(authenticator, request, &credentials);
    basic_forget(&credentials);
    return may;
}

/* --- life --- */

static void destroy(struct authenticator *authenticator)
{
    authenticator->magic = 0;
    verified_cache_free(authenticator->cache);
    buf_done(&authenticator->names);
    devices_disown(authenticator->devices);
    devices_disown(atomic_load(&authenticator->offered));
    mem_free(authenticator);
}

static int make_checks(struct authenticator *authenticator, struct mr_error *err)
{
    const struct authenticator_config *config = &authenticator->config;
    return password_checks_new(
        &(struct password_checks_config){
            .loop = config->loop,
            .rooms = config->rooms,
            .waiting_max = (size_t)config->options->password_checks_max,
            .checks_total = config->metrics->checks,
            .waiting_gauge = config->metrics->waiting,
            .may_start = may_start,
            .on_done = on_checked,
            .user = authenticator,
        },
        &authenticator->checks, err);
}

int authenticator_open(const struct authenticator_config *config,
                       struct authenticator **ret_authenticator, struct mr_error *err)
{
    struct authenticator *authenticator = mem_zalloc(sizeof *authenticator);
    int rc;
    if (authenticator == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    authenticator->magic = AUTHENTICATOR_MAGIC;
    authenticator->config = *config;
    authenticator->devices = devices_own(config->devices);
    buf_init(&authenticator->names, NAMES_BYTES_MAX);
    rc = config->verified == NULL
             ? verified_cache_new((size_t)config->options->password_cache_max,
                                  &authenticator->cache, err)
             : verified_shared_join(config->verified, (size_t)config->options->password_cache_max,
                                    &authenticator->cache, err);
    if (rc == 0) {
        rc = make_checks(authenticator, err);
    }
    if (rc != 0) {
        destroy(authenticator);
        return rc;
    }
    password_waiters_init(&authenticator->waiters,
                          &(struct password_waiters_config){
                              .loop = config->loop,
                              .checks = authenticator->checks,
                              .answer_ms = (uint64_t)config->options->answer_ms,
                              .on_late = on_late,
                              .user = authenticator,
                          });
    *ret_authenticator = authenticator;
    return 0;
}

void authenticator_stop(struct authenticator *authenticator)
{
    MAGIC_CHECK(authenticator, AUTHENTICATOR_MAGIC);
    authenticator->is_stopped = true;
    password_waiters_end(&authenticator->waiters);
}

static void on_waiters_closed(void *user)
{
    struct authenticator *authenticator;
    void (*closed)(void *);
    void *closed_user;
    MAGIC_CAST(authenticator, user, AUTHENTICATOR_MAGIC);
    closed = authenticator->closed;
    closed_user = authenticator->closed_user;
    destroy(authenticator);
    closed(closed_user);
}

static void on_checks_closed(void *user)
{
    struct authenticator *authenticator;
    MAGIC_CAST(authenticator, user, AUTHENTICATOR_MAGIC);
    password_waiters_close(&authenticator->waiters, on_waiters_closed);
}

void authenticator_close(struct authenticator *authenticator, void (*closed)(void *user),
                         void *user)
{
    MAGIC_CHECK(authenticator, AUTHENTICATOR_MAGIC);
    authenticator->closed = closed;
    authenticator->closed_user = user;
    password_checks_close(authenticator->checks, on_checks_closed, authenticator);
}

void authenticator_offer(struct authenticator *authenticator, struct devices *devices)
{
    devices_disown(atomic_exchange(&authenticator->offered, devices));
}

void authenticator_renew(struct authenticator *authenticator)
{
    struct devices *offered = atomic_exchange(&authenticator->offered, NULL);
    if (offered != NULL) {
        devices_disown(authenticator->devices);
        authenticator->devices = offered;
    }
}

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
#include "bridge/http/identity/verified_cache.h"
#include "kit/buf.h"
#include "kit/magic.h"
#include "kit/mem.h"

enum {
    AUTHENTICATOR_MAGIC = 0x41555448,
    TICK_MS = 20, /* waiting requests whose time is up are looked for no more often */
    NAMES_BYTES_MAX = 2 * 1024 * 1024, /* a subject comes from a certificate of TLS's size */
    LIMITED_LOG_MS = 10000,
    RETRY_AFTER_BYTES = 40,
};

#define CHALLENGE "WWW-Authenticate: Basic realm=\"millrace\", charset=\"UTF-8\"\r\n"

struct password_waiter {
    struct password_waiter *next;
    struct http_request *request;
    uint64_t due_ms;
};

struct authenticator {
    unsigned magic;
    struct authenticator_config config;
    struct devices *devices;
    _Atomic(struct devices *) offered; /* to be taken by the loop; NULL: none */
    struct verified_cache *cache;
    struct password_checks *checks; /* NULL: passwords aren't taken */
    struct mr_buf names;            /* of a certificate */
    uv_timer_t timer;
    bool is_stopped;
    bool is_trial; /* nothing is counted */
    void (*closed)(void *user);
    void *closed_user;
    char retry_after[RETRY_AFTER_BYTES];
};

static void count(const struct authenticator *a, enum authentication_outcome outcome)
{
    if (!a->is_trial) {
        mr_count(a->config.metrics->outcomes[outcome], 1);
    }
}

static enum authenticated refuse(const struct authenticator *a, enum authentication_outcome outcome,
                                 int status, const char *detail,
                                 struct dialect_refusal *ret_refusal)
{
    count(a, outcome);
    *ret_refusal =
        (struct dialect_refusal){.status = status, .headers = status == 401 ? CHALLENGE : NULL};
    (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail, "%s", detail);
    return AUTHENTICATED_NO;
}

static enum authenticated refuse_busy(const struct authenticator *a, const char *why,
                                      struct dialect_refusal *ret_refusal)
{
    (void)refuse(a, AUTHENTICATION_BUSY, 503, "", ret_refusal);
    (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                   "The event is not stored; send it again later: %s", why);
    return AUTHENTICATED_NO;
}

/* One text for all that can be wrong: who guesses learns nothing. */
static enum authenticated refuse_wrong(const struct authenticator *a,
                                       struct dialect_refusal *ret_refusal)
{
    return refuse(a, AUTHENTICATION_WRONG, 401,
                  "Authorization: no device of this name with this password", ret_refusal);
}

static enum authenticated let_in(const struct authenticator *a, enum authentication_outcome outcome,
                                 const struct device *device, struct identity *ret_identity,
                                 struct dialect_refusal *ret_refusal)
{
    if (!device->is_enabled) {
        return refuse(a, AUTHENTICATION_FORBIDDEN, 403, "this device may not send (enabled = no)",
                      ret_refusal);
    }
    count(a, outcome);
    *ret_identity = device->identity;
    return AUTHENTICATED_YES;
}

/* --- certificates --- */

/* 0, or -1 with the refusal; `ret_value` is absent if the subject doesn't have it. */
static int name_of(struct authenticator *a, struct mr_slice subject, const char *type,
                   struct mr_slice *ret_value, struct dialect_refusal *ret_refusal)
{
    struct mr_error err;
    char *to = a->names.ptr + a->names.len;
    if (certificate_name(subject, mr_slice_of(type), to, ret_value, &err) != 0) {
        (void)refuse(a, AUTHENTICATION_FORBIDDEN, 403, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "the subject of the client certificate: %.300s", err.text);
        return -1;
    }
    if (ret_value->ptr == NULL) {
        (void)refuse(a, AUTHENTICATION_FORBIDDEN, 403, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail,
                       "the subject of the client certificate has no %.100s", type);
        return -1;
    }
    a->names.len += ret_value->len;
    return 0;
}

static enum authenticated by_certificate(struct authenticator *a, struct mr_slice subject,
                                         struct identity *ret_identity,
                                         struct dialect_refusal *ret_refusal)
{
    const struct bridge_options *options = a->config.options;
    struct device device = {.is_enabled = true};
    struct device known;
    struct mr_slice *application = &device.identity.application;
    buf_clear(&a->names);
    if (buf_reserve(&a->names, 2 * subject.len + 1) != 0) {
        return refuse_busy(a, "out of memory", ret_refusal);
    }
    *application = mr_slice_of(options->certificate_application_fixed);
    if (name_of(a, subject, options->certificate_device, &device.identity.device, ret_refusal) !=
        0) {
        return AUTHENTICATED_NO;
    }
    if (application->ptr == NULL &&
        name_of(a, subject, options->certificate_application, application, ret_refusal) != 0) {
        return AUTHENTICATED_NO;
    }
    if (devices_find(a->devices, *application, device.identity.device, &known)) {
        device = known;
    }
    return let_in(a, AUTHENTICATION_CERTIFICATE, &device, ret_identity, ret_refusal);
}

/* --- passwords that wait --- */

static void decide(struct authenticator *a, struct password_waiter *waiter,
                   const struct identity *identity, const struct dialect_refusal *refusal)
{
    struct http_request *request = waiter->request;
    mem_free(waiter);
    a->config.on_decided(request, identity, refusal, a->config.user);
}

static enum authenticated refuse_limited(struct authenticator *a, int64_t wait_ms,
                                         struct dialect_refusal *ret_refusal)
{
    (void)refuse(a, AUTHENTICATION_LIMITED, 429,
                 "too many wrong passwords have come from this address; the event is not stored",
                 ret_refusal);
    (void)snprintf(a->retry_after, sizeof a->retry_after, "Retry-After: %lld\r\n",
                   (long long)((wait_ms + 999) / 1000));
    ret_refusal->headers = a->retry_after;
    return AUTHENTICATED_NO;
}

static bool may_start(const struct password_check *check, void *user)
{
    struct authenticator *a;
    MAGIC_CAST(a, user, AUTHENTICATOR_MAGIC);
    return !a->is_stopped &&
           attempts_wait_ms(a->config.attempts, check->claim.source, uv_now(a->config.loop)) == 0;
}

/* What a check's end means for those that wait for it, by the devices as they are now. */
static enum authenticated judge(struct authenticator *a, const struct password_check *check,
                                struct identity *ret_identity, struct dialect_refusal *ret_refusal)
{
    const struct password_claim *claim = &check->claim;
    struct device device;
    bool is_there;
    int64_t wait_ms = attempts_wait_ms(a->config.attempts, claim->source, uv_now(a->config.loop));
    if (check->verdict == PASSWORD_NOT_CHECKED) {
        return wait_ms > 0 ? refuse_limited(a, wait_ms, ret_refusal)
                           : refuse_busy(a, "the program is ending", ret_refusal);
    }
    is_there = devices_find(a->devices, claim->application, claim->device, &device) &&
               device.hash.ptr != NULL;
    if (is_there != claim->is_known || (is_there && !mr_slice_is(device.hash, claim->hash))) {
        return refuse_busy(a, "the devices have just changed", ret_refusal);
    }
    if (!is_there || check->verdict == PASSWORD_WRONG) {
        return refuse_wrong(a, ret_refusal);
    }
    return let_in(a, AUTHENTICATION_CHECKED, &device, ret_identity, ret_refusal);
}

static bool is_verified(struct authenticator *a, const struct verified_digest *digest)
{
    if (verified_cache_has(a->cache, digest)) {
        return true;
    }
    if (a->config.verified == NULL || !verified_shared_has(a->config.verified, digest)) {
        return false;
    }
    verified_cache_add(a->cache, digest);
    return true;
}

static void remember(struct authenticator *a, const struct verified_digest *digest)
{
    if (!verified_cache_has(a->cache, digest)) {
        verified_cache_add(a->cache, digest);
    }
    if (a->config.verified != NULL) {
        verified_shared_add(a->config.verified, digest);
    }
}

static void on_checked(struct password_check *check, void *user)
{
    const struct password_claim *claim = &check->claim;
    struct password_waiter *waiter = check->waiter;
    struct authenticator *a;
    bool is_right = check->verdict == PASSWORD_RIGHT && claim->is_known;
    MAGIC_CAST(a, user, AUTHENTICATOR_MAGIC);
    if (is_right) {
        remember(a, &claim->digest);
    } else if (check->verdict != PASSWORD_NOT_CHECKED) {
        attempts_failed(a->config.attempts, claim->source, uv_now(a->config.loop));
    }
    check->waiter = NULL;
    while (waiter != NULL) {
        struct password_waiter *next = waiter->next;
        struct identity identity;
        struct dialect_refusal refusal;
        bool is_known = judge(a, check, &identity, &refusal) == AUTHENTICATED_YES;
        decide(a, waiter, is_known ? &identity : NULL, &refusal);
        waiter = next;
    }
}

/* Refuse those whose time is up by `now_ms`; true: others go on waiting. */
static bool expire(struct authenticator *a, struct password_check *check, uint64_t now_ms,
                   const char *why)
{
    struct password_waiter **at = &check->waiter;
    while (*at != NULL) {
        struct password_waiter *waiter = *at;
        if (waiter->due_ms <= now_ms) {
            struct dialect_refusal refusal;
            *at = waiter->next;
            (void)refuse_busy(a, why, &refusal);
            decide(a, waiter, NULL, &refusal);
        } else {
            at = &waiter->next;
        }
    }
    return check->waiter != NULL;
}

static bool expire_all(struct authenticator *a, uint64_t now_ms, const char *why)
{
    struct password_check *check = password_checks_first(a->checks);
    bool does_any_wait = false;
    for (; check != NULL; check = check->next) {
        does_any_wait = expire(a, check, now_ms, why) || does_any_wait;
    }
    return does_any_wait;
}

static void on_tick(uv_timer_t *timer)
{
    struct authenticator *a;
    MAGIC_CAST(a, timer->data, AUTHENTICATOR_MAGIC);
    if (!expire_all(a, uv_now(a->config.loop), "too many passwords wait to be checked")) {
        (void)uv_timer_stop(timer);
    }
}

/* The request waits for the check from now on. */
static enum authenticated wait_for(struct authenticator *a, struct password_check *check,
                                   struct http_request *request,
                                   struct dialect_refusal *ret_refusal)
{
    struct password_waiter *waiter = mem_alloc(sizeof *waiter);
    struct password_waiter **at = &check->waiter;
    if (waiter == NULL) {
        return refuse_busy(a, "out of memory", ret_refusal);
    }
    *waiter = (struct password_waiter){
        .request = request,
        .due_ms = http_request_came_ms(request) + (uint64_t)a->config.options->answer_ms};
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = waiter;
    if (!uv_is_active((uv_handle_t *)&a->timer)) {
        (void)uv_timer_start(&a->timer, on_tick, TICK_MS, TICK_MS);
    }
    return AUTHENTICATED_LATER;
}

static void log_limited(const struct http_client_address *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    (void)inet_ntop(address->is_v6 ? AF_INET6 : AF_INET, address->bytes, text, sizeof text);
    mr_log_limited(MR_LOG_WARN, LIMITED_LOG_MS,
                   "too many wrong passwords: those from this address are not checked for a while",
                   MR_STR("address", text));
}

static enum authenticated begin_check(struct authenticator *a, struct http_request *request,
                                      const struct http_client_address *address,
                                      const struct password_claim *claim,
                                      struct dialect_refusal *ret_refusal)
{
    struct password_check *check = password_checks_find(a->checks, &claim->digest);
    enum authenticated result;
    int64_t wait_ms;
    if (check != NULL) {
        return wait_for(a, check, request, ret_refusal);
    }
    wait_ms = attempts_wait_ms(a->config.attempts, claim->source, uv_now(a->config.loop));
    if (wait_ms > 0) {
        log_limited(address);
        return refuse_limited(a, wait_ms, ret_refusal);
    }
    if (password_checks_are_full(a->checks, claim->source, a->config.options->attempts_max > 0)) {
        return refuse_busy(a, "too many passwords wait to be checked", ret_refusal);
    }
    check = password_checks_add(a->checks, claim);
    if (check == NULL) {
        return refuse_busy(a, "out of memory", ret_refusal);
    }
    result = wait_for(a, check, request, ret_refusal);
    password_checks_start(a->checks);
    return result;
}

/* --- passwords --- */

/* The address is in it so that who is refused by attempts.max can't go on guessing by what the
 * cache, which costs nothing, says of another address's devices. */
static bool make_digest(struct authenticator *a, struct password_claim *claim)
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
    return verified_cache_digest(a->cache, parts, MR_COUNT_OF(parts), &claim->digest);
}

/* What the credentials claim; `ret_device` if that is known. False: out of memory. */
static bool make_claim(struct authenticator *a, const struct basic_credentials *credentials,
                       const struct http_client_address *address, struct password_claim *ret_claim,
                       struct device *ret_device)
{
    struct password_claim claim = {.source = attempts_source_of(address),
                                   .application = credentials->application,
                                   .device = credentials->device,
                                   .password = credentials->password};
    claim.is_known = devices_find(a->devices, claim.application, claim.device, ret_device) &&
                     ret_device->hash.ptr != NULL;
    claim.hash = claim.is_known
                     ? ret_device->hash
                     : devices_hash_for_unknown(a->devices, claim.application, claim.device);
    *ret_claim = claim;
    return make_digest(a, ret_claim);
}

static enum authenticated by_password(struct authenticator *a, struct http_request *request,
                                      const struct basic_credentials *credentials,
                                      struct identity *ret_identity,
                                      struct dialect_refusal *ret_refusal)
{
    struct http_client_address address = http_request_client_address(request);
    struct password_claim claim;
    struct device device;
    if (!make_claim(a, credentials, &address, &claim, &device)) {
        return refuse_busy(a, "out of memory", ret_refusal);
    }
    if (claim.is_known && is_verified(a, &claim.digest)) {
        return let_in(a, AUTHENTICATION_CACHED, &device, ret_identity, ret_refusal);
    }
    return begin_check(a, request, &address, &claim, ret_refusal);
}

static enum authenticated by_header(struct authenticator *a, struct http_request *request,
                                    struct mr_slice header, struct identity *ret_identity,
                                    struct dialect_refusal *ret_refusal)
{
    struct basic_credentials credentials;
    struct mr_error err;
    enum authenticated result;
    if (!basic_is_mine(header)) {
        return refuse(a, AUTHENTICATION_MISSING, 401, "Authorization: expected the scheme Basic",
                      ret_refusal);
    }
    if (basic_parse(header, &credentials, &err) != 0) {
        (void)refuse(a, AUTHENTICATION_MALFORMED, 400, "", ret_refusal);
        (void)snprintf(ret_refusal->detail, sizeof ret_refusal->detail, "Authorization: %.300s",
                       err.text);
        return AUTHENTICATED_NO;
    }
    result = by_password(a, request, &credentials, ret_identity, ret_refusal);
    basic_forget(&credentials);
    return result;
}

enum authenticated authenticate(struct authenticator *a, struct http_request *request,
                                struct identity *ret_identity, struct dialect_refusal *ret_refusal)
{
    unsigned headers;
    struct mr_slice subject;
    struct mr_slice header = http_request_header(request, "Authorization", &headers);
    int auth = a->config.options->auth;
    MAGIC_CHECK(a, AUTHENTICATOR_MAGIC);
    if (a->is_stopped) {
        return refuse_busy(a, "the program is ending", ret_refusal);
    }
    if (auth != BRIDGE_AUTH_CERTIFICATE && headers > 1) {
        return refuse(a, AUTHENTICATION_MALFORMED, 400, "Authorization: given twice", ret_refusal);
    }
    if (auth != BRIDGE_AUTH_CERTIFICATE && headers == 1) {
        return by_header(a, request, header, ret_identity, ret_refusal);
    }
    if (auth == BRIDGE_AUTH_BASIC) {
        return refuse(a, AUTHENTICATION_MISSING, 401,
                      "Authorization: expected Basic with device@application and its password",
                      ret_refusal);
    }
    subject = http_request_certificate_subject(request);
    if (subject.ptr != NULL) {
        return by_certificate(a, subject, ret_identity, ret_refusal);
    }
    /* RFC 9110 11.6.1: a 401 would have to name a scheme. */
    return auth == BRIDGE_AUTH_CERTIFICATE
               ? refuse(a, AUTHENTICATION_MISSING, 403, "expected a client certificate, over TLS",
                        ret_refusal)
               : refuse(a, AUTHENTICATION_MISSING, 401,
                        "expected a client certificate, or Authorization: Basic with "
                        "device@application and its password",
                        ret_refusal);
}

static bool may_password(struct authenticator *a, const struct http_request *request,
                         const struct basic_credentials *credentials)
{
    struct http_client_address address = http_request_client_address(request);
    struct password_claim claim;
    struct device device;
    if (!make_claim(a, credentials, &address, &claim, &device)) {
        return false;
    }
    if (claim.is_known && is_verified(a, &claim.digest)) {
        return device.is_enabled;
    }
    return password_checks_find(a->checks, &claim.digest) != NULL ||
           attempts_wait_ms(a->config.attempts, claim.source, uv_now(a->config.loop)) == 0;
}

static bool may_certificate(struct authenticator *a, const struct http_request *request)
{
    struct mr_slice subject = http_request_certificate_subject(request);
    struct identity identity;
    struct dialect_refusal refusal;
    bool may;
    a->is_trial = true;
    may =
        subject.ptr != NULL && by_certificate(a, subject, &identity, &refusal) == AUTHENTICATED_YES;
    a->is_trial = false;
    return may;
}

bool authenticator_may_let_in(struct authenticator *a, const struct http_request *request)
{
    unsigned headers;
    struct mr_slice header = http_request_header(request, "Authorization", &headers);
    int auth = a->config.options->auth;
    struct basic_credentials credentials;
    struct mr_error err;
    bool may;
    MAGIC_CHECK(a, AUTHENTICATOR_MAGIC);
    if (a->is_stopped) {
        return false;
    }
    if (auth == BRIDGE_AUTH_CERTIFICATE || headers == 0) {
        return auth != BRIDGE_AUTH_BASIC && may_certificate(a, request);
    }
    if (headers > 1 || !basic_is_mine(header) || basic_parse(header, &credentials, &err) != 0) {
        return false;
    }
    may = may_password(a, request, &credentials);
    basic_forget(&credentials);
    return may;
}

/* --- life --- */

static void destroy(struct authenticator *a)
{
    a->magic = 0;
    verified_cache_free(a->cache);
    buf_done(&a->names);
    devices_disown(a->devices);
    devices_disown(atomic_load(&a->offered));
    mem_free(a);
}

static struct password_checks *make_checks(struct authenticator *a)
{
    const struct bridge_options *options = a->config.options;
    return password_checks_new(&(struct password_checks_config){
        .loop = a->config.loop,
        .running_max = options->loops > 1 ? 1 : PASSWORD_RUNNING_MAX,
        .waiting_max = (size_t)options->password_checks_max,
        .checks_total = a->config.metrics->checks,
        .waiting_gauge = a->config.metrics->waiting,
        .may_start = may_start,
        .on_done = on_checked,
        .user = a,
    });
}

int authenticator_open(const struct authenticator_config *config,
                       struct authenticator **ret_authenticator, struct mr_error *err)
{
    struct authenticator *a = mem_zalloc(sizeof *a);
    int rc;
    if (a == NULL) {
        return mr_error_set(err, MR_ENOMEM, "out of memory");
    }
    a->magic = AUTHENTICATOR_MAGIC;
    a->config = *config;
    a->devices = devices_own(config->devices);
    buf_init(&a->names, NAMES_BYTES_MAX);
    rc = config->verified == NULL
             ? verified_cache_new((size_t)config->options->password_cache_max, &a->cache, err)
             : verified_shared_join(config->verified, (size_t)config->options->password_cache_max,
                                    &a->cache, err);
    if (rc == 0) {
        a->checks = make_checks(a);
        rc = a->checks == NULL ? mr_error_set(err, MR_ENOMEM, "out of memory") : 0;
    }
    if (rc != 0) {
        destroy(a);
        return rc;
    }
    (void)uv_timer_init(config->loop, &a->timer);
    a->timer.data = a;
    *ret_authenticator = a;
    return 0;
}

void authenticator_stop(struct authenticator *a)
{
    MAGIC_CHECK(a, AUTHENTICATOR_MAGIC);
    a->is_stopped = true;
    (void)expire_all(a, UINT64_MAX, "the program is ending");
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct authenticator *a;
    void (*closed)(void *);
    void *user;
    MAGIC_CAST(a, handle->data, AUTHENTICATOR_MAGIC);
    closed = a->closed;
    user = a->closed_user;
    destroy(a);
    closed(user);
}

static void on_checks_closed(void *user)
{
    struct authenticator *a;
    MAGIC_CAST(a, user, AUTHENTICATOR_MAGIC);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

void authenticator_close(struct authenticator *a, void (*closed)(void *user), void *user)
{
    MAGIC_CHECK(a, AUTHENTICATOR_MAGIC);
    a->closed = closed;
    a->closed_user = user;
    password_checks_close(a->checks, on_checks_closed, a);
}

void authenticator_offer(struct authenticator *a, struct devices *devices)
{
    devices_disown(atomic_exchange(&a->offered, devices));
}

void authenticator_renew(struct authenticator *a)
{
    struct devices *offered = atomic_exchange(&a->offered, NULL);
    if (offered != NULL) {
        devices_disown(a->devices);
        a->devices = offered;
    }
}

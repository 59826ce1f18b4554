// SPDX-License-Identifier: Apache-2.0
#include "bridge/http/bridge_tls.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <millrace/log.h>

#include "kit/magic.h"

enum { BRIDGE_TLS_MAGIC = 0x42544c53 };

static const char *const keys[TLS_FILES] = {
    [TLS_FILE_CERTIFICATE] = "tls.certificate",
    [TLS_FILE_KEY] = "tls.key",
    [TLS_FILE_CLIENT_CA] = "tls.client.ca",
    [TLS_FILE_CLIENT_CRL] = "tls.client.crl",
};

static struct tls_context_config config_of(const struct bridge_options *options)
{
    return (struct tls_context_config){
        .files = {[TLS_FILE_CERTIFICATE] = bridge_file(options->tls_certificate),
                  [TLS_FILE_KEY] = bridge_file(options->tls_key),
                  [TLS_FILE_CLIENT_CA] = bridge_file(options->tls_client_ca),
                  [TLS_FILE_CLIENT_CRL] = bridge_file(options->tls_client_crl)},
        .client = (enum tls_client_auth)options->tls_client,
        .version_min = (enum tls_version)options->tls_version_min,
    };
}

bool bridge_tls_is_wanted(const struct bridge_options *options)
{
    return bridge_file(options->tls_certificate) != NULL;
}

/* Options that only make sense together. */
static void check_combination(const struct bridge_options *options,
                              const struct tls_context_config *config, struct mr_check *check)
{
    bool has_key = config->files[TLS_FILE_KEY] != NULL;
    bool wants_client = config->client != TLS_CLIENT_NONE;
    bool is_client_right = mr_check_is_right(check, NULL, "tls.client");
    if (bridge_tls_is_wanted(options) && !has_key) {
        mr_check_problem(check, NULL, "tls.key", "must be given: the key of tls.certificate");
    }
    if (!bridge_tls_is_wanted(options) && (has_key || wants_client)) {
        mr_check_problem(check, NULL, "tls.certificate", "must be given with %s",
                         has_key ? "tls.key" : "tls.client");
    }
    if (!options->plain && !bridge_tls_is_wanted(options)) {
        mr_check_problem(check, NULL, "plain",
                         "must be true without tls.certificate: nothing would be listened on");
    }
    if (wants_client && config->files[TLS_FILE_CLIENT_CA] == NULL) {
        mr_check_problem(check, NULL, "tls.client.ca",
                         "must be given: whose certificates tls.client is to accept");
    }
    for (int i = TLS_FILE_CLIENT_CA; i < TLS_FILES; i++) {
        if (!wants_client && is_client_right && config->files[i] != NULL) {
            mr_check_problem(check, NULL, keys[i],
                             "is not used: tls.client must be optional or required");
        }
    }
}

/* What stands in a key's file must not end up where a file's name is shown. */
static void leave_names(struct tls_context_config *config, struct mr_check *check)
{
    for (size_t i = 0; i < TLS_FILES; i++) {
        if (!mr_check_file_name(check, NULL, keys[i], config->files[i])) {
            config->files[i] = NULL;
        }
    }
}

void bridge_tls_check(const struct bridge_options *options, struct mr_check *check)
{
    struct tls_context_config config = config_of(options);
    struct mr_error errors[TLS_FILES];
    struct mr_error err;
    check_combination(options, &config, check);
    leave_names(&config, check);
    if (!bridge_tls_is_wanted(options)) {
        return;
    }
    if (tls_context_check(&config, errors, &err) != 0) {
        mr_check_problem(check, NULL, "tls.certificate", "%s", err.text);
        return;
    }
    for (size_t i = 0; i < TLS_FILES; i++) {
        if (errors[i].code != 0) {
            mr_check_problem(check, NULL, keys[i], "%s", errors[i].text);
        }
    }
}

static void show(const struct bridge_tls *tls)
{
    time_t end = (time_t)tls_context_not_after(tls->context);
    char text[32] = "";
    struct tm utc;
    mr_gauge_set(tls->metrics->tls_not_after, (int64_t)end);
    if (gmtime_r(&end, &utc) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    mr_log(MR_LOG_INFO, "TLS certificate loaded", MR_STR("file", tls->options->tls_certificate),
           MR_STR("not_after", text));
    if (tls_context_is_outdated(tls->context)) {
        mr_log(MR_LOG_WARN, "the TLS certificate is outdated, or not valid yet: clients refuse it",
               MR_STR("file", tls->options->tls_certificate), MR_STR("not_after", text));
    }
}

/* On failure the context stays what it was. */
static int load(struct bridge_tls *tls, struct mr_error *err)
{
    struct tls_context_config config = config_of(tls->options);
    struct tls_context *context;
    enum tls_file file;
    int rc = tls_context_new(&config, &context, &file, err);
    if (rc != 0) {
        (void)mr_error_wrap(err, "%s", keys[file]);
        return rc;
    }
    tls_context_unref(tls->context);
    tls->context = context;
    show(tls);
    return 0;
}

static void on_file_change(void *user)
{
    struct bridge_tls *tls;
    MAGIC_CAST(tls, user, BRIDGE_TLS_MAGIC);
    bridge_tls_reload(tls);
}

int bridge_tls_open(struct bridge_tls *tls, uv_loop_t *loop, const struct bridge_options *options,
                    const struct bridge_metrics *metrics,
                    void (*on_change)(struct tls_context *context, void *user), void *user,
                    struct mr_error *err)
{
    struct tls_context_config config = config_of(options);
    int rc;
    tls->magic = BRIDGE_TLS_MAGIC;
    tls->options = options;
    tls->metrics = metrics;
    tls->on_change = on_change;
    tls->user = user;
    rc = file_watch_open(&tls->watch, loop, config.files, TLS_FILES, on_file_change, tls, err);
    return rc == 0 ? load(tls, err) : rc;
}

void bridge_tls_reload(struct bridge_tls *tls)
{
    struct mr_error err;
    if (tls->magic == 0) {
        return;
    }
    if (load(tls, &err) != 0) {
        mr_log(MR_LOG_ERROR, "TLS goes on with the certificate that it has",
               MR_STR("error", err.text));
    } else {
        tls->on_change(tls->context, tls->user);
    }
}

static void on_watch_closed(void *user)
{
    struct bridge_tls *tls;
    MAGIC_CAST(tls, user, BRIDGE_TLS_MAGIC);
    tls_context_unref(tls->context);
    tls->context = NULL;
    tls->magic = 0;
    tls->on_closed(tls->user);
}

void bridge_tls_close(struct bridge_tls *tls, void (*on_closed)(void *user), void *user)
{
    if (tls->magic == 0) {
        on_closed(user);
        return;
    }
    tls->on_closed = on_closed;
    tls->user = user;
    file_watch_close(&tls->watch, on_watch_closed);
}
